from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wine_sweep.search.initial import check_initial

from wine_sweep.config import Choices, Range, SearchConfig
from wine_sweep.search.grid import GridSearcher, grid_points
from wine_sweep.search.methods import count_trials
from wine_sweep.search.space import Grid, Space
from wine_sweep.trial import params_key


def search(**keys) -> SearchConfig:
    return SearchConfig.model_validate({"parameters": {"a": [1, 2, 3], "b": ["x", "y"]}, **keys})


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_a_grid_is_the_product_in_the_order_written(sizes):
    parameters = {f"p{index}": Choices(choices=list(range(size))) for index, size in enumerate(sizes)}
    expected = [dict(zip(parameters, values, strict=True)) for values in itertools.product(*(range(size) for size in sizes))]
    grid = Grid(Space(parameters))
    assert list(grid) == expected
    assert grid.size == len(expected)
    assert all(point in grid for point in expected)


def test_a_grid_of_a_million_points_is_not_built():
    grid = Grid(Space({name: Range(low=0.0, high=1.0, num=100) for name in "abc"}))
    assert grid.size == 1_000_000
    assert grid[999_999] == {"a": 1.0, "b": 1.0, "c": 1.0}
    with pytest.raises(IndexError):
        grid[1_000_000]


def test_initial_points_come_first_and_not_again():
    points = list(grid_points(search(initial=[{"b": "y", "a": 2}])))
    assert points[0] == {"a": 2, "b": "y"}
    assert len({params_key(point) for point in points}) == len(points) == 6


def test_an_initial_whole_number_is_the_same_point_of_a_float_range():
    config = search(parameters={"a": {"low": 0.0, "high": 3.0, "num": 4}}, initial=[{"a": 1}])
    assert [point["a"] for point in grid_points(config)] == [1.0, 0.0, 2.0, 3.0]
    assert count_trials(config) == 4


def test_a_grid_of_more_points_than_a_machine_word_counts_is_counted():
    config = search(parameters={f"p{n}": {"low": 1, "high": 2**50} for n in range(3)})
    assert count_trials(config) == (2**50) ** 3
    assert next(grid_points(config)) == {"p0": 1, "p1": 1, "p2": 1}


def test_stored_parameters_get_back_their_exact_choices():
    space = Space({"w": Choices(choices=[None, {0: 1, 1: 5}])})
    assert space.restore({"w": {"0": 1, "1": 5}}) == {"w": {0: 1, 1: 5}}


@pytest.mark.parametrize(
    ("keys", "count"),
    [
        ({}, 6),
        ({"trials": 4}, 4),
        ({"trials": 40}, 6),
        ({"initial": [{"a": 1, "b": "x"}]}, 6),
        ({"parameters": {"a": {"low": 0.0, "high": 1.0, "num": 3}}, "initial": [{"a": 0.3}]}, 4),
        ({"method": "random", "trials": 40}, 6),
        ({"method": "random", "timeout": 5}, 6),
        ({"method": "random", "timeout": 5, "parameters": {"a": {"low": 0.0, "high": 1.0}}}, None),
        ({"method": "tpe", "trials": 40, "parameters": {"a": {"low": 0.0, "high": 1.0}}}, 40),
    ],
)
def test_trials_are_counted_exactly(keys, count):
    config = search(**keys)
    assert count_trials(config) == count
    if config.method == "grid" and config.trials is None:
        assert len(list(grid_points(config))) == count


def test_a_grid_searcher_ends():
    searcher = GridSearcher(search())
    suggestions = [searcher.ask() for _ in range(7)]
    assert [each.params for each in suggestions[:6]] == list(grid_points(search()))
    assert suggestions[6] is None


@pytest.mark.parametrize(
    ("spec", "inside", "outside"),
    [
        ({"low": 1, "high": 5}, [1, 5], [0, 6, 1.0, True, "1", None]),
        ({"low": 1, "high": 6, "step": 2}, [1, 3, 5], [2, 6]),
        ({"low": 0.0, "high": 1.0}, [0, 0.5, 1], [-0.1, 1.1, True]),
        ([1, "a", None], [1, "a", None], [1.0, True, "None"]),
    ],
)
def test_a_space_knows_what_it_contains(spec, inside, outside):
    space = Space.of(search(parameters={"a": spec}, method="random", trials=1))
    assert all(space.contains("a", value) for value in inside)
    assert not any(space.contains("a", value) for value in outside)


def test_what_is_wrong_with_initial_points_is_named():
    problems = check_initial(search(initial=[{"a": 9, "b": "x"}, {"a": 1}, {"a": 1, "b": "x", "c": 0}]))
    assert [problem.path for problem in problems] == [
        ("search", "initial", 0, "a"),
        ("search", "initial", 1),
        ("search", "initial", 2, "c"),
    ]


def test_the_fingerprint_follows_the_space_and_not_the_order():
    spec = {"a": Choices(choices=[1, 2]), "b": Range(low=0.0, high=1.0)}
    same = Space({"b": spec["b"], "a": spec["a"]})
    assert Space(spec).fingerprint() == same.fingerprint()
    assert Space({**spec, "a": Choices(choices=[1, 2.0])}).fingerprint() != same.fingerprint()


def test_a_winner_at_the_edge_is_noticed():
    space = Space({"a": Choices(choices=[3, 1, 2]), "b": Range(low=0.0, high=1.0), "c": Choices(choices=[1, 2])})
    assert space.at_the_edge({"a": 1, "b": 1.0, "c": 1}) == [("a", "lowest"), ("b", "highest")]
    assert space.at_the_edge({"a": 2, "b": 0.5, "c": 2}) == []
