"""What tests share: a clean environment, and real MLflow stores that are migrated once."""

from __future__ import annotations

import io
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
START_SECONDS = 90


@dataclass(frozen=True)
class Store:
    """An MLflow store for one test: its URI, and a folder to work in."""

    uri: str
    folder: Path

    @property
    def client(self):
        from mlflow import MlflowClient

        return MlflowClient(self.uri)


@dataclass(frozen=True)
class CommandLine:
    """Runs wine_sweep as a user does, in a process of its own."""

    folder: Path
    uri: str

    def command(self, *arguments: object) -> list[str]:
        return [sys.executable, "-m", "wine_sweep", *map(str, arguments)]

    def environment(self) -> dict[str, str]:
        return {**os.environ, "MLFLOW_TRACKING_URI": self.uri, "COLUMNS": "80"}

    def __call__(self, *arguments: object, timeout: float = 240) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            stdin=subprocess.DEVNULL,
        )


@dataclass(frozen=True)
class InProcess:
    """Runs wine_sweep's command line in this process: the same exit code and output, without paying for imports again."""

    folder: Path
    uri: str

    def __call__(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        import mlflow

        from wine_sweep.cli.app import main

        output, errors = io.StringIO(), io.StringIO()
        command = ["wine-sweep", *map(str, arguments)]
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(output), redirect_stderr(errors):
            patch.chdir(self.folder)
            patch.setenv("MLFLOW_TRACKING_URI", self.uri)
            patch.setenv("COLUMNS", "80")
            patch.setattr(sys, "argv", command)
            mlflow.set_tracking_uri(None)
            with pytest.raises(SystemExit) as ended:
                main()
        return subprocess.CompletedProcess(command, ended.value.code, output.getvalue(), errors.getvalue())


@pytest.fixture(scope="session", autouse=True)
def _clean_environment() -> None:
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        del os.environ[name]
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # no connection leaves a test
    os.environ["GIT_PYTHON_REFRESH"] = "quiet"


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with MLflow's tables, made once: migrating takes seconds."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("migrated") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


def copied_store(migrated: Path, folder: Path) -> Store:
    shutil.copy(migrated, folder / "mlflow.db")
    return Store(f"sqlite:///{folder / 'mlflow.db'}", folder)


@pytest.fixture
def store(migrated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A SQLite store of the test's own, in its working folder."""
    import mlflow

    monkeypatch.chdir(tmp_path)
    made = copied_store(migrated, tmp_path)
    mlflow.set_tracking_uri(made.uri)
    yield made
    mlflow.set_tracking_uri(None)


@pytest.fixture
def wine_sweep(store: Store) -> CommandLine:
    """The command line, on the test's own store."""
    return CommandLine(store.folder, store.uri)


@pytest.fixture
def in_process(store: Store) -> InProcess:
    """The command line in this process, on the test's own store."""
    return InProcess(store.folder, store.uri)


@pytest.fixture(scope="session")
def session_store(migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A SQLite store for tests that only read what a session-wide sweep left."""
    return copied_store(migrated, tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="session")
def server(migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A real ``mlflow server`` process with proxied artifacts."""
    folder = tmp_path_factory.mktemp("server")
    backend = copied_store(migrated, folder).uri
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    uri = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", backend, "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers", "1", "--artifacts-destination", str(folder / "artifacts")]
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
        try:
            _wait_for(f"{uri}/health", process, folder / "server.log")
            yield Store(uri, folder)
        finally:
            os.killpg(process.pid, 15)
            process.wait(timeout=30)


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=2).close()
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
        else:
            return
    raise RuntimeError(f"mlflow server did not start:\n{log.read_text()}")


@pytest.fixture(scope="session")
def command_line():
    """Make a command line for a folder and a store."""
    return CommandLine


@pytest.fixture(scope="session")
def in_process_at():
    """Make a command line in this process for a folder and a store."""
    return InProcess
