"""Rows cut into named slices, and both models measured on each."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from wine_sweep.config import DataConfig
from wine_sweep.data import make_dataset
from wine_sweep.evaluation.row_losses import RowLoss
from wine_sweep.gate.comparison import LossContest, Slice, refusal, slice_rows, sliceable
from wine_sweep.trial import DataRequirements, Task

ANY = DataRequirements(Task.REGRESSION, numbers=False, takes_missing=True, model="a model")


def cut(table, *, loss=RowLoss.MAE, champion=None, challenger=None, target=None, weights=None, min_rows=2):
    count = len(table)
    contest = LossContest(
        loss,
        np.ones(count) if champion is None else np.asarray(champion, dtype=float),
        np.ones(count) if challenger is None else np.asarray(challenger, dtype=float),
        np.zeros(count) if target is None else np.asarray(target),
        np.arange(count),
        None if weights is None else np.asarray(weights, dtype=float),
    )
    return slice_rows(contest, table=pd.DataFrame(table), min_rows=min_rows)


def sizes(values, **options):
    return {each.name: each.rows for each in cut(pd.DataFrame({"c": values}), **options)}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1.0, 0, 1], {"c 0": 1, "c 1": 2}),
        ([10, 9, 9], {"c 9": 2, "c 10": 1}),
        ([0.5, np.nan, -1], {"c -1": 1, "c 0.5": 1, "c missing": 1}),
        (["b", "a", None, "b"], {"c a": 1, "c b": 2, "c missing": 1}),
        (["missing", None], {"c missing": 2}),
        ([True, False, True], {"c False": 1, "c True": 2}),
        (pd.array([1, None, 1], dtype="Int64"), {"c 1": 2, "c missing": 1}),
        (pd.Categorical(["x", "y", "x"]), {"c x": 2, "c y": 1}),
        (pd.to_datetime(["2026-01-01", "2026-01-01"]), {"c 2026-01-01": 2}),
        ([np.nan, np.nan], {"c missing": 2}),
        (list(range(10)), {f"c {number}": 1 for number in range(10)}),
        (list(range(12)), {"c 0 to 2": 3, "c 3 to 5": 3, "c 6 to 8": 3, "c 9 to 11": 3}),
        ([1.5] * 30 + list(range(2, 12)), {"c 1.5": 30, "c 2 to 11": 10}),
        ([-np.inf, *range(10), np.inf], {"c -inf to 1": 3, "c 2 to 4": 3, "c 5 to 7": 3, "c 8 to inf": 3}),
        (list(range(1_000_000, 1_000_008)), {f"c {number}": 1 for number in range(1_000_000, 1_000_008)}),
    ],
    ids=str,
)
def test_a_column_is_cut_by_its_values_and_many_numbers_into_quartiles(values, expected):
    assert list(sizes(values).items()) == list(expected.items())


def test_the_quartiles_are_those_of_pandas(wine):
    for name in ("alcohol", "density", "sulphates"):
        values = wine.table[name]
        expected = pd.qcut(values, 4).value_counts(sort=False).tolist()
        found = sizes(values.to_numpy())
        assert list(found.values()) == expected
        assert next(iter(found)).startswith(f"c {values.min():g} to ")


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.lists(st.none() | st.floats(-9, 9) | st.integers(-3, 3), min_size=1, max_size=60))
def test_every_row_is_in_one_slice_and_equal_numbers_are_in_the_same(values):
    column = pd.Series(values, dtype=float)
    assert sum(sizes(column).values()) == len(column)
    number = np.flatnonzero(column.notna())
    for row in number:
        alone = [each for each in cut(pd.DataFrame({"c": column}), champion=column == column[row]) if each.champion]
        assert len(alone) == 1


def test_a_slice_has_the_metric_of_its_rows():
    rng = np.random.default_rng(0)
    target, colour = rng.choice(3, size=200, p=[0.5, 0.3, 0.2]), rng.choice(["red", "white"], size=200)
    predicted = [np.where(rng.random(200) < share, target, 0) for share in (0.5, 0.7)]
    weights = rng.integers(0, 3, size=200).astype(float)
    loss = RowLoss.BALANCED_ACCURACY
    losses = [loss.of_predictions(each, target) for each in predicted]
    found = cut(
        pd.DataFrame({"colour": colour}), loss=loss, champion=losses[0], challenger=losses[1], target=target, weights=weights
    )
    for each in found:
        rows = colour == each.name.removeprefix("colour ")
        values = [metrics.balanced_accuracy_score(target[rows], p[rows], sample_weight=weights[rows]) for p in predicted]
        assert (each.champion, each.challenger) == pytest.approx(tuple(values))
        assert each.improvement == pytest.approx(values[1] - values[0])
        assert each.rows == (rows & (weights > 0)).sum()


def test_a_small_slice_is_listed_and_not_judged():
    found = cut(pd.DataFrame({"c": [1] * 4 + [2] * 5}), challenger=[2.0] * 9, min_rows=5)
    assert [(each.name, each.rows, each.improvement, each.judged) for each in found] == [
        ("c 1", 4, -1, False),
        ("c 2", 5, -1, True),
    ]
    assert [each.is_worse(0) for each in found] == [False, True]


def test_rows_that_do_not_count_make_no_slice_large():
    found = cut(pd.DataFrame({"c": [1, 1, 2]}), weights=[0, 0, 1], min_rows=2)
    assert found[0] == Slice("c 1", 0, None, None, None, judged=False)
    assert not found[0].is_worse(0)
    assert found[0].record()["improvement"] is None
    assert found[1].rows == 1


@pytest.mark.parametrize(("margin", "worse"), [(0, True), (0.4, True), (0.5, False), (1, False)])
def test_a_slice_is_worse_beyond_the_margin(margin, worse):
    (found,) = cut(pd.DataFrame({"c": [1, 1]}), champion=[1, 1], challenger=[1.5, 1.5])
    assert found.is_worse(margin) is worse


def test_no_column_no_slice():
    assert cut(pd.DataFrame(index=range(3))) == []


# Which columns ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def data():
    count = 60
    table = pd.DataFrame(
        {
            "grape": [f"g{row % 20}" for row in range(count)],
            "note": [f"n{row % 21}" for row in range(count)],
            "gaps": [None if row % 2 else f"v{row % 40}" for row in range(count)],
            "alcohol": np.linspace(9, 14, count),
            "cellar": [f"c{row // 6}" for row in range(count)],
            "tastings": 2.0,
            "quality": np.arange(count) % 7,
        }
    )
    config = DataConfig(source="t.csv", target="quality", groups="cellar", weights="tastings")
    return make_dataset(table, config, source="t.csv", needs=ANY)


@pytest.mark.parametrize("name", ["grape", "gaps", "alcohol", "cellar"])
def test_features_and_groups_can_be_sliced_by(name, data):
    assert refusal(data, name) is None
    assert name in sliceable(data)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("quality", "column 'quality' is `target`; a slice is of a feature, or of the group column"),
        ("tastings", "column 'tastings' is `weights`; a slice is of a feature, or of the group column"),
        ("grapes", "did you mean 'grape'? Allowed: grape, note, gaps, alcohol, cellar"),
        ("note", "column 'note' has 21 different values that are no numbers; slices are of 20 at most"),
    ],
)
def test_other_columns_cannot(name, why, data):
    assert why in refusal(data, name)
