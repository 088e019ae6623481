"""Sweeps of a function of the user's own: called in a worker for each trial, and once more for the winner's model."""

from __future__ import annotations

import hashlib
import pickle
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from wine_sweep.errors import ModelError
from wine_sweep.execution import make_workers
from wine_sweep.foreign_output import foreign_output_shown
from wine_sweep.objective.context import Rows, Table
from wine_sweep.objective.function import FittedTrial, FunctionTask, RefitTask
from wine_sweep.objective.source import FunctionSource, Source
from wine_sweep.subjects.material import TrainingData
from wine_sweep.subjects.own_code import OwnCodeSweep
from wine_sweep.subjects.own_goals import needed_metrics
from wine_sweep.subjects.prepared import FitCount
from wine_sweep.subjects.refit import Winner, reference_of, rows_of
from wine_sweep.trial import Trial


@dataclass(frozen=True)
class FunctionSweep(OwnCodeSweep):
    """A sweep of a function.

    Args:
        source: Gives the function.
    """

    source: Source

    @property
    def kind(self) -> str:
        """See `SweepPlan`."""
        return "function"

    @property
    def subject(self) -> str:
        """The function's file and name, or its own name where it has no file of its own."""
        if isinstance(self.source, FunctionSource):
            return f"{self.source.file.name}:{self.source.name}"
        return self.source.name

    @property
    def digest(self) -> str:
        """Digest the function's file, and the table if there is one."""
        code = self.source.file.read_bytes() if isinstance(self.source, FunctionSource) else self.source.pickled
        found = hashlib.sha256(code)
        if self.material is not None:
            found.update(self.material.dataset.digest.encode())
        return found.hexdigest()

    @property
    def fits(self) -> FitCount:
        """A call for each fold and seed, and one for the winner."""
        calls = len(self.task().calls)
        return FitCount(calls, calls, winner=int(self.is_refitted))

    @property
    def trusted_packages(self) -> tuple[str, ...]:
        """Packages whose types a model may hold: the trusted ones, and the function's own module."""
        own = (self.source.module,) if isinstance(self.source, FunctionSource) else ()
        return (*super().trusted_packages, *own)

    def task(self) -> FunctionTask:
        """See `SweepPlan`."""
        return FunctionTask(
            self.source,
            self._fixed,
            self.config.search.seed,
            needed_metrics(self.objective),
            self._table(),
            self.config.evaluation.seeds,
            self.of,
            stepwise=self.config.search.pruner is not None,
            weighs=self.objective.weighs_models,
        )

    @property
    def is_refitted(self) -> bool:
        """Whether the function is called for the winner: for its test scores, or for a model that is to be promoted."""
        return self.material is not None or self.config.registry is not None

    def refit(self, trial: Trial, common: Path | None = None) -> Winner:  # noqa: ARG002  # nobody knows what a function's model predicts
        """Call the function once more, in a process of its own, as a trial is: on all rows that are not test rows.

        See `SweepPlan`.
        """
        material, parts = self.material, None
        if material is not None:
            rows = _rows_of(material)
            parts = rows.part(material.split.train), rows.part(material.split.test)
        with tempfile.TemporaryDirectory() as folder:
            done = self._call(Trial(trial.number, trial.params), parts, Path(folder))
        model = self._load(done)
        if material is None:
            return Winner(model, {})
        train, test = rows_of(material)
        predictions = self._predictions(model, test) if hasattr(model, "get_params") else None
        reference = None
        if predictions is not None:
            objective, seed = self.objective.metric, self.config.search.seed
            reference = reference_of(model, material, predictions, objective=objective, seed=seed)
        scores = {name: score.mean for name, score in done.scores.items()}
        return Winner(model, scores, train=train, test=test, predictions=predictions, reference=reference)

    def _call(self, trial: Trial, parts: tuple[Rows, Rows] | None, folder: Path) -> Trial:
        """Have a worker call the function for the winner.

        Raises:
            ModelError: It failed.
        """
        seed = self.config.search.seed
        task = RefitTask(self.source, self._fixed, seed, needed_metrics(self.objective), of=self.of, parts=parts)
        workers = make_workers(self.config.execution.alone, task, trial_dirs=folder)
        try:
            future = workers.submit(trial)
            error = future.exception()
            done = future.result() if error is None else replace(trial, failure=workers.explain(error))
        finally:
            workers.stop()
        if done.failure is not None:
            raise ModelError(f"{self.subject} fails for the winner's model: {done.failure}")
        return done

    def _load(self, done: Trial) -> Any:
        """Load the model that a worker has sent, where it has; its class may be the function's own module's.

        Raises:
            ModelError: It cannot be loaded here.
        """
        if not isinstance(done, FittedTrial):
            return None
        try:
            with foreign_output_shown():
                if isinstance(self.source, FunctionSource):
                    self.source.load()
                return pickle.loads(done.model)  # noqa: S301  # it came through the pipe to a worker of this process
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # whatever importing a user's module, or making its objects, raises
            raise ModelError(f"the model of {self.subject} cannot be loaded: {type(error).__name__}: {error}") from error

    def _predictions(self, model: Any, rows: pd.DataFrame) -> np.ndarray:
        try:
            with foreign_output_shown():
                return np.asarray(model.predict(rows.copy()))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a model of the user's may raise anything
            message = f"the model of {self.subject} does not predict the test rows: {type(error).__name__}: {error}"
            raise ModelError(message) from error

    def why_no_model(self, trial: Trial) -> str:  # noqa: ARG002  # the interface's signature
        """See `SweepPlan`."""
        return f"{self.subject} returns metrics and no model to promote: have it return (metrics, model), or leave `registry` out"

    def why_changed(self, rows: int, columns: Sequence[str]) -> str:
        """See `SweepPlan`."""
        if self.material is None:
            return "the content of the file"
        return f"the content of {self.subject.partition(':')[0]}, or the table: {self.material.why_changed(rows, columns)}"

    @property
    def _fixed(self) -> Mapping[str, Any]:
        return self.config.model.params if self.config.model is not None else {}

    def _table(self) -> Table | None:
        if self.material is None:
            return None
        return Table(_rows_of(self.material).part(self.material.split.train), self.material.folds)


def _rows_of(material: TrainingData) -> Rows:
    dataset = material.dataset
    return Rows(dataset.features, dataset.target.to_numpy(), dataset.weights)
