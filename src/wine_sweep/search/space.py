"""The search space: the values of every parameter, and under which conditions it is active. Imports no Optuna."""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, overload

from wine_sweep.config import FAMILY, Choices, Expression, FamilyConfig, Range, SearchConfig
from wine_sweep.config.search import exact_key
from wine_sweep.errors import ConfigPath
from wine_sweep.trial import Params, canonical_json

_DIGITS = 12
"""Significant digits of a computed grid point, so that 0.1 + 2 * 0.1 is 0.3; the ends are exact."""

DRAWS = 10_000
"""So many points are drawn before a space counts as empty."""


class Axis(Sequence[Any]):
    """The values of one parameter in a grid, in the order written; computed one by one."""

    def __init__(self, spec: Choices | Range) -> None:
        self._spec = spec
        self._values: Sequence[Any] | None = None
        if isinstance(spec, Choices):
            self._values = spec.choices
        elif spec.is_int and spec.num is None:
            self._values = range(int(spec.low), int(spec.high) + 1, int(spec.step or 1))
        elif spec.is_int and spec.log:
            self._values = sorted({round(_between(spec, index)) for index in range(spec.num or 0)})
        elif spec.is_int and (spec.num or 0) > spec.high - spec.low:
            self._values = range(int(spec.low), int(spec.high) + 1)
        self._len = len(self._values) if self._values is not None else _count(spec)

    def __len__(self) -> int:
        return self._len

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(self._len))]
        if not -self._len <= index < self._len:
            raise IndexError(index)
        index %= self._len
        if self._values is not None:
            return self._values[index]
        assert isinstance(self._spec, Range)  # choices always have values
        value = _between(self._spec, index)
        return round(value) if self._spec.is_int else value

    def __iter__(self) -> Iterator[Any]:
        return (self[index] for index in range(self._len))

    def position(self, value: Any) -> int | None:
        """Find a value on the axis, or None; 1 and 1.0 differ."""
        if isinstance(self._spec, Choices):
            key = exact_key(value)
            return next((at for at, choice in enumerate(self._spec.choices) if exact_key(choice) == key), None)
        if isinstance(value, bool) or not isinstance(value, int if self._spec.is_int else int | float):
            return None
        low, high = 0, self._len - 1
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self[middle] < value else (low, middle)
        return low if self[low] == value else None


def _count(spec: Choices | Range) -> int:
    assert isinstance(spec, Range)  # choices always have values
    if spec.num is not None:
        return spec.num
    return math.floor((spec.high - spec.low) / (spec.step or 1) + 1e-9) + 1


def _between(spec: Range, index: int) -> float:
    """Compute point `index` of a range with `num` points, or with a float `step`."""
    if spec.step is not None:
        return _tidy(spec.low + index * spec.step, spec)
    last = (spec.num or 2) - 1
    if index in (0, last):
        return float(spec.high if index else spec.low)
    share = index / last
    if spec.log:
        return _tidy(10 ** (math.log10(spec.low) * (1 - share) + math.log10(spec.high) * share), spec)
    return _tidy(spec.low + (spec.high - spec.low) * share, spec)


def _tidy(value: float, spec: Range) -> float:
    return min(max(float(f"{value:.{_DIGITS}g}"), spec.low), spec.high)


Spec = Choices | Range
SHORTEST_AXIS = 3
"""Of fewer numbers each is an end, which says nothing."""


@dataclass(frozen=True)
class Dimension:
    """One searched parameter. Where there are families, several may bear the same name; a point has one of them at most.

    Args:
        name: The parameter's name.
        spec: Its values.
        path: Where it stands in the config.
        family: The family that it belongs to; None when it is searched for all.
        when: Names of other parameters, and the values of them for which this one is searched.
    """

    name: str
    spec: Spec
    path: ConfigPath
    family: str | None = None
    when: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """A name that no other dimension has."""
        return self.name if self.family is None else f"{self.family}.{self.name}"

    def is_active(self, point: Params) -> bool:
        """Return whether the parameter is searched, given those that its conditions name."""
        return all(name in point and any(same(point[name], value) for value in values) for name, values in self.when.items())

    def contains(self, value: Any) -> bool:
        """Return whether the parameter may take a value."""
        spec = self.spec
        if isinstance(spec, Choices):
            return any(same(value, choice) for choice in spec.choices)
        if isinstance(value, bool) or not isinstance(value, int if spec.is_int else int | float):
            return False
        if not spec.low <= value <= spec.high:
            return False
        return spec.step is None or Axis(spec).position(value) is not None

    def typed(self, value: Any) -> Any:
        """Convert a value to the type that the space has for it: 1 is 1.0 in a range of floats."""
        return value if isinstance(self.spec, Choices) or self.spec.is_int else float(value)

    def draw(self, rng: random.Random) -> Any:
        """Draw a value, each as likely as any other; on a logarithmic scale where the range has one."""
        spec = self.spec
        if isinstance(spec, Choices) or spec.step is not None:
            axis = Axis(spec)
            return axis[rng.randrange(len(axis))]
        if spec.log:
            value = spec.low * (spec.high / spec.low) ** rng.random()
            value = min(max(value, spec.low), spec.high)
            return round(value) if spec.is_int else value
        return rng.randint(int(spec.low), int(spec.high)) if spec.is_int else rng.uniform(spec.low, spec.high)


