"""``wine-sweep run``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wine_sweep.cli.console import start_logging, stderr
from wine_sweep.cli.progress import SweepProgress
from wine_sweep.cli.signals import stop_on_signals
from wine_sweep.cli.trust import let_import_from
from wine_sweep.config import Backend, read_config
from wine_sweep.errors import SweepInterrupted
from wine_sweep.execution import warm_up
from wine_sweep.runner.sweep import RunOptions, run_sweep
from wine_sweep.subjects.preflight import prepare
from wine_sweep.subjects.prepared import Prepared
from wine_sweep.wording import mask


@dataclass(frozen=True)
class RunRequest:
    """What the user asked for; see the options of ``wine-sweep run``."""

    config: Path
    overrides: Sequence[str]
    trusted: tuple[str, ...]
    promote: bool
    tracking_uri: str | None
    experiment: str | None
    quiet: bool
    verbose: bool
    as_json: bool


def run_command(request: RunRequest) -> None:
    """Run a sweep, and print its leaderboard, the reasons for the winner, and what to do next."""
    console = stderr()
    start_logging(console, quiet=request.quiet)
    with stop_on_signals(console.print) as stop:
        prepared = _prepare(request)
        if stop():
            raise SweepInterrupted("interrupted before the sweep began", run_id="")
        options = RunOptions(
            tracking_uri=request.tracking_uri,
            experiment=request.experiment,
            promote=request.promote,
            verbose=request.verbose,
            command=mask(f"wine-sweep {' '.join(sys.argv[1:])}"),
        )
        stop.grace = prepared.config.execution.grace
        with SweepProgress(console, prepared.objective.metric, quiet=request.quiet) as progress:
            result = run_sweep(prepared, options, observer=progress, stop=stop)
    from wine_sweep.cli.outcome import print_outcome  # by now MLflow is imported

    print_outcome(result, as_json=request.as_json, tracking_uri=request.tracking_uri)


def _prepare(request: RunRequest) -> Prepared:
    """Read and check the config; the workers' server loads its libraries meanwhile."""
    draft = read_config(request.config, request.overrides)
    let_import_from(draft.folder, request.trusted)
    if draft.config is not None and draft.config.execution.backend is Backend.PROCESSES:
        warm_up()
    return prepare(draft, trusted=request.trusted)
