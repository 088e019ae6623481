"""What the orchestrator spends on a trial, in processor time, held against MLflow's own three calls with the same content.

Processor time grows while other cores are busy too, and in a sweep they are: beside the calls as many processes fit models.
"""

from __future__ import annotations

import multiprocessing
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any

from benchmarks.limits import Figure
from benchmarks.many_trials import Mark, sweep
from benchmarks.works import CONFIG, WORKS

WORKERS = 2
BUSY = """\
import numpy
from sklearn.linear_model import Ridge
rows = numpy.random.default_rng(0).normal(size=(1000, 12))
while True:
    Ridge().fit(rows[:, :11], rows[:, 11]).predict(rows[:, :11])
"""
EVERY, FIRST = 100, 3
"""A mark is taken every so many trials; what came before the third is left out: MLflow is imported meanwhile."""


def quick(repeats: int) -> Iterator[Figure]:
    """Measure the ridge regressions of work C, and then the calls, each in a process of its own."""
    ours, theirs = [], []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            WORKS["C"].write(folder, workers=WORKERS)
            ours.append(_alone(_orchestrate, folder))
            with _busy(WORKERS):
                theirs.append(_alone(_call, folder))
    ratio = statistics.median(one / other for one, other in zip(ours, theirs, strict=True))
    yield Figure("CPU of the orchestrator, ms a trial", f"{statistics.median(ours):.1f}", "")
    yield Figure("CPU of MLflow's three calls, ms a trial", f"{statistics.median(theirs):.1f}", "")
    yield Figure("the one over the other", f"{ratio:.2f}", "1.15")


@contextmanager
def _busy(count: int) -> Iterator[None]:
    """Have so many processes fit models meanwhile, with one thread each as workers have."""
    alone = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    processes = [subprocess.Popen([sys.executable, "-c", BUSY], env=alone) for _ in range(count)]  # noqa: S603  # our own
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _alone(measure: Callable[[pathlib.Path], float], folder: pathlib.Path) -> float:
    """Measure in a fresh process."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as fresh:
        return fresh.submit(measure, folder).result()


def _orchestrate(folder: pathlib.Path) -> float:
    """Run the sweep; give the milliseconds of processor time for each trial that was written, as soon as it runs evenly."""
    marks, _ = sweep(folder / CONFIG, WORKS["C"].points, EVERY)
    first, last = marks[FIRST], marks[-1]
    return 1000 * (last.cpu - first.cpu) / (_written(last) - _written(first))


def _written(mark: Mark) -> int:
    return mark.trials - mark.unwritten


def _call(folder: pathlib.Path) -> float:
    """Write the last of the sweep's trials so many times again, as plainly as can be; give the milliseconds for one."""
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param, RunTag

    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("work-C").experiment_id
    (run,) = client.search_runs([experiment], "tags.`wine_sweep.kind` = 'trial'", max_results=1)
    tags: dict[str, Any] = run.data.tags
    metrics = [
        Metric(each.key, each.value, each.timestamp, each.step)
        for name in run.data.metrics
        for each in client.get_metric_history(run.info.run_id, name)
    ]
    params = [Param(name, value) for name, value in run.data.params.items()]
    begun = {name: value for name, value in tags.items() if name not in {"wine_sweep.state", "mlflow.runName"}}

    def call() -> None:
        made = client.create_run(experiment, tags=begun, run_name="by hand").info.run_id
        client.log_batch(made, metrics, params, [RunTag("wine_sweep.state", "finished")])
        client.set_terminated(made)

    for _ in range(EVERY):
        call()
    count = WORKS["C"].points // 2
    began = time.process_time()
    for _ in range(count):
        call()
    return 1000 * (time.process_time() - began) / count
