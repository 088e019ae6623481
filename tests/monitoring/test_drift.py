"""Tests for drift, held against scipy's own."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from wine_sweep.monitoring.drift import Aspect, DriftTest, Part, adjust, compare_columns
from wine_sweep.monitoring.reference import ColumnKind, ColumnProfile, profile_of


def compared(old, new, kind=ColumnKind.NUMBER, *, worth=(1.0, 1.0)):
    before, now = (Part(pd.DataFrame({"a": values}), share) for values, share in zip((old, new), worth, strict=True))
    return compare_columns(before, now, [ColumnProfile("a", kind)])


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_numbers_are_tested_as_scipys_ks_2samp_does(rng):
    old, new = rng.normal(size=300), rng.normal(0.2, 1, size=120)
    (found,) = compared(old, new)
    expected = stats.ks_2samp(old, new, method="asymp")
    assert found.test is DriftTest.KS
    assert (found.statistic, found.p_value) == pytest.approx((expected.statistic, expected.pvalue))
    assert found.effect == found.statistic


def test_rows_that_count_half_are_tested_as_half_as_many(rng):
    old, new = rng.normal(size=300), rng.normal(0.3, 1, size=120)
    (repeated,) = compared(np.repeat(old, 2), np.repeat(new, 2), worth=(0.5, 0.5))
    (once,) = compared(old, new)
    assert repeated.p_value == pytest.approx(once.p_value)
    (naive,) = compared(np.repeat(old, 2), np.repeat(new, 2))
    assert naive.p_value < once.p_value / 5


def test_categories_are_tested_as_scipys_chi2_contingency_does(rng):
    old, new = rng.choice(["a", "b", "c"], 300), rng.choice(["a", "b", "c"], 200, p=[0.5, 0.3, 0.2])
    (found,) = compared(old, new, ColumnKind.CATEGORY)
    table = np.array([[np.sum(values == name) for name in "abc"] for values in (old, new)])
    expected = stats.chi2_contingency(table, correction=False)
    assert (found.statistic, found.p_value) == pytest.approx((expected.statistic, expected.pvalue))
    (repeated,) = compared(np.repeat(old, 3), np.repeat(new, 3), ColumnKind.CATEGORY, worth=(1 / 3, 1 / 3))
    assert repeated.p_value == pytest.approx(found.p_value)


def test_the_effect_on_categories_is_cramers_v_of_samples_of_one_size():
    old, new = ["a"] * 50 + ["b"] * 50, ["a"] * 80 + ["b"] * 20
    (equal,) = compared(old, new, ColumnKind.CATEGORY)
    assert equal.effect == pytest.approx(stats.contingency.association([[50, 50], [80, 20]], method="cramer"))
    (unequal,) = compared(old * 100, new, ColumnKind.CATEGORY)
    assert unequal.effect == pytest.approx(equal.effect)


def test_rare_categories_are_pooled():
    old = ["a"] * 96 + ["b", "c", "d", "e"]
    new = ["a"] * 88 + ["b"] * 6 + ["f"] * 6
    (found,) = compared(old, new, ColumnKind.CATEGORY)
    expected = stats.chi2_contingency([[96, 4], [88, 12]], correction=False)
    assert found.statistic == pytest.approx(expected.statistic)
    (alone,) = compared(["a"] * 99 + ["b"], ["a"] * 100, ColumnKind.CATEGORY)
    assert (alone.p_value, alone.effect) == (1, 0)


def test_a_pool_that_is_too_small_takes_the_next_in():
    old = ["a"] * 80 + ["b"] * 18 + ["c"] * 2
    new = ["a"] * 70 + ["b"] * 28 + ["d"] * 2
    (found,) = compared(old, new, ColumnKind.CATEGORY)
    assert found.statistic == pytest.approx(stats.chi2_contingency([[80, 20], [70, 30]], correction=False).statistic)


def test_numbers_of_few_values_are_tested_value_by_value(rng):
    old, new = rng.integers(0, 5, 300).astype(float), rng.integers(0, 5, 300).astype(float)
    (found,) = compared(old, new)
    assert found.test is DriftTest.CHI_SQUARE


def test_gaps_are_a_test_of_their_own():
    old, new = pd.Series(np.arange(200.0)), pd.Series(np.arange(200.0))
    new[:50] = np.nan
    gaps, values = compared(old, new)
    assert (gaps.name, values.name) == ("a (gaps)", "a")
    assert gaps.p_value < 1e-9
    only, *rest = compared(old, pd.Series([np.nan] * 200))
    assert (only.aspect, rest) == (Aspect.GAPS, [])


def test_p_values_are_adjusted_as_scipy_does_and_a_small_effect_is_none(rng):
    names = [f"x{index}" for index in range(8)]
    old = pd.DataFrame({name: rng.normal(size=4000) for name in names})
    new = pd.DataFrame({name: rng.normal(size=4000) for name in names}).assign(
        x0=rng.normal(1, 1, 4000), x1=rng.normal(0.15, 1, 4000)
    )
    drifts = compare_columns(Part(old, 1.0), Part(new, 1.0), [profile_of(old[name]) for name in names])
    judged = {drift.column: drift for drift in adjust(drifts)}
    expected = stats.false_discovery_control([drift.p_value for drift in drifts])
    assert [judged[name].adjusted for name in names] == pytest.approx(list(expected))
    assert [name for name in names if judged[name].moved] == ["x0"]
    assert judged["x1"].adjusted < 0.001
    assert adjust(drifts)[0].column == "x0"
    assert adjust([]) == []
