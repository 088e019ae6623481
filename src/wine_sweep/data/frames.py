"""Take tables from Python: pandas as they are, polars, Arrow and others by way of narwhals."""

from __future__ import annotations

import logging
from typing import Any

import pandas as pd

from wine_sweep.data.sources import INDEX_LEFT_OUT, with_index
from wine_sweep.errors import DataError
from wine_sweep.messages import first_line

_logger = logging.getLogger(__name__)

FRAME = "<a table from Python>"
"""Stands for the path of a table that no file holds, in `data.source`."""

NOT_GIVEN = (
    "stands for a table from Python, which nobody has kept: write it to a file, and name that here"
    " (a sweep goes on with it by `resume SWEEP --set data.source=FILE`), or run `Sweep(config, data=table)`"
)
_SHOWN = 3


def to_pandas(frame: Any) -> pd.DataFrame:
    """Return a table from Python as a pandas table of its own, its columns named by text; an index that has a name is columns.

    Args:
        frame: Of pandas, polars, Arrow, or of another library that narwhals knows; what is computed lazily is computed now.

    Raises:
        DataError: It is no table, it cannot be converted, it has no rows, or two columns have one name.
    """
    table = frame.copy() if isinstance(frame, pd.DataFrame) else _converted(frame)
    if all(name is None for name in table.index.names) and not isinstance(table.index, pd.RangeIndex):
        shown = ", ".join(map(str, table.index[:_SHOWN]))
        _logger.warning("data: %s (%s, …)", INDEX_LEFT_OUT, shown)
    try:
        table = with_index(table).rename(columns=str)
    except ValueError as error:
        raise DataError(f"the index of the table from Python has the name of a column: {first_line(error)}") from error
    if table.columns.has_duplicates:
        raise DataError(f"the table from Python has two columns '{table.columns[table.columns.duplicated()][0]}'")
    if table.empty:
        raise DataError("the table from Python has no rows" if len(table.columns) else "the table from Python has no columns")
    return table


def _converted(frame: Any) -> pd.DataFrame:
    import narwhals as nw

    try:
        known = nw.from_native(frame)
    except TypeError as error:
        what = f"{type(frame).__module__}.{type(frame).__qualname__}"
        raise DataError(f"expected a table of pandas, polars or Arrow; got a {what.removeprefix('builtins.')}") from error
    try:
        return (known.collect() if isinstance(known, nw.LazyFrame) else known).to_pandas()
    except Exception as error:  # whatever the library of somebody's table raises
        raise DataError(f"the table from Python cannot be read: {type(error).__name__}: {first_line(error)}") from error
