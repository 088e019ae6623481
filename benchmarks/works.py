"""The work that is timed: a model, what is tried of it, on red wine; told to wine_sweep as a config, to its peers as a file."""

from __future__ import annotations

import json
import math
import pathlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import yaml

METRICS = ("rmse", "mae", "r2")
ROWS, WORK, CONFIG = "rows.csv", "work.json", "sweep.yaml"
TEST = "test"
"""What stands in the column `part` of rows that are set aside; of the others it is the number of their fold."""


@dataclass(frozen=True)
class Work:
    """What everybody does, each in its own way.

    Args:
        name: A letter.
        title: What it is.
        steps: The model: steps by name, each a dotted path; the last one is fitted with `fixed`.
        parameters: Parameters by name: a list of values for a grid, or a range for a sampler.
        fixed: Parameters that are the same in every trial.
        trials: How many a sampler tries; None for every point of the grid.
    """

    name: str
    title: str
    steps: Mapping[str, str]
    parameters: Mapping[str, Any]
    fixed: Mapping[str, Any] = field(default_factory=dict)
    trials: int | None = None

    @property
    def points(self) -> int:
        """How many trials it is."""
        return self.trials or math.prod(len(values) for values in self.parameters.values())

    def shortened(self, points: int) -> Work:
        """Give the same with so many points at most, for a look whether all of it runs."""
        if self.trials is not None:
            return replace(self, trials=min(self.trials, points))
        grid = {name: list(values) for name, values in self.parameters.items()}
        while math.prod(map(len, grid.values())) > points:
            longest = max(grid, key=lambda name: len(grid[name]))
            grid[longest] = grid[longest][: len(grid[longest]) // 2]
        return replace(self, parameters=grid)

    def config(self, workers: int) -> dict[str, Any]:
        """Give it as a config of wine_sweep, from the data to the model in Staging."""
        model: dict[str, Any] = {"pipeline": dict(self.steps)}
        if len(self.steps) == 1:
            model = {"estimator": next(iter(self.steps.values()))}
        search: dict[str, Any] = (
            {"method": "grid"} if self.trials is None else {"method": "tpe", "trials": self.trials, "seed": 0}
        )
        return {
            "name": f"work-{self.name}",
            "data": {"source": "wine-quality-red", "target": "quality", "test_size": 0.25, "seed": 40},
            "model": {**model, "params": dict(self.fixed)},
            "search": {**search, "parameters": dict(self.parameters)},
            "evaluation": {"cv": 5, "metrics": list(METRICS)},
            "objective": {"metric": METRICS[0]},
            "execution": {"workers": workers},
            "registry": {"name": "wine-quality", "stage": "Staging"},
        }

    def write(self, folder: pathlib.Path, *, workers: int) -> None:
        """Write down in a folder what wine_sweep reads, and what its peers read: the same rows, in the same folds.

        Args:
            folder: An empty folder.
            workers: How many processes wine_sweep may use.
        """
        from wine_sweep.config import read_config
        from wine_sweep.targets.estimator import EstimatorSweep
        from wine_sweep.targets.prepare import prepare

        path = folder / CONFIG
        path.write_text(yaml.safe_dump(self.config(workers), sort_keys=False))
        prepared = prepare(read_config(path))
        assert isinstance(prepared, EstimatorSweep)
        material = prepared.material
        part = np.full(len(material.dataset.target), TEST, dtype=object)
        for number, fold in enumerate(material.folds):
            part[material.split.train[fold.measure]] = number
        rows = material.dataset.features.assign(quality=material.dataset.target, part=part)
        rows.to_csv(folder / ROWS, index=False)
        told = {"name": self.name, "steps": self.steps, "fixed": self.fixed, "parameters": self.parameters, "trials": self.trials}
        (folder / WORK).write_text(json.dumps(told))


def _values(numbers: Sequence[float] | np.ndarray) -> list[float]:
    return [float(f"{number:.6g}") for number in numbers]


WORKS = {
    work.name: work
    for work in (
        Work(
            "A",
            "ElasticNet, a grid of 100 points",
            {"model": "sklearn.linear_model.ElasticNet"},
            {"alpha": _values(np.geomspace(0.001, 1, 10)), "l1_ratio": _values(np.linspace(0.05, 1, 10))},
            {"random_state": 42},
        ),
        Work(
            "B",
            "random forest, a grid of 24 points",
            {"model": "sklearn.ensemble.RandomForestRegressor"},
            {"n_estimators": [100, 200], "max_features": [0.3, 0.6, 1.0], "min_samples_leaf": [1, 2, 5, 10]},
            {"random_state": 42},
        ),
        Work(
            "C",
            "ridge on standardised columns, a grid of 1,000 points",
            {"scale": "sklearn.preprocessing.StandardScaler", "ridge": "sklearn.linear_model.Ridge"},
            {"ridge__alpha": _values(np.geomspace(0.001, 1000, 1000))},
        ),
        Work(
            "D",
            "histogram boosting, 200 trials of tpe",
            {"model": "sklearn.ensemble.HistGradientBoostingRegressor"},
            {
                "learning_rate": {"low": 0.01, "high": 0.3, "log": True},
                "max_iter": {"low": 50, "high": 150},
                "max_leaf_nodes": {"low": 4, "high": 32},
                "l2_regularization": {"low": 0.001, "high": 10.0, "log": True},
            },
            {"random_state": 42},
            trials=200,
        ),
    )
}
