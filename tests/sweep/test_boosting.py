"""Sweeps of boosting libraries, from the table to a model that predicts the raw rows."""

from __future__ import annotations

import json

import mlflow
import numpy as np
import pandas as pd
import pytest
import yaml

pytest.importorskip("catboost")
pytest.importorskip("lightgbm")
pytest.importorskip("xgboost")

QUICK = {"n_estimators": 8}


@pytest.mark.slow
def test_the_shipped_config_runs_stops_early_and_promotes(in_process, root):
    done = in_process("run", root / "configs/boosting.yaml", "--workers", "1", "--trials", "8", "--quiet", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["promotion"]["stage"] == "Staging"
    winner = found["selection"]["winner"]
    assert 1 <= winner["metrics"]["best_iteration"] <= 300
    raw = pd.read_csv(root / "configs/penguins.csv")
    predicted = np.ravel(mlflow.pyfunc.load_model("models:/penguin-species@staging").predict(raw.drop(columns="species")))
    assert (predicted == raw["species"]).mean() > 0.95


@pytest.mark.slow
@pytest.mark.parametrize(
    "families",
    [
        {"x": {"estimator": "xgboost.XGBClassifier", "params": QUICK, "parameters": {"max_depth": [2]}}},
        {"l": {"estimator": "lightgbm.LGBMClassifier", "params": QUICK, "parameters": {"max_bin": [63], "path_smooth": [1]}}},
        {"c": {"estimator": "catboost.CatBoostClassifier", "params": QUICK, "parameters": {"depth": [3]}}},
    ],
    ids=["xgboost", "lightgbm", "catboost"],
)
def test_odd_names_and_labels_are_learned_promoted_and_predicted(families, in_process, tmp_path, store):
    random = np.random.default_rng(0)
    table = pd.DataFrame(random.normal(size=(150, 4)), columns=["age [y]", "a<b", 'q"uo,te', "plain"])
    table["kind"] = np.digitize(table["a<b"], [-0.4, 0.4]) * 2 + 3
    table.to_csv(tmp_path / "t.csv", index=False)
    config = {
        "data": {"source": "t.csv", "target": "kind"},
        "models": families,
        "evaluation": {"cv": 3, "metrics": ["accuracy"]},
        "execution": {"backend": "serial"},
        "registry": {"name": "odd"},
    }
    (tmp_path / "odd.yaml").write_text(yaml.safe_dump({**config, "search": {"method": "grid"}}))
    done = in_process("run", tmp_path / "odd.yaml", "--quiet", "--json")
    assert done.returncode == 0, done.stderr
    predicted = np.ravel(mlflow.pyfunc.load_model("models:/odd@staging").predict(table.drop(columns="kind")))
    assert (predicted == table["kind"]).mean() > 0.9
