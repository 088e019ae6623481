"""Who is timed: wine_sweep, and the other ways to track a sweep."""

from __future__ import annotations

import json
import pathlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from benchmarks.processes import Finished, run
from benchmarks.works import CONFIG, Work

GRIDS, ALL = ("A", "B", "C"), ("A", "B", "C", "D")
LIMIT = "untracked"
TUTORIAL_POINTS = 5
SAME = 1e-9
"""How far two ways may be apart in the best rmse, relatively: they do the same fits."""


@dataclass(frozen=True)
class Time:
    """One whole piece of work, done by one contender.

    Args:
        seconds: From the start of its process to the end.
        memory: The most that its largest process took, in MB.
        rmse: The best mean over the folds that it found; None where it keeps no such record.
        trials: How many it tried.
    """

    seconds: float
    memory: float
    rmse: float | None
    trials: int


@dataclass(frozen=True)
class Contender:
    """A way to do the work.

    Args:
        name: As the command line calls it.
        title: As the table calls it.
        works: The letters of the work that it can do.
        measure: Does it in a folder that is made ready.
        workers: How many processes of wine_sweep measure trials.
    """

    name: str
    title: str
    works: Sequence[str]
    measure: Callable[[Work, pathlib.Path], Time]
    workers: int = 2

    @property
    def is_tracked(self) -> bool:
        """Whether it tracks what it does in MLflow, as everybody but the limit does."""
        return self.name != LIMIT


def check(work: Work, times: Mapping[str, Time]) -> None:
    """Hold the results of all contenders against each other.

    Args:
        work: What they did.
        times: What came of it, by contender.

    Raises:
        RuntimeError: One has tried fewer trials than the work has, or found another best value on the same grid.
    """
    for name, time in times.items():
        if time.rmse is not None and time.trials != work.points:
            raise RuntimeError(f"{name} tried {time.trials} of {work.points} points of {work.name}")
    if work.trials is None:
        found = {name: time.rmse for name, time in times.items() if time.rmse is not None}
        if found and max(found.values()) - min(found.values()) > SAME * max(found.values()):
            raise RuntimeError(f"work {work.name}: not the same work, the best rmse are {found}")


def _peer(module: str, *arguments: str) -> Callable[[Work, pathlib.Path], Time]:
    def measure(_work: Work, folder: pathlib.Path) -> Time:
        done = run([sys.executable, "-W", "ignore", "-m", f"benchmarks.peers.{module}", *arguments], folder)
        told = json.loads(done.output.splitlines()[-1])
        return Time(done.seconds, done.memory, told["rmse"], told["trials"])

    return measure


def _tutorial(work: Work, folder: pathlib.Path) -> Time:
    """Start the script for points spread over the grid, on a store that is there, and tell how long all would have taken."""
    making = run([sys.executable, "-c", "import mlflow; mlflow.search_experiments()"], folder)
    points = [dict(zip(work.parameters, values, strict=True)) for values in product(*work.parameters.values())]
    chosen = [points[index * (len(points) - 1) // (TUTORIAL_POINTS - 1)] for index in range(TUTORIAL_POINTS)]
    done = [run(_tutorial_command(params), folder) for params in chosen]
    seconds = making.seconds + sum(each.seconds for each in done) / len(done) * work.points
    return Time(seconds, max(each.memory for each in done), None, len(done))


def _tutorial_command(params: Mapping[str, Any]) -> list[str]:
    words = [f"{name}={json.dumps(value)}" for name, value in params.items()]
    return [sys.executable, "-W", "ignore", "-m", "benchmarks.peers.tutorial", *words]


def _wine_sweep(_work: Work, folder: pathlib.Path, environment: Mapping[str, str] | None = None) -> Time:
    done: Finished = run([sys.executable, "-m", "wine_sweep", "run", CONFIG, "--quiet", "--json"], folder, environment)
    told = json.loads(done.output)
    if told["promotion"] is None or told["promotion"]["stage"] != "Staging":
        raise RuntimeError(f"the model is not in Staging: {told['gate']}")
    return Time(done.seconds, done.memory, told["selection"]["winner"]["mean"], told["trials"]["finished"])


def _wine_sweep_first(work: Work, folder: pathlib.Path) -> Time:
    """Do it as on a machine that has never made a store: MLflow makes its tables, as it does for everybody else."""
    return _wine_sweep(work, folder, {"XDG_CACHE_HOME": str(folder / "cache")})


CONTENDERS = (
    Contender("wine_sweep", "wine_sweep", ALL, _wine_sweep),
    Contender("wine_sweep-first", "wine_sweep, its first time on a machine", ("A",), _wine_sweep_first),
    Contender("wine_sweep-1", "wine_sweep, 1 worker", ("D",), _wine_sweep, workers=1),
    Contender(LIMIT, "nothing tracked: `GridSearchCV(n_jobs=2)`, or Optuna alone", ALL, _peer("untracked")),
    Contender("loop", "a loop by hand, nested runs", GRIDS, _peer("loop")),
    Contender("loop-2", "a loop by hand, folds on 2 cores", GRIDS, _peer("loop", "--jobs", "2")),
    Contender("autolog", "`GridSearchCV(n_jobs=2)` under autologging", GRIDS, _peer("autolog")),
    Contender("callback", "Optuna with a callback", ALL, _peer("callback")),
    Contender("callback-2", "Optuna with a callback, folds on 2 cores", ALL, _peer("callback", "--jobs", "2")),
    Contender("tutorial", "the tutorial's way, a process a trial (5 trials, extrapolated)", ("A", "B"), _tutorial),
)
