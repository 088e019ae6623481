"""The bootstrap: draw groups of rows with replacement; and the percentile interval of a test score.

B. Efron, R. J. Tibshirani, "An Introduction to the Bootstrap", Chapman & Hall, 1993, section 13.3. Whole groups of rows are
drawn, since the rows of one group are not independent of each other.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from wine_sweep.evaluation.estimators import part_of
from wine_sweep.evaluation.metrics import Metric, evaluate
from wine_sweep.evaluation.row_losses import RowLoss
from wine_sweep.evaluation.scorers import OwnFunction
from wine_sweep.trial import Task

CHUNK_BYTES = 2_000_000
"""How much memory resamples are given at a time, about what caches hold; what comes out does not depend on it."""

_BYTES_A_DRAW = 24
"""A drawn group takes 8 in the chunk before, 8 as it is drawn, and 8 for its number or for the value that is looked up by it."""

MOST_LEFT_OUT = 0.1
"""The share of resamples without a value beyond which there is no interval: the rest are no fair sample any more."""

_MEANS_OVER_ROWS = {
    "neg_root_mean_squared_error": RowLoss.RMSE,
    "neg_mean_absolute_error": RowLoss.MAE,
    "neg_mean_absolute_percentage_error": RowLoss.MAPE,
}
"""The scorers that need no more of a resample than each group's sums: a thousand resamples in a tenth of the time."""


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
        """Return what ``--json`` prints."""
        return asdict(self)


