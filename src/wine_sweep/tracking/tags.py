"""What of a trial is written to its child run as tags."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from wine_sweep.tracking import names
from wine_sweep.trial import FIT_SECONDS, Trial, TrialState

MAX_TEXT = 6000
"""The longest text of an error that is kept."""

MAX_TAG = 8000
"""The longest value of a tag in MLflow."""


def tags_of(trial: Trial) -> dict[str, str]:
    """Give the tags of a child run whose trial has ended."""
    tags = {names.STATE: str(trial.state)}
    if trial.failure is not None:
        tags[names.ERROR] = str(trial.failure)[:MAX_TEXT]
    if trial.retries:
        tags[names.RETRIES] = str(trial.retries)
    if trial.state is TrialState.PRUNED:
        tags[names.PRUNED] = str(len(trial.steps or trial.reports))
    are_means = bool(trial.scores) and all(score.has_spread for score in trial.scores.values())
    if trial.state is TrialState.FINISHED and not are_means:
        values = {name: score.mean for name, score in trial.scores.items() if not score.has_spread}
        tags[names.SCORES] = _mapped({FIT_SECONDS: trial.fit_seconds, **values})
    if trial.violations:
        tags[names.INFEASIBLE] = json.dumps(dict(trial.violations))
    if trial.reported:
        tags[names.STEPS] = steps_to_text(trial.reported, trial.reported_at)
    if trial.warnings:
        tags[names.WARNINGS] = _listed(trial.warnings)
    return tags


def _mapped(values: Mapping[str, float]) -> str:
    """Write a mapping as JSON, as many of its first entries as fit into a tag."""
    text, kept = json.dumps(dict(values)), dict(values)
    while len(text) > MAX_TAG:
        kept.popitem()
        text = json.dumps(kept)
    return text


def steps_to_text(reported: Sequence[float], at: Sequence[int]) -> str:
    """Write what a pruner was told: a list of values, or of pairs of step and value where the trial counts its steps."""
    return _listed([[step, value] for step, value in zip(at, reported, strict=True)] if at else reported)


def steps_from_text(text: str) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """Read both forms back: the values, and the numbers of their steps, or none where they count from 0."""
    items = json.loads(text)
    if not all(isinstance(each, list) for each in items):
        return tuple(items), ()
    return tuple(value for _, value in items), tuple(step for step, _ in items)


def _listed(items: Sequence[str | float | list[float]]) -> str:
    """Write a list as JSON, as many of its first entries as fit into a tag: hundreds of numbers, dozens of warnings."""
    text, kept = json.dumps(list(items)), list(items)
    while len(text) > MAX_TAG:
        kept.pop()
        text = json.dumps(kept)
    return text
