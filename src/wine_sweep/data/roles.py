"""Columns that are no features: the target, the groups that stay together, and the weights."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from wine_sweep.config import DataConfig
from wine_sweep.data import bundled
from wine_sweep.errors import ConfigPath, DataError
from wine_sweep.wording import one_of

TARGET: ConfigPath = ("data", "target")
SOURCE: ConfigPath = ("data", "source")
GROUPS: ConfigPath = ("data", "groups")
WEIGHTS: ConfigPath = ("data", "weights")
_SHOWN = 5


@dataclass(frozen=True)
class Roles:
    """The names of the columns that are no features."""

    target: str
    groups: str | None
    weights: str | None

    @property
    def names(self) -> list[str]:
        """All of them that there are."""
        return [name for name in (self.target, self.groups, self.weights) if name is not None]


def find_roles(columns: Collection[str], config: DataConfig, source: str) -> Roles:
    """Find the columns that are no features.

    Raises:
        DataError: There is no such column, one is to be two of them, or no feature is left.
    """
    target = config.target or (bundled.TARGET if source in bundled.NAMES else None)
    if target is None:
        raise DataError(f"is missing: which column is to be predicted? The table has: {', '.join(columns)}", path=TARGET)
    roles = Roles(target, config.groups, config.weights)
    taken: dict[str, str] = {}
    for name, path in ((roles.target, TARGET), (roles.groups, GROUPS), (roles.weights, WEIGHTS)):
        if name is None:
            continue
        if name not in columns:
            raise DataError(f"there is no column '{name}' in the table; {one_of(name, list(columns), most=30)}", path=path)
        if name in taken:
            raise DataError(f"column '{name}' is `{taken[name]}` already; a column has one use", path=path)
        taken[name] = str(path[-1])
    if len(taken) == len(columns):
        every = "is the only column" if len(taken) == 1 else "is all there is beside " + " and ".join(list(taken)[1:])
        raise DataError(f"there is no feature: '{target}' {every}", path=SOURCE)
    return roles


def check_groups(column: pd.Series) -> pd.Series:
    """Refuse a column of groups that has gaps, or holds what is no single value.

    Raises:
        DataError: It says so; gaps are named by row.
    """
    if any(isinstance(value, Collection) and not isinstance(value, str | bytes) for value in column.head(_SHOWN)):
        raise DataError(f"column '{column.name}' holds lists or mappings; a group is a number or text", path=GROUPS)
    missing = column.isna().to_numpy()
    if missing.any():
        raise DataError(f"column '{column.name}' has no value in {rows(missing)}; every row needs a group", path=GROUPS)
    return column


def check_weights(column: pd.Series) -> pd.Series:
    """Turn a column of weights into finite numbers of at least 0.

    Raises:
        DataError: It holds something else, or nothing above 0; the message names the rows.
    """
    weights = as_numbers(column, path=WEIGHTS, why="a weight is a number of at least 0")
    missing = weights.isna().to_numpy()
    if missing.any():
        raise DataError(f"column '{column.name}' has no value in {rows(missing)}; every row needs a weight", path=WEIGHTS)
    refuse_infinite(weights, WEIGHTS)
    negative = (weights < 0).to_numpy()
    if negative.any():
        raise DataError(f"column '{column.name}' is negative in {rows(negative)}; a weight is at least 0", path=WEIGHTS)
    if not (weights > 0).any():
        raise DataError(f"column '{column.name}' is 0 in every row; nothing would count", path=WEIGHTS)
    return weights


def join_groups(equal: np.ndarray, column: pd.Series | None) -> np.ndarray:
    """Number the groups of rows that stay together: rows joined by `equal`, by `column`, or by a chain of both.

    These are the connected components of the graph whose nodes are the values of both, with an edge for each row.

    Args:
        equal: A number for each row; rows with the same one are equal.
        column: The groups that the table names, without gaps; None for none.

    Returns:
        `equal` itself without a column; otherwise the place of the group's first value among the column's sorted values,
        so that where nothing else is joined, splits are those that scikit-learn draws with the column as its groups.
    """
    if column is None:
        return equal
    values = column if is_numeric_dtype(column) else column.astype(str)
    named = np.unique(values.to_numpy(), return_inverse=True)[1]
    _, node = np.unique(equal, return_inverse=True)
    size = node.max() + 1 + named.max() + 1
    edges = coo_array((np.ones(len(node)), (node, node.max() + 1 + named)), shape=(size, size))
    _, component = connected_components(edges, directed=False)
    first: np.ndarray = pd.Series(named).groupby(component[node]).transform("min").to_numpy()
    return first


def as_numbers(column: pd.Series, *, path: ConfigPath, why: str) -> pd.Series:
    """Turn a column into float64; gaps stay.

    Raises:
        DataError: It holds what is no number; the message ends with `why` it should.
    """
    if is_numeric_dtype(column):
        return column.astype("float64")
    if column.dtype.kind in "Mm":
        raise DataError(f"column '{column.name}' holds dates or times; {why}", path=path)
    try:
        converted = pd.to_numeric(column, errors="coerce").astype("float64")
    except (OverflowError, TypeError) as error:
        raise DataError(f"column '{column.name}' holds what is no number: {error}; {why}", path=path) from error
    text = (converted.isna() & column.notna()).to_numpy()
    if text.any():
        raise DataError(f"column '{column.name}' holds '{column[text].iloc[0]}' in {rows(text)}; {why}", path=path)
    return converted


def refuse_infinite(column: pd.Series, path: ConfigPath) -> None:
    """Refuse infinities.

    Raises:
        DataError: It names the rows.
    """
    infinite = np.isinf(column.to_numpy())
    if infinite.any():
        raise DataError(f"column '{column.name}' is infinite in {rows(infinite)}", path=path)


def rows(mask: np.ndarray) -> str:
    """Name the rows where `mask` holds, counted from 1 below the header: ``rows 3, 17 and 5 more``."""
    counted = np.flatnonzero(mask) + 1
    shown = ", ".join(map(str, counted[:_SHOWN]))
    more = f" and {len(counted) - _SHOWN} more" if len(counted) > _SHOWN else ""
    return f"row {shown}" if len(counted) == 1 else f"rows {shown}{more}"
