"""``wine-sweep promote``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from wine_sweep.cli.console import stdout
from wine_sweep.cli.trust import let_import_from
from wine_sweep.report.leaderboard import params_in_words
from wine_sweep.runner.promotion import find_candidate, find_stage, promote_candidate
from wine_sweep.runner.winner import promotion_in_words
from wine_sweep.tracking.reader import SweepReader
from wine_sweep.tracking.store import open_store


@dataclass(frozen=True)
class PromoteRequest:
    """What the user asked for; see the options of ``wine-sweep promote``."""

    sweep: str
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
    """
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
    promotion = None if request.dry_run else promote_candidate(reader, candidate)
    if request.as_json:
        record = promotion.record() if promotion else {"model": candidate.name, "stage": candidate.stage.value, "dry_run": True}
        print(json.dumps({**record, "selection": candidate.selection.record()}, indent=2, ensure_ascii=False))
        return
    console = stdout()
    trial = candidate.selection.trial
    console.print(f"{candidate.sweep.name}  trial {trial.number}: {params_in_words(trial.params)}", markup=False)
    would_be = f"Would become a version of {candidate.name} in {candidate.stage.value}; nothing was changed."
    for line in (*candidate.selection.reasons, promotion_in_words(promotion) if promotion else would_be):
        console.print(f"- {line}", markup=False)
