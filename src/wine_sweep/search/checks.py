"""What is wrong with a search space before anything is tried: conditions, constraints, and the parameters to try first."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from wine_sweep.config import FAMILY, Choices, Expression, ExpressionError, SearchConfig
from wine_sweep.errors import ConfigPath, Problem
from wine_sweep.messages import one_of, show
from wine_sweep.search.grid import MOST_COMBINATIONS, TooManyToCountError, grid_of
from wine_sweep.search.space import Dimension, Space, describe, parents

_CONSTRAINTS: ConfigPath = ("search", "constraints")
_COMBINATIONS = 20_000
"""As many combinations of values a constraint is tried on before anything runs."""

DRAWS = 10_000
"""So many points are drawn before a space counts as empty."""


def check_space(config: SearchConfig, space: Space) -> list[Problem]:
    """Find what is wrong with conditions, constraints and `initial`. What follows from an error is left out."""
    problems = [*_check_names(space), *_check_conditions(space), *_check_constraint_names(space)]
    if not problems:
        problems = [*_check_constraint_values(space), *_check_initial(config, space)]
    return problems or list(_check_size(config, space))


def _check_names(space: Space) -> Iterator[Problem]:
    shared = {each.name for each in space.dimensions if each.family is None}
    for each in space.dimensions:
        if each.family is not None and each.name in shared:
            yield Problem(
                "is searched for all families already, in `search.parameters`", each.path, at_key=True, code="duplicate"
            )


def _check_conditions(space: Space) -> Iterator[Problem]:
    for each in space.dimensions:
        reachable = [one for one in space.dimensions if one.family in (None, each.family) and one is not each]
        known = [one.name for one in reachable]
        for name, values in each.when.items():
            if name == FAMILY and each.family is not None and values == [each.family]:
                continue  # that it belongs to its family
            path = (*each.path, "when", name)
            if name == each.name:
                continue  # a circle, as small as can be
            if name not in known:
                others = "of another family" if name in space.names else "not searched"
                yield Problem(f"is {others}; {one_of(name, known)}", path, at_key=True, code="unknown-name")
                continue
            parent = next(one for one in reachable if one.name == name)
            for index, value in enumerate(values):
                if not parent.contains(value):
                    message = f"{show(value)} is none of its values, so that this would never hold: {describe(parent.spec)}"
                    yield Problem(message, (*path, index), code="out-of-range")
    yield from _check_circles(space)


def _check_circles(space: Space) -> Iterator[Problem]:
    placed: set[str] = set()
    for each in space.dimensions:
        late = [one.name for one in parents(each, space.dimensions) if one.key not in placed]
        if late:
            yield Problem(f"the conditions go round in a circle: it waits for {', '.join(late)}", (*each.path, "when"))
            return
        placed.add(each.key)


def _check_constraint_names(space: Space) -> Iterator[Problem]:
    for index, constraint in enumerate(space.constraints):
        for name in constraint.names:
            if name not in space.names:
                yield Problem(
                    f"'{name}' is not searched; {one_of(name, space.names)}", (*_CONSTRAINTS, index), code="unknown-name"
                )


def _check_constraint_values(space: Space) -> Iterator[Problem]:
    for index, constraint in enumerate(space.constraints):
        try:
            for point in itertools.islice(_combinations(space, constraint), _COMBINATIONS):
                constraint.holds(point)
        except ExpressionError as error:
            hint = "; say so for such values, as in: x == null or x <= y"
            yield Problem(f"{error}{hint}", (*_CONSTRAINTS, index))


def _combinations(space: Space, constraint: Expression) -> Iterator[Mapping[str, Any]]:
    """Combine the values that could make a constraint fail: every choice, and the ends of ranges."""
    values = []
    for name in constraint.names:
        found: list[Any] = []
        for each in (one for one in space.dimensions if one.name == name):
            spec = each.spec
            found += spec.choices if isinstance(spec, Choices) else [each.typed(spec.low), each.typed(spec.high)]
        values.append(found)
    return (dict(zip(constraint.names, point, strict=True)) for point in itertools.product(*values))


def _check_initial(config: SearchConfig, space: Space) -> Iterator[Problem]:
    for index, given in enumerate(config.initial):
        path: ConfigPath = ("search", "initial", index)
        found = {name: space.named(name, given) for name in given}
        wrong = list(_check_values(given, found, space, path))
        yield from wrong or _check_point(config, space, given, path)


def _check_point(config: SearchConfig, space: Space, given: Mapping[str, Any], path: ConfigPath) -> Iterator[Problem]:
    """Describe what is wrong with a point whose values are right one by one."""
    point = space.point(given)
    named = [(name, each) for name in point if (each := space.named(name, given)) is not None]
    if config.method.is_exhaustive:
        missing = [each.name for each in space.active(point) if each.name not in point]
        if missing:
            yield Problem(f"a grid's point names every parameter; missing: {', '.join(missing)}", path, code="missing-key")
            return
    undecided = [(name, other) for name, each in named for other in each.when if other not in point]
    if undecided:
        name, other = undecided[0]
        yield Problem(
            f"is searched only with certain values of {other}; say which", (*path, name), at_key=True, code="missing-key"
        )
        return
    idle = [name for name, each in named if not each.is_active(point)]
    if idle:
        yield Problem(
            f"{idle[0]} is not searched with these values of {', '.join(_conditions(space, idle[0]))}", path, code="conflict"
        )
    elif not space.keeps_constraints(point):
        broken = next(each.text for each in space.constraints if set(each.names) <= set(point) and not each.holds(point))
        yield Problem(f"breaks the constraint '{broken}'", path, code="conflict")
    elif not _can_keep_constraints(space, point, config.seed):
        yield Problem("no point with these values keeps the constraints", path, code="conflict")


def _check_values(
    given: Mapping[str, Any], found: Mapping[str, Dimension | None], space: Space, path: ConfigPath
) -> Iterator[Problem]:
    for name, value in given.items():
        each = found[name]
        if each is None and name in space.names:
            yield Problem(
                f"is not searched for the family {show(given[FAMILY])}", (*path, name), at_key=True, code="unknown-name"
            )
        elif each is None:
            yield Problem(f"is not searched; {one_of(name, space.names)}", (*path, name), at_key=True, code="unknown-name")
        elif each.family is not None and FAMILY not in given:
            yield Problem(f"belongs to a family; say which, as `{FAMILY}`", (*path, name), at_key=True, code="missing-key")
        elif not each.contains(value):
            yield Problem(f"{show(value)} lies outside the space: {describe(each.spec)}", (*path, name), code="out-of-range")


def _can_keep_constraints(space: Space, given: Mapping[str, Any], seed: int) -> bool:
    """Return whether points drawn at random with some values given keep the constraints now and then."""
    rng = random.Random(seed)  # noqa: S311  # no secret
    return not space.constraints or any(space.keeps_constraints(space.draw(rng, given)) for _ in range(DRAWS))


def _conditions(space: Space, name: str) -> Sequence[str]:
    return list(dict.fromkeys(other for each in space.dimensions if each.name == name for other in each.when))


def _check_size(config: SearchConfig, space: Space) -> Iterator[Problem]:
    """Refuse a space in which nothing can be tried, and a grid that nobody can count."""
    if not space.constraints and not config.method.is_exhaustive:
        return
    grid = grid_of(space)
    if config.method.is_exhaustive and not grid.is_finite:
        return  # which is a problem of its own
    try:
        size = grid.size + len(config.initial) if config.method.is_exhaustive else None
        empty = not _can_keep_constraints(space, {}, config.seed) if size is None else size == 0
    except TooManyToCountError:
        message = f"conditions and constraints make more than {MOST_COMBINATIONS:,} combinations; fewer values, or another method"
        yield Problem(message, _CONSTRAINTS if space.constraints else ("search", "parameters"), code="out-of-range")
        return
    if empty:
        yield Problem("no values of the parameters keep these constraints", _CONSTRAINTS, code="conflict")
