"""``wine-sweep rollback``, and moving on from Staging to Production."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from wine_sweep.cli.console import stdout
from wine_sweep.cli.formats import print_json
from wine_sweep.cli.trust import let_import_from
from wine_sweep.config import Stage, find_stage
from wine_sweep.registry import ModelRegistry, Promotion
from wine_sweep.runner.moves import move_on, roll_back
from wine_sweep.subjects.trust import Trust
from wine_sweep.tracking.store import open_store


def rollback_command(
    name: str, *, stage: str | None, why: str | None, trusted: Sequence[str], tracking_uri: str | None, as_json: bool
) -> None:
    """Go back to the version that was in a stage before, and say so.

    Raises:
        WineSweepError: As `roll_back` says.
    """
    Trust(trusted)
    let_import_from(Path.cwd(), trusted)
    registry = ModelRegistry(open_store(tracking_uri))
    promotion = roll_back(registry, name, find_stage(stage, "--stage") or Stage.STAGING, why=why, trusted=trusted)
    _print_promotion(promotion, "Back to", as_json=as_json)


def move_on_command(name: str, *, trusted: Sequence[str], tracking_uri: str | None, as_json: bool) -> None:
    """Move the version that is in Staging to Production, and say so.

    Raises:
        WineSweepError: As `move_on` says.
    """
    Trust(trusted)
    let_import_from(Path.cwd(), trusted)
    _print_promotion(move_on(ModelRegistry(open_store(tracking_uri)), name, trusted), "Now", as_json=as_json)


def _print_promotion(promotion: Promotion, now: str, *, as_json: bool) -> None:
    if as_json:
        print_json(promotion.record())
        return
    instead = f", in place of version {', '.join(promotion.archived)}" if promotion.archived else ""
    where = f"{promotion.stage.value} (alias `{promotion.stage.alias}`)"
    stdout().print(f"{now} version {promotion.version} of {promotion.name} in {where}{instead}.")
