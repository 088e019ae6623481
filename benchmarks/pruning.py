"""What pruning saves, and what it costs: the same sweep with and without, over several seeds.

Each sweep is a whole process, ``wine-sweep run``, on a fresh store. The space is wide, so that many settings are poor.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

import yaml

SVR: dict[str, Any] = {
    "data": {"source": "wine-quality-red", "seed": 40},
    "model": {"pipeline": {"scale": "sklearn.preprocessing.StandardScaler", "svr": "sklearn.svm.SVR"}},
    "search": {
        "method": "random",
        "trials": 60,
        "parameters": {
            "svr__C": {"low": 0.001, "high": 1000, "log": True},
            "svr__gamma": {"low": 0.0001, "high": 10, "log": True},
            "svr__epsilon": {"low": 0.001, "high": 2, "log": True},
        },
    },
    "evaluation": {"cv": {"folds": 5, "repeats": 2}, "metrics": ["rmse"], "bootstrap": 0},
}
"""A support vector machine on red wine: ten fits a trial, most of the space poor."""

TREES: dict[str, Any] = {
    "data": {"source": "wine-quality-red", "seed": 40},
    "model": {"estimator": "sklearn.ensemble.ExtraTreesRegressor"},
    "search": {
        "method": "random",
        "trials": 60,
        "parameters": {
            "max_features": {"low": 0.05, "high": 1.0},
            "min_samples_leaf": {"low": 1, "high": 200, "log": True},
            "max_depth": {"low": 1, "high": 30, "log": True},
        },
    },
    "evaluation": {"cv": 5, "metrics": ["rmse"], "bootstrap": 0},
}
"""Extra trees on red wine, 160 of them: five fits a trial."""

GROWING = {"parameter": "n_estimators", "min": 10, "max": 160, "factor": 2}

CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "folds: median": (SVR, {"pruner": "median"}),
    "folds: percentile 25": (SVR, {"pruner": {"type": "percentile", "percentile": 25.0}}),
    "folds: hyperband": (SVR, {"pruner": "hyperband"}),
    "folds: successive_halving": (SVR, {"pruner": {"type": "successive_halving", "reduction_factor": 3}}),
    "folds: wilcoxon": (SVR, {"pruner": {"type": "wilcoxon", "p_threshold": 0.1}}),
    "folds: threshold": (SVR, {"pruner": {"type": "threshold", "upper": 0.7}}),
    "folds: patient": (SVR, {"pruner": {"type": "patient", "wrapped_pruner": "median", "patience": 1}}),
    "trees: successive_halving": (TREES, {"pruner": "successive_halving", "budget": GROWING}),
    "trees: hyperband": (TREES, {"pruner": "hyperband", "budget": GROWING}),
    "rows: successive_halving": (SVR, {"pruner": "successive_halving", "budget": {"rows": 0.125, "factor": 2}}),
}


def sweep(config: dict[str, Any], seed: int, trials: int, workers: int) -> dict[str, Any]:
    """Run one sweep as a user does, and give what ``--json`` prints and the seconds that it took."""
    tree = copy.deepcopy(config)
    tree["search"] |= {"seed": seed, "trials": trials}
    tree["execution"] = {"workers": workers}
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "sweep.yaml"
        path.write_text(yaml.safe_dump(tree, sort_keys=False))
        environment = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db", "MLFLOW_DISABLE_TELEMETRY": "true"}
        command = [sys.executable, "-m", "wine_sweep", "run", str(path), "--quiet", "--json"]
        began = time.perf_counter()
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)  # noqa: S603  # our own command
        seconds = time.perf_counter() - began
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
    document: dict[str, Any] = json.loads(done.stdout)
    return {**document, "seconds": seconds}


def with_search(config: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Give a config with other keys in `search`; without a budget the trees that would have grown are all there."""
    tree = copy.deepcopy(config)
    if config is TREES and "budget" not in changes:
        tree["model"]["params"] = {"n_estimators": GROWING["max"]}
    tree["search"] |= changes
    return tree


def measure(name: str, seeds: int, trials: int, workers: int, plain: dict[tuple[int, int], dict[str, Any]]) -> str:
    """Compare one case with the same sweep unpruned, seed by seed; give a row of the table."""
    config, changes = CASES[name]
    saved, lost, pruned, faster = [], [], [], []
    for seed in range(seeds):
        key = (id(config), seed)
        if key not in plain:
            plain[key] = sweep(with_search(config, {}), seed, trials, workers)
        with_pruner = sweep(with_search(config, changes), seed, trials, workers)
        best, least = (each["selection"]["winner"]["mean"] for each in (with_pruner, plain[key]))
        saved.append(1 - with_pruner["fits"]["done"] / plain[key]["fits"]["done"])
        lost.append(best / least - 1)
        pruned.append(with_pruner["trials"]["pruned"] / trials)
        faster.append(plain[key]["seconds"] / with_pruner["seconds"])
    cells = [
        name,
        f"{statistics.median(pruned):.0%}",
        f"{statistics.median(saved):.0%}",
        f"{min(saved):.0%}",
        f"{statistics.median(lost):.2%}",
        f"{max(lost):.2%}",
        f"{statistics.median(faster):.2f}",
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Print a table in Markdown, a row as soon as it is measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5, help="sweeps a row (default: 5)")
    parser.add_argument("--trials", type=int, default=60, help="trials a sweep (default: 60)")
    parser.add_argument("--workers", type=int, default=2, help="worker processes (default: 2)")
    parser.add_argument("--case", choices=list(CASES), action="append", help="only this row; repeatable")
    options = parser.parse_args()
    header = ["steps: pruner", "trials pruned", "work saved", "least", "best rmse worse by", "most", "times faster"]
    print(f"| {' | '.join(header)} |\n| {' | '.join(['---', *['---:'] * 6])} |", flush=True)
    plain: dict[tuple[int, int], dict[str, Any]] = {}
    for name in options.case or CASES:
        print(measure(name, options.seeds, options.trials, options.workers, plain), flush=True)


if __name__ == "__main__":
    main()
