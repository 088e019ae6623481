"""Record what happens in the loop: the journal, the writer thread, the best so far, and what running trials print."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, Protocol

from wine_sweep.errors import DeletedError, OutageError, OwnershipError, SweepInterrupted, TrackingError
from wine_sweep.evaluation.capture import STDERR_FILE, STDOUT_FILE, Tail
from wine_sweep.execution.base import TrialDirs
from wine_sweep.messages import format_duration, mask, visible
from wine_sweep.selection import Objective
from wine_sweep.tracking import names
from wine_sweep.tracking.journal import Journal
from wine_sweep.tracking.retry import RetryPolicy
from wine_sweep.tracking.writer import BackgroundWriter
from wine_sweep.trial import Trial, TrialState

if TYPE_CHECKING:
    from wine_sweep.tracking.runs import SweepRuns

WRITE_SECONDS = 2.0
"""How long an improvement waits for others: while a sweep of quick trials climbs, each would cost a fourth call a trial."""


class Improvement(NamedTuple):
    """A metric's best value so far: its name in MLflow, the value, when in seconds since the epoch, and the trial's number."""

    metric: str
    value: float
    at: float
    step: int


class BestHistory:
    """Collects improvements, and writes them every `WRITE_SECONDS` and when it is told to.

    What a killed process has not written is put back when the sweep is resumed; the child runs have it in any case.

    Args:
        writer: Writes to MLflow.
    """

    def __init__(self, writer: BackgroundWriter[SweepRuns]) -> None:
        self._writer = writer
        self._waiting: list[Improvement] = []
        self._lock = threading.Lock()
        writer.every(WRITE_SECONDS, self._write)

    def add(self, improvement: Improvement) -> None:
        """Take note of an improvement."""
        with self._lock:
            self._waiting.append(improvement)

    def flush(self) -> None:
        """Have what is left written after all that is queued."""
        self._writer.do(self._write)

    def _write(self, runs: SweepRuns) -> None:
        with self._lock:
            improvements = tuple(self._waiting)
        if improvements:
            runs.log_history(runs.run_id, improvements)
            with self._lock:  # only now: what an outage kept from being written is written the next time
                del self._waiting[: len(improvements)]


_logger = logging.getLogger(__name__)
FINISHED = "FINISHED"


@dataclass(frozen=True)
class Persistence:
    """What a sweep's results go through on their way to MLflow.

    Args:
        writer: Writes them.
        journal: Holds them until they are written.
        policy: Says how long an outage is waited for.
        verbose: Whether the observer is told what trials print.
    """

    writer: BackgroundWriter[SweepRuns]
    journal: Journal
    policy: RetryPolicy
    verbose: bool = False

    @classmethod
    def begin(
        cls,
        make: Callable[[], SweepRuns],
        policy: RetryPolicy,
        journal: Journal,
        *,
        stop: Callable[[], bool],
        verbose: bool = False,
    ) -> Persistence:
        """Start a writer, which makes the runs in its own thread."""
        writer = BackgroundWriter(make, policy=policy, stop=stop)
        policy.waiting = lambda: writer.pending
        policy.before_attempt = lambda: writer.target.ensure_owner() if writer.target is not None else None
        policy.before_retry = lambda: writer.target.check_owner() if writer.target is not None else None
        return cls(writer, journal, policy, verbose)

    @property
    def run_id(self) -> str:
        """The parent run's id; empty while it is not made."""
        return self.writer.target.run_id if self.writer.target else ""

    def explain(self, error: TrackingError) -> TrackingError:
        """Return the error to raise: where the store stayed away, one that says for how long and what waits where.

        Where the parent run or its experiment was deleted, one that says how to get it back.
        """
        if not error.is_outage:
            return self._why_gone() or error
        if not self.policy.is_away:
            return error
        waiting = self._waiting()
        journal = str(self.journal.path) if waiting else None
        message = f"{visible(self.describe_outage())}\n{visible(str(error))}"
        return OutageError(message, run_id=self.run_id, waiting=waiting, journal=journal)

    def _why_gone(self) -> TrackingError | None:
        """Return the error that says that the sweep was deleted, and what waits for it; None where nobody can say that."""
        runs = self.writer.target
        try:
            gone = runs.why_gone() if runs is not None else None
        except TrackingError as error:
            _logger.debug("whether the sweep was deleted is not known: %s", error)
            return None
        if gone is None:
            return None
        return DeletedError(f"{gone}; until then {self._describe_waiting()}")

    def interrupted(self) -> SweepInterrupted:
        """Return the error for a sweep that somebody stopped, with what waits where if the store is away."""
        outage = self.describe_outage()
        return SweepInterrupted(f"the sweep was interrupted{f'; {outage}' if outage else ''}", run_id=self.run_id)

    def describe_outage(self) -> str:
        """Say for how long the store has been away, and what waits for it; nothing when it is not away."""
        if not self.policy.is_away:
            return ""
        uri = mask(str(self.writer.target.client.tracking_uri)) if self.writer.target else ""
        done = "has not answered" if uri.startswith("http") else "could not be written to"
        where = f"the tracking store{f' at {uri}' if uri else ''}"
        return f"{where} {done} for {format_duration(round(self.policy.away_for))}: {self._describe_waiting()}"

    def _is_deleted(self) -> bool:
        """Return whether the store's file was deleted: then a copy of it that comes back may lack what was written already."""
        if self.writer.target is None:
            return False
        from wine_sweep.tracking.sqlite_file import what_became_of

        return what_became_of(str(self.writer.target.client.tracking_uri)) is not None

    def _waiting(self) -> int:
        """Count the results that MLflow does not have: of a file that was deleted all that the journal holds."""
        if not self._is_deleted():
            return self.writer.pending
        return max(self.writer.pending, self.journal.held + self.journal.only_in_memory)

    def _describe_waiting(self) -> str:
        count, lost = self._waiting(), self.journal.only_in_memory
        if not count:
            return "all results are written, the sweep is not closed"
        waits = f"{count} result{'s wait' if count > 1 else ' waits'} in {self.journal.path}"
        return f"{waits}, but for {lost} that no disk had room for" if lost else waits

    def end(self, status: str | None, *, at: float) -> None:
        """End the parent run and what is still open under it, and drop the journal once MLflow has all of it.

        Where another process has the sweep, nothing of it is changed, and the journal is dropped too.

        Args:
            status: The parent run's status; None where it is no longer this process's to end.
            at: When the sweep ended, in seconds since the epoch.

        Raises:
            OwnershipError: Another process has taken over a sweep that went well.
            TrackingError: The store failed at the end of a sweep that went well. Any other time that is logged, since it must
                not hide the first error.
        """
        self.writer.close()
        try:
            if status is None:
                self._leave_runs(at)
            else:
                self._end_runs(status, at)
        except OwnershipError as error:
            self._leave_runs(at)
            status, went_well = None, status == FINISHED
            if went_well:
                raise self.taken_over(error) from error
            _logger.error("%s", self.taken_over(error))
        finally:
            if self.writer.target is not None:
                self.writer.target.release()
            self._drop_journal(status)

    def taken_over(self, error: OwnershipError) -> OwnershipError:
        """Return the error to raise where another process has the sweep: it says what becomes of results that are not written."""
        count = self.writer.pending
        what = f"{count} result{'s' if count > 1 else ''} that {'were' if count > 1 else 'was'} not written" if count else ""
        ends = f"; {what} {'are' if count > 1 else 'is'} discarded here: those trials are measured there" if count else ""
        return OwnershipError(f"{error}{ends}; this process ends and changes nothing of the sweep")

    def _leave_runs(self, at: float) -> None:
        """Leave what another process has taken over as it is."""
        if self.writer.target is None:
            return
        try:
            self.writer.target.leave(at=at)
        except TrackingError as error:
            _logger.error("a run that this process began may stay RUNNING in MLflow: %s", error)

    def _end_runs(self, status: str, at: float) -> None:
        runs = self.writer.target
        if runs is None:
            return
        try:
            if self.policy.is_away:
                raise TrackingError("the tracking store is away", is_outage=True)
            with suppress(DeletedError):  # nobody else has it then, and what is below it can be ended all the same
                self.policy.run(runs.check_owner)
            self.policy.run(lambda: runs.end(status, at=at))
        except TrackingError as error:
            if status == FINISHED:
                explained = self.explain(error)
                if explained is error:
                    raise
                raise explained from error
            _logger.error("the run %s and runs below it stay RUNNING in MLflow: %s", runs.run_id, error)

    def _drop_journal(self, status: str | None) -> None:
        never_begun = self.writer.target is None and not self.policy.is_away
        if never_begun or status is None or self._waiting() == 0:
            self.journal.discard(keep_model=status not in (None, FINISHED))
            return
        self.journal.close()
        if not self.policy.is_away:
            _logger.error("not everything could be written: %s", self._describe_waiting())


