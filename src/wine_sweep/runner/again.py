"""Measures one trial once more, as a sweep does, and writes nothing into the sweep's store."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import wait
from dataclasses import replace

from wine_sweep.execution import Workers, make_workers
from wine_sweep.runner.handover import ProgramWorkers
from wine_sweep.subjects.own_goals import needed_metrics
from wine_sweep.subjects.prepared import SweepPlan
from wine_sweep.tracking.scratch_store import scratch_runs
from wine_sweep.tracking.writer import BackgroundWriter
from wine_sweep.trial import Params, Trial, TrialState

LOOK_SECONDS = 0.2


def measure_again(prepared: SweepPlan, number: int, params: Params, *, experiment: str) -> Trial:
    """Measure a trial in one worker process, with the limits that the config sets; it is not pruned and not retried.

    A command gets a run in a store of its own, which goes when it has ended: what it logs there is read, and kept nowhere.

    Args:
        prepared: What was swept.
        number: The trial's number.
        params: Its parameters.
        experiment: The experiment's name, which a command may name itself.

    Returns:
        The trial, FINISHED or FAILED.

    Raises:
        ExecutionError: No worker could be had.
        TrackingError: The store of its own failed.
    """
    trial = Trial(number, params)
    workers = make_workers(prepared.config.execution.alone, prepared.task())
    try:
        if not prepared.hands_over_runs:
            return _to_its_end(workers, trial, lambda: None)
        with scratch_runs(experiment, prepared.name) as runs:
            writer = BackgroundWriter(lambda: runs)
            try:
                writer.do(lambda each: each.start_trial(trial, time.time()))
                handed = ProgramWorkers(workers, writer, needed=needed_metrics(prepared.objective), of=prepared.of, watched=None)
                return _to_its_end(handed, trial, writer.check)
            finally:
                writer.close()
    finally:
        workers.stop()


def _to_its_end(workers: Workers, trial: Trial, check: Callable[[], object]) -> Trial:
    """Have a trial measured, step by step where its task asks after each whether to go on."""
    while trial.state is TrialState.RUNNING:
        future = workers.submit(trial)
        while not wait([future], LOOK_SECONDS).done:
            check()
        error = future.exception()
        if error is not None:
            return replace(trial, state=TrialState.FAILED, failure=workers.explain(error))
        trial = future.result()
    return trial
