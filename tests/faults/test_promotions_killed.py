"""kill -9 in the middle of a promotion: one version is in the stage, the old or the new, and the next command does the rest."""

from __future__ import annotations

import json
import random
import signal
import time
from pathlib import Path

import pytest
from tests.faults.faultkit.audit import MODEL
from tests.faults.faultkit.promoting import CLIENT, MOVING, PROMOTING, Base, Trap, hold, promotion
from tests.faults.faultkit.registered import Found

SEED = 20
FULL = pytest.mark.full_form
BEGINS = Trap(f"{CLIENT}.search_model_versions")
"""A promotion begins with the question which version is in the stage."""

MOVES = f"{CLIENT}.transition_model_version_stage"


def chosen(moments: list[Trap]) -> list[object]:
    """Give the moments as parameters; the short form has that right after the one call that counts."""
    return [pytest.param(each, id=str(each), marks=() if each.target == MOVES and each.after else FULL) for each in moments]


def assert_told(found: Found) -> None:
    """Fail when an entry of the ledger does not say who and why."""
    assert all(each["who"] and each["reasons"] for each in found.ledger)


def next_commands(base: Base, audit_promotion, scenario: str, left: Found, *, old: str = "2") -> None:
    """Go back, and promote: both work, and the ledger that `history` prints has an end for all that was begun."""
    (staged,) = left.staged
    base.machine.do("rollback", MODEL)
    found = audit_promotion(base, f"{scenario}; then rollback", old=old, what=staged)
    half = [each for each in left.ledger if (each["progress"], each["action"], each["after"]) == ("begun", "rolled_back", staged)]
    assert found.staged == [staged if half else str(int(staged) - 1)]  # a rollback that was killed is only finished
    base.machine.do(*promotion(MODEL, base.runs[2]))
    found = audit_promotion(base, f"{scenario}; then promote", old=old, what=staged)
    assert_told(found)
    history = json.loads(base.machine.do("history", MODEL, "--json").stdout)
    assert history["stages"]["Staging"]["version"] == found.staged[0]
    assert history["stages"]["Staging"]["since"]
    assert {each["progress"] for each in history["entries"]} <= {"done", "failed"}
    assert all(each["when"] and each["who"] for each in history["entries"])
    assert len(found.versions) == 3


def killed_at(base: Base, moment: Trap, *command: str) -> None:
    ended = base.machine.start(*command, traps=[moment]).wait()
    assert ended.code == -signal.SIGKILL, f"{moment}: {ended}"


@pytest.mark.parametrize("moment", chosen(PROMOTING))
def test_a_promotion_killed_right_before_or_after_it_writes_something(base, tmp_path, audit_promotion, moment):
    command = promotion(MODEL, base.runs[2])
    one = base.copied(tmp_path / "one")
    killed_at(one, moment, *command)
    audit_promotion(one, "kill -9 of promote at a call", settled=False, what=moment)
    one.machine.do(*command)
    found = audit_promotion(one, "kill -9 of promote at a call; then the same", what=moment)
    assert (found.staged, found.versions) == (["3"], ["1", "2", "3"])
    other = base.copied(tmp_path / "other")
    killed_at(other, moment, *command)
    next_commands(other, audit_promotion, "kill -9 of promote at a call", other.look())


@pytest.mark.parametrize("moment", chosen(MOVING))
def test_a_rollback_killed_right_before_or_after_it_writes_something(base, tmp_path, audit_promotion, moment):
    own = base.copied(tmp_path / "own")
    own.machine.do(*promotion(MODEL, base.runs[2]))
    killed_at(own, moment, "rollback", MODEL)
    left = audit_promotion(own, "kill -9 of rollback at a call", old="3", settled=False, what=moment)
    next_commands(own, audit_promotion, "kill -9 of rollback at a call", left, old="3")


def run_and_promote(base: Base, name: str) -> tuple[str, ...]:
    """Give the command of a sweep of two trials, whose winner is none of the trees that were promoted."""
    return ("run", "trees.yaml", "--quiet", "--set", "search.parameters.max_depth=[5, 6]", "--set", f"name={name}")


@pytest.mark.parametrize("moment", chosen(PROMOTING))
def test_a_sweep_killed_while_it_promotes_is_resumed_and_promotes_once(base, tmp_path, audit_promotion, moment):
    own = base.copied(tmp_path / "own")
    killed_at(own, moment, *run_and_promote(own, "deeper"))
    audit_promotion(own, "kill -9 of run at a call", settled=False, what=moment)
    own.machine.do("resume", "deeper", "--quiet")
    found = audit_promotion(own, "kill -9 of run at a call; then resume", what=moment)
    assert (found.staged, found.versions) == (["3"], ["1", "2", "3"])
    assert_told(found)


def killed_after(base: Base, folder: Path, seconds: float, *command: str) -> bool:
    """Kill -9 a command so many seconds after its promotion has begun; False when it has ended before."""
    begins = hold(folder, BEGINS)
    begins.release()
    running = base.machine.start(*command, traps=[begins])
    begins.wait_for_it()
    time.sleep(seconds)
    return running.kill().code == -signal.SIGKILL


def lifetime(base: Base, folder: Path, *command: str) -> float:
    """Measure how long a promotion takes from where it begins, in seconds."""
    begins = hold(folder, BEGINS)
    running = base.machine.start(*command, traps=[begins])
    begins.wait_for_it()
    since = time.monotonic()
    begins.release()
    ended = running.wait()
    assert ended.code == 0, ended
    return time.monotonic() - since


@pytest.mark.parametrize("command", ["promote", pytest.param("rollback", marks=FULL), pytest.param("run", marks=FULL)])
def test_a_promotion_killed_at_any_moment(base, tmp_path, audit_promotion, times, command):
    arguments = {
        "promote": promotion(MODEL, base.runs[2]),
        "rollback": ("rollback", MODEL),
        "run": run_and_promote(base, "deeper"),
    }[command]

    def prepared(name: str) -> Base:
        own = base.copied(tmp_path / name)
        if command == "rollback":
            own.machine.do(*promotion(MODEL, base.runs[2]))
        return own

    whole, draw, count = lifetime(prepared("whole"), tmp_path, *arguments), random.Random(SEED), times(20, 1)
    scenario, old = f"kill -9 of {command} at any moment", "3" if command == "rollback" else "2"
    for index in range(count):
        seconds, own = (index + draw.random()) / count * whole, prepared(f"{index}")
        while not killed_after(own, tmp_path, seconds, *arguments):  # it had ended before: a little earlier
            seconds, own = seconds * 0.8, prepared(f"{index}-{seconds:.3f}")
        left = audit_promotion(own, scenario, old=old, settled=False, what=seconds)
        if command == "run":
            own.machine.do("resume", "deeper", "--quiet")
            assert audit_promotion(own, f"{scenario}; then resume", what=seconds).versions == ["1", "2", "3"]
        else:
            next_commands(own, audit_promotion, scenario, left, old=old)
