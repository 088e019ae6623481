"""A sweep that stopped and goes on ends as one that was never stopped, from what MLflow has of it alone."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient
from tests.watching import Silent

from wine_sweep.config import parse_config
from wine_sweep.errors import SweepInterrupted, TrackingError
from wine_sweep.sweep import finish
from wine_sweep.sweep.run import RunOptions, run_sweep
from wine_sweep.targets.prepare import prepare
from wine_sweep.tracking import names, runs
from wine_sweep.tracking.journal import Journal
from wine_sweep.tracking.local_state import state_folder
from wine_sweep.tracking.runs import SweepRuns
from wine_sweep.trial import Trial, TrialState

SPACES = {
    "grid": "{method: grid, parameters: {alpha: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]}}",
    "random": "{method: random, trials: 12, seed: 3, parameters: {alpha: {low: 0.1, high: 100, log: true}}}",
    "qmc": "{method: qmc, trials: 12, parameters: {alpha: {low: 0.1, high: 100, log: true}, tol: {low: 0.0001, high: 0.1}}}",
    "tpe": "{method: tpe, trials: 16, sampler: {n_startup_trials: 4}, parameters: {alpha: {low: 0.1, high: 100, log: true}}}",
    "cmaes": "{method: cmaes, trials: 16, parameters: {alpha: {low: 0.1, high: 100, log: true}, tol: {low: 0.0001, high: 0.1}}}",
    "nsga2": "{method: nsga2, trials: 16, sampler: {population_size: 4}, parameters: {alpha: {low: 0.1, high: 100, log: true}}}",
    "patience": "{method: tpe, trials: 40, patience: 8, parameters: {alpha: {low: 0.1, high: 100, log: true}}}",
    "pruner": "{method: tpe, trials: 16, seed: 1, pruner: {type: percentile, percentile: 50, n_startup_trials: 3},"
    " parameters: {alpha: {low: 0.1, high: 100000, log: true}}}",
    "conditions": "{method: tpe, trials: 14, parameters: {solver: [svd, lsqr],"
    " tol: {low: 0.001, high: 0.1, when: {solver: [lsqr]}}}}",
}  # fmt: skip


def config(search: str, *, name: str = "small", backend: str = "{backend: serial}") -> str:
    return f"""
name: {name}
experiment: tests
data: {{source: wine-quality-red}}
model: {{estimator: sklearn.linear_model.Ridge}}
search: {search}
evaluation: {{cv: 3, metrics: [rmse, r2]}}
execution: {backend}
registry: {{name: {name}-model}}
"""


class Stopper(Silent):
    """Watches a sweep, and says stop once a number of trials have ended or a phase begins."""

    def __init__(self, after: int | None = None, phase: str = "") -> None:
        self.after = after
        self.phase_to_stop_at = phase
        self.ended = self.recalled = 0
        self.on = False

    def __call__(self) -> bool:
        return self.on or (self.after is not None and self.ended >= self.after)

    def trial_ended(self, state, best) -> None:
        self.ended += 1

    def trial_restored(self, state, best) -> None:
        self.recalled += 1

    def phase(self, what) -> None:
        self.on = self.on or what == self.phase_to_stop_at


def begin(store, text: str, *, after: int | None = None, phase: str = "", trusted: Sequence[str] = ()) -> str:
    """Run a sweep in this process up to a point, and give its parent run's id."""
    draft = parse_config(text.encode(), source="test.yaml", folder=Path.cwd(), default_name="test")
    stopper = Stopper(after, phase)
    options = RunOptions(tracking_uri=store.uri)
    if after is None and not phase:
        return run_sweep(prepare(draft, trusted=trusted), options, observer=stopper).run_id
    with pytest.raises(SweepInterrupted) as caught:
        run_sweep(prepare(draft, trusted=trusted), options, observer=stopper, stop=stopper)
    return caught.value.run_id


def children(store, run_id: str) -> list:
    parent = store.client.get_run(run_id)
    return store.client.search_runs(
        [parent.info.experiment_id],
        f"tags.`mlflow.parentRunId` = '{run_id}'",
        max_results=1000,
        order_by=["attributes.start_time"],
    )


def results(store, run_id: str) -> dict[int, tuple]:
    """Give what stands in MLflow of the trials that have a result: each number once."""
    found: dict[int, tuple] = {}
    for run in children(store, run_id):
        assert run.info.status != "RUNNING"
        number = int(run.data.tags["wine_sweep.trial"])
        if run.info.status == "FINISHED" or run.data.tags["wine_sweep.state"] == "pruned":
            assert number not in found, f"trial {number} has two results"
            metrics = {key: value for key, value in run.data.metrics.items() if not key.startswith(("fit_seconds", "test_"))}
            found[number] = (run.info.status, run.data.params, metrics)
    return found


