"""The winner of whole sweeps with groups, weights and an interval, on a real SQLite store."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from types import SimpleNamespace

import mlflow
import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_error, root_mean_squared_error
from sklearn.model_selection import GroupKFold, GroupShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from wine_sweep.config import parse_config
from wine_sweep.data.table import load_bundled
from wine_sweep.execution.base import TrialDirs
from wine_sweep.execution.worker_main import FileTrialIO
from wine_sweep.promotion import promote
from wine_sweep.targets import estimator
from wine_sweep.targets.prepare import prepare
from wine_sweep.targets.refit import Winner
from wine_sweep.tracking.models import SavedModel
from wine_sweep.trial import Trial

CONFIG = """
name: biscuits
data: {source: b.csv, target: hardness, groups: batch, weights: readings, seed: 3}
model: {pipeline: {scale: sklearn.preprocessing.StandardScaler, ridge: sklearn.linear_model.Ridge}}
search: {parameters: {ridge__alpha: [1, 10, 1000]}, seed: 5}
evaluation: {cv: 4, metrics: [rmse, mae]}
execution: {backend: serial}
registry: {name: biscuits, gate: {min_rows: 12}}
"""
PLAIN = """
data: {source: wine-quality-red, seed: 40}
model: {estimator: sklearn.linear_model.Ridge}
search: {parameters: {alpha: [0.1, 100]}}
execution: {backend: serial}
registry: {name: plain}
"""


@pytest.fixture
def table(store, root):
    path = store.folder / "b.csv"
    path.write_bytes((root / "configs/groups-and-weights.csv").read_bytes())
    return pd.read_csv(path)


@pytest.fixture
def swept(table, store, in_process):
    """A sweep's JSON, and its winner's run."""
    (store.folder / "b.yaml").write_text(CONFIG)
    result = in_process("run", "b.yaml", "--json")
    assert result.returncode == 0, result.stderr
    document = json.loads(result.stdout)
    return document, store.client.get_run(document["selection"]["winner"]["run_id"])


def split_by_hand(table):
    features, target = table[["moisture", "sugar", "acid", "heat"]].astype(float), table["hardness"].to_numpy()
    weights, groups = table["readings"].to_numpy(dtype=float), table["batch"].to_numpy()
    train, test = next(GroupShuffleSplit(1, test_size=0.25, random_state=3).split(features, groups=groups))
    return features, target, weights, groups, train, test


def prepared(text, folder, *overrides):
    return prepare(parse_config(text.encode(), source="c.yaml", folder=folder, default_name="c", overrides=overrides))


@pytest.mark.slow
def test_a_grouped_and_weighted_sweep_is_what_scikit_learn_gives_by_hand(swept, table):
    document, run = swept
    features, target, weights, groups, train, test = split_by_hand(table)
    alpha = document["selection"]["winner"]["params"]["ridge__alpha"]

    def fitted(rows):
        model = make_pipeline(StandardScaler(), Ridge(alpha=alpha))
        return model.fit(features.iloc[rows], target[rows], ridge__sample_weight=weights[rows])

    model = fitted(train)
    expected = model.predict(features.iloc[test])
    scores = {"rmse": root_mean_squared_error, "mae": mean_absolute_error}
    for name, score in scores.items():
        assert run.data.metrics[f"test_{name}"] == pytest.approx(score(target[test], expected, sample_weight=weights[test]))
    folds = []
    for fit, measure in GroupKFold(4, shuffle=True, random_state=0).split(train, groups=groups[train]):
        predicted = fitted(train[fit]).predict(features.iloc[train[measure]])
        folds.append(root_mean_squared_error(target[train[measure]], predicted, sample_weight=weights[train[measure]]))
    assert run.data.metrics["rmse"] == pytest.approx(np.mean(folds))


@pytest.mark.slow
def test_the_interval_stands_in_the_run_the_note_and_the_output(swept, table, store):
    document, run = swept
    features, target, weights, groups, train, test = split_by_hand(table)
    low, high = run.data.metrics["test_rmse_low"], run.data.metrics["test_rmse_high"]
    assert low < run.data.metrics["test_rmse"] < high
    assert document["test_interval"] == {"metric": "rmse", "low": low, "high": high, "confidence": 0.95, "resamples": 1000}
    assert "test_mae_low" not in run.data.metrics
    words = f"rmse {document['test_scores']['rmse']:.4g} (95% interval {low:.4g} to {high:.4g}), mae "
    assert words in store.client.get_run(document["run_id"]).data.tags["mlflow.note.content"]
    model = make_pipeline(StandardScaler(), Ridge(alpha=document["selection"]["winner"]["params"]["ridge__alpha"]))
    model.fit(features.iloc[train], target[train], ridge__sample_weight=weights[train])
    error = (target[test] - model.predict(features.iloc[test])) ** 2
    members = [np.flatnonzero(groups[test] == each) for each in np.unique(groups[test])]
    rng, found = np.random.default_rng(5), []
    for _ in range(1000):
        rows = np.concatenate([members[drawn] for drawn in rng.integers(len(members), size=len(members))])
        found.append(np.sqrt(np.average(error[rows], weights=weights[test][rows])))
    assert (low, high) == (pytest.approx(np.quantile(found, 0.025)), pytest.approx(np.quantile(found, 0.975)))


@pytest.mark.slow
def test_the_model_sees_neither_column_and_the_dataset_lists_both(swept, store):
    document, _ = swept
    info = mlflow.models.get_model_info("models:/biscuits@staging")
    assert info.signature.inputs.input_names() == ["moisture", "sugar", "acid", "heat"]
    path = mlflow.artifacts.download_artifacts("models:/biscuits@staging", dst_path=str(store.folder / "model"))
    example = json.loads((Path(path) / "input_example.json").read_text())
    assert example["columns"] == ["moisture", "sugar", "acid", "heat"]
    (entry,) = store.client.get_run(document["run_id"]).inputs.dataset_inputs
    columns = {each["name"]: each["type"] for each in json.loads(entry.dataset.schema)["mlflow_colspec"]}
    assert set(columns) == {"moisture", "sugar", "acid", "heat", "batch", "readings", "hardness"}
    assert (columns["batch"], columns["readings"]) == ("string", "double")


@pytest.mark.slow
def test_the_interval_is_printed_after_its_metric(table, store, in_process):
    (store.folder / "b.yaml").write_text(CONFIG)
    result = in_process("run", "b.yaml", "--quiet", "--set", "evaluation.bootstrap={resamples: 100, confidence: 0.8}")
    text = " ".join(result.stdout.split())
    assert "On the test rows, which no trial saw: rmse 2." in text
    assert " (80% interval 2." in text


@pytest.mark.slow
def test_promoting_another_trial_refits_it_with_weights_and_an_interval(swept, in_process, store, table):
    document, _ = swept
    other = document["selection"]["runners_up"][-1]
    result = in_process("promote", "latest", "--run", other["run_id"], "--force", "--json")
    assert result.returncode == 0, result.stderr
    metrics = store.client.get_run(other["run_id"]).data.metrics
    assert metrics["test_rmse_low"] < metrics["test_rmse"] < metrics["test_rmse_high"]
    features, target, weights, _, train, test = split_by_hand(table)
    model = make_pipeline(StandardScaler(), Ridge(alpha=other["params"]["ridge__alpha"]))
    model.fit(features.iloc[train], target[train], ridge__sample_weight=weights[train])
    rmse = root_mean_squared_error(target[test], model.predict(features.iloc[test]), sample_weight=weights[test])
    assert metrics["test_rmse"] == pytest.approx(rmse)


@pytest.mark.slow
@pytest.mark.parametrize("column", ["batch", "readings"])
def test_a_sweep_whose_groups_or_weights_have_changed_is_not_promoted(column, swept, in_process, store, table):
    table.loc[0, column] = table.loc[100, column] if column == "batch" else 99
    table.to_csv(store.folder / "b.csv", index=False)
    other = swept[0]["selection"]["runners_up"][-1]
    result = in_process("promote", "latest", "--run", other["run_id"])
    assert result.returncode == 2
    assert "has changed since the sweep 'biscuits'" in " ".join(result.stderr.split())


@pytest.mark.slow
def test_a_sweep_from_before_these_keys_is_refitted_and_promoted(store, in_process):
    (store.folder / "plain.yaml").write_text(PLAIN)
    document = json.loads(in_process("run", "plain.yaml", "--json", "--no-promote").stdout)
    path = store.client.download_artifacts(document["run_id"], "config.resolved.yaml", str(store.folder))
    resolved = yaml.safe_load(Path(path).read_text())
    for keys, section in ((("groups", "weights"), resolved["data"]), (("bootstrap",), resolved["evaluation"])):
        for key in keys:
            del section[key]
    del resolved["evaluation"]["cv"]["stratified"]
    store.client.log_text(document["run_id"], yaml.safe_dump(resolved), "config.resolved.yaml")
    other = document["selection"]["runners_up"][0]
    result = in_process("promote", "latest", "--run", other["run_id"])
    assert result.returncode == 0, result.stdout
    metrics = store.client.get_run(other["run_id"]).data.metrics
    assert metrics["test_rmse_low"] < metrics["test_rmse"] < metrics["test_rmse_high"]


# Without a store ---------------------------------------------------------------------------------------------------------


def test_no_resamples_are_no_interval(tmp_path):
    candidate = prepared(PLAIN, tmp_path, "evaluation.bootstrap=0").refit(Trial(0, {"alpha": 1}))
    assert candidate.interval is None
    assert set(candidate.test_scores) == {"rmse", "mae", "r2"}


@pytest.mark.slow
def test_the_interval_is_of_the_objective_and_the_searchs_seed_draws_it(tmp_path):
    def found(*overrides):
        return prepared(PLAIN, tmp_path, "evaluation.bootstrap=200", *overrides).refit(Trial(0, {"alpha": 1})).interval

    assert found().metric == "rmse"
    assert found() == found()
    assert found() != found("search.seed=9")
    assert found("objective.metric=r2").metric == "r2"


@pytest.mark.slow
def test_an_interval_that_too_many_resamples_lack_is_warned_of(tmp_path, caplog):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=80), "b": rng.normal(size=80), "y": np.arange(80) % 40 == 0})
    frame.astype(float).to_csv(tmp_path / "rare.csv", index=False)
    text = """
