"""Runs of checks on a real store, and on one that cannot be written."""

from __future__ import annotations

import signal
import threading
import time
from dataclasses import replace

import pandas as pd
import pytest

from wine_sweep.errors import TrackingError
from wine_sweep.tracking import monitoring_runs, names
from wine_sweep.tracking.encoding import SweepData
from wine_sweep.tracking.local_state import Owner
from wine_sweep.tracking.lock import LEASE_SECONDS, close_check, close_lost_checks, lost_checks
from wine_sweep.tracking.monitoring_runs import CheckRecord, write_check

RECORD = CheckRecord(
    name="check m v1",
    experiment_id="0",
    started=1000.0,
    ended=1001.5,
    params={"model": "m"},
    metrics={"drift_p/alcohol": 0.5, "drift_p/free SO₂ (mg/l)": 0.1, "drift_p/a%b": 0.2},
    tags={"wine_sweep.kind": "check"},
    data=SweepData(pd.DataFrame({"a": [1.0]}), "/t.csv", "t.csv", "0123456789abcdef"),
    files={"check.json": b"{}\n", "plots/one.png": b"png"},
)


def test_a_check_is_a_run_that_has_ended(store):
    run = store.client.get_run(write_check(store.client, RECORD))
    assert (run.info.status, run.info.start_time, run.info.end_time) == ("FINISHED", 1_000_000, 1_001_500)
    assert run.data.params == {"model": "m"}
    assert run.data.tags["wine_sweep.kind"] == "check"
    assert {each.path for each in store.client.list_artifacts(run.info.run_id)} == {"check.json", "plots"}


def test_metrics_that_mlflow_would_not_take_are_left_out(store):
    run = store.client.get_run(write_check(store.client, RECORD))
    assert run.data.metrics == {"drift_p/alcohol": 0.5}


def test_a_check_that_cannot_be_written_ends_as_failed(store):
    (store.folder / "no_folder").write_text("")
    experiment = store.client.create_experiment("broken", artifact_location=str(store.folder / "no_folder" / "artifacts"))
    with pytest.raises(TrackingError, match="MLflow could not write the check"):
        write_check(store.client, replace(RECORD, experiment_id=experiment))
    (run,) = store.client.search_runs([experiment])
    assert run.info.status == "FAILED"


def test_a_call_that_does_not_end_is_not_waited_for_when_the_check_is_interrupted(store, monkeypatch):
    monkeypatch.setattr(monitoring_runs, "STALL_SECONDS", 0.2)
    client, gate = store.client, threading.Event()

    def stalled(*_arguments, **_keys):
        signal.raise_signal(signal.SIGINT)
        gate.wait(30)

    monkeypatch.setattr(client, "log_inputs", stalled)
    with pytest.raises(KeyboardInterrupt):
        write_check(client, RECORD)
    (run,) = store.client.search_runs(["0"])
    gate.set()
    assert (run.info.status, run.data.tags[names.CLOSED]) == ("KILLED", "the check was interrupted")


@pytest.mark.slow
def test_a_run_whose_making_was_not_answered_is_found_and_not_made_twice(gate, monkeypatch):
    from mlflow import MlflowClient

    client = MlflowClient(gate.uri)
    gate.lose("POST", "runs/create")
    experiment = client.create_experiment("unanswered")
    run_id = write_check(client, replace(RECORD, experiment_id=experiment))
    (run,) = client.search_runs([experiment])
    assert (run.info.run_id, run.info.status) == (run_id, "FINISHED")


def left(store, **tags: str) -> str:
    """Leave the run of a check as a process does that is killed, and give its id."""
    about = {names.KIND: "check", names.REGISTERED_MODEL: "m", **tags}
    return store.client.create_run("0", start_time=1_000_000, tags=about, run_name="check m v1").info.run_id


def lost(store, at: float, **options: str) -> list[str]:
    return [check.run_id for check in lost_checks(store.client, ["0"], clock=lambda: at, **options)]


def test_a_check_of_another_machine_is_lost_once_its_lease_has_run_out(store):
    owner = replace(Owner.here(), machine="another").text()
    run_id = left(store, **{names.OWNER: owner, names.LEASE: str(round(9000 + LEASE_SECONDS))})
    assert lost(store, 9000 + LEASE_SECONDS) == []
    assert lost(store, 9001 + LEASE_SECONDS) == [run_id]
    assert lost(store, 9001 + LEASE_SECONDS, model="other") == []


@pytest.mark.quick(1)
@pytest.mark.parametrize("tags", [{}, {names.LEASE: "inf"}, {names.LEASE: "-5", names.OWNER: '{"token": "../../x"}'}])
def test_a_check_without_a_lease_is_lost_an_hour_after_it_began(store, tags):
    run_id = left(store, **tags)
    assert lost(store, 1000 + LEASE_SECONDS) == []
    assert lost(store, 1001 + LEASE_SECONDS) == [run_id]
    close_lost_checks(store.client, ["0"], "m")
    run = store.client.get_run(run_id)
    assert (run.info.status, run.info.end_time) == ("KILLED", 1_000_000)
    assert run.data.tags[names.CLOSED] == "its process ended without closing it"


def test_a_token_that_is_none_names_no_file(store, tmp_path):
    victim = tmp_path / "victim.lock"
    victim.write_text("mine")
    run_id = left(store, **{names.OWNER: replace(Owner.here(), token=str(victim.with_suffix(""))).text()})
    assert lost(store, time.time()) == [run_id]
    assert victim.read_text() == "mine"


def test_a_check_that_has_ended_meanwhile_is_left_as_it_is(store):
    run_id = left(store)
    (check,) = lost_checks(store.client, ["0"])
    store.client.set_terminated(run_id, "FINISHED")
    assert not close_check(store.client, check)
    assert store.client.get_run(run_id).info.status == "FINISHED"
