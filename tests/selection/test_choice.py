from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wine_sweep.config import Direction
from wine_sweep.selection import Objective, choose, rank, select
from wine_sweep.trial import Score, Trial, TrialState

RMSE = Objective("rmse", Direction.MINIMIZE, "5 folds")
R2 = Objective("r2", Direction.MAXIMIZE, "5 folds")


def trial(number: int, mean: float, std: float = 0.1, state: TrialState = TrialState.FINISHED) -> Trial:
    scores = {"rmse": Score(mean, std), "r2": Score(mean, std)} if state is TrialState.FINISHED else {}
    return Trial(number, {"x": number}, state, scores)


@pytest.mark.parametrize(("objective", "best"), [(RMSE, 1), (R2, 2)])
def test_the_direction_decides_which_is_best(objective, best):
    assert select([trial(0, 0.5), trial(1, 0.3), trial(2, 0.7)], objective).trial.number == best


def test_on_a_tie_the_smaller_spread_wins_and_then_the_earlier_trial():
    tied = [trial(0, 0.3, 0.2), trial(1, 0.3, 0.1), trial(2, 0.3, 0.1)]
    assert [each.number for each in rank(tied, RMSE)] == [1, 2, 0]
    assert "same mean" in " ".join(select(tied, RMSE).reasons)
    assert "lower number" in " ".join(select(tied, RMSE).reasons)
    assert "smaller spread" in " ".join(select([tied[0], tied[1]], RMSE).reasons)


def test_only_finished_trials_can_win():
    states = [TrialState.FAILED, TrialState.KILLED, TrialState.RUNNING]
    others = [trial(number, 0.0, state=state) for number, state in enumerate(states)]
    assert select(others, RMSE) is None
    selection = select([*others, trial(9, 0.9)], RMSE)
    assert selection.trial.number == 9
    assert "3 of 4 trials have no result" in " ".join(selection.reasons)


@pytest.mark.parametrize(("second", "words"), [(0.301, "well within"), (0.37, ", within"), (0.5, "more than")])
def test_the_reasons_say_how_far_the_next_is_behind(second, words):
    assert words in select([trial(0, 0.3), trial(1, second)], RMSE).reasons[1]


def test_a_trial_chosen_by_hand_says_where_it_stands():
    trials = [trial(0, 0.3), trial(1, 0.4), trial(2, 0.5)]
    selection = choose(trials[1], trials, RMSE, by="--run")
    assert selection.trial.number == 1
    assert "number 2 of 3" in selection.reasons[1]
    assert [each.number for each in selection.runners_up] == [0, 2]


def test_the_record_holds_winner_rule_and_reasons():
    record = select([trial(0, 0.3), trial(1, 0.4)], RMSE).record()
    assert record["winner"]["params"] == {"x": 0}
    assert record["winner"]["mean"] == 0.3
    assert record["runners_up"][0]["trial"] == 1
    assert record["rule"]


scores = st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(0, 10)), min_size=1, max_size=30)


@given(scores, st.sampled_from([RMSE, R2]), st.randoms())
def test_nothing_beats_the_winner_and_the_order_given_does_not_matter(values, objective, random):
    trials = [trial(number, mean, std) for number, (mean, std) in enumerate(values)]
    best = select(trials, objective).trial
    score = best.scores[objective.metric]
    for other in trials:
        against = other.scores[objective.metric]
        key = (objective.loss(against.mean), against.std, other.number)
        assert (objective.loss(score.mean), score.std, best.number) <= key
    shuffled = list(trials)
    random.shuffle(shuffled)
    assert select(shuffled, objective).trial == best
