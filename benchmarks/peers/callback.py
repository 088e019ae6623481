"""Optuna with a callback that makes a run in MLflow for each trial, nested in one of the study's own.

With ``--jobs 2`` the folds of a trial are fitted on two cores, which pays where fits take long.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import mlflow
import optuna
from mlflow.entities import Metric, Param, RunTag
from sklearn.base import clone
from sklearn.model_selection import cross_validate

from benchmarks.peers.given import SCORING, Given, given, means, put_in_staging, tell


class Callback:
    """Writes a finished trial to MLflow, in three calls."""

    def __init__(self, experiment: str, parent: str) -> None:
        self._client = mlflow.MlflowClient()
        self._experiment = experiment
        self._parent = parent

    def __call__(self, _study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        """Make the run, log one batch, end it."""
        tags = {"mlflow.parentRunId": self._parent}
        run = self._client.create_run(self._experiment, tags=tags, run_name=f"trial {trial.number:04d}").info
        now = int(1000 * time.time())
        metrics = [Metric(name, value, now, 0) for name, value in trial.user_attrs.items()]
        params = [Param(name, str(value)) for name, value in trial.params.items()]
        self._client.log_batch(run.run_id, metrics, params, [RunTag("state", trial.state.name)])
        self._client.set_terminated(run.run_id)


def main() -> None:
    """Run a study: every point of a grid, or so many trials of TPE."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1)
    jobs = parser.parse_args().jobs
    work = given()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler: optuna.samplers.BaseSampler = optuna.samplers.TPESampler(seed=0)
    if work.trials is None:
        sampler = optuna.samplers.GridSampler(dict(work.parameters), seed=0)
    experiment = mlflow.set_experiment("wine-quality").experiment_id
    with mlflow.start_run(run_name=f"callback-{work.name}") as parent:
        study = optuna.create_study(sampler=sampler)
        callback = Callback(experiment, parent.info.run_id)
        study.optimize(lambda trial: _rmse(work, trial, jobs), n_trials=work.trials, callbacks=[callback])
        mlflow.log_metric("best_rmse", study.best_value)
        put_in_staging(work, study.best_params)
    tell(study.best_params, study.best_value, len(study.trials))


def _rmse(work: Given, trial: optuna.Trial, jobs: int) -> float:
    params: dict[str, Any] = work.suggest(trial)
    model = clone(work.model).set_params(**params)
    scores = cross_validate(model, work.features, work.target, cv=work.folds, scoring=SCORING, n_jobs=jobs)
    measured = means(scores)
    for name, value in measured.items():
        trial.set_user_attr(name, value)
    return measured["rmse"]


if __name__ == "__main__":
    main()
