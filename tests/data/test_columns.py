"""The types of columns: as they come, and back again for new rows."""

from __future__ import annotations

import datetime as dt
import operator
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from wine_sweep.data.columns import as_learned, may_look_whole, restoring_calls

WHOLE_CATEGORIES = pd.Series([1, 2, None], dtype="category")


@pytest.mark.parametrize(
    ("column", "dtype"),
    [
        (pd.Series([1, 2]), "int64"),
        (pd.Series([True, False]), "bool"),
        (pd.Series([1.5, 2], dtype="float32"), "float32"),
        (pd.Series([1, 2], dtype="Int64"), "int64"),
        (pd.Series([1, None], dtype="Int64"), "float64"),
        (pd.Series([True, None], dtype="boolean"), "float64"),
        (pd.Series([True, None], dtype=object), "float64"),
        (pd.Series([True, False], dtype=object), "bool"),
        (pd.Series([Decimal("1.5"), pd.NA], dtype=object), "float64"),
        (pd.Series([None, pd.NA], dtype=object), "float64"),
        (pd.Series([dt.date(2026, 12, 1), None], dtype=object), "datetime64"),
        (pd.Series(["a", None], dtype="category"), "category"),
        (WHOLE_CATEGORIES, "category"),
    ],
)
def test_a_feature_keeps_its_type_and_has_plain_gaps(column, dtype):
    learned = as_learned(column)
    assert str(learned.dtype).startswith(dtype)
    assert learned.isna().tolist() == column.isna().tolist()


@pytest.mark.parametrize("gap", [None, np.nan, pd.NA])
@pytest.mark.parametrize("values", [["a", "b"], [1, "b"], [b"a", "b"]])
def test_what_is_neither_number_nor_date_is_text_and_every_gap_the_same(values, gap):
    learned = as_learned(pd.Series([*values, gap], dtype=object))
    assert [type(each) for each in learned] == [str, str, float]


def test_categories_are_text_whatever_they_were():
    assert list(as_learned(pd.Series([1, 2], dtype="category")).cat.categories) == ["1", "2"]
    assert list(as_learned(pd.Series([True, False], dtype="category")).cat.categories) == ["False", "True"]


TABLE = pd.DataFrame(
    {
        "number": [0.25, 1.5, np.nan],
        "whole": [1, 2, 3],
        "truth": [True, False, True],
        "text": ["a", None, "NA"],
        "category": pd.Categorical(["u", "v", None]),
        "code": WHOLE_CATEGORIES,
        "date": pd.to_datetime(["2026-12-01", None, "2026-12-03"]),
        "zoned": pd.date_range("2026-12-01", periods=3, tz="Europe/Paris"),
    }
)


def restored(learned: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    for call in restoring_calls(learned):
        rows = operator.methodcaller(*call)(rows)
    return rows


@pytest.mark.parametrize(
    "spoil",
    [
        lambda rows: rows,
        lambda rows: rows.convert_dtypes(),
        lambda rows: rows.astype(object).where(rows.notna(), None),
        lambda rows: rows.astype(object).where(rows.notna(), pd.NA),
        lambda rows: rows.assign(code=[1.0, 2.0, np.nan], category=["u", "v", None], date=["2026-12-01", None, "2026-12-03"]),
    ],
)
def test_rows_of_any_types_become_those_that_were_learned_from(spoil):
    learned = pd.DataFrame({name: as_learned(TABLE[name]) for name in TABLE})
    expected = learned.astype({"whole": "float64", "truth": "float64"})  # where a new row may have a gap
    pd.testing.assert_frame_equal(restored(learned, spoil(TABLE)), expected, check_categorical=False)
    one = restored(learned, spoil(TABLE).iloc[[1]])
    assert one.isna().to_numpy().tolist() == expected.iloc[[1]].isna().to_numpy().tolist()


def test_a_category_that_was_never_seen_stays_what_it_is():
    learned = pd.DataFrame({"code": as_learned(WHOLE_CATEGORIES)})
    assert restored(learned, pd.DataFrame({"code": ["A", "1"]}))["code"].tolist() == ["A", "1"]


def test_numbers_may_look_whole_where_some_are():
    assert may_look_whole(pd.Series([1.0, 2.5]))
    assert may_look_whole(pd.Series([True, False]))
    assert not may_look_whole(pd.Series([0.25, 2.5]))
