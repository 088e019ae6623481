"""Where a sweep lives in a test: its folder, its store, its state, and the command line in processes that can be killed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from tests.faults.faultkit.audit import MODEL, sweeps

MATERIAL = Path(__file__).parent.parent / "material"
MODULE = "fault_estimators"
MARKER = "WINE_SWEEP_FAULT_MARKER"
POLL_SECONDS = 0.02

CONFIG = """\
name: faults
experiment: faults
search: {search}
objective: rmse
execution: {execution}
"""

COMMAND = 'model: {{command: [python, SCRIPT, "{{args}}"], params: {{pause: {pause}}}}}\n'


@dataclass(frozen=True)
class Kind:
    """What a sweep tunes.

    Args:
        name: What it is called.
        config: The sections of its config that no other kind has; `{pause}` stands for how long a trial takes.
        trust: The value of ``--trust``.
        has_model: Whether its winner is fitted once more and promoted.
        notes_winner: How many fits of the winner are noted as trials are, by the orchestrator itself: on all training rows.
        is_command: Whether each trial is a process, which a worker starts, with a run of its own.
    """

    name: str
    config: str
    trust: str = "."
    has_model: bool = True
    notes_winner: int = 0
    is_command: bool = False


KINDS = {
    kind.name: kind
    for kind in (
        Kind(
            "estimator",
            f"""\
data: {{{{source: wine-quality-red}}}}
model: {{{{estimator: {MODULE}.Slow, params: {{{{pause: {{pause}}}}}}}}}}
evaluation: {{{{cv: {{{{holdout: 0.25}}}}, metrics: [rmse, mae], bootstrap: 0}}}}
registry: {{{{name: {MODEL}, gate: false}}}}
""",
            MODULE,
            notes_winner=1,
        ),
        Kind(
            "function",
            f"""\
data: {{{{source: wine-quality-red}}}}
model: {{{{function: "fault_function.py:train", params: {{{{pause: {{pause}}}}}}}}}}
evaluation: {{{{cv: {{{{holdout: 0.25}}}}}}}}
registry: {{{{name: {MODEL}, gate: false}}}}
""",
        ),
        Kind("command", COMMAND.replace("SCRIPT", "fault_command.py"), has_model=False, is_command=True),
        Kind("tracked", COMMAND.replace("SCRIPT", "fault_tracked.py"), has_model=False, is_command=True),
    )
}
"""An estimator, a function, a command that speaks JSON, and one that logs to MLflow itself."""

SEARCHES = {
    "grid": """
  method: grid
  parameters:
    shift: {low: 0, high: 1.1, step: 0.1}
    scale: [0.0, 0.1, 0.2, 0.3, 0.4]""",
    "random": """
  method: random
  seed: 3
  trials: 60
  parameters: {shift: {low: 0.0, high: 1.0}, scale: {low: 0.0, high: 0.5}}""",
    "tpe": """
  method: tpe
  seed: 3
  trials: 60
  parameters: {shift: {low: 0.0, high: 1.0}, scale: {low: 0.0, high: 0.5}}""",
}
TRIALS = 60
"""How many trials each of these searches has."""


@dataclass(frozen=True)
class Ended:
    """What a command that has ended left."""

    code: int
    stdout: str
    stderr: str

    def __str__(self) -> str:
        return f"exit {self.code}\n--- stdout\n{self.stdout[-3000:]}\n--- stderr\n{self.stderr[-6000:]}"


@dataclass(frozen=True)
class Command:
    """A command of wine_sweep's that runs, in a session of its own."""

    process: subprocess.Popen[bytes]
    output: Path
    errors: Path
    began: float = field(default_factory=time.monotonic)

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    @property
    def age(self) -> float:
        """How long ago it was started, in seconds."""
        return time.monotonic() - self.began

    def send(self, number: signal.Signals) -> None:
        """Send a signal to this process alone; nothing happens when it has ended already."""
        self.process.send_signal(number)

    def wait(self, timeout: float = 240) -> Ended:
        """Wait until it has ended."""
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"it has not ended after {timeout} s: {self.text()}") from error
        return Ended(code, self.output.read_text(), self.errors.read_text())

    def text(self) -> str:
        return f"--- stdout\n{self.output.read_text()}\n--- stderr\n{self.errors.read_text()}"

    def kill(self) -> Ended:
        """Kill -9 this process alone: what it started has to find out by itself."""
        self.send(signal.SIGKILL)
        return self.wait(30)


