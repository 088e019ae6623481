from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from wine_sweep.config import Direction, PickConfig
from wine_sweep.selection import Goal, Objective, pareto_front, rank, select
from wine_sweep.selection.choice import non_dominated
from wine_sweep.trial import Score, Trial, TrialState


def goals(pick: dict | None = None) -> Objective:
    others = (Goal("fit_seconds", Direction.MINIMIZE),)
    return Objective("r2", Direction.MAXIMIZE, "5 folds", others=others, pick=PickConfig.model_validate(pick or {}))


def trial(number: int, r2: float, seconds: float, state=TrialState.FINISHED, violations=None) -> Trial:
    return Trial(number, {"x": number}, state, {"r2": Score(r2, 0.1)}, fit_seconds=seconds, violations=violations or {})


TRIALS = [
    trial(0, 0.90, 9.0),
    trial(1, 0.88, 2.0),  # the knee
    trial(2, 0.50, 1.0),
    trial(3, 0.50, 1.5),  # 2 is as good and quicker
    trial(4, 0.60, 1.9),
    trial(5, 0.99, 0.1, TrialState.PRUNED),
    trial(6, 0.99, 0.1, violations={"r2 <= 0.95": 0.04}),
]


def test_the_front_is_what_no_other_beats_and_only_what_could_win():
    assert [each.number for each in pareto_front(TRIALS, goals())] == [0, 1, 2, 4]


@pytest.mark.slow
@given(arrays(np.float64, st.tuples(st.integers(1, 25), st.integers(1, 4)), elements=st.integers(0, 5).map(float)))
def test_a_row_is_kept_exactly_when_no_other_dominates_it(losses):
    expected = [not any((other <= row).all() and (other < row).any() for other in losses) for row in losses]
    assert non_dominated(losses).tolist() == expected


@pytest.mark.parametrize(
    ("pick", "winner"),
    [
        ({"rule": "knee"}, 1),
        ({"rule": "first"}, 0),
        ({"rule": "weights", "weights": {"r2": 1, "fit_seconds": 0}}, 0),
        ({"rule": "weights", "weights": {"fit_seconds": 5}}, 2),
        ({"rule": "weights", "weights": {"r2": 1, "fit_seconds": 1}}, 1),
    ],
)
def test_the_winner_is_chosen_by_the_rule(pick, winner):
    selection = select(TRIALS, goals(pick))
    assert selection.trial.number == winner
    assert [each.number for each in selection.front] == [0, 1, 2, 4]
    assert selection.record()["pareto_front"][0]["trial"] == 0


def test_the_front_comes_before_what_it_dominates():
    order = [each.number for each in rank(TRIALS, goals())]
    assert order[0] == 1
    assert set(order[:4]) == {0, 1, 2, 4}
    assert order[4:] == [3]


@pytest.mark.slow
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=30), st.sampled_from(["knee", "first"]))
def test_the_winner_is_always_on_the_front(values, rule):
    trials = [trial(n, r2 / 6, float(seconds)) for n, (r2, seconds) in enumerate(values)]
    selection = select(trials, goals({"rule": rule}))
    assert selection.trial in selection.front


def test_a_front_of_one_has_no_width_and_still_a_winner():
    assert select([trial(0, 0.5, 1.0), trial(1, 0.5, 1.0)], goals()).trial.number == 0


def test_the_reasons_name_the_front_the_rule_and_who_was_left_out():
    first, chosen, pruned, infeasible = select(TRIALS, goals()).reasons
    assert first.startswith("4 of 5 finished trials are on the Pareto front of r2 and fit_seconds")
    assert chosen == "Trial 1 is chosen by `knee`: r2 0.88 (from 0.9 to 0.5), fit_seconds 2 (from 1 to 9) on the front."
    assert pruned == "1 of 7 trials were pruned and could not win."
    assert infeasible.startswith("1 of 7 trials break a limit")


def test_an_objective_is_restored_from_its_record():
    objective = goals({"rule": "weights", "weights": {"r2": 2}})
    assert Objective.restore(objective.record(), "5 folds") == objective


def test_nobody_wins_where_every_trial_breaks_a_limit():
    assert select([trial(0, 0.5, 1.0, violations={"r2 >= 0.9": 0.4})], goals()) is None
