"""A model checked on new rows: what is odd about them, what has moved, what it loses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from wine_sweep.data.roles import as_numbers, check_weights, refuse_infinite
from wine_sweep.decay.columns import ColumnKind, ColumnProfile, plain, plain_table
from wine_sweep.decay.drift import Aspect, Part, adjust, compare_columns
from wine_sweep.decay.loss import LEAST_RISE, LossComparison, Losses, compare_losses
from wine_sweep.decay.reference import Reference, independent
from wine_sweep.decay.schema import find_oddities, take_features
from wine_sweep.decay.verdict import CheckResult, judge
from wine_sweep.errors import DataError, ModelError
from wine_sweep.task import Task

PREDICTION = "prediction"
"""The name of a column of predictions."""

_SOURCE = ("data", "source")


@dataclass(frozen=True)
class Thresholds:
    """What counts as decay.

    Args:
        confidence: Of the interval that must lie above 0.
        least_rise: The share by which more must be lost.
        seed: Decides what is drawn.
    """

    confidence: float = 0.95
    least_rise: float = LEAST_RISE
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Checked:
    """New rows that a model was checked on.

    Args:
        result: What it comes to.
        features: The rows, as `plain_table` gives them.
        predictions: What the model predicts for them, as `plain` gives it.
        losses: What each row with a known truth loses; None where none has.
    """

    result: CheckResult
    features: pd.DataFrame
    predictions: pd.Series
    losses: np.ndarray | None


def check_rows(reference: Reference, model: Any, table: pd.DataFrame, limits: Thresholds | None = None) -> Checked:
    """Check a model on new rows; those that it was trained on are left out.

    Args:
        reference: What it was trained and tested on.
        model: Has `predict`, and where probabilities count `predict_proba` and `classes_`.
        table: The new rows with all columns as read; the target may be missing, or have gaps.
        limits: What counts as decay.

    Raises:
        DataError: The model cannot predict such rows, was trained on all of them, or the target or the weights are not such.
        ModelError: The model fails on them.
    """
    table = table.rename(columns=str)
    every = take_features(table, reference.columns)
    known = reference.was_trained_on(every)
    if known.all():
        raise DataError(f"the model was trained on every one of these {len(table)} rows; a check needs rows that it has not seen")
    table, features = table[~known].reset_index(drop=True), every[~known].reset_index(drop=True)
    predictions = _predict(model, features)
    now = plain_table(features, reference.columns)
    groups = reference.grouping.groups_of(table, now)
    kind = _kind_predicted(reference)
    predicted = plain(pd.Series(predictions, name=PREDICTION), kind)
    worth = independent(groups)
    drifts = compare_columns(Part(reference.train, reference.train_independent), Part(now, worth), reference.columns)
    prediction = [ColumnProfile(PREDICTION, kind)]
    then = predicted_then(reference)
    drifts += compare_columns(then, Part(predicted.to_frame(), worth), prediction, aspect=Aspect.PREDICTION)
    losses = _losses(reference, model, _LabelledRows(table, features, predictions, groups))
    loss = None if losses is None else _compare(reference, losses, limits or Thresholds())
    oddities = find_oddities(features, reference.columns)
    result = judge(rows=len(features), excluded=int(known.sum()), findings=oddities, drifts=adjust(drifts), loss=loss)
    return Checked(result, now, predicted, None if losses is None else losses.losses)


def _predict(model: Any, features: pd.DataFrame) -> np.ndarray:
    try:
        predictions = np.asarray(model.predict(features.copy())).reshape(-1)
    except Exception as error:  # a model of the user's may raise anything
        raise ModelError(f"the model does not predict these rows: {type(error).__name__}: {error}") from error
    if len(predictions) != len(features):
        raise ModelError(f"the model gives {len(predictions)} predictions for {len(features)} rows")
    return predictions


def _kind_predicted(reference: Reference) -> ColumnKind:
    return ColumnKind.NUMBER if reference.task is Task.REGRESSION else ColumnKind.CATEGORY


def predicted_then(reference: Reference) -> Part:
    """Give what a model predicted for its test rows; what it predicts for those that it was trained on is too near the truth."""
    predicted = plain(reference.test["prediction"].rename(PREDICTION), _kind_predicted(reference))
    return Part(predicted.to_frame(), independent(reference.test["group"].to_numpy()))


@dataclass(frozen=True, eq=False)
class _LabelledRows:
    """New rows: all columns, the features, what is predicted, and the group of each."""

    table: pd.DataFrame
    features: pd.DataFrame
    predictions: np.ndarray
    groups: np.ndarray


def _losses(reference: Reference, model: Any, rows: _LabelledRows) -> Losses | None:
    """Say what the new rows lose whose truth is known; None where that is none."""
    table = rows.table
    if reference.target not in table.columns or table[reference.target].isna().all():
        return None
    labelled = table[reference.target].notna().to_numpy()
    target = _truth(table.loc[labelled, reference.target], reference.task)
    weights = None
    if reference.weight_column is not None and reference.weight_column in table.columns:
        weights = check_weights(table.loc[labelled, reference.weight_column]).to_numpy()
    metric = reference.metric
    try:
        if metric.needs_probabilities:
            losses = metric.losses(model, rows.features[labelled], target)
        else:
            losses = metric.of_predictions(rows.predictions[labelled], target)
    except Exception as error:  # as above
        raise ModelError(f"what the model predicts for these rows cannot be measured: {type(error).__name__}: {error}") from error
    return Losses(losses, metric.row_weights(target, weights), rows.groups[labelled])


def _truth(target: pd.Series, task: Task) -> np.ndarray:
    if task is Task.CLASSIFICATION:
        return target.to_numpy()
    typed = as_numbers(target, path=_SOURCE, why="the model predicts numbers")
    refuse_infinite(typed, _SOURCE)
    return typed.to_numpy()


def _compare(reference: Reference, new: Losses, limits: Thresholds) -> LossComparison:
    then = reference.measured
    weights = reference.metric.row_weights(then["target"].to_numpy(), then["weight"].to_numpy())
    recorded = Losses(then["loss"].to_numpy(dtype=float), weights, then["group"].to_numpy())
    return compare_losses(
        recorded, new, reference.metric, confidence=limits.confidence, least_rise=limits.least_rise, seed=limits.seed
    )
