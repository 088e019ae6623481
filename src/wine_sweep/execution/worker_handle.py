"""A worker process as its parent sees it: start, assign, watch time and memory, stop."""

from __future__ import annotations

import math
import multiprocessing
import signal
import threading
import time
from collections.abc import Collection
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import wait
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess

import psutil

from wine_sweep.execution.base import Limits, LostTrialError, TrialDirs
from wine_sweep.execution.worker_main import READY, ReportMessage, kill_process_tree, serve
from wine_sweep.importing import guarded_folders, working_folder_kept_out
from wine_sweep.messages import format_duration, show_bytes
from wine_sweep.trial import Failure, FailureCause, Trial

MEMORY_SECONDS = 0.1
"""How often the memory in use is measured."""

FAMILY_SECONDS = 1.0
"""How often a process's children are looked up, which takes a hundred times as long as to measure those known."""


class MemoryMeter:
    """Measures the resident memory of a process and all that it started; pages that they share count for each.

    Args:
        pid: The process.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._family: list[psutil.Process] = []
        self._looked = self._measured = float("-inf")
        self._used = 0

    def used(self) -> int:
        """Return the bytes in use, as of `MEMORY_SECONDS` ago at most; 0 when the process has ended."""
        now = time.monotonic()
        if now - self._looked >= FAMILY_SECONDS:
            self._family, self._looked = _family(self._pid), now
        if now - self._measured >= MEMORY_SECONDS:
            self._used, self._measured = sum(map(_resident, self._family)), now
        return self._used


def _family(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return []


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


END_SECONDS = 5.0
"""How long a process that was killed may take to be gone, and a task that is not to go on to end by itself."""

_PRELOAD = ["wine_sweep.execution.preload"]


@dataclass(frozen=True)
class RunningTrial:
    """A trial that a worker measures: since when, and until when at most, by the monotonic clock."""

    trial: Trial
    future: Future[Trial]
    began: float
    deadline: float


@dataclass(frozen=True)
class PausedTrial:
    """A trial that has reported: its task waits in the worker for an answer, or ends because the answer was no.

    Args:
        number: The trial's.
        until: When its task is to have ended, by the monotonic clock; infinite while it waits.
    """

    number: int
    until: float = math.inf

    @property
    def waits(self) -> bool:
        """Return whether it may go on."""
        return self.until == math.inf


class WorkerHandle:
    """Starts a worker process. Used by one thread.

    Args:
        pickled: The task.
        limits: What a trial may take.
        trial_dirs: Where trials put files.

    Attributes:
        job: What it measures now.
        hold: What it would go on with now, or is ending; there is never a job as well.
        is_ready: Whether it has loaded its task.
        idle_since: Since when it has had nothing to do, by the monotonic clock.
    """

    def __init__(self, pickled: bytes, limits: Limits, trial_dirs: TrialDirs) -> None:
        start = context()
        self.connection, theirs = start.Pipe()
        self._process: BaseProcess = start.Process(  # type: ignore[attr-defined]  # each context has one, BaseContext does not
            target=serve, args=(theirs, pickled, trial_dirs, guarded_folders()), name="wine-sweep-worker"
        )
        with working_folder_kept_out():  # by spawn, and where the server or multiprocessing's tracker has died
            self._process.start()
        theirs.close()
        self._limits = limits
        self._meter = MemoryMeter(self._process.pid) if limits.memory is not None and self._process.pid is not None else None
        self.job: RunningTrial | None = None
        self.hold: PausedTrial | None = None
        self.is_ready = False
        self.idle_since = time.monotonic()

    @property
    def sentinel(self) -> int:
        """What becomes readable when the process has ended."""
        return self._process.sentinel

    @property
    def pid(self) -> int | None:
        """The process's id."""
        return self._process.pid

    @property
    def is_free(self) -> bool:
        """Return whether it is there and waits for a trial: one that has anything to say then has died."""
        return self.is_ready and self.has_nothing and not wait([self.connection, self.sentinel], timeout=0)

    @property
    def has_nothing(self) -> bool:
        """Return whether it has no trial, neither to measure nor to go on with."""
        return self.job is None and self.hold is None

    @property
    def number(self) -> int | None:
        """The number of the trial that it has, if it has one."""
        if self.job is not None:
            return self.job.trial.number
        return self.hold.number if self.hold is not None else None

    def give(self, trial: Trial, future: Future[Trial]) -> None:
        """Have it measure a trial, or go on with the one that it holds. It not being there any more shows as its death."""
        message = trial if self.hold is None else True
        self.hold = None
        now = time.monotonic()
        left = float("inf") if self._limits.seconds is None else self._limits.seconds - trial.spent
        self.job = RunningTrial(trial, future, now, now + left)
        self._send(message)

    def drop(self, seconds: float | None = None) -> None:
        """Have it end the trial that it holds, within `END_SECONDS` or other seconds."""
        if self.hold is not None and self.hold.waits:
            self.hold = replace(self.hold, until=time.monotonic() + (END_SECONDS if seconds is None else seconds))
            self._send(False)

    def _send(self, message: Trial | bool) -> None:
        with suppress(OSError):  # it has died, which its sentinel tells
            self.connection.send(message)

    def take_message(self) -> bool:
        """Take what it says, if it says something: that it is ready, what its trial asks, or what came of it.

        Returns:
            Whether it is alive, as far as that can be told from here.
        """
        try:
            if not self.connection.poll():
                return True
            message: str | ReportMessage | Trial | Failure = self.connection.recv()
        except (EOFError, OSError):
            return False
        if message == READY:
            self.is_ready = True
            self.idle_since = time.monotonic()
        elif isinstance(message, ReportMessage):
            self._take_question(message.trial)
        else:
            self._take_answer(message)
        return True

    def _take_question(self, trial: Trial) -> None:
        """Return a trial that has reported, and hold it; what nobody waits for is to be ended at once."""
        self.hold = PausedTrial(trial.number)  # before anybody sees the trial, and submits it again
        if not self._settle(self._with_time(trial)):
            self.drop(seconds=0.0)

    def _take_answer(self, answer: str | Trial | Failure) -> None:
        """Pass on what came of its trial; of one that was not to go on nobody hears."""
        self.hold = None
        if isinstance(answer, Failure):
            self.fail(answer)
        elif isinstance(answer, Trial):
            self._settle(answer if answer.state.has_ended else self._with_time(answer))

    def _with_time(self, trial: Trial) -> Trial:
        """Add to a trial that is not at its end the time that it was measured, up to now."""
        return trial if self.job is None else replace(trial, spent=self.job.trial.spent + time.monotonic() - self.job.began)

    def excess(self) -> Failure | None:
        """Return which limit its trial exceeds, if it exceeds one."""
        if self.job is None:
            return None
        if time.monotonic() >= self.job.deadline and self._limits.seconds is not None:
            message = f"took longer than {format_duration(self._limits.seconds)}"
            return Failure("TrialTimeout", message, cause=FailureCause.TIMEOUT)
        if self._limits.memory is not None and self._meter is not None and (used := self._meter.used()) > self._limits.memory:
            message = f"used {show_bytes(used)}, more than memory_limit {show_bytes(self._limits.memory)}"
            return Failure("MemoryLimit", message, cause=FailureCause.MEMORY)
        return None

    @property
    def is_overdue(self) -> bool:
        """Return whether it has been told to end a trial, and has not in time."""
        return self.hold is not None and time.monotonic() >= self.hold.until

    def fail(self, failure: Failure) -> None:
        """End its trial with a failure."""
        self._settle(LostTrialError(failure))

    def kill(self, beside: Collection[int] | None = None) -> None:
        """End the process and those that it started, whatever they are doing; see `kill_process_tree`."""
        if self._process.pid is not None:
            kill_process_tree(self._process.pid, beside)
        self._process.kill()  # before it made a family of its own it is not in it
        self.connection.close()

    def close(self) -> None:
        """Let it go: it ends by itself, unless it is busy, once nobody can bring it a trial or an answer."""
        self.connection.close()

    def join(self, seconds: float = END_SECONDS) -> bool:
        """Wait until it is gone, and say whether it is."""
        self._process.join(max(0.0, seconds))
        return not self._process.is_alive()

    def why_lost(self) -> Failure:
        """Describe how a process that has ended did: by which signal, or with which exit code."""
        self.join()
        code = self._process.exitcode or 0
        how = f"was ended by {signal.Signals(-code).name}" if -code in set(signal.Signals) else f"ended with exit code {code}"
        hint = "; the system may be out of memory" if code == -signal.SIGKILL else ""
        return Failure("WorkerDied", f"the worker process {how}{hint}", cause=FailureCause.WORKER)

    def _settle(self, outcome: Trial | LostTrialError) -> bool:
        """Pass on what came of its trial, and say whether anybody waited for it."""
        job, self.job = self.job, None
        self.idle_since = time.monotonic()
        if job is None or not job.future.set_running_or_notify_cancel():
            return False
        if isinstance(outcome, Trial):
            job.future.set_result(outcome)
        else:
            job.future.set_exception(outcome)
        return True


def start_forkserver() -> None:
    """Start the server that workers are forked from, so that it loads the libraries while this process does other work.

    The server is started deaf to Ctrl-C, and to the SIGHUP of a terminal that is closed: they are sent to every process, and
    only this one is to handle them.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return
    from multiprocessing import forkserver

    context()
    with working_folder_kept_out():
        if threading.current_thread() is not threading.main_thread():
            forkserver.ensure_running()
            return
        before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGHUP)}
        try:
            forkserver.ensure_running()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def context() -> BaseContext:
    """Choose how processes start: never by a plain fork, which copies a process whose other threads hold locks."""
    if "forkserver" in multiprocessing.get_all_start_methods():
        chosen = multiprocessing.get_context("forkserver")
        chosen.set_forkserver_preload(_PRELOAD)
        return chosen
    return multiprocessing.get_context("spawn")
