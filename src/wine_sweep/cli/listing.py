"""``wine-sweep list``."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from wine_sweep.cli.console import plain_table, start_logging, stderr, stdout
from wine_sweep.cli.exits import DONE, FAILED
from wine_sweep.cli.formats import print_json
from wine_sweep.errors import ConfigError, OwnershipError, Problem, SourceLocation, TrackingError
from wine_sweep.report.leaderboard import show_param
from wine_sweep.runner.lost import close_sweep, lost_sweeps
from wine_sweep.tracking import names
from wine_sweep.tracking.claim import is_lost
from wine_sweep.tracking.lost import LostCheck, close_check, lost_checks
from wine_sweep.tracking.reader import SweepReader, SweepRecord
from wine_sweep.tracking.store import open_store
from wine_sweep.trial import TrialState

LOST = "LOST"
"""Shown for what MLflow calls RUNNING although its process is gone: a sweep of this machine, which can be resumed, or a check."""

HEADER = ("sweep", "name", "experiment", "status", "trials", "best", "started")
WHAT_TO_DO = (
    "LOST: its process is gone. `wine-sweep list --lost --close` ends it in MLflow;"
    " `wine-sweep resume SWEEP` goes on with a sweep."
)


def list_command(
    *, tracking_uri: str | None, experiment: str | None, only_lost: bool = False, close: bool = False, as_json: bool
) -> int:
    """Print the sweeps of one experiment or of all, the newest first, and the checks that nobody ends any more.

    Args:
        tracking_uri: MLflow's store; None for MLflow's own default.
        experiment: The only experiment to look in; None for all.
        only_lost: Whether only what is LOST is printed.
        close: Whether that is ended in MLflow.
        as_json: Whether to print JSON.

    Returns:
        The exit code: whether everything that was to be closed is.

    Raises:
        ConfigError: Something is to be closed, and not only what is lost is asked for.
        NotFoundError: There is no such experiment.
        TrackingError: The store cannot be read.
    """
    if close and not only_lost:
        raise ConfigError([Problem("ends what is lost, and nothing else; say `--lost --close`", place=SourceLocation("--close"))])
    reader = SweepReader(open_store(tracking_uri), experiment)
    checks = lost_checks(reader.client, reader.experiment_ids)
    sweeps = reader.what_is_left(lost_sweeps(reader) if only_lost else reader.sweeps())
    if close:
        start_logging(stderr(), quiet=False)
        return _close_all(reader, sweeps, checks, as_json=as_json)
    if as_json:
        documents = [*map(_document, sweeps), *(_check_document(reader, check) for check in checks)]
        print_json(documents)
    elif sweeps or checks:
        _print(reader, sweeps, checks)
    else:
        stdout().print("Nothing is lost here." if only_lost else "No sweeps here yet. wine-sweep run CONFIG makes one.")
    return DONE


def _print(reader: SweepReader, sweeps: Sequence[SweepRecord], checks: Sequence[LostCheck]) -> None:
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


@dataclass(frozen=True)
class _Closing:
    """Something lost that is to be ended.

    Args:
        document: What JSON says of it.
        name: What it is called.
        close: Ends it.
    """

    document: dict[str, Any]
    name: str
    close: Callable[[], object]


def _close_all(reader: SweepReader, sweeps: Sequence[SweepRecord], checks: Sequence[LostCheck], *, as_json: bool) -> int:
    """End what is lost, say of each whether it was, and return the exit code."""
    closings = [_Closing(_document(each), f"the sweep {each.name}", partial(close_sweep, reader, each)) for each in sweeps]
    closings += [
        _Closing(_check_document(reader, each), f"the {each.name}", partial(close_check, reader.client, each)) for each in checks
    ]
    documents = []
    for closing in closings:
        which = f"{closing.name} ({closing.document['run_id'][:8]})"
        reason = _reason_against(closing)
        documents.append({**closing.document, "status": LOST if reason else "KILLED", "closed": not reason, "reason": reason})
        if not as_json:
            console = stderr() if reason else stdout()
            console.print(f"not closed: {which}: {reason}" if reason else f"closed: {which}", soft_wrap=True)
    if as_json:
        print_json(documents)
    elif not closings:
        stdout().print("Nothing is lost here.")
    return DONE if all(document["closed"] for document in documents) else FAILED


def _reason_against(closing: _Closing) -> str | None:
    """End something lost, or say why it could not be."""
    try:
        closing.close()
    except (OwnershipError, TrackingError) as error:
        return str(error)
    return None


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
