"""What every peer is given: the rows in their folds, the model, and what to try; and the end that all who track come to."""

from __future__ import annotations

import importlib
import json
import pathlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, clone
from sklearn.model_selection import PredefinedSplit
from sklearn.pipeline import Pipeline

if TYPE_CHECKING:
    import optuna

SCORING = {"rmse": "neg_root_mean_squared_error", "mae": "neg_mean_absolute_error", "r2": "r2"}
REGISTERED = "wine-quality"


@dataclass(frozen=True)
class Given:
    """The work.

    Args:
        name: Its letter.
        model: Unfitted.
        parameters: What to try: lists of values, or ranges.
        trials: How many a sampler tries; None for every point of the grid.
        features: The training rows, of shape (rows, features).
        target: Their truth, of shape (rows,).
        folds: The folds.
        test_features: The rows set aside.
        test_target: Their truth.
    """

    name: str
    model: BaseEstimator
    parameters: Mapping[str, Any]
    trials: int | None
    features: pd.DataFrame
    target: pd.Series
    folds: PredefinedSplit
    test_features: pd.DataFrame
    test_target: pd.Series

    def suggest(self, trial: optuna.Trial) -> dict[str, Any]:
        """Draw parameters with Optuna: from a list, or from a range."""
        drawn = {}
        for name, each in self.parameters.items():
            if isinstance(each, list):
                drawn[name] = trial.suggest_categorical(name, each)
            elif isinstance(each["low"], int):
                drawn[name] = trial.suggest_int(name, each["low"], each["high"], log=each.get("log", False))
            else:
                drawn[name] = trial.suggest_float(name, each["low"], each["high"], log=each.get("log", False))
        return drawn


def given() -> Given:
    """Read the work from the working folder."""
    told = json.loads(pathlib.Path("work.json").read_text())
    rows = pd.read_csv("rows.csv", dtype={"part": str})
    is_test = rows.pop("part").to_numpy()
    train, test = rows[is_test != "test"], rows[is_test == "test"]
    steps = [(name, _found(path)()) for name, path in told["steps"].items()]
    steps[-1][1].set_params(**told["fixed"])
    return Given(
        name=told["name"],
        model=Pipeline(steps) if len(steps) > 1 else steps[0][1],
        parameters=told["parameters"],
        trials=told["trials"],
        features=train.drop(columns="quality"),
        target=train["quality"],
        folds=PredefinedSplit(is_test[is_test != "test"].astype(int)),
        test_features=test.drop(columns="quality"),
        test_target=test["quality"],
    )


def means(scores: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Sum up what `cross_validate` gives: the mean and the spread of each metric, errors as they are, and a fit's seconds."""
    found = {"fit_seconds": float(scores["fit_time"].mean())}
    for name, scorer in SCORING.items():
        sign = -1 if scorer.startswith("neg_") else 1
        found[name] = sign * float(scores[f"test_{name}"].mean())
        found[f"{name}_std"] = float(scores[f"test_{name}"].std())
    return found


def put_in_staging(work: Given, params: Mapping[str, Any], *, model: BaseEstimator | None = None) -> None:
    """Fit the best model on all training rows, measure and log it in MLflow's active run, and move it to Staging.

    With its requirements given, as one who takes care does: MLflow would start Python again to find them out.
    """
    import mlflow
    import sklearn
    from mlflow.models import infer_signature
    from sklearn.metrics import root_mean_squared_error

    if model is None:
        model = clone(work.model).set_params(**params).fit(work.features, work.target)
    predicted = model.predict(work.test_features)
    mlflow.log_metric("test_rmse", root_mean_squared_error(work.test_target, predicted))
    logged = mlflow.sklearn.log_model(
        model,
        name="model",
        signature=infer_signature(work.features, predicted),
        input_example=work.features.head(5),
        pip_requirements=[f"scikit-learn=={sklearn.__version__}", f"pandas=={pd.__version__}"],
        serialization_format="cloudpickle",
    )
    version = mlflow.register_model(logged.model_uri, REGISTERED)
    client = mlflow.MlflowClient()
    client.transition_model_version_stage(REGISTERED, version.version, "Staging", archive_existing_versions=True)


def tell(params: Mapping[str, Any], rmse: float, trials: int) -> None:
    """Print what was found, for whoever holds the ways against each other."""
    print(json.dumps({"params": dict(params), "rmse": rmse, "trials": trials}, default=float))


def _found(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)
