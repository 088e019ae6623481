"""The types of columns: what a feature is learned from as, and what gives new rows the same types."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import infer_dtype, is_bool_dtype, is_numeric_dtype

_NUMBERS = frozenset({"integer", "floating", "mixed-integer-float", "decimal"})
_DATES = frozenset({"datetime", "datetime64", "date"})
_WHOLE = re.compile(r"0|-?[1-9]\d*")


def as_learned(column: pd.Series) -> pd.Series:
    """Return a feature as it is learned from: of its own type, and a gap is NaN, of dates NaT.

    Whole numbers and truth values with gaps are float64. Categories are text. Of Python's objects, numbers, truth values and
    dates become such columns, all else text.
    """
    if isinstance(column.dtype, pd.CategoricalDtype):
        return as_text(column).astype("category") if is_numeric_dtype(column.dtype.categories) else column
    if column.dtype.kind in "Mm":
        return column
    if is_numeric_dtype(column):
        return column if isinstance(column.dtype, np.dtype) else _without_masks(column)
    return _of_objects(column, infer_dtype(column, skipna=True))


def _of_objects(column: pd.Series, kind: str) -> pd.Series:
    if kind in _NUMBERS | {"empty"}:
        return pd.to_numeric(column.astype(object).where(column.notna(), np.nan))
    if kind == "boolean":
        return _without_masks(column.astype("boolean"))
    return pd.to_datetime(column) if kind in _DATES else as_text(column)


def as_text(column: pd.Series) -> pd.Series:
    """Return a column as text; a gap is NaN."""
    return column.astype(object).astype(str).where(column.notna(), np.nan)


def _without_masks(column: pd.Series) -> pd.Series:
    """Return a column of numbers or truth values as numpy has them."""
    if isinstance(column.dtype, np.dtype):
        return column
    if column.isna().any():
        return column.astype("float64")
    return column.astype(column.to_numpy().dtype)


def is_plain_number(column: pd.Series) -> bool:
    """Return whether a column holds numbers or truth values, and no gap."""
    return bool(is_numeric_dtype(column) and column.notna().all())


def may_look_whole(column: pd.Series) -> bool:
    """Return whether some rows of a column of numbers, read by themselves, might be taken for whole ones or truth values."""
    return column.dtype.kind != "f" or bool((column % 1 == 0).any())


def restoring_calls(features: pd.DataFrame) -> Iterator[tuple[Any, ...]]:
    """Give the methods of a `DataFrame`, with arguments, that one after the other turn new rows into rows as `as_learned` gives.

    In new rows a gap may be None, NaN or ``pd.NA``, and pandas turns the last one into a number only by way of a type that knows
    gaps; dates and categories may be text, and categories that are whole numbers may be such with a fraction, beside gaps.
    """
    if whole := [str(name) for name, column in features.items() if _are_whole(column)]:
        yield "astype", dict.fromkeys(whole, "object")
        yield ("convert_dtypes",)
    ways = {str(name): _way_to(column) for name, column in features.items()}
    for types in zip_longest(*ways.values()):
        yield "astype", {name: kind for name, kind in zip(ways, types, strict=True) if kind is not None}


def _are_whole(column: pd.Series) -> bool:
    """Return whether the categories of a column, if it has such, are whole numbers, as text."""
    if not isinstance(column.dtype, pd.CategoricalDtype) or column.dtype.categories.empty:
        return False
    return all(_WHOLE.fullmatch(str(each)) is not None for each in column.dtype.categories)


def _way_to(column: pd.Series) -> list[str]:
    if isinstance(column.dtype, pd.CategoricalDtype):
        return [str(column.dtype.categories.dtype), "category"]
    if is_bool_dtype(column):
        return ["boolean", "float64"]
    if is_numeric_dtype(column):
        return ["Float64", "float64"]
    return [str(column.dtype)]
