"""A command as a trial: started, watched, and its metrics read. This is what workers run."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from wine_sweep.bench import TrialIO
from wine_sweep.config import HistoryReducer
from wine_sweep.leash import start_in_group, wait_for_exit
from wine_sweep.objective.command import METRICS_FILE, Command
from wine_sweep.objective.output import STDERR_FILE, STDOUT_FILE, Tail
from wine_sweep.objective.spoken import (
    MetricLine,
    MetricParseError,
    reports,
    results,
    sayings_of_file,
    sayings_of_line,
    sayings_of_text,
)
from wine_sweep.trial import Failure, FailureCause, Report, Score, Trial, TrialState

LOOK_SECONDS = 0.2
"""How often a process that a pruner may stop is looked at."""

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
                    while not wait_for_exit(process, LOOK_SECONDS):
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
        """Say why there was no process: a placeholder without a value, no such program, a NUL character in a value."""
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
    """Say how a process has ended that did not end well, with the last line of its errors."""
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
