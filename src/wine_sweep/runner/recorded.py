"""A sweep as MLflow has it, made ready to go on: its config and data, and what of them has changed since."""

from __future__ import annotations

import logging
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from wine_sweep.config import ParsedConfig, SweepConfig, parse_config
from wine_sweep.config.fields import MOST_BYTES
from wine_sweep.config.yaml_reader import MAX_VALUES, read_yaml
from wine_sweep.errors import ConfigError, ConfigPath, DataError, NotFoundError, Problem
from wine_sweep.subjects.preflight import prepare
from wine_sweep.subjects.prepared import SweepPlan
from wine_sweep.tracking import names
from wine_sweep.tracking.reader import SweepReader, SweepRecord
from wine_sweep.trial import Trial
from wine_sweep.wording import show

_logger = logging.getLogger(__name__)

MAY_CHANGE = (
    ("name",),
    ("experiment",),
    ("execution",),
    ("registry",),
    ("evaluation", "bootstrap"),
    ("data", "source"),
    ("data", "new"),
    ("data", "max_size"),
    ("model", "folder"),
    ("model", "function"),
    *(("search", key) for key in ("trials", "timeout", "target", "patience", "regret", "max_choices")),
)
"""Keys that do not change what a trial is, nor which trial is better; the data itself is held against its digest."""


@dataclass(frozen=True)
class StoredConfig:
    """The resolved config that a sweep was run with: its text, and where that stands."""

    text: str
    source: str
    name: str

    @classmethod
    def of(cls, reader: SweepReader, sweep: SweepRecord) -> StoredConfig:
        """Read it from MLflow.

        Raises:
            TrackingError: The store failed.
        """
        text = sweep.tags.get(names.CONFIG) or reader.file(sweep, names.RESOLVED_FILE)
        return cls(text, f"{names.RESOLVED_FILE} of {sweep.run_id}", sweep.name)

    def draft(self, overrides: Sequence[str] = ()) -> ParsedConfig:
        """Parse it, with changes from the command line. What was recorded before there were limits is under none.

        Raises:
            ConfigError: A change cannot be applied.
        """
        folder = pathlib.Path.cwd()
        content = self.text.encode()
        sections = read_yaml(content, self.source).value
        limits = {("search", "max_choices"): MAX_VALUES, ("data", "max_size"): MOST_BYTES}
        changes = [
            f"{section}.{key}={most}"
            for (section, key), most in limits.items()
            if isinstance(sections, dict) and isinstance(written := sections.get(section), dict) and key not in written
        ]
        return parse_config(content, source=self.source, folder=folder, default_name=self.name, overrides=[*changes, *overrides])


def prepare_recorded(reader: SweepReader, sweep: SweepRecord, draft: ParsedConfig, *, trusted: Sequence[str]) -> SweepPlan:
    """Prepare a config for going on with a sweep; its data must be that of the sweep.

    Raises:
        ConfigError: The config is wrong.
        DataError: The data has changed since the sweep.
        TrackingError: The store failed.
    """
    prepared = prepare(draft, trusted=trusted)
    if prepared.digest != sweep.tags.get(names.DATA):
        what = prepared.material.dataset.source if prepared.material is not None else prepared.subject
        changes = prepared.why_changed(*reader.table(sweep))
        raise DataError(f"{what} has changed since the sweep '{sweep.name}' ({changes}); run a new sweep on it")
    return prepared


def restored(prepared: SweepPlan, trial: Trial) -> Trial:
    """Return a trial that was stored with the exact values that the space has for its parameters.

    Raises:
        NotFoundError: They are no point of the space: somebody else has written them, and a parameter may name a file.
    """
    for params in (trial.params, prepared.space.from_text(trial.params)):
        exact = prepared.space.restore(params)
        if prepared.space.contains(exact):
            return replace(trial, params=exact)
    raise NotFoundError(f"the run {trial.run_id}: the parameters of trial {trial.number} are none that its sweep searches")


def is_point(prepared: SweepPlan, trial: Trial) -> bool:
    """Whether a trial that was stored is one of a sweep's; one that is not is left out with a warning."""
    try:
        restored(prepared, trial)
    except NotFoundError as error:
        _logger.warning("left out: %s", error)
        return False
    return True


def changed_keys(recorded: StoredConfig, sweep: SweepRecord, prepared: SweepPlan) -> list[ConfigPath]:
    """Say which keys of a config differ from the recorded one; none of them may be such as make trials comparable.

    Raises:
        ConfigError: With a problem for every key that differs.
    """
    before = recorded.draft().config
    if before is None:
        raise ConfigError([Problem(f"the config of the sweep '{sweep.name}' cannot be read by this version of wine_sweep")])
    differences = list(_differences(_tree(before), _tree(prepared.config)))
    problems = [
        Problem(
            f"was {_shown(old)} when the sweep began, is {_shown(new)} now; a sweep goes on as it began, so run a new one", path
        )
        for path, old, new in differences
        if not any(path[: len(free)] == free for free in MAY_CHANGE)
    ]
    if not problems and prepared.space.fingerprint() != sweep.tags.get(names.SPACE):
        version = sweep.tags.get(names.VERSION)
        problems = [Problem(f"the space is another one than wine_sweep {version} made of the same config; run a new sweep")]
    if problems:
        raise ConfigError(prepared.draft.document.locate(problems))
    return [path for path, _, _ in differences]


def _tree(config: SweepConfig) -> dict[str, Any]:
    return config.model_dump(mode="json", by_alias=True)


def _differences(before: Any, now: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    """Yield (path, before, now) for everything that differs, as deep as both are mappings."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for key in {**before, **now}:
            yield from _differences(before.get(key), now.get(key), (*path, key))
    elif before != now or type(before) is not type(now):
        yield path, before, now


def _shown(value: Any) -> str:
    return str(value)[:120] if isinstance(value, list) else show(value)
