"""What a worker process does: it waits for trials, measures them, and never outlives the process that it works for."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import sys
import threading
import traceback
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import NoReturn

import psutil
from threadpoolctl import threadpool_limits

from wine_sweep.bench import TrialIO
from wine_sweep.execution.benches import FileTrialIO, WorkerTrialIO, measure
from wine_sweep.import_path import guard_folders
from wine_sweep.spool import TrialDirs
from wine_sweep.trial import Failure, Trial

READY = "ready"
"""What a worker says once it can measure; until then no trial's time runs."""

_Task = Callable[[Trial, TrialIO], Trial | Failure]
"""A task, or what stands in for one that could not be loaded."""


def serve(connection: Connection, pickled: bytes, trial_dirs: TrialDirs, folders: Mapping[str, set[str]]) -> None:
    """Measure trials until the other end of the connection is closed.

    For each trial one answer is sent back: the measured trial, or the failure of a task that raised. Before that the task
    may ask, with a `Question`, and is brought True or False.

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
    """Give the groups that the descendants of workers are in, without the workers' own and without ours.

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
        failure = _failure(error)
        return lambda _trial, _bench: failure
    return task


def _measure(task: _Task, trial: Trial, bench: FileTrialIO) -> Trial | Failure:
    try:
        return measure(task, trial, bench)
    except BaseException as error:  # noqa: BLE001  # sys.exit() in an estimator too is its trial's end, not the worker's
        return _failure(error)


def _answer(connection: Connection, answer: Trial | Failure) -> None:
    try:
        connection.send(answer)
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001  # a trial that cannot be pickled, for whatever reason
        connection.send(_failure(error))


def _failure(error: BaseException) -> Failure:
    lines = str(error).strip().splitlines()
    return Failure(type(error).__name__, lines[0][:500] if lines else "", "".join(traceback.format_exception(error)))
