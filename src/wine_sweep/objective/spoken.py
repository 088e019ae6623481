"""What a program that knows no MLflow says of its metrics: in a JSON file, or in what it prints."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wine_sweep.config import HistoryReducer
from wine_sweep.objective.metric_names import refusal_of_name, refusal_of_step
from wine_sweep.trial import FIT_SECONDS, Report
from wine_sweep.wording import show

STEP = "step"
_LONGEST_STEP = 300


class MetricParseError(ValueError):
    """What a program says cannot be understood; the message says where and why."""


@dataclass(frozen=True)
class MetricLine:
    """Metrics that were said at once, with the step that they are of, if one was named."""

    values: Mapping[str, float]
    step: int | None = None


def sayings_of_file(path: Path) -> list[MetricLine]:
    """Read a file of metrics: one JSON object, a list of them, or one on each line; none where there is no such file.

    Raises:
        MetricParseError: It is no JSON, or holds something that is no number.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise MetricParseError(f"{path.name} cannot be read: {error}") from error
    try:
        whole = json.loads(text) if text.strip() else []
    except (ValueError, RecursionError):  # no JSON, a number of thousands of digits, or nested too deeply
        return [_saying(_parsed(line, f"{path.name}:{at}"), f"{path.name}:{at}") for at, line in _lines(text)]
    return [_saying(each, path.name) for each in (whole if isinstance(whole, list) else [whole])]


def sayings_of_line(line: str) -> list[MetricLine]:
    """Read one whole line of a file of metrics; nothing where it is no JSON object by itself.

    Raises:
        MetricParseError: It holds something that is no number.
    """
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return []
    return [_saying(found, "metrics.json")] if isinstance(found, dict) else []


def sayings_of_text(text: str, pattern: re.Pattern[str]) -> Iterator[MetricLine]:
    """Find metrics in what a program has printed.

    Args:
        text: What it printed.
        pattern: Its named groups are metrics, or `name` and `value`; `step` numbers them.

    Raises:
        MetricParseError: A group holds something that is no number.
    """
    for match in pattern.finditer(text):
        groups = {name: value for name, value in match.groupdict().items() if value is not None}
        step = groups.pop(STEP, None)
        if "name" in groups and "value" in groups:
            groups = {groups["name"]: groups["value"]}
        values = {name: _number(_number_in(value, name), name, "stdout") for name, value in groups.items()}
        yield MetricLine(values, None if step is None else _step_in(step))


def reports(sayings: Iterable[MetricLine]) -> tuple[Report, ...]:
    """Put together what was said of each step, the first step first; what was said of none is left out."""
    found: dict[int, dict[str, float]] = {}
    for each in sayings:
        if each.step is not None:
            found.setdefault(each.step, {}).update(each.values)
    return tuple(Report(step, values) for step, values in sorted(found.items()))


def results(sayings: Iterable[MetricLine], of: Mapping[str, HistoryReducer]) -> dict[str, float]:
    """Give the value of each metric that counts: the last that was said, or as `of` says for it."""
    histories: dict[str, list[float]] = {}
    for each in sayings:
        for name, value in each.values.items():
            if name == FIT_SECONDS:
                continue  # the time of the process is measured, whatever it says of itself
            histories.setdefault(name, []).append(value)
    return {name: reduce_history(values, of.get(name, HistoryReducer.LAST)) for name, values in histories.items()}


def reduce_history(values: list[float], of: HistoryReducer) -> float:
    """Choose from a history of one value or more; one that is no number counts as it is."""
    if of is HistoryReducer.LAST:
        return values[-1]
    broken = next((value for value in values if math.isnan(value)), None)
    return broken if broken is not None else min(values) if of is HistoryReducer.MIN else max(values)


def _lines(text: str) -> Iterator[tuple[int, str]]:
    return ((number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip())


def _parsed(line: str, place: str) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        raise MetricParseError(f"{place}: is neither a JSON object nor one on each line: {error.msg}") from error
    except (ValueError, RecursionError) as error:
        raise MetricParseError(f"{place}: holds a number of thousands of digits, or is nested too deeply") from error


def _saying(found: Any, place: str) -> MetricLine:
    if not isinstance(found, dict):
        raise MetricParseError(f'{place}: expected an object of metrics such as {{"rmse": 0.7}}, got {show(found)}')
    step = found.get(STEP)
    if step is not None and (refused := refusal_of_step(step)) is not None:
        raise MetricParseError(f"{place}: {refused}")
    values = {name: value for name, value in found.items() if name != STEP}
    return MetricLine({name: _number(value, name, place) for name, value in values.items()}, step)


def _number(value: Any, name: str, place: str) -> float:
    if (refused := refusal_of_name(name)) is not None:
        raise MetricParseError(f"{place}: {refused}")
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
    except OverflowError as error:
        raise MetricParseError(f"{place}: the metric '{name}' is larger than a number can be") from error
    raise MetricParseError(f"{place}: the metric '{name}' is {show(value)}; a number is needed")


def _step_in(text: str) -> int:
    step = int(text) if text.strip().isdecimal() and len(text) <= _LONGEST_STEP else text
    if (refused := refusal_of_step(step)) is not None:
        raise MetricParseError(f"stdout: {refused}")
    return int(step)


def _number_in(text: str, name: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise MetricParseError(f"the pattern of `stdout` found '{text[:60]}' for {name}, which is no number") from error
