"""Every point of a finite space, one by one: counted exactly, listed in the order written, never stored."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from wine_sweep.config import Choices, Direction, Expression, SearchConfig
from wine_sweep.search.searcher import Outcome, Suggestion
from wine_sweep.search.space import Axis, Dimension, Space
from wine_sweep.trial import Params, params_key

MOST_COMBINATIONS = 2_000_000
"""More combinations of the parameters that conditions and constraints name are not gone through to count a grid."""

WHOLE_COMBINATIONS = 100_000
"""The same where a grid is counted only to know whether a search may run out of points: it takes a fraction of a second."""

LONGEST_LIST = 100_000
"""An axis with more points than this is not made into a list."""


class TooManyToCountError(ValueError):
    """Counting would have to go through more combinations than anybody would wait for."""


class Grid:
    """Every point of a space, the last parameter varying fastest, without those that break a condition or a constraint.

    Args:
        space: The space.
        whole: Take every value that ranges have, whatever their `num` says.
    """

    def __init__(self, space: Space, *, whole: bool = False) -> None:
        self._space = space
        self._whole = whole
        specs = {
            each.key: each.spec.model_copy(update={"num": None}) if whole and not isinstance(each.spec, Choices) else each.spec
            for each in space.dimensions
        }
        self.is_finite = not any(spec.is_endless for spec in specs.values())
        self._specs = specs
        self._axes: dict[str, Sequence[Any]] = {key: Axis(spec) for key, spec in specs.items()} if self.is_finite else {}

    @functools.cached_property
    def size(self) -> int:
        """The number of points, exactly. Parameters that no condition and no constraint names only multiply the rest.

        Raises:
            TooManyToCountError: It would take too long.
        """
        dimensions = self._space.dimensions
        named = {name for each in dimensions for name in each.when} | {
            name for each in self._space.constraints for name in each.names
        }
        branching = [each for each in dimensions if each.name in named]
        leaves = [each for each in dimensions if each.name not in named]
        always = math.prod(len(self._axes[each.key]) for each in leaves if not each.when)
        sometimes = [(each, len(self._axes[each.key])) for each in leaves if each.when]
        total, most = 0, WHOLE_COMBINATIONS if self._whole else MOST_COMBINATIONS
        for visited, point in enumerate(self._walk(branching)):
            if visited >= most:
                raise TooManyToCountError
            total += math.prod(size for each, size in sometimes if each.is_active(point)) if sometimes else 1
        return total * always

    def __iter__(self) -> Iterator[Params]:
        return (dict(point) for point in self._walk(self._space.dimensions))

    def __contains__(self, point: Params) -> bool:
        active = {each.name: each for each in self._space.active(point)}
        return (
            point.keys() == active.keys()
            and all(Axis(self._specs[active[name].key]).position(value) is not None for name, value in point.items())
            and self._space.keeps_constraints(point)
        )

    def _walk(self, dimensions: Sequence[Dimension]) -> Iterator[dict[str, Any]]:
        """Yield each combination of some dimensions, always the same dict; constraints cut off whole branches."""
        due = _due(self._space.constraints, dimensions)
        point: dict[str, Any] = {}

        def descend(depth: int) -> Iterator[dict[str, Any]]:
            if depth == len(dimensions):
                yield point
                return
            each, constraints, last = dimensions[depth], due[depth], depth + 1 == len(dimensions)
            if not each.is_active(point):
                if _hold(constraints, point):
                    yield from descend(depth + 1)
                return
            for value in self._values(each):
                point[each.name] = value
                if constraints and not _hold(constraints, point):
                    continue
                if last:
                    yield point
                else:
                    yield from descend(depth + 1)
            del point[each.name]

        return descend(0)

    def _values(self, dimension: Dimension) -> Sequence[Any]:
        """Return an axis, as a list where that is not too long: its points are computed from logarithms and texts."""
        axis = self._axes[dimension.key]
        if isinstance(axis, Axis) and len(axis) <= LONGEST_LIST:
            axis = self._axes[dimension.key] = list(axis)
        return axis


def _due(constraints: Sequence[Expression], dimensions: Sequence[Dimension]) -> list[list[Expression]]:
    """List, for each depth, the constraints whose parameters are all decided there and no earlier."""
    due: list[list[Expression]] = [[] for _ in dimensions]
    for constraint in constraints:
        depths = [depth for depth, each in enumerate(dimensions) if each.name in constraint.names]
        if depths:
            due[depths[-1]].append(constraint)
    return due


def _hold(constraints: Sequence[Expression], point: Mapping[str, Any]) -> bool:
    return all(each.holds(point) for each in constraints if all(name in point for name in each.names))


@functools.lru_cache(maxsize=4)
def grid_of(space: Space, *, whole: bool = False) -> Grid:
    """Return a space's grid, always the same one: to count it takes seconds where there are constraints, and several ask."""
    return Grid(space, whole=whole)


class GridSearcher:
    """The initial points, then every point of the grid in the order written, none twice.

    Args:
        config: The section `search`.
        space: What to search.
        direction: Which way the first objective is better, for a pruner.
        steps: How many steps a trial has, for a pruner.
    """

    adaptive = False

    def __init__(self, config: SearchConfig, space: Space, *, direction: Direction, steps: int) -> None:
        self._points = grid_points(config, space)
        self._pruning = None
        if config.pruner is not None:
            from wine_sweep.search.optuna_searcher import PruningStudy, StepReporter  # a grid that prunes nothing needs no Optuna

            self._pruning = PruningStudy(StepReporter(config, steps), direction)

    def ask(self) -> Suggestion | None:
        """Return the next point, or None after the last; see `Searcher`."""
        point = next(self._points, None)
        if point is None:
            return None
        return Suggestion(point, self._pruning.begin() if self._pruning is not None else None)

    def tell(self, suggestion: Suggestion, outcome: Outcome) -> None:
        """Take what came of a point; the grid goes on as it would have without."""
        if self._pruning is not None:
            self._pruning.end(suggestion.handle, outcome)

    def prune(self, suggestion: Suggestion, steps: Sequence[float], at: Sequence[int] = ()) -> bool:
        """Return whether a trial is not worth finishing; see `Searcher`."""
        return self._pruning is not None and self._pruning.should_prune(suggestion.handle, steps, at)

    def learn(self, params: Params, outcome: Outcome) -> None:
        """Take an older trial: a grid has nothing to learn."""


def grid_points(config: SearchConfig, space: Space) -> Iterator[Params]:
    """Yield what a grid sweep tries, in order: `initial`, then the grid without those."""
    initial = [space.point(point) for point in config.initial]
    yield from initial
    tried = {params_key(point) for point in initial}
    yield from (point for point in Grid(space) if not tried or params_key(point) not in tried)
