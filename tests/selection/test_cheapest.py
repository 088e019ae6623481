from __future__ import annotations

import json
import math
from statistics import stdev

import pytest

from wine_sweep.config import Cost, End
from wine_sweep.selection.objective import OneStandardError, ParameterOrder, orders_of
from wine_sweep.trial import Score, Trial, TrialState


def trial(**params) -> Trial:
    return Trial(0, params, TrialState.FINISHED)


def test_the_standard_error_is_the_samples_spread_by_the_root_of_the_number_of_values():
    folds = [0.61, 0.65, 0.7, 0.64, 0.66]
    error = OneStandardError(5, Cost.FIT_SECONDS).standard_error(Score.of(folds))
    assert error == pytest.approx(stdev(folds) / math.sqrt(5))


@pytest.mark.parametrize(
    ("order", "cheap_to_dear"),
    [
        (End.LOWEST, [-3, 0.5, 7]),
        (End.HIGHEST, [7, 0.5, -3]),
        ((7, -3, 0.5), [7, -3, 0.5]),
        ((None, 3, "rbf"), [None, 3, "rbf", True]),
        (({"estimator": "a", "params": {"C": 1}}, [1, 2]), [{"params": {"C": 1}, "estimator": "a"}, [1, 2], 5]),
    ],
)
def test_an_order_says_which_value_is_cheaper_and_a_trial_without_it_comes_last(order, cheap_to_dear):
    costs = [ParameterOrder("x", order).cost(each) for each in [*(trial(x=value) for value in cheap_to_dear), trial(y=0)]]
    assert costs == sorted(costs)
    assert len(set(costs)) == len(costs)


def test_a_number_of_another_type_is_another_value():
    order = ParameterOrder("x", (1, True, 1.0))
    assert [order.cost(trial(x=value)) for value in (1, True, 1.0, "1")] == [0, 1, 2, 3]


def test_the_first_parameter_decides_before_the_second():
    one_standard_error = OneStandardError(5, orders_of([{"depth": "lowest"}, {"kernel": ["linear", "rbf"]}]))
    points = [trial(depth=1, kernel="rbf"), trial(depth=2, kernel="linear"), trial(depth=1, kernel="linear")]
    assert [point.params for point in sorted(points, key=one_standard_error.cost)] == [
        {"depth": 1, "kernel": "linear"},
        {"depth": 1, "kernel": "rbf"},
        {"depth": 2, "kernel": "linear"},
    ]
    assert one_standard_error.describe() == "lowest depth, then kernel linear before rbf"


def test_a_cost_that_is_not_known_is_the_dearest():
    assert OneStandardError(5, Cost.FIT_SECONDS).cost(Trial(0, {})) == (math.inf,)
    assert OneStandardError(5, Cost.MODEL_SIZE).cost(Trial(0, {})) == (math.inf,)
    assert OneStandardError(5, Cost.MODEL_SIZE).cost(Trial(0, {}, scores={"model_size": Score(90.0, 1.0)})) == (90.0,)


@pytest.mark.parametrize("cheapest", [Cost.MODEL_SIZE, orders_of([{"x": "highest"}, {"y": [None, 2.5, {"a": [1]}]}])])
def test_it_is_restored_from_its_record(cheapest):
    one_standard_error = OneStandardError(15, cheapest)
    assert OneStandardError.restore(json.loads(json.dumps(one_standard_error.record()))) == one_standard_error
