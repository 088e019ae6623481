"""Writes behind the loop: one thread does everything that talks to the store, in order, so that no worker waits for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Generic, TypeVar

from wine_sweep.errors import TrackingError, WineSweepError

Target = TypeVar("Target")
WAIT_SECONDS = 0.2


class BackgroundWriter(Generic[Target]):
    """A thread that makes a target and then does to it whatever is asked, one thing after the other.

    The first exception ends the writing: what is still queued is dropped, and `check` and `join` raise it.

    Args:
        make: Makes the target, in the thread; opening a store takes seconds, and trials run meanwhile.
    """

    def __init__(self, make: Callable[[], Target]) -> None:
        self._make = make
        self._queue: SimpleQueue[Callable[[Target], object] | None] = SimpleQueue()
        self._error: BaseException | None = None
        self._target: Target | None = None
        self._ready = threading.Event()
        self._done = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="wine-sweep-writer", daemon=True)
        self._thread.start()

    @property
    def target(self) -> Target | None:
        """The target, once it is made."""
        return self._target

    def do(self, action: Callable[[Target], object]) -> None:
        """Queue an action; returns at once."""
        self._queue.put(action)

    def check(self) -> None:
        """Raise what went wrong in the thread, if anything did."""
        if self._error is not None:
            if isinstance(self._error, WineSweepError):
                raise self._error
            raise TrackingError(f"writing to MLflow failed: {type(self._error).__name__}: {self._error}") from self._error

    def join(self) -> Target:
        """Wait until everything queued is done, end the thread, and give the target back.

        Raises:
            TrackingError: Something could not be written.
        """
        self.close()
        self.check()
        if self._target is None:
            raise TrackingError("writing to MLflow ended before it began")
        return self._target

    def wait_until_made(self) -> None:
        """Wait until the target is made, or could not be."""
        _wait(self._ready)

    def close(self) -> None:
        """Wait until everything queued is done or given up, and end the thread; never raises what went wrong."""
        if not self._closing:
            self._closing = True
            self._queue.put(None)
        _wait(self._done)

    def _run(self) -> None:
        try:
            self._target = self._make()
            self._ready.set()
            while (action := self._queue.get()) is not None:
                action(self._target)
        except BaseException as error:  # noqa: BLE001  # kept for `check`: a thread has nobody to raise it to
            self._error = error
        finally:
            self._ready.set()
            self._done.set()


def _wait(event: threading.Event) -> None:
    """Wait in short steps: a signal gets through, and unlike an interrupted `Thread.join` it can be waited for again."""
    while not event.wait(WAIT_SECONDS):
        pass
