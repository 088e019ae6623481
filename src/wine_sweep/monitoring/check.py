"""Check a model on new rows: schema violations, drift, loss; and what the check comes to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import pandas as pd

from wine_sweep.config import Direction
from wine_sweep.data.dataset import check_weights, refuse_infinite
from wine_sweep.data.table import as_numbers
from wine_sweep.errors import DataError, ModelError
from wine_sweep.monitoring.drift import (
    FALSE_DISCOVERIES,
    Aspect,
    Drift,
    Finding,
    Part,
    adjust,
    compare_columns,
    find_oddities,
    take_features,
)
from wine_sweep.monitoring.loss import FEWEST_GROUPS, LEAST_RISE, POWER, TO_CATCH, LossComparison, Losses, compare_losses
from wine_sweep.monitoring.reference import ColumnKind, ColumnProfile, Reference, independent, plain, plain_table
from wine_sweep.trial import Task

_SHOWN = 5


class State(StrEnum):
    """What a check of a model comes to."""

    HEALTHY = "healthy"
    DRIFTED = "drifted"
    """The rows are others than in training; that the model loses more on them is not shown."""
    DECAYED = "decayed"
    """The model loses more than when it was made."""


@dataclass(frozen=True)
class CheckResult:
    """What a check of a model comes to.

    Args:
        state: In a word.
        reasons: Why, a sentence each.
        rows: How many new rows it was checked on.
        excluded: How many were left out, since the model was trained on them.
        findings: What is in the new rows that was in no training row.
        drifts: How far each column has moved, what has moved first.
        loss: What the model loses on the new rows; None where their truth is not known.
    """

    state: State
    reasons: Sequence[str]
    rows: int
    excluded: int
    findings: Sequence[Finding]
    drifts: Sequence[Drift]
    loss: LossComparison | None

    @property
    def moved(self) -> list[Drift]:
        """What has moved."""
        return [drift for drift in self.drifts if drift.moved]

    def record(self) -> dict[str, Any]:
        """Return what ``check.json`` and ``--json`` hold."""
        return {
            "state": self.state.value,
            "reasons": list(self.reasons),
            "rows": self.rows,
            "excluded_rows": self.excluded,
            "findings": [finding.record() for finding in self.findings],
            "drift": [drift.record() for drift in self.drifts],
            "loss": self.loss.record() if self.loss is not None else None,
        }


def judge(
    *, rows: int, excluded: int, findings: Sequence[Finding], drifts: Sequence[Drift], loss: LossComparison | None
) -> CheckResult:
    """Decide: decayed where more is lost, surely and by enough; drifted where something has moved; healthy otherwise.

    What cannot be told for want of rows is said, and is no reason to call a model decayed. The arguments are those of
    `CheckResult`.
    """
    moved = [drift for drift in drifts if drift.moved]
    state = State.DRIFTED if moved else State.HEALTHY
    if loss is not None and loss.decayed:
        state = State.DECAYED
    return CheckResult(state, [*_of_loss(loss), *_of_drift(moved, len(drifts))], rows, excluded, findings, drifts, loss)


def _of_loss(loss: LossComparison | None) -> list[str]:
    if loss is None:
        return ["What the model loses is not known: the new rows lack the column that it predicts."]
    then, now = f"{loss.recorded_rows} unseen rows when it was made", f"{loss.new_rows} new rows"
    sentence = f"{loss.metric} was {loss.recorded:.4g} on {then} and is {loss.new:.4g} on {now}"
    if loss.low is None or loss.high is None:
        return [f"{sentence}; fewer than {FEWEST_GROUPS} of these are different ones, too few to tell."]
    ends = f"{100 * loss.confidence:g}% interval of the difference {_signed(loss.low)} to {_signed(loss.high)}"
    reasons = [f"{sentence}: {_change(loss)} ({ends})."]
    if loss.low > 0 and not loss.decayed:
        reasons.append(f"A rise of less than {loss.least_rise:.0%} does not count.")
    return reasons if loss.decayed or loss.is_telling else [*reasons, _too_few(loss)]


def _change(loss: LossComparison) -> str:
    if loss.worse == 0:
        return "the same"
    word = "worse" if loss.worse > 0 else "better"
    if not math.isfinite(loss.rise):
        return f"{abs(loss.worse):.3g} {word}"
    what = "wrong classes" if loss.metric.direction is Direction.MAXIMIZE else "lost"
    return f"{abs(loss.worse):.3g} {word}, {abs(loss.rise):.1%} {'more' if loss.rise > 0 else 'less'} {what}"


def _too_few(loss: LossComparison) -> str:
    rise = f"{TO_CATCH:.0%}"
    if loss.needed_rows is None:
        return f"The rows when it was made are too few to see a rise of {rise}, however many new rows there are."
    return f"A rise of {rise} may go unseen: it takes {loss.needed_rows} rows like these to see one {POWER:.0%} of the time."


def _of_drift(moved: Sequence[Drift], tested: int) -> list[str]:
    if not moved:
        return [f"Nothing has moved: {tested} tests, false discoveries kept to {FALSE_DISCOVERIES:.0%}."]
    names = [drift.name for drift in moved if drift.aspect is not Aspect.PREDICTION]
    reasons = []
    if names:
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        have = "feature has" if len(names) == 1 else "features have"
        reasons.append(f"{len(names)} {have} moved: {', '.join(names[:_SHOWN])}{more}.")
    if len(names) < len(moved):
        reasons.append("What the model predicts has moved.")
    return reasons


def _signed(value: float) -> str:
    return f"{value:+.3g}"


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
    """Return what a model predicted for its test rows; for those that it was trained on it is too near the truth."""
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
    """Describe what the new rows lose whose truth is known; None where that is none."""
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
