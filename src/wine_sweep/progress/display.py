"""Tables on stdout; logs and progress on stderr, on a terminal, elsewhere, and in a notebook."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.logging import RichHandler
from rich.measure import Measurement
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from wine_sweep.messages import visible, visible_lines
from wine_sweep.report.trials import MARKS, Leaderboard, describe_params, show_param, text_table
from wine_sweep.trial import TrialState

PIPE_WIDTH = 400
"""Columns when stdout is no terminal: nothing is cut that a program may want to read."""


_COLOUR = re.compile(r"(\x1b\[[0-9;]{0,40}m)")
"""What sets the colour and style of the text that follows it (SGR)."""


class SafeConsole(Console):
    """A console that takes text as it is: no markup, no emoji codes, no control characters.

    A text that is printed is one line, since a line break within a value must not begin a line that looks like ours. Our own
    layout is made of several calls, of `styled` parts and of tables.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, **options)

    def print(self, *objects: Any, **options: Any) -> None:
        """Print as Rich does, each text as one line."""
        super().print(*(Text(visible(each)) if isinstance(each, str) else each for each in objects), **options)

    def render(self, *arguments: Any, **options: Any) -> Iterator[Segment]:
        """Render as Rich does; control characters that got into a text all the same are shown as escapes."""
        for segment in super().render(*arguments, **options):
            is_safe = segment.control or segment.text.isalnum() or segment.text in ("\n", " ")
            yield segment if is_safe else segment._replace(text=visible_lines(segment.text))


class SafeTable(Table):
    """A table of Rich's whose headers and cells are text as it is, each one line."""

    def add_row(self, *cells: Any, **options: Any) -> None:
        """Add a row as Rich does, each text as one line."""
        super().add_row(*(Text(visible(each)) if isinstance(each, str) else each for each in cells), **options)

    def add_column(self, header: Any = "", *arguments: Any, **options: Any) -> None:
        """Add a column as Rich does, with its header as one line."""
        super().add_column(Text(visible(header)) if isinstance(header, str) else header, *arguments, **options)


class _Handler(RichHandler):
    """Shows each record as one line; its text may be a server's or a script's."""

    def format(self, record: logging.LogRecord) -> str:
        return visible(super().format(record))


def stdout() -> Console:
    """Make the console for results."""
    console = SafeConsole(soft_wrap=False)
    return console if console.is_terminal else SafeConsole(width=PIPE_WIDTH)


def stderr() -> Console:
    """Make the console for progress and logs."""
    return SafeConsole(stderr=True)


def styled(*parts: str | tuple[str, str]) -> Text:
    """Make one line of parts, each a text or a text and its style."""
    return Text.assemble(*(visible(each) if isinstance(each, str) else (visible(each[0]), each[1]) for each in parts))


def coloured(line: str) -> Text:
    """Make one line of what a script has printed: its colours stay, every other control character is shown as an escape."""
    pieces = _COLOUR.split(line)
    return Text.from_ansi("".join(piece if at % 2 else visible(piece) for at, piece in enumerate(pieces)))


def start_logging(console: Console, *, quiet: bool) -> None:
    """Show the package's log above the progress bar: warnings and worse, or only errors."""
    handler = _Handler(console=console, show_time=False, show_path=False, markup=False)
    logger = logging.getLogger("wine_sweep")
    logger.handlers[:] = [handler]
    logger.setLevel(logging.ERROR if quiet else logging.WARNING)
    logger.propagate = False


def print_leaderboard(console: Console, board: Leaderboard, *, top: int | None = None) -> None:
    """Print a leaderboard's first rows, the winner of each sweep in bold, and what the marks mean where that is not plain.

    Where the terminal is too narrow, first the spreads of all metrics but those that decide are left out, then those metrics,
    and at last the parameters share one column.
    """
    shown = replace(board, rows=board.rows[:top] if top else board.rows)
    _print_table(console, shown)
    if board.has_near:
        console.print(MARKS, style="dim")


def _print_table(console: Console, shown: Leaderboard) -> None:
    first = [name for name in shown.metrics if name in shown.goals]
    wide = console.options.update(width=PIPE_WIDTH)
    for candidate, spreads in [(shown, None), (shown, first), (replace(shown, metrics=first), first)]:
        table = _leaderboard_table(candidate, spreads)
        if Measurement.get(console, wide, table).maximum <= console.width:
            console.print(table)
            return
    console.print(_leaderboard_table(replace(shown, params=[], metrics=first), None, in_one=True))


def _leaderboard_table(board: Leaderboard, spreads: Sequence[str] | None, *, in_one: bool = False) -> Table:
    """Make the table, its parameters in columns of their own or all in one, the last."""
    header, lines = text_table(board, spreads=spreads)
    if in_one:
        header = [*header, "parameters"]
        lines = [[*line, describe_params(row.params)] for row, line in zip(board.rows, lines, strict=True)]
    table = plain_table(header, right={"trial", *board.metrics})
    for row, line in zip(board.rows, lines, strict=True):
        table.add_row(*line, style="bold green" if row.best else None)
    return table


def plain_table(header: Sequence[str], *, right: Iterable[str] = ()) -> Table:
    """Make an empty table without lines; the columns in `right` are aligned to the right."""
    table = SafeTable(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in header:
        table.add_column(name, justify="right" if name in set(right) else "left", overflow="fold")
    return table


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
        self._best: float | None = None
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

    def trial_started(self) -> None:
        """Count a trial as running."""
        self._running += 1
        self._show()

    def trial_ended(self, state: TrialState, best: float | None) -> None:
        """Count a trial as done, and remember the best."""
        self._running -= 1
        self.trial_restored(state, best)
        if self._monotonic() - self._last_line >= LINE_SECONDS:
            self._line(f"{self._done} of {self._total or '?'} trials done, {self._state()}")

    def trial_restored(self, state: TrialState, best: float | None) -> None:
        """Count a trial as done that ended before the sweep was resumed."""
        self._done += 1
        self._failed += state is TrialState.FAILED
        self._pruned += state is TrialState.PRUNED
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
            parts.append(f"best {self._metric} {show_param(self._best)}")
        if self._waiting:
            parts.append(f"the tracking store is away: {self._waiting} result{'s wait' if self._waiting > 1 else ' waits'}")
        return ", ".join(parts)

    def _line(self, text: str) -> None:
        """Print a line where there is no bar."""
        if not self._quiet and not self._console.is_terminal:
            self._console.print(text, soft_wrap=True)
            self._last_line = self._monotonic()


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

    def trial_ended(self, state: TrialState, best: float | None) -> None:
        """Count a trial as done, and remember the best."""
        self._running -= 1
        self.trial_restored(state, best)

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
