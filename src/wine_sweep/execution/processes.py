"""Worker processes on this machine, by pebble: a worker that dies costs its own trial and is replaced."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from concurrent.futures import Future
from multiprocessing.context import BaseContext

from pebble import ProcessExpired, ProcessPool
from threadpoolctl import threadpool_limits

from wine_sweep.execution.base import Task
from wine_sweep.trial import Failure, Trial

_PRELOAD = ["wine_sweep.objective.measurement", "sklearn.linear_model", "sklearn.pipeline"]
_task: Task | None = None
"""What this worker process measures trials with; set once, when the process starts."""


class ProcessWorkers:
    """Worker processes, forked where possible from a server that has the libraries loaded.

    Args:
        task: Picklable; sent to each worker once.
        size: The number of processes.
    """

    def __init__(self, task: Task, size: int) -> None:
        self.size = size
        self._task = task
        self._open: set[Future[Trial]] = set()
        self._pool = self._make_pool()

    def submit(self, trial: Trial) -> Future[Trial]:
        """Have a trial measured; a lost worker shows as `pebble.ProcessExpired` in the future."""
        try:
            future = self._schedule(trial)
        except RuntimeError:  # workers died while they started, and the pool gave itself up: a new one takes over
            self._pool = self._make_pool()
            future = self._schedule(trial)
        self._open.add(future)
        future.add_done_callback(self._open.discard)
        return future

    def _schedule(self, trial: Trial) -> Future[Trial]:
        future: Future[Trial] = self._pool.schedule(_measure, args=(trial,))
        return future

    def _make_pool(self) -> ProcessPool:
        warm_up()
        return ProcessPool(max_workers=self.size, initializer=_start_worker, initargs=(self._task,), context=_context())

    def explain(self, error: BaseException) -> Failure:
        """Say how a worker was lost: by which signal, or with which exit code."""
        if not isinstance(error, ProcessExpired):
            return Failure(type(error).__name__, str(error))
        code = error.exitcode or 0
        how = f"was ended by {signal.Signals(-code).name}" if -code in set(signal.Signals) else f"ended with exit code {code}"
        return Failure("WorkerDied", f"the worker process {how}")

    def stop(self) -> None:
        """Cancel what is open and terminate the workers, killing those that do not react."""
        for future in list(self._open):
            future.cancel()
        self._pool.stop()  # type: ignore[no-untyped-call]  # pebble leaves it untyped
        self._pool.join()


def warm_up() -> None:
    """Start the server that workers are forked from, so that it loads the libraries while this process does other work.

    The server is started deaf to Ctrl-C: the terminal sends it to every process, and only this one is to handle it.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return
    from multiprocessing import forkserver

    _context()
    if threading.current_thread() is not threading.main_thread():
        forkserver.ensure_running()
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        forkserver.ensure_running()
    finally:
        signal.signal(signal.SIGINT, before)


def _context() -> BaseContext:
    """Choose how processes start: never by a plain fork, which copies a process whose other threads hold locks."""
    if "forkserver" in multiprocessing.get_all_start_methods():
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(_PRELOAD)
        return context
    return multiprocessing.get_context("spawn")


def _start_worker(task: Task) -> None:
    """Prepare a worker process: its task, one thread for BLAS and OpenMP, and deaf to Ctrl-C, which the parent handles."""
    global _task  # noqa: PLW0603  # a worker process has one task for its whole life
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = "1"  # for libraries that load later; the ones already loaded follow the next line
    threadpool_limits(limits=1)
    _task = task


def _measure(trial: Trial) -> Trial:
    if _task is None:
        raise RuntimeError("this worker process was not prepared")
    return _task(trial)
