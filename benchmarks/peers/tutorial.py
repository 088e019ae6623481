"""The way of MLflow's tutorial: a script that is started once for each point, and logs its model each time.

One such script is this module itself, with parameters: ``python -m benchmarks.peers.tutorial alpha=0.1 l1_ratio=0.5``.
"""

from __future__ import annotations

import json
import sys

import mlflow
import numpy as np
from mlflow.models import infer_signature
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from benchmarks.peers.given import given


def main() -> None:
    """Fit one model, measure it on the test rows, log it."""
    params = {name: json.loads(value) for name, _, value in (argument.partition("=") for argument in sys.argv[1:])}
    work = given()
    mlflow.set_experiment("wine-quality")
    with mlflow.start_run():
        model = work.model.set_params(**params).fit(work.features, work.target)
        predicted = model.predict(work.test_features)
        mlflow.log_params(params)
        mlflow.log_metric("rmse", float(root_mean_squared_error(work.test_target, predicted)))
        mlflow.log_metric("mae", float(mean_absolute_error(work.test_target, predicted)))
        mlflow.log_metric("r2", float(r2_score(work.test_target, predicted)))
        signature = infer_signature(work.features, np.asarray(predicted))
        mlflow.sklearn.log_model(model, name="model", signature=signature, serialization_format="cloudpickle")


if __name__ == "__main__":
    main()
