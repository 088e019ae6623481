"""How rows are split where nothing is drawn: columns of times, of folds and of test rows, and tables of test rows."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import infer_dtype, is_bool_dtype, is_datetime64_any_dtype, is_numeric_dtype, union_categoricals

from wine_sweep.config import HeldOutRows
from wine_sweep.data.table import rows
from wine_sweep.errors import ConfigPath, DataError

TIME: ConfigPath = ("data", "time")
FOLDS: ConfigPath = ("evaluation", "cv", "column")
LEFT_OUT: ConfigPath = ("evaluation", "cv", "leave_one_group_out")
TEST: ConfigPath = ("data", "test")
TEST_COLUMN: ConfigPath = (*TEST, "column")
SINCE: ConfigPath = (*TEST, "since")
_MARKS = {"true": True, "1": True, "yes": True, "test": True, "false": False, "0": False, "no": False, "train": False}
NO_FOLD = -1
"""The fold of rows that are always fitted on, as scikit-learn's `PredefinedSplit` has it."""

_LOOKED_AT = 20
_EXAMPLE = "write dates as 2026-12-01, or as 2026-12-01 18:30"


def check_time(column: pd.Series) -> pd.Series:
    """Turn a column into times that can be ordered: numbers and dates in a time zone as they are, all else into dates in UTC.

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
    return column.dt.as_unit("us") if isinstance(column.dtype, pd.DatetimeTZDtype) else _dates(column)


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


def are_dates(column: pd.Series) -> bool:
    """Return whether a column seems to hold dates: the first of its values are, as dates or as ISO 8601 has them."""
    first = column.dropna().head(_LOOKED_AT)
    if is_numeric_dtype(column) or first.empty:
        return False
    read = _read_dates(first, format="ISO8601")
    return read is not None and not read.isna().any()


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
    return np.argsort(_plain(time), kind="stable")


def _plain(time: pd.Series) -> np.ndarray:
    return (time.dt.tz_convert(None) if isinstance(time.dtype, pd.DatetimeTZDtype) else time).to_numpy()


def number_times(time: pd.Series | None, count: int) -> np.ndarray:
    """Number the different times of rows that are in order, from 0; without times each row is one of its own.

    Returns:
        Of shape (count,), ascending.
    """
    if time is None:
        return np.arange(count)
    values = _plain(time)
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


def find_test_rows(config: HeldOutRows, table: pd.DataFrame, time: pd.Series | None) -> np.ndarray:
    """Find the rows of a table that a column marks as test rows, or that are not before a time.

    Args:
        config: Names the column, or the time.
        table: All rows and columns.
        time: The rows' times, as `check_time` gives them.

    Returns:
        Of shape (rows,), bool.

    Raises:
        DataError: The column marks some rows neither as test rows nor as training rows, `since` is no such time, or one of
            the two sides has no row.
    """
    if config.column is not None:
        path, is_test = TEST_COLUMN, _marked(table[config.column])
        wrong = f"column '{config.column}' makes {{}} row a test row"
    else:
        path, is_test = SINCE, _later(time, config.since)
        wrong = f"{{}} row is as late as {config.since}" if not is_test.any() else f"{{}} row is of {config.since} or later"
    if is_test.all() or not is_test.any():
        raise DataError(wrong.format("no" if not is_test.any() else "every"), path=path)
    return is_test


def _marked(column: pd.Series) -> np.ndarray:
    """Read a column of true and false, 1 and 0, yes and no, or test and train."""
    text = column.astype(object).map(lambda value: str(int(value)) if value in (0, 1) else str(value).strip().lower())
    marks = text.map(_MARKS)
    wrong = marks.isna().to_numpy()
    if wrong.any():
        found = f"column '{column.name}' holds '{column[wrong].iloc[0]}' in {rows(wrong)}"
        raise DataError(f"{found}; true, 1, yes or test make a test row, false, 0, no or train none", path=TEST_COLUMN)
    return np.asarray(marks, dtype=bool)


def _later(time: pd.Series | None, since: float | str | None) -> np.ndarray:
    if time is None or since is None:
        raise DataError("goes with `time`, the column that it is a time of", path=SINCE)
    if is_numeric_dtype(time):
        if isinstance(since, str):
            raise DataError(f"'{since}' is no number, and column '{time.name}' holds numbers", path=SINCE)
        return np.asarray(time >= since, dtype=bool)
    read = _read_dates(pd.Series([since], dtype=object), format="ISO8601") if isinstance(since, str) else None
    if read is None or read.isna().any():
        raise DataError(f"{since} is no date, and column '{time.name}' holds dates; {_EXAMPLE}", path=SINCE)
    zone, limit = getattr(time.dt, "tz", None), pd.Timestamp(since)
    limit = limit.tz_localize(zone) if limit.tz is None else limit.tz_convert(zone)  # a day begins where the times are from
    return np.asarray(time >= limit, dtype=bool)


def stack(table: pd.DataFrame, below: pd.DataFrame) -> pd.DataFrame:
    """Put rows below others; a column of categories in both has the categories of both, one that is not there has gaps."""
    columns = [str(name) for name in table.columns]
    above, below = table.set_axis(columns, axis=1), below.reindex(columns=columns)
    both = pd.concat([above, below], ignore_index=True)
    parts = {name: (above[name], below[name]) for name in columns}
    joined = {
        name: pd.Series(union_categoricals(list(pair), ignore_order=True))
        for name, pair in parts.items()
        if all(isinstance(part.dtype, pd.CategoricalDtype) for part in pair) and pair[0].dtype != pair[1].dtype
    }
    return both.assign(**joined)


def check_test_table(table: pd.DataFrame, test: pd.DataFrame, columns: Sequence[str]) -> None:
    """Refuse a table of test rows that lacks columns, or holds values of another kind in them.

    Args:
        table: The sweep's own table.
        test: The test rows.
        columns: The columns that are used.

    Raises:
        DataError: It names all that is wrong.
    """
    lacking = [name for name in columns if name not in test]
    wrong = [f"lacks {', '.join(lacking)}"] if lacking else []
    for name in columns:
        if name in test and name in table:
            own, other = _kind(table[name]), _kind(test[name])
            if None not in (own, other) and own != other:
                wrong.append(f"holds {other} in '{name}', where the table has {own}")
    if wrong:
        has = f"; it has: {', '.join(map(str, test.columns[:30]))}" if lacking else ""
        raise DataError(f"the test table {'; it '.join(wrong)}{has}", path=TEST)


def _kind(column: pd.Series) -> str | None:
    """Name the kind of values that a column holds; None where it holds none."""
    values = column.dropna()
    if values.empty:
        return None
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(values.cat.categories.dtype)
    if is_bool_dtype(values) or infer_dtype(values) == "boolean":
        return "true and false"
    if is_numeric_dtype(values):
        return "numbers"
    return "dates" if is_datetime64_any_dtype(values) else "text"
