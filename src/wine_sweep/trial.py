"""A trial: its parameters and what came of it; the kinds of tasks. Imports nothing of the package."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import fmean, pstdev
from typing import Any


class Task(StrEnum):
    """The two kinds of supervised learning that scikit-learn's estimators declare."""

    REGRESSION = "regression"
    CLASSIFICATION = "classification"


@dataclass(frozen=True)
class DataRequirements:
    """What a model asks of a table.

    Args:
        task: Whether it predicts numbers or classes.
        numbers: Whether every feature must be a number.
        takes_missing: Whether a feature may have gaps.
        model: The model's name, for messages.
        categories: Whether columns of categories may stand beside the numbers.
    """

    task: Task
    numbers: bool
    takes_missing: bool
    model: str
    categories: bool = False


Params = Mapping[str, Any]

FIT_SECONDS = "fit_seconds"
"""The mean time of one fit, which can be an objective or be limited as any metric can."""

MODEL_SIZE = "model_size"
"""The mean size of a fitted model, pickled, in bytes; a metric of a trial where `selection.cheapest` asks for it."""

BEST_ITERATION = "best_iteration"
"""How many iterations a model that stops early predicts with: a metric of a trial, whose mean is the median of the fits'."""


class TrialState(StrEnum):
    """What has become of a trial."""

    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    PRUNED = "pruned"
    KILLED = "killed"

    @property
    def has_ended(self) -> bool:
        """Return whether nothing more will come of it."""
        return self is not TrialState.RUNNING


@dataclass(frozen=True)
class Score:
    """One metric of one trial: mean and spread over the folds, and the folds themselves where they are known.

    `std` is the population's standard deviation, as scikit-learn's ``cv_results_`` gives it; NaN for a value that was
    measured once and is no mean of anything, as a command's.
    """

    mean: float
    std: float = math.nan
    folds: tuple[float, ...] = ()

    @property
    def has_spread(self) -> bool:
        """Return whether it is a mean, with a spread."""
        return not math.isnan(self.std)

    @classmethod
    def of(cls, folds: list[float]) -> Score:
        """Sum up the values of all folds, one or more."""
        return cls(fmean(folds), pstdev(folds), tuple(folds))


@dataclass(frozen=True)
class Step:
    """One step of a trial that a pruner looks at: one fold, or all folds at one budget.

    Args:
        values: Each metric's values, a value for each fit.
        fit_seconds: The mean time of a fit, in seconds.
        budget: The budget's value: a whole number for its parameter, or the share of the rows; None where a step is a fold.
    """

    values: Mapping[str, tuple[float, ...]]
    fit_seconds: float
    budget: int | float | None = None

    @property
    def fits(self) -> int:
        """How many models were fitted."""
        return len(next(iter(self.values.values()), ()))


@dataclass(frozen=True)
class Report:
    """What a function or a command says of itself while it runs: metrics at a step of its own count, 0 or more."""

    step: int
    values: Mapping[str, float]


class FailureCause(StrEnum):
    """Who or what is to blame for a failure, which decides whether trying again may help."""

    ERROR = "error"
    WORKER = "worker"
    TIMEOUT = "timeout"
    MEMORY = "memory"


@dataclass(frozen=True)
class Failure:
    """Why a trial has no result.

    Args:
        kind: The kind of error, such as the exception's type.
        message: Its message in one line.
        traceback: The traceback, if it has one.
        cause: Whether the estimator failed, or its worker, or a limit was exceeded.
    """

    kind: str
    message: str
    traceback: str = ""
    cause: FailureCause = FailureCause.ERROR

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}" if self.message else self.kind


@dataclass(frozen=True)
class Trial:
    """One trial.

    Args:
        number: Its place in the sweep, from 0.
        params: The searched parameters by name.
        state: What has become of it.
        scores: The metrics by name; empty unless finished.
        steps: What a pruned or unfinished trial has behind it; of a finished one its budgets, if it had any.
        reported: What a pruner was told: the first objective's mean at each step that it was asked about.
        reported_at: The numbers of these steps, where the trial counts them itself; empty where they count from 0.
        reports: What a function or a command has said of itself so far, in the order of its steps.
        fit_seconds: The mean time of one fit, in seconds; NaN unless finished.
        started: When it began, in seconds since the epoch; NaN when it never did.
        ended: When it ended, likewise.
        failure: Why it failed, if it did.
        warnings: What the estimator warned of, each once.
        run_id: Its child run in MLflow, once there is one.
        violations: The limits on metrics that it breaks, each with by how much; such a trial is infeasible and cannot win.
        retries: How often it was measured again after a failure.
        spent: How long its steps so far were measured, in seconds; waiting between them does not count.
        environment: Variables for the process that measures it: the run in MLflow that is handed over to it.
    """

    number: int
    params: Params
    state: TrialState = TrialState.RUNNING
    scores: Mapping[str, Score] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()
    reported: tuple[float, ...] = ()
    reported_at: tuple[int, ...] = ()
    reports: tuple[Report, ...] = ()
    fit_seconds: float = math.nan
    started: float = math.nan
    ended: float = math.nan
    failure: Failure | None = None
    warnings: tuple[str, ...] = ()
    run_id: str | None = None
    violations: Mapping[str, float] = field(default_factory=dict)
    retries: int = 0
    spent: float = 0.0
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_feasible(self) -> bool:
        """Return whether it keeps every limit on metrics."""
        return not self.violations

    @property
    def can_win(self) -> bool:
        """Return whether it has finished within every limit."""
        return self.state is TrialState.FINISHED and self.is_feasible

    def score(self, metric: str) -> Score:
        """Return a metric, ``fit_seconds`` among them.

        Raises:
            KeyError: The trial has no such metric.
        """
        if metric == FIT_SECONDS and metric not in self.scores:
            return Score(self.fit_seconds, 0.0)
        return self.scores[metric]

    @property
    def key(self) -> str:
        """The digest under which equal parameters are recognised."""
        return params_key(self.params)


def canonical_json(value: Any) -> str:
    """Write a value so that equal values give equal text: keys as sorted text, no spaces; 1, 1.0 and true differ.

    Only the steps of a nested pipeline stay in their order, by which they run.
    """
    return json.dumps(_in_order(value), separators=(",", ":"), ensure_ascii=False)


def _in_order(value: Any, *, are_steps: bool = False) -> Any:
    if isinstance(value, Mapping):
        named = {str(key): _in_order(item, are_steps=key == "pipeline") for key, item in value.items()}
        return named if are_steps else dict(sorted(named.items()))
    return [_in_order(item) for item in value] if isinstance(value, list | tuple) else value


def params_key(params: Params) -> str:
    """Digest parameters: 16 hex digits of SHA-256 over their canonical JSON."""
    return hashlib.sha256(canonical_json(dict(params)).encode()).hexdigest()[:16]
