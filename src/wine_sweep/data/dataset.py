"""A table turned into features and target, or a clear refusal that names columns and rows."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from wine_sweep.config import DataConfig, Duplicates
from wine_sweep.data import bundled
from wine_sweep.errors import DataError, Path
from wine_sweep.task import Needs, Task
from wine_sweep.wording import one_of

_SHOWN = 5
_TARGET: Path = ("data", "target")
_SOURCE: Path = ("data", "source")


@dataclass(frozen=True)
class Dataset:
    """What a sweep learns from.

    Args:
        features: One row an example; numbers as float64.
        target: The column to predict, of the same length: float64 for regression, the classes as they are otherwise.
        groups: For every row, the number of its group: rows with equal features share one.
        source: A bundled name or an absolute path.
        digest: SHA-256, in hex, of the values, the column names and their order.
    """

    features: pd.DataFrame
    target: pd.Series
    groups: np.ndarray
    source: str
    digest: str

    @property
    def name(self) -> str:
        """The short name: a bundled name, or the file's."""
        return self.source.replace("\\", "/").rsplit("/", 1)[-1]


def make_dataset(table: pd.DataFrame, config: DataConfig, *, source: str, needs: Needs) -> Dataset:
    """Check a table and take it apart into features and target.

    Args:
        table: All rows and columns as read.
        config: Names the target, and what to do with equal rows.
        source: Where the table came from.
        needs: What the model can learn from.

    Raises:
        DataError: The target column is missing, has gaps, is constant or not of the task's kind; there is no feature;
            or a feature holds text, gaps or infinities that the model cannot take.
    """
    table = table.rename(columns=str)
    target_name = _target_name(table, config, source)
    target = _check_target(table[target_name], needs.task)
    features = table.drop(columns=target_name)
    if features.shape[1] == 0:
        raise DataError(f"there is no feature: '{target_name}' is the only column", path=_SOURCE)
    features = _check_features(features, needs)
    if config.duplicates is Duplicates.DROP:
        kept = ~pd.concat([features, target.rename("target")], axis=1).duplicated()
        features, target = features[kept].reset_index(drop=True), target[kept].reset_index(drop=True)
    digest = _digest(features, target)
    return Dataset(features, target, _groups(features, config.duplicates), source, digest)


def _target_name(table: pd.DataFrame, config: DataConfig, source: str) -> str:
    name = config.target or (bundled.TARGET if source in bundled.NAMES else None)
    columns = list(table.columns)
    if name is None:
        raise DataError(f"is missing: which column is to be predicted? The table has: {', '.join(columns)}", path=_TARGET)
    if name not in columns:
        raise DataError(f"there is no column '{name}' in the table; {one_of(name, columns, most=30)}", path=_TARGET)
    return name


def _check_target(target: pd.Series, task: Task) -> pd.Series:
    missing = target.isna().to_numpy()
    if missing.any():
        raise DataError(f"column '{target.name}' has no value (empty, NA, None or null) in {rows(missing)}", path=_TARGET)
    if task is Task.REGRESSION:
        target = _numbers(target, path=_TARGET, why="a regressor predicts numbers")
        _refuse_infinite(target, _TARGET)
    elif is_numeric_dtype(target) and not is_bool_dtype(target):
        _refuse_infinite(target.astype("float64"), _TARGET)
        fractions = (target.astype("float64") % 1 != 0).to_numpy()
        if fractions.any():
            raise DataError(
                f"column '{target.name}' holds fractions, first in {rows(fractions)}; a classifier needs classes", path=_TARGET
            )
        beyond = (target.astype("float64").abs() > 2**62).to_numpy()
        target = target.astype(str).astype(object) if beyond.any() else target.astype("int64")
    elif not is_bool_dtype(target):
        target = target.astype(str).astype(object)
    if target.nunique() < 2:
        raise DataError(f"column '{target.name}' is constant: every row has {target.iloc[0]!s}", path=_TARGET)
    return target


def _check_features(features: pd.DataFrame, needs: Needs) -> pd.DataFrame:
    columns = {}
    for name in features.columns:
        column = features[name]
        if needs.numbers or is_numeric_dtype(column):
            column = _numbers(
                column, path=_SOURCE, why=f"{needs.model} needs numbers; leave the column out, or encode it in model.pipeline"
            )
        columns[name] = column
    for name, column in columns.items():
        if any(isinstance(value, Collection) and not isinstance(value, str | bytes) for value in column.head(_SHOWN)):
            raise DataError(f"column '{name}' holds lists or mappings; a feature holds numbers or text", path=_SOURCE)
        missing = column.isna().to_numpy()
        if missing.any() and not needs.takes_missing:
            raise DataError(
                f"column '{name}' has no value in {rows(missing)}, and {needs.model} cannot take gaps;"
                " drop the rows, or begin model.pipeline with sklearn.impute.SimpleImputer",
                path=_SOURCE,
            )
        if column.dtype == np.float64:
            _refuse_infinite(column, _SOURCE)
    return pd.DataFrame(columns)


def _refuse_infinite(column: pd.Series, path: Path) -> None:
    infinite = np.isinf(column.to_numpy())
    if infinite.any():
        raise DataError(f"column '{column.name}' is infinite in {rows(infinite)}", path=path)


def _numbers(column: pd.Series, *, path: Path, why: str) -> pd.Series:
    if is_numeric_dtype(column):
        return column.astype("float64")
    if column.dtype.kind in "Mm":
        raise DataError(f"column '{column.name}' holds dates or times; {why}", path=path)
    try:
        numbers = pd.to_numeric(column, errors="coerce").astype("float64")
    except (OverflowError, TypeError) as error:
        raise DataError(f"column '{column.name}' holds what is no number: {error}; {why}", path=path) from error
    text = (numbers.isna() & column.notna()).to_numpy()
    if text.any():
        raise DataError(f"column '{column.name}' holds '{column[text].iloc[0]}' in {rows(text)}; {why}", path=path)
    return numbers


def _digest(features: pd.DataFrame, target: pd.Series) -> str:
    digest = hashlib.sha256()
    for name, column in [*features.items(), (f"target:{target.name}", target)]:
        digest.update(f"{name}\0{column.dtype.kind}\0".encode())
        digest.update(_bytes_of(column))
    return digest.hexdigest()


def _bytes_of(column: pd.Series) -> bytes:
    values = column.to_numpy()
    if values.dtype.kind == "f":
        return values.astype("<f8").tobytes()
    if values.dtype.kind in "iub":
        return values.astype("<i8").tobytes()
    return b"".join(b"\1" if gap else b"\0" + str(value).encode() for value, gap in zip(values, column.isna(), strict=True))


def _groups(features: pd.DataFrame, duplicates: Duplicates) -> np.ndarray:
    if duplicates is not Duplicates.KEEP:
        groups: np.ndarray = features.groupby(list(features.columns), sort=False, dropna=False).ngroup().to_numpy()
        return groups
    return np.arange(len(features))


def rows(mask: np.ndarray) -> str:
    """Name the rows where `mask` holds, counted from 1 below the header: ``rows 3, 17 and 5 more``."""
    numbers = np.flatnonzero(mask) + 1
    shown = ", ".join(map(str, numbers[:_SHOWN]))
    more = f" and {len(numbers) - _SHOWN} more" if len(numbers) > _SHOWN else ""
    return f"row {shown}" if len(numbers) == 1 else f"rows {shown}{more}"
