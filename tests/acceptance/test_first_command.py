"""What README's first command leaves, told by MLflow's own client alone: on a SQLite file, and on a real server."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from sklearn.linear_model import ElasticNet
from sklearn.metrics import root_mean_squared_error
from sklearn.model_selection import GroupKFold, GroupShuffleSplit, cross_validate

POINTS = [(alpha, ratio) for alpha in (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1) for ratio in (0.1, 0.5, 0.9, 1)]


@pytest.fixture(scope="module", params=["session_store", pytest.param("server", marks=pytest.mark.slow)])
def swept(request, root):
    """The store after ``python -m wine_sweep run configs/grid.yaml``, and what the command printed."""
    store = request.getfixturevalue(request.param)
    command_line = request.getfixturevalue("command_line")(store.folder, store.uri)
    result = command_line("run", root / "configs/grid.yaml")
    assert result.returncode == 0, result.stderr
    return store, result


@pytest.fixture(scope="module")
def client(swept):
    return MlflowClient(swept[0].uri)


@pytest.fixture(scope="module")
def runs(client):
    experiment = client.get_experiment_by_name("wine-quality")
    return list(client.search_runs([experiment.experiment_id], max_results=1000))


@pytest.fixture(scope="module")
def parent(runs):
    parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert len(parents) == 1
    return parents[0]


@pytest.fixture(scope="module")
def children(runs, parent):
    return [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]


@pytest.fixture(scope="module")
def red_wine(root):
    """The data, split as configs/grid.yaml says, by scikit-learn alone: (features, target, groups, train, test)."""
    table = pd.read_csv(root / "src/wine_sweep/data/wine_quality/winequality-red.csv", sep=";").astype(float)
    features, target = table.drop(columns="quality"), table["quality"]
    groups = features.groupby(list(features.columns), sort=False).ngroup()
    train, test = next(GroupShuffleSplit(n_splits=1, test_size=0.25, random_state=40).split(features, groups=groups))
    return features, target, groups, np.sort(train), np.sort(test)


def test_there_is_one_child_for_each_point_with_the_parameters_own_names(runs, children):
    assert len(runs) == len(POINTS) + 1
    assert sorted((float(run.data.params["alpha"]), float(run.data.params["l1_ratio"])) for run in children) == sorted(POINTS)
    assert all(set(run.data.params) == {"alpha", "l1_ratio"} for run in children)


def test_children_are_named_by_number_in_the_order_written(children):
    in_order = sorted(children, key=lambda run: run.info.run_name)
    assert [run.info.run_name for run in in_order] == [f"trial {number:04d}" for number in range(len(POINTS))]
    assert [(float(run.data.params["alpha"]), float(run.data.params["l1_ratio"])) for run in in_order] == POINTS


def test_children_are_finished_and_carry_metrics_spreads_and_fit_time(children):
    for run in children:
        assert run.info.status == "FINISHED"
        expected = {"rmse", "mae", "r2", "rmse_std", "mae_std", "r2_std", "fold_rmse", "fold_mae", "fold_r2", "fit_seconds"}
        assert expected <= set(run.data.metrics)
        assert run.info.start_time <= run.info.end_time


def test_folds_stand_at_their_steps_and_their_mean_is_the_metric(client, children):
    history = client.get_metric_history(children[0].info.run_id, "fold_rmse")
    assert sorted(point.step for point in history) == [0, 1, 2, 3, 4]
    values = [point.value for point in history]
    assert np.mean(values) == pytest.approx(children[0].data.metrics["rmse"], abs=1e-12)
    assert np.std(values) == pytest.approx(children[0].data.metrics["rmse_std"], abs=1e-12)


def test_children_ran_within_the_parent(parent, children):
    assert parent.info.status == "FINISHED"
    assert min(run.info.start_time for run in children) >= parent.info.start_time
    assert max(run.info.end_time for run in children) <= parent.info.end_time


def test_the_parent_says_what_was_swept(parent):
    params = parent.data.params
    assert params["method"] == "grid"
    assert params["trials"] == str(len(POINTS))
    assert params["estimator"] == "sklearn.linear_model.ElasticNet"
    assert params["objective"] == "minimize rmse"
    assert params["data"] == "wine-quality-red"
    assert parent.info.run_name == "elasticnet-grid"
    assert parent.data.metrics["trials_finished"] == len(POINTS)
    assert parent.data.metrics["trials_failed"] == 0
    assert re.fullmatch("[0-9a-f]{64}", parent.data.tags["wine_sweep.data"])


def test_the_best_so_far_is_a_history_that_only_gets_better(client, parent, children):
    history = sorted(client.get_metric_history(parent.info.run_id, "best_rmse"), key=lambda point: point.step)
    values = [point.value for point in history]
    assert values == sorted(values, reverse=True)
    assert values[-1] == min(run.data.metrics["rmse"] for run in children) == parent.data.metrics["best_rmse"]
    by_name = {run.info.run_name: run for run in children}
    assert all(by_name[f"trial {point.step:04d}"].data.metrics["rmse"] == point.value for point in history)


def test_the_dataset_is_an_input_of_the_parent(parent):
    (entry,) = parent.inputs.dataset_inputs
    assert entry.dataset.name == "wine-quality-red"
    assert parent.data.tags["wine_sweep.data"].startswith(entry.dataset.digest)
    assert json.loads(entry.dataset.profile)["num_rows"] == 1599


def test_the_summary_shows_winner_reasons_and_leaderboard(parent):
    note = parent.data.tags["mlflow.note.content"]
    assert "### Winner" in note
    assert "lowest mean rmse over 5 folds" in note
    assert "| trial | alpha | l1_ratio | rmse | mae | r2 |" in note


def test_the_artifacts_tell_the_whole_story(client, parent, root):
    names = {each.path for each in client.list_artifacts(parent.info.run_id)}
    assert names == {
        "config.yaml",
        "config.resolved.yaml",
        "environment.json",
        "trials.csv",
        "selection.json",
        "promotion.json",
    }
    with tempfile.TemporaryDirectory() as folder:
        fetched = {name: Path(client.download_artifacts(parent.info.run_id, name, folder)).read_text() for name in names}
    assert fetched["config.yaml"] == (root / "configs/grid.yaml").read_text()
    assert len(fetched["trials.csv"].splitlines()) == len(POINTS) + 1
    selection = json.loads(fetched["selection.json"])
    assert selection["winner"]["trial"] == 0
    assert selection["reasons"]
    promotion = json.loads(fetched["promotion.json"])
    assert (promotion["model"], promotion["version"], promotion["stage"]) == ("wine-quality", "1", "Staging")


def test_one_model_is_logged_under_the_winners_run(client, children, runs):
    best = min(children, key=lambda run: run.data.metrics["rmse"])
    models = client.search_logged_models([best.info.experiment_id])
    assert [model.source_run_id for model in models] == [best.info.run_id]
    assert [run.info.run_id for run in runs if run.outputs and run.outputs.model_outputs] == [best.info.run_id]
    assert {"test_rmse", "test_mae", "test_r2"} <= set(best.data.metrics)
    assert [run for run in runs if "test_rmse" in run.data.metrics] == [best]


def test_one_version_is_in_staging_and_has_the_alias(client, children):
    (version,) = client.search_model_versions("name = 'wine-quality'")
    best = min(children, key=lambda run: run.data.metrics["rmse"])
    assert version.current_stage == "Staging"
    assert version.run_id == best.info.run_id
    by_alias = client.get_model_version_by_alias("wine-quality", "staging")
    assert int(by_alias.version) == int(version.version) == 1


def test_the_model_has_signature_example_and_pinned_requirements(swept):
    mlflow.set_tracking_uri(swept[0].uri)
    info = mlflow.models.get_model_info("models:/wine-quality@staging")
    assert info.signature.inputs.input_names()[0] == "fixed acidity"
    assert info.saved_input_example_info is not None
    with tempfile.TemporaryDirectory() as folder:
        path = mlflow.artifacts.download_artifacts("models:/wine-quality@staging", dst_path=folder)
        requirements = (Path(path) / "requirements.txt").read_text()
    assert re.search(r"^scikit-learn==\d", requirements, re.MULTILINE)
    mlflow.set_tracking_uri(None)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_the_model_in_staging_is_the_one_that_scikit_learn_fits(swept, red_wine, client, children):
    features, target, _, train, test = red_wine
    expected = ElasticNet(alpha=0.001, l1_ratio=0.1, random_state=42).fit(features.iloc[train], target.iloc[train])
    mlflow.set_tracking_uri(swept[0].uri)
    for uri in ("models:/wine-quality/Staging", "models:/wine-quality@staging"):
        predicted = mlflow.pyfunc.load_model(uri).predict(features.iloc[test])
        np.testing.assert_allclose(predicted, expected.predict(features.iloc[test]), rtol=1e-12)
    mlflow.set_tracking_uri(None)
    best = min(children, key=lambda run: run.data.metrics["rmse"])
    rmse = root_mean_squared_error(target.iloc[test], expected.predict(features.iloc[test]))
    assert best.data.metrics["test_rmse"] == pytest.approx(rmse, abs=1e-9)


def test_every_trial_agrees_with_scikit_learns_cross_validate(children, red_wine):
    features, target, groups, train, _ = red_wine
    folds = GroupKFold(n_splits=5, shuffle=True, random_state=0)
    scoring = {"rmse": "neg_root_mean_squared_error", "mae": "neg_mean_absolute_error", "r2": "r2"}
    for run in children:
        model = ElasticNet(alpha=float(run.data.params["alpha"]), l1_ratio=float(run.data.params["l1_ratio"]), random_state=42)
        scores = cross_validate(
            model, features.iloc[train], target.iloc[train], groups=groups.iloc[train], cv=folds, scoring=scoring
        )
        assert run.data.metrics["rmse"] == pytest.approx(-scores["test_rmse"].mean(), abs=1e-9)
        assert run.data.metrics["mae"] == pytest.approx(-scores["test_mae"].mean(), abs=1e-9)
        assert run.data.metrics["r2"] == pytest.approx(scores["test_r2"].mean(), abs=1e-9)


def test_the_output_ends_with_leaderboard_reasons_and_what_comes_next(swept):
    _, result = swept
    assert "0 *" in result.stdout
    assert "lowest mean rmse over 5 folds" in result.stdout
    assert "version 1 of wine-quality in Staging" in result.stdout
    assert "wine-sweep ui" in result.stdout
    assert "wine-sweep compare latest" in result.stdout
    assert "Traceback" not in result.stderr
    assert "Warning" not in result.stderr
