"""A loop written by hand with care: a nested run for each point, the best model registered and moved to Staging.

With ``--jobs 2`` the folds of a point are fitted on two cores, which pays where fits take long.
"""

from __future__ import annotations

import argparse
import math

import mlflow
from sklearn.base import clone
from sklearn.model_selection import ParameterGrid, cross_validate

from benchmarks.peers.given import SCORING, given, means, put_in_staging, tell


def main() -> None:
    """Try every point of the grid."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1)
    jobs = parser.parse_args().jobs
    work = given()
    best, best_rmse = {}, math.inf
    points = list(ParameterGrid(work.parameters))
    mlflow.set_experiment("wine-quality")
    with mlflow.start_run(run_name=f"loop-{work.name}"):
        for params in points:
            with mlflow.start_run(nested=True):
                model = clone(work.model).set_params(**params)
                scores = cross_validate(model, work.features, work.target, cv=work.folds, scoring=SCORING, n_jobs=jobs)
                measured = means(scores)
                mlflow.log_params(params)
                mlflow.log_metrics(measured)
            if measured["rmse"] < best_rmse:
                best, best_rmse = params, measured["rmse"]
        mlflow.log_metric("best_rmse", best_rmse)
        put_in_staging(work, best)
    tell(best, best_rmse, len(points))


if __name__ == "__main__":
    main()
