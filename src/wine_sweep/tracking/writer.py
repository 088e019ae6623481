"""Writes behind the loop: one thread does everything that talks to the store, in order, so that no worker waits for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

from wine_sweep.errors import TrackingError, WineSweepError
from wine_sweep.execution.base import POLL_SECONDS
from wine_sweep.messages import format_duration
from wine_sweep.tracking.retry import RetryPolicy

Target = TypeVar("Target")
STALL_SECONDS = 10.0
"""How long an attempt that does not end is waited for once somebody wants to stop."""


@dataclass(frozen=True)
class _Task(Generic[Target]):
    """Something to do; `is_result` when it writes what a trial measured."""

    action: Callable[[Target], object]
    is_result: bool = False


@dataclass
class _Periodic(Generic[Target]):
    """Something to do every so many seconds; `due` by `time.monotonic`."""

    action: Callable[[Target], object]
    seconds: float
    due: float


class BackgroundWriter(Generic[Target]):
    """A thread that makes a target and then does to it whatever is asked, one thing after the other.

    While the store is away it tries again as its policy says, and nothing queued is dropped. Any other error, and an outage
    that lasts too long, ends the writing: what is still queued is not done, and `check` and `join` raise that error.

    Args:
        make: Makes the target, in the thread; opening a store takes seconds, and trials run meanwhile.
        policy: How long an outage is waited for; by default not at all.
        stop: Whether somebody wants to stop; heard while `join` or `close` waits.
    """

    def __init__(
        self, make: Callable[[], Target], *, policy: RetryPolicy | None = None, stop: Callable[[], bool] = lambda: False
    ) -> None:
        self._make = make
        self._policy = policy or RetryPolicy(0)
        self._stop = stop
        self._queue: SimpleQueue[_Task[Target] | None] = SimpleQueue()
        self._periodic: list[_Periodic[Target]] = []
        self._idle: SimpleQueue[Callable[[], object]] = SimpleQueue()
        self._results = 0
        self._lock = threading.Lock()
        self._error: BaseException | None = None
        self._target: Target | None = None
        self._ready = threading.Event()
        self._done = threading.Event()
        self._ending = False
        self._closing = False
        self._progress = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="wine-sweep-writer", daemon=True)
        self._thread.start()

    @property
    def target(self) -> Target | None:
        """The target, once it is made."""
        return self._target

    @property
    def pending(self) -> int:
        """How many results are not written yet."""
        return self._results

    @property
    def is_away(self) -> bool:
        """Return whether the store is away, so that results wait."""
        return self._policy.is_away

    def do(self, action: Callable[[Target], object], *, is_result: bool = False) -> None:
        """Queue an action, which may be done twice when an answer gets lost; returns at once.

        Args:
            action: What to do.
            is_result: Whether it writes what came of a trial, and so counts as pending.
        """
        if is_result:
            with self._lock:
                self._results += 1
        self._queue.put(_Task(action, is_result))

    def every(self, seconds: float, action: Callable[[Target], object]) -> None:
        """Do something now, and then every so many seconds, between what is queued; left out while the store is away."""
        self._periodic.append(_Periodic(action, seconds, time.monotonic()))
        self._queue.put(_Task(lambda _target: None))  # a thread that waits for work looks again when it is due

    def when_idle(self, action: Callable[[], object]) -> None:
        """Do something once, as soon as nothing is queued; perhaps never."""
        self._idle.put(action)
        self._queue.put(_Task(lambda _target: None))  # a thread that waits for work looks again

    def check(self) -> None:
        """Raise what went wrong in the thread, if anything did."""
        if self._error is not None:
            if isinstance(self._error, WineSweepError):
                raise self._error
            raise TrackingError(f"writing to MLflow failed: {type(self._error).__name__}: {self._error}") from self._error

    def join(self, watch: Callable[[], object] = lambda: None) -> Target:
        """Wait until everything queued is done and give the target back; what is done periodically goes on until `close`.

        Args:
            watch: Is called a few times a second while it waits.

        Raises:
            TrackingError: Something could not be written.
        """
        reached = threading.Event()
        self._queue.put(_Task(lambda _target: reached.set()))
        self._wait(lambda seconds: reached.wait(seconds) or self._done.is_set(), watch)
        self.check()
        if self._target is None:
            raise TrackingError("writing to MLflow ended before it began")
        return self._target

    def wait_until_made(self) -> None:
        """Wait until the target is made, or could not be."""
        while not self._ready.wait(POLL_SECONDS):
            pass

    def close(self) -> None:
        """Wait until everything queued is done or given up, and end the thread; never raises what went wrong."""
        if not self._closing:
            self._closing = True
            self._queue.put(None)
        self._wait(self._done.wait)

    def _wait(self, over: Callable[[float], bool], watch: Callable[[], object] = lambda: None) -> None:
        """Wait in short steps, so that a signal gets through, and an interrupted wait can be taken up again.

        Once somebody wants to stop, an attempt that does not end is left to itself.
        """
        self._ending, heard = True, None
        try:
            while not over(POLL_SECONDS):
                watch()
                if heard is None and self._stop():
                    heard = time.monotonic()
                if heard is not None and (stalled := time.monotonic() - max(heard, self._progress)) > STALL_SECONDS:
                    words = f"the tracking store has not answered for {format_duration(round(stalled))}"
                    self._error = self._error or TrackingError(words, is_outage=True)
                    self._policy.begin_outage(time.monotonic() - stalled)
                    self._done.set()
        finally:
            self._ending = False

    def _run(self) -> None:
        try:
            self._target = self._make()
            self._ready.set()
            while (task := self._next(self._target)) is not None:
                self._do(task, self._target)
        except BaseException as error:  # noqa: BLE001  # kept for `check`: a thread has nobody to raise it to
            self._error = self._error or error
        finally:
            self._ready.set()
            self._done.set()

    def _do(self, task: _Task[Target], target: Target) -> None:
        self._policy.run(lambda: task.action(target), stop=self._may_give_up)
        self._progress = time.monotonic()
        if task.is_result:
            with self._lock:
                self._results -= 1

    def _may_give_up(self) -> bool:
        """Return whether to give an outage up: nothing more will be queued, and the user wants to stop or has left."""
        return self._done.is_set() or (self._ending and self._stop())

    def _next(self, target: Target) -> _Task[Target] | None:
        """Wait for the next task, and do meanwhile what is due; None when there is nothing more to do."""
        while not self._done.is_set():
            self._do_what_is_due(target)
            if self._queue.empty() and not self._idle.empty():
                self._idle.get()()
            due = min((each.due for each in self._periodic), default=None)
            try:
                return self._queue.get(timeout=None if due is None else max(0.0, due - time.monotonic()))
            except Empty:
                continue
        return None

    def _do_what_is_due(self, target: Target) -> None:
        for each in [each for each in self._periodic if each.due <= time.monotonic()]:
            each.due = time.monotonic() + each.seconds
            if self._policy.is_away:
                continue
            try:
                self._policy.once(partial(each.action, target))
            except TrackingError as error:
                if not error.is_outage:
                    raise
