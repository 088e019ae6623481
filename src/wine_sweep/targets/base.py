"""A sweep that can run: what all have in common, whatever it is that they tune."""

from __future__ import annotations

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from wine_sweep.config import GateConfig, HistoryReducer, NotKnown, ParsedConfig, SweepConfig
from wine_sweep.data.splits import TrainingData
from wine_sweep.errors import ConfigError, DataError, Problem
from wine_sweep.evaluation.metrics import Metric, look_up
from wine_sweep.execution.base import Task
from wine_sweep.messages import suggested
from wine_sweep.search.space import Space
from wine_sweep.selection import Objective
from wine_sweep.targets.refit import Winner
from wine_sweep.targets.structures import FewRowsModel
from wine_sweep.targets.trust import Trust, packages_among
from wine_sweep.trial import FIT_SECONDS, Trial

Part = TypeVar("Part")


class Findings:
    """What is wrong with a config, as its parts are made one after the other.

    Args:
        draft: The config as read.
        trust: Whom the person at the keyboard trusts.
        frame: The table, where it was given from Python.

    Attributes:
        problems: What is wrong beside what the draft says of itself.
    """

    def __init__(self, draft: ParsedConfig, trust: Trust, frame: Any = None) -> None:
        self.draft = draft
        self.trust = trust
        self.frame = frame
        self.problems: list[Problem] = []

    def part(self, make: Callable[[], Part]) -> Callable[[], Part]:
        """Make a part of the plan.

        Returns:
            Gives the part; raises `NotKnown` where what it needs is wrong, or the table is, which is noted then.
        """
        try:
            made = make()
        except DataError as error:
            self.problems += [Problem(str(each), each.path, code=each.code) for each in (error, *error.others)]
        except NotKnown:
            pass
        else:
            return lambda: made

        def missing() -> Part:
            raise NotKnown

        return missing

    def look(self, check: Callable[[], Iterable[Problem]]) -> bool:
        """Note what a check finds, as far as it gets; return whether it has got to its end and found nothing."""
        before = len(self.problems)
        with suppress(NotKnown):
            self.problems.extend(check())
            return len(self.problems) == before
        return False

    def finish(self) -> None:
        """End the checks.

        Raises:
            ConfigError: With every problem found, each at its place, but for those that only follow from another.
        """
        reported = [*self.draft.problems, *self.trust.problems]
        wrong = [*reported, *independent(self)] or self.problems
        if wrong:
            raise ConfigError(self.draft.document.locate(wrong))


_DECLARED = ("unknown-parameter", "unknown-metric")


def independent(found: Findings) -> list[Problem]:
    """Leave out the problems that go once others are mended.

    These are verdicts on a value of which a part is wrong; on a parameter whose own values are wrong; on a name that is
    right, and misspelt where it is declared; and on code that is not trusted, where what is trusted is misspelt.
    """
    document = found.draft.document
    wrong = [each.path for each in found.draft.problems if not each.at_key]
    entries = [path[: path.index("parameters") + 2] for path in wrong if "parameters" in path[:-1]]
    broken = {str(entry[-1]) for entry in entries}
    searched = {None, *(path[-1] for path in document.keys if path[-2:-1] == ("parameters",))}
    meant = {suggested(each.message) for each in found.problems if each.code in _DECLARED} - searched

    def follows(problem: Problem) -> bool:
        path = problem.path
        if found.trust.problems and problem.code == "untrusted" and path[-1] in ("command", "function", "folder", "method"):
            return True
        if path[:1] == ("selection",) or path[:2] in (("search", "initial"), ("search", "constraints")) or "when" in path:
            said = {*map(str, path), *re.findall(r"\w+", str(document.value_at(path)))}
            if broken & said or any(name in path or problem.message.startswith(f"'{name}'") for name in meant):
                return True
        if problem.at_key or (problem.code == "untrusted" and path not in wrong):
            return False
        return any(path[: len(entry)] == entry for entry in entries) or any(each[: len(path)] == path for each in wrong)

    return [each for each in found.problems if not follows(each)]


def present(value: Part | None) -> Part:
    """Return a value that there is.

    Raises:
        NotKnown: There is none, which is reported already.
    """
    if value is None:
        raise NotKnown
    return value


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
    def judging_metric(self) -> str:
        """The metric that the gate judges by: `registry.gate.metric`, else the one that decides."""
        return (self.gate.metric if self.gate is not None else None) or self.deciding_metric

    def find_metric(self, name: str) -> Metric | None:
        """Return a metric by the name that it has in this sweep; None for one of the user's own code."""
        return look_up(name)

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

    @property
    def is_rehearsed(self) -> bool:
        """Return whether there are `samples`, which trials wait for."""
        return False

    def samples(self) -> Iterator[FewRowsModel | Problem]:
        """Fit a model of each structure that may be tried on a few rows, or tell why that fails; none where it is not known."""
        return iter(())

    def why_no_model(self, trial: Trial) -> str:
        """Describe why a winner that was neither refitted nor logged cannot be promoted."""
        return f"trial {trial.number} has no model to promote"

    def unseeded_parameters(self, trial: Trial) -> list[str]:  # noqa: ARG002  # the interface's signature
        """Name the parameters by which a trial's fits differ each time, although the same is asked for, as far as is known."""
        return []

    def columns(self) -> Mapping[str, Sequence[str]]:
        """Tell what is made of each column of the table before it is learned from, in words; empty for nothing."""
        return {}

    @abstractmethod
    def why_changed(self, rows: int, columns: Sequence[str]) -> str:
        """Describe what has changed since a sweep, where the digest has.

        Args:
            rows: How many rows the sweep's table had; 0 where it had no table.
            columns: The names of that table's columns.
        """
