"""A worker process, as seen by the process that it works for."""

from __future__ import annotations

import multiprocessing
import signal
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, replace
from multiprocessing.connection import wait
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess

from wine_sweep.execution.base import Limits, LostTrialError
from wine_sweep.execution.memory import MemoryMeter
from wine_sweep.execution.worker import READY, kill_family, serve
from wine_sweep.trial import Failure, FailureCause, Trial
from wine_sweep.wording import duration_in_words, show_bytes

END_SECONDS = 5.0
"""How long a process that was killed may take to be gone."""

_PRELOAD = ["wine_sweep.objective.measurement", "wine_sweep.execution.worker", "sklearn.linear_model", "sklearn.pipeline"]


@dataclass(frozen=True)
class Job:
    """A trial that a worker measures: since when, and until when at most, by the monotonic clock."""

    trial: Trial
    future: Future[Trial]
    began: float
    deadline: float


class Worker:
    """Starts a worker process. Used by one thread.

    Args:
        pickled: The task.
        limits: What a trial may take.

    Attributes:
        job: What it measures now.
        is_ready: Whether it has loaded its task.
        idle_since: Since when it has had nothing to do, by the monotonic clock.
    """

    def __init__(self, pickled: bytes, limits: Limits) -> None:
        start = context()
        self.connection, theirs = start.Pipe()
        self._process: BaseProcess = start.Process(  # type: ignore[attr-defined]  # each context has one, BaseContext does not
            target=serve, args=(theirs, pickled), name="wine-sweep-worker"
        )
        self._process.start()
        theirs.close()
        self._limits = limits
        self._meter = MemoryMeter(self._process.pid) if limits.memory is not None and self._process.pid is not None else None
        self.job: Job | None = None
        self.is_ready = False
        self.idle_since = time.monotonic()

    @property
    def sentinel(self) -> int:
        """What becomes readable when the process has ended."""
        return self._process.sentinel

    @property
    def is_free(self) -> bool:
        """Whether it is there and waits for a trial: one that has anything to say then has died."""
        return self.is_ready and self.job is None and not wait([self.connection, self.sentinel], timeout=0)

    def give(self, trial: Trial, future: Future[Trial]) -> None:
        """Have it measure a trial. One that it cannot be told of any more comes to light as its death."""
        now = time.monotonic()
        left = float("inf") if self._limits.seconds is None else self._limits.seconds - trial.spent
        self.job = Job(trial, future, now, now + left)
        try:
            self.connection.send(trial)
        except OSError:
            return

    def take_message(self) -> bool:
        """Take what it says, if it says something: that it is ready, or what came of its trial.

        Returns:
            Whether it is alive, as far as that can be told from here.
        """
        try:
            if not self.connection.poll():
                return True
            message: str | Trial | Failure = self.connection.recv()
        except (EOFError, OSError):
            return False
        if message == READY:
            self.is_ready = True
            self.idle_since = time.monotonic()
        elif isinstance(message, Failure):
            self.fail(message)
        elif isinstance(message, Trial) and self.job is not None:
            spent = self.job.trial.spent + time.monotonic() - self.job.began
            self._settle(message if message.state.has_ended else replace(message, spent=spent))
        return True

    def excess(self) -> Failure | None:
        """Say which limit its trial exceeds, if it exceeds one."""
        if self.job is None:
            return None
        if time.monotonic() >= self.job.deadline and self._limits.seconds is not None:
            message = f"took longer than {duration_in_words(self._limits.seconds)}"
            return Failure("TrialTimeout", message, cause=FailureCause.TIMEOUT)
        if self._limits.memory is not None and self._meter is not None and (used := self._meter.used()) > self._limits.memory:
            message = f"used {show_bytes(used)}, more than memory_limit {show_bytes(self._limits.memory)}"
            return Failure("MemoryLimit", message, cause=FailureCause.MEMORY)
        return None

    def fail(self, failure: Failure) -> None:
        """End its trial with a failure."""
        self._settle(LostTrialError(failure))

    def kill(self) -> None:
        """End the process and those that it started, whatever they are doing."""
        if self._process.pid is not None:
            kill_family(self._process.pid)
        self._process.kill()  # before it made a family of its own it is not in it
        self.close()

    def close(self) -> None:
        """Let it go: an idle one ends by itself once nobody can bring it a trial."""
        self.connection.close()

    def join(self, seconds: float = END_SECONDS) -> bool:
        """Wait until it is gone, and say whether it is."""
        self._process.join(max(0.0, seconds))
        return not self._process.is_alive()

    def why_lost(self) -> Failure:
        """Say how a process that has ended did: by which signal, or with which exit code."""
        self.join()
        code = self._process.exitcode or 0
        how = f"was ended by {signal.Signals(-code).name}" if -code in set(signal.Signals) else f"ended with exit code {code}"
        hint = "; the system may be out of memory" if code == -signal.SIGKILL else ""
        return Failure("WorkerDied", f"the worker process {how}{hint}", cause=FailureCause.WORKER)

    def _settle(self, outcome: Trial | LostTrialError) -> None:
        job, self.job = self.job, None
        self.idle_since = time.monotonic()
        if job is not None and job.future.set_running_or_notify_cancel():
            if isinstance(outcome, Trial):
                job.future.set_result(outcome)
            else:
                job.future.set_exception(outcome)


def warm_up() -> None:
    """Start the server that workers are forked from, so that it loads the libraries while this process does other work.

    The server is started deaf to Ctrl-C: the terminal sends it to every process, and only this one is to handle it.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return
    from multiprocessing import forkserver

    context()
    if threading.current_thread() is not threading.main_thread():
        forkserver.ensure_running()
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        forkserver.ensure_running()
    finally:
        signal.signal(signal.SIGINT, before)


def context() -> BaseContext:
    """Choose how processes start: never by a plain fork, which copies a process whose other threads hold locks."""
    if "forkserver" in multiprocessing.get_all_start_methods():
        chosen = multiprocessing.get_context("forkserver")
        chosen.set_forkserver_preload(_PRELOAD)
        return chosen
    return multiprocessing.get_context("spawn")
