"""What a worker runs: a process that waits for trials, measures them and never outlives the parent; or this process."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import NoReturn, TypeVar

import psutil
from threadpoolctl import threadpool_limits

from wine_sweep.execution.base import Task, TrialDirs, TrialIO, describe_error, failure_of
from wine_sweep.importing import guard_folders
from wine_sweep.trial import Failure, Trial

_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class ReportMessage:
    """What a worker sends in the midst of a trial: what that has said so far, to be answered with whether it is to go on.

    A trial that comes without, RUNNING though it is, was one step of several, and its worker is free.
    """

    trial: Trial


class FileTrialIO:
    """The folders of one trial, and nobody to ask; see `execution.base.TrialIO`.

    Args:
        trial_dirs: Where the folders are.
        number: The trial's.
    """

    def __init__(self, trial_dirs: TrialDirs, number: int) -> None:
        self._trial_dirs = trial_dirs
        self._number = number

    @property
    def folder(self) -> Path:
        """A folder for files that are kept."""
        return self._trial_dirs.make(self._trial_dirs.folder(self._number))

    @property
    def scratch(self) -> Path:
        """A folder for files that nobody keeps."""
        return self._trial_dirs.make(self._trial_dirs.scratch(self._number))

    @property
    def common(self) -> Path:
        """A folder that all trials share."""
        return self._trial_dirs.make(self._trial_dirs.common)

    def report(self, trial: Trial) -> bool:
        """Refuse: who would answer waits for the trial to end.

        Raises:
            RuntimeError: Always.
        """
        raise RuntimeError(f"trial {trial.number} reports, and with the backend serial nobody can be asked whether it goes on")

    def clear(self) -> None:
        """Remove what an earlier attempt at the trial has left."""
        self._trial_dirs.clear(self._number)

    def close(self) -> None:
        """Take note that the task has returned."""
        self._trial_dirs.clear_scratch(self._number)


class WorkerTrialIO(FileTrialIO):
    """The same in a worker process, which can ask the process that it works for.

    Args:
        trial_dirs: Where the folders are.
        number: The trial's.
        connection: Takes questions, brings answers.
    """

    def __init__(self, trial_dirs: TrialDirs, number: int, connection: Connection) -> None:
        super().__init__(trial_dirs, number)
        self._connection = connection
        self._lock = threading.Lock()
        self._is_over = False

    def report(self, trial: Trial) -> bool:
        """Ask, and wait for the answer. Once it was no, or when the task has returned, it is no without asking.

        Raises:
            EOFError: Nobody waits for the trial any more; the task is to end.
            ValueError: The trial is not RUNNING.
        """
        if trial.state.has_ended:
            raise ValueError(f"trial {trial.number} is reported as {trial.state}, and only one that is running can be")
        with self._lock:
            if self._is_over:
                return False
            try:
                self._connection.send(ReportMessage(trial))
                self._is_over = not self._connection.recv()
            except OSError as error:
                raise EOFError(f"nobody waits for trial {trial.number} any more") from error
            return not self._is_over

    def close(self) -> None:
        """Take note that the task has returned: what it has left running is not heard any more."""
        with self._lock:
            self._is_over = True
        super().close()


def measure(task: Callable[[Trial, TrialIO], _Answer], trial: Trial, bench: FileTrialIO) -> _Answer:
    """Have a task measure a trial at its bench, which holds nothing old when the trial begins, and no scratch when it ends."""
    if not trial.steps:
        bench.clear()
    try:
        return task(trial, bench)
    finally:
        bench.close()


class SerialWorkers:
    """Measures a trial while it is submitted, with one BLAS/OpenMP thread, as a worker process would.

    A task cannot report here: whoever would answer waits for `submit`. Functions and commands are therefore not pruned with
    the backend serial, which the check of a config refuses; a report is a RuntimeError.

    Args:
        task: What measures a trial.
        trial_dirs: Where trials put files; None for a temporary folder.
    """

    size = 1

    def __init__(self, task: Task, trial_dirs: Path | None = None) -> None:
        self._task = task
        self._trial_dirs = TrialDirs.at(trial_dirs)

    def submit(self, trial: Trial) -> Future[Trial]:
        """Measure a trial; the future is done when this returns."""
        future: Future[Trial] = Future()
        with threadpool_limits(limits=1):
            future.set_result(measure(self._task, trial, FileTrialIO(self._trial_dirs, trial.number)))
        return future

    def drop(self, trial: Trial) -> None:
        """Nobody holds a trial here."""

    def explain(self, error: BaseException) -> Failure:
        """Name what the task let through; an estimator's own errors are in the trial already."""
        return failure_of(error)

    def stop(self) -> None:
        """Remove temporary directories; nothing runs between two trials."""
        self._trial_dirs.close()


READY = "ready"
"""What a worker says once it can measure; until then no trial's time runs."""

