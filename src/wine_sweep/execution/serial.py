"""Trials one after the other, in this process: for debugging, and where no process may be started."""

from __future__ import annotations

from concurrent.futures import Future

from threadpoolctl import threadpool_limits

from wine_sweep.execution.base import Task, failure_of
from wine_sweep.trial import Failure, Trial


class SerialWorkers:
    """Measures a trial while it is submitted, with one BLAS/OpenMP thread, as a worker process would."""

    size = 1

    def __init__(self, task: Task) -> None:
        self._task = task

    def submit(self, trial: Trial) -> Future[Trial]:
        """Measure a trial; the future is done when this returns."""
        future: Future[Trial] = Future()
        with threadpool_limits(limits=1):
            future.set_result(self._task(trial))
        return future

    def explain(self, error: BaseException) -> Failure:
        """Name what the task let through; an estimator's own errors are in the trial already."""
        return failure_of(error)

    def stop(self) -> None:
        """Nothing runs between two trials."""
