"""Run one trial again, from what MLflow has of it alone, and compare every value that it measured."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import wait
from dataclasses import dataclass, replace
from typing import Any

from wine_sweep.errors import ModelError, TrackingError
from wine_sweep.execution import Workers, make_workers
from wine_sweep.execution.base import POLL_SECONDS
from wine_sweep.promotion.promote import test_metrics
from wine_sweep.sweep.metadata import environment
from wine_sweep.sweep.program_workers import ProgramWorkers
from wine_sweep.sweep.resume import StoredConfig, prepare_recorded, restored
from wine_sweep.targets.base import SweepPlan
from wine_sweep.targets.objectives import needed_metrics
from wine_sweep.tracking import names
from wine_sweep.tracking.program_runs import scratch_runs
from wine_sweep.tracking.reader import SweepReader, SweepRecord, TrialRecord
from wine_sweep.tracking.writer import BackgroundWriter
from wine_sweep.trial import Params, Trial, TrialState


def measure_again(prepared: SweepPlan, number: int, params: Params, *, experiment: str) -> Trial:
    """Measure a trial in one worker process, with the limits that the config sets; it is not pruned and not retried.

    A command gets a run in a store of its own, which goes when it has ended: what it logs there is read, and kept nowhere.

    Args:
        prepared: What was swept.
        number: The trial's number.
        params: Its parameters.
        experiment: The experiment's name, which a command may name itself.

    Returns:
        The trial, FINISHED or FAILED.

    Raises:
        ExecutionError: No worker could be had.
        TrackingError: The store of its own failed.
    """
    trial = Trial(number, params)
    workers = make_workers(prepared.config.execution.alone, prepared.task())
    try:
        if not prepared.hands_over_runs:
            return _to_its_end(workers, trial, lambda: None)
        with scratch_runs(experiment, prepared.name) as runs:
            writer = BackgroundWriter(lambda: runs)
            try:
                writer.do(lambda each: each.start_trial(trial, time.time()))
                handed = ProgramWorkers(workers, writer, needed=needed_metrics(prepared.objective), of=prepared.of, watched=None)
                return _to_its_end(handed, trial, writer.check)
            finally:
                writer.close()
    finally:
        workers.stop()


def _to_its_end(workers: Workers, trial: Trial, check: Callable[[], object]) -> Trial:
    """Have a trial measured, step by step where its task asks after each whether to go on."""
    while trial.state is TrialState.RUNNING:
        future = workers.submit(trial)
        while not wait([future], POLL_SECONDS).done:
            check()
        error = future.exception()
        if error is not None:
            return replace(trial, state=TrialState.FAILED, failure=workers.explain(error))
        trial = future.result()
    return trial


RELATIVE = 1e-9
ABSOLUTE = 1e-12
"""What counts as equal: this share of the larger value, or, near zero, this much."""

Key = tuple[str, int | None]
"""A metric as MLflow names it, and the step of its history; None where it is one value."""

Values = Mapping[Key, float]


@dataclass(frozen=True)
class ValueComparison:
    """One value, then and now.

    Args:
        metric: The metric, as MLflow names it.
        step: The step of its history, which is the fold; None where it is one value.
        recorded: What stands in MLflow; None where there is nothing.
        again: What was measured now; None where nothing was.
    """

    metric: str
    step: int | None
    recorded: float | None
    again: float | None

    @property
    def difference(self) -> float | None:
        """By how much they differ; None where one of them is missing."""
        return None if self.recorded is None or self.again is None else self.again - self.recorded

    @property
    def agrees(self) -> bool:
        """Return whether they are equal, but for what rounding does."""
        if self.recorded is None or self.again is None:
            return False
        if math.isnan(self.recorded) or math.isnan(self.again):
            return math.isnan(self.recorded) and math.isnan(self.again)
        return math.isclose(self.recorded, self.again, rel_tol=RELATIVE, abs_tol=ABSOLUTE)

    @property
    def name(self) -> str:
        """The metric, with the fold where there is one: ``fold_rmse[3]``."""
        return self.metric if self.step is None else f"{self.metric}[{self.step}]"

    def record(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "metric": self.metric,
            "fold": self.step,
            "recorded": self.recorded,
            "again": self.again,
            "difference": self.difference,
            "agrees": self.agrees,
        }


def compare(recorded: Values, again: Values) -> list[ValueComparison]:
    """Hold every value that is there, then or now, against its counterpart; the steps of a metric stand together."""
    steps: dict[str, set[int | None]] = {}
    for metric, step in (*recorded, *again):
        steps.setdefault(metric, set()).add(step)
    keys = [
        (metric, step) for metric, found in steps.items() for step in sorted(found, key=lambda step: (step is not None, step))
    ]
    return [ValueComparison(*key, recorded.get(key), again.get(key)) for key in keys]


def values_of(trial: Trial) -> dict[Key, float]:
    """List what a trial measured: means, spreads, and the values of the folds; the time of a fit is no result."""
    found: dict[Key, float] = {}
    for name, score in trial.scores.items():
        found[name, None] = score.mean
        if score.has_spread:
            found[names.spread_metric(name), None] = score.std
        found |= {(names.fold_metric(name), fold): value for fold, value in enumerate(score.folds)}
    return found


@dataclass(frozen=True)
class Version:
    """Something that the sweep ran on, and what is here instead; None where it is missing."""

    name: str
    recorded: str | None
    now: str | None

    def describe(self) -> str:
        """Say it: ``numpy 2.1.0 then, 2.2.0 now``."""
        return f"{self.name} {self.recorded or 'missing'} then, {self.now or 'missing'} now"


@dataclass(frozen=True)
class Reproduction:
    """A trial that was measured again.

    Args:
        sweep: The sweep that it is from.
        number: Its number.
        run_id: Its run.
        params: Its parameters.
        comparisons: Every value, then and now.
        failures: What failed now and did not then, in words.
        versions: What of the environment differs; None where it was not recorded.
        unseeded_parameters: The parameters by which its fits differ each time.
    """

    sweep: SweepRecord
    number: int
    run_id: str
    params: Params
    comparisons: Sequence[ValueComparison]
    failures: Sequence[str]
    versions: Sequence[Version] | None
    unseeded_parameters: Sequence[str]

    @property
    def differing(self) -> list[ValueComparison]:
        """The values that do not agree."""
        return [each for each in self.comparisons if not each.agrees]

    @property
    def agrees(self) -> bool:
        """Return whether every value does, and nothing failed."""
        return not self.failures and not self.differing

    def notes(self) -> list[str]:
        """Describe what came of it, and what may be why, a sentence each."""
        count = len(self.comparisons)
        lines = [f"{failure}." for failure in self.failures]
        if self.differing and not self.failures:
            lines.append(f"{len(self.differing)} of {count} values differ: {_few([each.name for each in self.differing])}.")
        elif self.agrees:
            lines.append(f"All {count} values agree.")
        if self.versions:
            lines.append(f"Other than then: {'; '.join(each.describe() for each in self.versions)}.")
        elif self.versions is None:
            lines.append("What the sweep ran on was not recorded.")
        if not self.agrees:
            lines += self._causes()
        return lines

    def _causes(self) -> list[str]:
        if self.unseeded_parameters:
            return [f"The config leaves {', '.join(self.unseeded_parameters)} null, so that each fit draws anew."]
        if self.versions:
            return ["Other versions may be why."]
        return ["Python and packages are those of then."] if self.versions is not None else []

    def record(self) -> dict[str, Any]:
        """Return it as one JSON document."""
        versions = None if self.versions is None else [vars(each) for each in self.versions]
        return {
            "run_id": self.run_id,
            "trial": self.number,
            "sweep": {"run_id": self.sweep.run_id, "name": self.sweep.name},
            "params": dict(self.params),
            "agrees": self.agrees,
            "failures": list(self.failures),
            "comparisons": [each.record() for each in self.comparisons],
            "versions_that_differ": versions,
            "left_to_chance": list(self.unseeded_parameters),
            "notes": self.notes(),
        }


def reproduce(
    reader: SweepReader, found: TrialRecord, *, trusted: Sequence[str], tell: Callable[[str], object] = lambda _text: None
) -> Reproduction:
    """Measure a trial again: the same data, split, seeds and parameters; where it is a winner, fit that again too.

    Nothing is written to the store.

    Args:
        reader: Reads the store.
        found: The trial, which has finished.
        trusted: Packages, files and folders whose code is trusted.
        tell: Is told what is being done, in a few words.

    Raises:
        ConfigError: The sweep's config cannot be used here.
        DataError: The data has changed since the sweep.
        ExecutionError: No worker could be had.
        TrackingError: The store failed.
    """
    sweep = found.sweep
    versions = _versions(reader, sweep)
    prepared = prepare_recorded(reader, sweep, StoredConfig.of(reader, sweep).draft(), trusted=trusted)
    trial = restored(prepared, found.trial)
    tell(f"measuring trial {trial.number} of '{sweep.name}' again")
    done = measure_again(prepared, trial.number, trial.params, experiment=sweep.experiment)
    failures = [f"The trial fails now: {done.failure}"] if done.state is not TrialState.FINISHED else []
    again = dict(values_of(done))
    recorded = dict(_recorded(reader, found, again))
    if found.test_metrics and prepared.is_refitted and not failures:
        tell("fitting the winner again")
        tests, failed = _test_values(prepared, trial)
        recorded |= {(name, None): value for name, value in found.test_metrics.items()}
        again |= tests
        failures += failed
    return Reproduction(
        sweep=sweep,
        number=trial.number,
        run_id=found.run_id,
        params=trial.params,
        comparisons=compare(recorded, again),
        failures=failures,
        versions=versions,
        unseeded_parameters=prepared.unseeded_parameters(trial),
    )


def _recorded(reader: SweepReader, found: TrialRecord, again: Values) -> Values:
    """Read what stands in MLflow: what the trial is known to have measured, and whatever it measures now."""
    values = dict(values_of(found.trial))
    for name, score in found.trial.scores.items():
        if score.has_spread:
            folds = reader.folds(found.run_id, name)
            values |= {(names.fold_metric(name), fold): value for fold, value in enumerate(folds)}
    for name, step in again:
        if step is None and name in found.metrics:
            values.setdefault((name, None), found.metrics[name])
    return values


def _test_values(prepared: SweepPlan, trial: Trial) -> tuple[Values, list[str]]:
    """Fit the winner again, and give what it measures on the test rows, or what went wrong."""
    try:
        winner = prepared.refit(trial)
    except ModelError as error:
        return {}, [f"The winner cannot be fitted now: {error}"]
    return ({(name, None): value for name, value in test_metrics(winner).items()} if winner is not None else {}), []


def _versions(reader: SweepReader, sweep: SweepRecord) -> list[Version] | None:
    """Describe what of Python, the platform and the packages differs; None where the sweep stopped before it was recorded.

    Raises:
        TrackingError: What was recorded cannot be read.
    """
    if names.CONFIG in sweep.tags:
        return None
    try:
        recorded: Mapping[str, Any] = json.loads(reader.file(sweep, names.ENVIRONMENT_FILE))
        then, now = _flat(recorded), _flat(environment([name for name in map(str, recorded["trusted"]) if name]))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        what = f"{names.ENVIRONMENT_FILE} of the run {sweep.run_id}"
        raise TrackingError(f"{what} cannot be read: {type(error).__name__}: {error}") from error
    return [Version(name, then.get(name), now.get(name)) for name in {**then, **now} if then.get(name) != now.get(name)]


def _flat(described: Mapping[str, Any]) -> dict[str, str]:
    found = {"python": described["python"], "platform": described["platform"], **described["packages"]}
    return {str(name): str(version) for name, version in found.items()}


def _few(found: Sequence[str], most: int = 6) -> str:
    return ", ".join(found[:most]) + (f" and {len(found) - most} more" if len(found) > most else "")
