"""What many trials cost: memory, time a trial, and how long the finished sweep takes to read.

Each sweep runs in a process of its own, on a fresh SQLite store; `list` and `compare` run as a user calls them.
"""

from __future__ import annotations

import argparse
import itertools
import math
import multiprocessing
import os
import pathlib
import resource
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import yaml

RANGE = {"low": 0.0001, "high": 1000, "log": True}
METHODS = ("grid", "random", "qmc", "tpe")
POLL_SECONDS = 0.1
READING = (["list"], ["compare", "latest", "--top", "10"], ["compare", "latest", "--format", "csv"])


def config(method: str, trials: int, workers: int) -> dict[str, Any]:
    """Give a sweep of a ridge regression on red wine, measured on one part of the rows: a trial takes milliseconds."""
    parameters: dict[str, Any] = {"ridge__alpha": RANGE, "ridge__tol": {**RANGE, "high": 0.1}}
    search: dict[str, Any] = {"method": method, "trials": trials, "seed": 1}
    if method == "grid":
        side = math.ceil(trials**0.5)
        parameters = {name: {**each, "num": side} for name, each in parameters.items()}
    return {
        "name": f"many-{method}",
        "data": {"source": "wine-quality-red", "seed": 40},
        "model": {"pipeline": {"scale": "sklearn.preprocessing.StandardScaler", "ridge": "sklearn.linear_model.Ridge"}},
        "search": {**search, "parameters": parameters},
        "evaluation": {"cv": {"holdout": 0.2}, "metrics": ["rmse", "mae", "r2"], "bootstrap": 0},
        "execution": {"workers": workers},
    }


@dataclass(frozen=True)
class Mark:
    """The orchestrator after some trials.

    Args:
        trials: How many have ended.
        seconds: Since the first of them began.
        cpu: The process's processor time, in seconds.
        loop: Of that, the time of the thread that asks and tells.
        memory: Resident memory, in MB.
        unwritten: How many trials of those that have ended have not ended in MLflow.
    """

    trials: int
    seconds: float
    cpu: float
    loop: float
    memory: float
    unwritten: int


class Marks:
    """Watches a sweep, and takes a mark when it begins, every so many trials, and when the last one is written."""

    def __init__(self, database: pathlib.Path, trials: int, every: int) -> None:
        self._trials = trials
        self._database = database
        self._every = every
        self._ended = 0
        self._began = 0.0
        self.marks: list[Mark] = []

    def sweep_started(self, _name: str, _trials: int | None, _workers: int) -> None:
        """Begin to count."""
        self._began = time.perf_counter()

    def trial_started(self) -> None:
        """Do nothing."""

    def trial_ended(self, _state: object, _best: object) -> None:
        """Count a trial; after the last one wait, beside the sweep, until it is written."""
        self._ended += 1
        if self._ended == 1 or self._ended % self._every == 0:
            self._mark()
        if self._ended == self._trials:
            threading.Thread(target=self._wait, daemon=True).start()

    def trial_restored(self, _state: object, _best: object) -> None:
        """Do nothing: a new sweep has no past."""

    def results_wait(self, _count: int) -> None:
        """Do nothing: the store stays."""

    def phase(self, _what: str) -> None:
        """Do nothing."""

    def _wait(self) -> None:
        while written(self._database) < self._ended:
            time.sleep(POLL_SECONDS)
        if self.marks[-1].unwritten:
            self._mark()

    def _mark(self) -> None:
        now = time.perf_counter() - self._began
        unwritten = self._ended - written(self._database)
        loop = time.clock_gettime(time.pthread_getcpuclockid(threading.main_thread().ident or 0))
        self.marks.append(Mark(self._ended, now, time.process_time(), loop, resident(), unwritten))


def written(database: pathlib.Path) -> int:
    """Count the child runs that have ended."""
    try:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=60)) as connection:
            query = "select count(*) from runs where status != 'RUNNING'"
            return int(connection.execute(query).fetchone()[0])
    except sqlite3.OperationalError:
        return 0  # the store is still being made


def resident() -> float:
    """Give this process's resident memory, in MB."""
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("this system does not tell a process's memory; Linux does")


def sweep(path: pathlib.Path, trials: int, every: int) -> tuple[list[Mark], float]:
    """Run a sweep in this process; give its marks, and the most memory that the process ever had, in MB."""
    from wine_sweep.config import read_config
    from wine_sweep.sweep.run import RunOptions, run_sweep
    from wine_sweep.targets.prepare import prepare

    database = path.parent / "mlflow.db"
    marks = Marks(database, trials, every)
    os.chdir(path.parent)
    run_sweep(prepare(read_config(path)), RunOptions(tracking_uri=f"sqlite:///{database}"), observer=marks)
    return marks.marks, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def read(folder: pathlib.Path, arguments: Sequence[str]) -> tuple[float, float]:
    """Call a command as a user does; give the seconds that it took and those of the processor."""
    environment = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"}
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, "-m", "wine_sweep", *arguments]
    subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)  # noqa: S603  # our own command
    after, seconds = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - began
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(method: str, trials: int, workers: int, every: int, folder: pathlib.Path) -> None:
    """Run one sweep in a fresh process, read it, and print both as tables."""
    path = folder / "sweep.yaml"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(config(method, trials, workers), sort_keys=False))
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as fresh:
        marks, peak = fresh.submit(sweep, path, trials, every).result()
    print(f"\n### {method}, {trials:,} trials, {workers} workers\n")
    print("| trials | ms a trial | CPU ms a trial | of it the loop | MB resident | trials to be written |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    for before, after in itertools.pairwise(marks):
        count = max(1, after.trials - before.trials)
        took = [1000 * (after.seconds - before.seconds), 1000 * (after.cpu - before.cpu), 1000 * (after.loop - before.loop)]
        shown = " | ".join(f"{each / count:.2f}" for each in took)
        name = f"{after.trials:,}" if after.trials > before.trials else "the rest written (in all)"
        print(f"| {name} | {shown} | {after.memory:.0f} | {after.unwritten:,} |")
    grown = marks[-1].memory - marks[min(1, len(marks) - 1)].memory
    print(f"\nMemory grew by {grown:.0f} MB after the first {every:,} trials; at most it was {peak:.0f} MB.\n")
    print("| command | seconds | CPU seconds |\n| --- | ---: | ---: |")
    for arguments in READING:
        seconds, cpu = read(folder, arguments)
        print(f"| {' '.join(arguments)} | {seconds:.1f} | {cpu:.1f} |", flush=True)


def main() -> None:
    """Print two tables in Markdown for each method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=10_000, help="trials a sweep (default: 10,000)")
    parser.add_argument("--workers", type=int, default=2, help="worker processes (default: 2)")
    parser.add_argument("--every", type=int, default=1000, help="a row every so many trials (default: 1,000)")
    parser.add_argument("--method", choices=METHODS, action="append", help="only this method; repeatable (default: grid, random)")
    parser.add_argument("--keep", type=pathlib.Path, help="an empty folder for the store, which is kept; with one method")
    options = parser.parse_args()
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    for method in options.method or METHODS[:2]:
        with tempfile.TemporaryDirectory() as temporary:
            measure(method, options.trials, options.workers, options.every, options.keep or pathlib.Path(temporary))


if __name__ == "__main__":
    main()
