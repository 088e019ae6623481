"""The interface of all backends."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Protocol

from wine_sweep.trial import Failure, Trial

Task = Callable[[Trial], Trial]


class Workers(Protocol):
    """Something that measures trials.

    A task reaches the workers once, when they are made; with each trial go only its parameters. Every future that
    `submit` gives comes to an end: with the measured trial, with an exception that `explain` puts into words when its
    worker is lost, or cancelled by `stop`.

    Attributes:
        size: How many trials are measured at a time, 1 or more.
    """

    size: int

    def submit(self, trial: Trial) -> Future[Trial]:
        """Have a trial measured."""

    def explain(self, error: BaseException) -> Failure:
        """Say what a future's exception means for its trial."""

    def stop(self) -> None:
        """End the workers at once, whatever they are doing; again does no harm."""
