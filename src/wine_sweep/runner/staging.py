"""Putting the winner into a stage: what the gate says is done, and stands in the ledger and on the parent run."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from wine_sweep.config import Stage
from wine_sweep.errors import OvertakenError
from wine_sweep.gate import Decision, Reason, Verdict, forced, overtaken, same_model
from wine_sweep.registry import STAGES, Action, Entry, ModelRegistry, Promotion, RegisteredVersion, exclusive, new_token
from wine_sweep.runner.challenger import Challenger
from wine_sweep.runner.gating import ask_gate, evidence_of
from wine_sweep.selection import Selection
from wine_sweep.tracking import names
from wine_sweep.tracking.outage import RetryPolicy
from wine_sweep.tracking.owner import user_name
from wine_sweep.wording import markdown

NOT_PROMOTED = "Not promoted."
"""What is said where nothing was to be promoted."""


@dataclass(frozen=True)
class StagingResult:
    """What became of a winner.

    Args:
        name: The registered model.
        stage: The stage.
        verdict: What the gate says.
        champion: The version that was in the stage before; None when there was none.
        promotion: Where the winner is now; None where it was not promoted.
    """

    name: str
    stage: Stage
    verdict: Verdict
    champion: str | None
    promotion: Promotion | None

    @property
    def is_refused(self) -> bool:
        """Whether the gate said no; that the same model is there already is no refusal."""
        return self.promotion is None

    def describe(self) -> list[str]:
        """Say in sentences what became of it, the gate's reasons first."""
        return [*self.verdict.reasons, self.describe_end()]

    def describe_end(self) -> str:
        """Say in a sentence what became of it."""
        promotion = self.promotion
        if promotion is None:
            kept = f"version {self.champion} of {self.name} stays" if self.champion else f"nothing of {self.name} is"
            return f"Not promoted: {kept} in {self.stage.value}."
        if promotion.already_there:
            return f"It is there already: version {promotion.version} of {self.name} in {self.stage.value}."
        instead = f", in place of version {', '.join(promotion.archived)}" if promotion.archived else ""
        where = f"{self.stage.value} (alias `{self.stage.alias}`)"
        return f"Now version {promotion.version} of {self.name} in {where}{instead}."

    def record(self) -> dict[str, Any]:
        """Give what is kept in MLflow as ``promotion.json``, but for who and when."""
        what = {"model": self.name, "stage": self.stage.value, "alias": self.stage.alias, "promoted": not self.is_refused}
        promotion = self.promotion.record() if self.promotion is not None else {"version": None}
        return {**what, **promotion, "champion": self.champion, "gate": self.verdict.record()}


def put_in_stage(
    challenger: Challenger,
    selection: Selection,
    *,
    name: str,
    stage: Stage,
    policy: RetryPolicy,
    force: bool = False,
    is_checked: bool = False,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> StagingResult:
    """Ask the gate, do what it says, and keep a record of it on the parent run.

    Args:
        challenger: The winner with its logged model.
        selection: Why it is the winner.
        name: The registered model.
        stage: The stage.
        policy: Tries each step again while the store is away.
        force: Whether it is promoted whatever the gate says.
        is_checked: Whether the model has just been loaded back, and predicts as it should.
        now: Tells the time.

    Raises:
        ModelError: The winner's own model does not load, or does not predict.
        TrackingError: The registry failed; what was in the stage is still there.
    """
    runs = challenger.runs
    registry = ModelRegistry(runs.client, policy)
    registry.settle(name)
    production = registry.in_stage(name, Stage.PRODUCTION)
    if stage is not Stage.PRODUCTION and not force and production is not None and production.source == challenger.model_uri:
        there = Promotion(name, production.version, Stage.PRODUCTION, production.run_id, already_there=True)
        return StagingResult(name, Stage.PRODUCTION, same_model(production.version), production.version, there)
    champion = registry.in_stage(name, stage)
    verdict = policy.run(lambda: ask_gate(challenger, champion))
    is_itself = champion is not None and champion.source == challenger.model_uri
    if force and verdict.decision is Decision.KEEP and not is_itself:
        verdict = forced(verdict)
    entry = _entry(challenger, verdict, champion, stage, selection=selection, sweep=runs.run_id, when=now())
    outcome = StagingResult(name, stage, verdict, entry.before, None)
    if verdict.ground is Reason.SAME_MODEL and champion is not None:
        outcome = replace(outcome, promotion=registry.move(champion, stage, entry))  # the alias may have to follow
    elif verdict.decision is Decision.KEEP:
        registry.note(name, entry)
    else:
        if not is_checked:
            policy.run(challenger.check_loads)
        outcome = _promote(registry, challenger, outcome, entry)
    record = {**outcome.record(), "when": entry.when.isoformat(timespec="seconds"), "who": entry.who, "sweep": runs.run_id}
    policy.run(lambda: runs.write_json(names.PROMOTION_FILE, {**record, "reasons": list(selection.reasons)}))
    return outcome


def _promote(registry: ModelRegistry, challenger: Challenger, outcome: StagingResult, entry: Entry) -> StagingResult:
    """Make the winner a version and move it; where somebody was faster, that is the outcome."""
    tags = {
        names.SWEEP: entry.sweep,
        names.TRIAL: str(challenger.trial.number),
        names.DATA: challenger.prepared.digest,
        names.PARAMS: json.dumps(dict(challenger.trial.params)),
        **({names.MODEL_KEY: challenger.key} if challenger.key else {}),
    }
    why = "\n".join(f"- {markdown(reason)}" for reason in (*entry.reasons, *entry.evidence["selection"]))
    with exclusive(outcome.name):  # two at once would make two versions of one model
        registered = registry.register(
            outcome.name, model_uri=challenger.model_uri, run_id=entry.run_id, description=why, tags=tags
        )
    left = registered.stage if registered.stage in STAGES and registered.stage != entry.stage else None
    entry = replace(entry, after=registered.version, left=left)
    try:
        return replace(outcome, promotion=registry.move(registered, outcome.stage, entry))
    except OvertakenError as error:
        there = registry.in_stage(outcome.name, outcome.stage)
        champion = there.version if there is not None else None
        verdict = overtaken(outcome.verdict, str(error))
        kept = replace(entry, action=Action.KEPT, before=champion, after=champion, left=None, reasons=verdict.reasons)
        registry.note(outcome.name, replace(kept, ground=verdict.ground.value, token=new_token()))
        return replace(outcome, verdict=verdict, champion=champion)


def _entry(
    challenger: Challenger,
    verdict: Verdict,
    champion: RegisteredVersion | None,
    stage: Stage,
    *,
    selection: Selection,
    sweep: str,
    when: datetime,
) -> Entry:
    promotes = verdict.decision is Decision.PROMOTE
    before = champion.version if champion is not None else None
    return Entry(
        Action.PROMOTED if promotes else Action.KEPT,
        stage.value,
        user_name(),
        before,
        before,
        verdict.reasons,
        ground=verdict.ground.value,
        run_id=challenger.trial.run_id or "",
        sweep=sweep,
        evidence={**evidence_of(verdict), "selection": list(selection.reasons)},
        when=when,
    )
