"""What tests share: a clean environment, and real MLflow stores that are migrated once."""

from __future__ import annotations

import contextlib
import http.server
import io
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.faults.faultkit.server import NO_JOBS

ROOT = Path(__file__).parent.parent
START_SECONDS = 90


def pytest_configure() -> None:
    """Hear the signals that a script ignores for what it starts with `&`, and nohup: commands would inherit that."""
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, handler)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Return how many processes run the tests: one a core; none where real processes are killed, whose tests count seconds."""
    if "faults" in config.option.markexpr.replace("not faults", ""):
        return 0
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as slow the cases of a test beyond those that its mark `quick` names."""
    seen: Counter[str] = Counter()
    for item in items:
        quick = item.get_closest_marker("quick")
        if quick is not None:
            test = item.nodeid.partition("[")[0]
            seen[test] += 1
            if seen[test] > quick.args[0]:
                item.add_marker("slow")


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


@contextmanager
def logging_as_before() -> Iterator[None]:
    """Put back what the command line sets on the package's logger."""
    logger = logging.getLogger("wine_sweep")
    before = logger.handlers[:], logger.level, logger.propagate
    try:
        yield
    finally:
        logger.handlers[:], level, logger.propagate = before
        logger.setLevel(level)


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
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(output), redirect_stderr(errors), logging_as_before():
            patch.chdir(self.folder)
            patch.setenv("MLFLOW_TRACKING_URI", self.uri)
            patch.setenv("COLUMNS", "80")
            patch.setattr(sys, "argv", command)
            patch.setattr("wine_sweep.cli.app.process_is_ours", lambda: None)  # this process is not the command line's alone
            mlflow.set_tracking_uri(None)
            with pytest.raises(SystemExit) as ended:
                main()
        return subprocess.CompletedProcess(command, ended.value.code, output.getvalue(), errors.getvalue())


@pytest.fixture(scope="session", autouse=True)
def _clean_environment(tmp_path_factory: pytest.TempPathFactory) -> None:
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        del os.environ[name]
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # no connection leaves a test
    os.environ["GIT_PYTHON_REFRESH"] = "quiet"
    os.environ["XDG_STATE_HOME"] = str(tmp_path_factory.mktemp("state"))
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))


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


class TrackingServer:
    """A real ``mlflow server`` process with proxied artifacts, which can be stopped and started again."""

    def __init__(self, folder: Path, backend: str) -> None:
        self.folder = folder
        self._backend = backend
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", self._backend, "--host", "127.0.0.1"]
        command += ["--port", str(self._port), "--workers", "1", "--artifacts-destination", str(self.folder / "artifacts")]
        log = self.folder / "server.log"
        with log.open("a") as output:
            self._process = subprocess.Popen(
                command,
                cwd=self.folder,
                env={**os.environ, **NO_JOBS},
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        try:
            _wait_for(f"{self.uri}/health", self._process, log)
        except BaseException:
            self.stop()
            raise

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, number)
            self._process.wait(timeout=30)
            self._process = None


@pytest.fixture(scope="session")
def server(migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A real ``mlflow server``."""
    folder = tmp_path_factory.mktemp("server")
    process = TrackingServer(folder, copied_store(migrated, folder).uri)
    process.start()
    yield Store(process.uri, folder)
    process.stop()


@pytest.fixture
def own_server(migrated: Path, tmp_path: Path) -> Iterator[TrackingServer]:
    """A real ``mlflow server`` of the test's own, to be stopped and started."""
    process = TrackingServer(tmp_path, copied_store(migrated, tmp_path).uri)
    process.start()
    yield process
    process.stop(signal.SIGKILL)


class Gate:
    """Stands in front of a server, and can be shut, answer with an error, or lose the answers to what it has passed on.

    It can answer with a page of its own too (status, type, content), to all or to paths with a certain part.
    """

    def __init__(self, upstream: str) -> None:
        gate = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle(self) -> None:
                with contextlib.suppress(OSError):
                    super().handle()

            def log_message(self, *_arguments: object) -> None:
                pass

            def pass_on(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if gate.page is not None and gate.page_for in self.path:
                    self.reply(gate.page[0], {"Content-Type": gate.page[1]}, gate.page[2])
                    return
                if gate.status is not None:
                    self.reply(gate.status, {}, b"<html>not now</html>")
                    return
                if gate.is_shut:
                    self.close_connection = True
                    return
                headers = {key: value for key, value in self.headers.items() if key.lower() not in ("host", "connection")}
                request = urllib.request.Request(upstream + self.path, body or None, headers, method=self.command)
                try:
                    with urllib.request.urlopen(request, timeout=60) as answer:
                        status, kept, content = answer.status, dict(answer.headers), answer.read()
                except urllib.error.HTTPError as error:
                    status, kept, content = error.code, dict(error.headers), error.read()
                gate.passed.append(f"{self.command} {self.path.partition('?')[0]}")
                if (
                    gate.shuts_after is not None
                    and sum(gate.shuts_after[0] in each for each in gate.passed) >= gate.shuts_after[1]
                ):
                    gate.is_shut = True
                if any(part in self.path and self.command == method for method, part in gate.losing):
                    gate.losing = [each for each in gate.losing if not (each[1] in self.path and self.command == each[0])]
                    self.close_connection = True
                    return
                self.reply(status, kept, content)

            def reply(self, status: int, headers: dict[str, str], content: bytes) -> None:
                self.send_response(status)
                for name in ("Content-Type", "Content-Disposition"):
                    if name in headers:
                        self.send_header(name, headers[name])
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            setattr(Handler, f"do_{method}", Handler.pass_on)
        self.is_shut = False
        self.status: int | None = None
        self.page: tuple[int, str, bytes] | None = None
        self.page_for = ""
        self.losing: list[tuple[str, str]] = []
        self.passed: list[str] = []
        self.shuts_after: tuple[str, int] | None = None
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.uri = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def lose(self, method: str, part: str) -> None:
        """Have the next answer to such a request lost; the server does what was asked."""
        self.losing.append((method, part))

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def gate(server: Store) -> Iterator[Gate]:
    made = Gate(server.uri)
    yield made
    made.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Makes real file systems of a given size, ``64k``."""
    mounted: list[Path] = []

    def make(size: str) -> Path:
        folder = tmp_path / f"disk{len(mounted)}"
        folder.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
        possible = sys.platform == "linux" and shutil.which("mount") is not None
        if not possible or subprocess.run(mount, capture_output=True, check=False).returncode:
            pytest.skip("only root can mount a small disk")
        mounted.append(folder)
        return folder

    yield make
    for folder in mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)


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