class Outputs:
    """Follows the files that functions and commands print to, on this machine.

    Args:
        trial_dirs: Where these files are.
        tell: Is told a trial's number and a line of its output.
    """

    def __init__(self, trial_dirs: TrialDirs, tell: Callable[[int, str], object]) -> None:
        self._trial_dirs = trial_dirs
        self._tell = tell
        self._tails: dict[int, list[Tail]] = {}

    def follow(self, trial: Trial) -> None:
        """Begin with a trial."""
        folder = self._trial_dirs.folder(trial.number)
        self._tails[trial.number] = [Tail(folder / name) for name in (STDOUT_FILE, STDERR_FILE)]

    def look(self) -> None:
        """Tell the lines that are new."""
        for number in self._tails:
            self._tell_lines(number)

    def end(self, trial: Trial) -> None:
        """Tell the rest of a trial that has ended; its files may be deleted then."""
        if trial.number in self._tails:
            self._tell_lines(trial.number, to_the_end=True)
            for tail in self._tails.pop(trial.number):
                tail.close()

    def _tell_lines(self, number: int, *, to_the_end: bool = False) -> None:
        for tail in self._tails[number]:
            for line in tail.read(to_the_end=to_the_end).splitlines():
                self._tell(number, mask(line))


MOST_UNWRITTEN = 200
"""So many results may wait for a store that answers; more would be lost with a machine that is."""


