"""Where trials are measured: in this process, in worker processes or on a cluster, behind one small interface."""

from wine_sweep.execution.backends import check_backend, count_workers, make_workers
from wine_sweep.execution.base import Limits, LostTrialError, Task, Workers
from wine_sweep.execution.worker_handle import start_forkserver

__all__ = ["Limits", "LostTrialError", "Task", "Workers", "check_backend", "count_workers", "make_workers", "start_forkserver"]
