"""Moves that somebody makes by hand: back to the version before, and on from Staging to Production."""

from __future__ import annotations

from collections.abc import Sequence

from wine_sweep.config import Stage
from wine_sweep.errors import NotFoundError
from wine_sweep.registry import STAGES, Action, Entry, ModelRegistry, Promotion, RegisteredVersion, versions_behind
from wine_sweep.targets.trust import trusts_model
from wine_sweep.tracking.local_state import user_name
from wine_sweep.tracking.model_policy import ModelTrust
from wine_sweep.tracking.models import load_model

BY_HAND = "by_hand"
"""The ground of what somebody did without a gate."""


def roll_back(
    registry: ModelRegistry, name: str, stage: Stage, *, why: str | None = None, trusted: Sequence[str] = ()
) -> Promotion:
    """Put the version back into a stage that was there before the present one, once it has loaded.

    Where a process died in the middle of doing that, it is finished, and nothing else done: it is not gone back twice.

    Args:
        registry: The Model Registry.
        name: The registered model.
        stage: The stage.
        why: What the ledger is to say; None for nothing beside who did it.
        trusted: The values of ``--trust``, of which registered models count.

    Raises:
        NotFoundError: There is no such registered model, the stage is empty, or nothing was there before.
        ModelError: The version before does not load.
        OvertakenError: Somebody has moved the stage meanwhile.
        TrackingError: The registry failed.
    """
    finished = registry.settle(name)
    now = _resident(registry, name, stage)
    for each in finished:
        if each.action is Action.ROLLED_BACK and each.stage == stage.value and each.after == now.version:
            return Promotion(name, now.version, stage, now.run_id, (each.before,) if each.before else ())
    there = {each.version for each in registry.versions(name)} - {now.version}
    behind = [version for version in versions_behind(registry.ledger(name), stage.value) if version in there]
    if not behind:
        nothing = f"nothing was in {stage.value} before version {now.version}"
        raise NotFoundError(f"there is no version of {name} to go back to: {nothing}, as far as its ledger says")
    before = registry.find(name, behind[-1])
    if before.stage in STAGES:
        raise NotFoundError(f"version {before.version} of {name}, which was in {stage.value} before, is in {before.stage} now")
    load_model(before.uri, _trust(name, trusted))
    reason = f"Rolled back from version {now.version}" + (f": {why}" if why else ", by hand.")
    return registry.move(before, stage, _entry(Action.ROLLED_BACK, stage, now.version, before, reason))


def staged(registry: ModelRegistry, name: str, trusted: Sequence[str] = ()) -> RegisteredVersion:
    """Return the version that is in Staging, once it has loaded.

    Args:
        registry: The Model Registry.
        name: The registered model.
        trusted: The values of ``--trust``, of which registered models count.

    Raises:
        NotFoundError: There is no such registered model, or Staging is empty.
        ModelError: The version does not load.
        TrackingError: The registry failed.
    """
    found = _resident(registry, name, Stage.STAGING)
    load_model(found.uri, _trust(name, trusted))
    return found


def move_on(registry: ModelRegistry, name: str, trusted: Sequence[str] = ()) -> Promotion:
    """Move the version that is in Staging to Production, once it has loaded.

    Args:
        registry: The Model Registry.
        name: The registered model.
        trusted: The values of ``--trust``, of which registered models count.

    Raises:
        NotFoundError: There is no such registered model, or Staging is empty.
        ModelError: The version does not load.
        OvertakenError: Somebody has moved Production meanwhile.
        TrackingError: The registry failed.
    """
    registry.settle(name)
    moving = staged(registry, name, trusted)
    there = registry.in_stage(name, Stage.PRODUCTION)
    reason = "Moved on from Staging, by hand."
    before = there.version if there is not None else None
    return registry.move(moving, Stage.PRODUCTION, _entry(Action.PROMOTED, Stage.PRODUCTION, before, moving, reason))


def _trust(name: str, trusted: Sequence[str]) -> ModelTrust:
    return ModelTrust(name, trusts_model(trusted, name))


def _resident(registry: ModelRegistry, name: str, stage: Stage) -> RegisteredVersion:
    found = registry.in_stage(name, stage)
    if found is None:
        none = f"no version of {name} is in {stage.value}"
        raise NotFoundError(none if registry.versions(name) else registry.no_model(name))
    return found


def _entry(action: Action, stage: Stage, before: str | None, registered: RegisteredVersion, reason: str) -> Entry:
    left = registered.stage if registered.stage in STAGES and registered.stage != stage.value else None
    return Entry(
        action,
        stage.value,
        user_name(),
        before,
        registered.version,
        (reason,),
        ground=BY_HAND,
        run_id=registered.run_id,
        left=left,
    )
