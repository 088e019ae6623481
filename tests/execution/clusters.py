"""Real Dask clusters for tests: a scheduler and workers as processes, started by Dask's own commands."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

START_SECONDS = 60.0
SOON = 20.0
"""How long, in seconds, something may take on a busy machine that takes no time by itself."""


def wait_until(true, seconds: float = SOON) -> bool:
    deadline = time.monotonic() + seconds
    while not true() and time.monotonic() < deadline:
        time.sleep(0.02)
    return true()


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def pids_of(folder: Path, number: int = 0) -> list[int]:
    """Read which processes measure a trial of the task `pids`: the worker, and what it started."""
    path = folder / f"{number}.pids"
    assert wait_until(path.exists, 60)
    return list(map(int, path.read_text().split()))


@dataclass
class Cluster:
    """A scheduler on this machine, and workers with a nanny each.

    Args:
        folder: For what they write.
        modules: A folder that they import from.
    """

    folder: Path
    modules: Path
    address: str = ""
    scheduler: subprocess.Popen[bytes] | None = None
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, workers: int = 0) -> Cluster:
        file = self.folder / "scheduler.json"
        command = ["scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file)]
        self.scheduler = self._run(command, {})
        assert wait_until(file.exists, START_SECONDS)
        assert wait_until(lambda: file.read_text().endswith("}"), START_SECONDS)
        self.address = json.loads(file.read_text())["address"]
        for _ in range(workers):
            self.add_worker()
        self.wait_for(workers)
        return self

    def wait_for(self, workers: int) -> None:
        """Wait until as many workers have joined."""
        from distributed import Client

        with Client(self.address, set_as_default=False) as client:
            assert wait_until(lambda: len(client.nthreads()) == workers, START_SECONDS)

    def add_worker(self, **environment: str) -> subprocess.Popen[bytes]:
        command = ["worker", self.address, "--nthreads", "1", "--no-dashboard", "--local-directory", str(self.folder)]
        self.workers.append(self._run(command, environment))
        return self.workers[-1]

    def _run(self, arguments: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
        path = os.pathsep.join([environment.pop("PYTHONPATH", ""), str(self.modules), os.environ.get("PYTHONPATH", "")])
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "dask", *arguments],
                env={**os.environ, "PYTHONPATH": path.strip(os.pathsep), **environment},
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )

    def stop(self) -> None:
        for process in [*self.workers, self.scheduler]:
            if process is not None and process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in [*self.workers, self.scheduler]:
            if process is not None:
                try:
                    process.wait(timeout=15)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def dask_worker_of(pid: int) -> int:
    """Find the Dask worker process in whose service a process measures, by way of the server that forked it."""
    return psutil.Process(pid).parents()[1].pid
