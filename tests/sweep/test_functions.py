"""Whole sweeps of functions on a real store, from the command line and from Python."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading

import mlflow
import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_squared_error, root_mean_squared_error
from sklearn.model_selection import GroupKFold
from tests.sweep.test_commands import artifact, children, names_of

import wine_sweep
from wine_sweep import ConfigError, Sweep, load_config
from wine_sweep.config import parse_config
from wine_sweep.targets.prepare import prepare

CODE = """
import sys
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_squared_error

def train(params, context):
    print("fold", context.fold, "alpha", params["alpha"], flush=True)
    print("careful", file=sys.stderr)
    model = Ridge(alpha=params["alpha"]).fit(context.fit.features, context.fit.target)
    context.log_text(str(len(context.fit.target)), "rows.txt")
    return {"mse": mean_squared_error(context.measure.target, model.predict(context.measure.features))}, model

def alone(params, context):
    return {"loss": (params["x"] - 2) ** 2 + context.seed % 7}

class Rule:
    def predict(self, rows):
        return rows.sum(axis=1)

def unfitted(params, context):
    return {"mse": 1.0}, Ridge()

def once(params, context):
    if context.fold is None:
        sys.exit("no more")
    return {"mse": 1.0}

def nothing(params, context):
    return ({} if context.fold is None else {"mse": 1.0}), Ridge().fit(context.fit.features, context.fit.target)

def loud(params, context):
    import os
    os.system("echo from a shell")
    return train(params, context)

def odd(params, context):
    return {"loss": 1.0}, Rule()
