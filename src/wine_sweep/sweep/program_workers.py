"""Trials whose child run is made first and handed over to their process, and whose results are read from it."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from wine_sweep.config import HistoryReducer
from wine_sweep.errors import ExecutionError
from wine_sweep.evaluation.capture import reduce_history
from wine_sweep.execution import Workers
from wine_sweep.tracking.writer import BackgroundWriter
from wine_sweep.trial import FIT_SECONDS, Failure, Report, Score, Trial, TrialState

if TYPE_CHECKING:  # it imports MLflow, which takes seconds
    from wine_sweep.tracking.program_runs import Logged, SharedRuns

READ_SECONDS = 1.0
"""How often the run of a process that a pruner may stop is read."""


@dataclass
class _Flight:
    """A trial that is being measured.

    Args:
        trial: As the loop has given it last.
        outer: What the loop waits for; None while it thinks about a report.
        inner: What the workers have been given; None before that, and while they wait for the loop's answer.
        shown: The last step of its run that the loop was shown.
        answer: What came of it while the loop was not waiting.
    """

    trial: Trial
    outer: Future[Trial] | None
    inner: Future[Trial] | None = None
    shown: int = -1
    answer: Trial | BaseException | None = None


class ProgramWorkers:
    """Workers whose trials each have a run in MLflow to write into; see `Workers`.

    Before a trial is given to the workers its child run is there. When its process has ended well, the metrics that it did
    not say in another way are read from the run. All that talks to MLflow is done in the writer's thread, in order.

    Args:
        workers: Measure trials.
        writer: Has the sweep's runs as its target.
        needed: The metrics that a finished trial must have, those first that decide.
        of: Which value of a metric's history counts, where that is not the last.
        watched: The metric that a pruner looks at while a process runs; None for none.
        clock: Tells the time in seconds since the epoch.
    """

    def __init__(
        self,
        workers: Workers,
        writer: BackgroundWriter[Any],
        *,
        needed: Sequence[str],
        of: Mapping[str, HistoryReducer],
        watched: str | None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._workers = workers
        self._writer = writer
        self._needed = needed
        self._of = of
        self._watched = watched
        self._clock = clock
        self._flights: dict[int, _Flight] = {}
        self._lock = threading.RLock()
        self._is_over = False
        if watched is not None:
            writer.every(READ_SECONDS, lambda runs: self._look(runs, watched))

    @property
    def size(self) -> int:
        """See `Workers`."""
        return self._workers.size

    def submit(self, trial: Trial) -> Future[Trial]:
        """Have a trial measured, or go on with one that has reported; see `Workers`."""
        outer: Future[Trial] = Future()
        with self._lock:
            flight = self._flights.get(trial.number)
            if flight is None:
                flight = self._flights[trial.number] = _Flight(trial, outer)
                self._writer.do(lambda runs: self._begin(runs, trial))
                return outer
            flight.trial, flight.outer = trial, outer
            if flight.answer is not None:
                answer, flight.answer = flight.answer, None
                self._deliver(flight, answer)
            elif flight.inner is None:
                self._send(flight, trial)
        return outer

    def drop(self, trial: Trial) -> None:
        """End a trial that has reported and is not to go on; see `Workers`."""
        with self._lock:
            flight = self._flights.pop(trial.number, None)
        if flight is None or flight.inner is None:
            self._workers.drop(trial)
        else:
            flight.inner.cancel()

    def explain(self, error: BaseException) -> Failure:
        """See `Workers`."""
        if isinstance(error, ExecutionError):  # what `submit` raised, after a run was handed over
            raise error
        return self._workers.explain(error)

    def stop(self) -> None:
        """See `Workers`."""
        self._is_over = True
        self._workers.stop()
        with self._lock:
            for flight in self._flights.values():
                if flight.outer is not None and flight.outer.cancel():
                    flight.outer.set_running_or_notify_cancel()
            self._flights.clear()

    def _begin(self, runs: SharedRuns, trial: Trial) -> None:
        """Hand the run over and have the trial measured; in the writer's thread, after the run was made."""
        with self._lock:
            flight = self._flights.get(trial.number)
        if flight is None or self._is_over:
            return
        if trial.retries:
            runs.begin_again(trial, at=self._clock())
        handed = replace(trial, environment=runs.program_variables(trial.number))
        with self._lock:
            self._send(flight, handed)

    def _send(self, flight: _Flight, trial: Trial) -> None:
        if self._is_over:
            return
        try:
            flight.inner = self._workers.submit(trial)
        except ExecutionError as error:
            self._deliver(flight, error)
            return
        flight.inner.add_done_callback(lambda done: self._returned(flight, done))

    def _returned(self, flight: _Flight, done: Future[Trial]) -> None:
        """Take what the workers say of a trial; called in a thread of theirs."""
        with self._lock:
            if self._flights.get(flight.trial.number) is not flight:
                return
            flight.inner = None
            error = CancelledError() if done.cancelled() else done.exception()
            outcome = done.result() if error is None else error
            if isinstance(outcome, Trial):
                outcome = replace(outcome, environment={})
                if outcome.state is TrialState.FINISHED:
                    ended = outcome
                    if any(name not in ended.scores for name in self._needed):
                        self._writer.do(lambda runs: self._settle(runs, flight, ended))
                        return
                    outcome = _judged(ended, self._needed, None)  # at once: the store may be away
            self._deliver(flight, outcome)

    def _settle(self, runs: SharedRuns, flight: _Flight, trial: Trial) -> None:
        """Read what the process has logged, and say what came of the trial; in the writer's thread."""
        there = runs.logged(trial.number)
        known = {name: value for name, value in there.metrics.items() if name not in (*trial.scores, FIT_SECONDS)}
        known |= {
            name: reduce_history([value for _, value in runs.history(trial.number, name)], of)
            for name, of in self._of.items()
            if name in known
        }
        scores = {**_scores(known), **trial.scores}
        first = {name: scores[name] for name in self._needed if name in scores}  # a tag that is too short for all loses the last
        if self._watched in known:  # from the first step on: a process may have ended before anybody looked
            steps = _as_reports(self._watched, runs.history(trial.number, self._watched))
            trial = replace(trial, reports=tuple(sorted((*trial.reports, *steps), key=lambda report: report.step)))
        judged = _judged(replace(trial, scores={**first, **scores}), self._needed, there)
        with self._lock:
            if self._flights.get(trial.number) is flight:  # else the sweep was stopped meanwhile
                self._deliver(flight, judged)

    def _look(self, runs: SharedRuns, metric: str) -> None:
        """Show the loop each trial whose run has new steps; in the writer's thread."""
        with self._lock:
            watched = [each for each in self._flights.values() if each.outer is not None and each.inner is not None]
        for flight in watched:
            new = [(step, value) for step, value in runs.history(flight.trial.number, metric) if step > flight.shown]
            with self._lock:
                if new and flight.outer is not None and flight.inner is not None:
                    flight.shown = new[-1][0]
                    reports = (*flight.trial.reports, *_as_reports(metric, new))
                    self._deliver(flight, replace(flight.trial, reports=reports))

    def _deliver(self, flight: _Flight, outcome: Trial | BaseException) -> None:
        """Tell the loop, now or when it next asks; called under the lock."""
        if flight.outer is None:
            flight.answer = outcome
            return
        outer, flight.outer = flight.outer, None
        if not (isinstance(outcome, Trial) and outcome.state is TrialState.RUNNING):
            self._flights.pop(flight.trial.number, None)
        if isinstance(outcome, CancelledError):
            outer.cancel()
            outer.set_running_or_notify_cancel()
        elif outer.set_running_or_notify_cancel():
            outer.set_exception(outcome) if isinstance(outcome, BaseException) else outer.set_result(outcome)


def _scores(values: Mapping[str, float]) -> dict[str, Score]:
    return {name: Score(value) for name, value in values.items()}


def _as_reports(metric: str, history: Iterable[tuple[int, float]]) -> list[Report]:
    return [Report(step, {metric: value}) for step, value in dict(history).items()]


def _judged(trial: Trial, needed: Iterable[str], there: Logged | None) -> Trial:
    """Return a trial as it is, or FAILED where something keeps it from being a result."""
    failure = _lacks(trial, needed, there)
    return trial if failure is None else replace(trial, state=TrialState.FAILED, failure=failure, scores={})


def _lacks(trial: Trial, needed: Iterable[str], there: Logged | None) -> Failure | None:
    """Describe what keeps a trial from being a result: a metric that is missing, or that is no number."""
    for name in needed:
        if name not in trial.scores:
            others = ", ".join(sorted(trial.scores)[:10])
            said = f"; it logged {others}" if others else ", nor any other" if there is not None else ""
            return Failure("MissingMetric", f"the command logged no metric '{name}' in its run{said}")
        if not math.isfinite(trial.scores[name].mean):
            return Failure("NonFiniteMetric", f"{name} is {trial.scores[name].mean}")
    return None
