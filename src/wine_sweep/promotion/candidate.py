"""The candidate for promotion: a sweep's winner, logged as a model under the run of its trial."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from wine_sweep.data.splits import TrainingData
from wine_sweep.errors import ModelError
from wine_sweep.monitoring.reference import Reference
from wine_sweep.targets.base import SweepPlan
from wine_sweep.targets.refit import Winner, reference_of
from wine_sweep.targets.trust import trusts_model
from wine_sweep.tracking import names
from wine_sweep.tracking.model_policy import ModelTrust
from wine_sweep.tracking.models import LoadedModel, ModelToLog, SavedModel, check_loads_back, is_alike, load_model, log_model
from wine_sweep.tracking.monitoring_runs import read_reference, write_reference
from wine_sweep.tracking.retry import RetryPolicy
from wine_sweep.tracking.runs import SweepRuns
from wine_sweep.trial import Trial

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Challenger:
    """The winner, as it is to be promoted.

    Args:
        prepared: What was swept.
        trial: The trial that won.
        winner: Its model in memory; None where only MLflow has it.
        saved: Its logged model.
        runs: The sweep's runs.
        name: The registered model that it is to become a version of.
    """

    prepared: SweepPlan
    trial: Trial
    winner: Winner | None
    saved: SavedModel
    runs: SweepRuns
    name: str

    @property
    def model_uri(self) -> str:
        """The URI of its logged model."""
        return self.saved.uri

    @property
    def trust(self) -> ModelTrust:
        """Whose word counts when a version of the registered model is loaded."""
        return ModelTrust(self.name, trusts_model(self.prepared.trusted, self.name))

    @cached_property
    def model(self) -> Any:
        """The fitted model.

        Raises:
            ModelError: It cannot be loaded.
        """
        kept = self.winner.model if self.winner is not None else None
        return kept if hasattr(kept, "get_params") else self.loaded

    @cached_property
    def loaded(self) -> LoadedModel:
        """The model as its users load it.

        Raises:
            ModelError: It cannot be loaded.
        """
        return load_model(self.model_uri, replace(self.trust, written=self.saved.written))

    @cached_property
    def reference(self) -> Reference | None:
        """What it was trained and tested on; where there is no such record yet it is made, and None where that cannot be."""
        if self.winner is not None and self.winner.reference is not None:
            return self.winner.reference
        run_id = self.trial.run_id or ""
        return read_reference(self.runs.client, run_id) or self._take_down(run_id)

    def _take_down(self, run_id: str) -> Reference | None:
        """Make the record of a model that was logged without one, such as a Python model of somebody's own."""
        prepared, material = self.prepared, self.prepared.material
        if material is None:
            return None
        try:
            predictions = self.loaded.predict(test_features(material))
        except ModelError:
            raise
        except Exception as error:  # noqa: BLE001  # whatever somebody's model raises; without a record it is not promoted
            _logger.warning("the model does not predict the test rows: %s: %s", type(error).__name__, error)
            return None
        objective, seed = prepared.objective.metric, prepared.config.search.seed
        made = reference_of(self.loaded, material, predictions, objective=objective, seed=seed)
        if made is not None:
            write_reference(self.runs.client, run_id, made)
        return made

    def check_loads(self) -> None:
        """Load the model as its users will, and see that it predicts the test rows as it did when it was kept.

        Raises:
            ModelError: It does not.
        """
        model, material, reference = self.loaded, self.prepared.material, self.reference
        if material is None or reference is None or len(reference.test) != len(material.split.test):
            return
        now, then = np.asarray(model.predict(test_features(material))).reshape(-1), reference.test["prediction"].to_numpy()
        if not is_alike(now, then):
            raise ModelError(f"{self.model_uri} predicts otherwise than when it was kept")

    @property
    def key(self) -> str:
        """A digest, in hex, of what makes the model: its kind, its parameters, its seed, and the rows that it was trained on.

        Empty for a command, which reads rows that only it knows, and where chance decides what comes of a fit.
        """
        material, config = self.prepared.material, self.prepared.config
        if material is None or self.prepared.unseeded_parameters(self.trial):
            return ""
        models = {name: model.model_dump(mode="json", exclude={"parameters"}) for name, model in config.families.items()}
        if config.model is not None and config.model.function is not None:
            models = {}  # where its file lies is not what it is: its content is in the sweep's digest
        parts = [models, self.trial.key, self.prepared.digest, config.search.seed]
        found = hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode())
        found.update(np.ascontiguousarray(material.split.train, dtype="<i8").tobytes())
        return found.hexdigest()


def test_features(material: TrainingData) -> pd.DataFrame:
    """Return the features of the test rows, numbered from 0."""
    return material.dataset.features.iloc[material.split.test].reset_index(drop=True)


def log_winning_model(
    winner: Winner | None,
    runs: SweepRuns,
    run_id: str,
    *,
    trusted: tuple[str, ...],
    policy: RetryPolicy,
    note: Callable[[str, Mapping[str, str] | None], object] = lambda _uri, _written: None,
    clock: Callable[[], float] = time.time,
) -> SavedModel | None:
    """Log the winner as a model under its trial's run, load it back, and log its test metrics.

    What it was trained and tested on is written before the tag that says that there is a model.

    Where it was not fitted anew, the model is the one that the trial's own process has logged.

    Args:
        winner: The refitted model; None where the trial's run is to hold one.
        runs: The sweep's runs.
        run_id: The trial's run.
        trusted: Packages that the person at the keyboard trusts.
        policy: Tries each step again while the store is away.
        note: Keeps what has been saved, by its URI and the digests of its files, before the run's tag names it.
        clock: Tells the time in seconds since the epoch.

    Returns:
        The model; None when there is none.

    Raises:
        ModelError: It cannot be saved, or does not load back as it was.
        TrackingError: The store failed.
    """
    if winner is None:
        adopted = policy.run(lambda: runs.adopt_model(run_id))
        return SavedModel(adopted) if adopted is not None else None
    saved: SavedModel | None = None
    if winner.model is not None:
        saved = _keep(winner, runs, run_id, trusted, policy)
        note(saved.uri, saved.written)
    now, metrics = clock(), test_metrics(winner)
    policy.run(lambda: runs.log_metrics(run_id, metrics, at=now))
    if saved is not None:
        tags = {names.MODEL: saved.uri}
        policy.run(lambda: runs.set_tags(run_id, tags))
    return saved


def test_metrics(winner: Winner) -> dict[str, float]:
    """Return what the winner measures on the test rows, under the names that it has in MLflow."""
    metrics = {names.test_metric(name): value for name, value in winner.test_scores.items()}
    if winner.interval is not None:
        metrics[names.test_low_metric(winner.interval.metric)] = winner.interval.low
        metrics[names.test_high_metric(winner.interval.metric)] = winner.interval.high
    return metrics


def _keep(winner: Winner, runs: SweepRuns, run_id: str, trusted: tuple[str, ...], policy: RetryPolicy) -> SavedModel:
    to_log = ModelToLog(winner.model, winner.train, trusted)
    saved = policy.run(lambda: log_model(runs.client, to_log, experiment_id=runs.experiment_id, run_id=run_id))
    if winner.test is not None and winner.predictions is not None:
        test, predictions = winner.test, winner.predictions
        policy.run(lambda: check_loads_back(saved.uri, test, predictions, saved.written))
    if saved.reasons:
        why = "; ".join(saved.reasons)
        _logger.warning("the winner's model will be loaded only with --trust model:NAME, since it could run code (%s)", why)
    if winner.reference is not None:
        reference = winner.reference
        policy.run(lambda: write_reference(runs.client, run_id, reference))
    return saved
