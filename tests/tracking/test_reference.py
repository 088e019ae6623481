"""References of kept models, written to and read from a real SQLite store."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.utils.file_utils import local_file_uri_to_path

from wine_sweep.data.table import load_bundled
from wine_sweep.errors import TrackingError
from wine_sweep.evaluation.row_losses import RowLoss
from wine_sweep.monitoring.reference import MEASURED, Grouping, Reference, profile_of
from wine_sweep.tracking import names
from wine_sweep.tracking.monitoring_runs import read_reference, write_reference
from wine_sweep.trial import Task

CONFIG = """
name: kept
data: {source: wine-quality-red, seed: 40}
model: {estimator: sklearn.linear_model.Ridge}
search: {parameters: {alpha: [0.1, 1000]}}
execution: {backend: serial}
evaluation: {bootstrap: 0}
registry: {name: kept}
"""
FUNCTION = """
def train(params, context):
    from sklearn.linear_model import Ridge
    from sklearn.metrics import root_mean_squared_error
    model = Ridge(alpha=params["alpha"]).fit(context.fit.features, context.fit.target)
    rows = context.measure
    return {"rmse": root_mean_squared_error(rows.target, model.predict(rows.features))}, model
"""


def mixed():
    train = pd.DataFrame({"number": [1.5, np.nan], "flag": [0.0, 1.0], "text": pd.Series(["red", None], dtype=object)})
    columns = tuple(profile_of(train[name]) for name in train)
    test = pd.DataFrame(
        {"target": ["a", "b"], "prediction": ["a", "a"], "loss": [0.0, 1.0], "weight": [1.0, 2.0], "group": [3, 4]}
    )
    rows = np.array([1, 2**64 - 1], dtype=np.uint64)
    return Reference(
        task=Task.CLASSIFICATION,
        metric=RowLoss.ACCURACY,
        target="y",
        columns=columns,
        data="t.csv",
        digest="ab",
        grouping=Grouping("batch", equal_rows=True),
        weight_column=None,
        train_rows=rows,
        train=train,
        train_independent=0.5,
        test=test,
        folds=pd.DataFrame(columns=MEASURED),
    )


@pytest.fixture
def run_id(store):
    return store.client.create_run("0").info.run_id


@pytest.mark.quick(1)
@pytest.mark.parametrize("values", [["a", "b"], [1, 2], [True, False], [1.5, 2.5]])
def test_a_reference_is_read_as_it_was_written(values, store, run_id):
    written = mixed()
    written = replace(written, test=written.test.assign(target=values, prediction=values[::-1]))
    write_reference(store.client, run_id, written)
    write_reference(store.client, run_id, written)
    found = read_reference(store.client, run_id)
    for name in ("task", "metric", "target", "columns", "data", "digest", "grouping", "weight_column", "train_independent"):
        assert getattr(found, name) == getattr(written, name)
    assert found.train_rows.dtype == np.uint64
    assert list(found.train_rows) == list(written.train_rows)
    pd.testing.assert_frame_equal(found.train, written.train)
    assert found.test.to_dict("list") == written.test.to_dict("list")
    assert found.measured.to_dict("list") == written.test.to_dict("list")
    files = {file.path for file in store.client.list_artifacts(run_id, "reference")}
    assert files == {
        f"reference/{name}" for name in ("reference.json", "train.parquet", "test.parquet", "folds.parquet", "rows.parquet")
    }


def test_a_run_without_one_has_none(store, run_id):
    assert read_reference(store.client, run_id) is None


def test_one_of_a_later_version_is_refused(store, run_id):
    write_reference(store.client, run_id, mixed())
    store.client.log_text(run_id, json.dumps({"format": 2}), "reference/reference.json")
    with pytest.raises(TrackingError, match=re.escape("it has format 2, and this version of wine_sweep reads 1")):
        read_reference(store.client, run_id)


def test_a_server_that_is_away_is_an_outage(gate, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    client = MlflowClient(gate.uri)
    run_id = client.create_run("0").info.run_id
    gate.is_shut = True
    for action in (lambda: write_reference(client, run_id, mixed()), lambda: read_reference(client, run_id)):
        with pytest.raises(TrackingError) as caught:
            action()
        assert caught.value.is_outage
    gate.is_shut = False
    write_reference(client, run_id, mixed())
    assert read_reference(client, run_id).digest == "ab"


@pytest.mark.slow
def test_a_winner_has_its_reference_where_it_has_its_model(store, in_process):
    (store.folder / "kept.yaml").write_text(CONFIG)
    document = json.loads(in_process("run", "kept.yaml", "--json", "--quiet").stdout)
    winner = document["selection"]["winner"]["run_id"]
    found = read_reference(store.client, winner)
    run = store.client.get_run(winner)
    assert names.MODEL in run.data.tags
    assert np.sqrt(found.test["loss"].mean()) == pytest.approx(run.data.metrics["test_rmse"])
    wine = load_bundled("wine-quality-red")
    assert found.was_trained_on(wine).sum() == len(found.train)
    assert len(found.train) + len(found.test) == len(wine)
    assert len(found.folds) == len(found.train)
    assert np.sqrt(found.folds["loss"].mean()) == pytest.approx(run.data.metrics["rmse"], rel=0.01)
    (other,) = document["selection"]["runners_up"]
    assert read_reference(store.client, other["run_id"]) is None
    in_the_way = store.folder / local_file_uri_to_path(store.client.get_run(other["run_id"]).info.artifact_uri) / "reference"
    in_the_way.parent.mkdir(parents=True, exist_ok=True)
    in_the_way.write_text("")
    failed = in_process("promote", "latest", "--run", other["run_id"], "--force")
    assert failed.returncode == 1
    assert "reference is a link or no folder" in failed.stderr
    assert names.MODEL not in store.client.get_run(other["run_id"]).data.tags
    in_the_way.unlink()
    assert in_process("promote", "latest", "--run", other["run_id"], "--force").returncode == 0
    assert read_reference(store.client, other["run_id"]).digest == found.digest


@pytest.mark.slow
def test_so_has_a_functions_model(store, in_process):
    (store.folder / "train.py").write_text(FUNCTION)
    config = CONFIG.replace("estimator: sklearn.linear_model.Ridge", "function: train.py:train").replace("serial", "processes")
    config = config.replace("evaluation: {bootstrap: 0}", "objective: {metric: rmse}")
    (store.folder / "kept.yaml").write_text(config)
    result = in_process("run", "kept.yaml", "--json", "--quiet", "--trust", "train.py")
    assert result.returncode == 0, result.stderr
    winner = json.loads(result.stdout)["selection"]["winner"]["run_id"]
    found = read_reference(store.client, winner)
    assert np.sqrt(found.test["loss"].mean()) == pytest.approx(store.client.get_run(winner).data.metrics["test_rmse"])
    assert len(found.folds) == 0
