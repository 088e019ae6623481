"""Every point of a finite space, counted and listed."""

from __future__ import annotations

import itertools
import json
import time

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from wine_sweep.config import Choices, Direction, Range, SearchConfig
from wine_sweep.search.grid import MOST_COMBINATIONS, Grid, GridSearcher, TooManyToCountError, grid_points
from wine_sweep.search.methods import check_space, count_points, count_trials
from wine_sweep.search.space import Dimension, Space
from wine_sweep.trial import params_key

MANY = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])


def search(**keys) -> SearchConfig:
    return SearchConfig.model_validate({"parameters": {"a": [1, 2, 3], "b": ["x", "y"]}, **keys})


def space_of(**specs) -> Space:
    return Space([Dimension(name, spec, ("search", "parameters", name)) for name, spec in specs.items()])


def points(**keys) -> list[dict]:
    config = search(**keys)
    return list(map(dict, grid_points(config, Space.of(config))))


def count(**keys) -> int | None:
    config = search(**keys)
    return count_trials(config, Space.of(config))


def exact(value) -> str:
    return json.dumps(value, sort_keys=True)


def expected_points(tree, listed) -> list[dict]:
    """Every combination of all values, families' own among them, without what conditions turn off, each once, as constrained.

    Written without a word of the package's: no order of dimensions, no cut branches, Python's own `eval`.
    """
    entries = [("", "model", {"choices": list(tree.models)})] if tree.models else []
    entries += [(family or "", name, spec) for family, group in tree.groups().items() for name, spec in group.items()]
    found: dict[str, dict] = {}
    for combination in itertools.product(*(listed(spec) for _, _, spec in entries)):
        point: dict = {}
        for (family, name, spec), value in zip(entries, combination, strict=True):
            wanted = {**({"model": [family]} if family else {}), **spec.get("when", {})}
            if all(other in point and exact(point[other]) in map(exact, allowed) for other, allowed in wanted.items()):
                point[name] = value
        if all(holds(text, point) for text in tree.constraints):
            found.setdefault(exact(point), point)
    return list(found.values())


def holds(text: str, point: dict) -> bool:
    code = compile(text, "constraint", "eval")
    return not set(code.co_names) - {"min"} <= point.keys() or eval(code, {}, dict(point))


@pytest.mark.slow
@MANY
@given(data=st.data())
def test_a_grid_is_what_is_left_of_all_combinations_in_the_order_written(data, kit):
    tree = data.draw(kit.trees(finite=True))
    grid = Grid(tree.space(tree.config("grid")))
    found, expected = list(grid), expected_points(tree, kit.listed)
    assert list(map(exact, found)) == list(map(exact, expected))
    assert grid.size == len(found)
    assert all(point in grid for point in found)


@pytest.mark.slow
@MANY
@given(data=st.data())
def test_a_grid_holds_no_point_but_its_own(data, kit):
    tree = data.draw(kit.trees(finite=True))
    grid = Grid(tree.space(tree.config("grid")))
    names = [*{name for group in tree.groups().values() for name in group}, *(["model"] if tree.models else [])]
    values = [value for group in tree.groups().values() for spec in group.values() for value in kit.listed(spec)]
    point = data.draw(st.dictionaries(st.sampled_from(names), st.sampled_from([*values, "one", "two"]), max_size=len(names)))
    expected = expected_points(tree, kit.listed)
    is_expected = exact(point) in {exact(each) for each in expected}
    assume(is_expected or point not in expected)  # 1 is 1.0 in a range and not in a list
    assert (point in grid) == is_expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (["kernel", "gamma"], [("linear", None), ("rbf", 1), ("rbf", 2)]),
        (["gamma", "kernel"], [("linear", None), ("rbf", 1), ("rbf", 2)]),
    ],
)
def test_a_parameter_stands_after_those_that_its_condition_names(written, expected):
    parameters = {"kernel": ["linear", "rbf"], "gamma": {"choices": [1, 2], "when": {"kernel": "rbf"}}}
    found = points(parameters={name: parameters[name] for name in written})
    assert [(point["kernel"], point.get("gamma")) for point in found] == expected


def test_a_million_points_are_counted_at_once_and_not_built():
    config = search(parameters={name: {"low": 0.0, "high": 1.0, "num": 100} for name in "abc"})
    began = time.perf_counter()
    grid = Grid(Space.of(config))
    assert grid.size == 1_000_000
    assert list(itertools.islice(grid, 2)) == [{"a": 0.0, "b": 0.0, "c": 0.0}, {"a": 0.0, "b": 0.0, "c": pytest.approx(1 / 99)}]
    assert {"a": 1.0, "b": 1.0, "c": 1.0} in grid
    assert time.perf_counter() - began < 0.2


