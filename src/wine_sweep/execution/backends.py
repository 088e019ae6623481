"""The choice of a backend."""

from __future__ import annotations

import os

from wine_sweep.config import Backend, ExecutionConfig
from wine_sweep.execution.base import Limits, Task, Workers
from wine_sweep.execution.processes import ProcessWorkers
from wine_sweep.execution.serial import SerialWorkers


def count_workers(config: ExecutionConfig) -> int:
    """Say how many workers a config means: all usable cores unless it gives a number, and one for `serial`."""
    if config.backend is Backend.SERIAL:
        return 1
    if config.workers is not None:
        return config.workers
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def make_workers(config: ExecutionConfig, task: Task) -> Workers:
    """Make the backend that a config names, for one task."""
    if config.backend is Backend.SERIAL:
        return SerialWorkers(task)
    return ProcessWorkers(task, count_workers(config), Limits(config.trial_timeout, config.memory_limit))