_Task = Callable[[Trial, TrialIO], Trial | Failure]
"""A task, or what stands in for one that could not be loaded."""


def serve(connection: Connection, pickled: bytes, trial_dirs: TrialDirs, folders: Mapping[str, set[str]]) -> None:
    """Measure trials until the other end of the connection is closed.

    For each trial one answer is sent back: the measured trial, or the failure of a task that raised. Before that the task
    may ask, with a `ReportMessage`, and is brought True or False.

    Args:
        connection: Brings trials, takes answers.
        pickled: The task.
        trial_dirs: Where trials put files.
        folders: Those on the path that are the user's own; see `guard_folders`.
    """
    guard_folders(folders)
    _die_with_parent()
    _take_one_thread()
    task = _load(pickled)
    try:
        connection.send(READY)
        while True:
            trial = connection.recv()
            _answer(connection, _measure(task, trial, WorkerTrialIO(trial_dirs, trial.number, connection)))
    except (EOFError, BrokenPipeError, ConnectionResetError):  # the other end is closed: nobody waits for an answer
        return


def kill_process_tree(pid: int, beside: Collection[int] | None = None) -> None:
    """Kill a worker and the processes that it started, if they are still there.

    Most are in the worker's own group; what runs in another, as commands do, is found by way of its parents.

    Args:
        pid: The worker.
        beside: The other groups, where they have been looked up before; None to look.
    """
    groups = [pid, *(groups_beside([pid]) if beside is None else beside)]  # the worker first: it could start more
    for group in groups if pid != os.getpid() else reversed(groups):
        try:
            os.killpg(group, signal.SIGKILL) if hasattr(os, "killpg") else os.kill(group, signal.SIGTERM)
        except (ProcessLookupError, PermissionError):  # macOS says "not permitted" of a group of which only zombies are left
            continue


def groups_beside(pids: Collection[int]) -> set[int]:
    """Return the groups that the descendants of workers are in, without the workers' own and without ours.

    To go through a machine's processes takes some 30 µs for each, so many workers are looked up together.
    """
    if not pids or not hasattr(os, "getpgid"):
        return set()
    children: dict[int, list[int]] = defaultdict(list)
    for each in psutil.process_iter():
        with suppress(psutil.Error):  # it has ended meanwhile
            children[each.ppid()].append(each.pid)
    family, groups = list(pids), set()
    while family:
        for child in children.pop(family.pop(), []):
            family.append(child)
            with suppress(ProcessLookupError, PermissionError):
                groups.add(os.getpgid(child))
    return groups - {*pids, os.getpgrp()}


def _die_with_parent() -> None:
    """See to it that this process and its children end when the parent does, be it by SIGKILL and this process busy.

    On Linux the kernel does it: the parent holds one end of a pipe, and that it was closed is signalled to the whole
    process group as SIGKILL (fcntl(2), F_SETSIG), even while a library holds Python's lock. Elsewhere a thread waits.
    """
    if hasattr(os, "setpgid"):
        os.setpgid(0, 0)
    parent = multiprocessing.parent_process()
    if parent is None:
        raise RuntimeError("a worker is started by multiprocessing")
    if sys.platform == "linux":
        import fcntl

        fcntl.fcntl(parent.sentinel, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(parent.sentinel, fcntl.F_SETOWN, -os.getpid())
        fcntl.fcntl(parent.sentinel, fcntl.F_SETFL, fcntl.fcntl(parent.sentinel, fcntl.F_GETFL) | os.O_ASYNC)
        if wait([parent.sentinel], timeout=0):  # it went before the kernel was told
            _end()
    else:
        threading.Thread(target=lambda: (parent.join(), _end()), name="wine-sweep-parent", daemon=True).start()


def _end() -> NoReturn:
    kill_process_tree(os.getpid())
    os._exit(1)


def _take_one_thread() -> None:
    """Take one thread for BLAS and OpenMP, and turn deaf to Ctrl-C, which the parent handles."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = "1"  # for libraries that load later; the ones already loaded follow the next line
    threadpool_limits(limits=1)


def _load(pickled: bytes) -> _Task:
    """Unpickle the task; where that fails, every trial fails for that reason."""
    try:
        task: _Task = pickle.loads(pickled)  # noqa: S301  # it comes from the process that started this one
    except BaseException as error:  # noqa: BLE001  # whatever importing a user's module raises, sys.exit too
        failure = describe_error(error)
        return lambda _trial, _bench: failure
    return task


def _measure(task: _Task, trial: Trial, bench: FileTrialIO) -> Trial | Failure:
    try:
        return measure(task, trial, bench)
    except BaseException as error:  # noqa: BLE001  # sys.exit() in an estimator too is its trial's end, not the worker's
        return describe_error(error)


def _answer(connection: Connection, answer: Trial | Failure) -> None:
    try:
        connection.send(answer)
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001  # a trial that cannot be pickled, for whatever reason
        connection.send(describe_error(error))
