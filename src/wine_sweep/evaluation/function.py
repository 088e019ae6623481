"""Load a user's function from its file or from a notebook, and call it as a trial. Workers run this."""

from __future__ import annotations

import math
import multiprocessing
import os
import pickle
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from wine_sweep.config import HistoryReducer
from wine_sweep.errors import ConfigError, Problem
from wine_sweep.evaluation.capture import (
    STDERR_FILE,
    STDOUT_FILE,
    merged,
    recorded_warnings,
    reduce_history,
    summary,
)
from wine_sweep.evaluation.context import Rows, StopTrial, Table, TrialContext, numbers_of
from wine_sweep.evaluation.metrics import size_of
from wine_sweep.execution.base import TrialIO, describe_error
from wine_sweep.importing import import_file, start_scripts_as_usual
from wine_sweep.trial import FIT_SECONDS, MODEL_SIZE, Failure, Report, Score, Trial, TrialState

NO_FILE = "notebook.py"
"""Stands in a config for the file of a function that was given as it is, and that MLflow does not have."""

Train = Callable[[dict[str, Any], TrialContext], Any]
"""A function of the user's: it takes parameters and a context, and returns metrics, or metrics and a fitted model."""


@dataclass(frozen=True)
class FunctionSource:
    """A function by its file and its name, which a worker loads for itself.

    Args:
        file: The Python file, absolute.
        name: The function's name in it.
    """

    file: Path
    name: str

    def load(self) -> Train:
        """Import the file, once in a process, and give the function.

        Raises:
            AttributeError: There is no such function in it.
            Exception: Whatever the file raises when it is imported.
        """
        found: Train = getattr(import_file(self.file), self.name)
        return found


@dataclass(frozen=True)
class PickledFunction:
    """A function that has no file of its own, such as a notebook's, as cloudpickle has written it.

    Args:
        pickled: What cloudpickle has made of it.
        name: Its name.
    """

    pickled: bytes
    name: str

    def load(self) -> Train:
        """Return the function."""
        start_scripts_as_usual()
        found: Train = pickle.loads(self.pickled)  # noqa: S301  # it comes from the process that runs the sweep
        return found


Source = FunctionSource | PickledFunction


def source_of(function: Train) -> PickledFunction:
    """Make a function ready for other processes: one of a module is named, any other is written down as it is.

    Raises:
        ConfigError: It is no function, or holds what cannot be written down: a lock, an open file.
    """
    import cloudpickle  # only this needs it

    if not callable(function):
        raise ConfigError([Problem(f"what is swept is called, and a {type(function).__name__} cannot be")])
    try:
        return PickledFunction(cloudpickle.dumps(function), name_of(function))
    except (TypeError, AttributeError, ValueError, pickle.PicklingError) as error:
        message = f"the function cannot be sent to worker processes: {error}; let it make what it needs itself"
        raise ConfigError([Problem(message)]) from error


def name_of(function: Train) -> str:
    """Return a function's name; ``function`` for one that has none, such as a lambda."""
    name = getattr(function, "__name__", "function")
    return name if name.isidentifier() else "function"


@dataclass(frozen=True)
class FittedTrial(Trial):
    """A trial with the model that came of it, for the way from a worker to the process that it works for.

    Args:
        model: The model, as cloudpickle writes it; empty where there is none. It goes through a pipe and never lies on disk,
            where another could have written it.
    """

    model: bytes = b""


@dataclass(frozen=True)
class Call:
    """One call of the function for a trial: a fold, if there are folds, and a seed."""

    fold: int | None
    repeat: int


