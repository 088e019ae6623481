"""Ctrl-C once and twice, and SIGTERM: everything is closed, and the sweep can be resumed."""

from __future__ import annotations

import signal
import time

import pytest
from tests.faults.faultkit.audit import all_runs, sweeps
from tests.faults.faultkit.place import SEARCHES, Command, Ended, Place

INTERRUPTED = 130
PAUSES = {"estimator": 0.4, "function": 0.4, "command": 0.25}
"""How long a trial takes; those of commands do not begin before the parent run is made."""

SIGNALS = [
    pytest.param(signal.SIGINT, id="SIGINT"),
    pytest.param(signal.SIGTERM, id="SIGTERM", marks=pytest.mark.full_form),
]


def under_way(place: Place, kind: str) -> Command:
    place.write_config(SEARCHES["grid"], kind=kind, pause=PAUSES[kind])
    command = place.run()
    place.wait_until_under_way(command)
    return command


def stopped(place: Place, command: Command) -> Ended:
    """Wait for the end of a command that was stopped, and see that everything of it is."""
    ended = command.wait(60)
    assert ended.code == INTERRUPTED, ended
    assert "Traceback" not in ended.stderr
    (parent,) = sweeps(place.client)
    assert f"wine-sweep resume {parent.info.run_id}" in ended.stderr
    assert {run.info.status for run in all_runs(place.client)} == {"FINISHED", "KILLED"}
    assert parent.info.status == "KILLED"
    assert place.client.search_registered_models() == []
    place.assert_nothing_left_over(within=5)
    return ended


def resumed(place: Place) -> None:
    ended = place.resume().wait()
    assert ended.code == 0, ended


@pytest.mark.parametrize("kind", ["estimator", pytest.param("function", marks=pytest.mark.full_form), "command"])
@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_lets_what_runs_finish(place, audit, number, kind):
    command = under_way(place, kind)
    command.send(number)
    stopped(place, command)
    assert place.fitting() == {}
    assert len(place.notes("began")) == len(place.notes("ended"))
    resumed(place)
    began = [params for _, params in place.notes("began")]
    assert len(began) == len({*began}) + place.kind.notes_winner  # nothing was measured twice, but for the winner's fits
    audit(place, f"{number.name} once")


@pytest.mark.full_form
@pytest.mark.parametrize("kind", PAUSES)
@pytest.mark.parametrize("second", SIGNALS)
def test_the_second_signal_stops_at_once(place, audit, second, kind):
    command = under_way(place, kind)
    command.send(signal.SIGINT)
    time.sleep(0.05)
    command.send(second)
    sent = time.monotonic()
    stopped(place, command)
    assert time.monotonic() - sent < 15
    resumed(place)
    audit(place, f"SIGINT, then {second.name}")


@pytest.mark.full_form
@pytest.mark.parametrize("kind", PAUSES)
def test_what_runs_for_longer_than_the_grace_is_killed(place, audit, kind):
    place.write_config(
        "{method: grid, parameters: {shift: [0.1, 0.4], deed: [work, hang]}}",
        kind=kind,
        execution="{backend: processes, workers: 2, grace: 2s, trial_timeout: 10s}",
    )
    command = place.run()
    place.wait_until(lambda: [params[-1] for params in place.fitting().values()] == ["hang", "hang"], command)
    place.wait_until(lambda: len(all_runs(place.client)) == 5, command)
    command.send(signal.SIGINT)
    sent = time.monotonic()
    stopped(place, command)
    assert 1.5 < time.monotonic() - sent < 15
    assert sum(run.info.status == "KILLED" for run in all_runs(place.client)) == 3
    resumed(place)
    audit(place, "SIGINT while trials hang", search=None, expected=4)
