from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wine_sweep.sweep.reproduce import ValueComparison, compare, values_of
from wine_sweep.trial import Score, Trial


@pytest.mark.parametrize(
    ("recorded", "again", "agrees"),
    [
        (0.65, 0.65, True),
        (0.65, 0.65 * (1 + 5e-10), True),
        (0.65, 0.65 * (1 + 2e-9), False),
        (1e12, 1e12 + 100, True),
        (0.0, 1e-13, True),
        (0.0, 1e-11, False),
        (1e-8, 1.01e-8, False),
        (math.nan, math.nan, True),
        (math.nan, 0.5, False),
        (None, 0.5, False),
        (0.5, None, False),
        (math.inf, math.inf, True),
    ],
)
def test_values_agree_to_nine_digits_and_near_zero_to_a_trifle(recorded, again, agrees):
    assert ValueComparison("rmse", None, recorded, again).agrees is agrees


def test_every_value_of_then_and_now_is_held_against_its_counterpart():
    then = {("rmse", None): 0.5, ("fold_rmse", 0): 0.4, ("mae", None): 0.3, ("fold_rmse", 1): 0.6}
    now = {("rmse", None): 0.5, ("fold_rmse", 0): 0.4, ("fold_rmse", 2): 0.6}
    found = compare(then, now)
    assert [(each.name, each.agrees) for each in found] == [
        ("rmse", True), ("fold_rmse[0]", True), ("fold_rmse[1]", False), ("fold_rmse[2]", False), ("mae", False),
    ]  # fmt: skip
    assert found[3].record() == {
        "metric": "fold_rmse", "fold": 2, "recorded": None, "again": 0.6, "difference": None, "agrees": False,
    }  # fmt: skip


def test_a_trial_has_means_spreads_and_folds_and_no_time():
    trial = Trial(0, {}, scores={"rmse": Score.of([1.0, 3.0]), "loss": Score(0.5)}, fit_seconds=9.0)
    assert values_of(trial) == {
        ("rmse", None): 2.0, ("rmse_std", None): 1.0, ("fold_rmse", 0): 1.0, ("fold_rmse", 1): 3.0, ("loss", None): 0.5,
    }  # fmt: skip


@pytest.mark.slow
@given(st.dictionaries(st.tuples(st.sampled_from("abc"), st.none() | st.integers(0, 5)), st.floats(allow_nan=True)))
def test_whatever_was_measured_agrees_with_itself(values):
    assert all(each.agrees for each in compare(values, values))
    assert len(compare(values, {})) == len(values)
