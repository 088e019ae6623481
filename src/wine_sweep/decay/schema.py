"""New rows held against the training rows, column by column: can the model predict them, and what is in them that it never saw?

The checks are those of E. Breck, N. Polyzotis, S. Roy, S. E. Whang, M. Zinkevich, "Data Validation for Machine Learning",
MLSys 2019, as far as a table of one model needs them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_datetime64_any_dtype, is_numeric_dtype

from wine_sweep.data.roles import as_numbers, refuse_infinite
from wine_sweep.decay.columns import ColumnKind, ColumnProfile, plain
from wine_sweep.errors import DataError
from wine_sweep.wording import did_you_mean

_SHOWN = 3


class Oddity(StrEnum):
    """What may be in new rows that was in no training row."""

    UNSEEN = "unseen"
    OUTSIDE = "outside"
    GAPS = "gaps"


@dataclass(frozen=True)
class Finding:
    """Something in new rows that was in no training row.

    Args:
        column: Where.
        oddity: What: categories, values outside the range, or gaps.
        rows: In how many rows.
        share: In which share of them, between 0 and 1.
        detail: What exactly: ``outside 8.4 to 14``.
    """

    column: str
    oddity: Oddity
    rows: int
    share: float
    detail: str

    def record(self) -> dict[str, Any]:
        """Give what ``check.json`` holds."""
        return asdict(self)


def take_features(table: pd.DataFrame, columns: Sequence[ColumnProfile]) -> pd.DataFrame:
    """Give a model's features of a new table, of the types that the model was trained on.

    Args:
        table: All columns as read; others than the model's are left out.
        columns: The features as they were in training.

    Returns:
        Of shape (rows, features), in the model's order.

    Raises:
        DataError: A column is missing, or holds text, dates or infinities where the model needs numbers; it names all of these.
    """
    table = table.rename(columns=str)
    wrong, taken = [], {}
    for column in columns:
        if column.name not in table.columns:
            wrong.append(f"there is no column '{column.name}'{did_you_mean(column.name, table.columns)}")
            continue
        try:
            taken[column.name] = _typed(table[column.name], column.kind)
        except DataError as error:
            wrong.append(str(error))
    if wrong:
        raise DataError(f"the model cannot predict these rows: {'; '.join(wrong)}")
    return pd.DataFrame(taken, index=table.index)


def find_oddities(features: pd.DataFrame, columns: Sequence[ColumnProfile]) -> list[Finding]:
    """List what is in new rows that was in no training row.

    Args:
        features: As `take_features` gives them.
        columns: The features as they were in training.
    """
    return [finding for column in columns for finding in _oddities(plain(features[column.name], column.kind), column)]


def _typed(column: pd.Series, kind: ColumnKind) -> pd.Series:
    """Give a column as the table that was trained on has it after `make_dataset`."""
    if kind is ColumnKind.CATEGORY:
        unlike = is_numeric_dtype(column) and not is_bool_dtype(column)
        return plain(column, kind) if unlike else column
    if is_datetime64_any_dtype(column):
        return column
    typed = as_numbers(column, path=("data", "source"), why="the model was trained on numbers there")
    refuse_infinite(typed, ("data", "source"))
    return typed


def _oddities(column: pd.Series, profile: ColumnProfile) -> Iterator[Finding]:
    gaps = column.isna().to_numpy()
    if gaps.any() and not profile.gaps:
        yield _finding(profile, Oddity.GAPS, gaps, "no value")
    if profile.categories is not None:
        unseen = ~gaps & ~column.isin(profile.categories).to_numpy()
        if unseen.any():
            found = sorted(set(column[unseen]))
            more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
            shown = ", ".join(f"'{value}'" for value in found[:_SHOWN])
            yield _finding(profile, Oddity.UNSEEN, unseen, f"{shown}{more}")
    if profile.low is not None and profile.high is not None:
        values = column.to_numpy(dtype=float)
        outside = ~gaps & ((values < profile.low) | (values > profile.high))
        if outside.any():
            yield _finding(profile, Oddity.OUTSIDE, outside, f"outside {profile.low:g} to {profile.high:g}")


def _finding(profile: ColumnProfile, oddity: Oddity, where: np.ndarray, detail: str) -> Finding:
    return Finding(profile.name, oddity, int(where.sum()), float(where.mean()), detail)