class Observer(Protocol):
    """Somebody who watches a sweep. Called from the loop: returns at once and raises nothing."""

    def sweep_started(self, name: str, trials: int | None, workers: int) -> None:
        """A sweep begins; `trials` is None when only a timeout ends it."""

    def trial_started(self) -> None:
        """A trial is being measured."""

    def trial_ended(self, state: TrialState, best: float | None) -> None:
        """A trial has ended; `best` is the first goal's best mean so far."""

    def trial_restored(self, state: TrialState, best: float | None) -> None:
        """A trial that ended before the sweep was resumed is taken as it is; `best` as above."""

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
    """The best mean so far of the first goal; and, in the order of numbers, each time that any goal's best changed."""

    def __init__(self, objective: Objective) -> None:
        self._objective = objective
        self.value: float | None = None
        self._waiting: dict[int, Trial] = {}
        self._next = 0
        self._best_in_order: dict[str, float] = {}

    def add(self, trial: Trial) -> Iterator[tuple[int, str, float]]:
        """Take a trial that has ended; yield (number, metric, value) of improvements among the trials complete up to a number."""
        if trial.can_win:
            value = trial.score(self._objective.metric).mean
            if self.value is None or self._objective.better(value, self.value):
                self.value = value
        self._waiting[trial.number] = trial
        while (current := self._waiting.pop(self._next, None)) is not None:
            self._next += 1
            if current.can_win:
                yield from self._improvements(current)

    def _improvements(self, trial: Trial) -> Iterator[tuple[int, str, float]]:
        for goal, value in zip(self._objective.goals, self._objective.values(trial), strict=True):
            before = self._best_in_order.get(goal.metric)
            if before is None or goal.better(value, before):
                self._best_in_order[goal.metric] = value
                yield trial.number, goal.metric, value


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
        self._observer.trial_started()

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
        self._observer.trial_ended(trial.state, self._best.value)

    def trial_restored(self, trial: Trial) -> None:
        """Take note of a trial whose child run stands in MLflow already."""
        self._add(trial)
        self._observer.trial_restored(trial.state, self._best.value)

    def _add(self, trial: Trial) -> None:
        """Have the parent's ``best_…`` continued, where that was not done before the sweep was resumed."""
        for step, metric, value in self._best.add(trial):
            if step not in self._best_steps.get(metric, ()):
                self._history.add(Improvement(names.best_metric(metric), value, self._clock(), step))

    def close(self) -> None:
        """Have everything written that waits to be written together with other things."""
        self._history.flush()

    def is_behind(self) -> bool:
        """Return whether measuring is that much faster than writing; while the store is away, nobody waits for it."""
        return self._writer.pending >= MOST_UNWRITTEN and not self._writer.is_away

    def check(self) -> None:
        """Raise what went wrong in the writer thread, and tell the observer how many results wait, and what trials print."""
        self._waiting.tell()
        if self._outputs is not None:
            self._outputs.look()
        self._writer.check()
