"""kill -9 of workers: each costs one retry of its own trial."""

from __future__ import annotations

import os
import signal

import pytest
from tests.faults.faultkit.audit import all_runs
from tests.faults.faultkit.place import SEARCHES, Command, Place


def kill_workers(place: Place, command: Command, count: int) -> set[tuple[str, ...]]:
    """Kill -9 so many workers in the middle of a fit, no trial twice, spread over the sweep, and say whose fits these were."""
    killed: set[tuple[str, ...]] = set()
    while len(killed) < count:
        place.wait_for_ended(2 * len(killed), command)
        place.wait_until(lambda: bool(set(place.fitting().values()) - killed), command)
        pid, params = next((pid, params) for pid, params in place.fitting().items() if params not in killed)
        os.kill(pid, signal.SIGKILL)
        killed.add(params)
    return killed


def test_workers_that_are_killed_cost_a_retry_each_and_nothing_else(place, audit, times):
    count = times(20, 4)
    place.write_config(SEARCHES["grid"], pause=0.4)
    command = place.run()
    killed = kill_workers(place, command, count)
    ended = command.wait()
    assert ended.code == 0, ended
    audit(place, "kill -9 of a worker", times=count)
    began = [params for pid, params in place.notes("began") if pid != command.pid]  # it refits the winner itself
    assert sorted(began) == sorted([*{*began}, *killed])
    place.assert_nothing_left_over()


@pytest.mark.full_form
def test_a_trial_whose_workers_are_killed_each_time_fails_alone(place, audit):
    place.write_config("{method: grid, parameters: {shift: [0.1, 0.4, 0.7, 1.0], scale: [0.1, 0.3]}}", pause=0.8)
    command = place.run()
    for _ in range(2):
        place.wait_until(lambda: ("0.4", "0.1", "work") in place.fitting().values(), command)
        (pid,) = (pid for pid, params in place.fitting().items() if params == ("0.4", "0.1", "work"))
        os.kill(pid, signal.SIGKILL)
        place.wait_until(lambda pid=pid: pid not in place.fitting(), command)
    ended = command.wait()
    assert ended.code == 0, ended
    audit(place, "kill -9 of a trial's worker, and of the next one's", search=None, expected=8, times=2)
    (failed,) = (run for run in all_runs(place.client) if run.info.status == "FAILED")
    assert (failed.data.params["shift"], failed.data.params["scale"]) == ("0.4", "0.1")
    assert "worker" in failed.data.tags["wine_sweep.error"]
    place.assert_nothing_left_over()
