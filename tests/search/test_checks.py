"""What is wrong with a space before anything is tried: nothing that is refused could have been tried, and the other way round."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from wine_sweep.config import METHODS, SearchConfig
from wine_sweep.config.search import Method
from wine_sweep.search.methods import GENETIC_TRIALS, GP_TRIALS, check_method, check_space, pick_method
from wine_sweep.search.space import Space

MANY = settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])


def search(**keys) -> SearchConfig:
    return SearchConfig.model_validate({"parameters": {"a": [1, 2, 3], "b": ["x", "y"]}, **keys})


def paths(config: SearchConfig) -> list[tuple]:
    return [problem.path for problem in check_space(config, Space.of(config))]


@pytest.mark.slow
@MANY
@given(data=st.data(), seed=st.integers(0, 999))
def test_every_point_of_a_space_may_be_tried_first(data, seed, kit):
    tree = data.draw(kit.trees(finite=True))
    space = tree.space(tree.config("random"))
    rng = random.Random(seed)
    points = [point for point in (space.draw(rng) for _ in range(50)) if space.keeps_constraints(point)][:1]
    for method in ("random", "grid"):
        config = tree.config(method, initial=points)
        if points:
            assert check_space(config, tree.space(config)) == []


@pytest.mark.slow
@MANY
@given(data=st.data(), seed=st.integers(0, 999))
def test_a_point_with_a_parameter_too_many_is_refused(data, seed, kit):
    tree = data.draw(kit.trees(finite=True))
    space = tree.space(tree.config("random"))
    point = {**space.draw(random.Random(seed)), "zz": 1}
    config = tree.config("random", initial=[point])
    problems = check_space(config, tree.space(config))
    assert [problem.path for problem in problems if problem.path[:2] == ("search", "initial")] == [("search", "initial", 0, "zz")]


def test_what_is_wrong_with_initial_points_is_named():
    initial = [{"a": 9, "b": "x"}, {"a": 1}, {"a": 1, "b": "x", "c": 0}]
    assert paths(search(initial=initial)) == [
        ("search", "initial", 0, "a"),
        ("search", "initial", 1),
        ("search", "initial", 2, "c"),
    ]


@pytest.mark.slow
def test_a_space_that_constraints_leave_empty_is_refused_whatever_the_method():
    parameters = {"a": {"low": 1, "high": 5}, "b": {"low": 6, "high": 9}}
    for method in METHODS.values():
        keys = {} if method.is_exhaustive else {"trials": 5}
        assert paths(search(method=method, parameters=parameters, constraints=["a > b"], **keys)) == [("search", "constraints")]
        assert paths(search(method=method, parameters=parameters, constraints=["a + 1 >= b"], **keys)) == []


RANGES = {"a": {"low": 0.0, "high": 1.0}, "b": {"low": 1.0, "high": 2.0}}


@pytest.mark.parametrize(
    ("keys", "options", "method"),
    [
        ({"trials": 6}, {}, "grid"),
        ({"trials": 5}, {}, "tpe"),
        ({"trials": 6, "from": "older"}, {}, "tpe"),
        ({"trials": 3, "parameters": {"a": {"low": 0.0, "high": 1.0, "num": 3}}}, {}, "gp"),
        ({"trials": GP_TRIALS, "parameters": RANGES}, {}, "gp"),
        ({"trials": GP_TRIALS + 1, "parameters": RANGES}, {}, "cmaes"),
        ({"trials": GP_TRIALS + 1, "parameters": RANGES}, {"limits": True}, "tpe"),
        ({"trials": GP_TRIALS + 1, "parameters": RANGES}, {"objectives": 2}, "tpe"),
        ({"timeout": 60, "parameters": RANGES}, {}, "tpe"),
        ({"trials": GENETIC_TRIALS, "parameters": RANGES}, {"objectives": 2}, "nsga2"),
        ({"trials": GENETIC_TRIALS, "parameters": RANGES}, {"objectives": 4}, "nsga3"),
        ({"trials": 40, "parameters": {**RANGES, "c": ["x", "y"]}}, {}, "tpe"),
        ({"trials": 40, "parameters": {**RANGES, "c": {"low": 0.0, "high": 1.0, "when": {"a": 0.5}}}}, {}, "tpe"),
    ],
)
def test_auto_picks_by_space_budget_and_objectives(keys, options, method, monkeypatch):
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())  # as if torch were there
    config = search(method="auto", **keys)
    picked, reason = pick_method(config, Space.of(config), **{"objectives": 1, "limits": False, **options})
    assert picked.name == method
    assert reason


def test_a_search_method_is_one_row(monkeypatch, kit):
    monkeypatch.setitem(METHODS, "parzen", Method("parzen", "TPESampler", objectives=1))
    config = search(method="parzen", trials=8, parameters=RANGES, sampler={"n_startup_trials": 3})
    assert check_method(config, steps=1) == []
    assert len(kit.run(config, Space.of(config), 8, lambda point: point["a"]).points) == 8
    assert config.method.refusal(objectives=1, limits=True) is None
    assert config.method.refusal(objectives=2, limits=False) == "parzen has one objective; use tpe, gp, nsga2 or nsga3"
    assert config.model_dump()["method"] == "parzen"
    with pytest.raises(ValidationError, match="allowed: grid, random, tpe, gp, cmaes, qmc, nsga2, nsga3, auto, parzen"):
        search(method="?", trials=8)


def test_auto_does_without_torch_and_says_so(monkeypatch):
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    config = search(method="auto", trials=40, parameters=RANGES)
    assert pick_method(config, Space.of(config), objectives=1, limits=False) == (
        METHODS["tpe"],
        "numbers only and few trials would be for gp, but torch is not installed",
    )