data: {source: rare.csv, target: y, test_size: 0.5}
model: {estimator: sklearn.linear_model.LogisticRegression}
search: {parameters: {C: [1]}}
evaluation: {cv: {holdout: 0.5, stratified: false}, metrics: [roc_auc]}
"""
    with caplog.at_level(logging.WARNING):
        candidate = prepared(text, tmp_path).refit(Trial(0, {"C": 1}))
    assert "roc_auc" in candidate.test_scores
    assert candidate.interval is None
    (record,) = caplog.records
    message = record.getMessage()
    assert message.startswith("no interval for roc_auc on the test rows: it cannot be computed on 3")
    assert message.endswith(" of 1000 resamples, more than 10%")


def test_weights_reach_the_workers_training_rows_alone(table, store):
    ready = prepared(CONFIG, store.folder)
    measurement = ready.task()
    *_, train, _ = split_by_hand(table)
    np.testing.assert_array_equal(measurement.weights, table["readings"].to_numpy(dtype=float)[train])
    assert measurement.features.columns.tolist() == ["moisture", "sugar", "acid", "heat"]


@pytest.mark.slow
@pytest.mark.parametrize("text", [PLAIN, CONFIG])
def test_what_a_worker_kept_of_the_folds_is_what_fitting_them_again_gives(table, store, text, monkeypatch):
    ready, trial_dirs = prepared(text, store.folder), TrialDirs(store.folder / "files")
    params = dict.fromkeys(ready.config.search.parameters, 10.0)
    trial = ready.task()(Trial(0, params), FileTrialIO(trial_dirs, 0))
    again = ready.refit(trial).reference
    monkeypatch.setattr(estimator, "fold_predictions", lambda *_: pytest.fail("fitted again"))
    kept = ready.refit(trial, trial_dirs.common).reference
    assert len(kept.folds) == len(ready.material.split.train)
    pd.testing.assert_frame_equal(kept.folds, again.folds)
    pd.testing.assert_frame_equal(kept.test, again.test)


def test_models_that_take_long_are_not_fitted_again_where_nobody_kept_what_they_predict(tmp_path):
    ready = prepared(PLAIN, tmp_path)
    quick, slow = (Trial(0, {"alpha": 1}, fit_seconds=seconds) for seconds in (1.0, 13.0))
    assert len(ready.refit(quick).reference.folds) == len(ready.material.split.train)
    assert len(ready.refit(slow).reference.folds) == 0


@pytest.mark.slow
def test_a_model_that_can_tell_probabilities_only_once_fitted_has_its_folds_too(tmp_path):
    frame = load_bundled("wine-quality-red").head(300)
    frame.assign(quality=(frame["quality"] > 5).astype(int)).to_csv(tmp_path / "good.csv", index=False)
    text = """
