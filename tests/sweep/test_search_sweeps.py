"""What searches leave in MLflow: whole sweeps on a real store, seen by plain `MlflowClient` calls."""

from __future__ import annotations

import json
import pathlib

import pytest
from tests.watching import Silent

from wine_sweep.config import parse_config
from wine_sweep.errors import ConfigError, SweepFailed
from wine_sweep.report.trials import count_work
from wine_sweep.sweep.run import RunOptions, run_sweep
from wine_sweep.targets.prepare import prepare
from wine_sweep.tracking.reader import SweepReader
from wine_sweep.trial import TrialState

HEAD = """
name: small
experiment: search
data: {source: rows.csv, target: y}
evaluation: {cv: {folds: 4, seed: 1}, metrics: [rmse, r2], bootstrap: 0}
execution: {backend: serial}
"""
TREE = "model: {estimator: sklearn.tree.DecisionTreeRegressor}\n"
DEPTHS = "parameters: {max_depth: {low: 1, high: 12}, min_samples_leaf: {low: 1, high: 40}}"


@pytest.fixture
def rows(store) -> pathlib.Path:
    lines = [f"{n % 17},{n * 7 % 23},{(n % 17) * 2 + (n * 7 % 23) % 5 + n % 3}" for n in range(160)]
    (store.folder / "rows.csv").write_text("a,b,y\n" + "\n".join(lines) + "\n")
    return store.folder


@pytest.fixture
def sweep(store, rows):
    def run(text: str, *overrides: str):
        content = (HEAD + text).encode()
        draft = parse_config(content, source="small.yaml", folder=rows, default_name="small", overrides=overrides)
        return run_sweep(prepare(draft), RunOptions(tracking_uri=store.uri), observer=Silent())

    return run


def children(store, result):
    query = f"tags.`mlflow.parentRunId` = '{result.run_id}'"
    found = store.client.search_runs([result.closing.runs.experiment_id], query)
    return sorted(found, key=lambda run: int(run.data.tags["wine_sweep.trial"]))


@pytest.mark.slow
def test_pruned_trials_are_killed_keep_their_folds_and_never_win(store, sweep):
    search = f"search: {{method: random, trials: 30, seed: 2, pruner: {{type: percentile, percentile: 25.0}}, {DEPTHS}}}"
    result = sweep(TREE + search)
    runs = children(store, result)
    pruned = [run for run in runs if run.data.tags["wine_sweep.state"] == "pruned"]
    finished = [run for run in runs if run.info.status == "FINISHED"]
    assert len(runs) == 30
    assert len(pruned) >= 10
    assert all(run.info.status == "KILLED" and "rmse" not in run.data.metrics for run in pruned)
    for run in pruned:
        history = store.client.get_metric_history(run.info.run_id, "fold_rmse")
        assert len(history) == int(run.data.tags["wine_sweep.pruned"]) < 4
    assert len(finished) + len(pruned) == 30
    assert result.selection.trial.number in {int(run.data.tags["wine_sweep.trial"]) for run in finished}
    parent = store.client.get_run(result.run_id)
    assert parent.data.metrics["trials_pruned"] == len(pruned)
    reader = SweepReader(store.client)
    read = reader.trials(reader.find(result.run_id))
    assert [trial.reported for trial in read] == [trial.reported for trial in result.closing.trials]
    assert {len(trial.reported) for trial in read if trial.state is TrialState.FINISHED} == {3}
    work = [count_work(trials, steps=[1, 1, 1, 1], whole=4) for trials in (read, result.closing.trials)]
    assert work[0] == work[1]
    assert work[0].done < work[0].whole


@pytest.mark.slow
def test_a_budget_that_grows_is_in_the_winner_and_in_no_trials_parameters(store, sweep):
    search = (
        "model: {estimator: sklearn.ensemble.ExtraTreesRegressor}\n"
        "search: {method: random, trials: 12, seed: 1, pruner: successive_halving,"
        " budget: {parameter: n_estimators, min: 2, max: 16}, parameters: {max_depth: {low: 1, high: 12}}}"
    )
    result = sweep(search)
    winner = store.client.get_run(result.selection.trial.run_id)
    assert set(winner.data.params) == {"max_depth"}
    history = store.client.get_metric_history(winner.info.run_id, "budget_rmse")
    assert sorted(each.step for each in history) == [2, 4, 8, 16]
    assert result.winner.model.n_estimators == 16


