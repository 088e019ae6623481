"""Run a command as a trial: fill its placeholders, start it in a process group, watch it, and read its metrics."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from multiprocessing.connection import wait
from pathlib import Path
from typing import IO, Any

from wine_sweep.config import HistoryReducer
from wine_sweep.config.model import ENVIRONMENT, WHOLE_WORDS, parts
from wine_sweep.evaluation.capture import (
    STDERR_FILE,
    STDOUT_FILE,
    MetricLine,
    MetricParseError,
    Tail,
    reports,
    results,
    sayings_of_file,
    sayings_of_line,
    sayings_of_text,
)
from wine_sweep.execution.base import POLL_SECONDS, TrialIO
from wine_sweep.importing import users_own
from wine_sweep.trial import Failure, FailureCause, Params, Report, Score, Trial, TrialState, canonical_json

if sys.platform == "linux":
    import fcntl


def kill_when_closed(read_end: int) -> None:
    """Have the kernel kill this process's group once the other end of a pipe is closed, be it by SIGKILL; on Linux alone.

    That the pipe was closed is signalled as SIGKILL (fcntl(2), F_SETSIG), for as long as somebody has its read end.

    Args:
        read_end: The pipe's read end.
    """
    fcntl.fcntl(read_end, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(read_end, fcntl.F_SETOWN, -os.getpgrp())
    fcntl.fcntl(read_end, fcntl.F_SETFL, fcntl.fcntl(read_end, fcntl.F_GETFL) | os.O_ASYNC)


@contextmanager
def start_in_group(
    words: Sequence[str], *, folder: Path, environment: Mapping[str, str], stdout: IO[bytes], stderr: IO[bytes]
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process in a group of its own; when the context is left, whatever is left of the group is killed.

    On Linux the group is also killed when this process ends in any other way: the process holds the read end of a pipe
    whose write end is here alone. It asks for that itself before it becomes the program, while it still has the write end
    too: were it asked for from here, whoever is killed just before would leave the program running.

    Args:
        words: The program and its arguments; no shell is between.
        folder: Where it runs.
        environment: All of its variables.
        stdout: Where its output goes.
        stderr: Where its errors go.

    Raises:
        OSError: It cannot be started.
    """
    read_end, write_end = os.pipe()
    try:
        process = subprocess.Popen(  # noqa: S603  # the user's own program, trusted on the command line
            words,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            process_group=0,
            pass_fds=(read_end,),
            preexec_fn=partial(kill_when_closed, read_end) if sys.platform == "linux" else None,  # noqa: PLW1509  # takes no lock
        )
        try:
            yield process
        finally:
            _kill_group(process)
    finally:
        os.close(read_end)
        os.close(write_end)


def wait_for_exit(process: subprocess.Popen[bytes], seconds: float | None = None) -> bool:
    """Wait until a process has ended, and leave it to be reaped: until then nobody else can get its id.

    Args:
        process: A child of this process.
        seconds: How long to wait; for ever by default.

    Returns:
        Whether it has ended.
    """
    if seconds is None:
        return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT) is not None
    if hasattr(os, "pidfd_open"):
        watched = os.pidfd_open(process.pid)
        try:
            return bool(wait([watched], timeout=seconds))
        finally:
            os.close(watched)
    time.sleep(seconds)
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):  # macOS says "not permitted" of a group of which only zombies are left
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


METRICS_FILE = "metrics.json"
PARAMS_FILE = "params.json"
METRICS_VARIABLE = "WINE_SWEEP_METRICS"
_NO_NAME = re.compile(r"[^A-Z0-9_]")
RETRIES_VARIABLE = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
_UNWANTED = ("MLFLOW_EXPERIMENT_NAME", RETRIES_VARIABLE)
"""Variables that would have MLflow look for another experiment than that of the run that is handed over, or have it try
once alone, which is what wine_sweep sets for itself."""


