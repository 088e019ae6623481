"""An orchestrator that stands still while another machine takes its sweep over: whatever it writes later, a trial counts once."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import signal
import sqlite3
import time
import uuid
from collections.abc import Callable

import psutil
import pytest
from mlflow.entities import Run
from tests.faults.faultkit.audit import PARENT, TRIAL, all_runs, sweeps
from tests.faults.faultkit.place import SEARCHES, Ended, Place
from tests.faults.faultkit.promoting import CONFIG, DEPTHS, Forked, Machine, Trap, hold

from wine_sweep.tracking.lock import LATE_SECONDS

REFUSED = 2
WRITES = "wine_sweep.tracking.runs.SweepRuns._log_result"
MAKES = "mlflow.MlflowClient.create_run"
HELD = {
    "a result that is not written": Trap(WRITES, 2),
    "a run that is not made": Trap(MAKES, 4),
    "a result that is half written": Trap(WRITES, 2, after=True),
    "a run that is made": Trap(MAKES, 4, after=True),
    "a heartbeat that is not written": Trap("wine_sweep.tracking.lock.SweepLease._write", 1),
}


def stop_all(place: Place) -> list[psutil.Process]:
    """Stop every process of a place, as a machine that goes to sleep does; at a moment when it does not hold the database."""
    while True:
        stopped = place.left_over()
        for process in stopped:
            process.suspend()
        with contextlib.closing(sqlite3.connect(place.folder / "mlflow.db", timeout=0.5)) as database:
            try:
                database.execute("BEGIN EXCLUSIVE").connection.rollback()
            except sqlite3.OperationalError:
                wake(stopped)
                time.sleep(0.05)
                continue
        return stopped


def wake(processes: list[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.resume()


def journals(place: Place) -> list[str]:
    return [path.name for path in (place.state / "wine-sweep" / "journals").glob("*")]


def took_over(place: Place) -> bool:
    """Whether the sweep has been taken over, and something been measured since."""
    owner = sweeps(place.client)[0].data.tags.get("wine_sweep.ownership", "")
    made = [run for run in all_runs(place.client) if run.data.tags.get("wine_sweep.made_by") == owner]
    return owner.startswith("2-") and any(run.info.status == "FINISHED" for run in made)


def says_who(told: Ended, pid: int) -> bool:
    """Whether a process says which one has its sweep; it cannot where its own late heartbeat has taken the place of the name."""
    words = " ".join(told.stderr.split())
    return re.search(f"was taken over by (process {pid} on|another process, since)", words) is not None


@pytest.mark.parametrize("wakes", ["while the other runs", pytest.param("after the other", marks=pytest.mark.full_form)])
def test_a_machine_that_slept_writes_nothing_once_another_has_its_sweep(place, audit, nothing_runs, wakes):
    place.write_config(SEARCHES["grid"], pause=0.2)
    first = place.run()
    place.wait_until_under_way(first)
    stopped = stop_all(place)
    journal = journals(place)
    assert journal
    folder = place.folder / "elsewhere"
    folder.mkdir()
    elsewhere = Place(folder, place.uri, kind=place.kind)
    try:
        second = elsewhere.resume()
        if wakes == "while the other runs":
            elsewhere.wait_until(lambda: took_over(place), second)
            wake(stopped)
        ended = second.wait()
        wake(stopped)
        assert ended.code == 0, ended
        told = first.wait(60)
    finally:
        elsewhere.clear()
    assert told.code == REFUSED, told
    assert "Traceback" not in told.stderr
    words = " ".join(told.stderr.split())
    assert says_who(told, second.pid), told
    assert "nothing was heard of this process for" in words
    assert "this process ends and changes nothing of the sweep" in words
    assert journals(place) == [], "what is in it is measured by the other"
    audit(place, "a machine that slept, and another that took over")
    nothing_runs(place)
    place.assert_nothing_left_over()


@pytest.fixture
def new_machine(warm, migrated, tmp_path) -> Callable[[], Machine]:
    """Make machines, each with a SQLite store of its own."""

    def make() -> Machine:
        folder = tmp_path / uuid.uuid4().hex
        folder.mkdir()
        shutil.copy(migrated, folder / "mlflow.db")
        (folder / "trees.yaml").write_text(CONFIG)
        return Machine(warm, folder, f"sqlite:///{folder / 'mlflow.db'}")

    return make


def trials_of(machine: Machine) -> list[tuple[str, str]]:
    """Give the number and the status of every child run."""
    return sorted((run.data.tags[TRIAL], run.info.status) for run in all_runs(machine.client) if PARENT in run.data.tags)


def take_over(machine: Machine, held: str) -> tuple[Forked, Trap, Machine, Forked, Trap]:
    """Start a sweep, hold it there, and have another machine go on with it up to its end, which it is held at."""
    trap = hold(machine.folder, HELD[held])
    first = machine.start("run", "trees.yaml", "--quiet", traps=[trap])
    trap.wait_for_it()
    (parent,) = sweeps(machine.client)
    machine.client.set_terminated(parent.info.run_id, "KILLED")  # by hand; so that nobody watches for 35 s
    other = machine.other()
    ends = hold(machine.folder, Trap("wine_sweep.tracking.runs.SweepRuns.end"))
    second = other.start("resume", "latest", traps=[ends])
    ends.wait_for_it()
    return first, trap, other, second, ends


def counts_as(run: Run, number: str) -> bool:
    return (run.data.tags.get(TRIAL), run.info.status) == (number, "FINISHED")


def counted(machine: Machine) -> list[int]:
    """Give the numbers of the trials that `compare` counts as finished."""
    rows = json.loads(machine.do("compare", "latest", "--format", "json").stdout)
    return sorted(row["trial"] for row in rows if row["state"] == "finished")


def test_what_is_written_in_the_moment_between_a_look_and_a_take_over_does_not_count(new_machine, nothing_runs, times):
    """Each is held where it has looked who the owner is and not written yet, until it has been silent for too long."""
    held = list(HELD)[: times(len(HELD), 2)]
    taken = {each: take_over(new_machine(), each) for each in held}
    time.sleep(LATE_SECONDS)
    for each, (first, trap, other, second, ends) in taken.items():
        trap.release()
        told = first.wait()
        ends.release()
        ended = second.wait()
        assert ended.code == 0, (each, ended)
        assert told.code == REFUSED, (each, told)
        assert "Traceback" not in told.stderr, (each, told)
        assert says_who(told, second.pid), (each, told)
        assert "this process ends and changes nothing of the sweep" in told.stderr, (each, told)
        assert counted(other) == list(range(DEPTHS)), each
        finished = [number for number, status in trials_of(other) if status == "FINISHED"]
        assert finished == [str(number) for number in range(DEPTHS)], each
        assert sweeps(other.client)[0].info.status == "FINISHED", each
        assert len(other.client.search_model_versions()) == 1, each
        nothing_runs(other)


def test_a_process_that_dies_right_after_such_a_write_leaves_what_readers_do_not_count(new_machine):
    """Nobody takes the write back then, and still the trial counts once."""
    machine = new_machine()
    late = hold(machine.folder, HELD["a result that is not written"])
    dies = Trap("wine_sweep.tracking.runs.SweepRuns.finish_trial", 2, after=True, kill=True)
    first = machine.start("run", "trees.yaml", "--quiet", traps=[late, dies])
    late.wait_for_it()
    (parent,) = sweeps(machine.client)
    machine.client.set_terminated(parent.info.run_id, "KILLED")
    other = machine.other()
    other.do("resume", "latest")
    late.release()
    assert first.wait().code == -signal.SIGKILL
    finished = [number for number, status in trials_of(machine) if status == "FINISHED"]
    assert len(finished) == DEPTHS + 1, "it was written"
    assert counted(other) == list(range(DEPTHS))
    assert "Nothing to do" in other.do("resume", "latest").stdout
    assert f"{DEPTHS}/{DEPTHS}" in other.do("list").stdout
    (mine,) = [run for run in all_runs(machine.client) if counts_as(run, "1") and "wine_sweep.closed_by" not in run.data.tags]
    machine.client.delete_run(mine.info.run_id)
    assert counted(other) == [0, 2, 3], "the late result does not take the place of one that is gone"
