"""Grid search: the initial points, then every point in the order written."""

from __future__ import annotations

from collections.abc import Iterator

from wine_sweep.config import SearchConfig
from wine_sweep.search.searcher import Suggestion
from wine_sweep.search.space import Grid, Space
from wine_sweep.trial import Params, params_key


class GridSearcher:
    """The initial points, then every point of the grid in the order written, none twice."""

    adaptive = False

    def __init__(self, config: SearchConfig) -> None:
        self._points = grid_points(config)

    def ask(self) -> Suggestion | None:
        """Give the next point, or None after the last."""
        point = next(self._points, None)
        return None if point is None else Suggestion(point)

    def tell(self, suggestion: Suggestion, value: float | None) -> None:
        """Take a result; a grid goes on as it would have without."""


def grid_points(config: SearchConfig) -> Iterator[Params]:
    """Yield what a grid sweep tries, in order: `initial`, then the grid without those."""
    space = Space.of(config)
    initial = [space.point(point) for point in config.initial]
    yield from initial
    tried = {params_key(point) for point in initial}
    yield from (point for point in Grid(space) if not tried or params_key(point) not in tried)