def test_parameters_that_no_condition_names_do_not_make_counting_longer():
    parameters = {f"p{index}": {"low": 1, "high": 1000, "when": {"kind": "x"}} for index in range(5)}
    config = search(parameters={"kind": ["x", "y"], **parameters, "free": {"low": 1, "high": 10}})
    began = time.perf_counter()
    assert Grid(Space.of(config)).size == (1000**5 + 1) * 10
    assert time.perf_counter() - began < 0.2


def test_a_grid_of_more_points_than_a_machine_word_counts_is_counted():
    parameters = {f"p{n}": {"low": 1, "high": 2**50} for n in range(3)}
    assert count(parameters=parameters) == (2**50) ** 3
    config = search(parameters=parameters)
    assert next(grid_points(config, Space.of(config))) == {"p0": 1, "p1": 1, "p2": 1}


def test_more_combinations_of_constrained_parameters_than_the_limit_are_a_problem_of_the_config(monkeypatch):
    monkeypatch.setattr("wine_sweep.search.grid.MOST_COMBINATIONS", 1000)  # two million take seconds
    parameters = {"a": {"low": 1, "high": 40}, "b": {"low": 1, "high": 40}}
    config = search(parameters=parameters, constraints=["a != b or a == b"])
    space = Space.of(config)
    with pytest.raises(TooManyToCountError):
        _ = Grid(space).size
    assert count_points(config, space) is None
    (problem,) = check_space(config, space)
    assert problem.path == ("search", "constraints")
    assert f"more than {MOST_COMBINATIONS:,} combinations" in problem.message


def test_as_many_combinations_as_the_limit_are_counted(monkeypatch):
    monkeypatch.setattr("wine_sweep.search.grid.MOST_COMBINATIONS", 12)
    config = search(parameters={"a": [1, 2, 3], "b": [1, 2, 3, 4]}, constraints=["a + b > 0"])
    assert Grid(Space.of(config)).size == 12
    config = search(parameters={"a": {"low": 1, "high": 13}}, constraints=["a > 0"])
    with pytest.raises(TooManyToCountError):
        _ = Grid(Space.of(config)).size


def test_initial_points_come_first_and_not_again():
    found = points(initial=[{"b": "y", "a": 2}])
    assert found[0] == {"a": 2, "b": "y"}
    assert len({params_key(point) for point in found}) == len(found) == 6


def test_an_initial_whole_number_is_the_same_point_of_a_float_range():
    keys = {"parameters": {"a": {"low": 0.0, "high": 3.0, "num": 4}}, "initial": [{"a": 1}]}
    assert [point["a"] for point in points(**keys)] == [1.0, 0.0, 2.0, 3.0]
    assert count(**keys) == 4


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, 6),
        ({"trials": 4}, 4),
        ({"trials": 40}, 6),
        ({"initial": [{"a": 1, "b": "x"}]}, 6),
        ({"parameters": {"a": {"low": 0.0, "high": 1.0, "num": 3}}, "initial": [{"a": 0.3}]}, 4),
        ({"constraints": ["a != 2 or b == 'x'"]}, 5),
        ({"parameters": {"a": [1, 2], "b": {"choices": [1, 2, 3], "when": {"a": 2}}}}, 4),
        ({"method": "random", "trials": 40}, 6),
        ({"method": "random", "timeout": 5}, 6),
        ({"method": "random", "trials": 40, "parameters": {"a": {"low": 1, "high": 9, "num": 3}}}, 9),
        ({"method": "random", "timeout": 5, "parameters": {"a": {"low": 0.0, "high": 1.0}}}, None),
        ({"method": "tpe", "trials": 40, "parameters": {"a": {"low": 0.0, "high": 1.0}}}, 40),
    ],
)
def test_trials_are_counted_exactly(keys, expected):
    assert count(**keys) == expected
    if search(**keys).method.is_exhaustive and "trials" not in keys:
        assert len(points(**keys)) == expected


def test_a_grid_searcher_ends():
    config = search()
    searcher = GridSearcher(config, Space.of(config), direction=Direction.MINIMIZE, steps=1)
    suggestions = [searcher.ask() for _ in range(7)]
    assert [each.params for each in suggestions[:6]] == points()
    assert suggestions[6] is None


def test_a_whole_grid_has_every_value_of_a_range_whatever_its_num_says():
    space = space_of(a=Range(low=1, high=9, num=3), b=Choices(choices=["x", "y"]))
    assert Grid(space).size == 6
    assert Grid(space, whole=True).size == 18
    assert not Grid(space_of(a=Range(low=0.0, high=1.0, num=3)), whole=True).is_finite


@pytest.mark.slow
def test_a_grid_needs_no_optuna():
    import subprocess
    import sys

    program = (
        "import sys; from wine_sweep.config import Direction, SearchConfig; from wine_sweep.search.methods import make_searcher;"
        "from wine_sweep.search.space import Space; config = SearchConfig(parameters={'a': [1]});"
        "make_searcher(config, Space.of(config), directions=[Direction.MINIMIZE]).ask(); sys.exit('optuna' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == 0
