"""What the methods need and promise, how many trials a search comes to, and the searcher that a config asks for."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import TYPE_CHECKING

from wine_sweep.config import Direction, Method, SearchConfig
from wine_sweep.errors import Problem
from wine_sweep.search.grid import GridSearcher, TooManyToCountError, grid_of
from wine_sweep.search.searcher import Searcher
from wine_sweep.search.space import Space

if TYPE_CHECKING:  # it imports Optuna
    from wine_sweep.search.study import OptunaSearcher


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
    if config.method is Method.GRID and total is not None:
        grid = grid_of(space, whole=False)
        total += sum(space.point(point) not in grid for point in config.initial)
    limits = [limit for limit in (total, config.trials) if limit is not None]
    return min(limits) if limits else None


def check_method(config: SearchConfig, *, steps: int) -> list[Problem]:
    """Find what a search needs and this machine lacks, and options that its sampler or pruner does not take."""
    problems = []
    if importlib.util.find_spec("torch") is None:
        needs_torch = "needs torch, which is not installed: pip install 'wine-sweep[gp]'"
        if config.method is Method.GP:
            problems.append(Problem(f"gp {needs_torch}", ("search", "method")))
        if config.regret is not None:
            problems.append(Problem(needs_torch, ("search", "regret"), at_key=True))
    if problems or not (config.sampler or config.pruner):
        return problems
    return _check_options(config, steps)


def _check_options(config: SearchConfig, steps: int) -> list[Problem]:
    from wine_sweep.search.optuna_classes import OptionError, make_pruner, make_sampler

    problems = []
    try:
        if config.sampler:
            make_sampler(config, conditional=False)
    except OptionError as error:
        problems.append(Problem(str(error), ("search", "sampler", *([error.option] if error.option else []))))
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
    if config.method is not Method.GRID:
        _optuna_searcher()


def _optuna_searcher() -> type[OptunaSearcher]:
    from wine_sweep.search.study import OptunaSearcher

    return OptunaSearcher


def make_searcher(config: SearchConfig, space: Space, *, directions: Sequence[Direction], steps: int = 1) -> Searcher:
    """Make what the config's `method` asks for. Imports Optuna only where it is needed.

    Args:
        config: The section `search`, its method not ``auto``.
        space: What to search.
        directions: Which way each objective is better.
        steps: How many steps a trial has.
    """
    if config.method is Method.GRID:
        return GridSearcher(config, space, direction=directions[0], steps=steps)
    return _optuna_searcher()(config, space, directions=directions, steps=steps)