"""
CONFIG = """
name: ridge
data: {source: wine-quality-red, seed: 40}
model: {function: my_ridge.py:train}
search: {parameters: {alpha: [0.1, 10, 1000]}}
evaluation: {cv: 4}
objective: {metric: mse, direction: minimize}
execution: {workers: 2}
registry: {name: my-ridge}
"""


@pytest.fixture
def folder(store):
    (store.folder / "my_ridge.py").write_text(CODE)
    (store.folder / "c.yaml").write_text(CONFIG)
    return store.folder


@pytest.mark.slow
def test_a_function_is_measured_fold_by_fold_and_its_model_promoted(folder, store, in_process):
    ended = in_process("run", "c.yaml", "--trust", "my_ridge.py", "--json")
    assert ended.returncode == 0, ended.stderr
    document = json.loads(ended.stdout)
    runs = children(store, document)
    material = prepare(parse_config(CONFIG.encode(), source="c", folder=folder, default_name="c"), trusted=["."]).material
    features, target, groups = material.dataset.features, material.dataset.target.to_numpy(), material.dataset.groups
    train, test = material.split.train, material.split.test
    for number, alpha in enumerate([0.1, 10, 1000]):
        folds = [
            mean_squared_error(
                target[train[measure]],
                Ridge(alpha=alpha).fit(features.iloc[train[fit]], target[train[fit]]).predict(features.iloc[train[measure]]),
            )
            for fit, measure in GroupKFold(4, shuffle=True, random_state=0).split(train, groups=groups[train])
        ]
        metrics = runs[number].data.metrics
        assert metrics["mse"] == pytest.approx(np.mean(folds), rel=1e-12)
        assert metrics["mse_std"] == pytest.approx(np.std(folds), rel=1e-9)
        history = store.client.get_metric_history(runs[number].info.run_id, "fold_mse")
        assert [each.value for each in sorted(history, key=lambda each: each.step)] == pytest.approx(folds)
    winner = document["selection"]["winner"]
    run = store.client.get_run(winner["run_id"])
    best = Ridge(alpha=winner["params"]["alpha"]).fit(features.iloc[train], target[train])
    expected = best.predict(features.iloc[test])
    assert run.data.metrics["test_mse"] == pytest.approx(mean_squared_error(target[test], expected))
    assert document["test_scores"] == {"mse": pytest.approx(mean_squared_error(target[test], expected))}
    loaded = mlflow.pyfunc.load_model("models:/my-ridge@staging")
    np.testing.assert_allclose(loaded.predict(features.iloc[test]), expected)
    assert loaded.metadata.signature.inputs.input_names() == list(features.columns)
    folds = ["fold_0", "fold_1", "fold_2", "fold_3"]
    assert names_of(store, runs[0]) == [*folds, "reference", "stderr.txt", "stdout.txt"]
    printed = artifact(store, runs[0], "stdout.txt").splitlines()
    assert printed == [f"fold {fold} alpha 0.1" for fold in range(4)]
    assert "fold 0" not in ended.stdout
    assert store.client.get_run(document["run_id"]).data.params["function"] == "my_ridge.py:train"


@pytest.mark.slow
def test_resume_and_promote_load_the_function_again(folder, in_process, store):
    first = in_process("run", "c.yaml", "--trust", ".", "--json", "--quiet", "--no-promote", "--trials", "2")
    assert first.returncode == 0, first.stderr
    refused = in_process("resume", "latest", "--trials", "3")
    assert refused.returncode == 2
    assert "model.function: runs code of your own; run with --trust my_ridge.py if you trust it" in refused.stderr
    ended = in_process("resume", "latest", "--trials", "3", "--trust", "my_ridge.py", "--json", "--quiet", "--no-promote")
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["trials"]["finished"] == 3
    promoted = in_process("promote", "latest", "--trust", "my_ridge.py", "--json")
    assert promoted.returncode == 0, promoted.stderr
    (folder / "my_ridge.py").write_text(CODE + "\n")
    changed = in_process("resume", "latest", "--trials", "4", "--trust", "my_ridge.py")
    assert changed.returncode == 2
    assert "has changed since the sweep 'ridge' (the content of my_ridge.py, or the table: " in " ".join(changed.stderr.split())


@pytest.mark.slow
def test_without_data_and_registry_it_is_called_once_a_trial_and_no_more(folder, in_process, store):
    (folder / "a.yaml").write_text(
        "model: {function: my_ridge.py:alone}\nsearch: {parameters: {x: [0, 1, 2]}, seed: 7}\n"
        "objective: {metric: loss, direction: minimize}\n"
    )
    ended = in_process("run", "a.yaml", "--trust", ".", "--json", "--quiet")
    assert ended.returncode == 0, ended.stderr
    document = json.loads(ended.stdout)
    assert document["selection"]["winner"]["params"] == {"x": 2}
    assert document["fits"] == {"done": 3, "without_pruning": 3}
    assert set(children(store, document)[0].data.metrics) == {"loss", "fit_seconds"}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("alone", "my_ridge.py:alone returns metrics and no model to promote: have it return (metrics, model)"),
        ("odd", "a Rule cannot be kept: a model is a scikit-learn style estimator or an mlflow.pyfunc.PythonModel"),
    ],
)
def test_a_model_that_cannot_be_promoted_is_an_error_that_says_why(folder, in_process, store, name, message):
    (folder / "a.yaml").write_text(
        f"model: {{function: my_ridge.py:{name}}}\nsearch: {{parameters: {{x: [0, 1]}}}}\n"
        "objective: {metric: loss, direction: minimize}\nregistry: {name: alone}\n"
    )
    ended = in_process("run", "a.yaml", "--trust", ".", "--quiet")
    assert ended.returncode == 1
    assert message in " ".join(ended.stderr.split())
    assert "Traceback" not in ended.stderr
    assert {run.info.status for run in all_runs(store)} == {"FINISHED", "FAILED"}


@pytest.mark.quick(1)
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("unfitted", "the model of my_ridge.py:unfitted does not predict the test rows: NotFittedError: "),
        ("once", "my_ridge.py:once fails for the winner's model: SystemExit: no more"),
        ("nothing", "fails for the winner's model: MissingMetric: the function gave no metric 'mse'; it gave nothing"),
    ],
)  # fmt: skip
def test_a_winners_call_that_goes_wrong_is_an_error_that_says_why(folder, in_process, store, name, message):
    ended = in_process("run", "c.yaml", "--trust", ".", "--quiet", "--set", f"model.function=my_ridge.py:{name}")
    assert ended.returncode == 1
    assert message in " ".join(ended.stderr.split())
    assert "Go on with: wine-sweep resume" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "RUNNING" not in {run.info.status for run in all_runs(store)}


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["processes", "serial"])
def test_what_a_function_prints_in_whatever_way_is_not_among_the_results(folder, wine_sweep, backend):
    overrides = ["--set", "model.function=my_ridge.py:loud", "--set", f"execution={{backend: {backend}}}"]
    ended = wine_sweep("run", "c.yaml", "--trust", ".", "--json", "--quiet", *overrides)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["trials"]["finished"] == 3


@pytest.mark.slow
def test_a_function_that_has_changed_is_the_new_one_for_trials_and_winner(folder, store):
    config = load_config(folder / "c.yaml", overrides=["registry=null", "search.parameters.alpha=[1]"])
    first = Sweep(config, trust=".").run(quiet=True)
    (folder / "my_ridge.py").write_text(CODE.replace('return {"mse": mean', 'return {"mse": 1000 + mean'))
    second = Sweep(config, trust=".").run(quiet=True)
    assert second.best.scores["mse"].mean - first.best.scores["mse"].mean == pytest.approx(1000)
    assert second.test_scores["mse"] - first.test_scores["mse"] == pytest.approx(1000)


def all_runs(store):
    return store.client.search_runs([each.experiment_id for each in store.client.search_experiments()])


@pytest.mark.slow
def test_the_boosting_function_prunes_by_its_own_rounds(root, store, in_process):
    folder = store.folder / "boosting_function"
    shutil.copytree(root / "sweeps/boosting_function", folder)
    ended = in_process("run", folder / "sweep.yaml", "--trust", folder, "--json", "--quiet", "--trials", "14")
    assert ended.returncode == 0, ended.stderr
    document = json.loads(ended.stdout)
    runs = children(store, document)
    pruned = [run for run in runs.values() if run.data.tags["wine_sweep.state"] == "pruned"]
    assert pruned, "of 14 trials some do worse than the median"
    for run in pruned:
        steps = [each.step for each in store.client.get_metric_history(run.info.run_id, "report_rmse")]
        assert steps == list(range(10, 10 * len(steps) + 1, 10))
        assert len(steps) < 12
        assert "rmse" not in run.data.metrics
        told = json.loads(run.data.tags["wine_sweep.steps"])
        assert [step for step, _ in told] == steps
    best = runs[document["selection"]["winner"]["trial"]]
    material = prepare(
        parse_config((folder / "sweep.yaml").read_bytes(), source="c", folder=folder, default_name="c"), trusted=[str(folder)]
    ).material
    fold, train = material.folds[0], material.split.train
    features, target = material.dataset.features, material.dataset.target.to_numpy()
    model = GradientBoostingRegressor(
        **document["selection"]["winner"]["params"], n_estimators=10, warm_start=True, random_state=7
    )
    for rounds in range(10, 121, 10):
        model.set_params(n_estimators=rounds).fit(features.iloc[train[fold.fit]], target[train[fold.fit]])
    predicted = model.predict(features.iloc[train[fold.measure]])
    assert best.data.metrics["rmse"] == pytest.approx(root_mean_squared_error(target[train[fold.measure]], predicted))
    assert artifact(store, best, "curve.csv").count("\n") == 13


# From Python -------------------------------------------------------------------------------------------------------------


def parabola(x=(0, 1, 2, 3), **more):
    return {
        "name": "parabola",
        "search": {"parameters": {"x": list(x)}},
        "objective": {"metric": "loss", "direction": "minimize"},
        "execution": {"workers": 2},
        **more,
    }


def locked():
    lock = threading.Lock()
    return lambda params, context: {"loss": float(lock.locked())}


LOCKED = locked()


@pytest.mark.slow
def test_a_function_from_python_cannot_be_resumed_from_the_command_line_and_it_says_so(store, in_process):
    Sweep(parabola(), function=lambda params, context: {"loss": 1.0}).run(quiet=True)
    ended = in_process("resume", "latest", "--trials", "5", "--trust", ".")
    assert ended.returncode == 2
    assert "the function was given from Python, and MLflow does not have it; only Sweep can run it again" in " ".join(
        ended.stderr.split()
    )


def test_a_function_is_swept_from_python(store, capfd):
    centre = 2
    sweep = Sweep(parabola(), function=lambda params, context: {"loss": (params["x"] - centre) ** 2})
    result = sweep.run()
    assert result.best.params == {"x": 2}
    assert isinstance(result.trials, pd.DataFrame)
    assert result.trials[["trial", "x", "loss", "state"]].to_numpy().tolist() == [
        [2, 2, 0.0, "finished"], [1, 1, 1.0, "finished"], [3, 3, 1.0, "finished"], [0, 0, 4.0, "finished"],
    ]  # fmt: skip
    assert result.reasons[0] == "Trial 2 has the lowest loss: 0, of 4 finished trials."
    assert (result.best_params, result.best_value, result.model_uri) == ({"x": 2}, 0.0, None)
    assert store.client.get_run(result.best_run_id).data.params == {"x": "2"}
    assert result.promotion is None
    assert store.client.get_run(result.run_id).info.status == "FINISHED"
    assert "<table" in result._repr_html_()
    shown = capfd.readouterr()
    assert "parabola: 4 trials on 2 workers" in shown.err
    assert shown.out == ""


@pytest.mark.slow
def test_a_config_file_is_run_from_python_and_promoted_later(store, root):
    config = load_config(root / "configs/grid.yaml", overrides=["search.parameters.alpha=[0.01, 1]"])
    result = Sweep(config).run(quiet=True, promote=False)
    assert result.promotion is None
    assert result.best.params["alpha"] == 0.01
    assert set(result.test_scores) == {"rmse", "mae", "r2"}
    outcome = result.promote(stage="production")
    assert (outcome.promotion.name, outcome.promotion.stage.value) == ("wine-quality", "Production")
    assert outcome.verdict.ground == "beats_dummy"
    assert store.client.get_model_version_by_alias("wine-quality", "production").run_id == result.best_run_id
    assert result.best_value == pytest.approx(result.trials["rmse"].min())
    assert mlflow.pyfunc.load_model(result.model_uri).metadata.run_id == result.best_run_id


def test_a_model_of_a_function_is_promoted_when_it_is_asked_for(store):
    def train(params, context):
        return {"loss": params["x"]}, Ridge(alpha=params["x"]).fit([[0], [1]], [0, 1])

    result = Sweep(parabola(x=[1, 2]), function=train).run(quiet=True)
    with pytest.raises(ConfigError, match="names no registered model"):
        result.promote()
    assert result.promote(name="later").promotion.version == "1"
    loaded = mlflow.sklearn.load_model("models:/later@staging")
    assert loaded.alpha == 1


@pytest.mark.parametrize(
    ("config", "options", "message"),
    [
        (parabola(serach={}), {}, "serach: unknown key; did you mean 'search'?"),
        ("configs/grid.yaml", {}, "expected a mapping of keys, or what `load_config` gives; got str"),
        (parabola(execution={"workers": object()}), {}, "holds a value that is no text, number, list or mapping"),
        (parabola(), {"function": 3}, "what is swept is called, and a int cannot be"),
        (parabola(), {"function": LOCKED}, "the function cannot be sent to worker processes"),
        (parabola(model={"command": ["true"]}), {"trust": "nothere.z"}, "--trust: 'nothere.z' is no file or folder here"),
        (parabola(), {}, "model: is missing; give `model`, or `models` for several to choose between"),
        (
            parabola(model={"command": ["true"]}),
            {"function": print},
            "model: names a model, and a function was given too; keep one of the two",
        ),
        (
            parabola(model={"command": ["true"]}),
            {},
            "model.command: runs code of your own; run with --trust . if you trust it",
        ),
    ],
)
def test_a_wrong_config_is_an_error_before_anything_runs(store, config, options, message):
    with pytest.raises(ConfigError) as caught:
        Sweep(config, **options)
    assert message in str(caught.value)


def test_paths_of_a_loaded_config_are_absolute(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_config(root / "configs/own-data.yaml").data.source == str(root / "configs/own-data.csv")
    script = load_config(root / "sweeps/elasticnet_script/sweep.yaml")
    assert script.model.folder == str(root / "sweeps/elasticnet_script")
    boosted = load_config(root / "sweeps/boosting_function/sweep.yaml")
    assert boosted.model.function == f"{root / 'sweeps/boosting_function/boost.py'}:train"


@pytest.mark.slow
def test_a_script_of_ones_own_sweeps_a_function_of_its_own(store):
    (store.folder / "study.py").write_text(
        "from wine_sweep import Sweep\n"
        "def loss(params, context):\n    return {'loss': abs(params['x'] - 1)}\n"
        "if __name__ == '__main__':\n"
        f"    result = Sweep({parabola()!r}, function=loss, tracking_uri={store.uri!r}).run(quiet=True)\n"
        "    print(result.best.params)\n"
    )
    ended = subprocess.run(
        [sys.executable, "study.py"], cwd=store.folder, capture_output=True, text=True, check=False, timeout=120
    )
    assert ended.stdout == "{'x': 1}\n", ended.stderr


def test_the_api_is_typed():
    assert (wine_sweep.Sweep.run.__annotations__["return"], wine_sweep.load_config.__annotations__["return"]) == (
        "SweepOutcome",
        "SweepConfig",
    )