@pytest.mark.slow
def test_the_pareto_front_is_marked_on_the_child_runs_and_the_rule_is_kept(store, sweep, in_process):
    search = f"search: {{method: nsga2, trials: 24, seed: 3, {DEPTHS}}}\n"
    goals = "objective: [rmse, {metric: fit_seconds}]\nselection: {pick: {weights: {rmse: 1}}, constraints: [r2 >= 0.2]}\n"
    result = sweep(TREE + search + goals)
    runs = children(store, result)
    marked = {int(run.data.tags["wine_sweep.trial"]) for run in runs if run.data.tags.get("wine_sweep.pareto") == "true"}
    values = {
        int(run.data.tags["wine_sweep.trial"]): (run.data.metrics["rmse"], run.data.metrics["fit_seconds"])
        for run in runs
        if run.data.metrics["r2"] >= 0.2
    }
    beaten = {
        number
        for number, (error, seconds) in values.items()
        if any(e <= error and s <= seconds and (e, s) != (error, seconds) for e, s in values.values())
    }
    assert marked == set(values) - beaten
    assert result.selection.trial.number == min(marked, key=lambda number: (values[number][0], number))
    infeasible = [run for run in runs if "wine_sweep.infeasible" in run.data.tags]
    assert {int(run.data.tags["wine_sweep.trial"]) for run in infeasible} == set(range(24)) - set(values)
    board = json.loads(in_process("compare", "latest", "--format", "json").stdout)
    assert {row["trial"] for row in board if row["pareto"]} == marked
    assert [row["trial"] for row in board if row["best"]] == [result.selection.trial.number]
    parent = store.client.get_run(result.run_id)
    assert {"best_rmse", "best_fit_seconds"} <= set(parent.data.metrics)
    assert parent.data.params["objective"] == "minimize rmse, minimize fit_seconds (weights rmse 1)"


@pytest.mark.slow
def test_pruning_several_goals_and_learning_from_older_trials_on_a_tracking_server(server, rows):
    def run(text):
        draft = parse_config((HEAD + text).encode(), source="small.yaml", folder=rows, default_name="small")
        return run_sweep(prepare(draft), RunOptions(tracking_uri=server.uri), observer=Silent())

    goals = "objective: [rmse, fit_seconds]\nselection: {constraints: [r2 >= 0.1]}\n"
    keys = f"trials: 12, seed: 1, pruner: median, {DEPTHS}"
    older = run(TREE + f"search: {{method: random, {keys}}}\n" + goals)
    newer = run(TREE + f"search: {{method: tpe, from: '{older.run_id}', {keys}}}\n" + goals)
    runs = children(server, newer)
    assert len(runs) == 12
    assert {run.info.status for run in runs} == {"FINISHED", "KILLED"}
    marked = {run.info.run_id for run in runs if run.data.tags.get("wine_sweep.pareto") == "true"}
    assert marked == {trial.run_id for trial in newer.selection.front}
    assert newer.selection.trial.run_id in marked


def test_limits_that_nobody_keeps_fail_the_sweep_with_the_nearest(sweep):
    text = TREE + "search: {parameters: {max_depth: [1, 4, 8]}}\nselection: {constraints: ['rmse <= 0.001']}\n"
    with pytest.raises(SweepFailed, match=r"none of 3 finished trials keeps rmse <= 0.001; the nearest is trial [12] with rmse "):
        sweep(text)


