"""The tracking store goes away: computing goes on, results wait on disk, and all of them stand in MLflow once it is back."""

from __future__ import annotations

import re
import signal
import sqlite3
import time
from pathlib import Path

import pytest
from tests.faults.faultkit.place import SEARCHES, Command, Place
from tests.faults.faultkit.server import ManagedServer

EXECUTION = "{backend: processes, workers: 2, grace: 5s, tracking_timeout: %s}"
FULL = pytest.mark.full_form


def assert_measured_once(place: Place, *commands: Command) -> None:
    """Fail when a trial was measured twice; the winner is fitted again by the orchestrator itself."""
    own = {command.pid for command in commands}
    measured = [params for pid, params in place.notes("began") if pid not in own]
    assert len(measured) == len(set(measured))


def wait_for_more(place: Place, command: Command, count: int) -> None:
    """Wait until more trials have ended; those of commands that run, since the others wait for their runs to be made."""
    if not place.kind.is_command:
        place.wait_for_ended(len(place.notes("ended")) + count, command)
        return
    place.wait_until(lambda: not place.fitting(), command)
    time.sleep(1)
    began = len(place.notes("began"))
    assert not place.fitting()
    time.sleep(1)
    assert len(place.notes("began")) == began


@pytest.mark.parametrize("kind", ["estimator", pytest.param("function", marks=FULL), "command"])
def test_a_server_that_stops_and_starts_again_and_again_costs_no_result(served_place, server, audit, times, kind):
    count = times(5, 2 if kind == "estimator" else 1)
    served_place.write_config(
        SEARCHES["grid"], kind=kind, pause=count * (0.4 if kind == "command" else 0.8), execution=EXECUTION % "5m"
    )
    command = served_place.run()
    served_place.wait_until_under_way(command)
    for _ in range(count):
        assert command.running
        server.kill()
        wait_for_more(served_place, command, 2)
        server.start()
        time.sleep(2)
    ended = command.wait()
    assert ended.code == 0, ended
    assert_measured_once(served_place, command)
    audit(served_place, "the server stopped and started", times=count)
    served_place.assert_nothing_left_over()


@pytest.mark.parametrize("kind", ["estimator", *(pytest.param(each, marks=FULL) for each in ("function", "command"))])
def test_a_server_that_never_comes_back_ends_the_sweep_and_resume_writes_what_waits(served_place, server, audit, kind):
    served_place.write_config(SEARCHES["grid"], kind=kind, pause=0.6, execution=EXECUTION % "6s")
    command = served_place.run()
    served_place.wait_until_under_way(command)
    served_place.wait_until(lambda: len(served_place.fitting()) == 2, command)
    server.kill()
    ended = command.wait(120)
    assert ended.code == 1, ended
    assert "Traceback" not in ended.stderr
    journal = named_journal(ended.stderr)
    assert served_place.state in journal.parents
    assert journal.stat().st_size > 0
    assert "wine-sweep resume" in ended.stderr
    served_place.assert_nothing_left_over()
    measured = len(served_place.notes("ended"))
    refused = served_place.resume().wait(120)
    assert (refused.code, len(served_place.notes("ended"))) == (1, measured)
    server.start()
    resumed = served_place.resume()
    assert resumed.wait().code == 0, resumed.text()
    assert_ended_once(served_place, resumed)
    audit(served_place, "the server never started again, and resume")


@pytest.mark.full_form
def test_ctrl_c_ends_a_sweep_whose_commands_wait_for_their_runs(served_place, server, audit):
    served_place.write_config(SEARCHES["grid"], kind="command", pause=0.6, execution=EXECUTION % "5m")
    command = served_place.run()
    served_place.wait_until_under_way(command)
    server.kill()
    wait_for_more(served_place, command, 2)
    command.send(signal.SIGINT)
    ended = command.wait(30)
    assert ended.code == 130, ended
    assert "Traceback" not in ended.stderr
    served_place.assert_nothing_left_over()
    server.start()
    resumed = served_place.resume()
    assert resumed.wait().code == 0, resumed.text()
    assert_ended_once(served_place, resumed)
    audit(served_place, "SIGINT while the server is away")


def assert_ended_once(place: Place, *commands: Command) -> None:
    """Fail when a measurement that ended was made again."""
    own = {command.pid for command in commands}
    ended = [params for pid, params in place.notes("ended") if pid not in own]
    assert len(ended) == len(set(ended))


def named_journal(text: str) -> Path:
    """Give the journal that a message names, which may be broken into lines."""
    found = re.search(r"(/\S+\.jsonl)", text.replace("\n", ""))
    assert found, text
    return Path(found[1])


@pytest.mark.full_form
def test_a_sqlite_file_that_somebody_locks_for_a_while_costs_no_result(place, audit, times):
    place.write_config(SEARCHES["grid"], pause=0.6, execution=EXECUTION % "5m")
    command = place.run()
    place.wait_until_under_way(command)
    connection = sqlite3.connect(place.folder / "mlflow.db", timeout=60)
    connection.execute("BEGIN EXCLUSIVE")
    before = len(place.notes("ended"))
    time.sleep(times(25, 12))
    connection.rollback()
    connection.close()
    assert len(place.notes("ended")) > before + 5
    ended = command.wait()
    assert ended.code == 0, ended
    assert_measured_once(place, command)
    audit(place, "a SQLite file that is locked")


@pytest.mark.full_form
@pytest.mark.parametrize("kind", ["estimator", "function", "command"])
def test_the_server_of_a_killed_orchestrator_may_be_gone_too(served_place, server: ManagedServer, audit, kind):
    """Both at once: the journal on disk is all that is left of what ended in the outage."""
    served_place.write_config(SEARCHES["grid"], kind=kind, pause=0.6, execution=EXECUTION % "5m")
    command = served_place.run()
    served_place.wait_until_under_way(command)
    server.kill()
    wait_for_more(served_place, command, 6)
    command.kill()
    served_place.assert_nothing_left_over()
    server.start()
    ended = served_place.resume().wait()
    assert ended.code == 0, ended
    account = audit(served_place, "the server and the orchestrator killed")
    began = [params for _, params in served_place.notes("began")]
    again = len(began) - len(account.results) - served_place.kind.notes_winner
    assert again <= (0 if served_place.kind.is_command else 4)  # at most what ran, and what had just ended, is measured again
