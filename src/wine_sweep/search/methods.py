"""The choice of a search method, and how many trials it comes to."""

from __future__ import annotations

from wine_sweep.config import Method, SearchConfig
from wine_sweep.search.grid import GridSearcher
from wine_sweep.search.searcher import Searcher
from wine_sweep.search.space import Grid, Space


def count_trials(config: SearchConfig) -> int | None:
    """Count the trials of a sweep exactly; None when only a timeout ends it. Other methods may end earlier on small spaces."""
    space = Space.of(config)
    if config.method is Method.GRID:
        grid = Grid(space)
        total: int | None = grid.size + sum(space.point(point) not in grid for point in config.initial)
    else:
        total = space.size
    limits = [limit for limit in (total, config.trials) if limit is not None]
    return min(limits) if limits else None


def make_searcher(config: SearchConfig, *, minimize: bool) -> Searcher:
    """Make what the config's `method` asks for. Imports Optuna only for the methods that are Optuna's.

    Args:
        config: The section `search`.
        minimize: Whether a lower objective is better.
    """
    if config.method is Method.GRID:
        return GridSearcher(config)
    from wine_sweep.search.sampler import OptunaSearcher

    return OptunaSearcher(config, minimize=minimize)