@pytest.mark.slow
def test_a_pruner_that_leaves_nothing_fails_the_sweep_and_is_named(sweep):
    text = TREE + "search: {parameters: {max_depth: [1, 4]}, pruner: {type: threshold, upper: 0.001}}\n"
    with pytest.raises(SweepFailed, match=r"none of 2 trials finished, 0 failed, 2 pruned$"):
        sweep(text)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("keys", "reason", "most"),
    [
        ("patience: 4", "nothing better came for as many trials as `patience` says", 29),
        ("target: 100", "the target was reached", 1),
        ("trials: 7", "every trial was run", 7),
    ],
)
def test_what_stopped_the_sweep_stands_on_the_parent_run(store, sweep, keys, reason, most):
    result = sweep(TREE + f"search: {{method: random, seed: 1, {DEPTHS}, timeout: 60, {keys}}}")
    parent = store.client.get_run(result.run_id)
    assert parent.data.tags["wine_sweep.stopped_by"] == reason
    assert len(result.closing.trials) <= most


@pytest.mark.slow
def test_what_auto_picked_and_why_stands_on_the_parent_run(store, sweep):
    result = sweep(TREE + "search: {method: auto, trials: 9, parameters: {max_depth: [1, 2, 3]}}")
    parent = store.client.get_run(result.run_id)
    assert parent.data.params["method"] == "grid"
    assert parent.data.tags["wine_sweep.method_reason"] == "all 3 points fit into 9 trials"


@pytest.mark.slow
def test_each_family_is_tried_with_its_own_parameters_only(store, sweep):
    families = """
models:
  tree: {estimator: sklearn.tree.DecisionTreeRegressor, parameters: {max_depth: [1, 4]}}
  line: {pipeline: {line: sklearn.linear_model.Ridge}, parameters: {line__alpha: [0.1, 1, 10]}}
  mean: {estimator: sklearn.dummy.DummyRegressor}
search: {method: grid}
"""
    result = sweep(families)
    params = [run.data.params for run in children(store, result)]
    assert [each["model"] for each in params] == ["tree"] * 2 + ["line"] * 3 + ["mean"]
    assert [set(each) - {"model"} for each in params] == [{"max_depth"}] * 2 + [{"line__alpha"}] * 3 + [set()]
    expected = {"tree": "DecisionTreeRegressor", "line": "Pipeline", "mean": "DummyRegressor"}
    assert type(result.winner.model).__name__ == expected[result.selection.trial.params["model"]]


@pytest.mark.slow
def test_a_sweep_learns_from_an_older_one_of_the_same_space_and_says_from_which(store, sweep):
    space = "parameters: {max_depth: {low: 1, high: 12}, min_samples_leaf: {low: 1, high: 40}}"
    older = sweep(TREE + f"search: {{method: random, trials: 25, seed: 1, {space}}}")
    warm = sweep(TREE + f"search: {{method: tpe, trials: 5, seed: 2, from: '{older.run_id[:8]}', {space}}}")
    cold = sweep(TREE + f"search: {{method: tpe, trials: 5, seed: 2, {space}}}")
    assert store.client.get_run(warm.run_id).data.tags["wine_sweep.from"] == older.run_id
    assert [dict(each.params) for each in warm.closing.trials] != [dict(each.params) for each in cold.closing.trials]
    assert len(warm.closing.trials) == 5


@pytest.mark.quick(1)
@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("from: nobody", "search.from: there is no sweep 'nobody'"),
        ("from: small", r"search.from: the sweep 'small' searched another space: max_depth, min_samples_leaf differ"),
    ],
)
def test_an_older_sweep_that_cannot_be_learned_from_is_an_error_with_its_place(store, sweep, keys, message):
    sweep(TREE + "search: {parameters: {max_depth: [1, 2]}}")
    with pytest.raises(ConfigError, match=rf"small.yaml:\d+:\d+: {message}"):
        sweep(TREE + f"search: {{method: tpe, trials: 3, {keys}, {DEPTHS}}}")
    assert len(store.client.search_runs([store.client.get_experiment_by_name("search").experiment_id])) == 3


@pytest.mark.slow
def test_grid_and_random_try_the_same_trials_with_any_number_of_workers(sweep):
    for method in ("random", "qmc"):
        text = TREE + f"search: {{method: {method}, trials: 12, seed: 4, {DEPTHS}}}"
        one = [dict(trial.params) for trial in sweep(text).closing.trials]
        many = sweep(text, "execution={backend: processes, workers: 3}")
        assert [dict(trial.params) for trial in many.closing.trials] == one
