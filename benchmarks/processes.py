"""Whole processes, timed from outside: how long one takes, and how large the largest process becomes that it consists of."""

from __future__ import annotations

import contextlib
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import psutil

LOOK_SECONDS = 0.25


@dataclass(frozen=True)
class Finished:
    """A process that has ended well.

    Args:
        seconds: From its start to its end.
        started: When it started, in seconds since the epoch.
        memory: Of it and all below it, the most resident memory that the largest process had, in MB.
        output: What it printed on stdout.
    """

    seconds: float
    started: float
    memory: float
    output: str


def run(command: Sequence[str], folder: pathlib.Path, environment: Mapping[str, str] | None = None) -> Finished:
    """Run a command to its end.

    Args:
        command: Its words.
        folder: Where it runs; its tracking store is `mlflow.db` there.
        environment: Variables beside ours.

    Raises:
        RuntimeError: It failed; with what it printed last.
    """
    variables = {"MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}", "MLFLOW_DISABLE_TELEMETRY": "true"}
    variables |= {"PYTHONPATH": str(pathlib.Path(__file__).parents[1]), **(environment or {})}
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        began, started = time.perf_counter(), time.time()
        process = subprocess.Popen(  # noqa: S603  # our own commands
            command, cwd=folder, env={**os.environ, **variables}, stdout=output, stderr=errors
        )
        look = _Look(process.pid)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        memory = max(look.end(), usage.ru_maxrss / (1024 if sys.platform == "linux" else 2**20))
        output.seek(0)
        errors.seek(0)
        if process.returncode:
            raise RuntimeError(f"{' '.join(command)} failed ({process.returncode}):\n{errors.read()[-2000:]}")
        return Finished(seconds, started, memory, output.read())


class _Look:
    """Looks at a process and all below it a few times a second; what the system tells of it at its end comes on top."""

    def __init__(self, pid: int) -> None:
        self._largest = 0
        self._over = threading.Event()
        self._root = psutil.Process(pid)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def end(self) -> float:
        """Give the largest size seen, in MB."""
        self._over.set()
        self._thread.join()
        return self._largest / 2**20

    def _run(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            with contextlib.suppress(psutil.Error):
                for process in [self._root, *self._root.children(recursive=True)]:
                    with contextlib.suppress(psutil.Error):
                        self._largest = max(self._largest, _peak(process))


def _peak(process: psutil.Process) -> int:
    """Give the most memory that a process ever had, in bytes; where the system does not tell, what it has now."""
    with contextlib.suppress(OSError):
        for line in pathlib.Path(f"/proc/{process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    return int(process.memory_info().rss)
