"""Which values parameters may take, and under which conditions."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from wine_sweep.config import Choices, Range, SearchConfig
from wine_sweep.search.methods import check_space
from wine_sweep.search.space import Dimension, Space, same

MANY = settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])


def search(**keys) -> SearchConfig:
    return SearchConfig.model_validate({"parameters": {"a": [1, 2, 3], "b": ["x", "y"]}, **keys})


def space_of(*dimensions: Dimension, **specs) -> Space:
    return Space([*dimensions, *(Dimension(name, spec, ("search", "parameters", name)) for name, spec in specs.items())])


DEEP = {
    "kernel": ["linear", "rbf", "poly"],
    "degree": {"low": 2, "high": 4, "when": {"kernel": "poly"}},
    "coef": {"low": 0.0, "high": 1.0, "when": {"degree": [3, 4]}},
    "shift": {"choices": [True, 1], "when": {"coef": 0.5, "kernel": ["poly", "rbf"]}},
}


@pytest.mark.parametrize(
    ("point", "inside"),
    [
        ({"kernel": "linear"}, True),
        ({"kernel": "poly", "degree": 2}, True),
        ({"kernel": "poly", "degree": 3, "coef": 0.1}, True),
        ({"kernel": "poly", "degree": 3, "coef": 0.5, "shift": True}, True),
        ({"kernel": "poly", "degree": 3, "coef": 0.5, "shift": 1}, True),
        ({"kernel": "poly", "degree": 3, "coef": 0.5, "shift": 1.0}, False),
        ({"kernel": "poly", "degree": 3, "coef": 0.5}, False),
        ({"kernel": "poly", "degree": 3, "coef": 0.1, "shift": True}, False),
        ({"kernel": "poly"}, False),
        ({"kernel": "linear", "degree": 2}, False),
        ({"kernel": "poly", "degree": 5}, False),
        ({"kernel": "poly", "degree": 2.0}, False),
        ({"kernel": "sigmoid"}, False),
        ({"kernel": "linear", "other": 1}, False),
        ({}, False),
    ],
)
def test_a_point_has_what_its_conditions_ask_for_and_nothing_else(point, inside):
    space = Space.of(search(parameters=DEEP, method="random", trials=1))
    assert space.contains(point) is inside


def test_conditions_written_before_what_they_name_are_put_behind_it():
    backwards = dict(reversed(DEEP.items()))
    space = Space.of(search(parameters=backwards, method="random", trials=1))
    assert [each.name for each in space.dimensions] == list(DEEP)


def test_a_constraint_is_kept_by_points_that_have_all_that_it_names():
    config = search(parameters={"a": [1, 2], "b": {"choices": [1, 2], "when": {"a": 2}}}, constraints=["b < a"])
    space = Space.of(config)
    assert space.contains({"a": 1})
    assert space.contains({"a": 2, "b": 1})
    assert not space.contains({"a": 2, "b": 2})


def test_one_name_means_another_parameter_in_another_family(kit):
    tree = kit.tree({}, {"svr": {"C": {"low": 1, "high": 3}}, "forest": {"C": ["x", "y"]}})
    space = tree.space(tree.config("random"))
    assert space.contains({"model": "svr", "C": 2})
    assert space.contains({"model": "forest", "C": "x"})
    assert not space.contains({"model": "svr", "C": "x"})
    assert not space.contains({"model": "forest", "C": 2})
    assert [each.key for each in space.dimensions] == ["model", "svr.C", "forest.C"]


def test_a_shared_parameter_may_leave_families_out(kit):
    tree = kit.tree(
        {"depth": {"choices": [1, 2], "when": {"model": ["forest", "trees"]}}}, {"svr": {}, "forest": {}, "trees": {}}
    )
    space = tree.space(tree.config("random"))
    assert space.contains({"model": "svr"})
    assert space.contains({"model": "trees", "depth": 2})
    assert not space.contains({"model": "svr", "depth": 2})


@pytest.mark.slow
@MANY
@given(data=st.data(), seed=st.integers(0, 1000))
def test_a_point_drawn_at_random_lies_in_the_space_unless_it_breaks_a_constraint(data, seed, kit):
    tree = data.draw(kit.trees())
    space = tree.space(tree.config("random"))
    rng = random.Random(seed)
    for _ in range(20):
        point = space.draw(rng)
        assert space.contains(point) == space.keeps_constraints(point)
        assert space.point(point) == point


@pytest.mark.slow
@MANY
@given(data=st.data())
def test_random_spaces_that_are_not_empty_have_nothing_wrong_with_them(data, kit):
    tree = data.draw(kit.trees())
    config = tree.config("random")
    space = tree.space(config)
    rng = random.Random(0)
    assume(any(space.keeps_constraints(space.draw(rng)) for _ in range(100)))
    assert check_space(config, space) == []


def test_a_draw_reaches_every_value():
    space = space_of(a=Range(low=0, high=4, step=2), b=Choices(choices=[None, True, 1]), c=Range(low=0.1, high=0.5, step=0.2))
    rng = random.Random(0)
    found = [space.draw(rng) for _ in range(200)]
    assert {point["a"] for point in found} == {0, 2, 4}
    assert {repr(point["b"]) for point in found} == {"None", "True", "1"}
    assert {point["c"] for point in found} == {0.1, 0.3, 0.5}


def test_a_draw_on_a_logarithmic_scale_is_as_likely_below_the_geometric_mean_as_above():
    space = space_of(a=Range(low=1e-4, high=1e2, log=True))
    rng = random.Random(0)
    below = sum(space.draw(rng)["a"] < 0.1 for _ in range(1000))
    assert 420 < below < 580  # five standard deviations


@pytest.mark.parametrize(
    ("spec", "inside", "outside"),
    [
        ({"low": 1, "high": 5}, [1, 5], [0, 6, 1.0, True, "1", None]),
        ({"low": 1, "high": 6, "step": 2}, [1, 3, 5], [2, 6]),
        ({"low": 0.0, "high": 1.0}, [0, 0.5, 1], [-0.1, 1.1, True]),
        ({"low": 0.0, "high": 0.5, "step": 0.1}, [0, 0.3, 0.5], [0.05, 0.35]),
        ([1, "a", None], [1, "a", None], [1.0, True, "None"]),
        ([[50, 50], {"a": 1, "b": 2}], [[50, 50], {"b": 2, "a": 1}], [[50], [50, 50.0], {"a": 1}]),
    ],
)
def test_a_space_knows_what_it_contains(spec, inside, outside):
    (dimension,) = Space.of(search(parameters={"a": spec}, method="random", trials=1)).dimensions
    assert all(dimension.contains(value) for value in inside)
    assert not any(dimension.contains(value) for value in outside)


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [(1, 1, True), (1, 1.0, False), (1, True, False), ("1", 1, False), ([1], [1], True), ([1], [1.0], False), (None, None, True)],
)
def test_values_that_python_holds_for_equal_differ_when_their_types_do(one, other, equal):
    assert same(one, other) is equal


def test_stored_parameters_get_back_their_exact_choices():
    space = space_of(w=Choices(choices=[None, {0: 1, 1: 5}]))
    assert space.restore({"w": {"0": 1, "1": 5}}) == {"w": {0: 1, 1: 5}}


def test_stored_parameters_get_back_the_choices_of_their_own_family(kit):
    tree = kit.tree({}, {"one": {"w": [{0: 1}]}, "two": {"w": [{"0": 1}]}})
    space = tree.space(tree.config("random"))
    assert space.restore({"model": "one", "w": {"0": 1}})["w"] == {0: 1}
    assert space.restore({"model": "two", "w": {"0": 1}})["w"] == {"0": 1}


def test_the_fingerprint_follows_the_space_and_not_the_order():
    spec = {"a": Choices(choices=[1, 2]), "b": Range(low=0.0, high=1.0)}
    assert space_of(**spec).fingerprint() == space_of(b=spec["b"], a=spec["a"]).fingerprint()
    assert space_of(**spec).fingerprint() != space_of(**{**spec, "a": Choices(choices=[1, 2.0])}).fingerprint()


def test_the_fingerprint_does_not_follow_the_order_of_a_conditions_values():
    one, other = (
        Space.of(search(parameters={"a": [1, 2, 3], "b": {"choices": [3, 4], "when": {"a": values}}}))
        for values in ([1, 2], [2, 1])
    )
    assert one.fingerprint() == other.fingerprint()


CONDITIONAL = {"parameters": {"a": [1, 2], "b": {"choices": [3, 4], "when": {"a": [1]}}}, "constraints": ["b > a"]}


@pytest.mark.parametrize(
    "changed",
    [
        {"parameters": {"a": [1, 2], "b": {"choices": [3, 4], "when": {"a": [2]}}}},
        {"parameters": {"a": [1, 2], "b": [3, 4]}},
        {"constraints": []},
        {"constraints": ["b >= a"]},
    ],
)
def test_the_fingerprint_changes_with_conditions_and_constraints(changed):
    before, after = (Space.of(search(**{**CONDITIONAL, **keys})).fingerprint() for keys in ({}, changed))
    assert before != after


def test_the_fingerprint_changes_with_families(kit):
    trees = [kit.tree({}, {"one": {"w": [1]}, "two": {}}), kit.tree({}, {"one": {}, "two": {"w": [1]}})]
    one, other = (tree.space(tree.config("random")).fingerprint() for tree in trees)
    assert one != other


def test_a_winner_at_the_edge_is_noticed():
    space = space_of(a=Choices(choices=[3, 1, 2]), b=Range(low=0.0, high=1.0), c=Choices(choices=[1, 2]))
    assert space.at_the_edge({"a": 1, "b": 1.0, "c": 1}) == [("a", "lowest"), ("b", "highest")]
    assert space.at_the_edge({"a": 2, "b": 0.5, "c": 2}) == []
