"""What a table itself says of its splits: the column of times that orders its rows, and the column of folds."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from wine_sweep.data.table import rows
from wine_sweep.errors import ConfigPath, DataError

TIME: ConfigPath = ("data", "time")
FOLDS: ConfigPath = ("evaluation", "cv", "column")
LEFT_OUT: ConfigPath = ("evaluation", "cv", "leave_one_group_out")
NO_FOLD = -1
"""The fold of rows that are always fitted on, as scikit-learn's `PredefinedSplit` has it."""

_EXAMPLE = "write dates as 2026-12-01, or as 2026-12-01 18:30"


def check_time(column: pd.Series) -> pd.Series:
    """Turn a column into times that can be ordered: numbers as they are, all else into dates, those with a time zone in UTC.

    Text is read as ISO 8601, or else all of it in the format of its first value; dates that would be in another order if the
    day stood first are refused.

    Raises:
        DataError: It has gaps, infinities or what is no date, or holds dates that may be read in two ways; rows are named.
    """
    missing = column.isna().to_numpy()
    if missing.any():
        raise DataError(f"column '{column.name}' has no value in {rows(missing)}; every row needs a time", path=TIME)
    if is_bool_dtype(column):
        raise DataError(f"column '{column.name}' holds true and false; a time is a date or a number", path=TIME)
    if is_numeric_dtype(column):
        infinite = np.isinf(column.to_numpy(dtype=float))
        if infinite.any():
            raise DataError(f"column '{column.name}' is infinite in {rows(infinite)}", path=TIME)
        return column
    return _dates(column)


def _dates(column: pd.Series) -> pd.Series:
    found = [_read_dates(column, format="ISO8601")]
    if found[0] is None or found[0].isna().all():
        found = [_read_dates(column), _read_dates(column, dayfirst=True)]
    read = [each for each in found if each is not None]
    whole = [each for each in read if not each.isna().any()]
    if not whole:
        gaps = [each.isna().to_numpy() for each in read] or [np.ones(len(column), dtype=bool)]
        wrong = min(gaps, key=np.count_nonzero)
        what = "which is no date as the others are" if not wrong.all() else "which is no date"
        raise DataError(f"column '{column.name}' holds '{column[wrong].iloc[0]}' in {rows(wrong)}, {what}; {_EXAMPLE}", path=TIME)
    orders = [np.argsort(dates.to_numpy(), kind="stable") for dates in whole]
    if any((order != orders[0]).any() for order in orders):
        message = f"column '{column.name}' holds '{column.iloc[0]}': is the month first, or the day? {_EXAMPLE}"
        raise DataError(message, path=TIME)
    dates: pd.Series = whole[0].dt.tz_localize(None).dt.as_unit("us")
    return dates


def _read_dates(column: pd.Series, **how: Any) -> pd.Series | None:
    """Read dates, all in one format; NaT for those that are not in it, None where there is no such format."""
    values = column if column.dtype.kind == "M" else column.astype(object)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.filterwarnings("error", "Could not infer format")  # each value in a format of its own could be in any order
        try:
            dates: pd.Series = pd.to_datetime(values, errors="coerce", utc=True, **how)
        except (ValueError, TypeError, OverflowError, UserWarning):
            return None
    return dates


def order_in_time(time: pd.Series) -> np.ndarray:
    """Return the numbers of the rows in the order of their times; those of one time stay in the table's order."""
    return np.argsort(time.to_numpy(), kind="stable")


def number_times(time: pd.Series | None, count: int) -> np.ndarray:
    """Number the different times of rows that are in order, from 0; without times each row is one of its own.

    Returns:
        Of shape (count,), ascending.
    """
    if time is None:
        return np.arange(count)
    values = time.to_numpy()
    return np.concatenate([[0], np.cumsum(values[1:] != values[:-1])])


def check_folds(column: pd.Series) -> pd.Series:
    """Turn a column of folds into whole numbers: numbers as they are, names by their order; `NO_FOLD` for no fold.

    Raises:
        DataError: It has gaps, or numbers that are not whole; rows are named.
    """
    missing = column.isna().to_numpy()
    if missing.any():
        message = f"column '{column.name}' has no value in {rows(missing)}; every row needs a fold, or -1 to be in none"
        raise DataError(message, path=FOLDS)
    if is_bool_dtype(column):
        message = f"column '{column.name}' holds true and false; write 0 for the fold that is measured on, -1 for all other rows"
        raise DataError(message, path=FOLDS)
    if is_numeric_dtype(column):
        broken = column.to_numpy(dtype=float) % 1 != 0
        if broken.any():
            raise DataError(f"column '{column.name}' is not whole in {rows(broken)}; a fold is a whole number", path=FOLDS)
        return column.astype("int64")
    names = column.astype(str)
    order = {name: number for number, name in enumerate(sorted(set(names) - {str(NO_FOLD)}))}
    return names.map({str(NO_FOLD): NO_FOLD, **order}).astype("int64")
