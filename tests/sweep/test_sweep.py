"""Whole sweeps, in this process, on a real SQLite store."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
from pathlib import Path

import pytest
from tests.watching import Silent

from wine_sweep.config import parse_config
from wine_sweep.errors import SweepFailed, SweepInterrupted, TrackingError
from wine_sweep.sweep.run import RunOptions, run_sweep
from wine_sweep.targets.prepare import prepare

GRID = """
name: small
data: {source: wine-quality-red, seed: 40}
model: {estimator: sklearn.linear_model.Ridge}
search: {parameters: {alpha: [0.1, 1, 10]}}
execution: {backend: serial}
registry: {name: small-model}
"""


class Watched(Silent):
    """Watches and says nothing; counts what it was told."""

    def __init__(self) -> None:
        self.ended = 0

    def trial_ended(self, state, best) -> None:
        self.ended += 1


def sweep(text: str, store, *overrides: str, stop=lambda: False, observer=None, promote=True, uri=None):
    draft = parse_config(text.encode(), source="test.yaml", folder=pathlib.Path.cwd(), default_name="test", overrides=overrides)
    options = RunOptions(tracking_uri=uri or store.uri, promote=promote)
    return run_sweep(prepare(draft), options, observer=observer or Watched(), stop=stop)


def runs_of(store):
    client = store.client
    experiments = [each.experiment_id for each in client.search_experiments() if each.name != "Default"]
    found = list(client.search_runs(experiments, max_results=1000)) if experiments else []
    parents = [run for run in found if "mlflow.parentRunId" not in run.data.tags]
    return parents, [run for run in found if run not in parents]


@pytest.mark.slow
def test_the_same_config_gives_the_same_metrics_to_the_last_digit_whatever_runs_it(store):
    forest = GRID.replace("linear_model.Ridge", "ensemble.RandomForestRegressor").replace(
        "{alpha: [0.1, 1, 10]}", "{n_estimators: [5, 9], max_depth: [3, null]}"
    )
    ways = [(), ("execution.backend=processes", "execution.workers=1"), ("execution.backend=processes", "execution.workers=2")]
    results = [sweep(forest, store, *way) for way in (*ways, ways[2])]
    scores = [[(dict(trial.params), dict(trial.scores)) for trial in result.closing.trials] for result in results]
    assert all(each == scores[0] for each in scores)
    assert len({tuple(sorted(result.winner.test_scores.items())) for result in results}) == 1


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_seeded_tpe_sweep_is_repeated_exactly(store, workers):
    text = GRID.replace(
        "{parameters: {alpha: [0.1, 1, 10]}}", "{method: tpe, trials: 24, parameters: {alpha: {low: 1e-3, high: 100, log: true}}}"
    )
    ways = ["execution.backend=processes", f"execution.workers={workers}"]
    first, second = sweep(text, store, *ways), sweep(text, store, *ways)
    assert [dict(trial.params) for trial in first.closing.trials] == [dict(trial.params) for trial in second.closing.trials]
    assert [dict(trial.scores) for trial in first.closing.trials] == [dict(trial.scores) for trial in second.closing.trials]


@pytest.mark.slow
def test_trials_that_fail_are_failed_runs_with_tag_and_traceback_and_the_rest_goes_on(store):
    text = GRID.replace("{alpha: [0.1, 1, 10]}", "{alpha: [0.1, 1], solver: [cholesky, lbfgs]}")
    result = sweep(text, store)
    (parent,), children = runs_of(store)
    failed = [run for run in children if run.info.status == "FAILED"]
    assert parent.info.status == "FINISHED"
    assert len(children) == 4
    assert len(failed) == 2
    for run in failed:
        assert run.data.tags["wine_sweep.error"].startswith("ValueError: ")
        assert run.data.params["solver"] == "lbfgs"
        assert "rmse" not in run.data.metrics
        path = store.client.download_artifacts(run.info.run_id, "error.txt")
        assert "Traceback" in Path(path).read_text()
    assert parent.data.metrics["trials_failed"] == 2
    assert result.selection.trial.params["solver"] == "cholesky"


@pytest.mark.slow
def test_when_all_trials_fail_the_sweep_fails_and_promotes_nothing(store):
    spline = "sklearn.preprocessing.SplineTransformer, params: {extrapolation: error}"  # fails on rows that it has not seen
    pipeline = f"{{pipeline: {{spline: {{estimator: {spline}}}, ridge: sklearn.linear_model.Ridge}}}}"
    text = GRID.replace("{estimator: sklearn.linear_model.Ridge}", pipeline).replace("{alpha", "{ridge__alpha")
    with pytest.raises(SweepFailed, match=r"none of 3 trials finished, 3 failed: ValueError: .* \(trials 0, 1, 2\)"):
        sweep(text, store)
    (parent,), children = runs_of(store)
    assert parent.info.status == "FAILED"
    assert [run.info.status for run in children] == ["FAILED"] * 3
    assert store.client.search_registered_models() == []


@pytest.mark.slow
def test_a_metric_that_is_not_finite_fails_its_trial_and_says_so(store):
    Path("tiny.csv").write_text("x,y\n" + "\n".join(f"{x},{x % 5 + x / 7}" for x in range(12)))
    text = GRID.replace("wine-quality-red, seed: 40", "tiny.csv, target: y") + "evaluation: {cv: 9, metrics: [r2]}"
    with pytest.raises(SweepFailed, match=r"NonFiniteMetric: r2 is nan in fold 0 \(trials 0, 1, 2\)"):
        sweep(text, store)
    _, children = runs_of(store)
    assert {run.data.tags["wine_sweep.error"] for run in children} == {"NonFiniteMetric: r2 is nan in fold 0"}


@pytest.mark.slow
def test_stopping_closes_everything_as_killed_and_names_the_run(store):
    observer = Watched()
    with pytest.raises(SweepInterrupted) as caught:
        sweep(GRID, store, stop=lambda: observer.ended >= 1, observer=observer)
    (parent,), children = runs_of(store)
    assert caught.value.run_id == parent.info.run_id
    assert parent.info.status == "KILLED"
    assert {run.info.status for run in children} <= {"FINISHED", "KILLED"}
    assert parent.data.tags["wine_sweep.stopped_by"] == "it was interrupted"
    assert store.client.search_registered_models() == []


def test_a_store_that_is_not_there_ends_the_sweep_with_a_clear_error(store):
    with pytest.raises(TrackingError, match=r"no tracking server answers at http://\*\*\*@127\.0\.0\.1:9"):
        sweep(GRID, store, uri="http://me:secret@127.0.0.1:9")


@pytest.mark.slow
def test_without_promotion_the_winner_is_still_kept_as_a_model(store):
    result = sweep(GRID, store, promote=False)
    assert result.promotion is None
    assert store.client.search_registered_models() == []
    run = store.client.get_run(result.selection.trial.run_id)
    assert len(run.outputs.model_outputs) == 1


@pytest.mark.slow
def test_a_second_sweep_archives_the_first_ones_version(store):
    sweep(GRID, store)
    second = sweep(GRID, store, "search.parameters.alpha=[0.5, 5]", "registry.gate=false")
    assert second.promotion.archived == ("1",)
    versions = {int(each.version): each.current_stage for each in store.client.search_model_versions("name = 'small-model'")}
    assert versions == {1: "Archived", 2: "Staging"}
    assert int(store.client.get_model_version_by_alias("small-model", "staging").version) == 2


@pytest.mark.slow
def test_a_random_search_of_a_small_space_measures_each_point_once(store):
    result = sweep(GRID, store, "search.method=random", "search.trials=50")
    _, children = runs_of(store)
    assert len(children) == len(result.closing.trials) == 3
    assert {run.data.params["alpha"] for run in children} == {"0.1", "1", "10"}


@pytest.mark.slow
def test_open_random_states_are_seeded_and_chosen_ones_are_not(store):
    text = GRID.replace("linear_model.Ridge}", "tree.ExtraTreeRegressor}").replace("{alpha: [0.1, 1, 10]}", "{max_depth: [4]}")
    assert sweep(text, store).winner.model.random_state == 0
    assert sweep(text, store, "search.seed=5").winner.model.random_state == 5
    assert sweep(text, store, "model.params={random_state: null}").winner.model.random_state is None


@pytest.mark.slow
def test_parameters_of_every_type_are_logged_and_read_back_exactly(store):
    from wine_sweep.tracking.reader import SweepReader

    text = GRID.replace("linear_model.Ridge", "neural_network.MLPRegressor").replace(
        "{alpha: [0.1, 1, 10]}",
        "{hidden_layer_sizes: [[2], [2, 2]], max_iter: [3], early_stopping: [true], random_state: [null, 1]}",
    )
    result = sweep(text, store, promote=False)
    reader = SweepReader(store.client)
    trials = reader.trials(reader.find(result.run_id))
    assert [dict(trial.params) for trial in trials] == [dict(trial.params) for trial in result.closing.trials]
    assert [list(trial.params) for trial in trials] == [list(trial.params) for trial in result.closing.trials]
    assert [trial.key for trial in trials] == [trial.key for trial in result.closing.trials]


IMPORTS_WATCHED = """
import sys, threading
found = {}

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("sqlalchemy", "mlflow"):
            found.setdefault(threading.current_thread().name, []).append(name)

sys.meta_path.insert(0, Finder())
from wine_sweep.cli.app import app
try:
    app(["run", "c.yaml", "--quiet"])
except SystemExit as ended:
    assert not ended.code, ended.code
writer = max(found, key=lambda name: len(found[name]))
began = [name for thread in found if thread != writer for name in found[thread]]
print(writer, [name for name in began if name.startswith("sqlalchemy")])
"""


@pytest.mark.slow
@pytest.mark.parametrize("method", ["grid", "tpe"])
def test_sqlalchemy_is_imported_by_one_thread(store, method):
    """Two at once may each get half of it: the trials here take no time, so the main thread is done while the writer imports."""
    search = {
        "grid": "{parameters: {alpha: [0.1, 1]}}",
        "tpe": "{method: tpe, trials: 2, parameters: {alpha: {low: 0.1, high: 1}}}",
    }
    text = GRID.replace("backend: serial", "workers: 2").replace("{parameters: {alpha: [0.1, 1, 10]}}", search[method])
    Path("c.yaml").write_text(text)
    ended = subprocess.run(
        [sys.executable, "-c", IMPORTS_WATCHED],
        env={**os.environ, "MLFLOW_TRACKING_URI": store.uri},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-1] == "wine-sweep-writer []"
