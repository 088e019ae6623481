"""Search methods: their traits, what `auto` stands for, and the searcher that a config asks for."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from wine_sweep.config import METHODS, Choices, Direction, Method, SearchConfig
from wine_sweep.data.table import absolute
from wine_sweep.errors import ConfigError, Problem
from wine_sweep.search.grid import GridSearcher, TooManyToCountError, grid_of
from wine_sweep.search.searcher import Searcher
from wine_sweep.search.space import Space

if TYPE_CHECKING:
    from wine_sweep.search.optuna_searcher import OptunaSearcher

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
        return METHODS["grid"], f"all {points:,} points fit into {trials:,} trials"
    if objectives > 1 and trials is not None and trials >= GENETIC_TRIALS:
        method = METHODS["nsga3" if objectives >= MANY_OBJECTIVES else "nsga2"]
        return method, f"{objectives} objectives and {trials:,} trials, enough for generations"
    tpe, gp, cmaes = METHODS["tpe"], METHODS["gp"], METHODS["cmaes"]
    if space.is_conditional:
        return tpe, "some parameters are searched only sometimes"
    if any(isinstance(each.spec, Choices) and not _are_numbers(each.spec) for each in space.dimensions):
        return tpe, "some parameters are no numbers"
    if trials is not None and trials <= GP_TRIALS:
        if _lacks(gp):
            return tpe, f"numbers only and few trials would be for gp, but {gp.package} is not installed"
        return gp, f"numbers only, and no more than {GP_TRIALS} trials"
    fits = cmaes.refusal(objectives=objectives, limits=limits) is None
    if trials is not None and fits and len(space.dimensions) > 1 and not _has_choices(space):
        return cmaes, f"ranges only, and more than {GP_TRIALS} trials"
    return tpe, "it does well on most spaces and budgets"


def _lacks(method: Method) -> bool:
    """Return whether what a method needs beside Optuna is not installed."""
    return bool(method.package) and importlib.util.find_spec(method.package) is None


def _points(space: Space) -> int | None:
    grid = grid_of(space, whole=True)
    try:
        return grid.size if grid.is_finite else None
    except TooManyToCountError:
        return None


def _is_plain(config: SearchConfig, space: Space) -> bool:
    """Return whether a grid would try every point: no range is sampled, and what is to be tried first is complete."""
    whole = all(isinstance(each.spec, Choices) or each.spec.num is None for each in space.dimensions)
    return whole and all(space.contains(space.point(point)) for point in config.initial)


def _are_numbers(spec: Choices) -> bool:
    return all(isinstance(each, int | float) and not isinstance(each, bool) for each in spec.choices)


def _has_choices(space: Space) -> bool:
    return any(isinstance(each.spec, Choices) and len(each.spec.choices) > 1 for each in space.dimensions)


def count_points(config: SearchConfig, space: Space) -> int | None:
    """Count the points that a search can suggest; None when there is no end of them, or too many to count."""
    grid = grid_of(space, whole=not config.method.is_exhaustive)
    try:
        return grid.size if grid.is_finite else None
    except TooManyToCountError:
        return None


def count_trials(config: SearchConfig, space: Space) -> int | None:
    """Count the trials of a sweep exactly; None when only a timeout ends it. Other methods may end earlier on small spaces."""
    total = count_points(config, space)
    if config.method.is_exhaustive and total is not None:
        grid = grid_of(space, whole=False)
        total += sum(space.point(point) not in grid for point in config.initial)
    limits = [limit for limit in (total, config.trials) if limit is not None]
    return min(limits) if limits else None


def settle_method(
    config: SearchConfig, space: Space | None, objectives: int, limits: bool, *, steps: int, folder: Path
) -> tuple[tuple[Method, str], list[Problem]]:
    """Pick the method that `auto` stands for, or import one of the user's own, and check what it needs and its options.

    Args:
        config: The section `search`.
        space: What is searched; None where that is not known, and then the config names a method.
        objectives: How many there are.
        limits: Whether there are limits on metrics.
        steps: How many steps a trial has; 0 where it counts them itself.
        folder: Where a relative path starts from; the file of a sampler is trusted.

    Returns:
        The method with the reason for it, which is empty where the config names one; and what is wrong.
    """
    method, reason = config.method, ""
    if method.picks and space is not None:
        method, reason = pick_method(config, space, objectives=objectives, limits=limits)
    if method.source:
        try:
            method = load_traits(method if method.file is None else method.moved(absolute(method.source, folder)))
        except ConfigError as error:
            return (method, reason), list(error.problems)
    settled = config.model_copy(update={"method": method})
    return (method, reason), check_method(settled, steps=steps, objectives=objectives, limits=limits)


def load_traits(method: Method) -> Method:
    """Return a method with the traits that the class of its sampler, which is the user's own and is imported, declares.

    Raises:
        ConfigError: The class cannot be imported, is no sampler, or declares something else than a trait.
    """
    from wine_sweep.search.optuna_options import OptionError, declared_traits

    try:
        return replace(method, **declared_traits(method))
    except OptionError as error:
        raise ConfigError([Problem(str(error), ("search", "method"))]) from error


def check_method(config: SearchConfig, *, steps: int, objectives: int = 1, limits: bool = False) -> list[Problem]:
    """Find what a search needs and this machine lacks, and options that its sampler or pruner does not take.

    Args:
        config: The section `search`, its method not ``auto``.
        steps: How many steps a trial has; 0 where it counts them itself.
        objectives: How many there are.
        limits: Whether there are limits on metrics.
    """
    method = config.method
    if (refused := method.refusal(objectives=objectives, limits=limits)) is not None:
        return [Problem(refused, ("search", "method"), code="conflict")]
    if config.from_ is not None and not method.learns:
        return [Problem(f"{method} learns nothing from older trials; leave `from` out", ("search", "from"), code="conflict")]
    if _lacks(method):
        lacking = f"{method} needs {method.package}, which is not installed: pip install 'wine-sweep[{method}]'"
        return [Problem(lacking, ("search", "method"), code="not-installed")]
    return _check_options(config, steps) if config.sampler or config.pruner or method.source else []


def _check_options(config: SearchConfig, steps: int) -> list[Problem]:
    from wine_sweep.search.optuna_options import OptionError, make_pruner, make_sampler

    problems = []
    try:
        if config.sampler or config.method.source:
            make_sampler(config, conditional=False)
    except OptionError as error:
        at = ("sampler",) if config.sampler else ("method",)
        problems.append(Problem(str(error), ("search", *at, *([error.option] if error.option else []))))
    try:
        if config.pruner is not None:
            make_pruner(config.pruner, config.budget, steps)
    except OptionError as error:
        problems.append(Problem(str(error), ("search", "pruner", *([error.option] if error.option else []))))
    return problems


def import_searcher(config: SearchConfig) -> None:
    """Import what `make_searcher` needs.

    In the thread that also imports MLflow: both import SQLAlchemy, of which two threads at once may get half.
    """
    if not config.method.is_exhaustive:
        _optuna_searcher()


def _optuna_searcher() -> type[OptunaSearcher]:
    from wine_sweep.search.optuna_searcher import OptunaSearcher

    return OptunaSearcher


def make_searcher(config: SearchConfig, space: Space, *, directions: Sequence[Direction], steps: int = 1) -> Searcher:
    """Make what the config's `method` asks for. Imports Optuna only where it is needed.

    Args:
        config: The section `search`, its method not ``auto``.
        space: What to search.
        directions: Which way each objective is better.
        steps: How many steps a trial has.
    """
    if config.method.is_exhaustive:
        return GridSearcher(config, space, direction=directions[0], steps=steps)
    return _optuna_searcher()(config, space, directions=directions, steps=steps)
