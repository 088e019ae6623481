"""Where trials are measured: in this process or in worker processes, behind one small interface."""

from wine_sweep.execution.backends import count_workers, make_workers
from wine_sweep.execution.base import Task, Workers

__all__ = ["Task", "Workers", "count_workers", "make_workers"]
