"""What a sweep adds to a command: the time of a trial beyond the process itself and MLflow's own three calls.

Each sweep runs as a user calls it, on a fresh SQLite store; the process by itself and the three calls are timed beside it.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import yaml
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run, RunTag

WORDS = ["sh", "-c", 'sleep {seconds}; echo "{{{{\\"rmse\\": {{x}}}}}}" > "$WINE_SWEEP_METRICS"']
FIRST = 5
"""So many trials are left out: MLflow is still being imported while they run."""


@dataclass(frozen=True)
class Cost:
    """The milliseconds of a trial.

    Args:
        trial: From one trial's start to the next one's, times the workers.
        process: The command by itself.
        calls: MLflow's three calls: create a run, log a batch, end it.
    """

    trial: float
    process: float
    calls: float

    @property
    def beyond(self) -> float:
        """What is left of a trial when the process and the three calls are taken off."""
        return self.trial - self.process - self.calls


def measure(seconds: float, trials: int, workers: int, folder: pathlib.Path) -> Cost:
    """Run one sweep of a command that sleeps, and time what it consists of."""
    words = [word.format(seconds=seconds) for word in WORDS]
    config = {
        "name": "sleeping",
        "model": {"command": words},
        "search": {"parameters": {"x": {"low": 0.0, "high": 1.0, "num": trials}}},
        "objective": "rmse",
        "execution": {"workers": workers},
    }
    folder.joinpath("sweep.yaml").write_text(yaml.safe_dump(config))
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    command = [sys.executable, "-m", "wine_sweep", "run", "sweep.yaml", "--trust", ".", "--quiet"]
    environment = {**os.environ, "MLFLOW_TRACKING_URI": uri}
    subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, check=True)  # noqa: S603  # our own
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("sleeping").experiment_id
    runs = client.search_runs([experiment], "tags.`wine_sweep.kind` = 'trial'", order_by=["attributes.start_time"])
    plain, environment = [word.format(x=0.5) for word in words], {**os.environ, "WINE_SWEEP_METRICS": os.devnull}
    return Cost(
        trial=_apart(runs[FIRST:]) * workers,
        process=_median(lambda: subprocess.run(plain, env=environment, check=True)),  # noqa: S603  # our own
        calls=_median(lambda: _three_calls(client, experiment)),
    )


def _apart(runs: Sequence[Run]) -> float:
    """Give the milliseconds from one run's start to the next one's, on average."""
    return (runs[-1].info.start_time - runs[0].info.start_time) / (len(runs) - 1)


def _three_calls(client: MlflowClient, experiment: str) -> None:
    run_id = client.create_run(experiment, tags={"a": "b"}, run_name="by hand").info.run_id
    client.log_batch(run_id, [Metric("rmse", 0.5, 0, 0)], [Param("x", "0.5")], [RunTag("state", "finished")])
    client.set_terminated(run_id)


def _median(action: Callable[[], object], times: int = 40) -> float:
    """Give the milliseconds that something takes."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        action()
        taken.append(1000 * (time.perf_counter() - began))
    return statistics.median(taken)


def main() -> None:
    """Print a row for each number of workers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=0.05, help="how long the command sleeps")
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3, help="sweeps for each number of workers; the medians are printed")
    arguments = parser.parse_args()
    print("| workers | ms a trial, times workers | the process | MLflow's three calls | beyond these |")
    print("| ---: | ---: | ---: | ---: | ---: |")
    for workers in (1, 2):
        costs = []
        for _ in range(arguments.repeats):
            with tempfile.TemporaryDirectory() as folder:
                costs.append(measure(arguments.seconds, arguments.trials, workers, pathlib.Path(folder)))
        cost = sorted(costs, key=lambda each: each.beyond)[len(costs) // 2]
        print(f"| {workers} | {cost.trial:.1f} | {cost.process:.1f} | {cost.calls:.1f} | {cost.beyond:.1f} |", flush=True)


if __name__ == "__main__":
    main()
