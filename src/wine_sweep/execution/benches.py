"""The benches at which tasks measure trials: in a worker process that somebody can be asked from, or in this very process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TypeVar

from wine_sweep.bench import TrialIO
from wine_sweep.spool import TrialDirs
from wine_sweep.trial import Trial

_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class ReportMessage:
    """What a worker sends in the midst of a trial: what that has said so far, to be answered with whether it is to go on.

    A trial that comes without, RUNNING though it is, was one step of several, and its worker is free.
    """

    trial: Trial


class FileTrialIO:
    """The folders of one trial, and nobody to ask; see `wine_sweep.bench.TrialIO`.

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
