"""A sweep that can run: what all have in common, whatever it is that they tune."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from wine_sweep.config import GateConfig, HistoryReducer, ParsedConfig, SweepConfig
from wine_sweep.data.splits import TrainingData
from wine_sweep.execution.base import Task
from wine_sweep.search.space import Space
from wine_sweep.selection import Objective
from wine_sweep.targets.refit import Winner
from wine_sweep.targets.trust import packages_among
from wine_sweep.trial import FIT_SECONDS, Trial


@dataclass(frozen=True)
class FitCount:
    """How often something is fitted; a function is called, a command is run.

    Args:
        trial: In a trial that is not pruned: folds times seeds, at every budget.
        full: Of these, how many are at the full budget.
        winner: To have the winner's model, once the trials are done.
    """

    trial: int
    full: int
    winner: int


@dataclass(frozen=True)
class SweepPlan(ABC):
    """A sweep that can run.

    Args:
        config: The config, its paths absolute, its method never ``auto``.
        draft: The config file as read, with the places of its keys.
        space: What is searched.
        method_reason: Why ``auto`` picked the method; empty when the config names one.
        objective: What decides.
        trusted: Packages, files and folders that the person at the keyboard trusts.
        material: The rows; None where there is no table.
    """

    config: SweepConfig
    draft: ParsedConfig
    space: Space
    method_reason: str
    objective: Objective
    trusted: tuple[str, ...]
    material: TrainingData | None

    @property
    def name(self) -> str:
        """The sweep's name."""
        return self.config.name or "sweep"

    @property
    @abstractmethod
    def kind(self) -> str:
        """What is tuned, in a word: ``estimator``, ``function`` or ``command``."""

    @property
    @abstractmethod
    def subject(self) -> str:
        """What is tuned, by name: an estimator's path, a pipeline's classes, families, a function, a command's words."""

    @property
    @abstractmethod
    def digest(self) -> str:
        """A digest, in hex, of all that trials depend on beside the config: the table, the user's own files."""

    @property
    def sampler_digest(self) -> str | None:
        """A digest, in hex, of the file with a sampler of the user's own; None where there is none."""
        file = self.config.search.method.file
        return None if file is None else hashlib.sha256(file.read_bytes()).hexdigest()

    @property
    @abstractmethod
    def steps(self) -> int:
        """How many steps a trial has that a pruner looks at; 0 where it counts them itself."""

    @property
    @abstractmethod
    def fits(self) -> FitCount:
        """How often something is fitted, called or run."""

    @property
    @abstractmethod
    def measured(self) -> Sequence[str]:
        """The names of the metrics that are known to be measured."""

    @property
    def gate(self) -> GateConfig | None:
        """What the winner must show to be promoted; None for nothing, or where there are no rows here to compare models on."""
        registry = self.config.registry
        gate = registry.gate if registry is not None else GateConfig()
        return gate if self.material is not None else None

    @property
    def deciding_metric(self) -> str:
        """The first metric that decides and is about predictions; empty where only time decides."""
        return next((name for name in self.objective.metrics if name != FIT_SECONDS), "")

    @property
    def trusted_packages(self) -> tuple[str, ...]:
        """Packages whose types a model may hold, beside the usual ones."""
        return packages_among(self.trusted)

    @property
    def program(self) -> str | None:
        """What the source of a trial's run is, where that is not the sweep's own command."""
        return None

    @property
    def packages(self) -> list[str]:
        """The top-level modules that trials need, which a cluster must have in the same versions."""
        return []

    @property
    def of(self) -> Mapping[str, HistoryReducer]:
        """Which value of a metric's history counts, where that is not the last."""
        return {}

    @property
    def hands_over_runs(self) -> bool:
        """Return whether a trial's process writes into its child run itself."""
        return False

    @abstractmethod
    def task(self) -> Task:
        """Make what workers measure trials with."""

    @property
    def is_refitted(self) -> bool:
        """Return whether the winner is fitted once more when the trials are done; it may be later, to be promoted."""
        return True

    @abstractmethod
    def refit(self, trial: Trial, common: Path | None = None) -> Winner | None:
        """Fit the winner once more, on all rows that are not test rows; None where its run holds the model already.

        Args:
            trial: The winner.
            common: The folder that all trials share, where trials were measured on this machine.

        Raises:
            ModelError: It cannot be fitted.
        """

    def why_no_model(self, trial: Trial) -> str:
        """Describe why a winner that was neither refitted nor logged cannot be promoted."""
        return f"trial {trial.number} has no model to promote"

    def unseeded_parameters(self, trial: Trial) -> list[str]:  # noqa: ARG002  # the interface's signature
        """Name the parameters by which a trial's fits differ each time, although the same is asked for, as far as is known."""
        return []

    @abstractmethod
    def why_changed(self, rows: int, columns: Sequence[str]) -> str:
        """Describe what has changed since a sweep, where the digest has.

        Args:
            rows: How many rows the sweep's table had; 0 where it had no table.
            columns: The names of that table's columns.
        """