@dataclass(frozen=True)
class FunctionTask:
    """Measures a trial by calling a function: once, or for each fold and seed, and the mean counts.

    What the first call reports is what a pruner looks at, and what is kept as a history.

    Args:
        source: Gives the function.
        params: Parameters that stay fixed.
        seed: The first seed.
        needed: The metrics that it has to return, or to report.
        table: The rows and their folds; None where there is no table.
        seeds: How many seeds each fold is called with.
        of: Which value of a metric's history counts, where that is not the last.
        stepwise: Whether to ask after each report whether to go on.
        weighs: Whether the size of each call's model is measured too.
        clock: Tells the time in seconds since the epoch.
    """

    source: Source
    params: Mapping[str, Any]
    seed: int
    needed: Sequence[str]
    table: Table | None = None
    seeds: int = 1
    of: Mapping[str, HistoryReducer] = field(default_factory=dict)
    stepwise: bool = False
    weighs: bool = False
    clock: Callable[[], float] = time.time

    @property
    def calls(self) -> list[Call]:
        """List the calls of a trial."""
        folds: Sequence[int | None] = [None] if self.table is None else range(len(self.table.folds))
        return [Call(fold, repeat) for fold in folds for repeat in range(self.seeds)]

    def __call__(self, trial: Trial, bench: TrialIO) -> Trial:
        """Measure a trial; see `Task`. Whatever the function raises becomes the trial's failure."""
        trial = replace(trial, started=self.clock(), reports=())
        found: list[Mapping[str, float]] = []
        spent: list[float] = []
        failure: Failure | None = None
        caught = []
        try:
            with recorded_warnings() as caught, _captured(bench):
                train = self.source.load()
                for index, call in enumerate(self.calls):
                    hearer = _Hearer(replace(trial, reports=()), bench, asks=self.stepwise and index == 0)
                    began = time.perf_counter()
                    returned = train({**self.params, **trial.params}, self._context(call, trial, bench, hearer))
                    spent.append(time.perf_counter() - began)
                    trial = hearer.trial if index == 0 else trial
                    metrics, model = metrics_and_model(returned)
                    found.append({**self._results(metrics, hearer.reports), **self._weight(model)})
                    trial = self._with_model(trial, model)
        except StopTrial:
            return replace(trial, state=TrialState.KILLED, ended=self.clock())
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001  # whatever a user's function raises is this trial's result
            failure = describe_error(error)
        after = replace(trial, ended=self.clock(), warnings=merged(trial.warnings, summary(caught)))
        failure = failure or self._lack(found)
        if failure is not None:
            return replace(after, state=TrialState.FAILED, failure=failure)
        return replace(after, state=TrialState.FINISHED, scores=_summed(found), fit_seconds=fmean(spent))

    def _context(self, call: Call, trial: Trial, bench: TrialIO, hearer: _Hearer) -> TrialContext:
        return TrialContext(
            trial=trial.number,
            seed=self.seed + call.repeat,
            fold=call.fold,
            rows=self._rows(call),
            folder=lambda: _part_of(bench.folder, call, alone=len(self.calls) == 1),
            tell=hearer.hear,
        )

    def _rows(self, call: Call) -> tuple[Rows, Rows] | None:
        """Return what a call fits on and what it measures on."""
        return None if self.table is None or call.fold is None else self.table.parts(call.fold)

    def _with_model(self, trial: Trial, model: Any) -> Trial:  # noqa: ARG002  # the winner's call keeps it
        """Take a call's model: a trial's is let go of, since only the winner's is kept."""
        return trial

    def _results(self, metrics: Mapping[str, float], reports: Sequence[Report]) -> dict[str, float]:
        """Return what one call came to: what it returned, or the last that it reported; or as `of` says."""
        histories: dict[str, list[float]] = {}
        for values in (*(report.values for report in reports), metrics):
            for name, value in values.items():
                if name == FIT_SECONDS:
                    continue  # the time of the call is measured, whatever the function says of it
                histories.setdefault(name, []).append(value)
        return {name: reduce_history(values, self.of.get(name, HistoryReducer.LAST)) for name, values in histories.items()}

    def _weight(self, model: Any) -> dict[str, float]:
        """Measure a call's model where that is asked for; whatever the function says of its size itself does not count then.

        Raises:
            ValueError: There is none.
        """
        if not self.weighs:
            return {}
        if model is None:
            raise ValueError("the function returned no model, and `cheapest: model_size` compares models: have it return one")
        return {MODEL_SIZE: size_of(model)}

    def _lack(self, found: Sequence[Mapping[str, float]]) -> Failure | None:
        """Describe what keeps calls from being a result."""
        for call, values in zip(self.calls, found, strict=False):
            where = "" if call.fold is None else f" in fold {call.fold}"
            for name in self.needed:
                if name not in values:
                    others = ", ".join(sorted(values)[:10]) or "nothing"
                    return Failure("MissingMetric", f"the function gave no metric '{name}'{where}; it gave {others}")
                if not math.isfinite(values[name]):
                    return Failure("NonFiniteMetric", f"{name} is {values[name]}{where}")
        return None


