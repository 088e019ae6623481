"""The winner, fitted once more: on all rows that are not test rows, and measured on these."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from wine_sweep.config import BootstrapConfig
from wine_sweep.data.splits import TrainingData
from wine_sweep.errors import ModelError
from wine_sweep.evaluation.bootstrap import MOST_LEFT_OUT, Interval, Sample, percentile_interval, resample_scores
from wine_sweep.evaluation.capture import foreign_output_shown
from wine_sweep.evaluation.estimators import fit, part_of
from wine_sweep.evaluation.metrics import Metric, evaluate
from wine_sweep.evaluation.row_losses import Predictions, row_loss_of
from wine_sweep.monitoring.reference import Reference, make_reference

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Winner:
    """A refitted model.

    Args:
        model: Fitted on all rows that are not test rows; None where a function gives none.
        test_scores: Its metrics on the test rows; empty where there are none.
        interval: The bootstrap percentile interval of the objective's metric on them; None when there is none.
        train: The features of the rows that it was fitted on; None where there is no table.
        test: The test rows' features.
        predictions: What the model predicts for the test rows.
        reference: What it was trained and tested on; None where there is no table, or no model that predicts.
    """

    model: Any
    test_scores: Mapping[str, float]
    interval: Interval | None = None
    train: pd.DataFrame | None = None
    test: pd.DataFrame | None = None
    predictions: np.ndarray | None = None
    reference: Reference | None = None


def rows_of(material: TrainingData) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the features of the rows that are no test rows, and of those that are."""
    features, split = material.dataset.features, material.split
    return features.iloc[split.train].reset_index(drop=True), features.iloc[split.test].reset_index(drop=True)


def refit(
    model: Any,
    material: TrainingData,
    metrics: Sequence[Metric],
    *,
    bootstrap: BootstrapConfig,
    objective: str,
    seed: int,
    folds: Iterable[Predictions] = (),
) -> Winner:
    """Fit the winner on all rows that are not test rows, and measure it on the test rows.

    Args:
        model: Unfitted.
        material: The rows.
        metrics: What is measured, the one first that an interval is wanted of.
        bootstrap: How the interval is drawn.
        objective: The metric that decides.
        seed: Seeds the interval.
        folds: What models like it predict for training rows that they were not fitted on, by the rows' numbers in the table:
            more rows than the test rows then tell later what it lost.

    Raises:
        ModelError: The estimator fails on them.
    """
    dataset, split = material.dataset, material.split
    target = dataset.target.to_numpy()
    train, test = rows_of(material)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the trial has recorded what its estimator warns of
        try:
            fit(model, train.copy(), target[split.train], part_of(dataset.weights, split.train))
            predictions = np.asarray(model.predict(test.copy()))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # an estimator of the user's may raise anything
            raise ModelError(f"the winner cannot be fitted on all training rows: {type(error).__name__}: {error}") from error
        sample = Sample(test, target[split.test], dataset.groups[split.test], part_of(dataset.weights, split.test))
        scores = _test_scores(model, metrics, sample)
        interval = _test_interval(model, metrics[0], sample, bootstrap, seed) if objective in scores else None
    reference = reference_of(model, material, predictions, objective=objective, seed=seed, folds=folds)
    return Winner(model, scores, interval, train, test, predictions, reference)


def fold_predictions(unfitted: Any, material: TrainingData, objective: str) -> Iterator[Predictions]:
    """Fit a model for each fold as a trial does, and yield what it predicts for the rows that it is to be measured on.

    Args:
        unfitted: The model.
        material: The rows.
        objective: The metric that decides.

    Raises:
        Exception: Whatever the model raises.
    """
    dataset, train = material.dataset, material.split.train
    target = dataset.target.to_numpy()
    for fold in material.folds:
        rows, model = train[fold.fit], copy.deepcopy(unfitted)
        fit(model, dataset.features.iloc[rows].reset_index(drop=True), target[rows], part_of(dataset.weights, rows))
        loss = row_loss_of(objective, dataset.task, probabilities=hasattr(model, "predict_proba"))
        measured = train[fold.measure]
        features = dataset.features.iloc[measured].reset_index(drop=True)
        yield Predictions.by(model, features, measured, probabilities=loss.needs_probabilities)


def reference_of(
    model: Any,
    material: TrainingData,
    predictions: np.ndarray,
    *,
    objective: str,
    seed: int,
    folds: Iterable[Predictions] = (),
) -> Reference | None:
    """Take down what a model was trained and tested on; None, and the user told, where its predictions are of another kind.

    Args:
        model: Fitted on all rows that are not test rows.
        material: The rows.
        predictions: What it predicts for the test rows.
        objective: The metric that decides.
        seed: Decides which training rows are kept of many.
        folds: What models like it predict for rows that they were not fitted on.
    """
    dataset, split = material.dataset, material.split
    make = partial(make_reference, dataset, split, model, predictions, task=dataset.task, objective_metric=objective, seed=seed)
    attempts = [(folds, "later checks go by the test rows alone"), ((), "the model is kept without what later checks need")]
    with foreign_output_shown(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as in the trial
        for given, consequence in attempts:
            try:
                return make(folds=given)
            except Exception as error:  # noqa: BLE001  # models of the user's may raise anything; without folds, or at all, it stands
                _logger.warning("%s: %s: %s", consequence, type(error).__name__, error)
    return None


def _test_scores(model: Any, metrics: Sequence[Metric], sample: Sample) -> dict[str, float]:
    """Measure on the test rows; a metric that cannot be computed there is left out, and the user told."""
    scores = {}
    for metric in metrics:
        try:
            value = evaluate(model, [metric], sample.features.copy(), sample.target, sample.weights)[metric.name]
        except Exception as error:  # noqa: BLE001  # a scorer may raise anything, and the winner stands without it
            _logger.warning("%s cannot be computed on the test rows: %s: %s", metric.name, type(error).__name__, error)
            continue
        if np.isfinite(value):
            scores[metric.name] = value
        else:
            _logger.warning("%s is %s on the %d test rows", metric.name, value, len(sample.target))
    return scores


def _test_interval(model: Any, metric: Metric, sample: Sample, asked: BootstrapConfig, seed: int) -> Interval | None:
    """Describe how sure a metric's value on the test rows is; None when the config wants no interval or there is none."""
    if asked.resamples == 0:
        return None
    scores = resample_scores(model, metric, sample, resamples=asked.resamples, seed=seed)
    interval = percentile_interval(scores, asked.confidence, metric=metric.name)
    if interval is None:
        _logger.warning(
            "no interval for %s on the test rows: it cannot be computed on %d of %d resamples, more than %g%%",
            metric.name,
            np.isnan(scores).sum(),
            len(scores),
            100 * MOST_LEFT_OUT,
        )
    return interval
