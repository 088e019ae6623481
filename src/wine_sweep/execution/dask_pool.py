"""Run trials on a Dask cluster: each of its workers measures them in processes of its own."""

from __future__ import annotations

import importlib.metadata
import logging
import pickle
import platform
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dask
from distributed import Client, LocalCluster, Security

from wine_sweep.errors import ExecutionError
from wine_sweep.execution.base import Limits, LostTrialError, RemoteResult, Task, TrialDirs, describe_error, failure_of, receive
from wine_sweep.execution.dask_worker import DaskExecutor, drop_on, measure_on, open_executor
from wine_sweep.importing import working_folder_kept_out
from wine_sweep.messages import visible
from wine_sweep.trial import Failure, FailureCause, Trial

_logger = logging.getLogger(__name__)

WATCH_SECONDS = 0.5
"""How often the scheduler is asked who is there."""

ANSWER_SECONDS = 20.0
"""How long the scheduler may take to answer."""

CONNECT_SECONDS = 10.0
PACKAGES = ("wine-sweep", "numpy", "pandas", "scikit-learn", "scipy")
"""What decides whether a trial gives the same result elsewhere, beside Python and the packages of the estimators."""

PYTHON = "Python"


def connect(address: str | None, workers: int) -> tuple[Client, LocalCluster | None]:
    """Connect to a scheduler, or start a cluster on this machine, to which nobody else can connect.

    Args:
        address: The scheduler's address; None for a cluster of our own.
        workers: How many workers that has, of one thread each.

    Raises:
        ExecutionError: Nobody answers at the address.
    """
    _quieten()
    cluster: LocalCluster | None = None
    if address is None:
        cluster = _start_cluster(workers)
    try:
        return Client(cluster or address, timeout=CONNECT_SECONDS, set_as_default=False), cluster
    except (OSError, ValueError, RuntimeError) as error:
        raise ExecutionError(f"no Dask scheduler answers at {address} within {CONNECT_SECONDS:g} s: {error}") from error


def _start_cluster(workers: int) -> LocalCluster:
    """Start a cluster on this machine.

    Any user of this machine can reach its ports, and whoever can talk to a scheduler, a nanny or a worker can have it run code.
    So they talk TLS, with a certificate drawn here that each of them asks for; nothing of it is on disk for longer than it
    takes to load it. No page on the sweep is served either, but for the workers' own, which Dask has no other way to start.
    """
    no_pages: dict[str, list[str]] = {"distributed.scheduler.http.routes": [], "distributed.worker.http.routes": []}
    with working_folder_kept_out(), dask.config.set(no_pages):
        return LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            security=Security.temporary(),
            dashboard_address="127.0.0.1:0",  # for Dask a dashboard of None is one at the usual port, on all interfaces
            worker_dashboard_address="127.0.0.1:0",
            scheduler_kwargs={"dashboard": False},
            memory_limit=None,
            silence_logs=logging.CRITICAL,
        )


def _quieten() -> None:
    """Have Dask log nothing: what goes wrong is raised here, once and in our words. Its loggers have levels of their own."""
    for name in [name for name in logging.root.manager.loggerDict if name.partition(".")[0] == "distributed"]:
        logging.getLogger(name).setLevel(logging.CRITICAL)


def threads_of(client: Client) -> dict[str, int]:
    """Ask the scheduler for its workers, each with its number of threads."""
    found: dict[str, int] = client.sync(client.scheduler.ncores, callback_timeout=ANSWER_SECONDS)
    return found


def wait_for_threads(client: Client, name: str, seconds: float) -> dict[str, int]:
    """Return the workers that are there, each with its number of threads; wait for the first.

    Raises:
        ExecutionError: None came.
    """
    threads = threads_of(client)
    if not threads:
        _logger.warning("waiting for a worker to join the Dask scheduler at %s", name)
    deadline = time.monotonic() + seconds
    while not threads and time.monotonic() < deadline:
        time.sleep(WATCH_SECONDS)
        threads = threads_of(client)
    if not threads:
        raise ExecutionError(f"no worker joined the Dask scheduler at {name} within {seconds:g} s")
    return threads