data: {source: good.csv, target: quality}
model:
  estimator: sklearn.ensemble.StackingClassifier
  params:
    estimators: [[tree, {estimator: sklearn.tree.DecisionTreeClassifier, params: {max_depth: 2}}]]
search: {parameters: {passthrough: [false]}}
evaluation: {cv: 3, metrics: [roc_auc, accuracy]}
objective: roc_auc
"""
    ready = prepared(text, tmp_path)
    reference = ready.refit(Trial(0, {"passthrough": False})).reference
    assert len(reference.folds) == len(ready.material.split.train)
    trial = ready.task()(Trial(0, {"passthrough": False}), FileTrialIO(TrialDirs(tmp_path / "files"), 0))
    kept = ready.refit(trial, tmp_path / "files" / "common").reference
    pd.testing.assert_frame_equal(kept.folds, reference.folds)


def test_folds_that_cannot_be_used_cost_the_folds_alone(tmp_path, caplog):
    ready = prepared(PLAIN, tmp_path)
    folder = tmp_path / "files" / "common"
    trial = ready.task()(Trial(0, {"alpha": 1}), FileTrialIO(TrialDirs(tmp_path / "files"), 0))
    (path,) = folder.iterdir()
    with np.load(path) as kept:
        arrays = {name: array[:3] if name.startswith("predictions") else array for name, array in kept.items()}
    with path.open("wb") as file:
        np.savez(file, **arrays)
    with caplog.at_level(logging.WARNING):
        reference = ready.refit(trial, folder).reference
    assert len(reference.folds) == 0
    assert len(reference.test) == len(ready.material.split.test)
    assert "later checks go by the test rows alone" in caplog.text


GRID = """
data: {source: wine-quality-red}
model:
  estimator: sklearn.model_selection.GridSearchCV
  params: {estimator: {estimator: sklearn.linear_model.Ridge}, param_grid: {solver: [svd, cholesky]}}
