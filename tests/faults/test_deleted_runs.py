"""Somebody deletes runs in MLflow's UI: a child run costs its trial a new one at most, a parent or an experiment comes back."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient
from tests.faults.faultkit.audit import PARENT, TRIAL, all_runs, sweeps
from tests.faults.faultkit.place import SEARCHES, Ended, Place
from tests.faults.faultkit.promoting import CONFIG, DEPTHS, Machine, Trap, hold

WRITES = "wine_sweep.tracking.runs.SweepRuns._log_result"
CONCLUDES = "wine_sweep.tracking.runs.SweepRuns.check_owner"
WORKERS = 2
"""As many as a place's config has."""


def children(client: MlflowClient, *, deleted: bool = False) -> dict[int, str]:
    """Give the ids of the child runs that have finished, by number; of those that were deleted where these are asked for."""
    stage = "deleted" if deleted else "active"
    found = [run for run in all_runs(client) if PARENT in run.data.tags and run.info.lifecycle_stage == stage]
    return {int(run.data.tags[TRIAL]): run.info.run_id for run in found if run.info.status == "FINISHED"}


def follow(ended: Ended, place: Place | Machine) -> None:
    """Type the command that a message names; as it stands there, in a shell without any settings."""
    assert ended.code == 1, ended
    assert "Traceback" not in ended.stderr
    found = re.search(r"`(MLFLOW_TRACKING_URI=[^`]+)`", " ".join(ended.stderr.split()))
    assert found, ended
    variables = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(place.folder)}
    subprocess.run(["/bin/sh", "-c", found[1]], cwd=place.folder, env=variables, check=True, timeout=120, capture_output=True)


@pytest.fixture(params=["sqlite", pytest.param("server", marks=pytest.mark.full_form)])
def machine(request, warm, migrated, tmp_path) -> Machine:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    if request.param == "server":
        uri = request.getfixturevalue("server").uri
    else:
        shutil.copy(migrated, tmp_path / "mlflow.db")
    (tmp_path / "trees.yaml").write_text(CONFIG)
    return Machine(warm, tmp_path, uri)


def counted(machine: Machine) -> list[int]:
    rows = json.loads(machine.do("compare", "latest", "--format", "json").stdout)
    return sorted(row["trial"] for row in rows if row["state"] == "finished")


def test_a_child_run_that_is_deleted_while_its_trial_runs_is_made_anew(machine, nothing_runs):
    trap = hold(machine.folder, Trap(WRITES, 2))
    command = machine.start("run", "trees.yaml", traps=[trap])
    trap.wait_for_it()
    (gone,) = [run for run in all_runs(machine.client) if run.data.tags.get(TRIAL) == "1"]
    machine.client.delete_run(gone.info.run_id)
    trap.release()
    ended = command.wait()
    assert ended.code == 0, ended
    assert "the run of trial 1 was deleted in MLflow; its result goes into a new one" in " ".join(ended.stderr.split())
    assert sorted(children(machine.client)) == list(range(DEPTHS))
    assert counted(machine) == list(range(DEPTHS))
    assert "Nothing to do" in machine.do("resume", "latest").stdout


def test_a_winner_that_is_deleted_before_it_is_kept_is_made_anew(machine):
    trap = hold(machine.folder, Trap(CONCLUDES))
    command = machine.start("run", "trees.yaml", "--quiet", traps=[trap])
    trap.wait_for_it()
    for run_id in children(machine.client).values():
        machine.client.delete_run(run_id)
    trap.release()
    ended = command.wait()
    assert ended.code == 0, ended
    (winner,) = children(machine.client)
    (version,) = machine.client.search_model_versions()
    assert version.run_id == children(machine.client)[winner]


def test_list_compare_resume_and_promote_agree_on_what_is_left(machine):
    machine.do("run", "trees.yaml", "--quiet")
    (parent,) = sweeps(machine.client)
    winner = int(parent.data.tags["wine_sweep.best_trial"])
    gone = children(machine.client)[winner]
    machine.client.delete_run(gone)
    left = [number for number in range(DEPTHS) if number != winner]
    assert counted(machine) == left
    assert f"{DEPTHS - 1}/{DEPTHS}" in machine.do("list").stdout
    best = min(
        run.data.metrics["rmse"] for run in all_runs(machine.client) if run.info.run_id in children(machine.client).values()
    )
    assert json.loads(machine.do("list", "--json").stdout)[0]["best"] == best
    told = machine.do("promote", "latest", "--dry-run").stdout
    assert f"Trial {winner} won when the sweep ended, and its run was deleted" in " ".join(told.split())
    follow(machine.start("promote", "latest", "--run", gone).wait(), machine)
    assert counted(machine) == list(range(DEPTHS))
    machine.client.delete_run(gone)
    machine.do("resume", "latest")
    assert counted(machine) == list(range(DEPTHS))
    assert f"{DEPTHS}/{DEPTHS}" in machine.do("list").stdout
    assert "Nothing to do" in machine.do("resume", "latest").stdout
    assert len(children(machine.client, deleted=True)) == 1


@pytest.mark.parametrize("what", ["parent", "experiment"])
def test_a_sweep_that_is_deleted_says_how_it_comes_back(machine, what):
    machine.do("run", "trees.yaml", "--quiet")
    (parent,) = sweeps(machine.client)
    if what == "parent":
        machine.client.delete_run(parent.info.run_id)
    else:
        machine.client.delete_experiment(parent.info.experiment_id)
    for command in (("resume", "latest"), ("compare", "trees"), ("promote", parent.info.run_id[:8])):
        told = machine.start(*command).wait()
        assert told.code == 1, told
        assert "was deleted in MLflow; `MLFLOW_TRACKING_URI=" in " ".join(told.stderr.split())
    follow(told, machine)
    assert counted(machine) == list(range(DEPTHS))


@pytest.mark.parametrize("what", ["parent", "experiment"])
def test_a_sweep_that_is_deleted_while_it_runs_goes_on_once_it_is_back(place, audit, what):
    place.write_config(SEARCHES["grid"], pause=0.3)
    command = place.run()
    place.wait_until_under_way(command)
    parent = sweeps(place.client)[0]
    if what == "parent":
        place.client.delete_run(parent.info.run_id)
    else:
        place.client.delete_experiment(parent.info.experiment_id)
    ended = command.wait(180)
    measured = len(place.notes("ended"))
    place.assert_nothing_left_over()
    follow(ended, place)
    assert f"wine-sweep resume {parent.info.run_id}" in ended.stderr
    resumed = place.resume()
    assert resumed.wait().code == 0, resumed.text()
    audit(place, f"the {what} deleted in mid-sweep, restored, and resume")
    params = [each for _, each in place.notes("ended")]
    unheard = WORKERS  # of a worker that is stopped nobody may have heard that its trial had just ended
    assert len(params) - len(set(params)) <= place.kind.notes_winner + unheard, "nothing that had ended is measured again"
    assert measured < len(params)
