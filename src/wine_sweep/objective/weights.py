"""Rows that count differently: how weights reach an estimator's `fit`, and which estimators and metrics take none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

_WEIGHTS = "sample_weight"


def fit(model: Any, features: pd.DataFrame, target: np.ndarray, weights: np.ndarray | None) -> None:
    """Fit a model; of a pipeline, weights go to the last step.

    Args:
        model: Unfitted.
        features: Of shape (rows, features).
        target: The truth, of shape (rows,).
        weights: How much each row counts, of shape (rows,); None when all count the same.
    """
    keyword, _ = _destination(model)
    model.fit(features, target, **({} if weights is None else {keyword: weights}))


def part_of(weights: np.ndarray | None, rows: np.ndarray) -> np.ndarray | None:
    """Give the weights of some rows, where there are weights."""
    return None if weights is None else weights[rows]


def refusal(model: Any) -> str | None:
    """Say why a model cannot be fitted with weights, or None when it can."""
    from sklearn.utils.validation import has_fit_parameter

    _, learner = _destination(model)
    if has_fit_parameter(learner, _WEIGHTS):
        return None
    return f"{type(learner).__name__} takes no weights: its `fit` has no `{_WEIGHTS}`; leave `weights` out, or use another model"


def _destination(model: Any) -> tuple[str, Any]:
    """Find the estimator that takes the weights, and what they are called on the way there."""
    from sklearn.pipeline import Pipeline

    if not isinstance(model, Pipeline):
        return _WEIGHTS, model
    name, last = model.steps[-1]
    return f"{name}__{_WEIGHTS}", last
