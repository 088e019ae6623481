"""Consoles and tables: stdout for results, stderr for progress and logs."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace

from rich.console import Console
from rich.logging import RichHandler
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from wine_sweep.report.leaderboard import MARKS, Leaderboard, params_in_words, text_table

PIPE_WIDTH = 400
"""Columns when stdout is no terminal: nothing is cut that a program may want to read."""


def stdout() -> Console:
    """Make the console for results."""
    console = Console(highlight=False, soft_wrap=False)
    return console if console.is_terminal else Console(highlight=False, width=PIPE_WIDTH)


def stderr() -> Console:
    """Make the console for progress and logs."""
    return Console(stderr=True, highlight=False)


def start_logging(console: Console, *, quiet: bool) -> None:
    """Show the package's log above the progress bar: warnings and worse, or only errors."""
    handler = RichHandler(console=console, show_time=False, show_path=False, markup=False)
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
        console.print(f"[dim]{MARKS}[/dim]")


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
        table.add_row(*map(Text, [*line, params_in_words(row.params)]), style="bold green" if row.best else None)
    return table


def _leaderboard_table(board: Leaderboard, spreads: Sequence[str] | None) -> Table:
    header, lines = text_table(board, spreads=spreads)
    table = plain_table(header, right={"trial", *board.metrics})
    for row, line in zip(board.rows, lines, strict=True):
        table.add_row(*map(Text, line), style="bold green" if row.best else None)
    return table


def plain_table(header: Sequence[str], *, right: Iterable[str] = ()) -> Table:
    """Make an empty table without lines; the columns in `right` are aligned to the right."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in header:
        table.add_column(name, justify="right" if name in set(right) else "left", overflow="fold")
    return table
