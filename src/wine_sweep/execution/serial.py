"""Trials one after the other, in this process: for debugging, and where no process may be started."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path

from threadpoolctl import threadpool_limits

from wine_sweep.bench import Task
from wine_sweep.execution.base import failure_of
from wine_sweep.execution.benches import FileTrialIO, measure
from wine_sweep.spool import TrialDirs
from wine_sweep.trial import Failure, Trial


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
        """Remove a temporary spool; nothing runs between two trials."""
        self._trial_dirs.close()