@dataclass(frozen=True)
class RefitTask(FunctionTask):
    """Calls a function once more, for the winner's model, and gives a `FittedTrial` with it.

    Args:
        parts: What to fit on and what to measure on; None where there is no table.
    """

    parts: tuple[Rows, Rows] | None = None

    def _rows(self, call: Call) -> tuple[Rows, Rows] | None:  # noqa: ARG002  # there is one call
        return self.parts

    def _with_model(self, trial: Trial, model: Any) -> Trial:
        if model is None:
            return trial
        import cloudpickle  # only this needs it

        known = {each.name: getattr(trial, each.name) for each in fields(trial)}
        return FittedTrial(**{**known, "model": cloudpickle.dumps(model)})


def metrics_and_model(returned: Any) -> tuple[dict[str, float], Any]:
    """Take apart what a function returned: metrics, or metrics and a fitted model; the model is None where there is none.

    Raises:
        ValueError: It is neither.
    """
    metrics, model = returned if isinstance(returned, tuple) and len(returned) == 2 else (returned, None)
    if not isinstance(metrics, Mapping):
        raise ValueError(f"the function returned {type(returned).__name__}; it returns metrics by name, or (metrics, model)")
    return numbers_of(metrics, "what the function returned"), model


class _Hearer:
    """Takes the reports of one call.

    Args:
        trial: The trial as it is.
        bench: Where it is measured.
        asks: Whether to ask after each report whether to go on.
    """

    def __init__(self, trial: Trial, bench: TrialIO, *, asks: bool) -> None:
        self.trial = trial
        self._bench = bench
        self._asks = asks

    @property
    def reports(self) -> Sequence[Report]:
        """All reports so far."""
        return self.trial.reports

    def hear(self, report: Report) -> None:
        """Take a report.

        Raises:
            StopTrial: The trial is not worth finishing.
        """
        self.trial = replace(self.trial, reports=(*self.trial.reports, report))
        if self._asks and not self._bench.report(self.trial):
            raise StopTrial


def _summed(found: Sequence[Mapping[str, float]]) -> dict[str, Score]:
    """Return each metric that every call has: its mean and spread, or the one value of a single call."""
    if len(found) == 1:
        return {name: Score(value) for name, value in found[0].items()}
    common = [name for name in found[0] if all(name in each for each in found)]
    return {name: Score.of([each[name] for each in found]) for name in common}


def _part_of(folder: Path, call: Call, *, alone: bool) -> Path:
    """Name the folder of one call's files: the trial's own where there is one call."""
    if alone:
        return folder
    parts = [f"fold_{call.fold}"] if call.fold is not None else []
    return folder.joinpath(*parts, f"seed_{call.repeat}") if call.repeat or not parts else folder.joinpath(*parts)


@contextmanager
def _captured(bench: TrialIO) -> Iterator[None]:
    """In a worker process, send what is printed, by whatever language, into files of the trial's; elsewhere to stderr."""
    if multiprocessing.parent_process() is None:
        with redirect_stdout(sys.stderr), _revert(1):  # stdout is for results
            os.dup2(2, 1)
            yield
        return
    with _revert(1, 2):
        for number, name in ((1, STDOUT_FILE), (2, STDERR_FILE)):
            file = os.open(bench.folder / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            os.dup2(file, number)
            os.close(file)
        yield


@contextmanager
def _revert(*numbers: int) -> Iterator[None]:
    """Have file descriptors point to where they do now when the context is left."""
    sys.stdout.flush()
    before = [(number, os.dup(number)) for number in numbers]
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        for number, kept in before:
            os.dup2(kept, number)
            os.close(kept)
