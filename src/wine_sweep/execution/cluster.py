"""A connection to a Dask cluster, remote or local, and whether its packages are ours."""

from __future__ import annotations

import importlib.metadata
import logging
import platform
import time
from collections.abc import Iterable, Mapping
from typing import Any

import dask
from distributed import Client, LocalCluster, Security

from wine_sweep.errors import ExecutionError
from wine_sweep.import_path import working_folder_kept_out
from wine_sweep.wording import visible

_logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
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
    """Give the workers that are there, each with its number of threads; wait for the first.

    Raises:
        ExecutionError: None came.
    """
    threads = threads_of(client)
    if not threads:
        _logger.warning("waiting for a worker to join the Dask scheduler at %s", name)
    deadline = time.monotonic() + seconds
    while not threads and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
        threads = threads_of(client)
    if not threads:
        raise ExecutionError(f"no worker joined the Dask scheduler at {name} within {seconds:g} s")
    return threads


def own_versions(packages: Iterable[str]) -> dict[str, str]:
    """Give the versions of this process: Python's minor one, and each installed package's."""
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
