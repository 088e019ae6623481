"""What is and was in a registered model's stages."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time

from wine_sweep.config import Stage
from wine_sweep.errors import ConfigError, NotFoundError, Problem, SourceLocation
from wine_sweep.registry import Entry, ModelRegistry, Progress, in_stage


@dataclass(frozen=True)
class StageContent:
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
    held: Sequence[StageContent]
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
        held.append(StageContent(stage, version, entry))
    return History(name, held, entries, at)


def _begun(entries: Sequence[Entry], stage: Stage, version: str | None) -> Entry | None:
    """Find what has put a version into a stage and was not finished; the next promotion settles it."""
    found = (each for each in reversed(entries) if each.progress is Progress.BEGUN and each.stage == stage.value)
    return next((each for each in found if each.after == version), None)


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
        raise ConfigError([Problem(message, place=SourceLocation(source))]) from error
