"""What a sweep has to keep to by itself: how soon it starts, how it plans, what a quick trial costs, how it uses its workers."""

from __future__ import annotations

import json
import pathlib
import statistics
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from benchmarks.processes import run
from benchmarks.works import WORKS

SLEEPING = """\
import time

from sklearn.base import BaseEstimator, RegressorMixin


class Sleeping(RegressorMixin, BaseEstimator):
    def __init__(self, seconds=0.1, number=0):
        self.seconds = seconds
        self.number = number

    def fit(self, features, target):
        time.sleep(self.seconds)
        self.mean_ = float(target.mean())
        return self

    def predict(self, features):
        return [self.mean_] * len(features)
"""


TRIALS = """\
import json
from mlflow import MlflowClient
client = MlflowClient()
experiments = [each.experiment_id for each in client.search_experiments()]
runs = client.search_runs(experiments, "tags.`wine_sweep.kind` = 'trial'")
print(json.dumps([(each.info.start_time, each.info.end_time) for each in runs]))
"""


@dataclass(frozen=True)
class Figure:
    """Something measured, and what it is to be.

    Args:
        what: In words.
        value: The median of all times that it was measured.
        limit: In words.
    """

    what: str
    value: str
    limit: str

    def row(self) -> str:
        """Give a table's row in Markdown."""
        return f"| {self.what} | {self.value} | {self.limit} |"


def starting(repeats: int) -> Iterator[Figure]:
    """Measure when the first trial has ended: of the ElasticNet grid, on a machine that has run it before."""
    found = []
    for _ in range(repeats + 1):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            WORKS["A"].write(folder, workers=2)
            done = run([sys.executable, "-m", "wine_sweep", "run", "sweep.yaml", "--quiet"], folder)
            found.append(min(end for _, end in _trials(folder)) - done.started)
    yield Figure("the first trial has ended after, s", f"{statistics.median(found[1:]):.2f}", "3")


def planning(repeats: int) -> Iterator[Figure]:
    """Measure `plan` of a grid of a million points, and for comparison of one point."""
    for points, limit in ((1000, ("1", "200")), (1, ("", ""))):
        config: dict[str, Any] = {
            "data": {"source": "wine-quality-red", "target": "quality"},
            "model": {"estimator": "sklearn.linear_model.ElasticNet"},
            "search": {"parameters": {name: _points(points) for name in ("alpha", "l1_ratio")}},
            "objective": "rmse",
        }
        found = []
        for _ in range(repeats + 1):
            with tempfile.TemporaryDirectory() as name:
                folder = pathlib.Path(name)
                folder.joinpath("sweep.yaml").write_text(yaml.safe_dump(config))
                found.append(run([sys.executable, "-m", "wine_sweep", "plan", "sweep.yaml"], folder))
        grid = f"`plan` of a grid of {points**2:,} points"
        yield Figure(f"{grid}, s", f"{statistics.median(each.seconds for each in found[1:]):.2f}", limit[0])
        yield Figure(f"{grid}, MB", f"{max(each.memory for each in found):.0f}", limit[1])


def _points(count: int) -> Any:
    return [0.5] if count == 1 else {"low": 0.001, "high": 1.0, "num": count}


def sleeping(repeats: int) -> Iterator[Figure]:
    """Measure how much of their time workers measure trials, from the first trial's start to the last one's end."""
    seconds, each = 0.5, 20
    for workers in (2, 4, 8):
        config = {
            "data": {"source": "wine-quality-red", "target": "quality"},
            "model": {"estimator": "sleeping.Sleeping", "params": {"seconds": seconds}},
            "search": {"parameters": {"number": list(range(each * workers))}},
            "evaluation": {"cv": {"holdout": 0.25}, "bootstrap": 0},
            "objective": "rmse",
            "execution": {"workers": workers},
        }
        found = []
        for _ in range(repeats):
            with tempfile.TemporaryDirectory() as name:
                folder = pathlib.Path(name)
                folder.joinpath("sweep.yaml").write_text(yaml.safe_dump(config))
                folder.joinpath("sleeping.py").write_text(SLEEPING)
                run([sys.executable, "-m", "wine_sweep", "run", "sweep.yaml", "--quiet", "--trust", "sleeping"], folder)
                trials = _trials(folder)
                took = max(end for _, end in trials) - min(start for start, _ in trials)
                found.append(100 * seconds * each / took)
        yield Figure(f"{workers} workers whose models sleep, share of the ideal", f"{statistics.median(found):.1f} %", "95 %")


def _trials(folder: pathlib.Path) -> list[tuple[float, float]]:
    """Read when the trials of a folder's only sweep began and ended, in seconds since the epoch.

    A process of its own reads it: what this one has in memory, the system counts as the most that any it starts later had.
    """
    return [(start / 1000, end / 1000) for start, end in json.loads(run([sys.executable, "-c", TRIALS], folder).output)]