class Space:
    """The searched parameters.

    Args:
        dimensions: In the order written.
        constraints: Conditions between parameters that every point keeps.

    Attributes:
        dimensions: In the order written, but each after those that its conditions name.
    """

    def __init__(self, dimensions: Iterable[Dimension], constraints: Iterable[Expression] = ()) -> None:
        self.dimensions = tuple(_ordered(list(dimensions)))
        self.constraints = tuple(constraints)

    @classmethod
    def of(cls, config: SearchConfig, models: Mapping[str, FamilyConfig] | None = None) -> Space:
        """Take the space out of a config's sections `search` and `models`."""
        families = [Dimension(FAMILY, Choices(choices=list(models)), ("models",))] if models else []
        shared = [
            _dimension(name, spec, ("search", "parameters", name), None)
            for name, spec in config.parameters.items()
            if not (models and name == FAMILY)  # which the config refuses
        ]
        own = [
            _dimension(name, spec, ("models", family, "parameters", name), family)
            for family, model in (models or {}).items()
            for name, spec in model.parameters.items()
            if name != FAMILY
        ]
        return cls([*families, *shared, *own], map(Expression, config.constraints))

    @property
    def names(self) -> list[str]:
        """The parameters' names, each once."""
        return list(dict.fromkeys(each.name for each in self.dimensions))

    @property
    def is_conditional(self) -> bool:
        """Return whether there are parameters that are searched only sometimes."""
        return any(each.when for each in self.dimensions)

    def active(self, point: Params) -> Iterator[Dimension]:
        """List the dimensions that a complete point has."""
        return (each for each in self.dimensions if each.is_active(point))

    def named(self, name: str, point: Params) -> Dimension | None:
        """Find the dimension of that name that fits a point's family; any of that name where the point names no family."""
        found = [each for each in self.dimensions if each.name == name]
        fitting = [each for each in found if each.family is None or each.family == point.get(FAMILY)]
        return next(iter(fitting), found[0] if found and FAMILY not in point else None)

    def contains(self, point: Params) -> bool:
        """Return whether a complete point lies in the space: its names, its values, and the constraints."""
        active = {each.name: each for each in self.active(point)}
        return (
            point.keys() == active.keys()
            and all(active[name].contains(value) for name, value in point.items())
            and self.keeps_constraints(point)
        )

    def keeps_constraints(self, point: Params) -> bool:
        """Return whether a point keeps every constraint that applies to it: all parameters named there are searched in it.

        Raises:
            ExpressionError: A constraint cannot be computed for these values.
        """
        return all(each.holds(point) for each in self.constraints if all(name in point for name in each.names))

    def point(self, given: Params) -> Params:
        """Put given values into the order of the space, and into the types that it has."""
        found = {name: self.named(name, given) for name in self.names if name in given}
        return {name: each.typed(given[name]) if each else given[name] for name, each in found.items()}

    def restore(self, stored: Params) -> Params:
        """Return parameters that were stored as JSON, whose keys are text, the exact values that the space has for them."""
        return {name: _choice_like(self.named(name, stored), value) for name, value in stored.items()}

    def from_text(self, params: Params) -> Params:
        """Return parameters that were stored as text, each value by itself, as the values that the space writes so."""
        return {name: _value_like(self.named(name, params), value) for name, value in params.items()}

    def draw(self, rng: random.Random, given: Params = MappingProxyType({})) -> Params:
        """Draw what is not given of a point at random; it may break constraints."""
        point: dict[str, Any] = {}
        for each in self.dimensions:
            if each.is_active(point):
                point[each.name] = given[each.name] if each.name in given else each.draw(rng)
        return point

    def at_the_edge(self, point: Params) -> list[tuple[str, str]]:
        """List the numbers of a point that are the lowest or the highest tried, as (name, "lowest" or "highest")."""
        edges = []
        for each in self.active(point):
            bounds = _bounds(each.spec)
            if bounds is not None and each.name in point and point[each.name] in bounds:
                edges.append((each.name, "lowest" if point[each.name] == bounds[0] else "highest"))
        return edges

    def fingerprint(self) -> str:
        """Digest the space, 16 hex digits: equal for equal parameters, conditions and constraints, whatever their order."""
        tree = {
            each.key: [
                each.spec.model_dump(mode="json", exclude={"when"}),
                {name: sorted(map(exact_key, values)) for name, values in each.when.items()},
            ]
            for each in self.dimensions
        }
        text = canonical_json([tree, sorted(each.text for each in self.constraints)])
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def same(one: Any, other: Any) -> bool:
    """Return whether two values of a parameter are the same: 1, 1.0 and true differ."""
    if isinstance(one, list | dict) or isinstance(other, list | dict):
        return exact_key(one) == exact_key(other)
    return type(one) is type(other) and bool(one == other)


