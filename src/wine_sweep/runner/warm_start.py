"""What a sweep takes over from an older one: the finished trials that its sampler learns from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from wine_sweep.errors import ConfigError, ConfigPath, NotFoundError, Problem
from wine_sweep.runner.recorded import StoredConfig, is_point, restored
from wine_sweep.search.space import Space
from wine_sweep.selection import Objective
from wine_sweep.subjects.prepared import SweepPlan
from wine_sweep.tracking import names
from wine_sweep.tracking.reader import SweepReader, SweepRecord
from wine_sweep.trial import FIT_SECONDS, Trial, TrialState

_FROM: ConfigPath = ("search", "from")


@dataclass(frozen=True)
class Older:
    """What is taken over: from which sweep, and its finished trials by number."""

    run_id: str
    trials: Sequence[Trial]


def find_older(prepared: SweepPlan, reader: SweepReader) -> Older:
    """Read the trials of the sweep that `search.from` names.

    Raises:
        ConfigError: There is no such sweep, its space is another, or none of its trials has what the objective needs.
        TrackingError: The store failed.
    """
    reference = prepared.config.search.from_ or ""
    try:
        sweep = reader.find(reference)
    except NotFoundError as error:
        raise _wrong(prepared, str(error)) from error
    if sweep.tags.get(names.SPACE) != prepared.space.fingerprint():
        raise _wrong(prepared, f"the sweep '{sweep.name}' searched another space{_difference(prepared, reader, sweep)}")
    trials = [restored(prepared, each) for each in reader.trials(sweep) if is_point(prepared, each)]
    usable = [replace(each, violations={}) for each in trials if _is_usable(each, prepared.objective)]
    if not usable:
        needed = ", ".join(prepared.objective.metrics)
        raise _wrong(prepared, f"no finished trial of the sweep '{sweep.name}' has {needed}; there is nothing to learn from")
    return Older(sweep.run_id, usable)


def _is_usable(trial: Trial, objective: Objective) -> bool:
    wanted = [metric for metric in objective.metrics if metric != FIT_SECONDS]
    return trial.state is TrialState.FINISHED and all(metric in trial.scores for metric in wanted)


def _difference(prepared: SweepPlan, reader: SweepReader, sweep: SweepRecord) -> str:
    """Name the parameters in which an older sweep's space differs."""
    draft = StoredConfig.of(reader, sweep).draft()
    if draft.config is None:
        return ""
    before = {each.key: each for each in Space.of(draft.config.search, draft.config.models).dimensions}
    now = {each.key: each for each in prepared.space.dimensions}
    differing: Sequence[str] = [
        key for key in {**before, **now} if key not in before or key not in now or before[key].spec != now[key].spec
    ]
    return f": {', '.join(differing)} differ" if differing else ": its conditions or constraints differ"


def _wrong(prepared: SweepPlan, message: str) -> ConfigError:
    return ConfigError(prepared.draft.document.locate([Problem(message, _FROM)]))
