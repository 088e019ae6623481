from __future__ import annotations

import pytest

from wine_sweep.report.summary import Work, count_work, pruning_in_words
from wine_sweep.trial import Score, Step, Trial, TrialState

FINISHED = Trial(0, {}, TrialState.FINISHED, {"rmse": Score.of([1.0, 2.0, 3.0, 4.0])})


def pruned(number: int, *budgets: float | None) -> Trial:
    steps = tuple(Step({"rmse": (1.0,) if budget is None else (1.0, 1.0, 1.0, 1.0)}, 0.1, budget) for budget in budgets)
    return Trial(number, {}, TrialState.PRUNED, steps=steps)


def test_between_folds_each_fold_that_was_fitted_counts():
    trials = [FINISHED, pruned(1, None), pruned(2, None, None), Trial(3, {}, TrialState.FAILED)]
    assert count_work(trials, fits=4, last=None) == Work(4 + 1 + 2, 12)


def test_between_budgets_a_fit_counts_by_its_share_of_the_last_budget():
    whole = Trial(0, {}, TrialState.FINISHED, FINISHED.scores, steps=pruned(0, 10, 20, 40).steps)
    work = count_work([whole, pruned(1, 10)], fits=4, last=40)
    assert work.done == pytest.approx(4 * (0.25 + 0.5 + 1) + 4 * 0.25)
    assert work.whole == 8


def test_what_pruning_saved_is_a_sentence_and_nothing_where_nothing_was_pruned():
    trials = [FINISHED, pruned(1, None)]
    work = count_work(trials, fits=4, last=None)
    assert pruning_in_words(trials, work) == ["1 of 2 trials were pruned: the work of 5 fits in place of 8."]
    assert pruning_in_words(trials, work, by="rmse")[0].startswith("1 of 2 trials were pruned by rmse alone: ")
    assert pruning_in_words([FINISHED], work) == []