def parents(dimension: Dimension, dimensions: Iterable[Dimension]) -> list[Dimension]:
    """List the dimensions that a dimension's conditions name: of its own family, or such as all families share."""
    return [each for each in dimensions if each.name in dimension.when and each.family in (None, dimension.family)]


def describe(spec: Spec) -> str:
    """Describe in a few words what a parameter may be: ``0.001 to 1, log`` or ``rbf, linear``."""
    if isinstance(spec, Choices):
        return ", ".join(map(str, spec.choices[:8])) + (f" and {len(spec.choices) - 8} more" if len(spec.choices) > 8 else "")
    extras = [", log" if spec.log else "", f", step {spec.step}" if spec.step else "", f", {spec.num} points" if spec.num else ""]
    return f"{spec.low} to {spec.high}" + "".join(extras)


def _dimension(name: str, spec: Spec, path: ConfigPath, family: str | None) -> Dimension:
    own = {FAMILY: [family]} if family is not None else {}
    return Dimension(name, spec, path, family, own | dict(spec.when or {}))


def _ordered(dimensions: list[Dimension]) -> Iterator[Dimension]:
    """Put each dimension after those that its conditions name; a circle, which no point can enter, comes last."""
    waiting = list(dimensions)
    done: set[str] = set()
    while waiting:
        ready = next((each for each in waiting if all(one.key in done for one in parents(each, dimensions))), waiting[0])
        waiting.remove(ready)
        done.add(ready.key)
        yield _with_typed_conditions(ready, dimensions)


def _with_typed_conditions(dimension: Dimension, dimensions: list[Dimension]) -> Dimension:
    """Convert the values in conditions to the types that the parameters have."""
    by_name = {each.name: each for each in parents(dimension, dimensions)}
    when = {
        name: [by_name[name].typed(value) if name in by_name and _is_number(value) else value for value in values]
        for name, values in dimension.when.items()
    }
    return Dimension(dimension.name, dimension.spec, dimension.path, dimension.family, when)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _choice_like(dimension: Dimension | None, value: Any) -> Any:
    if dimension is None or isinstance(dimension.spec, Range):
        return value
    return next((choice for choice in dimension.spec.choices if exact_key(choice) == exact_key(value)), value)


def _value_like(dimension: Dimension | None, value: Any) -> Any:
    """Find the value that is written as a text: a choice, or a number."""
    if dimension is None or not isinstance(value, str):
        return value
    spec = dimension.spec
    if isinstance(spec, Choices):
        written = ((canonical_json(each) if isinstance(each, list | dict) else str(each), each) for each in spec.choices)
        return next((choice for text, choice in written if text == value), value)
    try:
        return int(value) if spec.is_int else float(value)
    except ValueError:
        return value


def _bounds(spec: Spec) -> tuple[float, float] | None:
    """Return the ends of a range, or of three and more numbers to choose from."""
    if isinstance(spec, Range):
        return spec.low, spec.high
    numbers = [value for value in spec.choices if _is_number(value)]
    return (min(numbers), max(numbers)) if len(numbers) == len(spec.choices) and len(numbers) >= SHORTEST_AXIS else None