def winner(store, run_id: str) -> tuple:
    tags = store.client.get_run(run_id).data.tags
    return tags["wine_sweep.best_trial"], results(store, run_id)[int(tags["wine_sweep.best_trial"])]


@pytest.mark.slow
@pytest.mark.parametrize(("method", "after"), [*((method, 5) for method in SPACES), ("grid", 0), ("tpe", 11), ("pruner", 13)])
def test_it_ends_as_one_that_was_never_stopped(store, in_process, method, after):
    whole = begin(store, config(SPACES[method], name="whole"))
    stopped = begin(store, config(SPACES[method], name="stopped"), after=after)
    before = results(store, stopped)
    assert store.client.get_run(stopped).info.status == "KILLED"
    assert len(before) <= after + 1
    done = in_process("resume", stopped)
    assert done.returncode == 0, done.stderr
    assert results(store, stopped) == results(store, whole)
    assert winner(store, stopped) == winner(store, whole)
    assert before.items() <= results(store, stopped).items()
    parent = store.client.get_run(stopped)
    assert parent.info.status == "FINISHED"
    best = store.client.get_metric_history(stopped, "best_rmse")
    assert [(each.step, each.value) for each in best] == [
        (each.step, each.value) for each in store.client.get_metric_history(whole, "best_rmse")
    ]
    assert len(store.client.search_model_versions("name = 'stopped-model'")) == 1


def record_otherwise(store, run_id: str, old: str, new: str) -> None:
    """Have a sweep's recorded config say something else, as an older version wrote it."""
    kept = store.client.get_run(run_id).data.tags.get(names.CONFIG)
    text = kept or Path(store.client.download_artifacts(run_id, names.RESOLVED_FILE)).read_text()
    assert old in text
    store.client.set_tag(run_id, names.CONFIG, text.replace(old, new))


@pytest.mark.slow
def test_a_recorded_brute_force_goes_on_as_a_grid(store, in_process):
    """It had tried points of the grid in an order of its own, as a random search does."""
    points = "parameters: {alpha: [1, 2, 3, 4, 5, 6], fit_intercept: [true, false]}"
    stopped = begin(store, config(f"{{method: random, trials: 12, {points}}}"), after=5)
    before = results(store, stopped)
    record_otherwise(
        store, stopped, "method: random\n  sampler: {}", "method: brute_force\n  sampler: {avoid_premature_stop: true}"
    )
    record_otherwise(store, stopped, "  trials: 12\n", "  trials: null\n  regret: null\n")
    done = in_process("resume", stopped)
    assert done.returncode == 0, done.stderr
    after = results(store, stopped)
    assert before.items() <= after.items()
    tried = {tuple(sorted(params.items())) for _, params, _ in after.values()}
    assert len(after) == len(tried) == 12


@pytest.mark.slow
def test_a_recorded_regret_is_left_out_and_said_to_be(store, in_process):
    stopped = begin(store, config("{method: random, trials: 10, parameters: {alpha: {low: 0.1, high: 100}}}"), after=3)
    record_otherwise(store, stopped, "  trials: 10\n", "  trials: 10\n  regret: {min_trials: 5}\n")
    done = in_process("resume", stopped)
    assert done.returncode == 0, done.stderr
    assert "`search.regret`, which the sweep began with, is gone" in done.stderr
    assert len(results(store, stopped)) == 10


@pytest.mark.slow
@pytest.mark.parametrize("phase", ["choosing the winner", "fitting the winner", "saving the winner"])
def test_what_was_done_after_the_trials_is_not_done_twice(store, in_process, phase):
    stopped = begin(store, config(SPACES["grid"]), phase=phase)
    assert in_process("resume", "latest").returncode == 0
    assert len(results(store, stopped)) == 12
    assert len(children(store, stopped)) == 12
    versions = store.client.search_model_versions("name = 'small-model'")
    assert [version.current_stage for version in versions] == ["Staging"]
    assert len(store.client.search_logged_models([store.client.get_run(stopped).info.experiment_id])) == 1


