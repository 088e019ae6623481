"""The reference of a model: profiles of the columns that it was trained and tested on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_datetime64_any_dtype, is_numeric_dtype

from wine_sweep.data import Dataset, Split
from wine_sweep.data.dataset import join_groups, row_digests
from wine_sweep.evaluation.row_losses import Predictions, RowLoss, row_loss_of
from wine_sweep.trial import Task

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
    """Return a column as statistics take it: numbers and truth values as float64, times as seconds since 1970, the rest as text.

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
    """Return the columns of a table that have a profile, each as `plain` does."""
    return pd.DataFrame({each.name: plain(table[each.name], each.kind) for each in profiles}, index=table.index)


def _kind_of(column: pd.Series) -> ColumnKind:
    known = column.dropna()
    if is_bool_dtype(known.infer_objects()) or (is_numeric_dtype(column) and set(known.unique()) == {0, 1}):
        return ColumnKind.BOOLEAN
    return ColumnKind.NUMBER if is_numeric_dtype(column) or is_datetime64_any_dtype(column) else ColumnKind.CATEGORY


def _text(value: object) -> str:
    """Return a category as text; a number that is whole without a fraction, however it was read."""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)


MOST_ROWS = 10_000
"""So many training rows are kept at most: enough for every test of whether a column has moved."""

MEASURED = ["target", "prediction", "loss", "weight", "group"]
"""The columns of a table of rows that a model was measured on; `weight` is 1 where all rows count the same."""


@dataclass(frozen=True)
class Grouping:
    """Which rows count as one, since they are not independent of each other.

    Args:
        column: Rows with the same value of this column; None for no such column.
        equal_rows: Whether rows with equal features do.
    """

    column: str | None
    equal_rows: bool

    def groups_of(self, table: pd.DataFrame, features: pd.DataFrame) -> np.ndarray:
        """Number the group of each row of a table with these features; one without the column is grouped without."""
        equal = row_digests(features, list(map(str, features))) if self.equal_rows else np.arange(len(features))
        number = np.unique(equal, return_inverse=True)[1]
        known = self.column is not None and self.column in table.columns and not table[self.column].isna().any()
        return join_groups(number, table[self.column] if known else None)


@dataclass(frozen=True, eq=False)
class Reference:
    """What a model was trained and tested on.

    Args:
        task: What the model does.
        metric: How its predictions are held against the truth, row by row.
        target: The column that it predicts.
        columns: Each feature as it was in training, in the model's order.
        data: The name of the table.
        digest: That table's digest, SHA-256 in hex.
        grouping: Which rows count as one.
        weight_column: The column that says how much each row counts, if there is one.
        train_rows: The digests (`row_digests`) of all rows that it was trained on; uint64, sorted, each once.
        train: The features of the training rows, at most `MOST_ROWS` of them; as `plain_table` gives them. Of rows of which
            some came later than others (`data.new`), these alone, here and in `folds`.
        train_independent: The share of these rows that they are worth, since those of a group count as one; see `independent`.
        test: The columns `MEASURED` of each test row.
        folds: The same of training rows, each measured by such a model fitted without its fold; empty where that was not done.
    """

    task: Task
    metric: RowLoss
    target: str
    columns: tuple[ColumnProfile, ...]
    data: str
    digest: str
    grouping: Grouping
    weight_column: str | None
    train_rows: np.ndarray
    train: pd.DataFrame
    train_independent: float
    test: pd.DataFrame
    folds: pd.DataFrame

    @property
    def names(self) -> list[str]:
        """The features' names, in the model's order."""
        return [column.name for column in self.columns]

    @property
    def measured(self) -> pd.DataFrame:
        """All rows that the model, or one like it, was measured on without having seen them."""
        return pd.concat([self.test, self.folds], ignore_index=True) if len(self.folds) else self.test

    def was_trained_on(self, features: pd.DataFrame) -> np.ndarray:
        """Return which rows the model was trained on, by their features: bool, of shape (rows,)."""
        digests = row_digests(plain_table(features, self.columns), self.names)
        return np.isin(digests, self.train_rows)