def own_versions(packages: Iterable[str]) -> dict[str, str]:
    """Return the versions of this process: Python's minor one, and each installed package's."""
    versions = {PYTHON: _minor(platform.python_version())}
    for package in packages:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue  # a module beside the config: it has no version to compare
    return versions


def distributions(modules: Iterable[str]) -> list[str]:
    """Name the distributions that top-level modules belong to; modules that belong to none are left out."""
    owners = importlib.metadata.packages_distributions()
    return sorted({name for module in modules for name in owners.get(module, ())})


def differences(client: Client, addresses: Iterable[str], ours: Mapping[str, str]) -> dict[str, list[str]]:
    """Compare workers' packages with ours.

    Only functions of Python's own library are run there, so that it works where our package is missing.

    Returns:
        The sentences by worker address; workers that are like us are left out.
    """
    addresses = list(addresses)
    found: dict[str, list[str]] = {address: [] for address in addresses}
    for package, version in ours.items():
        if package == PYTHON:
            answers = _run(client, addresses, platform.python_version)
        else:
            answers = _run(client, addresses, importlib.metadata.version, package)
        for address, answer in answers.items():
            theirs = _minor(str(answer)) if package == PYTHON else answer
            if isinstance(theirs, BaseException):
                found[address].append(f"{package} is not installed, here {version}")
            elif theirs != version:
                found[address].append(f"{package} {theirs}, here {version}")
    return {address: each for address, each in found.items() if each}


def refuse_differences(client: Client, addresses: Iterable[str], ours: Mapping[str, str], name: str) -> None:
    """Compare all workers' packages with ours.

    Raises:
        ExecutionError: Some differ; it lists them.
    """
    different = differences(client, addresses, ours)
    if different:
        lines = [f"{address}: {', '.join(each)}" for address, each in sorted(different.items())]
        raise ExecutionError("\n".join([f"the packages of the Dask cluster at {name} are not ours", *map(visible, lines)]))


def _run(client: Client, addresses: list[str], function: Any, *arguments: str) -> dict[str, Any]:
    answers: dict[str, Any] = client.run(function, *arguments, workers=addresses, on_error="return")
    return answers


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


@dataclass(frozen=True)
class PendingTrial:
    """A trial that is being measured at a worker."""

    trial: Trial
    future: Future[Trial]
    dask_future: Any


@dataclass
class DaskWorkerState:
    """A Dask worker that has our executor.

    Attributes:
        threads: How many threads it has.
        executor: Our executor, as Dask's future.
        flights: What is measured there, by key.
        held: The trials that have reported and are held there, by number: None, or Dask's future of ending one.
    """

    threads: int
    executor: Any
    flights: dict[str, PendingTrial] = field(default_factory=dict)
    held: dict[int, Any] = field(default_factory=dict)

    @property
    def load(self) -> float:
        """The share of its threads that is taken; 1 or more when it is full.

        What is held there takes a thread, so that there is one when it goes on: another trial in its place would wait
        for the process that the first one holds, and the first one for the thread.
        """
        return (len(self.flights) + len(self.held)) / self.threads

    def can_go_on(self, number: int) -> bool:
        """Return whether a trial is held there and not being ended."""
        return number in self.held and self.held[number] is None


def loss_of(address: str) -> Failure:
    """Say of a trial that the worker that it was at is lost."""
    return Failure("WorkerDied", f"the Dask worker {address} left the cluster", cause=FailureCause.WORKER)


def conclude(future: Future[Trial], outcome: Trial | Failure | BaseException) -> bool:
    """End a trial's future, and say whether anybody waited for it."""
    if not future.set_running_or_notify_cancel():
        return False
    if isinstance(outcome, Trial):
        future.set_result(outcome)
    else:
        future.set_exception(LostTrialError(outcome) if isinstance(outcome, Failure) else outcome)
    return True


CARRY_SECONDS = 120.0
"""How long what came of a trial may take to come here, with its files."""

WORKER_SECONDS = 60.0
"""How long the cluster may be without a worker, at the start or later."""

CLOSE_SECONDS = 10.0
"""How long closing the connection may take."""

GONE_SECONDS = 1.0
"""The same where the scheduler is gone; Dask would try to reach it for long."""