@pytest.mark.slow
def test_what_a_killed_process_left_running_is_closed_and_done_again(store, in_process):
    stopped = begin(store, config(SPACES["grid"]), after=5)
    left = children(store, stopped)[-2:]
    for run in left:  # as a process that was killed leaves them: begun, and nothing written
        store.client.update_run(run.info.run_id, status="RUNNING")
        store.client.set_tag(run.info.run_id, "wine_sweep.state", "running")
    store.client.update_run(stopped, status="RUNNING")
    done = in_process("resume", stopped)
    assert done.returncode == 0, done.stderr
    assert sorted(results(store, stopped)) == list(range(12))
    assert [store.client.get_run(run.info.run_id).info.status for run in left] == ["KILLED", "KILLED"]
    assert len(children(store, stopped)) == 14
    compared = json.loads(in_process("compare", stopped, "--format", "json").stdout)
    assert sorted(row["trial"] for row in compared) == list(range(12)), "each trial is shown once"


@pytest.mark.slow
@pytest.mark.parametrize(("tag", "status"), [("running", "KILLED"), ("killed", "KILLED"), ("failed", "FAILED")])
def test_a_run_that_its_own_process_has_ended_is_what_its_trial_came_to(store, in_process, tag, status):
    """A script to which a run was handed over ends it FINISHED, whatever its trial then comes to, if it comes to anything."""
    stopped = begin(store, config(SPACES["grid"]), after=5)
    ended = next(run for run in children(store, stopped) if run.info.status == "FINISHED")
    store.client.set_tag(ended.info.run_id, "wine_sweep.state", tag)
    store.client.update_run(stopped, status="RUNNING")
    done = in_process("resume", stopped)
    assert done.returncode == 0, done.stderr
    assert store.client.get_run(ended.info.run_id).info.status == status
    assert len(results(store, stopped)) == 12 - (status == "FAILED")
    assert len(children(store, stopped)) == 12 + (status == "KILLED")


@pytest.mark.slow
@pytest.mark.parametrize("step", ["log_in_batches", "log_inputs", "config.yaml", "config.resolved.yaml", "environment.json"])
def test_a_sweep_that_stopped_before_it_was_described_is_resumed_and_described(store, in_process, monkeypatch, step):
    def fails(*_arguments, **_keys):
        raise TrackingError("the power is off")

    with monkeypatch.context() as patch:
        write = SweepRuns.write_file
        patch.setattr(SweepRuns, "write_file", lambda runs, name, text: fails() if name == step else write(runs, name, text))
        patch.setattr(runs if step == "log_in_batches" else MlflowClient, step, fails, raising=False)
        with pytest.raises(TrackingError, match="the power is off"):
            begin(store, config(SPACES["grid"]))
    done = in_process("resume", "latest")
    assert done.returncode == 0, done.stderr
    (parent,) = (run for run in store.client.search_runs(["1"]) if run.data.tags["wine_sweep.kind"] == "sweep")
    assert sorted(results(store, parent.info.run_id)) == list(range(12))
    files = {each.path for each in store.client.list_artifacts(parent.info.run_id)}
    assert {"config.yaml", "config.resolved.yaml", "environment.json"} <= files
    assert parent.data.params["trials"] == "12"
    assert len(parent.inputs.dataset_inputs) == 1
    assert "wine_sweep.config" not in parent.data.tags


@pytest.mark.slow
def test_a_finished_sweep_has_nothing_to_do_and_says_so(store, in_process):
    run_id = begin(store, config(SPACES["grid"]))
    before = store.client.get_run(run_id).to_dictionary()
    done = in_process("resume", run_id)
    assert done.returncode == 0
    assert "Nothing to do" in done.stdout
    assert store.client.get_run(run_id).to_dictionary() == before
    assert json.loads(in_process("resume", run_id, "--json").stdout) == {
        "run_id": run_id,
        "name": "small",
        "status": "FINISHED",
        "resumed": False,
    }


@pytest.mark.slow
@pytest.mark.parametrize("method", ["random", "tpe"])
def test_more_trials_are_those_that_a_longer_sweep_would_have_had(store, in_process, method):
    longer = begin(store, config(SPACES[method].replace("trials: 1", "trials: 2"), name="longer"))
    run_id = begin(store, config(SPACES[method]))
    count = len(results(store, longer))
    done = in_process("resume", run_id, "--trials", count)
    assert done.returncode == 0, done.stderr
    assert results(store, run_id) == results(store, longer)
    assert f"{count}/{count}" in in_process("list").stdout
    assert "Nothing to do" in in_process("resume", run_id).stdout


