"""Whose results count where a sweep was taken over, and how long nothing was heard of its owner."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wine_sweep.errors import OwnershipError
from wine_sweep.tracking import local_state, names
from wine_sweep.tracking.encoding import SweepHeader
from wine_sweep.tracking.local_state import Owner, Stopwatch, TakenOver, number_of
from wine_sweep.tracking.lock import LATE_SECONDS, SweepLease
from wine_sweep.tracking.reader import SweepReader
from wine_sweep.tracking.runs import SweepRuns
from wine_sweep.trial import Score, Trial, TrialState

FIRST, SECOND, THIRD = "1-aa", "2-bb", "3-cc"


@given(st.sets(st.integers(0, 300)), st.integers(0, 301))
def test_what_was_there_counts_and_what_came_late_does_not(numbers, number):
    found = TakenOver.from_tags({names.TAKEN_OVER: TakenOver.from_results(SECOND, numbers).text()})
    assert found == TakenOver.from_results(SECOND, numbers)
    assert found.counts(number, FIRST) == (number in numbers)
    assert found.counts(number, "2-of another that took over at the same moment") == (number in numbers)
    assert found.counts(number, SECOND)
    assert found.counts(number, THIRD)
    assert found.counts(number, None)


def test_more_than_a_tag_holds_counts_from_some_number_on():
    numbers = range(0, 20_000, 2)
    text = TakenOver.from_results(SECOND, numbers).text()
    assert len(text) <= names.MAX_TAG
    found = TakenOver.from_tags({names.TAKEN_OVER: text})
    assert all(found.counts(number, FIRST) for number in numbers)
    assert not found.counts(1, FIRST)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "null", "{", "7", '{"by":"2-b"}', '{"by":"2-b","results":7}', '{"by":"2-b","results":"x-y"}', "[" * 9999],
)
def test_a_tag_that_cannot_be_read_counts_everything(text):
    assert TakenOver.from_tags({names.TAKEN_OVER: text}) is None


def test_a_row_of_any_length_takes_no_time():
    found = TakenOver.from_tags({names.TAKEN_OVER: json.dumps({"by": SECOND, "results": "0-99999999999999999"})})
    assert found.counts(10**9, FIRST)


@pytest.mark.parametrize(("token", "number"), [("12-ab", 12), ("ab", 0), ("", 0), ("-1-a", 0), ("²-a", 0), ("9" * 99 + "-a", 0)])
def test_the_number_of_a_token(token, number):
    assert number_of(token) == number


def test_a_stopwatch_believes_the_clock_that_says_most(monkeypatch):
    watch = Stopwatch()
    booted, wall = local_state._readings()
    monkeypatch.setattr(local_state, "_readings", lambda: (booted + 1, wall + 3600))
    assert watch.seconds > 3599, "a virtual machine was paused"
    monkeypatch.setattr(local_state, "_readings", lambda: (booted + 60, wall - 3600))
    assert 59 < watch.seconds < 120, "somebody has set the clock back"
    monkeypatch.undo()
    monkeypatch.delattr(time, "CLOCK_BOOTTIME", raising=False)
    assert 0 <= Stopwatch().seconds < 5


class Sleeper:
    """A claim that is as old as a test wants."""

    def __init__(self, monkeypatch) -> None:
        self.slept = 0.0
        real = local_state._readings
        monkeypatch.setattr(local_state, "_readings", lambda: tuple(each + self.slept for each in real()))


@pytest.fixture
def held(store, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(store.folder / "state"))
    sleeper, client = Sleeper(monkeypatch), store.client
    claim = SweepLease(client, Owner.here(), sleep=lambda _: None)
    claim.take(client.create_run("0", run_name="a-sweep").info.run_id)
    return claim, sleeper, client


def taken_over_by(claim: SweepLease) -> dict[str, str]:
    other = replace(Owner("2-other", "another", "gpu-7", 4711))
    return {names.OWNER: other.text(), names.OWNERSHIP: other.token}


def test_an_owner_that_was_silent_says_that_it_is_alive_before_it_writes(held):
    claim, sleeper, client = held
    claim.ensure()
    assert Owner.from_tag(client.get_run(claim.run_id).data.tags.get(names.OWNER)).beat == 0, "no call while heartbeats succeed"
    sleeper.slept = LATE_SECONDS + 1
    claim.ensure()
    assert Owner.from_tag(client.get_run(claim.run_id).data.tags.get(names.OWNER)).beat == 1
    claim.ensure()
    assert Owner.from_tag(client.get_run(claim.run_id).data.tags.get(names.OWNER)).beat == 1


def test_an_owner_that_was_silent_hears_who_has_taken_over(held):
    claim, sleeper, client = held
    for key, value in taken_over_by(claim).items():
        client.set_tag(claim.run_id, key, value)
    claim.ensure()
    sleeper.slept = 100
    with pytest.raises(OwnershipError, match=r"taken over by process 4711 on gpu-7, since nothing was heard .* for 1m40s"):
        claim.ensure()
    sleeper.slept = 0
    with pytest.raises(OwnershipError, match="taken over"):
        claim.ensure()


def test_a_heartbeat_that_comes_late_does_not_take_a_sweep_back(held):
    claim, sleeper, client = held
    late = claim.owner
    (owner, token) = taken_over_by(claim).values()
    client.set_tag(claim.run_id, names.OWNERSHIP, token)
    client.set_tag(claim.run_id, names.OWNER, late.text())
    sleeper.slept = 100
    with pytest.raises(OwnershipError, match="was taken over by another process, since"):
        claim.beat()
    winner = SweepLease(client, Owner.from_tag(owner), sleep=lambda _: None)
    winner.run_id = claim.run_id
    winner.beat()
    assert Owner.from_tag(client.get_run(claim.run_id).data.tags.get(names.OWNER)).token == token


def test_a_version_without_numbers_takes_over_by_a_heartbeat_alone(held):
    claim, _, client = held
    client.set_tag(claim.run_id, names.OWNER, Owner("f" * 32, "another", "old", 1).text())
    with pytest.raises(OwnershipError):
        claim.beat()


def measured(number: int, value: float = 1.0) -> Trial:
    return Trial(number, {"a": number}, TrialState.FINISHED, {"m": Score(value)}, started=1.7e9, ended=1.7e9 + 1)


@pytest.mark.slow
def test_a_child_run_that_was_begun_after_the_sweep_was_lost_does_not_count(store, monkeypatch):
    tags = {names.KIND: "sweep", names.OBJECTIVE: "m", names.DIRECTION: "minimize", names.JOURNAL: "f" * 32}
    header = SweepHeader("sweep", "experiment", 1.7e9, {}, tags, {})
    monkeypatch.setenv("XDG_STATE_HOME", str(store.folder / "one"))
    first = SweepRuns.begin(store.client, header)
    for number in (0, 1):
        first.start_trial(Trial(number, {"a": number}), 1.7e9)
    first.finish_trial(measured(0))
    store.client.set_terminated(first.run_id, "KILLED")  # so that nobody watches for 35 s
    monkeypatch.setenv("XDG_STATE_HOME", str(store.folder / "two"))
    reader = SweepReader(store.client)
    second = SweepRuns.take_over(store.client, reader.find("latest"))
    second.close_left_open(first.trial_run_ids[1], TrialState.KILLED, at=1.7e9)
    second.note_results([0])
    first.finish_trial(measured(1))
    first.start_trial(Trial(2, {"a": 2}), 1.7e9)
    first.finish_trial(measured(2))
    states = {trial.number: trial.state for trial in reader.trials(reader.find("latest"))}
    assert states == {0: TrialState.FINISHED, 1: TrialState.KILLED, 2: TrialState.KILLED}
    second.start_trial(Trial(1, {"a": 1}), 1.7e9)
    second.finish_trial(measured(1, 7.0))
    by_number = {trial.number: trial for trial in reader.trials(reader.find("latest"))}
    assert (by_number[1].state, by_number[1].scores["m"].mean) == (TrialState.FINISHED, 7.0)
    first.release()
    second.release()
