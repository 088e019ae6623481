"""Hands what happens in the loop to the writer thread and to whoever watches."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from wine_sweep.runner.best_history import BestHistory, Improvement
from wine_sweep.runner.outputs import Outputs
from wine_sweep.selection import Objective
from wine_sweep.tracking import names
from wine_sweep.tracking.journal import Journal
from wine_sweep.tracking.writer import BackgroundWriter
from wine_sweep.trial import Trial, TrialState

if TYPE_CHECKING:  # it imports MLflow, which takes seconds that the first trials should not wait for
    from wine_sweep.tracking.sweep_runs import SweepRuns


MOST_UNWRITTEN = 200
"""So many results may wait for a store that answers; more would be lost with a machine that is."""


class Observer(Protocol):
    """Somebody who watches a sweep. Called from the loop: returns at once and raises nothing."""

    def sweep_started(self, name: str, trials: int | None, workers: int) -> None:
        """A sweep begins; `trials` is None when only a timeout ends it."""

    def trial_started(self, trial: Trial) -> None:
        """A trial is being measured."""

    def trial_ended(self, trial: Trial, best: Trial | None) -> None:
        """A trial has ended; `best` is the best so far."""

    def trial_restored(self, trial: Trial, best: Trial | None) -> None:
        """A trial that ended before the sweep was resumed is taken as it is; `best` is the best so far."""

    def trial_printed(self, number: int, line: str) -> None:
        """A trial has printed a line; told only where it was asked for."""

    def phase(self, what: str) -> None:
        """The sweep goes on to something else, in a few words: ``fitting the winner``."""

    def results_wait(self, count: int) -> None:
        """The store is away, and so many results wait for it; 0 when it is back. Told again when the number changes."""


class WaitingResults:
    """Tells the observer how many results wait for a store that is away."""

    def __init__(self, writer: BackgroundWriter[SweepRuns], observer: Observer) -> None:
        self._writer = writer
        self._observer = observer
        self._told: int | None = None

    def tell(self) -> None:
        """Tell it if the number has changed."""
        count = self._writer.pending if self._writer.is_away else 0
        if count != self._told:
            self._told = count
            self._observer.results_wait(count)


class BestSoFar:
    """The best trial so far by the first goal; and, in the order of numbers, each time that any goal's best changed."""

    def __init__(self, objective: Objective) -> None:
        self._objective = objective
        self.trial: Trial | None = None
        self._waiting: dict[int, Trial] = {}
        self._next = 0
        self._best_in_order: dict[str, float] = {}

    def add(self, trial: Trial) -> Iterator[tuple[int, str, float]]:
        """Take a trial that has ended; yield (number, metric, value) of improvements among the trials complete up to a number."""
        if self._counts(trial) and (self.trial is None or self._better(trial, self.trial)):
            self.trial = trial
        self._waiting[trial.number] = trial
        while (current := self._waiting.pop(self._next, None)) is not None:
            self._next += 1
            if self._counts(current):
                yield from self._improvements(current)

    def _improvements(self, trial: Trial) -> Iterator[tuple[int, str, float]]:
        for goal, value in zip(self._objective.goals, self._objective.values(trial), strict=True):
            before = self._best_in_order.get(goal.metric)
            if before is None or goal.better(value, before):
                self._best_in_order[goal.metric] = value
                yield trial.number, goal.metric, value

    def _counts(self, trial: Trial) -> bool:
        return trial.state is TrialState.FINISHED and trial.is_feasible

    def _better(self, trial: Trial, than: Trial) -> bool:
        metric = self._objective.metric
        return self._objective.better(trial.score(metric).mean, than.score(metric).mean)


class SweepRecorder:
    """The loop's recorder: results to the journal, everything to MLflow, in order, and to the observer.

    Args:
        writer: Writes to MLflow.
        journal: Holds results until they are written.
        objective: What decides.
        observer: Is told what happens.
        best_steps: For each metric the numbers of the trials at which its best stands in MLflow already.
        verbose: Whether the observer is told what trials print.
        clock: Tells the time in seconds since the epoch.
    """

    def __init__(
        self,
        writer: BackgroundWriter[SweepRuns],
        journal: Journal,
        objective: Objective,
        observer: Observer,
        *,
        best_steps: Mapping[str, Container[int]] | None = None,
        verbose: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._writer = writer
        self._journal = journal
        self._observer = observer
        self._waiting = WaitingResults(writer, observer)
        self._outputs = Outputs(journal.trial_dirs, observer.trial_printed) if verbose else None
        self._clock = clock
        self._best = BestSoFar(objective)
        self._history = BestHistory(writer)
        self._best_steps = best_steps or {}
        self._started: dict[int, float] = {}

    def trial_started(self, trial: Trial) -> None:
        """Have the child run made."""
        self._started[trial.number] = self._clock()
        self._writer.do(lambda runs: runs.start_trial(trial, self._started[trial.number]))
        if self._outputs is not None:
            self._outputs.follow(trial)
        self._observer.trial_started(trial)

    def trial_ended(self, trial: Trial) -> None:
        """Put a result into the journal, have the child run filled and ended, and the parent's ``best_…`` continued.

        Where the child run is not made yet, because the store was still being opened, it gets the start that was measured.
        """
        if not math.isnan(trial.started):
            self._started[trial.number] = trial.started
        if self._outputs is not None:
            self._outputs.end(trial)
        is_result = trial.state is not TrialState.KILLED
        if is_result:
            self._journal.add(replace(trial, started=self._started[trial.number]))
        files = self._journal.trial_dirs.folder(trial.number)
        self._writer.do(lambda runs: runs.finish_trial(trial, files), is_result=is_result)
        self._add(trial)
        self._observer.trial_ended(trial, self._best.trial)

    def trial_restored(self, trial: Trial) -> None:
        """Take note of a trial whose child run stands in MLflow already."""
        self._add(trial)
        self._observer.trial_restored(trial, self._best.trial)

    def _add(self, trial: Trial) -> None:
        """Have the parent's ``best_…`` continued, where that was not done before the sweep was resumed."""
        for step, metric, value in self._best.add(trial):
            if step not in self._best_steps.get(metric, ()):
                self._history.add(Improvement(names.best_metric(metric), value, self._clock(), step))

    def close(self) -> None:
        """Have everything written that waits to be written together with other things."""
        self._history.flush()

    def is_behind(self) -> bool:
        """Whether measuring is that much faster than writing; while the store is away, nobody waits for it."""
        return self._writer.pending >= MOST_UNWRITTEN and not self._writer.is_away

    def check(self) -> None:
        """Raise what went wrong in the writer thread, and tell the observer how many results wait, and what trials print."""
        self._waiting.tell()
        if self._outputs is not None:
            self._outputs.look()
        self._writer.check()
