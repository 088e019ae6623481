from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wine_sweep.config import Direction, SearchConfig
from wine_sweep.selection import Goal, Objective
from wine_sweep.sweep.loop import Patience, Target, make_stoppers
from wine_sweep.trial import Score, Trial, TrialState

LOWER = Objective("rmse", Direction.MINIMIZE, "5 folds")
HIGHER = Objective("r2", Direction.MAXIMIZE, "5 folds")


def trial(number, state=TrialState.FINISHED, violations=None, **scores):
    finished = {name: Score(value, 0.1) for name, value in scores.items()}
    return Trial(number, {"x": number / 100}, state, finished, violations=violations or {})


def first_stop(stopper, trials):
    return next((each.number for each in trials if stopper.add(each)), None)


@pytest.mark.parametrize(("value", "expected"), [(0.5, 2), (0.4, 3), (0.39, None)])
def test_a_target_stops_at_the_first_trial_that_reaches_it(value, expected):
    trials = [trial(index, rmse=rmse) for index, rmse in enumerate([0.9, 0.6, 0.5, 0.4])]
    assert first_stop(Target(LOWER, value), trials) == expected


def test_a_target_of_what_is_to_be_large_is_reached_from_below():
    assert first_stop(Target(HIGHER, 0.5), [trial(0, r2=0.4), trial(1, r2=0.5)]) == 1


@pytest.mark.parametrize("state", [TrialState.FAILED, TrialState.PRUNED, TrialState.KILLED])
def test_only_what_could_win_reaches_a_target(state):
    assert not Target(LOWER, 0.5).add(trial(0, state))
    assert not Target(LOWER, 0.5).add(trial(0, violations={"r2 >= 0.9": 0.1}, rmse=0.1))


def test_patience_counts_what_is_no_better_than_the_best_before():
    trials = [trial(index, rmse=rmse) for index, rmse in enumerate([0.9, 0.8, 0.8, 0.85, 0.7, 0.7, 0.71, 0.9, 0.6])]
    assert first_stop(Patience(LOWER, 3), trials) == 7


def test_patience_begins_with_the_first_that_could_win():
    stopper = Patience(LOWER, 2)
    assert not any(stopper.add(trial(index, TrialState.FAILED)) for index in range(5))
    assert not stopper.add(trial(5, rmse=1.0))
    assert not stopper.add(trial(6, TrialState.PRUNED))
    assert stopper.add(trial(7, violations={"x": 1.0}, rmse=0.1))


def test_patience_with_two_goals_asks_whether_the_front_moves():
    both = Objective("rmse", Direction.MINIMIZE, "5 folds", others=(Goal("r2", Direction.MAXIMIZE),))
    stopper = Patience(both, 2)
    steps = [(0.5, 0.5), (0.6, 0.6), (0.4, 0.4), (0.45, 0.39), (0.7, 0.1)]
    assert [stopper.add(trial(n, rmse=rmse, r2=r2)) for n, (rmse, r2) in enumerate(steps)] == [False, False, False, False, True]


@pytest.mark.slow
@given(st.lists(st.floats(-5, 5), min_size=1, max_size=40), st.integers(1, 6))
def test_patience_stops_exactly_when_its_definition_says(values, patience):
    best, since, expected = None, 0, None
    for index, value in enumerate(values):
        best, since = (value, 0) if best is None or value < best else (best, since + 1)
        if since >= patience and expected is None:
            expected = index
    assert first_stop(Patience(LOWER, patience), [trial(n, rmse=value) for n, value in enumerate(values)]) == expected


def test_no_key_no_stopper():
    config = SearchConfig.model_validate({"parameters": {"x": [1]}})
    assert make_stoppers(config, LOWER) == []
