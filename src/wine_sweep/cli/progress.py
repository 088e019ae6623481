"""Progress on stderr: a bar on a terminal, a line now and then elsewhere, nothing when quiet."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from wine_sweep.cli.console import coloured, styled
from wine_sweep.report.leaderboard import show_param
from wine_sweep.trial import Trial, TrialState
from wine_sweep.wording import visible

LINE_SECONDS = 10
"""How often a line is printed where there is no terminal."""


class SweepProgress:
    """Shows how far a sweep is: done, running, failed, best so far, time left.

    Args:
        console: Where to show it.
        metric: The objective's metric.
        quiet: Whether to show nothing.
        monotonic: Tells the time in seconds.
    """

    def __init__(self, console: Console, metric: str, *, quiet: bool, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._metric = metric
        self._quiet = quiet
        self._monotonic = monotonic
        self._total: int | None = None
        self._done = self._failed = self._pruned = self._running = 0
        self._best: Trial | None = None
        self._waiting = 0
        self._last_line = monotonic()
        self._bar = Progress(
            TextColumn("{task.description}", style="bold", markup=False),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[state]}", markup=False),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
            disable=quiet or not console.is_terminal,
        )
        self._task = self._bar.add_task("starting", total=None, state="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bar.stop()

    def sweep_started(self, name: str, trials: int | None, workers: int) -> None:
        """Begin with a sweep's name and number of trials."""
        self._total = trials
        self._bar.update(self._task, description=visible(name[:20]), total=trials)
        count = trials if trials is not None else "as many as the time allows"
        self._line(f"{name}: {count} trials on {workers} worker{'s' * (workers > 1)}")

    def trial_started(self, trial: Trial) -> None:  # noqa: ARG002  # the interface's signature
        """Count a trial as running."""
        self._running += 1
        self._show()

    def trial_ended(self, trial: Trial, best: Trial | None) -> None:
        """Count a trial as done, and remember the best."""
        self._running -= 1
        self.trial_restored(trial, best)
        if self._monotonic() - self._last_line >= LINE_SECONDS:
            self._line(f"{self._done} of {self._total or '?'} trials done, {self._state()}")

    def trial_restored(self, trial: Trial, best: Trial | None) -> None:
        """Count a trial as done that ended before the sweep was resumed."""
        self._done += 1
        self._failed += trial.state is TrialState.FAILED
        self._pruned += trial.state is TrialState.PRUNED
        self._best = best
        self._bar.update(self._task, completed=self._done)
        self._show()

    def trial_printed(self, number: int, line: str) -> None:
        """Show a line that a trial has printed, above the bar."""
        self._console.print(styled(f"trial {number:04d} | ") + coloured(line), soft_wrap=True)

    def phase(self, what: str) -> None:
        """Show what is being done now."""
        self._bar.update(self._task, state=visible(what))
        self._line(what)

    def results_wait(self, count: int) -> None:
        """Show how many results wait for the store."""
        self._waiting = count
        self._show()

    def _show(self) -> None:
        self._bar.update(self._task, state=visible(self._state()))

    def _state(self) -> str:
        parts = [f"{self._running} running"] + ([f"{self._failed} failed"] if self._failed else [])
        parts += [f"{self._pruned} pruned"] if self._pruned else []
        if self._best is not None:
            parts.append(f"best {self._metric} {show_param(self._best.score(self._metric).mean)}")
        if self._waiting:
            parts.append(f"the tracking store is away: {self._waiting} result{'s wait' if self._waiting > 1 else ' waits'}")
        return ", ".join(parts)

    def _line(self, text: str) -> None:
        """Print a line where there is no bar."""
        if not self._quiet and not self._console.is_terminal:
            self._console.print(text, soft_wrap=True)
            self._last_line = self._monotonic()
