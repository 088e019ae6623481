"""The gate: the winner against the version that is in the stage, on rows that neither was trained on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from wine_sweep.config import GateConfig
from wine_sweep.decay.reference import Reference
from wine_sweep.errors import ModelError
from wine_sweep.gate import (
    Verdict,
    champion_columns,
    champion_fails,
    champion_unloadable,
    fit_dummy,
    judge_against_champion,
    judge_against_dummy,
    no_gate,
    other_task,
    same_model,
    sliceable,
    unknown_rows,
)
from wine_sweep.objective.row_losses import RowLoss, row_loss_of
from wine_sweep.objective.weights import part_of
from wine_sweep.registry import Resident
from wine_sweep.subjects.material import Material
from wine_sweep.subjects.prepared import Prepared
from wine_sweep.subjects.refit import Winner
from wine_sweep.tracking import names
from wine_sweep.tracking.loading import load_model
from wine_sweep.tracking.reference import read_reference
from wine_sweep.tracking.sweep_runs import SweepRuns
from wine_sweep.trial import FIT_SECONDS, Trial


@dataclass(frozen=True)
class Challenger:
    """The winner, as it is to be promoted.

    Args:
        prepared: What was swept.
        trial: The trial that won.
        winner: Its model in memory; None where only MLflow has it.
        model_uri: Its logged model.
        runs: The sweep's runs.
    """

    prepared: Prepared
    trial: Trial
    winner: Winner | None
    model_uri: str
    runs: SweepRuns

    @cached_property
    def model(self) -> Any:
        """The fitted model.

        Raises:
            ModelError: It cannot be loaded.
        """
        kept = self.winner.model if self.winner is not None else None
        return kept if kept is not None else load_model(self.model_uri)

    @cached_property
    def reference(self) -> Reference | None:
        """What it was trained and tested on; None where it has no such record."""
        if self.winner is not None and self.winner.reference is not None:
            return self.winner.reference
        return read_reference(self.runs.client, self.trial.run_id or "")

    @property
    def key(self) -> str:
        """A digest, in hex, of what makes the model: its kind, its parameters, and the rows that it was trained on.

        Empty for a command, which reads rows that only it knows.
        """
        material, config = self.prepared.material, self.prepared.config
        if material is None:
            return ""
        models = {name: model.model_dump(mode="json", exclude={"parameters"}) for name, model in config.families.items()}
        if config.model is not None and config.model.function is not None:
            models = {}  # where its file lies is not what it is: its content is in the sweep's digest
        parts = [models, self.trial.key, self.prepared.digest]
        found = hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode())
        found.update(np.ascontiguousarray(material.split.train, dtype="<i8").tobytes())
        return found.hexdigest()


def ask_gate(challenger: Challenger, champion: Resident | None) -> Verdict:
    """Say whether the challenger takes the champion's place.

    Args:
        challenger: The winner of a sweep.
        champion: The version that is in the stage; None when there is none.

    Raises:
        ModelError: The challenger's own model cannot be loaded, or does not predict.
        TrackingError: The store failed.
    """
    if champion is not None and is_same(challenger, champion):
        return same_model(champion.version)
    gate, material = challenger.prepared.gate, challenger.prepared.material
    if gate is None or material is None:
        return no_gate()
    reference = challenger.reference
    if reference is None:
        registry = challenger.prepared.config.registry
        return unknown_rows(None) if registry is not None and registry.asks_for_gate else no_gate()
    if champion is None:
        return _against_dummy(gate, challenger, reference, material)
    return _against_champion(gate, challenger, reference, material, champion)


def is_same(challenger: Challenger, champion: Resident) -> bool:
    """Whether both are the same logged model, or made of the same parameters and rows."""
    if champion.source == challenger.model_uri:
        return True
    return bool(challenger.key) and champion.tags.get(names.MODEL_KEY) == challenger.key


def _against_dummy(gate: GateConfig, challenger: Challenger, reference: Reference, material: Material) -> Verdict:
    dataset, train = material.dataset, material.split.train
    loss, target = reference.metric, dataset.target.to_numpy()
    rows = _Rows.of(material, ~reference.was_trained_on(_test_features(material)))
    features = dataset.features.iloc[train]
    dummy = fit_dummy(reference.task, loss, features, target[train], part_of(dataset.weights, train))
    return judge_against_dummy(
        gate,
        loss,
        loss.losses(dummy, rows.features, rows.target),
        _losses_of_winner(challenger, loss, rows),
        target=rows.target,
        groups=rows.groups,
        weights=rows.weights,
    )


def _against_champion(
    gate: GateConfig, challenger: Challenger, reference: Reference, material: Material, champion: Resident
) -> Verdict:
    version = champion.version
    before = read_reference(challenger.runs.client, champion.run_id) if champion.run_id else None
    if before is None:
        return unknown_rows(version)
    if before.task is not reference.task or before.target != reference.target:
        return other_task(version, before.task, reference.task)
    gone = [name for name in before.names if name not in material.dataset.features]
    if gone:
        return champion_columns(version, gone=gone, new=[name for name in reference.names if name not in before.names])
    try:
        model = load_model(champion.uri)
    except ModelError as error:
        return champion_unloadable(version, str(error))
    features = _test_features(material)
    trained = before.was_trained_on(features)
    rows = _Rows.of(material, ~trained & ~reference.was_trained_on(features))
    both = all(hasattr(each, "predict_proba") for each in (model, challenger.model))
    loss = row_loss_of(_deciding_metric(challenger.prepared), reference.task, probabilities=both)
    try:
        champion_losses = loss.losses(model, rows.features, rows.target) if len(rows.target) else np.empty(0)
    except Exception as error:  # noqa: BLE001  # whatever somebody's model raises; it is said, and the model is kept
        return champion_fails(version, f"{type(error).__name__}: {error}")
    return judge_against_champion(
        gate,
        loss,
        champion_losses,
        _losses_of_winner(challenger, loss, rows) if len(rows.target) else np.empty(0),
        target=rows.target,
        groups=rows.groups,
        weights=rows.weights,
        slices_table=rows.table[gate.slices],
        version=version,
        excluded=int(trained.sum()),
    )


@dataclass(frozen=True)
class _Rows:
    """The test rows that are compared on."""

    features: pd.DataFrame
    target: np.ndarray
    groups: np.ndarray
    weights: np.ndarray | None
    table: pd.DataFrame

    @classmethod
    def of(cls, material: Material, kept: np.ndarray) -> _Rows:
        """Take those of the test rows that are kept, a bool for each."""
        dataset, rows = material.dataset, material.split.test[kept]
        return cls(
            dataset.features.iloc[rows].reset_index(drop=True),
            dataset.target.to_numpy()[rows],
            dataset.groups[rows],
            part_of(dataset.weights, rows),
            sliceable(dataset).iloc[rows].reset_index(drop=True),
        )


def _test_features(material: Material) -> pd.DataFrame:
    return material.dataset.features.iloc[material.split.test].reset_index(drop=True)


def _deciding_metric(prepared: Prepared) -> str:
    """Give the first metric that decides and is about predictions."""
    return next((name for name in prepared.objective.metrics if name != FIT_SECONDS), "")


def _losses_of_winner(challenger: Challenger, loss: RowLoss, rows: _Rows) -> np.ndarray:
    try:
        return loss.losses(challenger.model, rows.features, rows.target)
    except ModelError:
        raise
    except Exception as error:  # whatever somebody's model raises
        message = f"the winner, trial {challenger.trial.number}, does not predict the test rows: {type(error).__name__}: {error}"
        raise ModelError(message) from error


def evidence_of(verdict: Verdict) -> Mapping[str, Any]:
    """Give the numbers of a verdict, for the ledger."""
    return {key: value for key, value in verdict.record().items() if key not in ("reasons", "ground", "decision")}
