"""What a model predicts for rows that it was not fitted on, kept when the model itself is not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd


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
        """Give the same with each class's probability.

        Args:
            model: The model that it is of.
            features: The same rows, of shape (rows, features).

        Raises:
            Exception: Whatever the model raises.
        """
        probabilities = np.asarray(model.predict_proba(features.copy()))
        return replace(self, probabilities=probabilities, classes=np.asarray(model.classes_))

    def only(self, chosen: np.ndarray) -> Predictions:
        """Give the same for some of the rows.

        Args:
            chosen: Which, of shape (rows,), bool.
        """
        probabilities = None if self.probabilities is None else self.probabilities[chosen]
        return replace(self, rows=self.rows[chosen], predictions=self.predictions[chosen], probabilities=probabilities)

    def among(self, numbers: np.ndarray) -> Predictions:
        """Give the same with other numbers: those of a larger table, of which the rows were taken.

        Args:
            numbers: For each row that there was, its number in the larger table.
        """
        return replace(self, rows=numbers[self.rows])