def make_reference(
    dataset: Dataset,
    split: Split,
    model: Any,
    predictions: np.ndarray,
    *,
    task: Task,
    objective_metric: str,
    seed: int,
    folds: Iterable[Predictions] = (),
) -> Reference:
    """Take down what a model was trained and tested on.

    Args:
        dataset: The whole table.
        split: Which rows it was trained and tested on.
        model: Fitted.
        predictions: What it predicts for the test rows, of shape (test rows,) or (test rows, 1).
        task: What it does.
        objective_metric: The metric that decided.
        seed: Decides which training rows are kept, where there are more than `MOST_ROWS`.
        folds: What models like it predict for rows that they were not fitted on, by the rows' numbers in the table; of a row
            that several predict, the first counts. With probabilities where `row_loss_of` needs them.

    Raises:
        ValueError: The predictions cannot be held against the truth.
        Exception: Whatever the models raise.
    """
    columns = tuple(profile_of(dataset.features[name].iloc[split.train]) for name in dataset.features.columns)
    features = plain_table(dataset.features, columns)
    digests = row_digests(features, [each.name for each in columns])
    metric = row_loss_of(objective_metric, task, probabilities=hasattr(model, "predict_proba"))
    tested = Predictions(split.test, predictions)
    if metric.needs_probabilities:
        tested = tested.with_probabilities(model, dataset.features.iloc[split.test].reset_index(drop=True))
    like_new = _newest(dataset, split.train)
    kept = like_new[_drawn(len(like_new), seed)]
    group_column, weight_column = dataset.group_column, dataset.weight_column
    together = bool((pd.Series(dataset.groups).groupby(digests).nunique() == 1).all())
    return Reference(
        task=task,
        metric=metric,
        target=str(dataset.target.name),
        columns=columns,
        data=dataset.name,
        digest=dataset.digest,
        grouping=Grouping(None if group_column is None else str(group_column.name), together),
        weight_column=None if weight_column is None else str(weight_column.name),
        train_rows=np.unique(digests[split.train]),
        train=features.iloc[kept].reset_index(drop=True),
        train_independent=independent(dataset.groups[kept]),
        test=_measured(tested, dataset, metric),
        folds=_measure_folds(folds, dataset, metric),
    )


def independent(groups: np.ndarray) -> float:
    """Return the share of rows that grouped rows are worth, at most 1, where those of a group tell no more than one does.

    L. Kish, "Survey Sampling", Wiley, 1965: n rows in groups of m(1), m(2), … rows vary as n² / Σ m(i)² independent ones do.

    Args:
        groups: The group of each row, of shape (rows,).
    """
    counts = np.unique(groups, return_counts=True)[1].astype(float)
    return float(counts.sum() / (counts**2).sum()) if len(counts) else 1.0


def _measured(predicted: Predictions, dataset: Dataset, metric: RowLoss) -> pd.DataFrame:
    """Hold what is predicted for rows of a table against the truth: what each of them loses."""
    rows = predicted.rows
    truth = dataset.target.to_numpy()[rows]
    weights = np.ones(len(rows)) if dataset.weights is None else dataset.weights[rows]
    values = (truth, predicted.predictions.reshape(-1), metric.of(predicted, truth), weights, dataset.groups[rows])
    return pd.DataFrame(dict(zip(MEASURED, values, strict=True)))


def _newest(dataset: Dataset, rows: np.ndarray) -> np.ndarray:
    """Leave out the rows of a table that others came after, where some did: later rows are to be held against the newest."""
    newest = rows if dataset.is_new is None else rows[dataset.is_new[rows]]
    return newest if len(newest) else rows


def _measure_folds(folds: Iterable[Predictions], dataset: Dataset, metric: RowLoss) -> pd.DataFrame:
    measured = []
    seen = np.zeros(len(dataset.target), dtype=bool)
    for predicted in folds:
        new = predicted.only(np.isin(predicted.rows, _newest(dataset, predicted.rows)) & ~seen[predicted.rows])
        if len(new.rows):
            measured.append(_measured(new, dataset, metric))
        seen[new.rows] = True
    return pd.concat(measured, ignore_index=True) if measured else pd.DataFrame(columns=MEASURED)


def _drawn(count: int, seed: int) -> np.ndarray:
    """Draw which of so many rows are kept, in their order."""
    if count <= MOST_ROWS:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, MOST_ROWS, replace=False))
