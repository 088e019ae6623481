"""Runs of checks on a real store, and on one that cannot be written."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from wine_sweep.errors import TrackingError
from wine_sweep.tracking.check_runs import CheckRecord, write_check
from wine_sweep.tracking.sweep_header import SweepData

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