@pytest.mark.slow
def test_fewer_trials_than_it_has_are_refused(store, in_process):
    run_id = begin(store, config(SPACES["random"]))
    done = in_process("resume", run_id, "--trials", 5)
    assert "Nothing to do" in done.stdout
    assert "12 trials" in done.stdout
    assert len(children(store, run_id)) == 12


def test_a_space_that_changed_is_refused_with_what_differs(store, in_process):
    stopped = begin(store, config(SPACES["grid"]), after=3)
    Path("changed.yaml").write_text(config(SPACES["grid"].replace("11, 12", "20")).replace("cv: 3", "cv: 4"))
    before = store.client.get_run(stopped).to_dictionary()
    done = in_process("resume", stopped, "--config", "changed.yaml")
    assert done.returncode == 2
    assert "changed.yaml:6:" in done.stderr
    assert "search.parameters.alpha" in done.stderr
    assert "evaluation.cv: was 3 when the sweep began, is 4 now" in done.stderr
    assert "Traceback" not in done.stderr
    assert store.client.get_run(stopped).to_dictionary() == before


@pytest.mark.slow
def test_data_that_changed_is_refused_with_what_differs(store, in_process, tmp_path):
    table = pd.DataFrame({"x": range(60), "y": [number % 7 for number in range(60)], "target": [n * 0.5 for n in range(60)]})
    table.to_csv("own.csv", index=False)
    text = config(SPACES["grid"]).replace("source: wine-quality-red", "source: own.csv, target: target")
    stopped = begin(store, text, after=3)
    table.head(50).assign(z=1.5).to_csv("own.csv", index=False)
    done = in_process("resume", stopped)
    assert done.returncode == 2
    assert "60 rows then, 50 now; with z besides" in done.stderr
    table.to_csv("elsewhere.csv", index=False)
    elsewhere = ("--set", f"data.source={tmp_path / 'elsewhere.csv'}")
    done = in_process("resume", stopped, *elsewhere, "--set", "registry.gate.min_rows=10")
    assert done.returncode == 0, done.stderr
    assert len(results(store, stopped)) == 12


@pytest.mark.slow
def test_a_sweep_that_is_alive_is_refused(store, in_process, monkeypatch):
    answers = []

    class Meanwhile(Stopper):
        def phase(self, what) -> None:
            answers.append(in_process("resume", "latest"))

    draft = parse_config(config(SPACES["grid"]).encode(), source="test.yaml", folder=Path.cwd(), default_name="test")
    result = run_sweep(prepare(draft), RunOptions(tracking_uri=store.uri), observer=Meanwhile())
    assert {answer.returncode for answer in answers} == {2}
    assert all("is being run by process" in answer.stderr for answer in answers)
    assert len(children(store, result.run_id)) == 12


@pytest.mark.slow
def test_another_search_than_the_recorded_one_goes_on_from_what_is_known(store, in_process):
    stopped = begin(store, config(SPACES["tpe"]), after=8)
    third = next(run for run in children(store, stopped) if run.data.tags["wine_sweep.trial"] == "2")
    store.client.set_tag(third.info.run_id, "wine_sweep.params", '{"alpha": 7.5}')
    done = in_process("resume", stopped)
    assert done.returncode == 0
    assert "trial 2 cannot be replayed" in done.stderr
    assert sorted(results(store, stopped)) == list(range(16))


@pytest.mark.slow
def test_a_time_limit_counts_what_was_measured_before(store, in_process, monkeypatch):
    text = config(SPACES["random"].replace("trials: 12", "timeout: 2h"))
    stopped = begin(store, text, after=3)
    first = children(store, stopped)[0].info
    store.client.set_terminated(first.run_id, "FINISHED", end_time=first.start_time + 3 * 3_600_000)
    done = in_process("resume", stopped)
    assert done.returncode == 0, done.stderr
    assert "the time was up" in done.stdout
    assert len(results(store, stopped)) == 3


@pytest.mark.slow
def test_only_what_the_user_trusts_is_imported_again(store, in_process):
    Path("mine_resume.py").write_text("from sklearn.linear_model import Ridge\nclass Mine(Ridge):\n    pass\n")
    Path("own.yaml").write_text(config(SPACES["grid"]).replace("sklearn.linear_model.Ridge", "mine_resume.Mine"))
    assert in_process("run", "own.yaml", "--trust", "mine_resume", "--trials", 5).returncode == 0
    done = in_process("resume", "latest", "--trials", 12)
    assert done.returncode == 2
    assert "--trust mine_resume" in done.stderr
    done = in_process("resume", "latest", "--trials", 12, "--trust", "mine_resume")
    assert done.returncode == 3, "the model in Staging brings a copy of the module along, and nobody has trusted that"
    assert "--trust model:" in done.stdout
    trusted = ["--trust", "mine_resume", "--trust", "model:small-model"]
    done = in_process("promote", "latest", *trusted)
    assert done.returncode == 0, done.stderr
    assert "It is there already: version 1 of small-model in Staging." in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("is_promoted", [False, True], ids=["before its promotion", "after it"])
