from __future__ import annotations

import pytest

from wine_sweep.report.trials import Work, count_work, describe_pruning
from wine_sweep.trial import Score, Trial, TrialState

FINISHED = Trial(0, {}, TrialState.FINISHED, {"rmse": Score.of([1.0, 2.0, 3.0, 4.0])})


def pruned(number: int, steps: int) -> Trial:
    return Trial(number, {}, TrialState.PRUNED, reported=(1.0,) * steps)


def test_between_folds_each_fold_that_was_fitted_counts():
    trials = [FINISHED, pruned(1, 1), pruned(2, 2), Trial(3, {}, TrialState.FAILED)]
    assert count_work(trials, steps=[1, 1, 1, 1], whole=4) == Work(4 + 1 + 2, 12)


def test_between_budgets_a_fit_counts_by_its_share_of_the_last_budget():
    work = count_work([FINISHED, pruned(1, 1)], steps=[4 * share for share in (0.25, 0.5, 1)], whole=4)
    assert work.done == pytest.approx(4 * (0.25 + 0.5 + 1) + 4 * 0.25)
    assert work.whole == 8


def test_what_pruning_saved_is_a_sentence_and_nothing_where_nothing_was_pruned():
    trials = [FINISHED, pruned(1, 1)]
    work = count_work(trials, steps=[1, 1, 1, 1], whole=4)
    assert describe_pruning(trials, work) == ["1 of 2 trials were pruned: the work of 5 fits in place of 8."]
    assert describe_pruning(trials, work, by="rmse")[0].startswith("1 of 2 trials were pruned by rmse alone: ")
    assert describe_pruning([FINISHED], work) == []
