"""A model that has decayed is swept for anew, on old and new rows, and replaced if the winner is better on new rows."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from wine_sweep.config import RegistryConfig
from wine_sweep.errors import ConfigError, ConfigPath, Problem
from wine_sweep.monitoring.check import State
from wine_sweep.registry import ModelRegistry, RegisteredVersion, exclusive
from wine_sweep.sweep.check import CheckOutcome
from wine_sweep.sweep.finish import SweepOutcome
from wine_sweep.sweep.lost import close_lost_refreshes
from wine_sweep.targets.base import SweepPlan
from wine_sweep.tracking import names
from wine_sweep.tracking.lock import close_lost_checks
from wine_sweep.tracking.reader import SweepReader, SweepRecord


class RefreshResult(StrEnum):
    """What a refresh comes to."""

    NOT_NEEDED = "not_needed"
    COOLING_DOWN = "cooling_down"
    PROMOTED = "promoted"
    UNCHANGED = "unchanged"
    """The sweep has found the very model that is there."""
    KEPT = "kept"


@dataclass(frozen=True)
class Refresh:
    """What is to be refreshed, and how.

    Args:
        base: The config as it stands, with its data.
        new: New rows: a bundled name or an absolute path.
        force: Whether to sweep whatever the check says, and however short ago it was done.
        at_most_every: How long after a refresh that swept none sweeps again, in seconds; None for no such time.
    """

    base: SweepPlan
    new: str
    force: bool
    at_most_every: float | None

    @property
    def target(self) -> RegistryConfig:
        """The registered model and its stage.

        Raises:
            ConfigError: The config names none, or no table of its own.
        """
        registry, data = self.base.config.registry, self.base.config.data
        if registry is None:
            raise self._wrong("is missing: which registered model is to be refreshed?", ("registry",))
        if data is None:
            raise self._wrong("is missing: a model is refreshed on the rows of a table, old and new", ("data",))
        if data.new is not None:
            raise self._wrong("is what --data gives; leave it out of a config that is refreshed", ("data", "new"))
        return registry

    def _wrong(self, message: str, path: ConfigPath) -> ConfigError:
        return ConfigError(self.base.draft.document.locate([Problem(message, path)]))


@dataclass(frozen=True)
class Refreshed:
    """What came of a refresh.

    Args:
        target: The registered model and its stage.
        champion: The version that was there; None when there was none.
        checked: How it does on the new rows; None where there was none to check.
        ending: What was done.
        result: The sweep; None where there was none.
        swept_last: When a refresh swept last, where that is too short ago.
    """

    target: RegistryConfig
    champion: RegisteredVersion | None
    checked: CheckOutcome | None
    ending: RefreshResult
    result: SweepOutcome | None = None
    swept_last: datetime | None = None

    @property
    def is_refused(self) -> bool:
        """Return whether a model that has decayed is still there, or the gate kept the winner out."""
        has_decayed = self.checked is not None and self.checked.result.state is State.DECAYED
        return self.ending in (RefreshResult.COOLING_DOWN, RefreshResult.KEPT) or (
            self.ending is RefreshResult.UNCHANGED and has_decayed
        )

    def describe(self) -> str:
        """Describe in one line what happened."""
        who = f"{self.target.name} {self.target.stage.value}"
        return f"{who}: {self._state()}; {self._end()}."

    def record(self) -> dict[str, Any]:
        """Return what ``--json`` prints."""
        outcome = self.result.outcome if self.result is not None else None
        return {
            "model": self.target.name,
            "stage": self.target.stage.value,
            "champion": self.champion.version if self.champion is not None else None,
            "ending": self.ending.value,
            "check": self.checked.record() if self.checked is not None else None,
            "sweep": self.result.run_id if self.result is not None else None,
            "selection": self.result.selection.record() if self.result is not None else None,
            "promotion": outcome.promotion.record() if outcome is not None and outcome.promotion is not None else None,
            "gate": outcome.verdict.record() if outcome is not None else None,
            "summary": self.describe(),
        }

    def _state(self) -> str:
        if self.champion is None or self.checked is None:
            return "there was no version"
        found = self.checked.result
        return f"version {self.champion.version} is {found.state.value} ({found.reasons[0].rstrip('.')})"

    def _end(self) -> str:
        if self.result is None or self.result.outcome is None:
            if self.swept_last is not None:
                return f"nothing was done, since a refresh swept on {self.swept_last:%Y-%m-%d %H:%M} UTC"
            return "nothing to do"
        outcome, trials = self.result.outcome, len(self.result.closing.trials)
        return f"swept {trials} trials. {outcome.verdict.reasons[0]} {outcome.describe_end().rstrip('.')}"


def refresh(
    asked: Refresh,
    reader: SweepReader,
    *,
    check: Callable[[RegisteredVersion], CheckOutcome],
    prepare: Callable[[Sequence[str]], SweepPlan],
    sweep: Callable[[SweepPlan], SweepOutcome],
    clock: Callable[[], float] = time.time,
) -> Refreshed:
    """Check the model in the stage on new rows; where it has decayed, sweep on old and new ones and let the gate decide.

    The gate compares on new rows that are held out: `data.new` draws the test rows from them alone.

    Sweeps and checks of earlier ones that nobody ends any more are closed first.

    Args:
        asked: What is to be refreshed.
        reader: Reads the store.
        check: Checks a version on the new rows.
        prepare: Prepares the config with changes, each ``key.path=value``.
        sweep: Runs a sweep.
        clock: Tells the time in seconds since the epoch.

    Raises:
        OwnershipError: Another process on this machine refreshes the same model.
        WineSweepError: As these functions and the store say.
    """
    target = asked.target
    with exclusive(target.name, doing="refreshing", patience=0):
        close_lost_checks(reader.client, reader.experiment_ids, target.name)
        close_lost_refreshes(reader, target.name, clock=clock)
        champion = ModelRegistry(reader.client).in_stage(target.name, target.stage)
        checked = check(champion) if champion is not None else None
        if checked is not None and checked.result.state is not State.DECAYED and not asked.force:
            return Refreshed(target, champion, checked, RefreshResult.NOT_NEEDED)
        last = reader.newest({names.REFRESH: target.name})
        if last is not None and not asked.force and clock() - last.started < (asked.at_most_every or 0):
            swept = datetime.fromtimestamp(last.started, UTC)
            return Refreshed(target, champion, checked, RefreshResult.COOLING_DOWN, swept_last=swept)
        result = sweep(prepare(_changes(asked, reader)))
    return Refreshed(target, champion, checked, _ending(result), result)


def _ending(result: SweepOutcome) -> RefreshResult:
    if result.promotion is None:
        return RefreshResult.KEPT
    return RefreshResult.UNCHANGED if result.promotion.already_there else RefreshResult.PROMOTED


def _changes(asked: Refresh, reader: SweepReader) -> list[str]:
    """Describe what a refresh changes in the config: the new rows, and the sweep that its sampler learns from."""
    changes = [f"data.new={json.dumps(asked.new)}"]
    older = _older(asked.base, reader)
    return [*changes, f"search.from={json.dumps(older.run_id)}"] if older is not None else changes


def _older(base: SweepPlan, reader: SweepReader) -> SweepRecord | None:
    """Find the last sweep of the same name and space, for a search that learns and names no other."""
    if not base.config.search.method.learns or base.config.search.from_ is not None:
        return None
    return reader.newest({names.SPACE: base.space.fingerprint()}, name=base.name, status="FINISHED")
