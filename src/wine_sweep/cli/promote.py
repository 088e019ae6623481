"""The commands ``promote`` and ``rollback``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

from wine_sweep.cli.exits import REFUSED, print_json
from wine_sweep.cli.startup import let_import_from
from wine_sweep.cli.sweeps import print_promotion
from wine_sweep.config import Stage, find_stage
from wine_sweep.errors import ConfigError, Problem
from wine_sweep.progress.display import stdout
from wine_sweep.promotion.manual import move_on, roll_back, staged
from wine_sweep.promotion.promote import StagingResult
from wine_sweep.registry import ModelRegistry, Promotion
from wine_sweep.report.leaderboard import describe_params
from wine_sweep.sweep.promote_recorded import Candidate, find_candidate, promote_candidate
from wine_sweep.targets.trust import Trust
from wine_sweep.tracking.reader import SweepReader
from wine_sweep.tracking.store import open_store


def rollback_command(
    name: str, *, stage: str | None, why: str | None, trusted: Sequence[str], tracking_uri: str | None, as_json: bool
) -> None:
    """Go back to the version that was in a stage before, and say so.

    Raises:
        WineSweepError: As `roll_back` says.
    """
    Trust(trusted).check()
    let_import_from(Path.cwd(), trusted)
    registry = ModelRegistry(open_store(tracking_uri))
    promotion = roll_back(registry, name, find_stage(stage, "--stage") or Stage.STAGING, why=why, trusted=trusted)
    _print_promotion(promotion, "Back to", as_json=as_json)


def move_on_command(name: str, *, trusted: Sequence[str], tracking_uri: str | None, as_json: bool) -> None:
    """Move the version that is in Staging to Production, and say so.

    Raises:
        WineSweepError: As `move_on` says.
    """
    Trust(trusted).check()
    let_import_from(Path.cwd(), trusted)
    _print_promotion(move_on(ModelRegistry(open_store(tracking_uri)), name, trusted), "Now", as_json=as_json)


def _print_promotion(promotion: Promotion, now: str, *, as_json: bool) -> None:
    if as_json:
        print_json(promotion.record())
        return
    instead = f", in place of version {', '.join(promotion.archived)}" if promotion.archived else ""
    where = f"{promotion.stage.value} (alias `{promotion.stage.alias}`)"
    stdout().print(f"{now} version {promotion.version} of {promotion.name} in {where}{instead}.")


@dataclass(frozen=True)
class PromoteRequest:
    """What the user asked for; see the options of ``wine-sweep promote``."""

    sweep: str | None
    run_id: str | None
    stage: str | None
    name: str | None
    force: bool
    dry_run: bool
    trusted: tuple[str, ...]
    tracking_uri: str | None
    experiment: str | None
    as_json: bool


def promote_command(request: PromoteRequest) -> None:
    """Promote from a finished sweep, or only say what would be promoted.

    Raises:
        WineSweepError: As `find_candidate` and `promote_candidate` say.
        typer.Exit: With exit code 3, where the gate said no.
    """
    if request.sweep is None:
        _move_on(request)
        return
    let_import_from(Path.cwd(), request.trusted)
    reader = SweepReader(open_store(request.tracking_uri), request.experiment)
    candidate = find_candidate(
        reader,
        reader.find(request.sweep),
        run_id=request.run_id,
        name=request.name,
        stage=find_stage(request.stage, "--stage"),
        force=request.force,
        trusted=request.trusted,
    )
    outcome = None if request.dry_run else promote_candidate(reader, candidate, force=request.force)
    if request.as_json:
        record = outcome.record() if outcome else {"model": candidate.name, "stage": candidate.stage.value, "dry_run": True}
        print_json({**record, "selection": candidate.selection.record()})
    else:
        _print(candidate, outcome)
    if outcome is not None and outcome.is_refused:
        raise typer.Exit(REFUSED)


def _move_on(request: PromoteRequest) -> None:
    """Move the version that is in Staging to Production.

    Raises:
        ConfigError: That is not what the options say, or the registered model is not named.
    """
    wanted = "to move the version in Staging on, say `--stage Production --name MODEL`; or name the SWEEP to promote from"
    if find_stage(request.stage, "--stage") is not Stage.PRODUCTION or request.name is None or request.run_id is not None:
        raise ConfigError([Problem(wanted)])
    if not request.dry_run:
        move_on_command(request.name, trusted=request.trusted, tracking_uri=request.tracking_uri, as_json=request.as_json)
        return
    version = staged(ModelRegistry(open_store(request.tracking_uri)), request.name, request.trusted).version
    if request.as_json:
        print_json({"model": request.name, "version": version, "stage": Stage.PRODUCTION.value, "dry_run": True}, indent=None)
        return
    stdout().print(f"Would move version {version} of {request.name} to Production; nothing was changed.")


def _print(candidate: Candidate, outcome: StagingResult | None) -> None:
    console, trial = stdout(), candidate.selection.trial
    console.print(f"{candidate.sweep.name}  trial {trial.number}: {describe_params(trial.params)}")
    for line in candidate.selection.reasons:
        console.print(f"- {line}")
    if outcome is not None:
        print_promotion(console, outcome)
        return
    where = f"{candidate.name} in {candidate.stage.value}"
    console.print(f"- Would become a version of {where}, if the gate lets it; nothing was changed.")
