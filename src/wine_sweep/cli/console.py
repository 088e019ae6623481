"""Consoles and tables: stdout for results, stderr for progress and logs."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from rich.console import Console
from rich.logging import RichHandler
from rich.measure import Measurement
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from wine_sweep.report.leaderboard import MARKS, Leaderboard, describe_params, text_table
from wine_sweep.wording import visible

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
            yield segment if is_safe else segment._replace(text=_visible_lines(segment.text))


def _visible_lines(text: str) -> str:
    return "\n".join(map(visible, text.split("\n")))


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
    console.print(_narrow_table(shown))


def _narrow_table(board: Leaderboard) -> Table:
    header, lines = text_table(replace(board, params=[], metrics=[name for name in board.metrics if name in board.goals]))
    table = plain_table([*header, "parameters"], right={"trial", *board.metrics})
    for row, line in zip(board.rows, lines, strict=True):
        table.add_row(*line, describe_params(row.params), style="bold green" if row.best else None)
    return table


def _leaderboard_table(board: Leaderboard, spreads: Sequence[str] | None) -> Table:
    header, lines = text_table(board, spreads=spreads)
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
