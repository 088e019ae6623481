"""``wine-sweep compare``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from wine_sweep.cli.console import print_leaderboard, stdout
from wine_sweep.cli.formats import Format, print_json
from wine_sweep.config import Direction
from wine_sweep.errors import ConfigError, Problem, SourceLocation, TrackingError
from wine_sweep.report.leaderboard import Leaderboard, as_csv, as_markdown, as_records, make_leaderboard
from wine_sweep.selection import Goal, Objective
from wine_sweep.tracking import names
from wine_sweep.tracking.reader import SweepReader, SweepRecord
from wine_sweep.tracking.store import open_store
from wine_sweep.tracking.tags import read_tag
from wine_sweep.trial import FIT_SECONDS, MODEL_SIZE, Trial
from wine_sweep.wording import one_of

_WRITERS = {Format.CSV: as_csv, Format.MARKDOWN: as_markdown}


def compare_command(
    references: Sequence[str],
    *,
    top: int | None,
    sort: str | None,
    format_: Format,
    tracking_uri: str | None,
    experiment: str | None,
) -> None:
    """Print the leaderboard of sweeps, one after the other in one table.

    Raises:
        NotFoundError: There is no such sweep.
        ConfigError: No trial has the metric to sort by.
        TrackingError: The store cannot be read.
    """
    reader = SweepReader(open_store(tracking_uri), experiment)
    sweeps = list({sweep.run_id: sweep for sweep in map(reader.find, references)}.values())
    entries = [(_label(sweep, sweeps), objective_of(sweep), reader.trials(sweep)) for sweep in sweeps]
    board = make_leaderboard(entries, by=_order(sort, entries))
    if top is not None:
        board = replace(board, rows=board.rows[:top])
    _print(board, format_)


def objective_of(sweep: SweepRecord) -> Objective:
    """Give the objective that a sweep had.

    Raises:
        TrackingError: Its tag cannot be read.
    """
    evaluation = sweep.params.get("evaluation", "the folds")
    if names.OBJECTIVES in sweep.tags:
        try:
            return read_tag(sweep.tags, names.OBJECTIVES, lambda text: Objective.restore(json.loads(text), evaluation), "")
        except ValueError as error:
            raise TrackingError(f"the run {sweep.run_id} ('{sweep.name}'): {error}") from error
    return Objective(sweep.metric, sweep.direction, evaluation)


def _label(sweep: SweepRecord, sweeps: Sequence[SweepRecord]) -> str:
    """Name a sweep so that two of the same name can be told apart."""
    return sweep.name if sum(other.name == sweep.name for other in sweeps) == 1 else f"{sweep.name} {sweep.run_id[:6]}"


def _order(sort: str | None, entries: Sequence[tuple[str, Objective, Sequence[Trial]]]) -> Goal | None:
    if sort is None:
        return None
    goals = [goal for _, objective, _ in entries for goal in objective.goals]
    measured = [name for _, _, trials in entries for trial in trials for name in trial.scores]
    known = dict.fromkeys([*measured, *(goal.metric for goal in goals)])
    if sort not in known:
        raise ConfigError([Problem(f"no trial has the metric '{sort}'; {one_of(sort, known)}", place=SourceLocation("--sort"))])
    return next((goal for goal in goals if goal.metric == sort), Goal(sort, direction_of(sort)))


def direction_of(metric: str) -> Direction:
    """Say which way a metric is better, by its name: errors, times and sizes are better when lower."""
    from wine_sweep.objective.metrics import ERRORS

    return Direction.MINIMIZE if metric in (*ERRORS, FIT_SECONDS, MODEL_SIZE) else Direction.MAXIMIZE


def _print(board: Leaderboard, format_: Format) -> None:
    if format_ is Format.TABLE:
        print_leaderboard(stdout(), board)
    elif format_ is Format.JSON:
        print_json(as_records(board))
    else:
        print(_WRITERS[format_](board), end="")