@dataclass(frozen=True)
class Command:
    """A program of the user's own, with placeholders for parameters.

    Args:
        words: The program and its arguments.
        folder: Where it runs.
        params: Parameters that stay fixed.
        seed: What ``{seed}`` stands for.
        variables: Environment variables that replace those of the worker.
    """

    words: tuple[str, ...]
    folder: Path
    params: Mapping[str, Any]
    seed: int
    variables: Mapping[str, str] = field(default_factory=dict)

    def parameters(self, trial: Trial) -> Params:
        """Return the fixed and the searched parameters."""
        return {**self.params, **trial.params}

    def render(self, trial: Trial, scratch: Path) -> list[str]:
        """Fill the placeholders.

        Args:
            trial: Has the searched parameters.
            scratch: The folder of `PARAMS_FILE`.

        Raises:
            KeyError: A parameter has no value in this trial, or an environment variable is not set.
        """
        return [filled for word in self.words for filled in self._fill(word, trial, scratch)]

    def environment(self, trial: Trial, scratch: Path) -> dict[str, str]:
        """Return all variables of the trial's process.

        Args:
            trial: Has the searched parameters, and the run that is handed over.
            scratch: The folder of `METRICS_FILE`.
        """
        params = self.parameters(trial)
        inherited = {name: value for name, value in users_own(os.environ).items() if name not in _UNWANTED}
        return {
            **inherited,
            "PATH": path_with_this_python(inherited.get("PATH", os.defpath)),
            "PYTHONUNBUFFERED": "1",
            **self.variables,
            **{f"WINE_SWEEP_PARAM_{_NO_NAME.sub('_', name.upper())}": spell(value) for name, value in params.items()},
            "WINE_SWEEP_PARAMS": canonical_json(dict(params)),
            "WINE_SWEEP_TRIAL": str(trial.number),
            "WINE_SWEEP_SEED": str(self.seed),
            METRICS_VARIABLE: str(scratch / METRICS_FILE),
            **trial.environment,
        }

    def _fill(self, word: str, trial: Trial, scratch: Path) -> Iterator[str]:
        params = self.parameters(trial)
        name = word.strip("{}")
        if name in WHOLE_WORDS and word == f"{{{name}}}":
            yield from _listed(name, params)
            return
        filled = []
        for text, placeholder in parts(word):
            filled += [text, "" if placeholder is None else self._value(placeholder, params, trial, scratch)]
        yield "".join(filled)

    def _value(self, name: str, params: Params, trial: Trial, scratch: Path) -> str:
        if name in params:
            return spell(params[name])
        if name.startswith(ENVIRONMENT):
            return os.environ[name.removeprefix(ENVIRONMENT)]
        if name == "params_file":
            path = scratch / PARAMS_FILE
            path.write_text(json.dumps(dict(params)), encoding="utf-8")
            return str(path)
        known = {"params_json": canonical_json(dict(params)), "trial": str(trial.number), "seed": str(self.seed)}
        return {**known, "python": sys.executable}[name]


def spell(value: Any) -> str:
    """Spell a parameter's value as a word: text as it is, all else as JSON does."""
    return value if isinstance(value, str) else canonical_json(value)


def _listed(how: str, params: Params) -> Iterator[str]:
    """Yield a word for each parameter."""
    for name, value in params.items():
        if how == "args_no_boolean_flags" and isinstance(value, bool):
            if value:
                yield f"--{name}"
        else:
            yield f"{'' if how == 'args_no_hyphens' else '--'}{name}={spell(value)}"


def path_with_this_python(path: str) -> str:
    """Look for programs beside this interpreter first, as an activated virtual environment does."""
    beside = os.path.dirname(sys.executable)
    return path if sys.prefix == sys.base_prefix else f"{beside}{os.pathsep}{path}"


TAIL_BYTES = 20_000
_HINTS = {
    "does not match environment run ID": "the script names an experiment of its own: give the config the same `experiment`",
    "Run with id=": "the script goes to a tracking store of its own: have it use MLFLOW_TRACKING_URI",
}
"""What MLflow says where a script does not go on with the run that it is handed, and what to do."""


