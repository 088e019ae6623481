"""What a model has to beat that has no champion to beat: one that looks at no feature."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from wine_sweep.objective.row_losses import RowLoss
from wine_sweep.task import Task

_PREDICTS = {
    RowLoss.RMSE: "the mean of its training rows",
    RowLoss.MAE: "the median of its training rows",
    RowLoss.MAPE: "the median of its training rows",
    RowLoss.LOG_LOSS: "the share of every class in its training rows",
    RowLoss.BRIER: "the share of every class in its training rows",
    RowLoss.ACCURACY: "the most frequent class of its training rows",
    RowLoss.BALANCED_ACCURACY: "the most frequent class of its training rows",
}


def fit_dummy(task: Task, loss: RowLoss, features: pd.DataFrame, target: np.ndarray, weights: np.ndarray | None) -> Any:
    """Fit scikit-learn's `DummyRegressor` (mean, or median for absolute errors) or `DummyClassifier` (prior).

    Args:
        task: What the challenger does.
        loss: The metric that decides.
        features: Of the training rows, of shape (rows, features).
        target: The truth, of shape (rows,).
        weights: How much each row counts, of shape (rows,); None when all count the same.
    """
    from sklearn.dummy import DummyClassifier, DummyRegressor

    if task is Task.CLASSIFICATION:
        model = DummyClassifier(strategy="prior")
    else:
        model = DummyRegressor(strategy="mean" if loss is RowLoss.RMSE else "median")
    return model.fit(features, target, sample_weight=weights)


def describe_dummy(loss: RowLoss) -> str:
    """Say what it predicts, in words that follow ``against the 0.81 of``."""
    return f"a model that always predicts {_PREDICTS[loss]}"
