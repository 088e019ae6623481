"""A signal at any moment of a command, its imports too, and a terminal that is closed: one line, and nothing is RUNNING."""

from __future__ import annotations

import fcntl
import os
import pty
import random
import shutil
import signal
import subprocess
import sys
import termios
import time
from contextlib import suppress
from pathlib import Path

import pytest
from tests.faults.faultkit.audit import MODEL, sweeps
from tests.faults.faultkit.place import SEARCHES, Command, Place
from tests.faults.faultkit.promoting import Base

import wine_sweep

INTERRUPTED = 130
SEED = 20
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
COMMANDS = {
    "check": ("check", MODEL, "--data", "new.csv"),
    "refresh": ("refresh", "trees.yaml", "--data", "new.csv", "--force", "--quiet"),
    "promote": ("promote", "trees", "--name", "other"),
    "run": ("run", "trees.yaml", "--quiet"),
}
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc, and closes a terminal as Linux does")


@pytest.fixture
def place(base: Base, tmp_path: Path) -> Place:
    """A place with a copy of the store that has a model, and a few new rows."""
    folder = base.copied(tmp_path / "place").machine.folder
    data = Path(wine_sweep.__file__).parent / "data" / "wine_quality" / "winequality-red.csv"
    header, *rows = data.read_text().replace(";", ",").splitlines()
    folder.joinpath("new.csv").write_text("\n".join([header, *(f"1{row}" for row in rows[:60])]))
    return Place(folder, f"sqlite:///{folder / 'mlflow.db'}")


THROUGH_EXEC = """
import signal, sys, threading
from wine_sweep.cli.app import main
from wine_sweep.tracking import store

def interrupted(_uri):
    exec("signal.raise_signal(signal.SIGINT)", {"signal": signal})

store.open_store = interrupted
threading.Thread(target=threading.Event().wait, daemon=True).start()  # as libraries of arrays have
sys.argv = ["wine-sweep", "list"]
main()
"""
"""Has Ctrl-C come while Python runs a text, as it does where it imports a named tuple."""


def test_an_interruption_in_the_middle_of_an_import_has_the_exit_code_too():
    ended = subprocess.run([sys.executable, "-c", THROUGH_EXEC], capture_output=True, text=True, check=False, timeout=120)
    assert (ended.returncode, ended.stderr) == (INTERRUPTED, "interrupted\n")


def handles(command: Command, number: int) -> bool:
    """Whether a process handles a signal by now: before that, it is Python's own beginning."""
    status = Path(f"/proc/{command.pid}/status").read_text()
    (mask,) = (line.split()[1] for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(mask, 16) & (1 << (number - 1)))


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_that_is_interrupted_at_any_moment_says_so_and_leaves_nothing(place, nothing_runs, times, name):
    draw = random.Random(SEED)
    for index in range(times(12, 2)):
        command = place.start(*COMMANDS[name])
        place.wait_until(lambda command=command: handles(command, signal.SIGHUP), command)
        time.sleep(draw.uniform(0, 6) if index else 0.3)
        command.send(SIGNALS[(index + len(name)) % len(SIGNALS)])
        ended = command.wait(60)
        if ended.code == INTERRUPTED:
            assert "Traceback" not in ended.stderr
            assert ended.stderr.splitlines()[-1] in ("interrupted", "No run was made yet.") or "Go on with:" in ended.stderr, (
                ended
            )
        else:
            assert ended.code in (0, 3), ended
        nothing_runs(place)
        place.assert_nothing_left_over(within=5)


def test_a_sweep_whose_terminal_is_closed_is_closed_too(place, nothing_runs):
    place.write_config(SEARCHES["grid"], pause=0.4)
    master, slave = pty.openpty()
    command = ["run", "sweep.yaml", "--trust", place.kind.trust]
    process = subprocess.Popen(
        [sys.executable, "-m", "wine_sweep", *command],
        cwd=place.folder,
        env=place.variables(),
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509  # takes no lock
    )
    os.close(slave)
    os.set_blocking(master, False)
    started = Command(process, place.folder / "notes.txt", place.folder / "notes.txt")
    before = len(sweeps(place.client))

    def is_under_way() -> bool:
        with suppress(BlockingIOError):
            os.read(master, 1 << 16)  # somebody looks at it
        return len(place.notes("ended")) > 4 and len(sweeps(place.client)) > before

    place.wait_until(is_under_way, started)
    os.close(master)
    assert process.wait(60) == INTERRUPTED
    assert sweeps(place.client)[0].info.status == "KILLED"
    assert len(place.notes("began")) == len(place.notes("ended"))  # what ran had its grace
    nothing_runs(place)
    place.assert_nothing_left_over(within=5)


@pytest.mark.full_form
def test_a_sweep_under_nohup_outlives_its_terminal(place):
    assert shutil.which("nohup")
    place.write_config(SEARCHES["grid"], pause=0.1)
    process = subprocess.Popen(
        ["nohup", sys.executable, "-m", "wine_sweep", "run", "sweep.yaml", "--trust", place.kind.trust, "--quiet"],
        cwd=place.folder,
        env=place.variables(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    started = Command(process, place.folder / "notes.txt", place.folder / "notes.txt")
    place.wait_until(lambda: len(place.notes("ended")) > 4, started)
    process.send_signal(signal.SIGHUP)
    assert process.wait(120) == 0