@dataclass(frozen=True)
class CommandTask:
    """Measures a trial by running a command; called with a trial, it gives the trial back with what came of it.

    A trial whose process has ended well is FINISHED with what the program has said in its file or on stdout. What it has
    logged to MLflow is not known here.

    Args:
        command: What is run.
        pattern: Finds metrics in what it prints; None for none.
        of: Which value of a metric's history counts, where that is not the last.
        stepwise: Whether to show the trial whenever the program has reported a step.
        clock: Tells the time in seconds since the epoch.
    """

    command: Command
    pattern: str | None = None
    of: Mapping[str, HistoryReducer] = field(default_factory=dict)
    stepwise: bool = False
    clock: Callable[[], float] = time.time

    def __call__(self, trial: Trial, bench: TrialIO) -> Trial:
        """Measure a trial; see `Task`."""
        trial = replace(trial, started=self.clock(), reports=())
        began = time.perf_counter()
        try:
            code, trial = self._run(trial, bench)
        except (KeyError, OSError, ValueError) as error:
            return self._failed(trial, Failure("CommandFailed", self._why_not_started(error)))
        if code is None:
            return replace(trial, state=TrialState.KILLED, ended=self.clock())
        if code != 0:
            return self._failed(trial, _failure_of(code, bench.folder / STDERR_FILE))
        try:
            sayings = self._sayings(bench)
        except MetricParseError as error:
            return self._failed(trial, Failure("BadMetrics", str(error)))
        scores = {name: Score(value) for name, value in results(sayings, self.of).items()}
        spent = time.perf_counter() - began
        return replace(
            trial, state=TrialState.FINISHED, scores=scores, reports=reports(sayings), fit_seconds=spent, ended=self.clock()
        )

    def _run(self, trial: Trial, bench: TrialIO) -> tuple[int | None, Trial]:
        """Run the command to its end; give its exit code, None where it was stopped, and what it has reported."""
        words = self.command.render(trial, bench.scratch)
        variables = self.command.environment(trial, bench.scratch)
        folder = self.command.folder
        with (
            (bench.folder / STDOUT_FILE).open("wb") as stdout,
            (bench.folder / STDERR_FILE).open("wb") as stderr,
            start_in_group(words, folder=folder, environment=variables, stdout=stdout, stderr=stderr) as process,
        ):
            if not self.stepwise:
                wait_for_exit(process)
            else:
                with closing(_Watch(self.pattern, bench)) as watch:
                    while not wait_for_exit(process, POLL_SECONDS):
                        for report in watch.new_reports():
                            trial = replace(trial, reports=(*trial.reports, report))
                            if not bench.report(trial):
                                return None, trial
        return process.returncode, trial

    def _sayings(self, bench: TrialIO) -> list[MetricLine]:
        """Read all that the program has said; what its file says comes after what it has printed."""
        printed = (bench.folder / STDOUT_FILE).read_text(encoding="utf-8", errors="replace") if self.pattern else ""
        said = list(sayings_of_text(printed, re.compile(self.pattern))) if self.pattern else []
        return [*said, *sayings_of_file(bench.scratch / METRICS_FILE)]

    def _failed(self, trial: Trial, failure: Failure) -> Trial:
        return replace(trial, state=TrialState.FAILED, failure=failure, ended=self.clock())

    def _why_not_started(self, error: KeyError | OSError | ValueError) -> str:
        """Describe why there was no process: a placeholder without a value, no such program, a NUL character in a value."""
        if isinstance(error, KeyError):
            return f"the placeholder {{{error.args[0]}}} has no value in this trial"
        if not isinstance(error, OSError):
            return f"the command cannot be started: {error}"
        if not self.command.folder.is_dir():
            return f"the folder {self.command.folder} cannot be used: {error.strerror or error}"
        return f"the program '{error.filename or self.command.words[0]}' cannot be started: {error.strerror or error}"


class _Watch:
    """Gives each step of a running program once, when it is first seen, the earlier ones first."""

    def __init__(self, pattern: str | None, bench: TrialIO) -> None:
        self._pattern = re.compile(pattern) if pattern else None
        self._printed = Tail(bench.folder / STDOUT_FILE)
        self._written = Tail(bench.scratch / METRICS_FILE)
        self._last = -1

    def close(self) -> None:
        self._printed.close()
        self._written.close()

    def new_reports(self) -> Iterator[Report]:
        for report in reports(self._sayings()):
            if report.step > self._last:
                self._last = report.step
                yield report

    def _sayings(self) -> Iterator[MetricLine]:
        try:
            if self._pattern is not None:
                yield from sayings_of_text(self._printed.read(), self._pattern)
            for line in self._written.read().splitlines():
                yield from sayings_of_line(line)
        except MetricParseError:
            return  # it is told once the program has ended and all that it said is read


def _failure_of(code: int, errors: Path) -> Failure:
    """Describe how a process has ended that did not end well, with the last line of its errors."""
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        hint = "; the system may be out of memory" if code == -signal.SIGKILL else ""
        return Failure("CommandFailed", f"the command was ended by {name}{hint}", cause=FailureCause.WORKER)
    text = _end_of(errors)
    lines = [line for line in text.splitlines() if line.strip()]
    said = f": {lines[-1].strip()[:300]}" if lines else ""
    hint = next((f"; {hint}" for words, hint in _HINTS.items() if words in text), "")
    return Failure("CommandFailed", f"the command ended with exit code {code}{said}{hint}")


def _end_of(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(0, 2)
        file.seek(max(0, file.tell() - TAIL_BYTES))
        return file.read().decode(errors="replace")
