"""``wine-sweep refresh``."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

from wine_sweep.cli.console import start_logging, stderr, stdout
from wine_sweep.cli.exits import REFUSED
from wine_sweep.cli.formats import print_json
from wine_sweep.cli.progress import SweepProgress
from wine_sweep.cli.signals import stop_on_signals
from wine_sweep.cli.trust import let_import_from
from wine_sweep.config import MAX_TABLE, read_config
from wine_sweep.config.fields import parse_duration
from wine_sweep.data.table import resolve_source
from wine_sweep.errors import ConfigError, Problem, SourceLocation
from wine_sweep.registry import RegisteredVersion
from wine_sweep.runner.check import Check, CheckOutcome, check_model
from wine_sweep.runner.conclusion import SweepResult
from wine_sweep.runner.refresh import Refresh, refresh
from wine_sweep.runner.sweep import RunOptions, run_sweep
from wine_sweep.subjects.preflight import prepare
from wine_sweep.subjects.prepared import SweepPlan
from wine_sweep.tracking.reader import SweepReader
from wine_sweep.tracking.store import open_store
from wine_sweep.wording import mask


@dataclass(frozen=True)
class RefreshRequest:
    """What the user asked for; see the options of ``wine-sweep refresh``."""

    config: Path
    data: str
    force: bool
    at_most_every: str | None
    overrides: Sequence[str]
    trusted: tuple[str, ...]
    tracking_uri: str | None
    experiment: str | None
    quiet: bool
    as_json: bool


def refresh_command(request: RefreshRequest) -> None:
    """Check, sweep again if need be, promote or keep; print one line that says what happened.

    Raises:
        WineSweepError: As `refresh` says.
        typer.Exit: With exit code 3, where a model that has decayed is still in the stage.
    """
    console = stderr()
    start_logging(console, quiet=request.quiet)
    pause = _pause(request.at_most_every)

    def prepared(changes: Sequence[str] = ()) -> SweepPlan:
        draft = read_config(request.config, [*request.overrides, *changes])
        let_import_from(draft.folder, request.trusted)
        return prepare(draft, trusted=request.trusted)

    def sweep(made: SweepPlan) -> SweepResult:
        options = RunOptions(
            tracking_uri=request.tracking_uri,
            experiment=request.experiment,
            command=mask(shlex.join(["wine-sweep", *sys.argv[1:]])),
            refreshes=asked.target.name,
        )
        with stop_on_signals(console.print) as stop:  # what comes before is interrupted, and has no trials that may go on
            stop.grace = made.config.execution.grace
            with SweepProgress(console, made.objective.metric, quiet=request.quiet) as progress:
                return run_sweep(made, options, observer=progress, stop=stop)

    asked = Refresh(prepared(), resolve_source(request.data, Path.cwd()), request.force, pause)
    reader = SweepReader(open_store(request.tracking_uri, create=True))

    def check(champion: RegisteredVersion) -> CheckOutcome:
        data = asked.base.config.data
        wanted = Check(
            champion.name,
            asked.new,
            version=champion.version,
            experiment=request.experiment,
            max_size=data.max_size if data is not None else MAX_TABLE,
            trusted=request.trusted,
        )
        return check_model(reader, wanted, folder=Path.cwd())

    done = refresh(asked, reader, check=check, prepare=prepared, sweep=sweep)
    if request.as_json:
        print_json(done.record())
    else:
        stdout().print(done.describe(), soft_wrap=True)
    if done.is_refused:
        raise typer.Exit(REFUSED)


def _pause(text: str | None) -> float | None:
    """Read how long after a refresh none sweeps again, in seconds.

    Raises:
        ConfigError: It is no duration.
    """
    if text is None:
        return None
    try:
        seconds: float = parse_duration(text)
    except ValueError as error:
        raise ConfigError([Problem(str(error), place=SourceLocation("--at-most-every"))]) from error
    return seconds
