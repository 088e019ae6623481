"""The gate: the winner against the version that is in the stage, on rows that neither was trained on."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from wine_sweep.config import Direction, GateConfig
from wine_sweep.decay.reference import Reference
from wine_sweep.errors import ModelError
from wine_sweep.foreign_output import foreign_output_shown
from wine_sweep.gate import (
    Verdict,
    champion_columns,
    champion_fails,
    champion_unloadable,
    fit_dummy,
    judge_against_champion,
    judge_against_dummy,
    no_gate,
    other_target,
    other_task,
    same_model,
    sliceable,
    unknown_rows,
)
from wine_sweep.objective.row_losses import RowLoss, row_loss_of
from wine_sweep.objective.weights import part_of
from wine_sweep.registry import RegisteredVersion
from wine_sweep.runner.challenger import Challenger, test_features
from wine_sweep.subjects.material import TrainingData
from wine_sweep.subjects.prepared import SweepPlan
from wine_sweep.tracking import names
from wine_sweep.tracking.loading import load_model
from wine_sweep.tracking.reference import read_reference

_logger = logging.getLogger(__name__)


def ask_gate(challenger: Challenger, champion: RegisteredVersion | None) -> Verdict:
    """Say whether the challenger takes the champion's place.

    Args:
        challenger: The winner of a sweep.
        champion: The version that is in the stage; None when there is none.

    Raises:
        ModelError: The challenger's own model cannot be loaded, or does not predict.
        TrackingError: The store failed.
    """
    if champion is not None and is_same(challenger, champion):
        why = _why_unloadable(champion, challenger)
        return same_model(champion.version) if why is None else champion_unloadable(champion.version, why)
    gate, material = challenger.prepared.gate, challenger.prepared.material
    if gate is None or material is None:
        return no_gate()
    reference = challenger.reference
    if reference is None:
        return unknown_rows(None)
    if champion is None:
        return _against_dummy(gate, challenger, reference, material)
    return _against_champion(gate, challenger, reference, material, champion)


def is_same(challenger: Challenger, champion: RegisteredVersion) -> bool:
    """Whether both are the same logged model, or made of the same parameters and rows."""
    if champion.source == challenger.model_uri:
        return True
    return bool(challenger.key) and champion.tags.get(names.MODEL_KEY) == challenger.key


def _against_dummy(gate: GateConfig, challenger: Challenger, reference: Reference, material: TrainingData) -> Verdict:
    dataset, train = material.dataset, material.split.train
    loss, target = reference.metric, dataset.target.to_numpy()
    rows = _Rows.of(material, ~reference.was_trained_on(test_features(material)))
    features = dataset.features.iloc[train]
    dummy = fit_dummy(reference.task, loss, features, target[train], part_of(dataset.weights, train))
    verdict = judge_against_dummy(
        gate,
        loss,
        loss.losses(dummy, rows.features, rows.target),
        _losses_of_winner(challenger, loss, rows),
        target=rows.target,
        groups=rows.groups,
        weights=rows.weights,
    )
    return _saying_by_what(verdict, challenger.prepared, loss)


def _against_champion(
    gate: GateConfig, challenger: Challenger, reference: Reference, material: TrainingData, champion: RegisteredVersion
) -> Verdict:
    version = champion.version
    before = read_reference(challenger.runs.client, champion.run_id) if champion.run_id else None
    if before is None:
        return unknown_rows(version)
    if before.target != reference.target:
        return other_target(version, before.target, reference.target)
    if before.task is not reference.task:
        return other_task(version, before.task, reference.task)
    gone = [name for name in before.names if name not in material.dataset.features]
    if gone:
        return champion_columns(version, gone=gone, new=[name for name in reference.names if name not in before.names])
    return _on_same_rows(gate, challenger, _Pair(before, reference), material, champion)


@dataclass(frozen=True)
class _Pair:
    """What the champion and the challenger were trained and tested on."""

    before: Reference
    after: Reference


def _on_same_rows(
    gate: GateConfig, challenger: Challenger, pair: _Pair, material: TrainingData, champion: RegisteredVersion
) -> Verdict:
    version, own, features = champion.version, challenger.model, test_features(material)
    try:
        model = load_model(champion.uri, challenger.trust)
    except ModelError as error:
        return champion_unloadable(version, str(error))
    both = all(hasattr(each, "predict_proba") for each in (model, own))
    loss = row_loss_of(challenger.prepared.deciding_metric, pair.after.task, probabilities=both)
    try:
        trained = pair.before.was_trained_on(features)
        rows = _Rows.of(material, ~trained & ~pair.after.was_trained_on(features))
        losses = loss.losses(model, rows.features, rows.target) if len(rows.target) else np.empty(0)
    except Exception as error:  # noqa: BLE001  # whatever somebody's model or other values raise; it is said, and the model is kept
        return champion_fails(version, f"{type(error).__name__}: {error}")
    own_losses = _losses_of_winner(challenger, loss, rows) if len(rows.target) else np.empty(0)
    if len(losses) >= gate.min_rows and loss.direction is Direction.MINIMIZE and np.array_equal(losses, own_losses):
        return same_model(version, rows=len(losses))
    verdict = judge_against_champion(
        gate,
        loss,
        losses,
        own_losses,
        target=rows.target,
        groups=rows.groups,
        weights=rows.weights,
        slices_table=rows.table[gate.slices],
        version=version,
        excluded=int(trained.sum()),
    )
    return _saying_by_what(verdict, challenger.prepared, loss)


@dataclass(frozen=True)
class _Rows:
    """The test rows that are compared on."""

    features: pd.DataFrame
    target: np.ndarray
    groups: np.ndarray
    weights: np.ndarray | None
    table: pd.DataFrame

    @classmethod
    def of(cls, material: TrainingData, kept: np.ndarray) -> _Rows:
        """Take those of the test rows that are kept, a bool for each."""
        dataset, rows = material.dataset, material.split.test[kept]
        return cls(
            dataset.features.iloc[rows].reset_index(drop=True),
            dataset.target.to_numpy()[rows],
            dataset.groups[rows],
            part_of(dataset.weights, rows),
            sliceable(dataset).iloc[rows].reset_index(drop=True),
        )


def _saying_by_what(verdict: Verdict, prepared: SweepPlan, loss: RowLoss) -> Verdict:
    """Say which metric stands in for the one that decides, where that is no mean over rows."""
    metric = prepared.deciding_metric
    if verdict.comparison is None or metric == loss:
        return verdict
    said = f"{loss.value} stands in for {metric or 'what decides'}: models are compared row by row."
    return replace(verdict, reasons=(*verdict.reasons, said))


def _why_unloadable(champion: RegisteredVersion, challenger: Challenger) -> str | None:
    is_its_own = champion.source == challenger.model_uri  # promoted by a process that was killed before the sweep ended
    written = challenger.saved.written if is_its_own else None
    try:
        load_model(champion.uri, replace(challenger.trust, written=written))
    except ModelError as error:
        return str(error)
    return None


def _losses_of_winner(challenger: Challenger, loss: RowLoss, rows: _Rows) -> np.ndarray:
    try:
        with foreign_output_shown():
            return loss.losses(challenger.model, rows.features, rows.target)
    except ModelError:
        raise
    except Exception as error:  # whatever somebody's model raises
        message = f"the winner, trial {challenger.trial.number}, does not predict the test rows: {type(error).__name__}: {error}"
        raise ModelError(message) from error


def evidence_of(verdict: Verdict) -> Mapping[str, Any]:
    """Give the numbers of a verdict, for the ledger."""
    return {key: value for key, value in verdict.record().items() if key not in ("reasons", "ground", "decision")}
