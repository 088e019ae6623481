"""What `method: auto` stands for."""

from __future__ import annotations

import importlib.util

from wine_sweep.config import Choices, Method, SearchConfig
from wine_sweep.search.grid import TooManyToCountError, grid_of
from wine_sweep.search.space import Space

GP_TRIALS = 250
"""A Gaussian process is the most frugal with trials, and its cost grows with their cube."""

GENETIC_TRIALS = 500
MANY_OBJECTIVES = 4


def pick_method(config: SearchConfig, space: Space, *, objectives: int, limits: bool) -> tuple[Method, str]:  # noqa: PLR0911  # a table of rules
    """Pick a method by space, budget and number of objectives, and say why.

    Args:
        config: The section `search`.
        space: What to search.
        objectives: How many there are.
        limits: Whether there are limits on metrics.
    """
    points, trials = _points(space), config.trials
    if points is not None and trials is not None and points <= trials and config.from_ is None and _is_plain(config, space):
        return Method.GRID, f"all {points:,} points fit into {trials:,} trials"
    if objectives > 1 and trials is not None and trials >= GENETIC_TRIALS:
        if objectives >= MANY_OBJECTIVES:
            return Method.NSGA3, f"{objectives} objectives and {trials:,} trials, enough for generations"
        return Method.NSGA2, f"{objectives} objectives and {trials:,} trials, enough for generations"
    if space.is_conditional:
        return Method.TPE, "some parameters are searched only sometimes"
    if any(isinstance(each.spec, Choices) and not _are_numbers(each.spec) for each in space.dimensions):
        return Method.TPE, "some parameters are no numbers"
    if trials is not None and trials <= GP_TRIALS:
        if importlib.util.find_spec("torch") is not None:
            return Method.GP, f"numbers only, and no more than {GP_TRIALS} trials"
        return Method.TPE, "numbers only and few trials would be for gp, but torch is not installed"
    if trials is not None and objectives == 1 and not limits and len(space.dimensions) > 1 and not _has_choices(space):
        return Method.CMAES, f"ranges only, and more than {GP_TRIALS} trials"
    return Method.TPE, "it does well on most spaces and budgets"


def _points(space: Space) -> int | None:
    grid = grid_of(space, whole=True)
    try:
        return grid.size if grid.is_finite else None
    except TooManyToCountError:
        return None


def _is_plain(config: SearchConfig, space: Space) -> bool:
    """Whether a grid would try every point: no range has fewer points than values, and what is to be tried first is complete."""
    whole = all(isinstance(each.spec, Choices) or each.spec.num is None for each in space.dimensions)
    return whole and all(space.contains(space.point(point)) for point in config.initial)


def _are_numbers(spec: Choices) -> bool:
    return all(isinstance(each, int | float) and not isinstance(each, bool) for each in spec.choices)


def _has_choices(space: Space) -> bool:
    return any(isinstance(each.spec, Choices) and len(each.spec.choices) > 1 for each in space.dimensions)
