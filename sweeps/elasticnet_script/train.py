"""Train ElasticNet on red wine and track it with MLflow, in the style of MLflow's tutorial.

Usage: python train.py ALPHA L1_RATIO

It knows nothing of wine_sweep: run by hand it makes one run in MLflow's default experiment.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import mlflow
import mlflow.sklearn
import numpy as np
import pandas as pd
from mlflow.models import infer_signature
from sklearn.linear_model import ElasticNet
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score
from sklearn.model_selection import train_test_split

WINE = Path(__file__).parents[2] / "src/wine_sweep/data/wine_quality/winequality-red.csv"


def eval_metrics(actual: pd.Series, pred: np.ndarray) -> tuple[float, float, float]:
    """Give rmse, mae and r2."""
    return np.sqrt(mean_squared_error(actual, pred)), mean_absolute_error(actual, pred), r2_score(actual, pred)


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    np.random.seed(40)

    data = pd.read_csv(WINE, sep=";")
    train, test = train_test_split(data)
    train_x, test_x = train.drop(columns="quality"), test.drop(columns="quality")
    train_y, test_y = train["quality"], test["quality"]

    alpha = float(sys.argv[1]) if len(sys.argv) > 1 else 0.5
    l1_ratio = float(sys.argv[2]) if len(sys.argv) > 2 else 0.5

    with mlflow.start_run():
        model = ElasticNet(alpha=alpha, l1_ratio=l1_ratio, random_state=42)
        model.fit(train_x, train_y)

        predicted = model.predict(test_x)
        rmse, mae, r2 = eval_metrics(test_y, predicted)
        print(f"ElasticNet model (alpha={alpha:f}, l1_ratio={l1_ratio:f}):")
        print(f"  RMSE: {rmse}")
        print(f"  MAE: {mae}")
        print(f"  R2: {r2}")

        mlflow.log_param("alpha", alpha)
        mlflow.log_param("l1_ratio", l1_ratio)
        mlflow.log_metric("rmse", rmse)
        mlflow.log_metric("r2", r2)
        mlflow.log_metric("mae", mae)

        signature = infer_signature(train_x, model.predict(train_x))
        mlflow.sklearn.log_model(model, name="model", signature=signature, pip_requirements=["scikit-learn", "skops"])
