"""What a model was trained and tested on, kept beside it: what new rows are held against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from wine_sweep.data import Dataset, Split
from wine_sweep.data.digests import row_digests
from wine_sweep.decay.columns import ColumnProfile, plain_table, profile_of
from wine_sweep.objective.row_losses import RowLoss, row_loss_of
from wine_sweep.task import Task

MOST_ROWS = 10_000
"""So many training rows are kept at most: enough for every test of whether a column has moved."""


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
        train_rows: The digests (`row_digests`) of all rows that it was trained on; uint64, sorted, each once.
        train: The features of the training rows, at most `MOST_ROWS` of them; as `plain_table` gives them.
        test: A row for each test row: `target`, `prediction`, `loss`, `weight` (1 where all rows count the same) and `group`.
    """

    task: Task
    metric: RowLoss
    target: str
    columns: tuple[ColumnProfile, ...]
    data: str
    digest: str
    train_rows: np.ndarray
    train: pd.DataFrame
    test: pd.DataFrame

    @property
    def names(self) -> list[str]:
        """The features' names, in the model's order."""
        return [column.name for column in self.columns]

    def was_trained_on(self, features: pd.DataFrame) -> np.ndarray:
        """Say which rows the model was trained on, by their features.

        Args:
            features: Of shape (rows, at least the model's features).

        Returns:
            Of shape (rows,), bool.
        """
        digests = row_digests(plain_table(features, self.columns), self.names)
        return np.isin(digests, self.train_rows)


def make_reference(
    dataset: Dataset, split: Split, model: Any, predictions: np.ndarray, *, task: Task, objective_metric: str, seed: int
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

    Raises:
        ValueError: The predictions cannot be held against the truth.
        Exception: Whatever the model raises when it is asked for probabilities.
    """
    features, target = dataset.features, dataset.target.to_numpy()
    columns = tuple(profile_of(features[name].iloc[split.train]) for name in features.columns)
    train = plain_table(features.iloc[split.train], columns)
    metric = row_loss_of(objective_metric, task, probabilities=hasattr(model, "predict_proba"))
    truth = target[split.test]
    if metric.needs_probabilities:
        losses = metric.losses(model, features.iloc[split.test].reset_index(drop=True), truth)
    else:
        losses = metric.of_predictions(predictions, truth)
    weights = np.ones(len(truth)) if dataset.weights is None else dataset.weights[split.test]
    group = dataset.groups[split.test]
    test = {"target": truth, "prediction": predictions.reshape(-1), "loss": losses, "weight": weights, "group": group}
    return Reference(
        task=task,
        metric=metric,
        target=str(dataset.target.name),
        columns=columns,
        data=dataset.name,
        digest=dataset.digest,
        train_rows=np.unique(row_digests(train, [each.name for each in columns])),
        train=train.iloc[_drawn(len(train), seed)].reset_index(drop=True),
        test=pd.DataFrame(test),
    )


def _drawn(count: int, seed: int) -> np.ndarray:
    """Draw which of so many rows are kept, in their order."""
    if count <= MOST_ROWS:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, MOST_ROWS, replace=False))
