"""A Dask worker and the Dask scheduler are killed: real `dask scheduler` and `dask worker` processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import psutil
import pytest
from tests.faults.faultkit.place import SEARCHES, Place
from tests.faults.faultkit.server import free_port

WAIT_SECONDS = 60


@dataclass
class Cluster:
    """A scheduler and its workers, each a process in a session of its own, with the variables of a place."""

    place: Place
    port: int = field(default_factory=free_port)
    scheduler: subprocess.Popen[bytes] | None = None
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    def start(self, workers: int) -> None:
        """Start the scheduler and so many workers with one thread each, and wait until they are there."""
        from distributed import Client

        options = ["--host", "127.0.0.1", "--port", str(self.port), "--no-dashboard"]
        self.scheduler = self._started("scheduler", *options)
        for _ in range(workers):
            self.add_worker()
        with Client(self.address, timeout=WAIT_SECONDS) as client:
            client.wait_for_workers(workers, timeout=WAIT_SECONDS)

    def add_worker(self) -> None:
        options = ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--host", "127.0.0.1"]
        self.workers.append(self._started("worker", self.address, *options))

    def _started(self, kind: str, *options: str) -> subprocess.Popen[bytes]:
        number = len(self.workers)
        with (self.place.folder / f"dask-{kind}-{number}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "dask", kind, *options],
                cwd=self.place.folder,
                env={
                    **self.place.variables(),
                    "PYTHONPATH": os.pathsep.join([os.environ.get("PYTHONPATH", ""), str(self.place.folder)]),
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill_worker(self) -> None:
        """Kill -9 the worker that was started first, with all that it started."""
        kill_with_children(self.workers.pop(0))

    def kill_scheduler(self) -> None:
        kill_with_children(self.scheduler)
        self.scheduler = None

    def stop(self) -> None:
        for process in [*self.workers, *([self.scheduler] if self.scheduler else [])]:
            kill_with_children(process)
        self.workers, self.scheduler = [], None


def kill_with_children(process: subprocess.Popen[bytes]) -> None:
    """Kill -9 a process and what it started, as a machine that loses its power does."""
    family = (
        [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)] if process.poll() is None else []
    )
    for each in family:
        each.kill()
    process.wait(timeout=30)


@pytest.fixture
def cluster(place: Place) -> Iterator[Cluster]:
    made = Cluster(place)
    made.start(2)
    yield made
    made.stop()


def config(place: Place, cluster: Cluster, *, pause: float) -> None:
    execution = f"{{backend: dask, address: '{cluster.address}', workers: 2, retries: 2}}"
    place.write_config(SEARCHES["grid"], pause=pause, execution=execution)


def test_dask_workers_that_are_killed_cost_a_retry_and_others_may_join(place, cluster, audit, times):
    count = times(3, 1)
    config(place, cluster, pause=0.5)
    command = place.run("--trust", cluster.address)
    for _ in range(count):
        place.wait_for_ended(len(place.notes("ended")) + 5, command)
        cluster.kill_worker()
        cluster.add_worker()
    ended = command.wait()
    assert ended.code == 0, ended
    audit(place, "kill -9 of a Dask worker", times=count)
    measured = {pid for pid, _ in place.notes("ended")}
    assert len(measured) > 2


def test_a_dask_scheduler_that_is_killed_ends_the_sweep_which_can_be_resumed(place, cluster, audit, nothing_runs):
    config(place, cluster, pause=0.3)
    command = place.run("--trust", cluster.address)
    place.wait_for_ended(15, command)
    cluster.kill_scheduler()
    killed = time.monotonic()
    ended = command.wait(120)
    assert ended.code == 1, ended
    assert time.monotonic() - killed < 60
    assert "Traceback" not in ended.stderr
    assert cluster.address in ended.stderr.replace("\n", "")
    assert "wine-sweep resume" in ended.stderr
    nothing_runs(place)
    cluster.stop()
    cluster.start(2)
    resumed = place.resume("latest", "--trust", cluster.address).wait()
    assert resumed.code == 0, resumed
    audit(place, "kill -9 of the Dask scheduler, and resume")


@pytest.mark.full_form
def test_an_orchestrator_that_is_killed_leaves_nothing_running_on_the_cluster(place, cluster, audit):
    config(place, cluster, pause=0.3)
    command = place.run("--trust", cluster.address)
    place.wait_for_ended(10, command)
    command.send(signal.SIGKILL)
    command.wait()
    deadline = time.monotonic() + 30
    while place.fitting() and time.monotonic() < deadline:
        time.sleep(0.1)
    began = len(place.notes("began"))
    time.sleep(2)
    assert len(place.notes("began")) == began
    resumed = place.resume("latest", "--trust", cluster.address).wait()
    assert resumed.code == 0, resumed
    audit(place, "kill -9 of the orchestrator of a Dask cluster")
