"""Progress in a notebook: one line below the cell, written anew as the sweep goes on."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Self

from rich.console import Console

from wine_sweep.cli.progress import SweepProgress
from wine_sweep.trial import Trial
from wine_sweep.wording import visible

WRITE_SECONDS = 0.2
"""How often the line is written at most; what changes in between is seen with the next."""


def show_line(text: str, before: Any) -> Any:
    """Show a line of text in IPython, in place of the one before.

    Args:
        text: The line.
        before: What showing the one before gave; None for the first.
    """
    from IPython.display import HTML, display  # a notebook has it, and nothing else needs it

    shown = HTML(f"<pre>{_escaped(text)}</pre>")
    if before is None:
        return display(shown, display_id=True)
    before.update(shown)
    return before


class NotebookProgress(SweepProgress):
    """Shows how far a sweep is in one line; see `SweepProgress`.

    Args:
        console: Where what trials print is shown.
        metric: The objective's metric.
        quiet: Whether to show nothing.
        show: Shows a line in place of the one before.
        monotonic: Tells the time in seconds.
    """

    def __init__(
        self,
        console: Console,
        metric: str,
        *,
        quiet: bool,
        show: Callable[[str, Any], Any] = show_line,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(console, metric, quiet=quiet, monotonic=monotonic)
        self._show_line = show
        self._shown: Any = None
        self._name = ""
        self._written = float("-inf")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._write(f"{self._counts()}, {self._state()}")

    def sweep_started(self, name: str, trials: int | None, workers: int) -> None:
        """Begin with a sweep's name and number of trials."""
        self._name = name
        super().sweep_started(name, trials, workers)

    def phase(self, what: str) -> None:
        """Show what is being done now."""
        self._write(f"{self._counts()}, {what}")

    def trial_ended(self, trial: Trial, best: Trial | None) -> None:
        """Count a trial as done, and remember the best."""
        self._running -= 1
        self.trial_restored(trial, best)

    def _show(self) -> None:
        if self._monotonic() - self._written >= WRITE_SECONDS:
            self._write(f"{self._counts()}, {self._state()}")

    def _line(self, text: str) -> None:
        self._write(text)

    def _counts(self) -> str:
        return f"{self._name or 'the sweep'}: {self._done} of {self._total or '?'} trials done"

    def _write(self, text: str) -> None:
        if not self._quiet:
            self._shown = self._show_line(text, self._shown)
            self._written = self._monotonic()


def _escaped(text: str) -> str:
    return visible(text).replace("&", "&amp;").replace("<", "&lt;")
