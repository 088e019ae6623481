"""The winner: refitted, measured on the test rows, kept as a model, and promoted."""

from __future__ import annotations

import json
import logging
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from wine_sweep.config import Stage
from wine_sweep.errors import ModelError
from wine_sweep.objective.bootstrap import MOST_LEFT_OUT, Interval, Sample, percentile_interval, resample_scores
from wine_sweep.objective.metrics import evaluate
from wine_sweep.objective.weights import fit, part_of
from wine_sweep.registry import ModelRegistry, Promotion
from wine_sweep.runner.header import user_name
from wine_sweep.runner.preflight import Prepared
from wine_sweep.selection import Selection
from wine_sweep.tracking import names
from wine_sweep.tracking.models import ModelToLog, check_loads_back, log_model
from wine_sweep.tracking.outage import OutagePolicy
from wine_sweep.tracking.sweep_runs import SweepRuns
from wine_sweep.trial import Params

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Winner:
    """A refitted model.

    Args:
        model: Fitted on all rows that are not test rows.
        train: Those rows' features.
        test: The test rows' features.
        predictions: What the model predicts for the test rows.
        test_scores: Its metrics on them.
        interval: The bootstrap percentile interval of the objective's metric on them; None when there is none.
    """

    model: Any
    train: pd.DataFrame
    test: pd.DataFrame
    predictions: np.ndarray
    test_scores: Mapping[str, float]
    interval: Interval | None = None


def refit(prepared: Prepared, params: Params) -> Winner:
    """Fit the winner on all rows that are not test rows, and measure it on the test rows.

    Raises:
        ModelError: The estimator fails on them.
    """
    dataset, split = prepared.material.dataset, prepared.material.split
    target = dataset.target.to_numpy()
    train, test = (
        dataset.features.iloc[split.train].reset_index(drop=True),
        dataset.features.iloc[split.test].reset_index(drop=True),
    )
    model = prepared.factory.make(params)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the trial has recorded what its estimator warns of
        try:
            fit(model, train.copy(), target[split.train], part_of(dataset.weights, split.train))
            predictions = np.asarray(model.predict(test.copy()))
        except Exception as error:  # an estimator of the user's may raise anything
            raise ModelError(f"the winner cannot be fitted on all training rows: {type(error).__name__}: {error}") from error
        sample = Sample(test, target[split.test], dataset.groups[split.test], part_of(dataset.weights, split.test))
        scores = _test_scores(prepared, model, sample)
        interval = _test_interval(prepared, model, sample) if prepared.objective.metric in scores else None
    return Winner(model, train, test, predictions, scores, interval)


def _test_scores(prepared: Prepared, model: Any, sample: Sample) -> dict[str, float]:
    """Measure on the test rows; a metric that cannot be computed there is left out, and the user told."""
    scores = {}
    for metric in prepared.metrics:
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


def _test_interval(prepared: Prepared, model: Any, sample: Sample) -> Interval | None:
    """Say how sure the objective's value on the test rows is; None when the config wants no interval or there is none."""
    asked, metric = prepared.config.evaluation.bootstrap, prepared.metrics[0]
    if asked.resamples == 0:
        return None
    scores = resample_scores(model, metric, sample, resamples=asked.resamples, seed=prepared.config.search.seed)
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


def keep(
    winner: Winner,
    runs: SweepRuns,
    run_id: str,
    *,
    trusted: tuple[str, ...],
    policy: OutagePolicy,
    clock: Callable[[], float] = time.time,
) -> str:
    """Log the winner as a model under its trial's run, load it back, and log its test metrics.

    Args:
        winner: The refitted model.
        runs: The sweep's runs.
        run_id: The trial's run.
        trusted: Packages that the person at the keyboard trusts.
        policy: Tries each step again while the store is away.
        clock: Tells the time in seconds since the epoch.

    Returns:
        The model's URI.

    Raises:
        ModelError: It cannot be saved, or does not load back as it was.
        TrackingError: The store failed.
    """
    to_log = ModelToLog(winner.model, winner.train, trusted)
    uri = policy.run(lambda: log_model(runs.client, to_log, experiment_id=runs.experiment_id, run_id=run_id))
    policy.run(lambda: check_loads_back(uri, winner.test, winner.predictions))
    metrics = {names.test_metric(name): value for name, value in winner.test_scores.items()}
    if winner.interval is not None:
        metrics[names.test_low_metric(winner.interval.metric)] = winner.interval.low
        metrics[names.test_high_metric(winner.interval.metric)] = winner.interval.high
    now = clock()
    policy.run(lambda: runs.log_metrics(run_id, metrics, at=now))
    policy.run(lambda: runs.set_tags(run_id, {names.MODEL: uri}))
    return uri


def promote(
    prepared: Prepared,
    runs: SweepRuns,
    selection: Selection,
    *,
    name: str,
    stage: Stage,
    model_uri: str,
    policy: OutagePolicy,
    clock: Callable[[], float] = time.time,
) -> Promotion:
    """Move the winner to its stage in the Model Registry, and keep a record of it on the parent run.

    Args:
        prepared: What was swept.
        runs: The sweep's runs.
        selection: The winner and the reasons.
        name: The registered model.
        stage: The stage.
        model_uri: The winner's logged model.
        policy: Tries each step again while the store is away.
        clock: Tells the time in seconds since the epoch.

    Raises:
        TrackingError: The registry failed; what was in the stage is still there.
    """
    run_id = selection.trial.run_id
    if run_id is None:
        raise ModelError(f"trial {selection.trial.number} has no run in MLflow")
    tags = {
        names.SWEEP: runs.run_id,
        names.TRIAL: str(selection.trial.number),
        names.DATA: prepared.material.dataset.digest,
        names.PARAMS: json.dumps(dict(selection.trial.params)),
    }
    promotion = ModelRegistry(runs.client, policy).promote(
        name,
        stage,
        model_uri=model_uri,
        run_id=run_id,
        description="\n".join(f"- {reason}" for reason in selection.reasons),
        tags=tags,
    )
    when = datetime.fromtimestamp(clock(), UTC).isoformat(timespec="seconds")
    record = {**promotion.record(), "when": when, "who": user_name(), "sweep": runs.run_id, "reasons": list(selection.reasons)}
    policy.run(lambda: runs.write_json(names.PROMOTION_FILE, record))
    return promotion


def promotion_in_words(promotion: Promotion | None) -> str:
    """Say in a sentence what became of the winner."""
    if promotion is None:
        return "Not promoted."
    if promotion.already_there:
        return f"Version {promotion.version} of {promotion.name} is it already, in {promotion.stage.value}."
    instead = f", in place of version {', '.join(promotion.archived)}" if promotion.archived else ""
    where = f"{promotion.stage.value} (alias `{promotion.stage.alias}`)"
    return f"Now version {promotion.version} of {promotion.name} in {where}{instead}."
