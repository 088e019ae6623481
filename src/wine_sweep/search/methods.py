"""Search methods: what `auto` stands for, what is wrong with a space, and the searcher that a config asks for."""

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


import itertools
import random
from collections.abc import Iterator, Mapping
from typing import Any

from wine_sweep.config import FAMILY, Expression, ExpressionError
from wine_sweep.errors import ConfigPath
from wine_sweep.messages import one_of, show
from wine_sweep.search.grid import MOST_COMBINATIONS
from wine_sweep.search.space import DRAWS, Dimension, describe, parents

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


_CONSTRAINTS: ConfigPath = ("search", "constraints")
_COMBINATIONS = 20_000
"""As many combinations of values a constraint is tried on before anything runs."""


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
