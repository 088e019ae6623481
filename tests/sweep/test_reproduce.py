"""Trials that are run again from what MLflow has of them, on real stores: what agrees, what does not, and what may be why."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient
from tests.conftest import copied_store
from tests.sweep.test_resume import begin

FORESTS = """
name: forests
data: {source: wine-quality-red}
model: {estimator: sklearn.ensemble.RandomForestRegressor, params: {n_estimators: 3}}
search: {parameters: {max_depth: [3, 5]}, seed: 11}
evaluation: {cv: 3, metrics: [rmse], seeds: 2}
execution: {backend: serial}
"""
RIDGE = """
name: ridge
data: {source: own.csv, target: y}
model: {estimator: sklearn.linear_model.Ridge}
search: {parameters: {alpha: [1, 10]}}
evaluation: {cv: 3, metrics: [rmse]}
execution: {backend: serial}
"""
CODE = """
import random
from pathlib import Path
from sklearn.linear_model import Ridge
from sklearn.metrics import root_mean_squared_error

def train(params, context):
    model = Ridge(alpha=params["alpha"]).fit(context.fit.features, context.fit.target)
    for step in range(3):
        context.report(step, rmse=3.0 - step)
    return {"rmse": root_mean_squared_error(context.measure.target, model.predict(context.measure.features))}, model

def moody(params, context):
    if Path(params["mood"]).exists():
        raise OSError("not today")
    return {"rmse": 1.0}

def dice(params, context):
    return {"rmse": 1.0, "luck": random.random()}
"""
FUNCTION = """
name: function
data: {source: wine-quality-red}
model: {function: code.py:train}
search: {parameters: {alpha: [1, 10]}}
evaluation: {cv: 3}
objective: rmse
execution: {workers: 1}
registry: {name: function}
"""
SCRIPT = """
import json, os, sys
x = float(sys.argv[1])
json.dump({"loss": (x - 2) ** 2, "x2": x * x}, open(os.environ["WINE_SWEEP_METRICS"], "w"))
"""
TRACKED = """
import sys
import mlflow
x = float(sys.argv[1])
mlflow.set_experiment("tracked")
with mlflow.start_run() as run:
    mlflow.log_param("x", x)
    for step in range(3):
        mlflow.log_metric("loss", (x - 2) ** 2 + 3 - step, step=step)
    mlflow.log_text("hello", "notes.txt")
    mlflow.MlflowClient().create_registered_model(f"model of {run.info.run_id}")
"""
COMMAND = """
name: command
experiment: tracked
model: {command: [python, train.py, "{x}"]}
search: {parameters: {x: [1, 3]}}
objective: {metric: loss, direction: minimize, of: max}
execution: {workers: 1}
"""


def dump(store) -> list[str]:
    """Give all that stands in a SQLite store."""
    with closing(sqlite3.connect(store.uri.removeprefix("sqlite:///"))) as database:
        return list(database.iterdump())


def swept(in_process, text: str, *arguments: str) -> dict:
    Path("c.yaml").write_text(text)
    done = in_process("run", "c.yaml", "--json", "--quiet", *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def runs_of(store, document: dict) -> dict[int, mlflow.entities.Run]:
    """Give a sweep's child runs by trial."""
    experiment = store.client.get_run(document["run_id"]).info.experiment_id
    found = store.client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{document['run_id']}'")
    return {int(run.data.tags["wine_sweep.trial"]): run for run in found}


@pytest.fixture(scope="module")
def grid(migrated, tmp_path_factory, in_process_at, root):
    """Six trials of the shipped grid: the store, the command line, the run's JSON."""
    store = copied_store(migrated, tmp_path_factory.mktemp("grid"))
    in_process = in_process_at(store.folder, store.uri)
    done = in_process("run", root / "configs/grid.yaml", "--trials", "6", "--json", "--quiet")
    assert done.returncode == 0, done.stderr
    return store, in_process, json.loads(done.stdout)


@pytest.fixture
def own_table(store):
    table = pd.DataFrame({"x": range(60), "z": [n * 7 % 11 for n in range(60)], "y": [n * 0.5 + n % 7 for n in range(60)]})
    table.to_csv("own.csv", index=False)
    return table


