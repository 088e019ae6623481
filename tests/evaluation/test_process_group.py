"""A process in a group of its own, which is gone when whoever started it is, however that ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from wine_sweep.evaluation.command import start_in_group, wait_for_exit

STARTER = """
import os, sys, time
from pathlib import Path
from wine_sweep.evaluation.command import start_in_group, wait_for_exit
with open(os.devnull, "wb") as null:
    with start_in_group(["sh", "-c", "trap '' TERM INT HUP; sleep 300 & exec sleep 301"], folder=Path.cwd(),
                  environment=dict(os.environ), stdout=sys.stdout.buffer, stderr=null) as process:
        print(process.pid, flush=True)
        wait_for_exit(process)
"""

KILLED_AT_THE_FORK = """
import os, signal, sys, time
from pathlib import Path
from wine_sweep.evaluation.command import start_in_group

def in_the_child():
    os.write(1, str(os.getpid()).encode())
    time.sleep(0.3)

os.register_at_fork(after_in_parent=lambda: os.kill(os.getpid(), signal.SIGKILL), after_in_child=in_the_child)
with start_in_group(["sh", "-c", "touch begun; sleep 300"], folder=Path.cwd(),
              environment=dict(os.environ), stdout=sys.stdout.buffer, stderr=sys.stderr.buffer):
    time.sleep(300)
"""


def members(group: int) -> list[int]:
    """Give the living processes of a group."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except (psutil.Error, ProcessLookupError):
            continue
    return found


def gone(group: int, within: float = 5) -> bool:
    deadline = time.monotonic() + within
    while members(group) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not members(group)


def started(words, folder: Path, **environment):
    output = (folder / "out").open("wb")
    return start_in_group(words, folder=folder, environment={**os.environ, **environment}, stdout=output, stderr=output)


def test_it_runs_in_a_group_of_its_own_with_the_folder_and_variables_given(tmp_path):
    with started(["sh", "-c", "pwd; echo $COLOUR; cat; ps -o pgid= -p $$"], tmp_path, COLOUR="red") as process:
        assert wait_for_exit(process)
    assert process.returncode == 0
    where, colour, group = (tmp_path / "out").read_text().split()
    assert (Path(where), colour, int(group)) == (tmp_path, "red", process.pid)
    assert process.pid != os.getpgrp()


def test_what_it_has_left_running_ends_with_it(tmp_path):
    with started(["sh", "-c", "trap '' TERM; sleep 300 & sleep 301 & exit 3"], tmp_path) as process:
        wait_for_exit(process)
        assert len(members(process.pid)) == 2
    assert process.returncode == 3
    assert gone(process.pid)


def test_leaving_early_kills_it(tmp_path):
    with started(["sleep", "300"], tmp_path) as process:
        assert not wait_for_exit(process, 0.05)
    assert process.returncode == -signal.SIGKILL


def test_a_wait_ends_when_the_process_does_and_not_when_the_time_is_up(tmp_path):
    began = time.monotonic()
    with started(["sleep", "0.1"], tmp_path) as process:
        assert wait_for_exit(process, 30)
    assert 0.1 <= time.monotonic() - began < 5
    assert process.returncode == 0


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the kernel is not asked to kill it")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_is_killed_when_whoever_started_it_is_with_all_that_it_started(tmp_path, number):
    starter = subprocess.Popen([sys.executable, "-c", STARTER], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    group = int(starter.stdout.readline())
    deadline = time.monotonic() + 5
    while len(members(group)) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(members(group)) == 2
    starter.send_signal(number)
    starter.wait(timeout=10)
    assert gone(group)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the kernel is not asked to kill it")
def test_it_does_not_even_begin_when_whoever_starts_it_is_killed_while_it_is_started(tmp_path):
    command = [sys.executable, "-c", KILLED_AT_THE_FORK]
    starter = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False)
    assert starter.returncode == -signal.SIGKILL
    assert gone(int(starter.stdout))
    assert not (tmp_path / "begun").exists()


def test_a_program_that_is_not_there_is_an_error_and_leaves_no_pipe_open(tmp_path):
    before = len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0
    with pytest.raises(FileNotFoundError), started(["no-such-program"], tmp_path):
        pass
    after = len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0
    assert after <= before + 1  # the output that the test itself has open
