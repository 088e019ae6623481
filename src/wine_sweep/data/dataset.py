"""A table turned into features and target, or a clear refusal that names columns and rows."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from wine_sweep.config import DataConfig, Duplicates
from wine_sweep.data.roles import (
    SOURCE,
    TARGET,
    as_numbers,
    check_groups,
    check_weights,
    find_roles,
    join_groups,
    refuse_infinite,
    rows,
)
from wine_sweep.errors import DataError
from wine_sweep.task import DataRequirements, Task

_SHOWN = 5


@dataclass(frozen=True)
class Dataset:
    """What a sweep learns from.

    Args:
        features: One row an example; numbers as float64.
        target: The column to predict, of the same length: float64 for regression, the classes as they are otherwise.
        groups: For every row, the number of its group; no split divides a group. Rows with equal features share one, and
            rows with the same value of the group column.
        source: A bundled name or an absolute path.
        digest: SHA-256, in hex, of the values, the column names and their order.
        group_column: The column that names groups, as it is in the table, if there is one.
        weight_column: How much each row counts, float64 and at least 0, if there is such a column.
        is_new: For every row, whether it came later than the others (`data.new`); None where none did.
    """

    features: pd.DataFrame
    target: pd.Series
    groups: np.ndarray
    source: str
    digest: str
    group_column: pd.Series | None = None
    weight_column: pd.Series | None = None
    is_new: np.ndarray | None = None

    @property
    def task(self) -> Task:
        """What a model of it does: where the target is float64 it predicts numbers, and classes otherwise."""
        return Task.REGRESSION if self.target.dtype == np.float64 else Task.CLASSIFICATION

    @property
    def weights(self) -> np.ndarray | None:
        """How much each row counts, of shape (rows,); None when all count the same."""
        return None if self.weight_column is None else self.weight_column.to_numpy()

    @property
    def table(self) -> pd.DataFrame:
        """All columns: the features, then groups and weights if there are any, then the target."""
        beside = [column for column in (self.group_column, self.weight_column, self.target) if column is not None]
        return self.features.assign(**{str(column.name): column for column in beside})

    @property
    def name(self) -> str:
        """The short name: a bundled name, or the file's."""
        return self.source.replace("\\", "/").rsplit("/", 1)[-1]


def make_dataset(
    table: pd.DataFrame, config: DataConfig, *, source: str, needs: DataRequirements, is_new: np.ndarray | None = None
) -> Dataset:
    """Check a table and take it apart into features and target.

    Args:
        table: All rows and columns as read.
        config: Names the columns that are no features, and says what to do with equal rows.
        source: Where the table came from.
        needs: What the model can learn from.
        is_new: Which rows came later than the others, of shape (rows,); None where none did.

    Raises:
        DataError: A column that the config names is missing; the target has gaps, is constant or not of the task's kind;
            groups have gaps; weights are no finite numbers of at least 0, or all 0; there is no feature; or a feature
            holds text, gaps or infinities that the model cannot take.
    """
    table = table.rename(columns=str)
    roles = find_roles(list(table.columns), config, source)
    target = _check_target(table[roles.target], needs.task)
    beside = {}
    if roles.groups is not None:
        beside["groups"] = check_groups(table[roles.groups])
    if roles.weights is not None:
        beside["weights"] = check_weights(table[roles.weights])
    features = _check_features(table.drop(columns=roles.names), needs)
    if config.duplicates is Duplicates.DROP:
        kept = ~pd.concat([features, target.rename("target"), *beside.values()], axis=1).duplicated()
        features, target = features[kept].reset_index(drop=True), target[kept].reset_index(drop=True)
        beside = {role: column[kept].reset_index(drop=True) for role, column in beside.items()}
        is_new = is_new[kept.to_numpy()] if is_new is not None else None
    groups = join_groups(_equal_rows(features, config.duplicates), beside.get("groups"))
    later = {} if is_new is None else {"new": pd.Series(is_new)}
    digest = _digest(features, {"target": target, **beside, **later})
    return Dataset(features, target, groups, source, digest, beside.get("groups"), beside.get("weights"), is_new)


def _check_target(target: pd.Series, task: Task) -> pd.Series:
    missing = target.isna().to_numpy()
    if missing.any():
        raise DataError(f"column '{target.name}' has no value (empty, NA, None or null) in {rows(missing)}", path=TARGET)
    if task is Task.REGRESSION:
        target = as_numbers(target, path=TARGET, why="a regressor predicts numbers")
        refuse_infinite(target, TARGET)
    elif is_numeric_dtype(target) and not is_bool_dtype(target):
        refuse_infinite(target.astype("float64"), TARGET)
        fractions = (target.astype("float64") % 1 != 0).to_numpy()
        if fractions.any():
            raise DataError(
                f"column '{target.name}' holds fractions, first in {rows(fractions)}; a classifier needs classes", path=TARGET
            )
        beyond = (target.astype("float64").abs() > 2**62).to_numpy()
        target = target.astype(str).astype(object) if beyond.any() else target.astype("int64")
    elif not is_bool_dtype(target):
        target = target.astype(str).astype(object)
    if target.nunique() < 2:
        raise DataError(f"column '{target.name}' is constant: every row has {target.iloc[0]!s}", path=TARGET)
    return target


def _check_features(features: pd.DataFrame, needs: DataRequirements) -> pd.DataFrame:
    columns = {}
    for name in features.columns:
        column = features[name]
        if needs.numbers or is_numeric_dtype(column):
            column = as_numbers(
                column, path=SOURCE, why=f"{needs.model} needs numbers; leave the column out, or encode it in model.pipeline"
            )
        columns[name] = column
    for name, column in columns.items():
        if any(isinstance(value, Collection) and not isinstance(value, str | bytes) for value in column.head(_SHOWN)):
            raise DataError(f"column '{name}' holds lists or mappings; a feature holds numbers or text", path=SOURCE)
        missing = column.isna().to_numpy()
        if missing.any() and not needs.takes_missing:
            raise DataError(
                f"column '{name}' has no value in {rows(missing)}, and {needs.model} cannot take gaps;"
                " drop the rows, or begin model.pipeline with sklearn.impute.SimpleImputer",
                path=SOURCE,
            )
        if column.dtype == np.float64:
            refuse_infinite(column, SOURCE)
    return pd.DataFrame(columns)


def _digest(features: pd.DataFrame, beside: Mapping[str, pd.Series]) -> str:
    digest = hashlib.sha256()
    named = [(f"{role}:{column.name}", column) for role, column in beside.items()]
    for name, column in [*features.items(), *named]:
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


def _equal_rows(features: pd.DataFrame, duplicates: Duplicates) -> np.ndarray:
    if duplicates is not Duplicates.KEEP:
        equal: np.ndarray = features.groupby(list(features.columns), sort=False, dropna=False).ngroup().to_numpy()
        return equal
    return np.arange(len(features))
