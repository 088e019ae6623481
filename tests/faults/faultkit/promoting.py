"""Promotions that are disturbed: commands in warm processes, killed or held at what they call."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from mlflow import MlflowClient
from tests.faults.faultkit.audit import MODEL
from tests.faults.faultkit.place import Ended
from tests.faults.faultkit.registered import Found, look

WARM = Path(__file__).parent / "warm.py"
CLIENT = "mlflow.MlflowClient"
DEPTHS = 4
"""How many trials the sweep has that is promoted from: trees of depths from 1."""

CONFIG = f"""\
name: trees
experiment: faults
data: {{source: wine-quality-red}}
model: {{estimator: sklearn.tree.DecisionTreeRegressor, params: {{random_state: 0}}}}
search: {{method: grid, parameters: {{max_depth: {list(range(1, DEPTHS + 1))}}}}}
evaluation: {{cv: {{holdout: 0.25}}, metrics: [rmse], bootstrap: 0}}
objective: rmse
execution: {{backend: serial}}
registry: {{name: {MODEL}, gate: false}}
"""


@dataclass(frozen=True)
class Trap:
    """Where a command is killed, or held until it may go on.

    Args:
        target: The method, with its class and module.
        nth: At which of its calls, from 1.
        after: Whether once the call has been done, or right before.
        kill: Whether the command kills itself there.
        mark: The file that says that it has come there.
        go: The file that lets it go on.
    """

    target: str
    nth: int = 1
    after: bool = False
    kill: bool = False
    mark: Path | None = None
    go: Path | None = None

    def __str__(self) -> str:
        return f"{'after' if self.after else 'before'} call {self.nth} of {self.target.rpartition('.')[2]}"

    def release(self) -> None:
        assert self.go is not None
        self.go.touch()

    def wait_for_it(self, seconds: float = 60) -> None:
        """Wait until the command has come there."""
        assert self.mark is not None
        deadline = time.monotonic() + seconds
        while not self.mark.exists():
            assert time.monotonic() < deadline, f"it has not come to {self}"
            time.sleep(0.002)

    def request(self) -> dict[str, object]:
        return {**asdict(self), "mark": self.mark and str(self.mark), "go": self.go and str(self.go)}


def hold(folder: Path, at: Trap, *, go: Path | None = None) -> Trap:
    """Make a trap that holds a command where another kills it; several may be let go by one file."""
    token = uuid.uuid4().hex
    return replace(at, kill=False, mark=folder / f"{token}.mark", go=go or folder / f"{token}.go")


def windows(*calls: str) -> list[Trap]:
    """Give the moments right before and right after calls of MLflow's client: ``name`` or ``name 2`` for the second of them."""
    named = [(name, int(nth or 1)) for name, _, nth in (call.partition(" ") for call in calls)]
    return [Trap(f"{CLIENT}.{name}", nth, after, kill=True) for name, nth in named for after in (False, True)]


MOVING = windows(
    "set_model_version_tag", "transition_model_version_stage", "set_registered_model_alias", "set_model_version_tag 2"
)
PROMOTING = [*windows("create_model_version"), *MOVING]
"""The moments around everything that a promotion, and that a rollback writes into the registry."""


