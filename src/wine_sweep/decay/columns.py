"""What a feature is: numbers, truth values or categories, and which of them occurred in training."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_datetime64_any_dtype, is_numeric_dtype

MOST_CATEGORIES = 100
"""A column with more categories than these has no list of them: a new one there is nothing to speak of."""


class ColumnKind(StrEnum):
    """What a column holds."""

    NUMBER = "number"
    BOOLEAN = "boolean"
    CATEGORY = "category"


@dataclass(frozen=True)
class ColumnProfile:
    """A feature as it was in training.

    Args:
        name: The column.
        kind: What it holds; a column of nothing but 0 and 1 holds truth values.
        low: The lowest training value; None for categories, and where all was gaps.
        high: The highest.
        categories: Those that occurred, sorted, as text; None for numbers, and where there were more than `MOST_CATEGORIES`.
        gaps: Whether some training row had no value.
    """

    name: str
    kind: ColumnKind
    low: float | None = None
    high: float | None = None
    categories: tuple[str, ...] | None = None
    gaps: bool = False


def profile_of(column: pd.Series) -> ColumnProfile:
    """Describe a training column."""
    name, kind, gaps = str(column.name), _kind_of(column), bool(column.isna().any())
    if kind is ColumnKind.CATEGORY:
        found = sorted(set(plain(column, kind).dropna()))
        return ColumnProfile(name, kind, categories=tuple(found) if len(found) <= MOST_CATEGORIES else None, gaps=gaps)
    values = plain(column, kind).dropna()
    if values.empty:
        return ColumnProfile(name, kind, gaps=gaps)
    return ColumnProfile(name, kind, float(values.min()), float(values.max()), gaps=gaps)


def plain(column: pd.Series, kind: ColumnKind) -> pd.Series:
    """Give a column as statistics take it: numbers and truth values as float64, times as seconds since 1970, the rest as text.

    Raises:
        ValueError: It holds text where numbers are wanted.
    """
    if kind is ColumnKind.CATEGORY:
        text = [None if gap else _text(value) for value, gap in zip(column.astype(object), column.isna(), strict=True)]
        return pd.Series(text, index=column.index, name=column.name, dtype=object)
    if is_datetime64_any_dtype(column):
        seconds: pd.Series = (pd.to_datetime(column, utc=True) - pd.Timestamp(0, tz="UTC")).dt.total_seconds()
        return seconds
    return pd.to_numeric(column).astype("float64")


def plain_table(table: pd.DataFrame, profiles: Iterable[ColumnProfile]) -> pd.DataFrame:
    """Give the columns of a table that have a profile, each as `plain` does."""
    return pd.DataFrame({each.name: plain(table[each.name], each.kind) for each in profiles}, index=table.index)


def _kind_of(column: pd.Series) -> ColumnKind:
    known = column.dropna()
    if is_bool_dtype(known.infer_objects()) or (is_numeric_dtype(column) and set(known.unique()) == {0, 1}):
        return ColumnKind.BOOLEAN
    return ColumnKind.NUMBER if is_numeric_dtype(column) or is_datetime64_any_dtype(column) else ColumnKind.CATEGORY


def _text(value: object) -> str:
    """Give a category as text; a number that is whole without a fraction, however it was read."""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)
