"""``wine-sweep list``."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

from wine_sweep.cli.console import plain_table, stdout
from wine_sweep.cli.formats import print_json
from wine_sweep.report.leaderboard import show_param
from wine_sweep.tracking import names
from wine_sweep.tracking.claim import is_lost
from wine_sweep.tracking.reader import SweepReader, SweepRecord
from wine_sweep.tracking.store import open_store

LOST = "LOST"
"""Shown for a sweep that MLflow calls RUNNING although its process on this machine is dead; `resume` goes on with it."""


def list_command(*, tracking_uri: str | None, experiment: str | None, as_json: bool) -> None:
    """Print the sweeps of one experiment or of all, the newest first.

    Raises:
        NotFoundError: There is no such experiment.
        TrackingError: The store cannot be read.
    """
    sweeps = SweepReader(open_store(tracking_uri), experiment).sweeps()
    if as_json:
        print_json([_document(sweep) for sweep in sweeps])
        return
    if not sweeps:
        stdout().print("No sweeps here yet. wine-sweep run CONFIG makes one.")
        return
    table = plain_table(["sweep", "name", "experiment", "status", "trials", "best", "started"], right=["trials"])
    for sweep in sweeps:
        started = f"{datetime.fromtimestamp(sweep.started, UTC).astimezone():%Y-%m-%d %H:%M}"
        cells = (sweep.run_id[:8], sweep.name, sweep.experiment, _status(sweep), _trials(sweep), _best(sweep), started)
        table.add_row(*cells)
    stdout().print(table)


def _status(sweep: SweepRecord) -> str:
    """Say MLflow's status, or that the process is gone that should have ended the sweep."""
    return LOST if sweep.status == "RUNNING" and is_lost(sweep.run_id, sweep.tags) else sweep.status


def _trials(sweep: SweepRecord) -> str:
    finished = sweep.metrics.get("trials_finished")
    return f"{int(finished)}/{sweep.trials}" if finished is not None else sweep.trials


def _best(sweep: SweepRecord) -> str:
    best = sweep.metrics.get(names.best_metric(sweep.metric))
    return f"{sweep.metric} {show_param(best)}" if best is not None else ""


def _document(sweep: SweepRecord) -> dict[str, Any]:
    return {
        "run_id": sweep.run_id,
        "name": sweep.name,
        "experiment": sweep.experiment,
        "status": _status(sweep),
        "started": sweep.started,
        "ended": None if math.isnan(sweep.ended) else sweep.ended,
        "objective": {"metric": sweep.metric, "direction": sweep.direction.value},
        "best": sweep.metrics.get(names.best_metric(sweep.metric)),
        "params": sweep.params,
    }
