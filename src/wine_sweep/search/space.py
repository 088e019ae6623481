"""The search space: which values every parameter may take, and how many points there are. Imports no Optuna."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from typing import Any

from wine_sweep.config import Choices, Range, SearchConfig
from wine_sweep.config.parameters import exact_key
from wine_sweep.search.axis import Axis
from wine_sweep.trial import Params, canonical_json

Spec = Choices | Range
SHORTEST_AXIS = 3
"""Of fewer numbers each is an end, which says nothing."""


class Space:
    """The searched parameters by name, in the order written."""

    def __init__(self, parameters: Mapping[str, Spec]) -> None:
        self.parameters = dict(parameters)

    @classmethod
    def of(cls, config: SearchConfig) -> Space:
        """Take the space out of a config's section `search`."""
        return cls(config.parameters)

    @property
    def size(self) -> int | None:
        """The number of different points, or None when a parameter is continuous."""
        sizes = [
            None if isinstance(spec, Range) and not spec.is_int and spec.step is None else len(Axis(_without_num(spec)))
            for spec in self.parameters.values()
        ]
        return None if None in sizes else math.prod(size for size in sizes if size is not None)

    def contains(self, name: str, value: Any) -> bool:
        """Whether a parameter may take a value."""
        spec = self.parameters[name]
        if isinstance(spec, Choices):
            return any(exact_key(value) == exact_key(choice) for choice in spec.choices)
        if isinstance(value, bool) or not isinstance(value, int if spec.is_int else int | float):
            return False
        if not spec.low <= value <= spec.high:
            return False
        return spec.step is None or Axis(spec).position(value) is not None

    def point(self, given: Params) -> Params:
        """Put given values into the order of the space, and into the types that it yields: 1 is 1.0 in a range of floats."""
        return {name: _typed(spec, given[name]) for name, spec in self.parameters.items() if name in given}

    def restore(self, stored: Params) -> Params:
        """Give parameters that were stored as JSON, whose keys are text, the exact values that the space has for them."""
        return {
            name: _choice_like(self.parameters[name], value) if name in self.parameters else value
            for name, value in stored.items()
        }

    def at_the_edge(self, point: Params) -> list[tuple[str, str]]:
        """List the numbers of a point that are the lowest or the highest tried, as (name, "lowest" or "highest")."""
        edges = []
        for name, spec in self.parameters.items():
            bounds = _bounds(spec)
            if bounds is not None and point[name] in bounds:
                edges.append((name, "lowest" if point[name] == bounds[0] else "highest"))
        return edges

    def fingerprint(self) -> str:
        """Digest the space, 16 hex digits: equal for equal parameters, whatever their order."""
        tree = {name: spec.model_dump(mode="json") for name, spec in self.parameters.items()}
        return hashlib.sha256(canonical_json(tree).encode()).hexdigest()[:16]


class Grid:
    """Every combination of the parameters' values, the last parameter varying fastest; points are computed, not stored."""

    def __init__(self, space: Space) -> None:
        self._axes = {name: Axis(spec) for name, spec in space.parameters.items()}

    @property
    def size(self) -> int:
        """The number of points; `len` would fail for more than 2**63."""
        return math.prod(len(axis) for axis in self._axes.values())

    def __getitem__(self, index: int) -> Params:
        if not 0 <= index < self.size:
            raise IndexError(index)
        point = {}
        for name, axis in reversed(self._axes.items()):
            index, at = divmod(index, len(axis))
            point[name] = axis[at]
        return {name: point[name] for name in self._axes}

    def __iter__(self) -> Iterator[Params]:
        return map(self.__getitem__, range(self.size))

    def __contains__(self, point: Params) -> bool:
        return point.keys() == self._axes.keys() and all(
            axis.position(point[name]) is not None for name, axis in self._axes.items()
        )


def _typed(spec: Spec, value: Any) -> Any:
    return value if isinstance(spec, Choices) or spec.is_int else float(value)


def _choice_like(spec: Spec, value: Any) -> Any:
    if isinstance(spec, Range):
        return value
    return next((choice for choice in spec.choices if exact_key(choice) == exact_key(value)), value)


def _bounds(spec: Spec) -> tuple[float, float] | None:
    """Give the ends of a range, or of three and more numbers to choose from."""
    if isinstance(spec, Range):
        return spec.low, spec.high
    numbers = [value for value in spec.choices if isinstance(value, int | float) and not isinstance(value, bool)]
    return (min(numbers), max(numbers)) if len(numbers) == len(spec.choices) and len(numbers) >= SHORTEST_AXIS else None


def _without_num(spec: Spec) -> Spec:
    return spec if isinstance(spec, Choices) else spec.model_copy(update={"num": None})
