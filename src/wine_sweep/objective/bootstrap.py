"""How sure a test score is: the bootstrap percentile interval over the test rows.

B. Efron, R. J. Tibshirani, "An Introduction to the Bootstrap", Chapman & Hall, 1993, section 13.3. Whole groups of rows are
drawn, since the rows of one group are not independent of each other.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from wine_sweep.objective.metrics import Metric, evaluate
from wine_sweep.objective.weights import part_of

MOST_LEFT_OUT = 0.1
"""The share of resamples without a value beyond which there is no interval: the rest are no fair sample any more."""


@dataclass(frozen=True)
class Sample:
    """Rows to measure on.

    Args:
        features: Of shape (rows, features).
        target: The truth, of shape (rows,).
        groups: For every row, the number of its group.
        weights: How much each row counts; None when all count the same.
    """

    features: pd.DataFrame
    target: np.ndarray
    groups: np.ndarray
    weights: np.ndarray | None = None


@dataclass(frozen=True)
class Interval:
    """Where a metric lies, with this confidence: both ends, and the number of resamples that they come from."""

    metric: str
    low: float
    high: float
    confidence: float
    resamples: int

    def record(self) -> dict[str, Any]:
        """Give what ``--json`` prints."""
        return asdict(self)


def resample_scores(model: Any, metric: Metric, sample: Sample, *, resamples: int, seed: int) -> np.ndarray:
    """Measure a model on rows that are drawn anew, group by group, with replacement.

    Args:
        model: Fitted.
        metric: What to measure.
        sample: The rows to draw from.
        resamples: How often.
        seed: Decides what is drawn.

    Returns:
        The metric of each resample, of shape (resamples,); NaN where it cannot be computed, as with one class only.

    Raises:
        ValueError: The metric cannot be computed on the rows as they are.
    """
    from sklearn import config_context

    replay, draw = Replay(model, sample.features), _drawing(sample.groups, seed)
    scores = np.full(resamples, np.nan)
    with warnings.catch_warnings(), config_context(assume_finite=True):
        warnings.simplefilter("ignore")  # scorers warn of what a resample lacks, a thousand times
        everything = np.arange(len(sample.target))
        evaluate(replay, [metric], everything, sample.target, sample.weights)
        for index in range(resamples):
            rows = draw()
            try:
                measured = evaluate(replay, [metric], rows, sample.target[rows], part_of(sample.weights, rows))
            except ValueError:
                continue  # this resample lacks a class, or every weight in it is 0: it stays NaN, and is counted
            scores[index] = measured[metric.name]
    scores[np.isinf(scores)] = np.nan
    return scores


def percentile_interval(scores: np.ndarray, confidence: float, *, metric: str) -> Interval | None:
    """Take the percentiles of resampled scores that leave out equal parts below and above.

    Args:
        scores: Of shape (resamples,), NaN where there is no value.
        confidence: The share of resamples between the ends.
        metric: What was measured.

    Returns:
        None when more than `MOST_LEFT_OUT` of the resamples have no value.
    """
    known = scores[np.isfinite(scores)]
    if len(scores) - len(known) > MOST_LEFT_OUT * len(scores):
        return None
    low, high = np.quantile(known, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(metric, float(low), float(high), confidence, len(known))


class Replay:
    """Stands in for a fitted model: asked for row numbers, it gives what the model predicts for these rows.

    The model predicts all rows once, when it is first asked. It has those of scikit-learn's methods for predicting that
    the model has, so that a scorer chooses the same one.

    Args:
        model: Fitted.
        features: The rows, of shape (rows, features).
    """

    def __init__(self, model: Any, features: pd.DataFrame) -> None:
        from sklearn.utils import get_tags

        self._model, self._features, self._tags = model, features, get_tags(model)
        if hasattr(model, "classes_"):
            self.classes_ = model.classes_
        for name in ("predict", "predict_proba", "decision_function"):
            if hasattr(model, name):
                setattr(self, name, self._replaying(name))

    def __sklearn_tags__(self) -> Any:
        return self._tags

    def _replaying(self, name: str) -> Callable[[np.ndarray], np.ndarray]:
        @functools.cache
        def predicted() -> np.ndarray:
            return np.asarray(getattr(self._model, name)(self._features.copy()))

        def replay(rows: np.ndarray) -> np.ndarray:
            chosen: np.ndarray = predicted()[rows]
            return chosen

        replay.__name__ = name  # scorers treat probabilities and decisions differently, and go by the name
        return replay


def _drawing(groups: np.ndarray, seed: int) -> Callable[[], np.ndarray]:
    """Make what draws as many groups as there are, with replacement, and gives their rows."""
    random = np.random.default_rng(seed)
    order = np.argsort(groups, kind="stable")
    _, starts, sizes = np.unique(groups[order], return_index=True, return_counts=True)

    def draw() -> np.ndarray:
        drawn = random.integers(len(starts), size=len(starts))
        count = sizes[drawn]
        ends = count.cumsum()
        rows: np.ndarray = order[np.repeat(starts[drawn] - (ends - count), count) + np.arange(ends[-1])]
        return rows

    return draw