class DaskWorkers:
    """The workers of a Dask cluster, as they join and leave.

    Each trial is given to one worker by name. Dask would give it to another one when that worker is lost, silently and as
    often as it likes; so it is known here who was lost with which trial, and a trial is measured again only as `retries` say.

    Args:
        task: Picklable; sent to each Dask worker once.
        address: The scheduler; None for a cluster on this machine.
        workers: How many trials are measured at a time at most, and how many workers a cluster on this machine has; None
            for as many as the cluster has threads.
        limits: What a trial may take.
        packages: The top-level modules of the estimators, whose versions count too.
        trial_dirs: Where the files of trials are put when these have ended; None for a temporary folder.

    Raises:
        ExecutionError: Nobody answers, no worker comes, or a worker's packages are not ours.
    """

    def __init__(
        self,
        task: Task,
        address: str | None,
        workers: int | None,
        limits: Limits = Limits(),
        *,
        packages: Sequence[str] = (),
        trial_dirs: Path | None = None,
    ) -> None:
        self._most = workers
        self._trial_dirs = TrialDirs.at(trial_dirs)
        self._limits = limits
        self._pickled = pickle.dumps(task)
        self._ours = own_versions(dict.fromkeys((*PACKAGES, *distributions(packages))))
        self._lock = threading.RLock()
        self._dask_workers: dict[str, DaskWorkerState] = {}
        self._seen: set[str] = set()
        self._lost: dict[int, Failure] = {}
        self._waiting: deque[tuple[Trial, Future[Trial]]] = deque()
        self._error: ExecutionError | None = None
        self._stopping = threading.Event()
        self._number = 0
        self._alone_since = time.monotonic()
        self._client, self._cluster = connect(address, workers or 1)
        self._name = address or "this machine"
        try:
            self._wait_for_workers()
        except BaseException:
            self.stop()
            raise
        self._watcher = threading.Thread(target=self._watch, name="wine-sweep-dask", daemon=True)
        self._watcher.start()

    @property
    def size(self) -> int:
        """How many trials can be measured at a time now, 1 or more; what nobody is there for waits."""
        with self._lock:
            threads = sum(station.threads for station in self._dask_workers.values())
        return max(1, threads if self._most is None else min(threads, self._most))

    def submit(self, trial: Trial) -> Future[Trial]:
        """Have a trial measured; see `Workers`. Cancelling the future ends the trial.

        One that is held by a worker goes there, however busy that is: it has kept a thread for it.
        """
        future: Future[Trial] = Future()
        with self._lock:
            if self._error is not None:
                raise self._error
            loss, holder = self._lost.pop(trial.number, None), self._holder(trial.number)
            if holder is not None:
                del self._dask_workers[holder].held[trial.number]
                self._send(holder, trial, future)
            elif loss is None:
                if not trial.steps:
                    self._trial_dirs.clear(trial.number)
                self._waiting.append((trial, future))
                self._dispatch()
        if loss is not None:
            conclude(future, loss)
        future.add_done_callback(self._forget_cancelled)
        return future

    def drop(self, trial: Trial) -> None:
        """Have a trial ended that was given back RUNNING; see `Workers`. Its files come when it has ended."""
        with self._lock:
            self._lost.pop(trial.number, None)
            address = self._holder(trial.number)
            if address is None:
                return
            station = self._dask_workers[address]
            dask_future = self._call(drop_on, address, trial)
            station.held[trial.number] = dask_future
        dask_future.add_done_callback(lambda done: self._dropped(station, trial.number, done))

    def explain(self, error: BaseException) -> Failure:
        """Describe how a worker was lost; see `Workers`."""
        if isinstance(error, ExecutionError):
            raise error
        return failure_of(error)

    def stop(self) -> None:
        """Leave the cluster; it forgets what it has of ours, and ends what it measures for us."""
        self._give_up(ExecutionError("the Dask workers were left"), cancel=True)
        self._stopping.set()
        closing = threading.Thread(target=self._close, name="wine-sweep-dask-close", daemon=True)
        closing.start()
        closing.join(CLOSE_SECONDS if self._client.status == "running" else GONE_SECONDS)
        self._trial_dirs.close()

    def _close(self) -> None:
        for each in (self._client, self._cluster):
            if each is not None:
                with suppress(Exception):  # a scheduler that is gone cannot be taken leave of, in one way or another
                    each.close(timeout=CLOSE_SECONDS)

    def _wait_for_workers(self) -> None:
        """Take in the workers that are there; wait for the first.

        Raises:
            ExecutionError: None came, or one cannot be used.
        """
        threads = wait_for_threads(self._client, self._name, WORKER_SECONDS)
        self._seen |= set(threads)
        refuse_differences(self._client, threads, self._ours, self._name)
        for address, count in threads.items():
            try:
                self._settle(address, count)
            except Exception as error:
                raise ExecutionError(f"the Dask worker {address} cannot be used: {describe_error(error)}") from error

    def _watch(self) -> None:
        """See who joins and who leaves, until the end."""
        while not self._stopping.wait(WATCH_SECONDS):
            try:
                threads = self._ask_for_threads()
            except ExecutionError as error:
                self._give_up(error)
                return
            self._take_leave_of(set(self._dask_workers) - set(threads))
            for address in sorted(set(threads) - self._seen):
                self._seen.add(address)
                arguments = (address, threads[address])
                threading.Thread(target=self._welcome, args=arguments, name="wine-sweep-dask-welcome", daemon=True).start()
            self._check_alone()

    def _ask_for_threads(self) -> dict[str, int]:
        """Return how many threads each worker has, by its address.

        Raises:
            ExecutionError: The scheduler is gone.
        """
        if self._client.status != "running":  # it may reconnect, but the scheduler has forgotten all that was ours
            raise ExecutionError(f"the connection to the Dask scheduler at {self._name} was lost")
        try:
            return threads_of(self._client)
        except Exception as error:  # Dask has no one class for a scheduler that does not answer
            raise ExecutionError(f"the Dask scheduler at {self._name} is gone: {describe_error(error)}") from error

    def _welcome(self, address: str, threads: int) -> None:
        """Take in a worker that joined, if it is like us; otherwise it gets no trial."""
        try:
            different = differences(self._client, [address], self._ours).get(address)
            if not different:
                self._settle(address, threads)
                _logger.info("the Dask worker %s joined", address)
                return
            why = ", ".join(different)
        except Exception as error:  # noqa: BLE001  # whatever is wrong with it, it is not used
            why = str(describe_error(error))
        if not self._stopping.is_set():
            _logger.warning("the Dask worker %s joined and is not used: %s", address, why)

    def _settle(self, address: str, threads: int) -> None:
        """Send our executor to a worker, and have it opened."""
        executor = self._client.scatter(DaskExecutor(self._pickled, self._limits), workers=[address], hash=False, direct=False)
        self._client.submit(open_executor, executor, workers=[address], pure=False).result(timeout=WORKER_SECONDS)
        with self._lock:
            self._dask_workers[address] = DaskWorkerState(threads, executor)
            self._dispatch()

    def _dispatch(self) -> None:
        """Give what waits to the workers that have room, the least busy first. Called under the lock."""
        while self._waiting:
            room = [(each.load, address) for address, each in self._dask_workers.items() if each.load < 1]
            if not room:
                return
            _, address = min(room)
            trial, future = self._waiting.popleft()
            if not future.cancelled():
                self._send(address, trial, future)

    def _holder(self, number: int) -> str | None:
        """Find the worker at which a trial waits to go on. Called under the lock."""
        return next((address for address, each in self._dask_workers.items() if each.can_go_on(number)), None)

    def _call(self, function: Callable[[DaskExecutor, bytes], RemoteResult], address: str, trial: Trial) -> Any:
        """Have the executor of a worker do something with a trial."""
        self._number += 1
        key = f"wine-sweep-{self._client.id}-{trial.number}-{self._number}"
        executor = self._dask_workers[address].executor
        return self._client.submit(function, executor, pickle.dumps(trial), key=key, workers=[address], pure=False, retries=0)

    def _send(self, address: str, trial: Trial, future: Future[Trial]) -> None:
        dask_future = self._call(measure_on, address, trial)
        key = dask_future.key
        self._dask_workers[address].flights[key] = PendingTrial(trial, future, dask_future)
        dask_future.add_done_callback(lambda done: self._land(address, key, done))

    def _land(self, address: str, key: str, dask_future: Any) -> None:
        """Take what came of a trial."""
        try:
            outcome: RemoteResult | Failure | BaseException = dask_future.result(timeout=CARRY_SECONDS)
        except Exception as error:  # noqa: BLE001  # of whatever class: it is the trial's, or shows that the cluster is gone
            outcome = error
        with self._lock:
            station = self._dask_workers.get(address)
            flight = station.flights.pop(key, None) if station is not None else None
            if station is None:
                return
            if flight is None:  # cancelled while it was answering: nobody goes on with it
                if isinstance(outcome, RemoteResult) and outcome.is_held:
                    station.held[outcome.trial.number] = None
                    self.drop(outcome.trial)
                return
            if isinstance(outcome, RemoteResult) and outcome.is_held:
                station.held[flight.trial.number] = None
        if isinstance(outcome, BaseException) and dask_future.status != "error":  # not raised over there: it did not come here
            outcome = self._loss_or_end(address, is_cancelled=dask_future.cancelled())
        with self._lock:
            self._dispatch()
        trial = receive(outcome, self._trial_dirs) if isinstance(outcome, RemoteResult) else outcome
        if not conclude(flight.future, self._error or trial):
            self.drop(flight.trial)

    def _loss_or_end(self, address: str, *, is_cancelled: bool) -> Failure | ExecutionError:
        """Return why nothing came of a trial: its worker is lost, or the scheduler, and with that every trial."""
        try:
            self._ask_for_threads()
        except ExecutionError as error:
            self._give_up(error)
            return error
        if is_cancelled:  # not by us: with its worker went the executor that was to measure it
            self._take_leave_of({address})
        return loss_of(address)

    def _dropped(self, station: DaskWorkerState, number: int, dask_future: Any) -> None:
        """Take the files of a trial that was not to go on; its worker is free."""
        try:
            receive(dask_future.result(timeout=CARRY_SECONDS), self._trial_dirs)
        except Exception as error:  # noqa: BLE001  # of whatever class: its worker left, or the cluster is gone
            if not self._stopping.is_set():
                _logger.warning("files of trial %d are lost: %s", number, describe_error(error))
        with self._lock:
            station.held.pop(number, None)
            self._dispatch()

    def _take_leave_of(self, addresses: set[str]) -> None:
        """Let go of workers that left; their trials are lost."""
        for address in addresses:
            with self._lock:
                station = self._dask_workers.pop(address, None)
                self._seen.discard(address)
                self._alone_since = time.monotonic()
                if station is not None:
                    self._lost |= {number: loss_of(address) for number in station.held if station.can_go_on(number)}
            if station is None:
                continue
            _logger.warning("the Dask worker %s left", address)
            for flight in station.flights.values():
                conclude(flight.future, loss_of(address))
            calls = [*(flight.dask_future for flight in station.flights.values()), *filter(None, station.held.values())]
            self._client.cancel([*calls, station.executor])

    def _check_alone(self) -> None:
        if not self._dask_workers and time.monotonic() - self._alone_since > WORKER_SECONDS:
            message = f"the Dask scheduler at {self._name} has had no worker for {WORKER_SECONDS:g} s"
            self._give_up(ExecutionError(message))

    def _forget_cancelled(self, future: Future[Trial]) -> None:
        """Have a trial ended that nobody waits for any more."""
        if not future.cancelled():
            return
        with self._lock:
            for station in self._dask_workers.values():
                for key, flight in list(station.flights.items()):
                    if flight.future is future:
                        del station.flights[key]
                        flight.dask_future.cancel()
            self._dispatch()

    def _give_up(self, error: ExecutionError, *, cancel: bool = False) -> None:
        """End everything that is open with an error, or cancel it."""
        with self._lock:
            self._error = self._error or error
            flights = [flight.future for station in self._dask_workers.values() for flight in station.flights.values()]
            open_futures = [*flights, *(future for _, future in self._waiting)]
            self._waiting.clear()
            for station in self._dask_workers.values():
                station.flights.clear()
                station.held.clear()
        for future in open_futures:
            if cancel:
                future.cancel()
                future.set_running_or_notify_cancel()
            else:
                conclude(future, self._error)
