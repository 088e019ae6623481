"""Whole sweeps: the same on every backend, and what a failure does to them and to their runs in MLflow."""

from __future__ import annotations

import importlib.util
import pathlib

import pytest
from tests.watching import Silent

from wine_sweep.config import parse_config
from wine_sweep.errors import ConfigError, SweepFailed
from wine_sweep.sweep.run import RunOptions, run_sweep
from wine_sweep.targets.prepare import prepare
from wine_sweep.tracking.reader import SweepReader
from wine_sweep.trial import TrialState

WINE = """
name: wine
data: {source: wine-quality-red}
model: {estimator: sklearn.linear_model.ElasticNet}
evaluation: {cv: 3}
execution: {workers: 2}
"""
GRID = WINE + "search: {parameters: {alpha: [0.001, 0.01, 0.1], l1_ratio: [0.2, 0.8]}}"
TPE = (
    WINE
    + "search: {method: tpe, trials: 14, seed: 3, sampler: {n_startup_trials: 4},"
    + " parameters: {alpha: {low: 0.001, high: 1, log: true}, l1_ratio: {low: 0.1, high: 0.9}}}"
)
FRAGILE = """
name: fragile
data: {source: wine-quality-red}
model: {estimator: worker_tasks.Fragile, params: {folder: FOLDER}}
evaluation: {cv: 3}
execution: {workers: 2}
search: {parameters: {alpha: [1, 2, 3]}}
"""


@pytest.fixture
def sweep(store, tasks):
    def run(text: str, **execution):
        overrides = [f"execution.{key}={value}" for key, value in execution.items()]
        options = {"source": "test.yaml", "folder": pathlib.Path.cwd(), "default_name": "test", "overrides": overrides}
        prepared = prepare(parse_config(text.replace("FOLDER", str(store.folder)).encode(), **options), trusted=("worker_tasks",))
        return run_sweep(prepared, RunOptions(tracking_uri=store.uri), observer=Silent())

    return run


def trials_in(store):
    reader = SweepReader(store.client)
    return reader.trials(reader.find("latest"))


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("distributed") is None, reason="the backend dask needs distributed, an extra")
@pytest.mark.parametrize("text", [GRID, TPE], ids=["grid", "tpe"])
def test_a_cluster_gives_the_trials_and_the_metrics_that_processes_give(sweep, dask_cluster, text):
    here, there = sweep(text), sweep(text, backend="dask", address=dask_cluster.address)
    assert [dict(trial.params) for trial in here.closing.trials] == [dict(trial.params) for trial in there.closing.trials]
    assert [trial.scores for trial in here.closing.trials] == [trial.scores for trial in there.closing.trials]
    assert here.winner.test_scores == there.winner.test_scores


@pytest.mark.slow
@pytest.mark.parametrize("pruner", ["", ", pruner: median"])
def test_a_lost_worker_is_retried_in_the_same_run_which_says_so(sweep, store, pruner):
    result = sweep(FRAGILE.replace("[1, 2, 3]}", f"[1, 2, 3]}}{pruner}"))
    assert [trial.retries for trial in result.closing.trials] == [0, 1, 0]
    assert len({trial.run_id for trial in result.closing.trials}) == 3
    assert [trial.retries for trial in trials_in(store)] == [0, 1, 0]
    tags = [store.client.get_run(trial.run_id).data.tags for trial in result.closing.trials]
    assert [each.get("wine_sweep.retries") for each in tags] == [None, "1", None]
    fits = (store.folder / "2.fits").stat().st_size
    assert fits == 2 + (3 if not pruner else 2), "a trial in steps goes on at the step that was lost"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "limits", "failure"),
    [
        ("die", {}, "WorkerDied: the worker process was ended by SIGKILL; the system may be out of memory"),
        ("crash", {}, "WorkerDied: the worker process was ended by SIGSEGV"),
        ("hold_the_lock", {"trial_timeout": "2s"}, "TrialTimeout: took longer than 2s"),
        ("eat", {"memory_limit": "700MB"}, "MemoryLimit: used "),
    ],
)
def test_what_kills_a_trial_is_its_runs_error_and_the_others_finish(sweep, store, what, limits, failure):
    text = FRAGILE.replace("FOLDER}", f"FOLDER, what: {what}}}")
    result = sweep(text, retries=0, **limits)
    assert [trial.state for trial in result.closing.trials] == ["finished", "failed", "finished"]
    run = store.client.get_run(result.closing.trials[1].run_id)
    assert run.info.status == "FAILED"
    assert run.data.tags["wine_sweep.error"].startswith(failure)
    assert run.info.end_time >= run.info.start_time


def test_too_many_failures_fail_the_sweep_with_the_reasons_and_keep_what_finished(sweep, store):
    text = FRAGILE.replace("[1, 2, 3]", "[1, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19]")
    with pytest.raises(SweepFailed) as caught:
        sweep(text + "registry: {name: fragile}", workers=1, max_failures=3)
    assert str(caught.value) == (
        "3 of 4 trials failed, and max_failures is 3: ValueError: alpha 10 is too much for me (trials 1, 2, 3);"
        " 1 finished and is kept"
    )
    assert [trial.state for trial in trials_in(store)] == [TrialState.FINISHED, *[TrialState.FAILED] * 3]
    parent = SweepReader(store.client).find("latest")
    assert parent.status == "FAILED"
    assert parent.tags["wine_sweep.stopped_by"] == "as many trials failed as `max_failures` allows"
    assert store.client.search_registered_models() == []


@pytest.mark.slow
def test_errors_are_retried_where_the_config_asks_for_it(sweep):
    result = sweep(FRAGILE.replace("[1, 2, 3]", "[1, 10]"), retries="{error: 2}")
    assert [trial.retries for trial in result.closing.trials] == [0, 2]
    assert result.closing.trials[1].state is TrialState.FAILED


def test_dask_without_distributed_is_found_before_anything_runs(sweep, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "distributed" else found(name, *rest))
    with pytest.raises(ConfigError, match=r"execution.backend: dask needs distributed, .* pip install 'wine-sweep\[dask\]'"):
        sweep(GRID, backend="dask")