@pytest.mark.slow
def test_a_trial_of_the_shipped_grid_agrees_in_every_value_and_nothing_is_written(grid):
    store, in_process, document = grid
    run = runs_of(store, document)[5]
    before = dump(store)
    done = in_process("reproduce", run.info.run_id[:12])
    assert done.returncode == 0, done.stderr
    assert dump(store) == before
    assert max(map(len, done.stdout.split("\n- ")[0].splitlines())) <= 80
    assert "All 21 values agree." in done.stdout
    document = json.loads(in_process("reproduce", run.info.run_id, "--json").stdout)
    assert document["agrees"]
    assert document["versions_that_differ"] == []
    again = {(each["metric"], each["fold"]): each["again"] for each in document["comparisons"]}
    assert {name for name, _ in again} == {
        *("rmse", "mae", "r2", "rmse_std", "mae_std", "r2_std", "fold_rmse", "fold_mae", "fold_r2"),
    }  # fmt: skip
    for (name, fold), value in again.items():
        history = {each.step: each.value for each in store.client.get_metric_history(run.info.run_id, name)}
        assert value == pytest.approx(history[fold or 0], rel=1e-9)


def test_a_winner_is_fitted_again_and_its_test_metrics_are_compared(grid):
    store, in_process, document = grid
    winner = document["selection"]["winner"]["run_id"]
    done = in_process("reproduce", winner, "--json")
    assert done.returncode == 0, done.stderr
    tests = {
        each["metric"]: each["again"] for each in json.loads(done.stdout)["comparisons"] if each["metric"].startswith("test_")
    }
    assert set(tests) == {"test_rmse", "test_mae", "test_r2", "test_rmse_low", "test_rmse_high"}
    metrics = store.client.get_run(winner).data.metrics
    assert tests == pytest.approx({name: metrics[name] for name in tests}, rel=1e-9)


@pytest.mark.quick(1)
@pytest.mark.parametrize(
    ("trial", "metric", "step", "named"), [(3, "mae", 0, "mae"), (4, "fold_r2", 2, "fold_r2"), (2, "rmse_std", 0, "rmse_std")]
)
def test_a_metric_that_was_changed_is_named_with_both_values(grid, trial, metric, step, named):
    store, in_process, document = grid
    run = runs_of(store, document)[trial]
    store.client.log_metric(run.info.run_id, metric, 0.125, step=step)
    done = in_process("reproduce", run.info.run_id)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert named in done.stdout.split("values differ: ")[1]
    assert "Python and packages are those of then." in done.stdout
    (row, *_) = [line for line in done.stdout.splitlines() if line.split()[-1:] == ["no"] and line.split()[0].startswith(named)]
    assert row
    document = json.loads(in_process("reproduce", run.info.run_id, "--json").stdout)
    assert not document["agrees"]
    wrong = [each for each in document["comparisons"] if not each["agrees"]]
    assert {each["metric"] for each in wrong} == {named}
    assert 0.125 in [each["recorded"] for each in wrong]


def test_what_is_no_trials_run_is_refused_and_the_winner_named(grid):
    store, in_process, document = grid
    winner = document["selection"]["winner"]["run_id"]
    stranger = store.client.create_run("0", run_name="by hand").info.run_id
    for reference, words in [
        (document["run_id"], f"give the run of one of its trials, such as its winner's: {winner}"),
        (stranger, "('by hand') is no trial of a sweep"),
        ("0" * 32, f"there is no run '{'0' * 32}'"),
        ("latest", "'latest' is no run's id: 32 hex digits"),
        (winner[:5], "is no run's id"),
    ]:
        done = in_process("reproduce", reference)
        assert done.returncode == 2
        assert words in done.stderr


@pytest.mark.slow
def test_what_has_no_result_is_refused_with_its_state(store, in_process):
    run_id = begin(store, FORESTS.replace("[3, 5]", "[3, 4, 5, 6]"), after=2)
    runs = list(runs_of(store, {"run_id": run_id}).values())
    client = MlflowClient(store.uri)
    for run, state, words in zip(runs, ["failed", "pruned"], ["is failed (ValueError: too deep)", "is pruned"], strict=False):
        client.set_tag(run.info.run_id, "wine_sweep.state", state)
        client.set_tag(run.info.run_id, "wine_sweep.error", "ValueError: too deep") if state == "failed" else None
        done = in_process("reproduce", run.info.run_id)
        assert done.returncode == 2
        assert f"{words}; only one that has finished has a result" in done.stderr


@pytest.mark.slow
def test_a_forest_without_a_seed_has_that_of_the_search_and_one_with_null_has_none(store, in_process):
    document = swept(in_process, FORESTS)
    done = in_process("reproduce", runs_of(store, document)[1].info.run_id, "--json")
    assert done.returncode == 0, done.stdout
    assert len([each for each in json.loads(done.stdout)["comparisons"] if each["metric"] == "fold_rmse"]) == 6
    by_chance = FORESTS.replace("n_estimators: 3", "n_estimators: 3, random_state: null").replace(", seeds: 2", "")
    document = swept(in_process, by_chance)
    done = in_process("reproduce", runs_of(store, document)[1].info.run_id)
    assert done.returncode == 1
    assert "The config leaves random_state null, so that each fit draws anew." in done.stdout


