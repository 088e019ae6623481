"""Split metrics into losses of single rows, so that models can be compared on the same rows.

A metric that is no mean over rows is stood in for by one that is, the nearest: R² by the root mean squared error, F1 by the
balanced accuracy, the area under a curve by the Brier score, which unlike the log loss forgives a model that is sure of itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from wine_sweep.config import Direction
from wine_sweep.evaluation.metrics import look_up
from wine_sweep.trial import Task


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a model predicts for some rows.

    Args:
        rows: The numbers of the rows, of shape (rows,).
        predictions: Of shape (rows,), or (rows, 1).
        probabilities: Of each class, of shape (rows, classes); None where nobody asked.
        classes: The classes in the order of the probabilities.
    """

    rows: np.ndarray
    predictions: np.ndarray
    probabilities: np.ndarray | None = None
    classes: np.ndarray | None = None

    @property
    def nbytes(self) -> int:
        """How many bytes it takes."""
        return sum(each.nbytes for each in (self.rows, self.predictions, self.probabilities) if each is not None)

    @classmethod
    def by(cls, model: Any, features: pd.DataFrame, rows: np.ndarray, *, probabilities: bool) -> Predictions:
        """Have a model predict.

        Args:
            model: Fitted.
            features: The rows to predict, of shape (rows, features).
            rows: Their numbers, of shape (rows,).
            probabilities: Whether each class's probability is wanted too.

        Raises:
            Exception: Whatever the model raises.
        """
        predicted = cls(rows, np.asarray(model.predict(features.copy())))
        return predicted.with_probabilities(model, features) if probabilities else predicted

    def with_probabilities(self, model: Any, features: pd.DataFrame) -> Predictions:
        """Return the same with each class's probability.

        Args:
            model: The model that it is of.
            features: The same rows, of shape (rows, features).

        Raises:
            Exception: Whatever the model raises.
        """
        probabilities = np.asarray(model.predict_proba(features.copy()))
        return replace(self, probabilities=probabilities, classes=np.asarray(model.classes_))

    def only(self, chosen: np.ndarray) -> Predictions:
        """Return the same for some of the rows.

        Args:
            chosen: Which, of shape (rows,), bool.
        """
        probabilities = None if self.probabilities is None else self.probabilities[chosen]
        return replace(self, rows=self.rows[chosen], predictions=self.predictions[chosen], probabilities=probabilities)

    def among(self, numbers: np.ndarray) -> Predictions:
        """Return the same with other numbers: those of a larger table, of which the rows were taken.

        Args:
            numbers: For each row that there was, its number in the larger table.
        """
        return replace(self, rows=numbers[self.rows])


Number = TypeVar("Number", float, np.ndarray)