class Warm:
    """The process that forks commands off."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(WARM)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        self._pids: set[int] = set()
        assert self._process.stdout is not None
        assert json.loads(self._process.stdout.readline()) == {"ready": True}

    def start(self, arguments: Sequence[str], machine: Machine, traps: Sequence[Trap] = ()) -> Forked:
        """Start a command on a machine."""
        token = uuid.uuid4().hex
        output, errors = machine.folder / f"{token}.stdout", machine.folder / f"{token}.stderr"
        request = {
            "arguments": list(arguments),
            "folder": str(machine.folder),
            "environment": machine.environment,
            "stdout": str(output),
            "stderr": str(errors),
            "traps": [trap.request() for trap in traps],
        }
        pid = int(self._ask(request)["pid"])
        self._pids.add(pid)
        return Forked(self, pid, output, errors)

    def wait(self, pid: int, seconds: float) -> int | None:
        code = self._ask({"pid": pid, "seconds": seconds})["code"]
        if code is not None:
            self._pids.discard(pid)
        return code

    def close(self) -> None:
        for pid in self._pids:
            os.kill(pid, signal.SIGKILL)
        self._process.communicate(timeout=30)

    def _ask(self, request: dict[str, object]) -> dict[str, int]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


@dataclass(frozen=True)
class Forked:
    """A command that runs."""

    warm: Warm
    pid: int
    output: Path
    errors: Path

    def wait(self, seconds: float = 120) -> Ended:
        code = self.warm.wait(self.pid, seconds)
        assert code is not None, f"it has not ended after {seconds} s: {self.output.read_text()}{self.errors.read_text()}"
        return Ended(code, self.output.read_text(), self.errors.read_text())

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def kill(self) -> Ended:
        """Kill -9 it; nothing happens when it has ended already."""
        self.send(signal.SIGKILL)
        return self.wait()


@dataclass(frozen=True)
class Machine:
    """Where commands run: a folder, a store, and a state folder that no other machine sees.

    Args:
        warm: Starts commands.
        folder: The folder.
        uri: The store.
        state: The name of its state folder.
    """

    warm: Warm
    folder: Path
    uri: str
    state: str = "state"

    @property
    def environment(self) -> dict[str, str]:
        return {"MLFLOW_TRACKING_URI": self.uri, "XDG_STATE_HOME": str(self.folder / self.state), "COLUMNS": "100"}

    def start(self, *arguments: str, traps: Sequence[Trap] = ()) -> Forked:
        return self.warm.start(arguments, self, traps)

    def do(self, *arguments: str) -> Ended:
        """Do it to the end; an error when that is not exit code 0."""
        ended = self.start(*arguments).wait()
        assert ended.code == 0, f"{arguments}: {ended}"
        return ended

    def other(self) -> Machine:
        """Give another machine that works with the same store."""
        return Machine(self.warm, self.folder, self.uri, f"state-{uuid.uuid4().hex}")

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(self.uri)


def promotion(name: str, run_id: str) -> tuple[str, ...]:
    """Give the command that promotes a trial."""
    return ("promote", "trees", "--run", run_id, "--name", name)


def runs_by_depth(client: MlflowClient) -> list[str]:
    (experiment,) = client.search_experiments(filter_string="name = 'faults'")
    runs = client.search_runs([experiment.experiment_id], "tags.`wine_sweep.kind` = 'trial'")
    return [run.info.run_id for run in sorted(runs, key=lambda run: int(run.data.params["max_depth"]))]


@dataclass(frozen=True)
class Base:
    """A store with a sweep, whose trials have models; each use has its own registered model in it.

    Args:
        machine: Where it is.
        runs: The trials' runs, by depth.
    """

    machine: Machine
    runs: list[str]

    @classmethod
    def make(cls, machine: Machine) -> Base:
        machine.folder.joinpath("trees.yaml").write_text(CONFIG)
        machine.do("run", "trees.yaml", "--quiet", "--no-promote")
        base = cls(machine, runs_by_depth(machine.client))
        for run_id in base.runs[2:]:
            machine.do(*promotion("spare", run_id))  # a model is made once, and promoted often
        return base

    def copied(self, folder: Path) -> Base:
        """Give a copy of it; of a SQLite store."""
        folder.mkdir()
        for name in ("mlflow.db", "trees.yaml"):
            shutil.copy(self.machine.folder / name, folder / name)
        return Base(Machine(self.machine.warm, folder, f"sqlite:///{folder / 'mlflow.db'}"), self.runs)

    def with_two(self, name: str) -> Base:
        """Promote two trials to a registered model, one after the other: version 2 is in Staging."""
        for run_id in self.runs[:2]:
            self.machine.do(*promotion(name, run_id))
        return self

    def look(self, name: str = MODEL) -> Found:
        return look(self.machine.client, name)
