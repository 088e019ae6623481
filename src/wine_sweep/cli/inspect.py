"""What the commands that only read print, ``list``, ``compare`` and ``history``; ``ui``."""

from __future__ import annotations

import json
import math
import os
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from rich.console import Console
from rich.text import Text

from wine_sweep.cli.exits import Format, print_json
from wine_sweep.config import Direction
from wine_sweep.errors import ConfigError, OwnershipError, TrackingError
from wine_sweep.messages import mask, one_of, visible
from wine_sweep.progress.display import SafeTable, plain_table, print_leaderboard, stderr, stdout, styled
from wine_sweep.registry import Action, Entry, Progress
from wine_sweep.registry.transitions import History, StageContent
from wine_sweep.report.trials import Leaderboard, as_csv, as_markdown, as_records, make_leaderboard, show_param
from wine_sweep.selection import Goal, Objective
from wine_sweep.sweep.lost import close_sweep
from wine_sweep.tracking import names
from wine_sweep.tracking.encoding import read_tag
from wine_sweep.tracking.lock import LostCheck, close_check, is_lost
from wine_sweep.tracking.reader import SweepReader, SweepRecord
from wine_sweep.tracking.store import require_store
from wine_sweep.trial import Trial, TrialState

_WRITERS = {Format.CSV: as_csv, Format.MARKDOWN: as_markdown}


def board_of(reader: SweepReader, references: Sequence[str], *, sort: str | None) -> Leaderboard:
    """Build the leaderboard of sweeps, one after the other in one table.

    Raises:
        NotFoundError: There is no such sweep.
        ConfigError: No trial has the metric to sort by.
        TrackingError: The store cannot be read.
    """
    sweeps = list({sweep.run_id: sweep for sweep in map(reader.find, references)}.values())
    entries = [(_label(sweep, sweeps), objective_of(sweep), reader.trials(sweep)) for sweep in sweeps]
    return make_leaderboard(entries, by=_order(sort, entries))


def objective_of(sweep: SweepRecord) -> Objective:
    """Return the objective that a sweep had.

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
    from wine_sweep.evaluation.metrics import usual_direction

    goals = [goal for _, objective, _ in entries for goal in objective.goals]
    measured = [name for _, _, trials in entries for trial in trials for name in trial.scores]
    known = dict.fromkeys([*measured, *(goal.metric for goal in goals)])
    if sort not in known:
        raise ConfigError.at("--sort", f"no trial has the metric '{sort}'; {one_of(sort, known)}")
    return next((goal for goal in goals if goal.metric == sort), Goal(sort, usual_direction(sort) or Direction.MAXIMIZE))


def print_board(board: Leaderboard, format_: Format, *, top: int | None) -> None:
    """Print a leaderboard, or its first rows."""
    if top is not None:
        board = replace(board, rows=board.rows[:top])
    if format_ is Format.TABLE:
        print_leaderboard(stdout(), board)
    elif format_ is Format.JSON:
        print_json(as_records(board))
    else:
        print(_WRITERS[format_](board), end="")


def print_history(history: History, *, as_json: bool) -> None:
    """Print what is and was in a registered model's stages, since when, by whom and why; the newest first."""
    if as_json:
        print_json(_record(history))
        return
    console = stdout()
    moment = f" as of {_shown(history.at)}" if history.at is not None else ""
    console.print(styled((history.name, "bold"), moment))
    console.print()
    for held in history.held:
        console.print(f"- {_describe_stage(held, past=history.at is not None)}")
    if not history.entries:
        when = "" if history.at is None else " up to then"
        console.print()
        console.print(f"Nothing is in its ledger{when}: wine_sweep has promoted nothing.")
        return
    console.print()
    _print_entries(console, history)


