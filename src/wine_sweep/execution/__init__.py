"""Where trials are measured: in this process or in worker processes, behind one small interface."""

from wine_sweep.execution.base import Task, Workers, make_workers

__all__ = ["Task", "Workers", "make_workers"]
