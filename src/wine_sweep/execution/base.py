"""The interface of all backends."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

from wine_sweep.trial import Failure, Trial


@dataclass(frozen=True)
class Limits:
    """What one trial may take.

    Args:
        seconds: How long it may be measured, all its steps together; None for no limit.
        memory: How many bytes its processes may use together; None for no limit.
    """

    seconds: float | None = None
    memory: int | None = None


class LostTrialError(Exception):
    """A trial has no result, for a reason that is not the task's own; `failure` says which."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure)
        self.failure = failure


class Workers(Protocol):
    """Something that measures trials.

    A task reaches the workers once, when they are made; with each trial go only its parameters. Every future that
    `submit` gives comes to an end: with the measured trial, with an exception that `explain` puts into words when its
    worker is lost or it exceeded a limit, or cancelled by `stop`.

    A trial that is given back RUNNING waits for the next `submit` or for `drop`. Where its task measures in steps, nobody
    waits meanwhile; where its task has reported (`TrialIO.report`), its worker does: it is held, by the trial's number.

    Attributes:
        size: How many trials are measured at a time, 1 or more; on a cluster it changes as workers join and leave.
    """

    @property
    def size(self) -> int:
        """See the class."""

    def submit(self, trial: Trial) -> Future[Trial]:
        """Have a trial measured, or have one go on that was given back RUNNING.

        One that was given back by a report goes on in the worker that holds it; when that has died, it fails as one does
        whose worker died measuring, and begins afresh when it is submitted once more.

        Raises:
            ExecutionError: The workers as a whole are gone.
        """

    def drop(self, trial: Trial) -> None:
        """Take note that a trial that was given back RUNNING is not to go on; returns at once.

        A worker that holds it is told so. It is free when the trial's task has ended; what that says is thrown away.
        """

    def explain(self, error: BaseException) -> Failure:
        """Say what a future's exception means for its trial.

        Raises:
            ExecutionError: It means that the workers as a whole are gone.
        """

    def stop(self) -> None:
        """End the workers at once, whatever they are doing; again does no harm."""


def failure_of(error: BaseException) -> Failure:
    """Say what an exception means that came out of a future."""
    return error.failure if isinstance(error, LostTrialError) else Failure(type(error).__name__, str(error))
