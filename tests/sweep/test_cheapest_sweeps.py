"""Whole sweeps whose winner is the cheapest within one standard error, on a real SQLite store."""

from __future__ import annotations

import json
import pickle
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold, GroupShuffleSplit, cross_validate
from sklearn.tree import DecisionTreeRegressor
from tests.sweep.test_resume import Stopper, children

from wine_sweep import Sweep
from wine_sweep.config import parse_config
from wine_sweep.errors import SweepInterrupted
from wine_sweep.sweep.run import RunOptions, run_sweep
from wine_sweep.targets.prepare import prepare

ALPHAS = [0.1, 1, 3, 10, 30, 100, 300]
RIDGE = """
name: ridge
data: {source: wine-quality-red, seed: 40}
model: {estimator: sklearn.linear_model.Ridge}
search: {parameters: {alpha: [0.1, 1, 3, 10, 30, 100, 300]}}
evaluation: {cv: {folds: 4, repeats: 2, seed: 5}}
selection: {select: one_standard_error, cheapest: [{alpha: highest}]}
execution: {backend: serial}
registry: {name: ridge}
"""
TREES = """
name: trees
data: {source: wine-quality-red, seed: 40}
model: {estimator: sklearn.tree.DecisionTreeRegressor, params: {random_state: 0}}
search: {parameters: {max_depth: [2, 3, 4, 5, 6, 8]}}
evaluation: {cv: 4}
selection: {select: one_standard_error, cheapest: model_size}
execution: {backend: serial}
registry: {name: trees}
"""
CODE = """
from sklearn.tree import DecisionTreeRegressor
from sklearn.metrics import root_mean_squared_error

def train(params, context):
    model = DecisionTreeRegressor(random_state=0, **params).fit(context.fit.features, context.fit.target)
    return {"rmse": root_mean_squared_error(context.measure.target, model.predict(context.measure.features))}, model

def bare(params, context):
    return {"rmse": 1.0 + context.fold}
"""


def swept(in_process, text: str, *arguments: str) -> dict:
    Path("c.yaml").write_text(text)
    done = in_process("run", "c.yaml", "--json", "--quiet", *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def artifact(store, run_id: str, name: str) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        return json.loads(Path(store.client.download_artifacts(run_id, name, folder)).read_text())


@pytest.fixture(scope="module")
def red_wine(root):
    """The rows to learn from, as the configs here say, by scikit-learn alone: features, target, groups."""
    table = pd.read_csv(root / "src/wine_sweep/data/wine_quality/winequality-red.csv", sep=";").astype(float)
    features, target = table.drop(columns="quality"), table["quality"]
    groups = features.groupby(list(features.columns), sort=False).ngroup()
    train, _ = next(GroupShuffleSplit(n_splits=1, test_size=0.25, random_state=40).split(features, groups=groups))
    train = np.sort(train)
    return features.iloc[train], target.iloc[train], groups.iloc[train]


def measured(model, red_wine, seeds=(0,), folds=4) -> tuple[np.ndarray, list]:
    """Measure a model by scikit-learn alone: its rmse on each fold, and the fitted models."""
    features, target, groups = red_wine
    found, models = [], []
    for seed in seeds:
        split = GroupKFold(folds, shuffle=True, random_state=seed)
        scoring = "neg_root_mean_squared_error"
        scores = cross_validate(model, features, target, groups=groups, cv=split, scoring=scoring, return_estimator=True)
        found.append(-scores["test_score"])
        models += scores["estimator"]
    return np.concatenate(found), models


@pytest.mark.slow
def test_the_rule_is_what_scikit_learn_and_a_pencil_give(in_process, store, red_wine):
    document = swept(in_process, RIDGE)
    folds = {alpha: measured(Ridge(alpha=alpha), red_wine, seeds=(5, 6))[0] for alpha in ALPHAS}
    best = min(ALPHAS, key=lambda alpha: folds[alpha].mean())
    assert len(folds[best]) == 8
    error = folds[best].std(ddof=1) / np.sqrt(8)
    near = [alpha for alpha in ALPHAS if folds[alpha].mean() <= folds[best].mean() + error]
    assert best < max(near) < max(ALPHAS), "the data leave something to be decided"
    record = artifact(store, document["run_id"], "selection.json")
    assert record["winner"]["params"] == {"alpha": max(near)}
    rule = record["one_standard_error"]
    assert rule["values"] == 8
    assert rule["best_trial"] == ALPHAS.index(best)
    assert rule["standard_error"] == pytest.approx(error)
    assert rule["threshold"] == pytest.approx(folds[best].mean() + error)
    assert [each["cost"] for each in rule["candidates"]] == [{"alpha": alpha} for alpha in sorted(near, reverse=True)]
    assert [each["mean"] for each in rule["candidates"]] == pytest.approx(
        [folds[alpha].mean() for alpha in sorted(near, reverse=True)]
    )
    assert document["selection"] == record
    version = store.client.get_model_version_by_alias("ridge", "staging")
    assert version.run_id == record["winner"]["run_id"]
    assert "within one standard error" in version.description
    note = store.client.get_run(document["run_id"]).data.tags["mlflow.note.content"]
    assert "^ the best mean, + within one standard error of it" in note


@pytest.mark.slow
def test_the_size_of_a_model_is_a_metric_of_its_trial_and_decides(in_process, store, red_wine):
    document = swept(in_process, TREES)
    sizes, means = {}, {}
    for depth in (2, 3, 4, 5, 6, 8):
        rmse, models = measured(DecisionTreeRegressor(random_state=0, max_depth=depth), red_wine)
        sizes[depth], means[depth] = [len(pickle.dumps(model, protocol=5)) for model in models], rmse
    for run in children(store, document["run_id"]):
        depth = int(run.data.params["max_depth"])
        assert run.data.metrics["model_size"] == pytest.approx(np.mean(sizes[depth]))
        history = store.client.get_metric_history(run.info.run_id, "fold_model_size")
        assert [each.value for each in history] == sizes[depth]
    best = min(means, key=lambda depth: means[depth].mean())
    error = means[best].std(ddof=1) / 2
    near = [depth for depth in means if means[depth].mean() <= means[best].mean() + error]
    assert document["selection"]["winner"]["params"]["max_depth"] == min(near, key=lambda depth: np.mean(sizes[depth]))
    shown = in_process("compare", "latest")
    assert " KB" in shown.stdout
    assert "* the winner, ^ the best mean, + within one standard error of it" in shown.stdout
    sorted_by_size = in_process("compare", "latest", "--sort", "model_size", "--format", "json")
    assert json.loads(sorted_by_size.stdout)[0]["max_depth"] == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "text", [RIDGE, TREES, RIDGE.replace("[{alpha: highest}]", "fit_seconds")], ids=["order", "size", "time"]
)
def test_promoting_later_selects_as_the_run_did_and_compare_shows_it(in_process, store, text):
    document = swept(in_process, text, "--no-promote")
    promoted = in_process("promote", "latest", "--json")
    assert promoted.returncode == 0, promoted.stderr
    assert json.loads(promoted.stdout)["selection"] == document["selection"]
    records = json.loads(in_process("compare", "latest", "--format", "json").stdout)
    winner, best = document["selection"]["winner"], document["selection"]["one_standard_error"]["best_trial"]
    assert records[0]["run_id"] == winner["run_id"]
    assert [row["trial"] for row in records if row["best"]] == [winner["trial"]]
    assert [row["trial"] for row in records if row["best_mean"]] == [best]