def _print_entries(console: Console, history: History) -> None:
    table = SafeTable(box=None, pad_edge=False, header_style="bold", show_edge=False)
    table.add_column("when (UTC)", no_wrap=True)
    table.add_column("who", overflow="fold", max_width=12)
    table.add_column("what", no_wrap=True)
    table.add_column("why", overflow="fold", ratio=1)
    for entry in reversed(history.entries):
        table.add_row(_shown(entry.when), entry.who, Text("\n").join(map(styled, _what(entry))), " ".join(entry.reasons))
    console.print(table)


def _what(entry: Entry) -> tuple[str, str]:
    """Describe in a few words what an entry is about, in two lines."""
    words = {Action.PROMOTED: "promoted", Action.KEPT: "kept", Action.ROLLED_BACK: "rolled back"}[entry.action]
    if entry.progress is not Progress.DONE:
        words = {Progress.BEGUN: f"{words} (begun)", Progress.FAILED: f"not {words}"}[entry.progress]
    before, after = entry.before or "none", entry.after or "none"
    versions = before if entry.action is Action.KEPT else f"{before} → {after}"
    return words, f"{entry.stage} {versions}"


def _describe_stage(held: StageContent, *, past: bool) -> str:
    stage, holds = held.stage.value, "held" if past else "holds"
    if held.version is None:
        return f"{stage} {holds} no version{', as far as the ledger says' if past else ''}."
    if held.entry is None:
        return f"{stage} {holds} version {held.version}; it was put there without wine_sweep, so the ledger says no more."
    return f"{stage} {holds} version {held.version}, since {_shown(held.entry.when)} UTC."