@pytest.mark.slow
def test_versions_that_differ_are_named_and_may_be_why(store, in_process, own_table):
    document = swept(in_process, RIDGE)
    run = runs_of(store, document)[0]
    client = MlflowClient(store.uri)
    there = json.loads(Path(client.download_artifacts(document["run_id"], "environment.json", str(store.folder))).read_text())
    there["python"] = "2.7.18"
    now, there["packages"]["numpy"] = there["packages"]["numpy"], "1.0.0"
    there["packages"]["wine-sweep"] = "0.0.1"
    there["packages"]["abacus"] = "3.0"
    client.log_text(document["run_id"], json.dumps(there), "environment.json")
    done = in_process("reproduce", run.info.run_id)
    assert done.returncode == 0
    for words in (
        "python 2.7.18 then, ",
        f"numpy 1.0.0 then, {now} now",
        "wine-sweep 0.0.1 then, ",
        "abacus 3.0 then, missing now",
    ):
        assert words in done.stdout
    assert "may be why" not in done.stdout
    client.log_metric(run.info.run_id, "rmse", 9.0)
    done = in_process("reproduce", run.info.run_id)
    assert done.returncode == 1
    assert "Other versions may be why." in done.stdout


@pytest.mark.slow
def test_data_that_changed_since_is_refused(store, in_process, own_table):
    document = swept(in_process, RIDGE)
    own_table.head(50).to_csv("own.csv", index=False)
    done = in_process("reproduce", runs_of(store, document)[0].info.run_id)
    assert done.returncode == 2
    assert "has changed since the sweep 'ridge' (60 rows then, 50 now)" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("pruner", ["", ", pruner: {type: median, n_startup_trials: 5}"])
def test_a_function_is_called_again_and_for_the_winners_model_too(store, in_process, pruner):
    Path("code.py").write_text(CODE)
    document = swept(in_process, FUNCTION.replace("[1, 10]}", f"[1, 10]}}{pruner}"), "--trust", "code.py")
    before = dump(store)
    refused = in_process("reproduce", document["selection"]["winner"]["run_id"])
    assert refused.returncode == 2
    assert "--trust" in refused.stderr
    done = in_process("reproduce", document["selection"]["winner"]["run_id"], "--trust", "code.py", "--json")
    assert done.returncode == 0, done.stdout
    assert [each["metric"] for each in json.loads(done.stdout)["comparisons"]] == [
        *("rmse", "rmse_std", "fold_rmse", "fold_rmse", "fold_rmse", "test_rmse")
    ]  # fmt: skip
    assert dump(store) == before


@pytest.mark.slow
def test_a_function_that_fails_now_or_throws_dice_does_not_agree(store, in_process):
    Path("code.py").write_text(CODE)
    plain = "name: f\nmodel: {function: code.py:%s}\nsearch: {parameters: {mood: [bad]}}\nobjective: rmse\n"
    document = swept(in_process, plain % "moody", "--trust", "code.py")
    Path("bad").write_text("")
    done = in_process("reproduce", document["selection"]["winner"]["run_id"], "--trust", "code.py")
    assert done.returncode == 1
    assert "The trial fails now: OSError: not today" in done.stdout
    document = swept(in_process, plain % "dice", "--trust", "code.py")
    done = in_process("reproduce", document["selection"]["winner"]["run_id"], "--trust", "code.py")
    assert done.returncode == 1
    assert "1 of 2 values differ: luck." in done.stdout


@pytest.mark.quick(1)
@pytest.mark.parametrize("script", [SCRIPT, TRACKED], ids=["speaks JSON", "logs to MLflow"])
def test_a_command_is_run_again_in_a_store_of_its_own(store, in_process, script):
    Path("train.py").write_text(script)
    document = swept(in_process, COMMAND, "--trust", ".")
    run = runs_of(store, document)[1]
    before, files = dump(store), sorted(Path().rglob("*"))
    done = in_process("reproduce", run.info.run_id, "--trust", ".", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    found = {each["metric"]: (each["recorded"], each["again"]) for each in json.loads(done.stdout)["comparisons"]}
    assert found == ({"loss": (4.0, 4.0)} if script == TRACKED else {"loss": (1.0, 1.0), "x2": (9.0, 9.0)})
    assert dump(store) == before
    assert sorted(Path().rglob("*")) == files


@pytest.mark.slow
def test_a_command_that_was_pruned_among_others_is_run_to_its_end(store, in_process):
    Path("train.py").write_text(SCRIPT)
    text = COMMAND.replace("[1, 3]}}", "[1, 3]}, pruner: {type: median, n_startup_trials: 5}}")
    document = swept(in_process, text, "--trust", ".")
    done = in_process("reproduce", runs_of(store, document)[0].info.run_id, "--trust", ".")
    assert done.returncode == 0, done.stdout + done.stderr
