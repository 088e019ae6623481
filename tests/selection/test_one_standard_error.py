from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wine_sweep.config import Cost, Direction
from wine_sweep.report.trials import as_records, make_leaderboard, text_table
from wine_sweep.selection import Objective, OneStandardError, rank, select
from wine_sweep.selection.objective import orders_of
from wine_sweep.trial import Score, Trial, TrialState

BY_TIME = OneStandardError(5, Cost.FIT_SECONDS)


def objective(one_standard_error: OneStandardError | None = BY_TIME, direction: Direction = Direction.MINIMIZE) -> Objective:
    return Objective("rmse", direction, "5 folds", one_standard_error=one_standard_error)


def trial(number: int, mean: float, seconds: float, std: float = 0.02, **fields) -> Trial:
    return Trial(
        number,
        fields.pop("params", {"x": number}),
        TrialState.FINISHED,
        {"rmse": Score(mean, std)},
        fit_seconds=seconds,
        **fields,
    )


TRIALS = [
    trial(0, 0.609, 0.2),  # near, and cheaper than the best
    trial(1, 0.600, 0.4),  # the best; its standard error is 0.02 / 2
    trial(2, 0.611, 0.1),  # too far
    trial(3, 0.605, 0.3),
    trial(4, 0.601, 0.01, violations={"rmse_std <= 0.01": 0.01}),
    Trial(5, {"x": 5}, TrialState.PRUNED, fit_seconds=0.001),
]


def test_the_cheapest_within_one_standard_error_wins():
    selection = select(TRIALS, objective())
    assert selection.trial.number == 0
    assert [each.number for each in selection.near.trials] == [0, 3, 1]
    assert [each.number for each in selection.runners_up] == [1, 3, 2]


def test_where_higher_is_better_the_threshold_lies_below():
    selection = select([trial(0, 0.891, 0.2), trial(1, 0.9, 0.4), trial(2, 0.889, 0.1)], objective(direction=Direction.MAXIMIZE))
    assert selection.trial.number == 0
    assert selection.near.threshold == pytest.approx(0.89)


def test_a_mean_that_is_exactly_one_standard_error_away_is_near_enough():
    assert select([trial(0, 0.5, 9.0, 0.25), trial(1, 0.625, 1.0)], objective()).trial.number == 1
    assert select([trial(0, 0.5, 9.0, 0.25), trial(1, math.nextafter(0.625, 1), 1.0)], objective()).trial.number == 0


def test_without_a_spread_over_the_folds_only_equal_means_are_near():
    tied = [trial(0, 0.6, 0.3, 0.0), trial(1, 0.6, 0.2, 0.0), trial(2, 0.60001, 0.1, 0.0)]
    assert select(tied, objective()).trial.number == 1


def test_on_a_tie_the_better_mean_wins_and_then_the_earlier_trial_whatever_the_times():
    by_x = objective(OneStandardError(5, orders_of([{"x": "highest"}])))
    tied = [trial(0, 0.600, 1.0, params={"x": 1}), trial(1, 0.606, 0.1, params={"x": 2}), trial(2, 0.604, 0.9, params={"x": 2})]
    assert select(tied, by_x).trial.number == 2
    assert "Trial 1 costs the same; the better mean decides." in select(tied, by_x).reasons
    equal = [tied[0], trial(1, 0.604, 0.9, params={"x": 2}), trial(2, 0.604, 0.1, params={"x": 2})]
    assert select(equal, by_x).trial.number == 1
    assert "Trial 2 costs the same; the lower number decides." in select(equal, by_x).reasons


def test_a_trial_without_the_parameter_comes_last():
    by_x = objective(OneStandardError(5, orders_of([{"x": "lowest"}])))
    assert select([trial(0, 0.600, 1.0, params={"y": 1}), trial(1, 0.605, 1.0, params={"x": 9})], by_x).trial.number == 1
    assert select([trial(0, 0.600, 1.0, params={"y": 1}), trial(1, 0.605, 1.0, params={"z": 9})], by_x).trial.number == 0


def test_the_reasons_name_the_best_the_error_and_both_costs():
    first, second, pruned, infeasible = select(TRIALS, objective()).reasons
    assert first == (
        "Trial 0 is the cheapest of 3 within one standard error (0.01) of the best, trial 1 (0.6): fit_seconds 0.2 against 0.4."
    )
    assert second == "Its mean rmse over 5 folds is 0.609 ± 0.02, 0.009 worse than the best."
    assert pruned == "1 of 6 trials were pruned and could not win."
    assert infeasible.startswith("1 of 6 trials break a limit")


