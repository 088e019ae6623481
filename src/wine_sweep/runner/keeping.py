"""Sees to it that no result gets lost: the journal, the writer, and what is said when the store stays away."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wine_sweep.errors import DeletedError, OutageError, OwnershipError, SweepInterrupted, TrackingError
from wine_sweep.tracking.journal import Journal
from wine_sweep.tracking.outage import RetryPolicy
from wine_sweep.tracking.writer import BackgroundWriter
from wine_sweep.wording import format_duration, mask, visible

if TYPE_CHECKING:  # it imports MLflow, which takes seconds that the first trials should not wait for
    from wine_sweep.tracking.sweep_runs import SweepRuns

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
        """Give the error to raise: where the store stayed away, one that says for how long and what waits where.

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
        """Give the error that says that the sweep was deleted, and what waits for it; None where nobody can say that."""
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
        """Give the error for a sweep that somebody stopped, with what waits where if the store is away."""
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
        """Whether the store's file was deleted: then a copy of it that comes back may lack what was written already."""
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
        """Give the error to raise where another process has the sweep: it says what becomes of results that are not written."""
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
