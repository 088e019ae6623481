"""What runs inside a Dask worker: worker processes of our own, so that a trial is measured there exactly as it is here."""

from __future__ import annotations

import multiprocessing
import pickle
import threading
import time
import weakref
from concurrent.futures import CancelledError, wait
from dataclasses import replace
from pathlib import Path

from distributed import Worker, get_worker

from wine_sweep.execution.base import Limits, LostTrialError, RemoteResult, TrialDirs, pack
from wine_sweep.execution.process_pool import ProcessWorkers
from wine_sweep.trial import Trial, TrialState

LOOK_SECONDS = 0.5
"""How often a trial that is being measured looks whether anybody still waits for it."""

END_LOOK_SECONDS = 0.02
"""How often it is looked whether a trial has ended that is not to go on."""

IDLE_SECONDS = 60.0
"""How long processes stay that have nothing to do."""


class DaskExecutor:
    """Measures trials in processes of a Dask worker, as many at a time as it has threads.

    It is sent to a Dask worker once, and lies there as data of the client's. When the client is gone, be it killed, the
    scheduler has the data forgotten: the processes end with it. Pickled, it is the task and the limits alone.

    Args:
        pickled: The task.
        limits: What a trial may take.
    """

    def __init__(self, pickled: bytes, limits: Limits) -> None:
        self._pickled = pickled
        self._limits = limits
        self._lock = threading.Lock()
        self._workers: ProcessWorkers | None = None
        self._trial_dirs: TrialDirs | None = None

    def __reduce__(self) -> tuple[type[DaskExecutor], tuple[bytes, Limits]]:
        return DaskExecutor, (self._pickled, self._limits)

    def open(self) -> None:
        """Check that the task can be loaded here, and start the processes."""
        pickle.loads(self._pickled)  # noqa: S301  # it comes from the client, who may run anything here
        self._open(get_worker())

    def measure(self, trial: Trial) -> RemoteResult:
        """Measure a trial, or have one go on that has reported. What it exceeds or kills comes back as its failure.

        Raises:
            CancelledError: Nobody waits for it any more, and it was ended.
        """
        worker = get_worker()
        key = worker.get_current_task()
        workers = self._open(worker)
        future = workers.submit(trial)
        while not wait([future], timeout=LOOK_SECONDS).done:
            if not _is_wanted(worker, key):
                future.cancel()
                raise CancelledError
        error = future.exception()  # not raised: its traceback would keep this executor until Python looks for circles
        if isinstance(error, LostTrialError):
            after = replace(trial, state=TrialState.FAILED, steps=(), failure=error.failure, ended=time.time())
        else:
            after = future.result()
        if after.state.has_ended:
            return RemoteResult(after, self._take_files(trial.number))
        return RemoteResult(after, is_held=workers.holds(trial.number))

    def drop(self, trial: Trial) -> RemoteResult:
        """Have a trial ended that has reported; wait until it is."""
        workers = self._open(get_worker())
        workers.drop(trial)
        while workers.holds(trial.number):
            time.sleep(END_LOOK_SECONDS)
        return RemoteResult(trial, self._take_files(trial.number))

    def _take_files(self, number: int) -> dict[str, bytes]:
        """Take the files of a trial that has ended from where it wrote them."""
        if self._trial_dirs is None:
            return {}
        files = pack(self._trial_dirs.folder(number))
        self._trial_dirs.clear(number)
        return files

    def _open(self, worker: Worker) -> ProcessWorkers:
        with self._lock:
            if self._workers is None:
                _let_have_children()
                self._trial_dirs = TrialDirs.temporary(Path(worker.local_directory))
                self._workers = ProcessWorkers(
                    self._pickled,
                    worker.state.nthreads,
                    self._limits,
                    idle_seconds=IDLE_SECONDS,
                    trial_dirs=self._trial_dirs.root,
                )
                finalizer = weakref.finalize(self, _stop_aside, self._workers, self._trial_dirs)
                finalizer.atexit = False  # then the workers stop by themselves, and Dask removes its directory
            return self._workers


def open_executor(executor: DaskExecutor) -> None:
    """Open an executor; a Dask task."""
    executor.open()


def measure_on(executor: DaskExecutor, pickled: bytes) -> RemoteResult:
    """Measure a trial on an executor; a Dask task.

    Args:
        executor: Where.
        pickled: The trial; Dask looks into arguments that are dataclasses.
    """
    return executor.measure(pickle.loads(pickled))  # noqa: S301  # it comes from the client, who may run anything here


def drop_on(executor: DaskExecutor, pickled: bytes) -> RemoteResult:
    """Have an executor end a trial that it holds; a Dask task. See `measure_on`."""
    return executor.drop(pickle.loads(pickled))  # noqa: S301  # likewise


def _is_wanted(worker: Worker, key: object) -> bool:
    """Return whether the scheduler still wants a running task: Dask itself cannot end one, and lets it run on."""
    task = worker.state.tasks.get(key)
    return worker.status.name == "running" and task is not None and task.state in ("executing", "long-running")


def _let_have_children() -> None:
    """Allow this process to start others.

    A nanny starts its worker as a daemon, to which multiprocessing denies children because nobody would end them. Ours end
    by themselves when this process does. Dask's setting against it, ``distributed.worker.daemon``, is read by the nanny,
    where a client cannot set it.
    """
    multiprocessing.current_process()._config["daemon"] = False  # type: ignore[attr-defined]


def _stop_aside(workers: ProcessWorkers, trial_dirs: TrialDirs) -> None:
    """Stop workers without holding up whoever let the executor go, which is the Dask worker's event loop."""

    def stop() -> None:
        workers.stop()
        trial_dirs.close()

    threading.Thread(target=stop, name="wine-sweep-stop", daemon=True).start()
