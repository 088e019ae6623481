"""A check or a refresh that is stopped ends its runs; what `kill -9` leaves is closed by the next, and by `list --close`."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest
from tests.faults.faultkit.audit import MODEL, all_runs
from tests.faults.faultkit.promoting import CLIENT, Base, Forked, Machine, Trap, hold, promotion

from wine_sweep.data.table import load_bundled

INTERRUPTED = 130
ROWS = 60
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
CHECK = ("check", MODEL, "--data", "new.csv")
REFRESH = ("refresh", "trees.yaml", "--data", "new.csv", "--force", "--quiet")
WRITES = [
    Trap(*moment)
    for moment in (
        (f"{CLIENT}.create_run", 1, False),
        (f"{CLIENT}.create_run", 1, True),
        (f"{CLIENT}.log_batch", 1, False),
        (f"{CLIENT}.log_inputs", 1, True),
        ("wine_sweep.tracking.artifacts.write", 2, False),
        (f"{CLIENT}.set_terminated", 1, False),
    )
]
"""The moments around what a check writes."""

MOMENTS = [
    pytest.param(moment, number, id=f"{number.name} {moment}", marks=() if full % 3 == at % 3 else pytest.mark.full_form)
    for at, moment in enumerate(WRITES)
    for full, number in enumerate(SIGNALS)
]
"""Every signal at every moment; the short form has one at each."""


@pytest.fixture
def copied(base: Base, tmp_path: Path) -> Base:
    """A copy of the store, with a few new rows beside it, on which the model is healthy."""
    made = base.copied(tmp_path / "copied")
    table = load_bundled("wine-quality-red").sample(ROWS, random_state=0)
    table.assign(alcohol=table["alcohol"] + 0.001).to_csv(made.machine.folder / "new.csv", index=False)
    return made


def checks(machine: Machine) -> list:
    """List the runs of checks, the oldest first."""
    found = [run for run in all_runs(machine.client) if run.data.tags.get("wine_sweep.kind") == "check"]
    return sorted(found, key=lambda run: run.info.start_time)


def running(machine: Machine) -> list[str]:
    return [run.info.run_name for run in all_runs(machine.client) if run.info.status == "RUNNING"]


def held(machine: Machine, at: Trap, *command: str) -> tuple[Forked, Trap]:
    """Start a command, and wait until it is held at a call."""
    trap = hold(machine.folder, at)
    started = machine.start(*command, traps=[trap])
    trap.wait_for_it()
    return started, trap


def killed(machine: Machine, at: Trap, *command: str) -> None:
    started, _ = held(machine, at, *command)
    assert started.kill().code == -signal.SIGKILL


@pytest.mark.parametrize(("moment", "number"), MOMENTS)
def test_a_check_that_is_stopped_while_it_is_written_ends_its_run(copied, moment, number):
    command, trap = held(copied.machine, moment, *CHECK)
    command.send(number)
    time.sleep(0.3)
    command.send(number)  # once more, since people are impatient
    trap.release()
    ended = command.wait()
    assert (ended.code, ended.stderr) == (INTERRUPTED, "interrupted\n"), ended
    statuses = [run.info.status for run in checks(copied.machine)]
    done_at_last = moment.target.endswith("set_terminated")  # the call under way is let end
    assert statuses == (["FINISHED"] if done_at_last else ["KILLED"])


@pytest.mark.full_form
def test_a_check_is_ended_though_the_call_under_way_does_not_end(copied):
    command, _ = held(copied.machine, Trap(f"{CLIENT}.log_inputs"), *CHECK)
    command.send(signal.SIGTERM)
    ended = command.wait(40)
    assert (ended.code, ended.stderr) == (INTERRUPTED, "interrupted\n"), ended
    (run,) = checks(copied.machine)
    assert (run.info.status, run.data.tags["wine_sweep.closed"]) == ("KILLED", "the check was interrupted")


def test_what_kill_9_leaves_of_a_check_is_closed_by_the_next_of_the_same_model(copied):
    machine = copied.machine
    machine.do(*promotion("other", copied.runs[2]))
    killed(machine, Trap(f"{CLIENT}.log_inputs"), *CHECK)
    machine.do("check", "other", *CHECK[2:])
    machine.other().do(*CHECK)  # there nobody can know yet that it is dead
    assert running(machine) == [f"check {MODEL} v2"]
    ended = machine.do(*CHECK)
    assert "closed as KILLED: check fault-model v2" in " ".join(ended.stderr.split())
    first, *others = checks(machine)
    assert (first.info.status, {run.info.status for run in others}) == ("KILLED", {"FINISHED"})
    assert first.data.tags["wine_sweep.closed"].startswith("process ")
    assert first.data.tags["wine_sweep.closed"].endswith(" ended without closing it")
    locks = (machine.folder / machine.state / "wine-sweep" / "locks").iterdir()
    assert [path.name for path in locks if not path.name.startswith("model-")] == []


def test_a_check_that_is_alive_is_left_alone(copied):
    machine = copied.machine
    command, trap = held(machine, Trap(f"{CLIENT}.log_inputs"), *CHECK)
    for other in (machine, machine.other()):
        other.do(*CHECK)
        closed = other.do("list", "--lost", "--close")
        assert closed.stdout == "Nothing is lost here.\n"
    assert running(machine) == [f"check {MODEL} v2"]
    trap.release()
    assert command.wait().code == 0
    assert {run.info.status for run in checks(machine)} == {"FINISHED"}


@pytest.mark.parametrize(
    ("moment", "number"),
    [
        pytest.param(Trap(f"{CLIENT}.log_inputs"), signal.SIGTERM, id="the check"),
        pytest.param(Trap(f"{CLIENT}.create_run", 2, after=True), signal.SIGHUP, id="the sweep"),
        pytest.param(Trap(f"{CLIENT}.log_batch", 5), signal.SIGINT, id="its trials", marks=pytest.mark.full_form),
    ],
)
def test_a_refresh_that_is_stopped_ends_its_runs_and_lets_go_of_the_model(copied, moment, number):
    machine = copied.machine
    command, trap = held(machine, moment, *REFRESH)
    command.send(number)
    time.sleep(0.3)
    trap.release()
    ended = command.wait()
    assert ended.code == INTERRUPTED, ended
    assert "Traceback" not in ended.stderr
    assert running(machine) == []
    machine.do(*REFRESH)
    assert running(machine) == []


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(Trap(f"{CLIENT}.log_inputs"), id="the check", marks=pytest.mark.full_form),
        pytest.param(Trap(f"{CLIENT}.log_batch", 5), id="its trials"),
    ],
)
def test_what_kill_9_leaves_of_a_refresh_is_closed_by_the_next(copied, moment):
    machine = copied.machine
    killed(machine, moment, *REFRESH)
    assert running(machine)
    ended = machine.start(*REFRESH[:-1]).wait()
    assert ended.code == 0, ended
    assert "closed as KILLED:" in ended.stderr
    assert running(machine) == []


def test_list_closes_what_is_lost_and_a_sweep_that_it_closed_can_be_resumed(copied):
    machine = copied.machine
    killed(machine, Trap(f"{CLIENT}.log_inputs"), *CHECK)
    killed(machine, Trap(f"{CLIENT}.set_terminated", 3), "run", "trees.yaml", "--quiet", "--no-promote")
    newest = {(each["kind"], each["status"]) for each in json.loads(machine.do("list", "--lost", "--json").stdout)}
    assert newest == {("sweep", "LOST"), ("check", "LOST")}
    listed = machine.do("list").stdout
    assert listed.count("LOST") == 3
    assert "`wine-sweep list --lost --close`" in listed
    closed = machine.do("list", "--lost", "--close").stdout.splitlines()
    assert [line.partition(" (")[0] for line in closed] == ["closed: the sweep trees", f"closed: the check {MODEL} v2"]
    assert running(machine) == []
    assert machine.do("list", "--lost").stdout == "Nothing is lost here.\n"
    ended = machine.start("resume", "latest", "--quiet", "--json", "--no-promote").wait()
    assert ended.code == 0, ended
    sweep = json.loads(ended.stdout)["run_id"]
    results = [
        run.data.tags["wine_sweep.trial"]
        for run in all_runs(machine.client)
        if run.data.tags.get("mlflow.parentRunId") == sweep and run.info.status == "FINISHED"
    ]
    assert sorted(results) == ["0", "1", "2", "3"]


def test_what_cannot_be_closed_is_said(copied):
    machine = copied.machine
    killed(machine, Trap(f"{CLIENT}.log_batch", 4), "run", "trees.yaml", "--quiet", "--no-promote")
    closing, trap = held(machine, Trap(f"{CLIENT}.get_run"), "list", "--lost", "--close")
    going_on, stay = held(machine, Trap(f"{CLIENT}.set_terminated"), "resume", "latest", "--quiet", "--no-promote")
    trap.release()
    ended = closing.wait()
    assert ended.code == 1, ended
    assert "not closed: the sweep trees" in ended.stderr
    assert f"is being run by process {going_on.pid}" in " ".join(ended.stderr.split())
    stay.release()
    assert going_on.wait().code == 0
