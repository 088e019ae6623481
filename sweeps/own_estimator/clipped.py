"""An estimator of one's own: ridge regression whose predictions stay within the grades that were seen."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import Ridge
from sklearn.utils.validation import check_is_fitted, validate_data


class ClippedRidge(RegressorMixin, BaseEstimator):
    """Ridge on standardised columns; what it predicts lies no further than `margin` beyond the targets it learned from.

    Args:
        alpha: The penalty, as in `sklearn.linear_model.Ridge`.
        margin: How far beyond the smallest and the largest target a prediction may go, in the target's unit.
    """

    def __init__(self, alpha: float = 1.0, margin: float = 0.0) -> None:
        self.alpha = alpha
        self.margin = margin

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:  # noqa: N803  # scikit-learn's name
        """Learn from rows `X` of shape (rows, features) and targets `y` of shape (rows,)."""
        X, y = validate_data(self, X, y, y_numeric=True)  # noqa: N806
        self.mean_, self.scale_ = X.mean(axis=0), np.where(X.std(axis=0) > 0, X.std(axis=0), 1.0)
        self.ridge_ = Ridge(alpha=self.alpha).fit((X - self.mean_) / self.scale_, y)
        self.low_, self.high_ = float(y.min()) - self.margin, float(y.max()) + self.margin
        return self

    def predict(self, X: ArrayLike) -> NDArray[np.float64]:  # noqa: N803
        """Predict the targets of rows `X`; the result has shape (rows,)."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False)  # noqa: N806
        return np.clip(self.ridge_.predict((X - self.mean_) / self.scale_), self.low_, self.high_)