def _shown(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%d %H:%M")


def _record(history: History) -> dict[str, object]:
    return {
        "model": history.name,
        "as_of": history.at.isoformat() if history.at is not None else None,
        "stages": {
            held.stage.value: None
            if held.version is None
            else {
                "version": held.version,
                "since": held.entry.when.isoformat(timespec="seconds") if held.entry is not None else None,
                "run_id": held.entry.run_id if held.entry is not None else None,
            }
            for held in history.held
        },
        "entries": [entry.record() for entry in reversed(history.entries)],
    }


LOST = "LOST"
"""Shown for what MLflow calls RUNNING although its process is gone: a sweep of this machine, which can be resumed, or a check."""

HEADER = ("sweep", "name", "experiment", "status", "trials", "best", "started")
WHAT_TO_DO = (
    "LOST: its process is gone. `wine-sweep list --lost --close` ends it in MLflow;"
    " `wine-sweep resume SWEEP` goes on with a sweep."
)


def print_sweeps(
    reader: SweepReader, sweeps: Sequence[SweepRecord], checks: Sequence[LostCheck], *, only_lost: bool, as_json: bool
) -> None:
    """Print sweeps, the newest first, and the checks that nobody ends any more."""
    if as_json:
        print_json([*map(_document, sweeps), *(_check_document(reader, check) for check in checks)])
        return
    if not sweeps and not checks:
        stdout().print("Nothing is lost here." if only_lost else "No sweeps here yet. wine-sweep run CONFIG makes one.")
        return
    statuses = [_status(sweep) for sweep in sweeps]
    rows = [
        (sweep.started, (sweep.run_id[:8], sweep.name, sweep.experiment, status, _trials(sweep), _best(sweep)))
        for sweep, status in zip(sweeps, statuses, strict=True)
    ]
    rows += [
        (check.started, (check.run_id[:8], check.name, reader.experiment_name(check.experiment_id), LOST, "", ""))
        for check in checks
    ]
    table = plain_table(HEADER, right=["trials"])
    for began, cells in sorted(rows, key=lambda row: -row[0]):
        table.add_row(*cells, _started(began))
    stdout().print(table)
    if checks or LOST in statuses:
        stdout().print()
        stdout().print(WHAT_TO_DO, soft_wrap=True)


def close_all(reader: SweepReader, sweeps: Sequence[SweepRecord], checks: Sequence[LostCheck], *, as_json: bool) -> bool:
    """End in MLflow what is lost, print of each whether that was done, and return whether it was done of all."""
    lost: list[tuple[dict[str, Any], str, Callable[[], object]]] = [
        *((_document(each), f"the sweep {each.name}", partial(close_sweep, reader, each)) for each in sweeps),
        *((_check_document(reader, each), f"the {each.name}", partial(close_check, reader.client, each)) for each in checks),
    ]
    documents = []
    for document, name, close in lost:
        which = f"{name} ({document['run_id'][:8]})"
        reason = None
        try:
            close()
        except (OwnershipError, TrackingError) as error:
            reason = str(error)
        documents.append({**document, "status": LOST if reason else "KILLED", "closed": not reason, "reason": reason})
        if not as_json:
            console = stderr() if reason else stdout()
            console.print(f"not closed: {which}: {reason}" if reason else f"closed: {which}", soft_wrap=True)
    if as_json:
        print_json(documents)
    elif not lost:
        stdout().print("Nothing is lost here.")
    return all(document["closed"] for document in documents)


def _status(sweep: SweepRecord) -> str:
    """Say MLflow's status, or that the process is gone that should have ended the sweep."""
    return LOST if sweep.status == "RUNNING" and is_lost(sweep.run_id, sweep.tags) else sweep.status


def _trials(sweep: SweepRecord) -> str:
    finished = sweep.count(TrialState.FINISHED)
    return f"{finished}/{sweep.trials}" if finished is not None else sweep.trials


def _started(seconds: float) -> str:
    try:
        return f"{datetime.fromtimestamp(seconds, UTC).astimezone():%Y-%m-%d %H:%M}"
    except (ValueError, OverflowError, OSError):  # a moment that no calendar has
        return "?"


def _best(sweep: SweepRecord) -> str:
    best = sweep.metrics.get(names.best_metric(sweep.metric))
    return f"{sweep.metric} {show_param(best)}" if best is not None else ""


def _document(sweep: SweepRecord) -> dict[str, Any]:
    return {
        "run_id": sweep.run_id,
        "kind": names.Kind.SWEEP.value,
        "name": sweep.name,
        "experiment": sweep.experiment,
        "status": _status(sweep),
        "started": sweep.started,
        "ended": None if math.isnan(sweep.ended) else sweep.ended,
        "objective": {"metric": sweep.metric, "direction": sweep.direction.value},
        "best": sweep.metrics.get(names.best_metric(sweep.metric)),
        "params": sweep.params,
    }


def _check_document(reader: SweepReader, check: LostCheck) -> dict[str, Any]:
    return {
        "run_id": check.run_id,
        "kind": names.Kind.CHECK.value,
        "name": check.name,
        "experiment": reader.experiment_name(check.experiment_id),
        "status": LOST,
        "started": check.started,
        "ended": None,
        "objective": None,
        "best": None,
        "params": dict(check.params),
    }


def become_ui(uri: str, host: str, port: int) -> None:
    """Replace this process by MLflow's UI on the store; a tracking server has a UI of its own, whose address is printed.

    Raises:
        NotFoundError: There is no store here yet.
        TrackingError: The port is taken.
    """
    if uri.startswith(("http://", "https://")):
        print(f"The tracking server has a UI of its own: {visible(mask(uri))}")
        return
    require_store(uri)
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        socket.create_server((host, port), family=family).close()
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no host's name"
        raise TrackingError(f"{host}:{port} cannot be listened on ({reason}); choose another with --port") from error
    stderr().print(f"MLflow's UI on {mask(uri)}: http://{host}:{port}  (Ctrl-C ends it)", soft_wrap=True)
    os.environ.setdefault("UVICORN_APP_DIR", sys.prefix)  # or uvicorn would import from the working folder first
    command = [sys.executable, "-P", "-m", "mlflow", "ui", "--backend-store-uri", uri, "--host", host, "--port", str(port)]
    os.execv(sys.executable, command)  # noqa: S606  # no shell is meant: the arguments are passed as they are