def test_a_resume_knows_the_model_that_this_machine_has_saved(store, in_process, monkeypatch, is_promoted):
    """It brings a copy of the module along, which a stranger's would too; it is this user's own work, byte for byte."""
    Path("mine_saved.py").write_text("from sklearn.linear_model import Ridge\nclass Mine(Ridge):\n    pass\n")
    Path("own.yaml").write_text(config(SPACES["grid"]).replace("sklearn.linear_model.Ridge", "mine_saved.Mine"))
    promote, before = finish.put_in_stage, saved_models()

    def fails(*arguments, **keys):
        if is_promoted:
            promote(*arguments, **keys)
        raise TrackingError("the power is off")

    with monkeypatch.context() as patch:
        patch.setattr(finish, "put_in_stage", fails)
        assert in_process("run", "own.yaml", "--trust", "mine_saved").returncode == 1
    (kept,) = saved_models() - before
    done = in_process("resume", "latest", "--trust", "mine_saved")
    assert done.returncode == 0, done.stdout + done.stderr
    assert not kept.exists()
    (version,) = store.client.search_model_versions("name = 'small-model'")
    assert version.current_stage == "Staging"


def saved_models() -> set[Path]:
    """Give the notes of winners' models that this machine keeps; other tests of one process leave some too."""
    return set((state_folder() / "journals").glob("*.model"))


@pytest.mark.slow
def test_a_result_whose_run_was_not_ended_in_time_has_an_end(store, in_process):
    """Its process stood still between writing the result and ending the run."""
    stopped = begin(store, config(SPACES["grid"]), after=5)
    ended = next(run for run in children(store, stopped) if run.info.status == "FINISHED")
    with closing(sqlite3.connect(store.folder / "mlflow.db")) as database:
        database.execute("UPDATE runs SET status = 'RUNNING', end_time = NULL WHERE run_uuid = ?", (ended.info.run_id,))
        database.commit()
    done = in_process("resume", stopped)
    assert done.returncode == 0, done.stderr
    assert store.client.get_run(ended.info.run_id).info.status == "FINISHED"
    assert sorted(results(store, stopped)) == list(range(12))


@pytest.mark.slow
@pytest.mark.parametrize(("number", "known", "stays"), [(3, True, False), (3, False, True), (99, True, True)])
def test_what_another_machine_finished_is_not_kept_here(store, in_process, number, known, stays):
    """Only what is this sweep's, and what MLflow has a result for."""
    run_id = begin(store, config(SPACES["grid"]))
    journal = Journal.of(store.client.get_run(run_id).data.tags["wine_sweep.journal"])
    if known:
        journal.bind(run_id)
    journal.add(Trial(number, {}, TrialState.FINISHED))
    journal.close()
    assert "Nothing to do" in in_process("resume", run_id).stdout
    assert journal.path.exists() == stays
    assert journal.path.with_suffix(".run").exists() == (stays and known)


@pytest.mark.slow
def test_what_the_child_runs_share_they_share_after_a_resume(store, in_process):
    stopped = begin(store, config(SPACES["grid"]), after=3)
    assert in_process("resume", stopped).returncode == 0
    users = {run.data.tags["mlflow.user"] for run in children(store, stopped)}
    assert len(users) == 1


@pytest.mark.slow
def test_a_resume_that_fails_lets_go_of_the_sweep(store, in_process):
    stopped = begin(store, config(SPACES["grid"]), after=3)
    journal = Journal.of(store.client.get_run(stopped).data.tags["wine_sweep.journal"]).path
    journal.parent.mkdir(parents=True, exist_ok=True)
    journal.write_text("no trial\n")
    done = in_process("resume", stopped)
    assert done.returncode == 1
    assert f"{journal}:1: the journal holds something that is no trial" in done.stderr
    assert store.client.get_run(stopped).info.status == "KILLED"
    journal.unlink()
    assert in_process("resume", stopped).returncode == 0
    assert len(results(store, stopped)) == 12
