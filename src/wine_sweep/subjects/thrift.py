"""The one-standard-error rule, held against what is measured and what is searched."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from wine_sweep.config import Choices, Cost, End, SelectionConfig, SelectRule
from wine_sweep.errors import ConfigPath, Problem
from wine_sweep.search.space import Dimension, Space, describe
from wine_sweep.selection import Objective, OneStandardError
from wine_sweep.selection.thrift import ParameterOrder
from wine_sweep.trial import FIT_SECONDS
from wine_sweep.wording import one_of, show

_SELECT: ConfigPath = ("selection", "select")
_CHEAPEST: ConfigPath = ("selection", "cheapest")


def check_cheapest(selection: SelectionConfig, space: Space) -> list[Problem]:
    """Hold an order of parameters against the space."""
    if not isinstance(selection.cheapest, list):
        return []
    problems: list[Problem] = []
    for index, entry in enumerate(selection.cheapest):
        for name, order in entry.items():
            problems += _check_order(name, order, space, (*_CHEAPEST, index, name))
    return problems


def check_spread(selection: SelectionConfig, objective: Objective, *, values: int) -> list[Problem]:
    """Find what the rule lacks: it needs the spread over two values or more of one trial.

    Args:
        selection: The section `selection`.
        objective: What decides.
        values: How many values the objective's mean is a mean over.
    """
    if selection.select is not SelectRule.ONE_STANDARD_ERROR:
        return []
    why = f"{FIT_SECONDS} has none" if objective.metric == FIT_SECONDS else "here each trial is measured once"
    if objective.metric == FIT_SECONDS or values < 2:
        return [Problem(f"one_standard_error needs the spread of a metric over two folds or seeds, or more; {why}", _SELECT)]
    return []


def one_standard_error_of(selection: SelectionConfig, space: Space, *, values: int) -> OneStandardError | None:
    """Give the rule of a selection that is right; None where the best mean wins."""
    if selection.select is not SelectRule.ONE_STANDARD_ERROR:
        return None
    cheapest = selection.cheapest or Cost.FIT_SECONDS
    if isinstance(cheapest, Cost):
        return OneStandardError(values, cheapest)
    orders = [
        ParameterOrder(name, order if isinstance(order, End) else tuple(_typed(value, _named(name, space)) for value in order))
        for entry in cheapest
        for name, order in entry.items()
    ]
    return OneStandardError(values, tuple(orders))


def _check_order(name: str, order: End | list[Any], space: Space, path: ConfigPath) -> Iterator[Problem]:
    dimensions = _named(name, space)
    if not dimensions:
        yield Problem(f"is not searched; {one_of(name, space.names)}", path, at_key=True)
    elif isinstance(order, End):
        strange = [value for value in _choices(dimensions) if not _is_number(value)]
        if strange:
            message = f"'{order}' is for numbers, and {name} may be {_shown(strange[0])}; list its values, the cheapest first"
            yield Problem(message, path)
    else:
        for index, value in enumerate(order):
            if not any(each.contains(_typed(value, [each])) for each in dimensions):
                yield Problem(f"{name} is never {_shown(value)}{_allowed(value, dimensions)}", (*path, index))


def _allowed(value: Any, dimensions: Sequence[Dimension]) -> str:
    choices = _choices(dimensions)
    return f"; {one_of(value, map(_plain, choices))}" if choices else f"; it is {describe(dimensions[0].spec)}"


def _choices(dimensions: Sequence[Dimension]) -> list[Any]:
    return [value for each in dimensions if isinstance(each.spec, Choices) for value in each.spec.choices]


def _named(name: str, space: Space) -> list[Dimension]:
    return [each for each in space.dimensions if each.name == name]


def _typed(value: Any, dimensions: Sequence[Dimension]) -> Any:
    """Give a value the type that the space has for it."""
    if not _is_number(value):
        return value
    return next((typed for each in dimensions if each.contains(typed := each.typed(value))), value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shown(value: Any) -> str:
    return "null" if value is None else show(value)


def _plain(value: Any) -> str:
    return "null" if value is None else str(value)
