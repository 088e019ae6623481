"""Commands that log to MLflow in the run that was handed over: that they have ended it makes it no result."""

from __future__ import annotations

import signal
import time

import psutil
import pytest
from mlflow.entities import Run
from tests.faults.faultkit.audit import PARENT, Account, all_runs
from tests.faults.faultkit.place import Command, Place

SEARCH = "{method: grid, parameters: {shift: [0.1, 0.3, 0.5], scale: [0.1, 0.3]}}"
TRIALS = 6
BEST = 3
"""The trial of shift 0.3 and scale 0.3."""

EXECUTION = "{backend: processes, workers: 2, tracking_timeout: 5m}"


def children(place: Place) -> list[Run]:
    return [run for run in all_runs(place.client) if PARENT in run.data.tags]


def ended_by_themselves(place: Place) -> set[str]:
    """Give the runs that are FINISHED, though nobody has said what came of their trials."""
    return {
        run.info.run_id
        for run in children(place)
        if run.info.status == "FINISHED" and run.data.tags["wine_sweep.state"] == "running"
    }


def under_way(place: Place, ended: int) -> Command:
    """Start a sweep, and wait until so many scripts have ended their runs."""
    place.write_config(SEARCH, kind="tracked", execution=EXECUTION)
    command = place.run()
    place.wait_for_ended(ended, command)
    return command


def assert_as_logged(account: Account) -> None:
    """Fail when a result is not what the script has logged."""
    params = [dict(params) for params, _ in account.results.values()]
    assert {each["by"] for each in params} == {"itself"}
    rmse = {number: dict(metrics)["rmse"] for number, (_, metrics) in account.results.items()}
    assert min(rmse, key=rmse.get) == BEST
    assert len({*rmse.values()}) == TRIALS


@pytest.mark.parametrize("ended", [2, *(pytest.param(each, marks=pytest.mark.full_form) for each in (4, 5))])
def test_a_run_that_a_script_has_ended_is_no_result_of_a_sweep_that_was_killed(place, audit, ended):
    command = under_way(place, ended)
    command.kill()
    place.assert_nothing_left_over()
    unconcluded = ended_by_themselves(place)
    assert unconcluded
    kept = {run.info.run_id for run in children(place) if run.data.tags["wine_sweep.state"] == "finished"}
    resumed = place.resume().wait()
    assert resumed.code == 0, resumed
    account = audit(place, "kill -9 of the orchestrator", search=None, expected=TRIALS)
    assert_as_logged(account)
    assert kept <= {*account.run_ids.values()}
    assert {place.client.get_run(run_id).info.status for run_id in unconcluded} == {"KILLED"}
    place.assert_nothing_left_over()


@pytest.mark.full_form
def test_a_script_that_is_killed_once_it_has_ended_its_run_gets_another_run(place, audit):
    command = under_way(place, 1)
    pid, _ = place.notes("ended")[0]
    finished = ended_by_themselves(place)
    psutil.Process(pid).kill()
    ended = command.wait()
    assert ended.code == 0, ended
    assert_as_logged(audit(place, "kill -9 of a process", search=None, expected=TRIALS))
    (killed,) = (run.info.run_id for run in children(place) if run.info.status == "KILLED")
    assert killed in finished
    place.assert_nothing_left_over()


@pytest.mark.full_form
def test_a_signal_closes_the_runs_that_scripts_have_ended(place, audit):
    command = under_way(place, 3)
    command.send(signal.SIGINT)
    time.sleep(0.05)
    command.send(signal.SIGINT)
    ended = command.wait(60)
    assert ended.code == 130, ended
    assert ended_by_themselves(place) == set()
    place.assert_nothing_left_over()
    resumed = place.resume().wait()
    assert resumed.code == 0, resumed
    assert_as_logged(audit(place, "SIGINT twice", search=None, expected=TRIALS))


@pytest.mark.full_form
def test_a_script_waits_for_a_server_as_it_does_without_us(served_place, server, audit):
    """MLflow's own retries are on in a script, in a sweep that was resumed too."""
    under_way(served_place, 2).kill()
    served_place.assert_nothing_left_over()
    resumed = served_place.resume()
    before = len(served_place.notes("began"))
    served_place.wait_until(lambda: len(served_place.notes("began")) >= before + 2, resumed)
    server.kill()
    time.sleep(8)
    server.start()
    ended = resumed.wait()
    assert ended.code == 0, ended
    assert_as_logged(audit(served_place, "the server stopped and started", search=None, expected=TRIALS))
