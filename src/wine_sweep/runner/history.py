"""What was in a registered model's stages, going back to the version before, and moving on from Staging to Production."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time

from wine_sweep.config import Stage
from wine_sweep.errors import ConfigError, NotFoundError, Place, Problem
from wine_sweep.registry import (
    STAGES,
    Action,
    Entry,
    ModelRegistry,
    Progress,
    Promotion,
    RegisteredVersion,
    in_stage,
    versions_behind,
)
from wine_sweep.runner.header import user_name
from wine_sweep.tracking.loading import load_model

BY_HAND = "by_hand"
"""The ground of what somebody did without a gate."""


@dataclass(frozen=True)
class Held:
    """What a stage holds, or held at a moment.

    Args:
        stage: The stage.
        version: The version; None when there is none.
        entry: The entry that put it there; None where the ledger does not say.
    """

    stage: Stage
    version: str | None
    entry: Entry | None


@dataclass(frozen=True)
class History:
    """A registered model's ledger.

    Args:
        name: The registered model.
        held: What each stage holds.
        entries: All entries up to the moment, in the order of time.
        at: The moment; None for now.
    """

    name: str
    held: Sequence[Held]
    entries: Sequence[Entry]
    at: datetime | None


def read_history(registry: ModelRegistry, name: str, *, at: datetime | None = None) -> History:
    """Read a registered model's ledger, and what its stages hold.

    Args:
        registry: The Model Registry.
        name: The registered model.
        at: The moment to tell of; None for now.

    Raises:
        NotFoundError: There is no such registered model.
        TrackingError: The store failed.
    """
    entries = [each for each in registry.ledger(name) if at is None or each.when <= at]
    versions = registry.versions(name)
    if not versions and not registry.ledger(name):
        raise NotFoundError(registry.no_model(name))
    held = []
    for stage in Stage:
        entry = in_stage(entries, stage.value)
        version = entry.after if entry is not None else None
        if at is None:
            now = registry.in_stage(name, stage)
            version = now.version if now is not None else None
            entry = entry if entry is not None and entry.after == version else _begun(entries, stage, version)
        held.append(Held(stage, version, entry))
    return History(name, held, entries, at)


def _begun(entries: Sequence[Entry], stage: Stage, version: str | None) -> Entry | None:
    """Find what has put a version into a stage and was not finished; the next promotion settles it."""
    found = (each for each in reversed(entries) if each.progress is Progress.BEGUN and each.stage == stage.value)
    return next((each for each in found if each.after == version), None)


def roll_back(registry: ModelRegistry, name: str, stage: Stage, *, why: str | None = None) -> Promotion:
    """Put the version back into a stage that was there before the present one, once it has loaded.

    Where a process died in the middle of doing that, it is finished, and nothing else done: it is not gone back twice.

    Args:
        registry: The Model Registry.
        name: The registered model.
        stage: The stage.
        why: What the ledger is to say; None for nothing beside who did it.

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
    behind = [version for version in versions_behind(registry.ledger(name), stage.value) if version != now.version]
    if not behind:
        nothing = f"nothing was in {stage.value} before version {now.version}"
        raise NotFoundError(f"there is no version of {name} to go back to: {nothing}, as far as its ledger says")
    before = registry.find(name, behind[-1])
    if before.stage in STAGES:
        raise NotFoundError(f"version {before.version} of {name}, which was in {stage.value} before, is in {before.stage} now")
    load_model(before.uri)
    reason = f"Rolled back from version {now.version}" + (f": {why}" if why else ", by hand.")
    return registry.move(before, stage, _entry(Action.ROLLED_BACK, stage, now.version, before, reason))


def staged(registry: ModelRegistry, name: str) -> RegisteredVersion:
    """Give the version that is in Staging, once it has loaded.

    Raises:
        NotFoundError: There is no such registered model, or Staging is empty.
        ModelError: The version does not load.
        TrackingError: The registry failed.
    """
    found = _resident(registry, name, Stage.STAGING)
    load_model(found.uri)
    return found


def move_on(registry: ModelRegistry, name: str) -> Promotion:
    """Move the version that is in Staging to Production, once it has loaded.

    Args:
        registry: The Model Registry.
        name: The registered model.

    Raises:
        NotFoundError: There is no such registered model, or Staging is empty.
        ModelError: The version does not load.
        OvertakenError: Somebody has moved Production meanwhile.
        TrackingError: The registry failed.
    """
    registry.settle(name)
    moving = staged(registry, name)
    there = registry.in_stage(name, Stage.PRODUCTION)
    reason = "Moved on from Staging, by hand."
    before = there.version if there is not None else None
    return registry.move(moving, Stage.PRODUCTION, _entry(Action.PROMOTED, Stage.PRODUCTION, before, moving, reason))


def parse_moment(text: str, source: str) -> datetime:
    """Read a day or a moment, in UTC where no zone is given; of a day, its end.

    Args:
        text: As ISO 8601 writes it: ``2026-11-25``, ``2026-11-25T14:30``, ``2026-11-25T14:30+01:00``.
        source: What the user gave it as, for the error.

    Raises:
        ConfigError: It is neither.
    """
    try:
        with suppress(ValueError):
            day = date.fromisoformat(text)
            return datetime.combine(day, time.max, UTC)
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        message = f"'{text}' is no date; expected one like 2026-11-25, or 2026-11-25T14:30"
        raise ConfigError([Problem(message, place=Place(source))]) from error


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