@dataclass
class Place:
    """A folder with a config, a store and a state folder.

    Args:
        folder: Where commands are started.
        uri: The store.
        environment: More variables for every command.
        kind: What the sweep tunes that was configured last.
    """

    folder: Path
    uri: str
    environment: dict[str, str] = field(default_factory=dict)
    marker: str = field(default_factory=lambda: uuid.uuid4().hex)
    kind: Kind = KINDS["estimator"]
    _commands: list[Command] = field(default_factory=list)

    def __post_init__(self) -> None:
        for path in MATERIAL.glob("*.py"):
            shutil.copy(path, self.folder)
        self.notes_file.touch()

    @property
    def client(self):
        from mlflow import MlflowClient

        return MlflowClient(self.uri)

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def notes_file(self) -> Path:
        return self.folder / "notes.txt"

    def write_config(
        self,
        search: str,
        *,
        kind: str = "estimator",
        pause: float = 0.1,
        execution: str = "{backend: processes, workers: 2}",
    ) -> None:
        """Write the config of a sweep."""
        self.kind = KINDS[kind]
        text = CONFIG.format(search=search, execution=execution) + self.kind.config.format(pause=pause)
        self.folder.joinpath("sweep.yaml").write_text(text)

    def variables(self) -> dict[str, str]:
        """Give the environment of every process that belongs to this place; credentials of the test's own are not in it."""
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_TRACKING_")},
            "MLFLOW_TRACKING_URI": self.uri,
            "XDG_STATE_HOME": str(self.state),
            "FAULT_NOTES": str(self.notes_file),
            "COLUMNS": "80",
            MARKER: self.marker,
            **self.environment,
        }

    def start(self, *arguments: object) -> Command:
        """Start a command of wine_sweep's."""
        number = len(self._commands)
        output, errors = self.folder / f"{number}.stdout", self.folder / f"{number}.stderr"
        with output.open("wb") as out, errors.open("wb") as err:
            process = subprocess.Popen(
                [sys.executable, "-m", "wine_sweep", *map(str, arguments)],
                cwd=self.folder,
                env=self.variables(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        command = Command(process, output, errors)
        self._commands.append(command)
        return command

    def run(self, *arguments: object) -> Command:
        """Start the sweep."""
        return self.start("run", "sweep.yaml", "--trust", self.kind.trust, *arguments)

    def resume(self, sweep: str = "latest", *arguments: object) -> Command:
        """Start to go on with the sweep."""
        return self.start("resume", sweep, "--trust", self.kind.trust, *arguments)

    def notes(self, word: str) -> list[tuple[int, tuple[str, ...]]]:
        """Give who began or ended a fit: process ids, and the parameters as text."""
        lines = [line.split(" ") for line in self.notes_file.read_text().splitlines()]
        return [(int(pid), tuple(params)) for which, pid, *params in lines if which == word]

    def fitting(self) -> dict[int, tuple[str, ...]]:
        """Give the processes that are in the middle of a fit, with its parameters."""
        running: dict[int, tuple[str, ...]] = {}
        for line in self.notes_file.read_text().splitlines():
            word, pid, *params = line.split(" ")
            if word == "began":
                running[int(pid)] = tuple(params)
            else:
                running.pop(int(pid), None)
        return {pid: params for pid, params in running.items() if psutil.pid_exists(pid)}

    def wait_until_under_way(self, command: Command) -> None:
        """Wait until the sweep is in MLflow and some of its fits have ended."""
        self.wait_until(lambda: len(self.notes("ended")) > 4 and bool(sweeps(self.client)), command)

    def wait_for_ended(self, count: int, command: Command, *, timeout: float = 120) -> None:
        """Wait until so many fits have ended."""
        self.wait_until(lambda: len(self.notes("ended")) >= count, command, timeout=timeout)

    def wait_until(self, condition: Callable[[], bool], command: Command, *, timeout: float = 120) -> None:
        """Wait until something holds; an error when the command ends before, or it takes too long."""
        deadline = time.monotonic() + timeout
        while not condition():
            assert command.running, f"it ended too early: {command.wait()}"
            assert time.monotonic() < deadline, f"it has not come to that: {command.text()}"
            time.sleep(POLL_SECONDS)

    def left_over(self) -> list[psutil.Process]:
        """Give the processes that still carry this place's marker."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return process.status() != psutil.STATUS_ZOMBIE and process.environ().get(MARKER) == self.marker
        except (psutil.Error, OSError):
            return False

    def assert_nothing_left_over(self, *, within: float = 15) -> None:
        """Fail when processes of this place outlive the commands that started them by so many seconds."""
        deadline = time.monotonic() + within
        while (left := self.left_over()) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not left, f"left over: {[(each.pid, each.cmdline()) for each in left]}"

    def clear(self) -> None:
        """Kill every process of this place."""
        for process in self.left_over():
            process.kill()
        for command in self._commands:
            command.process.wait(timeout=30)
