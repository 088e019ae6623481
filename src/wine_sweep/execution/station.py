"""A Dask worker as seen from here, and how the trials end that it measures."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from wine_sweep.execution.base import LostTrialError
from wine_sweep.trial import Failure, FailureCause, Trial


@dataclass(frozen=True)
class PendingTrial:
    """A trial that is being measured at a worker."""

    trial: Trial
    future: Future[Trial]
    dask_future: Any


@dataclass
class DaskWorkerState:
    """A Dask worker that has our outpost.

    Attributes:
        threads: How many threads it has.
        executor: The outpost, as Dask's future.
        flights: What is measured there, by key.
        held: The trials that have reported and are held there, by number: None, or Dask's future of ending one.
    """

    threads: int
    executor: Any
    flights: dict[str, PendingTrial] = field(default_factory=dict)
    held: dict[int, Any] = field(default_factory=dict)

    @property
    def load(self) -> float:
        """The share of its threads that is taken; 1 or more when it is full.

        What is held there takes a thread, so that there is one when it goes on: another trial in its place would wait
        for the process that the first one holds, and the first one for the thread.
        """
        return (len(self.flights) + len(self.held)) / self.threads

    def can_go_on(self, number: int) -> bool:
        """Whether a trial is held there and not being ended."""
        return number in self.held and self.held[number] is None


def loss_of(address: str) -> Failure:
    """Say of a trial that the worker that it was at is lost."""
    return Failure("WorkerDied", f"the Dask worker {address} left the cluster", cause=FailureCause.WORKER)


def conclude(future: Future[Trial], outcome: Trial | Failure | BaseException) -> bool:
    """End a trial's future, and say whether anybody waited for it."""
    if not future.set_running_or_notify_cancel():
        return False
    if isinstance(outcome, Trial):
        future.set_result(outcome)
    else:
        future.set_exception(LostTrialError(outcome) if isinstance(outcome, Failure) else outcome)
    return True


def describe(error: BaseException) -> str:
    """Put an error into one line."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__