def resample(
    statistic: Callable[..., np.ndarray], groups: int, *, resamples: int, random: np.random.Generator, chunk_bytes: int
) -> np.ndarray:
    """Draw as many groups as there are, with replacement, again and again; compute a statistic of each resample.

    Args:
        statistic: Called as ``statistic(drawn, axis=-1)`` with numbers of groups from 0, of shape (some resamples, groups), it
            returns an array whose last axis is these resamples.
        groups: How many there are.
        resamples: How often they are drawn, 2 or more times.
        random: Decides which.
        chunk_bytes: How much memory resamples are given at a time; one resample may take more.
    """
    from scipy import stats

    if groups == 1:  # which scipy refuses: there is nothing to draw
        return np.repeat(statistic(np.zeros((1, 1), dtype=int), axis=-1), resamples, axis=-1)
    drawn = stats.bootstrap(
        (np.arange(groups),),
        statistic,
        n_resamples=resamples,
        batch=max(1, chunk_bytes // (_BYTES_A_DRAW * groups)),
        vectorized=True,
        method="percentile",
        rng=random,
    )
    distribution: np.ndarray = drawn.bootstrap_distribution
    return distribution


def resample_sums(
    values: Sequence[np.ndarray], *, resamples: int, random: np.random.Generator, chunk_bytes: int = CHUNK_BYTES
) -> np.ndarray:
    """Return the sums of each resample, of shape (values, resamples), of values that each group has; see `resample`."""

    def sums(drawn: np.ndarray, axis: int) -> np.ndarray:
        return np.stack([of_group[drawn].sum(axis=axis) for of_group in values])

    return resample(sums, len(values[0]), resamples=resamples, random=random, chunk_bytes=chunk_bytes)


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
    loss = _MEANS_OVER_ROWS.get(metric.scorer)
    if loss is not None:
        return _resampled_means(loss, model, sample, resamples=resamples, seed=seed)
    scores: np.ndarray = RowScores([model], metric, sample).resampled(resamples=resamples, seed=seed)[0]
    return scores


def _resampled_means(loss: RowLoss, model: Any, sample: Sample, *, resamples: int, seed: int) -> np.ndarray:
    """Do it for a metric that is a mean over rows: each group's sums are all that has to be drawn."""
    groups = _Groups(sample.groups)
    weights = loss.row_weights(sample.target, sample.weights)
    parts = [groups.sums(weights * loss.losses(model, sample.features, sample.target)), groups.sums(weights)]
    del groups, weights  # resamples have that memory then
    total, weight = resample_sums(parts, resamples=resamples, random=np.random.default_rng(seed), chunk_bytes=0)
    scores: np.ndarray = loss.of_mean(np.divide(total, weight, out=np.full(resamples, np.nan), where=weight > 0))
    return scores


class RowScores:
    """Measures models on chosen rows of a sample, by any metric; what a model predicts for the sample is computed once.

    A function of the user's own that is called with an estimator gets the model itself and the chosen rows, and may do what it
    likes with them.

    Args:
        models: Fitted.
        metric: What to measure.
        sample: The rows.
        task: What the models do, for those that do not say it themselves.
    """

    def __init__(self, models: Sequence[Any], metric: Metric, sample: Sample, *, task: Task | None = None) -> None:
        self._metric, self._sample = metric, sample
        self._models = [model if metric.takes_model else Replay(model, sample.features, task=task) for model in models]
        for model in self._models:
            if isinstance(model, Replay) and task is Task.CLASSIFICATION and not hasattr(model, "classes_"):
                model.classes_ = np.unique(sample.target)  # which scorers look at before they ask for predictions

    def of(self, rows: np.ndarray) -> np.ndarray:
        """Return the metric of each model on some rows, of shape (models,).

        Args:
            rows: Their numbers, of shape (rows,).

        Raises:
            Exception: The metric cannot be computed there: scikit-learn's raise a ValueError, others what they like.
        """
        from sklearn import config_context

        sample, metric = self._sample, self._metric
        features = sample.features.iloc[rows].reset_index(drop=True) if metric.takes_model else rows
        with warnings.catch_warnings(), config_context(assume_finite=True):
            warnings.simplefilter("ignore")  # scorers warn of what a resample lacks, a thousand times
            measured = (
                evaluate(model, [metric], features, sample.target[rows], part_of(sample.weights, rows)) for model in self._models
            )
            return np.array([found[metric.name] for found in measured])

    def resampled(self, *, resamples: int, seed: int) -> np.ndarray:
        """Return the metric of each model on rows that are drawn anew, group by group, the same rows for all of them.

        Args:
            resamples: How often.
            seed: Decides what is drawn.

        Returns:
            Of shape (models, resamples); NaN where it cannot be computed, as with one class only.

        Raises:
            Exception: It cannot be computed on the rows as they are; see `of`.
        """
        groups = _Groups(self._sample.groups)
        # a resample lacks a class, or every weight in it is 0: it stays NaN, and is counted
        failures = Exception if isinstance(self._metric.made, OwnFunction) else ValueError

        def scores_of(drawn: np.ndarray, axis: int) -> np.ndarray:  # noqa: ARG001  # a resample is a row
            scores = np.full((len(self._models), len(drawn)), np.nan)
            for index, chosen in enumerate(drawn):
                with suppress(failures):
                    scores[:, index] = self.of(groups.rows(chosen))
            return scores

        self.of(np.arange(len(self._sample.target)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # scipy warns of what has no value
            scores = resample(scores_of, groups.count, resamples=resamples, random=np.random.default_rng(seed), chunk_bytes=0)
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
        task: What the model does, if it does not say it itself.
    """

    def __init__(self, model: Any, features: pd.DataFrame, *, task: Task | None = None) -> None:
        self._model, self._features, self._tags = model, features, _tags_of(model, task)
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


def _tags_of(model: Any, task: Task | None) -> Any:
    from sklearn.dummy import DummyClassifier, DummyRegressor
    from sklearn.utils import get_tags

    usual = DummyRegressor() if task is Task.REGRESSION else DummyClassifier()
    return get_tags(model if hasattr(model, "__sklearn_tags__") or task is None else usual)


class _Groups:
    """The rows of each group; groups are numbered from 0 in the order of their own numbers.

    Args:
        groups: For every row, the number of its group.
    """

    def __init__(self, groups: np.ndarray) -> None:
        self._order = np.argsort(groups, kind="stable")
        _, self._starts, self._sizes = np.unique(groups[self._order], return_index=True, return_counts=True)

    @property
    def count(self) -> int:
        return len(self._starts)

    def rows(self, drawn: np.ndarray) -> np.ndarray:
        """Return the numbers of the rows of drawn groups."""
        count = self._sizes[drawn]
        ends = count.cumsum()
        rows: np.ndarray = self._order[np.repeat(self._starts[drawn] - (ends - count), count) + np.arange(ends[-1])]
        return rows

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Add up values, of shape (rows,), within each group."""
        sums: np.ndarray = np.add.reduceat(values[self._order], self._starts)
        return sums
