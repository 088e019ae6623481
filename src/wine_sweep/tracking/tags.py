"""What of a trial is written to its child run as tags, and read back: a tag is data of whoever can write to the store."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from wine_sweep.tracking import names
from wine_sweep.trial import FIT_SECONDS, Trial, TrialState

Value = TypeVar("Value")
_WHOLE = re.compile(r"[0-9]{1,9}")

MAX_TEXT = 6000
"""The longest text of an error that is kept."""

MAX_TAG = 8000
"""The longest value of a tag in MLflow."""


def tags_of(trial: Trial) -> dict[str, str]:
    """Return the tags of a child run whose trial has ended."""
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
    """Read both forms back: the values, and the numbers of their steps, or none where they count from 0.

    Raises:
        ValueError: It is no JSON, or a pair has more or fewer parts.
        TypeError: It is something else.
    """
    items = _list(json.loads(text))
    if not all(isinstance(each, list) for each in items):
        return tuple(map(_number, items)), ()
    return tuple(_number(value) for _, value in items), tuple(_step(step) for step, _ in items)


def read_tag(tags: Mapping[str, str], name: str, read: Callable[[str], Value], default: str) -> Value:
    """Read a tag; one that is missing is read as if it held the default.

    Raises:
        ValueError: It holds something else; the message names the tag.
    """
    text = tags.get(name, default)
    try:
        return read(text)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"the tag {name} cannot be read: {text[:60]!r}") from error


def whole_number(text: str) -> int:
    """Read a whole number of at most nine digits.

    Raises:
        ValueError: It is none.
    """
    if not _WHOLE.fullmatch(text):
        raise ValueError("no whole number of at most nine digits")
    return int(text)


def numbers_by_name(text: str) -> dict[str, float]:
    """Read a JSON mapping of numbers.

    Raises:
        ValueError: It is no JSON.
        TypeError: It is something else.
    """
    return {name: _number(value) for name, value in mapping(text).items()}


def mapping(text: str) -> dict[str, Any]:
    """Read a JSON mapping.

    Raises:
        ValueError: It is no JSON.
        TypeError: It is something else.
    """
    found = json.loads(text)
    if not isinstance(found, dict):
        raise TypeError("no mapping")
    return found


def texts(text: str) -> tuple[str, ...]:
    """Read a JSON list of texts.

    Raises:
        ValueError: It is no JSON.
        TypeError: It is something else.
    """
    found = _list(json.loads(text))
    if not all(isinstance(each, str) for each in found):
        raise TypeError("no texts")
    return tuple(found)


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError("no list")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("no number")
    return float(value)


def _step(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise TypeError("no step")
    return value


def _listed(items: Sequence[str | float | list[float]]) -> str:
    """Write a list as JSON, as many of its first entries as fit into a tag: hundreds of numbers, dozens of warnings."""
    text, kept = json.dumps(list(items)), list(items)
    while len(text) > MAX_TAG:
        kept.pop()
        text = json.dumps(kept)
    return text
