"""kill -9 of workers, and of commands' own processes: each costs one retry of its own trial."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from dataclasses import dataclass

import psutil
import pytest
from tests.faults.faultkit.audit import PARENT, all_runs
from tests.faults.faultkit.place import SEARCHES, Command, Place


@dataclass(frozen=True)
class Case:
    """Who is killed, and how often: in the full form, and in the short one."""

    kind: str
    victim: str
    full: int
    short: int


CASES = [
    pytest.param(Case("estimator", "worker", 20, 4), id="estimator"),
    pytest.param(Case("function", "worker", 10, 2), id="function", marks=pytest.mark.full_form),
    pytest.param(Case("command", "worker", 10, 2), id="command"),
    pytest.param(Case("command", "process", 10, 2), id="the command itself"),
]


def kill_workers(place: Place, command: Command, count: int, victim: str) -> dict[int, tuple[str, ...]]:
    """Kill -9 so many processes in the middle of a trial, no trial twice, spread over the sweep.

    A command's worker is its parent, and the command is to be gone with it.

    Returns:
        Who was measuring, and what.
    """
    killed: dict[int, tuple[str, ...]] = {}
    while len(killed) < count:
        place.wait_for_ended(2 * len(killed), command)
        place.wait_until(lambda: bool(set(place.fitting().values()) - {*killed.values()}), command)
        pid, params = next((pid, params) for pid, params in place.fitting().items() if params not in killed.values())
        with suppress(psutil.NoSuchProcess):
            measuring = psutil.Process(pid)
            measuring.suspend()  # so that it cannot end by itself
            if pid in place.fitting():
                (measuring.parent() if victim == "worker" and place.kind.is_command else measuring).kill()
                place.wait_until(lambda: is_gone(measuring), command, timeout=10)  # noqa: B023  # it is called at once
                killed[pid] = params
            else:
                measuring.resume()
    return killed


def is_gone(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.parametrize("case", CASES)
def test_workers_that_are_killed_cost_a_retry_each_and_nothing_else(case, place, audit, times):
    count = times(case.full, case.short)
    place.write_config(SEARCHES["grid"], kind=case.kind, pause=0.4)
    command = place.run()
    killed = kill_workers(place, command, count, case.victim)
    ended = command.wait()
    assert ended.code == 0, ended
    audit(place, f"kill -9 of a {case.victim}", times=count)
    began = [params for pid, params in place.notes("began") if pid != command.pid]  # it refits the winner itself
    assert sorted(began) == sorted([*{*began}, *killed.values()])
    if place.kind.is_command:  # a worker of the others has measured other trials before
        assert not {pid for pid, _ in place.notes("ended")} & killed.keys()
    trials = [run for run in all_runs(place.client) if PARENT in run.data.tags]
    assert [run.data.tags["wine_sweep.retries"] for run in trials if "wine_sweep.retries" in run.data.tags] == ["1"] * count
    left = sum(run.info.status == "KILLED" for run in trials)  # what a command has logged cannot be taken back
    assert left == (count if place.kind.is_command else 0)
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
