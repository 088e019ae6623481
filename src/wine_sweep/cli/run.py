"""``wine-sweep run``."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass

from wine_sweep.cli.console import start_logging, stderr
from wine_sweep.cli.progress import SweepProgress
from wine_sweep.cli.signals import stop_on_signals
from wine_sweep.cli.trust import let_import_from
from wine_sweep.config import ParsedConfig
from wine_sweep.errors import SweepInterrupted
from wine_sweep.runner.sweep import RunOptions, run_sweep
from wine_sweep.subjects.preflight import prepare
from wine_sweep.wording import mask


@dataclass(frozen=True)
class RunRequest:
    """What the user asked for; see the options of ``wine-sweep run``."""

    draft: ParsedConfig
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
        let_import_from(request.draft.folder, request.trusted)
        prepared = prepare(request.draft, trusted=request.trusted)
        if stop():
            raise SweepInterrupted("interrupted before the sweep began", run_id="")
        options = RunOptions(
            tracking_uri=request.tracking_uri,
            experiment=request.experiment,
            promote=request.promote,
            verbose=request.verbose,
            command=mask(shlex.join(["wine-sweep", *sys.argv[1:]])),
        )
        stop.grace = prepared.config.execution.grace
        with SweepProgress(console, prepared.objective.metric, quiet=request.quiet) as progress:
            result = run_sweep(prepared, options, observer=progress, stop=stop)
    from wine_sweep.cli.outcome import print_outcome  # by now MLflow is imported

    print_outcome(result, as_json=request.as_json, tracking_uri=request.tracking_uri)