def test_the_reasons_say_where_the_best_is_the_cheapest_too_or_stands_alone():
    cheap = [trial(0, 0.600, 0.1), trial(1, 0.605, 0.4)]
    assert select(cheap, objective()).reasons == (
        "Trial 0 has the lowest mean rmse over 5 folds: 0.6 ± 0.02, of 2 finished trials.",
        "It is also the cheapest of the 2 within one standard error (0.01) of it: fit_seconds 0.1.",
    )
    alone = [trial(0, 0.600, 0.4), trial(1, 0.7, 0.1)]
    assert select(alone, objective()).reasons[1] == "No other is within one standard error (0.01) of it."


def test_parameters_and_sizes_are_shown_as_costs():
    by_order = objective(OneStandardError(5, orders_of([{"alpha": "highest"}, {"kernel": ["linear", "rbf"]}])))
    trials = [
        trial(0, 0.600, 1.0, params={"alpha": 0.1, "kernel": "rbf"}),
        trial(1, 0.605, 1.0, params={"alpha": 1.0 / 3, "kernel": "linear"}),
    ]
    assert select(trials, by_order).reasons[0].endswith("alpha 0.3333, kernel linear against alpha 0.1, kernel rbf.")
    sized = [
        Trial(n, {}, TrialState.FINISHED, {"rmse": Score(0.6 + n / 1000, 0.02), "model_size": Score(size, 1.0)})
        for n, size in enumerate([25_000.0, 1_200.0])
    ]
    assert select(sized, objective(OneStandardError(5, Cost.MODEL_SIZE))).reasons[0].endswith("model_size 1.2 KB against 25 KB.")


def test_the_record_holds_rule_error_threshold_and_every_candidate():
    record = json.loads(json.dumps(select(TRIALS, objective()).record()))
    assert record["rule"].startswith("the cheapest (fit_seconds) of the trials within one standard error of the best mean")
    assert record["winner"]["trial"] == 0
    near = record["one_standard_error"]
    assert near.pop("threshold") == pytest.approx(0.61)
    assert near == {
        "values": 5,
        "cheapest": "fit_seconds",
        "best_trial": 1,
        "best_mean": 0.6,
        "standard_error": pytest.approx(0.01),
        "candidates": [
            {"trial": 0, "mean": 0.609, "cost": 0.2},
            {"trial": 3, "mean": 0.605, "cost": 0.3},
            {"trial": 1, "mean": 0.6, "cost": 0.4},
        ],
    }


def test_an_objective_is_restored_with_its_rule():
    for one_standard_error in (BY_TIME, OneStandardError(6, orders_of([{"x": [1, None]}])), None):
        restored = Objective.restore(json.loads(json.dumps(objective(one_standard_error).record())), "5 folds")
        assert restored == objective(one_standard_error)
    older = {name: value for name, value in objective(None).record().items() if name != "one_standard_error"}
    assert Objective.restore(older, "5 folds") == objective(None)


def test_the_leaderboard_has_the_winner_first_and_marks_the_best_mean_and_what_is_near():
    board = make_leaderboard([("s", objective(), TRIALS)])
    _, lines = text_table(board)
    assert [line[0] for line in lines] == ["0 *", "1 ^", "3 +", "2", "4", "5"]
    assert "fit_seconds" in board.metrics
    first, second = as_records(board)[:2]
    assert (first["best"], first["near_best"], first["best_mean"]) == (True, True, False)
    assert (second["best"], second["near_best"], second["best_mean"]) == (False, True, True)
    alone = make_leaderboard([("s", objective(), TRIALS[1:3])])
    assert [line[0] for line in text_table(alone)[1]] == ["1 *", "2"]
    assert "near_best" not in as_records(make_leaderboard([("s", objective(None), TRIALS)]))[0]


values = st.lists(
    st.tuples(st.floats(-1e6, 1e6), st.floats(0, 1e6), st.floats(0, 1e3), st.integers(0, 3)), min_size=1, max_size=30
)


@given(values, st.sampled_from(list(Direction)), st.sampled_from([Cost.FIT_SECONDS, orders_of([{"x": "highest"}])]), st.randoms())
def test_the_winner_is_near_and_nothing_near_is_cheaper_in_whatever_order_trials_come(given_values, direction, cheapest, random):
    goal = objective(OneStandardError(4, cheapest), direction)
    trials = [trial(n, mean, seconds, std, params={"x": x}) for n, (mean, std, seconds, x) in enumerate(given_values)]
    selection = select(trials, goal)
    best = rank(trials, goal)[0].scores["rmse"]
    limit = goal.loss(best.mean) + best.std / math.sqrt(3)
    near = [each for each in trials if goal.loss(each.scores["rmse"].mean) <= limit]
    cost = (lambda each: each.fit_seconds) if cheapest is Cost.FIT_SECONDS else (lambda each: -each.params["x"])
    assert selection.trial in near
    assert cost(selection.trial) == min(map(cost, near))
    shuffled = list(trials)
    random.shuffle(shuffled)
    assert select(shuffled, goal).trial == selection.trial