@pytest.mark.slow
def test_a_resumed_sweep_has_the_winner_of_one_that_was_never_stopped(in_process, store):
    whole = swept(in_process, TREES.replace("name: trees", "name: whole"))
    draft = parse_config(TREES.encode(), source="c.yaml", folder=Path.cwd(), default_name="c")
    stopper = Stopper(after=3)
    with pytest.raises(SweepInterrupted) as caught:
        run_sweep(prepare(draft), RunOptions(tracking_uri=store.uri), observer=stopper, stop=stopper)
    refused = in_process("resume", caught.value.run_id, "--set", "selection.cheapest=fit_seconds")
    assert refused.returncode == 2
    assert "selection.cheapest: was 'model_size' (text) when the sweep began, is 'fit_seconds' (text) now" in refused.stderr
    done = in_process("resume", caught.value.run_id, "--json", "--quiet")
    assert done.returncode == 0, done.stderr
    resumed = json.loads(done.stdout)["selection"]
    for each in (whole["selection"], resumed):
        for entry in (each["winner"], *each["runners_up"]):
            entry.pop("run_id")
    assert resumed == whole["selection"]


@pytest.mark.slow
def test_a_function_that_returns_its_model_is_weighed_and_one_that_does_not_is_told_so(in_process, store):
    Path("code.py").write_text(CODE)
    text = TREES.replace(
        "{estimator: sklearn.tree.DecisionTreeRegressor, params: {random_state: 0}}", "{function: code.py:train}"
    )
    text += "objective: rmse\n"
    by_function = swept(in_process, text, "--trust", "code.py")
    by_estimator = swept(in_process, TREES, "--no-promote")
    candidates = [each["selection"]["one_standard_error"]["candidates"] for each in (by_function, by_estimator)]
    assert candidates[0] == candidates[1]
    Path("c.yaml").write_text(text.replace(":train", ":bare"))
    failed = in_process("run", "c.yaml", "--quiet", "--trust", "code.py")
    assert failed.returncode == 1
    assert "the function returned no model, and `cheapest: model_size` compares models" in failed.stderr


def test_a_command_is_measured_once_and_has_no_standard_error(in_process, store):
    Path("c.yaml").write_text(
        "model: {command: [python, train.py, '{x}']}\nsearch: {parameters: {x: [1, 2]}}\nobjective: rmse\n"
        "selection: {select: one_standard_error}\n"
    )
    Path("train.py").write_text("")
    refused = in_process("plan", "c.yaml", "--trust", "train.py")
    assert refused.returncode == 2
    assert "selection.select: one_standard_error needs the spread of a metric" in refused.stderr


@pytest.mark.slow
def test_with_a_budget_models_are_weighed_where_it_is_full(in_process, store):
    text = TREES.replace("search: {", "search: {budget: {rows: 0.5}, pruner: {type: median, n_startup_trials: 6}, ")
    document = swept(in_process, text, "--no-promote")
    runs = [run for run in children(store, document["run_id"]) if run.info.status == "FINISHED"]
    assert runs
    for run in runs:
        (full,) = store.client.get_metric_history(run.info.run_id, "budget_model_size")
        assert full.value == run.data.metrics["model_size"]
        assert full.step == 1000


def test_plan_says_the_rule(in_process):
    Path("c.yaml").write_text(RIDGE)
    shown = in_process("plan", "c.yaml")
    assert "the cheapest (highest alpha) of the trials within one standard error of the best mean" in shown.stdout


@pytest.mark.slow
def test_from_python_the_best_is_the_winner_and_the_table_begins_with_it(store):
    outcome = Sweep(yaml.safe_load(RIDGE), tracking_uri=store.uri).run(promote=False, quiet=True)
    assert outcome.best.number == outcome.trials.iloc[0]["trial"]
    assert outcome.trials["best"].tolist().index(True) == 0
    assert outcome.trials["best_mean"].tolist().index(True) > 0
    assert "within one standard error" in outcome.reasons[0]