class RowLoss(StrEnum):
    """What a row loses, by the name of the metric that it adds up to."""

    RMSE = "rmse"
    MAE = "mae"
    MAPE = "mape"
    LOG_LOSS = "log_loss"
    BRIER = "brier_score"
    ACCURACY = "accuracy"
    BALANCED_ACCURACY = "balanced_accuracy"

    @property
    def direction(self) -> Direction:
        """Which way the metric is better; a row's loss is always better when lower."""
        return Direction.MAXIMIZE if self in _HITS else Direction.MINIMIZE

    @property
    def needs_probabilities(self) -> bool:
        """Return whether it is measured on `predict_proba` and not on `predict`."""
        return self in (RowLoss.LOG_LOSS, RowLoss.BRIER)

    def losses(self, model: Any, features: pd.DataFrame, target: np.ndarray) -> np.ndarray:
        """Describe what each row loses by a fitted model; see `of`.

        Args:
            model: Fitted.
            features: The rows to predict, of shape (rows, features).
            target: The truth, of shape (rows,).

        Raises:
            ValueError: The model gives no number for each row where numbers are predicted.
            Exception: Whatever the model raises.
        """
        if self.needs_probabilities:
            return self._of_probabilities(np.asarray(model.predict_proba(features.copy())), np.asarray(model.classes_), target)
        return self.of_predictions(np.asarray(model.predict(features.copy())), target)

    def of(self, predicted: Predictions, target: np.ndarray) -> np.ndarray:
        """Describe what each row loses by what was predicted for it.

        That is the squared, absolute or relative error, 1 for a wrong class, minus the log of the right one's probability, or
        half the squared distance of all classes' probabilities to what they should be (G. W. Brier, "Verification of forecasts
        expressed in terms of probability", 1950), as scikit-learn has it.

        Args:
            predicted: With probabilities where the loss needs them.
            target: The truth, of shape (rows,).

        Returns:
            Of shape (rows,).

        Raises:
            ValueError: There is no number for each row where numbers are predicted, or no probabilities where they are needed.
        """
        if not self.needs_probabilities:
            return self.of_predictions(predicted.predictions, target)
        if predicted.probabilities is None or predicted.classes is None:
            raise ValueError(f"{self} needs probabilities")
        return self._of_probabilities(predicted.probabilities, predicted.classes, target)

    def _of_probabilities(self, probabilities: np.ndarray, classes: np.ndarray, target: np.ndarray) -> np.ndarray:
        return (_log_losses if self is RowLoss.LOG_LOSS else _brier_losses)(probabilities, classes, target)

    def of_predictions(self, predictions: np.ndarray, target: np.ndarray) -> np.ndarray:
        """Describe what each row loses by what was predicted for it; not for the log loss.

        Args:
            predictions: Of shape (rows,), or (rows, 1).
            target: The truth, of shape (rows,).

        Raises:
            ValueError: There is not one prediction a row, or no number where numbers are predicted.
        """
        if predictions.size != len(target):
            raise ValueError(f"{predictions.shape} predictions for {len(target)} rows")
        predicted = predictions.reshape(-1)
        if self in _HITS:
            missed: np.ndarray = _comparable(predicted) != _comparable(target)
            return missed.astype(float)
        error = predicted.astype(float) - target.astype(float)
        if not np.isfinite(error).all():
            raise ValueError(f"{np.sum(~np.isfinite(error))} of {len(error)} predictions are no finite numbers")
        return _ERRORS[self](error, target.astype(float))

    def row_weights(self, target: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """Describe how much each row counts in the mean: for the balanced accuracy, every class as much as any other.

        Args:
            target: The truth, of shape (rows,).
            weights: The table's own weights, of shape (rows,); None when all count the same.
        """
        own = np.ones(len(target)) if weights is None else weights.astype(float)
        if self is not RowLoss.BALANCED_ACCURACY:
            return own
        _, code = np.unique(_comparable(target), return_inverse=True)
        of_class = np.bincount(code, own)[code]
        shares: np.ndarray = np.divide(own, of_class, out=np.zeros(len(own)), where=of_class > 0)
        return shares * len(own)

    def of_mean(self, mean: Number) -> Number:
        """Turn the weighted mean of the rows' losses into the metric, elementwise."""
        if self is RowLoss.RMSE:
            root: Number = mean**0.5
            return root
        return 1 - mean if self in _HITS else mean


_HITS = frozenset({RowLoss.ACCURACY, RowLoss.BALANCED_ACCURACY})
_ERRORS: dict[RowLoss, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    RowLoss.RMSE: lambda error, target: error**2,  # noqa: ARG005  # the others' signature
    RowLoss.MAE: lambda error, target: np.abs(error),  # noqa: ARG005
    RowLoss.MAPE: lambda error, target: np.abs(error) / np.maximum(np.abs(target), np.finfo(float).eps),
}
_ABSOLUTE = frozenset({"neg_mean_absolute_error", "neg_median_absolute_error", "d2_absolute_error_score"})
_LOGARITHMIC = frozenset({"neg_log_loss", "d2_log_loss_score"})
_CURVES = frozenset({"roc_auc", "average_precision"})


def row_loss_of(metric: str, task: Task, *, probabilities: bool) -> RowLoss:
    """Return by which loss models are compared where a metric decides: its own, or the nearest.

    Args:
        metric: The metric that decides; one of the user's own, or one for the other task, counts as the task's usual one.
        task: What the models do.
        probabilities: Whether each of them gives probabilities; without, a right or wrong class is all there is.
    """
    found = look_up(metric)
    scorer = metric if found is None else found.scorer
    if task is Task.REGRESSION:
        if scorer == "neg_mean_absolute_percentage_error":
            return RowLoss.MAPE
        return RowLoss.MAE if scorer in _ABSOLUTE else RowLoss.RMSE
    if scorer == "accuracy" or found is None or found.task is not task:
        return RowLoss.ACCURACY
    if found.needs_probabilities or scorer in _CURVES:
        if not probabilities:
            return RowLoss.ACCURACY
        return RowLoss.LOG_LOSS if scorer in _LOGARITHMIC else RowLoss.BRIER
    return RowLoss.BALANCED_ACCURACY


def _of_truth(probabilities: np.ndarray, classes: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return each row's probability of the truth; a class that the model does not know has probability 0."""
    known = {name: index for index, name in enumerate(_comparable(classes))}
    places = np.array([known.get(name, -1) for name in _comparable(target)], dtype=int)
    chosen: np.ndarray = np.where(places >= 0, probabilities[np.arange(len(target)), places], 0.0)
    return chosen


def _brier_losses(probabilities: np.ndarray, classes: np.ndarray, target: np.ndarray) -> np.ndarray:
    losses: np.ndarray = ((probabilities**2).sum(axis=1) - 2 * _of_truth(probabilities, classes, target) + 1) / 2
    return losses


def _log_losses(probabilities: np.ndarray, classes: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return minus the log of each row's probability of the truth, which counts as a little more than 0 at least."""
    chosen = _of_truth(probabilities, classes, target)
    losses: np.ndarray = -np.log(np.clip(chosen, np.finfo(float).eps, 1))
    return losses


def _comparable(classes: np.ndarray) -> np.ndarray:
    """Return classes such that equal ones are equal, whatever they were read as: 1 and 1.0 and True and '1' are one."""
    if classes.dtype.kind in "iub":
        return np.array([str(int(value)) for value in classes], dtype=object)
    if classes.dtype.kind == "f":
        return np.array([f"{value:g}" if value % 1 else str(int(value)) for value in classes], dtype=object)
    return np.array([str(int(value)) if isinstance(value, bool | np.bool_) else str(value) for value in classes], dtype=object)
