"""Runs written and read back, on a real SQLite store."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace

import mlflow
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow import MlflowClient
from mlflow.exceptions import RestException
from sklearn.linear_model import Ridge
from sqlalchemy import event
from sqlalchemy.orm import Session

from wine_sweep.config import Stage
from wine_sweep.errors import NotFoundError, TrackingError
from wine_sweep.registry import Action, Entry, ModelRegistry
from wine_sweep.tracking import names, retry
from wine_sweep.tracking.causes import came_second
from wine_sweep.tracking.encoding import SweepData, SweepHeader, log_data, steps_from_text, steps_to_text
from wine_sweep.tracking.models import ModelToLog, log_model
from wine_sweep.tracking.reader import SweepReader
from wine_sweep.tracking.retry import RetryPolicy
from wine_sweep.tracking.runs import SweepRuns
from wine_sweep.tracking.store import leave_retries_to_policy
from wine_sweep.trial import Failure, Report, Score, Step, Trial, TrialState


def header(**keys) -> SweepHeader:
    fields = {
        "name": "sweep",
        "experiment": "experiment",
        "started": 1_700_000_000.0,
        "params": {"method": "grid", "evaluation": "5 folds"},
        "tags": {names.KIND: "sweep", names.OBJECTIVE: "rmse", names.DIRECTION: "minimize", names.USER: "me"},
        "files": {"config.yaml": "a: 1\n"},
        "data": SweepData(
            pd.DataFrame({"x": [1.0, 2.0], "text": ["a", "b"], "y": [1, 2]}),
            "wine-quality-red",
            "wine-quality-red",
            "0123456789abcdef" * 4,
        ),
    }
    return SweepHeader(**{**fields, **keys})


@pytest.fixture
def runs(store) -> SweepRuns:
    return SweepRuns.begin(store.client, header())


def measured(number: int, folds: int = 5, metrics: int = 1, **params) -> Trial:
    scores = {f"m{index}": Score.of([float(fold + index) for fold in range(folds)]) for index in range(metrics)}
    times = {"fit_seconds": 0.25, "started": 1_700_000_001.5, "ended": 1_700_000_002.25}
    return Trial(number, params, TrialState.FINISHED, scores, **times)


def write(runs: SweepRuns, trial: Trial) -> str:
    runs.start_trial(Trial(trial.number, trial.params), 1_700_000_001.5)
    runs.finish_trial(trial)
    return runs.trial_run_ids[trial.number]


@pytest.mark.slow
def test_a_trial_comes_back_as_it_was_written(store, runs):
    trial = measured(3, alpha=0.1, kind=None, sizes=[1, 2])
    run_id = write(runs, trial)
    reader = SweepReader(store.client)
    (read,) = reader.trials(reader.find(runs.run_id))
    assert (read.number, read.params, read.state, read.run_id) == (3, trial.params, trial.state, run_id)
    assert (read.started, read.ended, read.fit_seconds) == (trial.started, trial.ended, trial.fit_seconds)
    assert (read.scores["m0"].mean, read.scores["m0"].std) == (trial.scores["m0"].mean, trial.scores["m0"].std)


def test_a_trial_costs_three_calls(store, runs, monkeypatch):
    calls = []
    original = type(runs.client._tracking_client.store)
    for name in ("create_run", "log_batch", "update_run_info", "set_tag", "log_param", "log_metric", "log_inputs", "get_run"):
        method = getattr(original, name)

        def counted(self, *arguments, _method=method, _name=name, **keys):
            calls.append(_name)
            return _method(self, *arguments, **keys)

        monkeypatch.setattr(original, name, counted)
    write(runs, measured(0, alpha=0.1))
    assert [call for call in calls if call != "get_run"] == ["create_run", "log_batch", "update_run_info"]


@pytest.mark.slow
@pytest.mark.parametrize(("folds", "metrics", "params"), [(1200, 2, 1), (3, 1, 250), (5, 1, 0)])
def test_more_than_a_batch_holds_is_written_whole(store, runs, folds, metrics, params):
    run_id = write(runs, measured(0, folds, metrics, **{f"p{index}": index for index in range(params)}))
    run = store.client.get_run(run_id)
    assert len(run.data.params) == params
    assert len(store.client.get_metric_history(run_id, "fold_m0")) == folds
    assert run.data.tags[names.STATE] == "finished"


def test_a_failed_trial_says_why(store, runs):
    failure = Failure("ValueError", "no such solver", "Traceback …\nValueError: no such solver")
    run_id = write(runs, Trial(0, {"a": 1}, TrialState.FAILED, failure=failure, started=1.0, ended=1_700_000_003.0))
    run = store.client.get_run(run_id)
    assert run.info.status == "FAILED"
    assert run.data.tags[names.ERROR] == "ValueError: no such solver"
    assert [each.path for each in store.client.list_artifacts(run_id)] == ["error.txt"]
    reader = SweepReader(store.client)
    (read,) = reader.trials(reader.find("latest"))
    assert (read.failure.kind, read.failure.message) == ("ValueError", "no such solver")


def test_what_is_still_open_ends_as_killed(store, runs):
    runs.start_trial(Trial(0, {"a": 1}), 1_700_000_001.0)
    runs.start_trial(Trial(1, {"a": 2}), 1_700_000_001.0)
    runs.finish_trial(measured(1, a=2))
    runs.end("KILLED", at=1_700_000_009.0)
    statuses = {number: store.client.get_run(run_id).info.status for number, run_id in runs.trial_run_ids.items()}
    assert statuses == {0: "KILLED", 1: "FINISHED"}
    assert store.client.get_run(runs.run_id).info.status == "KILLED"


def test_children_share_where_they_come_from(store, runs):
    run_id = write(runs, measured(0, a=1))
    assert store.client.get_run(run_id).data.tags["mlflow.user"] == "me"


def test_a_deleted_experiment_is_an_error_that_says_how_to_get_it_back(store):
    client = store.client
    client.delete_experiment(client.create_experiment("experiment"))
    with pytest.raises(TrackingError, match="mlflow experiments restore --experiment-id"):
        SweepRuns.begin(client, header())


def rename(store, before: str, after: str) -> None:
    """Give a run another id, which MLflow itself only draws at random."""
    with closing(sqlite3.connect(store.folder / "mlflow.db")) as database, database:
        for table in ("runs", "tags", "params", "latest_metrics"):
            database.execute(f"update {table} set run_uuid = ? where run_uuid = ?", (after, before))


def test_a_prefix_that_fits_two_sweeps_is_refused(store):
    ids = [f"abcdef{index}" + "0" * 25 for index in range(2)]
    for name, run_id in zip(("one", "two"), ids, strict=True):
        rename(store, SweepRuns.begin(store.client, header(name=name)).run_id, run_id)
    reader = SweepReader(store.client)
    with pytest.raises(NotFoundError, match="2 sweeps begin with 'abcdef': abcdef") as caught:
        reader.find("abcdef")
    assert all(run_id in str(caught.value) for run_id in ids)
    assert reader.find("abcdef1").run_id == ids[1]
    assert reader.find(ids[0]).name == "one"


def test_a_name_that_looks_like_an_id_is_found_by_its_name(store):
    SweepRuns.begin(store.client, header(name="decade"))
    assert SweepReader(store.client).find("decade").name == "decade"


@pytest.mark.slow
def test_a_sweep_that_is_not_there_is_named_with_the_newest(store):
    for index in range(7):
        SweepRuns.begin(store.client, header(name=f"sweep-{index}", started=1_700_000_000.0 + index))
    with pytest.raises(NotFoundError, match=r"no sweep 'nosuch'; the newest are: .*\(sweep-6\), .*\(sweep-2\)$"):
        SweepReader(store.client).find("nosuch")


@pytest.mark.slow
def test_the_latest_sweep_is_found_without_reading_the_others(store, monkeypatch):
    for index in range(12):
        SweepRuns.begin(store.client, header(name=f"sweep-{index}", started=1_700_000_000.0 + index))
    reader, pages = SweepReader(store.client), []
    search = store.client.__class__.search_runs

    def counted(self, *arguments, **keys):
        pages.append(search(self, *arguments, **keys))
        return pages[-1]

    monkeypatch.setattr(store.client.__class__, "search_runs", counted)
    assert reader.find("latest").name == "sweep-11"
    assert [len(page) for page in pages] == [5]


def test_the_newest_of_a_name_and_of_all_is_found(store):
    for started, name in [(1.0, "same"), (3.0, "same"), (9.0, "other")]:
        SweepRuns.begin(store.client, header(name=name, started=1_700_000_000.0 + started))
    reader = SweepReader(store.client)
    assert reader.find("same").started == 1_700_000_003.0
    assert reader.find("latest").name == "other"


@pytest.mark.slow
def test_more_children_than_a_page_are_all_read(store, runs, monkeypatch):
    monkeypatch.setattr("wine_sweep.tracking.store.PAGE", 7)
    for number in range(23):
        write(runs, measured(number, folds=1, a=number))
    reader = SweepReader(store.client)
    assert [trial.number for trial in reader.trials(reader.find("latest"))] == list(range(23))


def test_an_experiment_that_is_not_there_is_named_with_those_that_are(store, runs):
    with pytest.raises(NotFoundError, match="there is no experiment 'nosuch'; there are: Default, experiment"):
        SweepReader(store.client, "nosuch")


def test_runs_of_others_are_no_sweeps(store, runs):
    client = store.client
    client.create_run(runs.experiment_id, run_name="by hand")
    assert [sweep.run_id for sweep in SweepReader(client).sweeps()] == [runs.run_id]


@pytest.mark.slow
def test_two_processes_that_make_the_same_store_do_not_spoil_it(tmp_path):
    program = f"from wine_sweep.tracking.store import open_store; open_store('sqlite:///{tmp_path / 'new.db'}', create=True)"
    makers = [subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True) for _ in range(2)]
    errors = [maker.communicate(timeout=120)[1] for maker in makers]
    assert [maker.returncode for maker in makers] == [0, 0], errors


def test_a_pruned_trial_is_killed_keeps_its_folds_and_has_no_result(store, runs):
    steps = (Step({"rmse": (0.9,)}, 0.1), Step({"rmse": (0.8,)}, 0.1))
    run_id = write(runs, Trial(0, {"x": 1}, TrialState.PRUNED, steps=steps, reported=(0.9, 0.8), started=1e9, ended=1e9 + 1))
    run = store.client.get_run(run_id)
    assert run.info.status == "KILLED"
    assert set(run.data.metrics) == {"fold_rmse"}
    history = store.client.get_metric_history(run_id, "fold_rmse")
    assert [(each.step, each.value) for each in sorted(history, key=lambda each: each.step)] == [(0, 0.9), (1, 0.8)]
    assert (run.data.tags["wine_sweep.state"], run.data.tags["wine_sweep.pruned"]) == ("pruned", "2")
    reader = SweepReader(store.client)
    (read,) = reader.trials(reader.find(runs.run_id))
    assert (read.state, dict(read.scores), read.reported) == (TrialState.PRUNED, {}, (0.9, 0.8))


def test_what_a_trial_reports_are_metrics_at_its_own_steps(store, runs):
    reports = (Report(0, {"rmse": 0.9, "loss": 2.0}), Report(10, {"loss": 1.0}), Report(25, {"rmse": 0.7, "loss": 0.5}))
    told = {"reports": reports, "reported": (0.9, 0.7), "reported_at": (0, 25)}
    run_id = write(runs, Trial(0, {"x": 1}, TrialState.PRUNED, started=1e9, ended=1e9 + 1, **told))
    found = {
        name: sorted((each.step, each.value) for each in store.client.get_metric_history(run_id, f"report_{name}"))
        for name in ("rmse", "loss")
    }
    assert found == {"rmse": [(0, 0.9), (25, 0.7)], "loss": [(0, 2.0), (10, 1.0), (25, 0.5)]}
    run = store.client.get_run(run_id)
    assert set(run.data.metrics) == {"report_rmse", "report_loss"}
    assert (run.data.tags["wine_sweep.pruned"], run.data.tags["wine_sweep.steps"]) == ("3", "[[0, 0.9], [25, 0.7]]")
    reader = SweepReader(store.client)
    (read,) = reader.trials(reader.find(runs.run_id))
    assert (read.state, read.reported, read.reported_at) == (TrialState.PRUNED, (0.9, 0.7), (0, 25))


def test_a_score_that_is_no_mean_has_no_spread_and_is_told_from_other_metrics(store, runs):
    scores = {"rmse": Score(0.5), "rmse_std": Score(3.0), "test_rmse": Score(0.6), "m": Score.of([1.0, 2.0])}
    trial = replace(measured(0, x=1), scores=scores, reports=(Report(1, {"loss": 1.0}),), reported=(0.5,), reported_at=(1,))
    run_id = write(runs, trial)
    assert set(store.client.get_run(run_id).data.metrics) == {
        "rmse", "rmse_std", "test_rmse", "m", "m_std", "fold_m", "fit_seconds", "report_loss",
    }  # fmt: skip
    reader = SweepReader(store.client)
    (read,) = reader.trials(reader.find(runs.run_id))
    assert {name: (score.mean, score.has_spread) for name, score in read.scores.items()} == {
        "rmse": (0.5, False), "rmse_std": (3.0, False), "test_rmse": (0.6, False), "m": (1.5, True),
    }  # fmt: skip


@given(st.lists(st.tuples(st.integers(0, 10**9), st.floats(allow_nan=False)), max_size=20), st.booleans())
def test_what_a_pruner_was_told_comes_back_in_both_forms(told, numbered):
    values, at = tuple(value for _, value in told), tuple(step for step, _ in told) if numbered else ()
    assert steps_from_text(steps_to_text(values, at)) == (values, at)


@pytest.mark.parametrize(("budgets", "expected"), [((1, 20), [1, 20]), ((0.25, 1.0), [250, 1000])])
def test_each_budget_of_a_trial_is_a_step_of_its_metric(store, runs, budgets, expected):
    steps = tuple(Step({"m0": (0.9, 0.7)}, 0.1, budget) for budget in budgets)
    run_id = write(runs, replace(measured(0, folds=2, x=1), steps=steps))
    history = store.client.get_metric_history(run_id, "budget_m0")
    assert sorted(each.step for each in history) == expected
    assert [each.value for each in history] == [pytest.approx(0.8)] * 2
    assert store.client.get_run(run_id).data.metrics["m0"] == 0.5


def test_an_infeasible_trial_is_finished_and_read_back_with_what_it_breaks(store, runs):
    run_id = write(runs, replace(measured(0, x=1), violations={"m0 <= 1": 1.0}))
    assert store.client.get_run(run_id).info.status == "FINISHED"
    reader = SweepReader(store.client)
    (read,) = reader.trials(reader.find(runs.run_id))
    assert (read.violations, read.is_feasible) == ({"m0 <= 1": 1.0}, False)


def test_warnings_and_what_the_pruner_was_told_are_read_back(store, runs):
    told = (0.1 + 0.2, 1e-17, 5.0)
    write(runs, replace(measured(0, x=1), warnings=("ConvergenceWarning: “slow”", "UserWarning: b"), reported=told))
    write(runs, measured(1, x=2))
    reader = SweepReader(store.client)
    first, second = reader.trials(reader.find(runs.run_id))
    assert (first.warnings, first.reported) == (("ConvergenceWarning: “slow”", "UserWarning: b"), told)
    assert (second.warnings, second.reported) == ((), ())


def test_more_warnings_than_a_tag_holds_are_cut_at_a_whole_one(store, runs):
    warnings = tuple(f"Warning{index}: {'é' * 200}" for index in range(20))
    write(runs, replace(measured(0, x=1), warnings=warnings))
    reader = SweepReader(store.client)
    (read,) = reader.trials(reader.find(runs.run_id))
    assert 0 < len(read.warnings) < 20
    assert read.warnings == warnings[: len(read.warnings)]


def test_the_folds_of_a_trial_are_read_in_their_order(store, runs):
    scores = {"rmse": Score.of([0.3, 0.1, 0.2])}
    run_id = write(runs, replace(measured(0, x=1), scores=scores))
    assert SweepReader(store.client).folds(run_id, "rmse") == (0.3, 0.1, 0.2)


# Attempts ----------------------------------------------------------------------------------------------------------------------


def attempt(runs: SweepRuns, trial: Trial, started: float) -> str:
    """Write one more child run of a trial; RUNNING ones stay open."""
    runs.start_trial(Trial(trial.number, trial.params), started)
    if trial.state.has_ended:
        runs.finish_trial(trial)
    return runs.trial_run_ids[trial.number]


KILLED, RUNNING, FINISHED, FAILED, PRUNED = (
    TrialState.KILLED,
    TrialState.RUNNING,
    TrialState.FINISHED,
    TrialState.FAILED,
    TrialState.PRUNED,
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([KILLED, FINISHED], 1),
        ([FINISHED, KILLED], 0),
        ([KILLED, FAILED, KILLED], 1),
        ([PRUNED, RUNNING], 0),
        ([KILLED, RUNNING], 1),
        ([RUNNING, KILLED], 1),
        ([KILLED, KILLED, KILLED], 2),
        ([FAILED, FINISHED], 1),
    ],
)
def test_a_trial_that_was_done_again_is_read_once_by_the_run_with_its_result(store, runs, states, expected):
    failure = Failure("ValueError", "no")
    ids = [
        attempt(
            runs,
            replace(measured(4, x=1), state=state, failure=failure if state is FAILED else None),
            1_700_000_000.0 + index,
        )
        for index, state in enumerate(states)
    ]
    write(runs, measured(2, x=2))
    reader = SweepReader(store.client)
    sweep = reader.find(runs.run_id)
    other, read = reader.trials(sweep)
    assert (other.number, read.number) == (2, 4)
    assert (read.run_id, read.state) == (ids[expected], states[expected])
    attempts = {each.trial.run_id: each for each in reader.attempts(sweep)}
    assert [attempts[run_id].trial.state for run_id in ids] == states
    assert [attempts[run_id].is_open for run_id in ids] == [state is RUNNING for state in states]


def test_a_run_whose_end_was_not_written_tells_what_was_measured(store, runs, monkeypatch):
    def lost(*_, **__):
        raise TrackingError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(type(runs.client), "set_terminated", lost)
        with pytest.raises(TrackingError):
            write(runs, measured(0, x=1))
    reader = SweepReader(store.client)
    (found,) = reader.attempts(reader.find(runs.run_id))
    assert found.is_open
    assert (found.trial.state, found.trial.scores["m0"].mean) == (FINISHED, 2.0)


@pytest.mark.quick(1)
@pytest.mark.parametrize("calls", [1, 2])
def test_what_was_written_in_part_is_no_result(store, runs, monkeypatch, calls):
    """The tag that says finished is written with the last of the batches."""
    original, done = type(runs.client).log_batch, []

    def breaks(self, *arguments, **keys):
        if len(done) == calls:
            raise TrackingError("gone")
        done.append(original(self, *arguments, **keys))

    with monkeypatch.context() as patch:
        patch.setattr(type(runs.client), "log_batch", breaks)
        with pytest.raises(TrackingError):
            write(runs, measured(0, folds=2000, x=1))
    reader = SweepReader(store.client)
    (found,) = reader.attempts(reader.find(runs.run_id))
    assert (found.trial.state, found.is_open) == (RUNNING, True)


@pytest.fixture
def policy(monkeypatch) -> RetryPolicy:
    monkeypatch.setattr(retry, "FIRST_WAIT", 0.05)
    monkeypatch.setattr(retry, "JITTER", 0.05)
    return RetryPolicy(30)


@pytest.fixture
def remote(gate):
    leave_retries_to_policy()
    mlflow.set_tracking_uri(gate.uri)
    yield MlflowClient(gate.uri)
    mlflow.set_tracking_uri(None)


CREATE_RUN = ("POST", "/runs/create")


def children(runs: SweepRuns):
    found = runs.client.search_runs([runs.experiment_id], f"tags.`mlflow.parentRunId` = '{runs.run_id}'")
    return [(run.data.tags[names.TRIAL], run.info.status) for run in found]


@pytest.mark.slow
def test_a_parent_run_whose_making_was_not_answered_is_found_and_not_made_twice(gate, remote, policy):
    gate.lose(*CREATE_RUN)
    tags = {**header().tags, names.JOURNAL: "abc"}
    runs = SweepRuns.begin(remote, header(experiment="lost parent", tags=tags), policy=policy)
    found = remote.search_runs([runs.experiment_id])
    assert [run.info.run_id for run in found] == [runs.run_id]
    runs.release()


@pytest.mark.slow
@pytest.mark.parametrize(
    "lost", [CREATE_RUN, ("POST", "/runs/log-batch"), ("POST", "/runs/update"), ("PUT", "/mlflow-artifacts/")]
)
def test_a_trial_whose_writing_was_not_answered_is_written_once(gate, remote, policy, lost):
    runs = SweepRuns.begin(remote, header(experiment=f"lost {lost[1].replace('/', ' ')}"))
    gate.lose(*lost)
    failure = Failure("ValueError", "no such solver", "Traceback …\nValueError: no such solver")
    trial = replace(measured(0, alpha=0.1), state=TrialState.FAILED, failure=failure)
    policy.run(lambda: runs.start_trial(trial, 1_700_000_001.5))
    policy.run(lambda: runs.finish_trial(trial))
    assert gate.losing == []
    assert children(runs) == [("0", "FAILED")]
    assert len(remote.get_metric_history(runs.trial_run_ids[0], "fold_m0")) == 5
    runs.release()


@pytest.mark.slow
@pytest.mark.parametrize("over_http", [True, False])
def test_what_describes_a_sweep_and_a_trial_can_be_written_twice(store, remote, over_http):
    runs = SweepRuns.begin(remote if over_http else store.client, header(experiment="twice"))
    description = runs._undescribed
    runs.describe()
    runs._undescribed = description
    runs.describe()
    trial = measured(0, folds=400, metrics=2, alpha=0.1)
    runs.start_trial(trial, 1_700_000_001.5)
    runs.finish_trial(trial)
    runs.finish_trial(trial)
    run = runs.client.get_run(runs.run_id)
    assert len(run.inputs.dataset_inputs) == 1
    assert len(runs.client.get_metric_history(runs.trial_run_ids[0], "fold_m1")) == 400
    runs.release()


def test_a_child_run_that_nobody_knows_of_ends_as_killed_with_the_sweep(store, runs):
    write(runs, measured(0, a=1))
    tags = {names.PARENT_RUN_ID: runs.run_id, names.TRIAL: "0", names.KIND: "trial"}
    store.client.create_run(runs.experiment_id, tags=tags)  # the answer to a first attempt came too late
    runs.end("FINISHED", at=1_700_000_009.0)
    assert sorted(children(runs)) == [("0", "FINISHED"), ("0", "KILLED")]


def test_a_sweep_in_other_hands_keeps_its_children(store, runs):
    other = store.client.create_run(runs.experiment_id, tags={names.PARENT_RUN_ID: runs.run_id, names.TRIAL: "5"})
    runs.start_trial(Trial(0, {"a": 1}), 1_700_000_001.0)
    runs.leave(at=1_700_000_009.0)
    assert store.client.get_run(other.info.run_id).info.status == "RUNNING"
    assert sorted(children(runs)) == [("0", "KILLED"), ("5", "RUNNING")]


@pytest.mark.slow
@pytest.mark.parametrize(
    "lost",
    [
        ("POST", "/registered-models/create"),
        ("POST", "/model-versions/create"),
        ("POST", "/model-versions/transition-stage"),
        ("POST", "/registered-models/alias"),
        ("POST", "/model-versions/set-tag"),
    ],
)
def test_a_promotion_that_was_not_answered_makes_one_version_and_tells_the_truth(gate, remote, policy, lost):
    name = f"lost {lost[1].replace('/', ' ')}"
    run_id = remote.create_run("0").info.run_id
    rows = pd.DataFrame({"x": [1.0, 2.0, 3.0]})
    uri = log_model(remote, ModelToLog(Ridge().fit(rows, [1, 2, 3]), rows), experiment_id="0", run_id=run_id).uri
    gate.lose(*lost)
    registry = ModelRegistry(remote, policy)
    resident = registry.register(name, model_uri=uri, run_id=run_id)
    promotion = registry.move(resident, Stage.STAGING, Entry(Action.PROMOTED, "Staging", "ann", None, "1", ("It is better.",)))
    assert gate.losing == []
    assert promotion.version == "1"
    assert [each.version for each in remote.search_model_versions(f"name = '{name}'")] == ["1"]
    assert remote.get_model_version_by_alias(name, "staging").current_stage == "Staging"
    assert [each.progress for each in registry.ledger(name)] == ["done"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "lost", [("POST", "/logged-models"), ("PUT", "/mlflow-artifacts/"), ("PATCH", "/logged-models/"), ("POST", "/outputs")]
)
def test_a_model_whose_logging_was_not_answered_is_there_once(gate, remote, policy, lost):
    experiment = remote.create_experiment(f"model, lost {lost[1]}")
    run_id = remote.create_run(experiment).info.run_id
    rows = pd.DataFrame({"x": [1.0, 2.0, 3.0]})
    gate.lose(*lost)
    to_log = ModelToLog(Ridge().fit(rows, [1, 2, 3]), rows)
    uri = policy.run(lambda: log_model(remote, to_log, experiment_id=experiment, run_id=run_id)).uri
    assert gate.losing == []
    found = remote.search_logged_models([experiment], filter_string=f"source_run_id = '{run_id}'")
    assert [(each.model_uri, each.status.name) for each in found] == [(uri, "READY")]


def test_an_experiment_that_another_makes_in_the_same_moment_is_found(store, monkeypatch):
    client = store.client
    looked = client.get_experiment_by_name
    made = []

    def look(name):
        found = looked(name)
        if found is None:
            made.append(MlflowClient(store.uri).create_experiment(name))
        return found

    monkeypatch.setattr(client, "get_experiment_by_name", look)
    assert [SweepRuns.begin(client, header()).experiment_id] == made


def test_a_table_that_another_logs_in_the_same_moment_is_found(store, runs):
    other = SweepRuns.begin(MlflowClient(store.uri), header())

    once = iter([True])

    def log(*_ignored):
        if next(once, False):
            other.describe()

    event.listen(Session, "before_flush", log)
    try:
        log_data(store.client, runs.run_id, header().data, "training")
    finally:
        event.remove(Session, "before_flush", log)
    found = [store.client.get_run(each.run_id).inputs.dataset_inputs for each in (runs, other)]
    assert [each[0].dataset.digest for each in found] == ["01234567"] * 2


def test_a_tag_that_another_deletes_in_the_same_moment_is_gone(store, monkeypatch):
    client = store.client
    runs = SweepRuns.begin(client, header(files={names.RESOLVED_FILE: "a: 1\n"}))
    assert names.CONFIG in client.get_run(runs.run_id).data.tags
    deleted = client.delete_tag

    def delete(run_id, key):
        store.client.delete_tag(run_id, key)
        deleted(run_id, key)

    monkeypatch.setattr(client, "delete_tag", delete)
    runs.describe()
    assert names.CONFIG not in client.get_run(runs.run_id).data.tags


@pytest.mark.parametrize(
    ("message", "raced"),
    [
        ("(psycopg2.errors.UniqueViolation) duplicate key value violates unique constraint", True),
        ("(pymysql.err.IntegrityError) (1062, \"Duplicate entry 'x' for key 'name'\")", True),
        ("(sqlite3.IntegrityError) UNIQUE constraint failed: datasets.experiment_id", True),
        ("(sqlite3.OperationalError) database is locked", False),
    ],
)
def test_a_server_that_passes_on_what_its_database_says_is_understood(message, raced):
    assert came_second(RestException({"error_code": "INTERNAL_ERROR", "message": message})) is raced
