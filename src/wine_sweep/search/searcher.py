"""The interface between the loop and whatever decides what to try next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from wine_sweep.config import Method, SearchConfig
from wine_sweep.search.space import Grid, Space
from wine_sweep.trial import Params, params_key


@dataclass(frozen=True)
class Suggestion:
    """Parameters to try; `handle` is the searcher's own and goes back to it with the result."""

    params: Params
    handle: Any = None


class Searcher(Protocol):
    """Decides what to try next.

    Every suggestion that `ask` gives is told once, unless the sweep is interrupted. What `ask` gives depends only on the order of the calls
    and on the seed, never on the clock.

    Attributes:
        adaptive: Whether results change what comes next. If so, the loop tells them in the order of asking.
    """

    adaptive: bool

    def ask(self) -> Suggestion | None:
        """Suggest parameters, or None when there is nothing left to suggest."""

    def tell(self, suggestion: Suggestion, value: float | None) -> None:
        """Take the objective's value for a suggestion, or None when the trial failed."""


class GridSearcher:
    """The initial points, then every point of the grid in the order written, none twice."""

    adaptive = False

    def __init__(self, config: SearchConfig) -> None:
        self._points = grid_points(config)

    def ask(self) -> Suggestion | None:
        point = next(self._points, None)
        return None if point is None else Suggestion(point)

    def tell(self, suggestion: Suggestion, value: float | None) -> None:
        """Take a result; a grid goes on as it would have without."""


def grid_points(config: SearchConfig) -> Iterator[Params]:
    """Yield what a grid sweep tries, in order: `initial`, then the grid without those."""
    space = Space.of(config)
    order = list(space.parameters)
    initial = [{name: point[name] for name in order} for point in config.initial]
    yield from initial
    tried = {params_key(point) for point in initial}
    yield from (point for point in Grid(space) if not tried or params_key(point) not in tried)


def count_trials(config: SearchConfig) -> int | None:
    """Count the trials of a sweep exactly; None when only a timeout ends it. Other methods may end earlier on small spaces."""
    space = Space.of(config)
    if config.method is Method.GRID:
        grid = Grid(space)
        total: int | None = len(grid) + sum(point not in grid for point in config.initial)
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
