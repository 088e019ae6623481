"""Choose a backend by its name in the config."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path

from wine_sweep.config import ExecutionConfig
from wine_sweep.errors import Problem
from wine_sweep.execution.base import Limits, Task, Workers
from wine_sweep.execution.process_pool import ProcessWorkers
from wine_sweep.execution.worker_main import SerialWorkers


def count_workers(config: ExecutionConfig) -> int | None:
    """Describe how many workers a config means: all usable cores unless it gives a number, and one for `serial`.

    None stands for as many as a cluster has, which nobody knows before it is asked.
    """
    if config.backend.traits.runs_in_this_process:
        return 1
    if config.workers is not None:
        return config.workers
    return None if config.address is not None else _cores()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_backend(config: ExecutionConfig) -> list[Problem]:
    """Find what a backend needs and this machine lacks."""
    backend, package = config.backend, config.backend.traits.package
    if not package or importlib.util.find_spec(package) is not None:
        return []
    lacking = f"{backend} needs {package}, which is not installed: pip install 'wine-sweep[{backend}]'"
    return [Problem(lacking, ("execution", "backend"), code="not-installed")]


def make_workers(config: ExecutionConfig, task: Task, *, packages: Sequence[str] = (), trial_dirs: Path | None = None) -> Workers:
    """Make the backend that a config names, for one task.

    Args:
        config: The section `execution`.
        task: What measures a trial; picklable.
        packages: The top-level modules of the estimators, which a cluster must have in the same versions.
        trial_dirs: Where trials put files, see `TrialDirs`; without it they go when the trial or the workers do.

    Raises:
        ExecutionError: The cluster cannot be used.
    """
    if config.backend.traits.runs_in_this_process:
        return SerialWorkers(task, trial_dirs)
    limits, count = Limits(config.trial_timeout, config.memory_limit), count_workers(config)
    if config.backend.traits.takes_address:
        from wine_sweep.execution.dask_pool import DaskWorkers  # an extra, and slow to import

        return DaskWorkers(task, config.address, count, limits, packages=packages, trial_dirs=trial_dirs)
    return ProcessWorkers(task, count or _cores(), limits, trial_dirs=trial_dirs)
