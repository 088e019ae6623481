"""The winner, as it is to be promoted."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from wine_sweep.decay.reference import Reference
from wine_sweep.errors import ModelError
from wine_sweep.subjects.material import TrainingData
from wine_sweep.subjects.prepared import SweepPlan
from wine_sweep.subjects.refit import Winner, reference_of
from wine_sweep.subjects.trust import trusts_model
from wine_sweep.tracking.loading import LoadedModel, load_model
from wine_sweep.tracking.model_policy import ModelTrust
from wine_sweep.tracking.models import SavedModel, is_alike
from wine_sweep.tracking.reference import read_reference, write_reference
from wine_sweep.tracking.sweep_runs import SweepRuns
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
    """Give the features of the test rows, numbered from 0."""
    return material.dataset.features.iloc[material.split.test].reset_index(drop=True)
