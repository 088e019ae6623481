from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wine_sweep.config import Choices, Range
from wine_sweep.search.space import Axis


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (Range(low=1, high=4), [1, 2, 3, 4]),
        (Range(low=1, high=10, step=4), [1, 5, 9]),
        (Range(low=0, high=10, num=3), [0, 5, 10]),
        (Range(low=1, high=3, num=50), [1, 2, 3]),
        (Range(low=1, high=1000, log=True, num=4), [1, 10, 100, 1000]),
        (Range(low=1, high=4, log=True, num=6), [1, 2, 3, 4]),
        (Range(low=0.1, high=0.5, step=0.1), [0.1, 0.2, 0.3, 0.4, 0.5]),
        (Range(low=0.0, high=1.0, num=5), [0.0, 0.25, 0.5, 0.75, 1.0]),
        (Range(low=0.001, high=1, log=True, num=4), [0.001, 0.01, 0.1, 1.0]),
        (Range(low=1, high=4, type="float", num=4), [1.0, 2.0, 3.0, 4.0]),
        (Choices(choices=["b", None, 1, 1.0, True]), ["b", None, 1, 1.0, True]),
    ],
)
def test_an_axis_holds_these_values(spec, expected):
    values = list(Axis(spec))
    assert values == expected
    assert [type(value) for value in values] == [type(value) for value in expected]


@pytest.mark.parametrize(("value", "position"), [(1, 2), (1.0, 3), (True, 4), ("1", None), (None, 1)])
def test_choices_that_are_equal_in_python_stay_apart(value, position):
    assert Axis(Choices(choices=["b", None, 1, 1.0, True])).position(value) == position


def ranges():
    numbers = st.floats(1e-3, 1e3, allow_nan=False)
    floats = st.builds(
        lambda low, width, log, num: Range(low=low, high=low + width, log=log, num=num),
        numbers,
        numbers,
        st.booleans(),
        st.integers(2, 40),
    )
    ints = st.builds(
        lambda low, width, log, num: Range(low=low, high=low + width, log=log, num=num),
        st.integers(1, 1000),
        st.integers(1, 1000),
        st.booleans(),
        st.integers(2, 40),
    )
    return floats | ints


@pytest.mark.slow
@given(ranges())
def test_an_axis_ascends_from_low_to_high_without_repeats(spec):
    values = list(Axis(spec))
    assert values[0] == spec.low
    assert values[-1] == spec.high
    assert all(left < right for left, right in pairwise(values))
    assert all(isinstance(value, int if spec.is_int else float) for value in values)


@pytest.mark.slow
@given(ranges())
def test_every_value_is_found_where_it_stands(spec):
    axis = Axis(spec)
    assert [axis.position(value) for value in axis] == list(range(len(axis)))


@pytest.mark.slow
@given(ranges().filter(lambda spec: spec.log and not spec.is_int))
def test_neighbours_on_a_logarithmic_axis_have_one_ratio(spec):
    logs = [math.log(value) for value in Axis(spec)]
    steps = [right - left for left, right in pairwise(logs)]
    assert max(steps) - min(steps) < 1e-9 * max(1.0, abs(logs[0]), abs(logs[-1])) + 1e-9


def test_a_long_axis_is_never_built():
    axis = Axis(Range(low=0.0, high=1.0, num=1_000_000))
    assert len(axis) == 1_000_000
    assert axis[500_000] == pytest.approx(0.5, abs=1e-6)
    assert axis.position(axis[123_456]) == 123_456
