"""Two promotions at once, on one machine and on two: one version is in the stage, and who is not the last is told."""

from __future__ import annotations

import uuid
from dataclasses import replace
from pathlib import Path

import pytest
from tests.faults.faultkit.audit import MODEL
from tests.faults.faultkit.place import Ended
from tests.faults.faultkit.promoting import PROMOTING, Base, Forked, Trap, hold, promotion

FULL = pytest.mark.full_form
TOLD = 3

INSIDE = [
    Trap("mlflow.store.model_registry.sqlalchemy_store.SqlAlchemyStore._get_sql_model_version", nth, kill=True)
    for nth in range(1, 6)
]
"""Moments within MLflow's own calls on a database, where it has read and not yet written; the second is that of the stage."""


MOVES = Trap("wine_sweep.registry.ModelRegistry.move")
LOOKS = Trap("wine_sweep.registry.ModelRegistry.in_stage", 2)
"""Where a promotion asks what is in its stage; the first question is about Production."""


def assert_fair(endings: list[Ended]) -> int:
    """Fail unless somebody has promoted, and who has not was told so; give how many were told."""
    assert {each.code for each in endings} <= {0, TOLD}, endings
    told = [each for each in endings if each.code == TOLD]
    assert len(told) < len(endings), endings
    for each in told:
        text = " ".join(each.stdout.split())
        assert "Not promoted: version" in text, each
        assert "somebody changed that meanwhile" in text or "at the same time, and is there now" in text, each
    return len(told)


def at_once(base: Base, name: str, folder: Path, runs: list[str], *, two_machines: bool, at: Trap = MOVES) -> list[Ended]:
    """Promote each of the runs, all let go at the same moment, where they have decided to, or at another step."""
    go = folder / f"{uuid.uuid4().hex}.go"
    started: list[tuple[Forked, Trap]] = []
    for run_id in runs:
        machine = base.machine.other() if two_machines else base.machine
        trap = hold(folder, at, go=go)
        started.append((machine.start(*promotion(name, run_id), traps=[trap]), trap))
    for _, trap in started:
        trap.wait_for_it()
    go.touch()
    return [command.wait() for command, _ in started]


@pytest.mark.parametrize(
    ("where", "contenders"),
    [("one machine", 2), ("two machines", 2), *(pytest.param(each, 3, marks=FULL) for each in ("one machine", "two machines"))],
)
def test_promotions_at_once_on_a_sqlite_store(base, tmp_path, audit_promotion, times, *, where, contenders):
    two_machines = where == "two machines"
    for index in range(times(20 if two_machines else 8, 2 if two_machines else 1)):
        own = base.copied(tmp_path / f"{index}")
        runs = base.runs[2:4] if contenders == 2 else [*base.runs[2:4], base.runs[0]]
        told = assert_fair(at_once(own, MODEL, tmp_path, runs, two_machines=two_machines))
        found = audit_promotion(own, f"{contenders} promotions at once, {where}, SQLite", told=told)
        assert found.versions == ["1", "2", "3", "4"]


@pytest.mark.parametrize("where", [pytest.param("one machine", marks=FULL), "two machines"])
def test_promotions_at_once_on_a_tracking_server(served_base, tmp_path, audit_promotion, times, where):
    two_machines = where == "two machines"
    for index in range(times(20 if two_machines else 5, 2)):
        name = f"at-once-{where.replace(' ', '-')}-{index}"
        served_base.with_two(name)
        told = assert_fair(at_once(served_base, name, tmp_path, served_base.runs[2:4], two_machines=two_machines))
        found = audit_promotion(served_base, f"2 promotions at once, {where}, server", name=name, told=told)
        assert found.versions == ["1", "2", "3", "4"]


def test_the_same_winner_promoted_twice_at_once_is_one_version(base, tmp_path, audit_promotion, times):
    for index in range(times(8, 1)):
        own = base.copied(tmp_path / f"{index}")
        assert_fair(at_once(own, MODEL, tmp_path, [base.runs[2]] * 2, two_machines=False, at=LOOKS))
        found = audit_promotion(own, "the same promoted twice at once, one machine, SQLite")
        assert (found.staged, found.versions) == (["3"], ["1", "2", "3"])


WINDOWS = [replace(moment, kill=False) for moment in (*PROMOTING, *INSIDE)]


@pytest.mark.parametrize(
    "moment",
    [pytest.param(each, id=str(each), marks=() if each in (WINDOWS[4], WINDOWS[11]) else FULL) for each in WINDOWS],
)
def test_a_promotion_that_another_machine_overtakes_at_any_of_its_steps(base, tmp_path, audit_promotion, moment):
    """The first stands still at a step until the other has promoted; it began earlier, so the other has the stage."""
    own = base.copied(tmp_path / "own")
    held = hold(tmp_path, moment)
    first = own.machine.start(*promotion(MODEL, base.runs[2]), traps=[held])
    held.wait_for_it()
    second = own.machine.other().start(*promotion(MODEL, base.runs[3])).wait()
    held.release()
    endings = [first.wait(), second]
    told = assert_fair(endings)
    found = audit_promotion(own, "a promotion overtaken at a step, two machines, SQLite", told=told, what=moment)
    other = next(
        each.version for each in own.machine.client.search_model_versions(f"run_id = '{base.runs[3]}'") if each.name == MODEL
    )
    assert (endings[0].code, endings[1].code, found.staged) == (TOLD, 0, [str(other)])
