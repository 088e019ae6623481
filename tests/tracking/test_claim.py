"""Who runs a sweep: one process at a time, and another only when that one is dead."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from wine_sweep.errors import OwnershipError
from wine_sweep.tracking import names
from wine_sweep.tracking.local_state import Owner, machine_id, state_folder
from wine_sweep.tracking.lock import SETTLE_SECONDS, SILENCE_SECONDS, SweepLease, is_lost

HOLDER = """
import sys, time
from mlflow import MlflowClient
from wine_sweep.tracking.lock import SweepLease
from wine_sweep.tracking.local_state import Owner
claim = SweepLease(MlflowClient(sys.argv[1]), Owner.here())
claim.take(sys.argv[2])
print("held", flush=True)
time.sleep(600)
"""


@pytest.fixture(autouse=True)
def _state(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def parent(store) -> str:
    return store.client.create_run("0", run_name="a-sweep").info.run_id


class Clock:
    """Counts what is slept, and does something while it sleeps."""

    def __init__(self, meanwhile=lambda slept: None) -> None:
        self.slept = 0.0
        self._meanwhile = meanwhile

    def __call__(self, seconds: float) -> None:
        self.slept += seconds
        self._meanwhile(self.slept)


def far_away(**changes) -> Owner:
    return replace(Owner("a-token", "another", "gpu-7", 4711), **changes)


def tag(store, run_id: str, owner: Owner) -> None:
    store.client.set_tag(run_id, names.OWNER, owner.text())


@pytest.mark.slow
def test_a_sweep_that_nobody_has_is_taken(store, parent):
    clock = Clock()
    claim = SweepLease(store.client, Owner.here(), sleep=clock)
    claim.take(parent)
    assert Owner.from_tag(store.client.get_run(parent).data.tags.get(names.OWNER)) == claim.owner
    assert clock.slept == SETTLE_SECONDS
    claim.beat()
    assert Owner.from_tag(store.client.get_run(parent).data.tags.get(names.OWNER)).beat == 1
    claim.release()
    claim.release()
    assert list((state_folder() / "locks").iterdir()) == []


@pytest.mark.slow
def test_a_process_that_lives_on_this_machine_keeps_it_and_a_dead_one_does_not(store, parent):
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, store.uri, parent], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        assert not is_lost(parent, store.client.get_run(parent).data.tags)
        with pytest.raises(OwnershipError, match=f"'a-sweep' is being run by process {holder.pid} on "):
            SweepLease(store.client, Owner.here()).take(parent)
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    assert is_lost(parent, store.client.get_run(parent).data.tags)
    clock = Clock()
    SweepLease(store.client, Owner.here(), sleep=clock).take(parent)
    assert clock.slept == SETTLE_SECONDS


@pytest.mark.slow
def test_a_lock_that_somebody_deletes_is_no_death(store, parent):
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, store.uri, parent], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        for lock in (state_folder() / "locks").iterdir():
            lock.unlink()
        assert not is_lost(parent, store.client.get_run(parent).data.tags)
        beating = Owner.from_tag(store.client.get_run(parent).data.tags.get(names.OWNER))
        clock = Clock(lambda slept: tag(store, parent, replace(beating, beat=9)) if slept == 12.0 else None)
        with pytest.raises(OwnershipError, match=f"process {holder.pid} on "):
            SweepLease(store.client, Owner.here(), sleep=clock).take(parent)
    finally:
        holder.kill()
        holder.wait()
    assert is_lost(parent, store.client.get_run(parent).data.tags)


@pytest.mark.slow
def test_a_machine_with_the_same_id_and_another_name_is_another(store, parent):
    """As where a home folder or an image was copied."""
    tag(store, parent, replace(Owner.here(), host="copied", beat=3))
    assert not is_lost(parent, store.client.get_run(parent).data.tags)
    clock = Clock()
    SweepLease(store.client, Owner.here(), sleep=clock).take(parent)
    assert clock.slept == SILENCE_SECONDS + SETTLE_SECONDS


def test_an_owner_on_another_machine_that_says_something_is_alive(store, parent):
    tag(store, parent, far_away())
    clock = Clock(lambda slept: tag(store, parent, far_away(beat=1)) if slept == 12.0 else None)
    with pytest.raises(OwnershipError, match="process 4711 on gpu-7"):
        SweepLease(store.client, Owner.here(), sleep=clock).take(parent)
    assert clock.slept == 12.0
    assert list((state_folder() / "locks").iterdir()) == []


@pytest.mark.slow
def test_an_owner_on_another_machine_that_stays_silent_is_dead(store, parent):
    tag(store, parent, far_away(beat=3))
    assert not is_lost(parent, store.client.get_run(parent).data.tags), "nobody here can know"
    clock = Clock()
    SweepLease(store.client, Owner.here(), sleep=clock).take(parent)
    assert clock.slept == SILENCE_SECONDS + SETTLE_SECONDS


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_an_owner_on_another_machine_that_ended_its_sweep_is_not_waited_for(store, parent, when):
    tag(store, parent, far_away())
    end = lambda slept: store.client.set_terminated(parent, "KILLED")  # noqa: E731
    if when == "before":
        end(0)
    clock = Clock(end if when == "meanwhile" else lambda slept: None)
    SweepLease(store.client, Owner.here(), sleep=clock).take(parent)
    assert clock.slept <= 3 * SETTLE_SECONDS


@pytest.mark.slow
def test_of_two_that_take_over_at_the_same_moment_the_one_that_wrote_last_has_it(store, parent):
    other = far_away()
    with pytest.raises(OwnershipError, match="gpu-7"):
        SweepLease(store.client, Owner.here(), sleep=Clock(lambda slept: tag(store, parent, other))).take(parent)
    assert Owner.from_tag(store.client.get_run(parent).data.tags.get(names.OWNER)) == other


@pytest.mark.slow
def test_whoever_was_taken_over_hears_of_it_at_the_next_beat(store, parent):
    claim = SweepLease(store.client, Owner.here(), sleep=Clock())
    claim.take(parent)
    tag(store, parent, far_away())
    with pytest.raises(OwnershipError, match="gpu-7"):
        claim.beat()
    assert Owner.from_tag(store.client.get_run(parent).data.tags.get(names.OWNER)) == far_away()


@pytest.mark.parametrize("beat", [0, 1])
def test_a_sweep_that_has_just_begun_is_not_lost_before_its_process_holds_it(store, parent, beat):
    owner = replace(Owner.here(), beat=beat)
    tag(store, parent, owner)
    assert is_lost(parent, store.client.get_run(parent).data.tags) == (beat == 1)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    tag(store, parent, replace(owner, pid=gone.pid))
    assert is_lost(parent, store.client.get_run(parent).data.tags)


NONSENSE = json.dumps({"token": [], "machine": "a", "host": "b", "pid": 1})


@pytest.mark.slow
@pytest.mark.parametrize("text", ["", "?", "[]", "{}", json.dumps({"who": 1}), "null", NONSENSE])
def test_a_tag_that_is_no_owner_counts_as_none(store, parent, text):
    store.client.set_tag(parent, names.OWNER, text)
    assert Owner.from_tag(store.client.get_run(parent).data.tags.get(names.OWNER)) is None
    SweepLease(store.client, Owner.here(), sleep=Clock()).take(parent)


def test_a_machine_has_one_id(tmp_path, monkeypatch):
    first = machine_id()
    assert machine_id() == first
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "elsewhere"))
    assert machine_id() != first


def test_where_no_lock_can_be_kept_others_have_to_watch_for_signs_of_life(store, parent, caplog):
    (state_folder() / "locks").write_text("a file where a folder should be")
    claim = SweepLease(store.client, Owner.here(), sleep=Clock())
    claim.take(parent)
    claim.beat()
    assert "no lock can be kept" in caplog.text
    (state_folder() / "locks").unlink()
    clock = Clock(lambda slept: claim.beat() if slept == 10.0 else None)
    with pytest.raises(OwnershipError, match="is being run by process"):
        SweepLease(store.client, Owner.here(), sleep=clock).take(parent)
    assert clock.slept == 10.0
    claim.release()