search: {parameters: {cv: [2, 3]}}
evaluation: {cv: 2, bootstrap: 0}
execution: {backend: serial}
registry: {name: wine}
"""


@pytest.mark.slow
def test_a_winner_that_searches_among_texts_is_promoted_and_checked_without_trust(store, in_process):
    (store.folder / "grid.yaml").write_text(GRID)
    result = in_process("run", "grid.yaml", "--json", "--quiet")
    assert (result.returncode, result.stderr) == (0, "")
    result = in_process("check", "wine", "--data", "wine-quality-red")
    assert result.returncode == 0, result.stderr


def test_why_nobody_else_will_load_a_winner_is_said_when_it_is_kept(monkeypatch, caplog):
    saved = SavedModel("models:/m-1", None, ("its skops file holds 'numpy.square' as 'param_grid'",))
    monkeypatch.setattr(promote, "log_model", lambda *_, **__: saved)
    policy = SimpleNamespace(run=lambda step: step())
    runs = SimpleNamespace(client=None, experiment_id="1", log_metrics=lambda *_, **__: None, set_tags=lambda *_: None)
    monkeypatch.setattr(logging.getLogger("wine_sweep"), "propagate", True)
    assert promote.log_winning_model(Winner(Ridge(), {}), runs, "r", trusted=(), policy=policy) == saved
    assert "only with --trust model:NAME, since it could run code (its skops file holds 'numpy.square'" in caplog.text
