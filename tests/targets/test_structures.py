"""Which structures a sweep may give a model, and the fit of each on a few rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from wine_sweep.config import parse_config
from wine_sweep.errors import Problem
from wine_sweep.search.space import same
from wine_sweep.targets.prepare import prepare
from wine_sweep.targets.structures import FEW_ROWS, MOST_STRUCTURES, find_structures

PIPELINE = "model: {pipeline: {scale: sklearn.preprocessing.StandardScaler, svr: sklearn.svm.SVR}}\n"
SCALERS = ["{estimator: sklearn.preprocessing.StandardScaler}", "{estimator: sklearn.preprocessing.MinMaxScaler}", "passthrough"]
FAMILIES = """
models:
  ridge: {estimator: sklearn.linear_model.Ridge, parameters: {alpha: {low: 0.1, high: 1.0}}}
  tree: {estimator: sklearn.tree.DecisionTreeRegressor, parameters: {max_depth: [2, 3]}}
"""


def planned(text, frame=None):
    data = "data: {source: wine-quality-red}\n" if frame is None else 'data: {source: "<a table from Python>", target: y}\n'
    return prepare(parse_config((data + text).encode(), source="s.yaml", folder=Path.cwd(), default_name="s"), frame=frame)


def structures(text):
    plan = planned(text)
    found = find_structures(plan.config.search, plan.space)
    assert all(plan.space.contains(point) for each in found for point in each.points)
    return found


def test_a_sweep_of_numbers_has_one_structure_with_the_parameters_of_its_first_trial():
    (only,) = structures(PIPELINE + "search: {parameters: {svr__C: [3, 1], svr__epsilon: {low: 0.1, high: 0.3, num: 3}}}")
    assert (only.points[0], only.path) == ({"svr__C": 3, "svr__epsilon": 0.1}, ("model",))


def test_each_family_and_each_choice_of_a_step_is_one():
    found = structures(PIPELINE + f"search: {{parameters: {{svr__C: [3, 1], scale: [{', '.join(SCALERS)}]}}}}")
    assert [each.path for each in found] == [("model",), *((*("search", "parameters", "scale", "choices"), n) for n in (1, 2))]
    found = structures(FAMILIES + "search: {method: random, trials: 9}")
    assert [(each.points[0]["model"], each.path) for each in found] == [
        ("ridge", ("models", "ridge")),
        ("tree", ("models", "tree")),
    ]


def test_conditions_and_constraints_are_kept():
    found = structures(
        PIPELINE
        + "search:\n  method: random\n  trials: 5\n  constraints: [svr__C < 10]\n  parameters:\n"
        + f"    scale: [{', '.join(SCALERS)}]\n"
        + "    scale__with_mean: {choices: [true, false], when: {scale: [{estimator: sklearn.preprocessing.StandardScaler}]}}\n"
        + "    svr__C: {low: 1.0, high: 20.0}\n"
    )
    assert [("scale__with_mean" in each.points[0]) for each in found] == [True, False, False]
    assert all(point["svr__C"] < 10 for each in found for point in each.points)


def test_of_too_many_each_choice_is_in_one():
    steps = ", ".join(f"s{n}: sklearn.preprocessing.StandardScaler" for n in range(4))
    parameters = ", ".join(f"s{n}: [{', '.join(SCALERS)}]" for n in range(4))
    plan = planned(f"model: {{pipeline: {{{steps}, r: sklearn.linear_model.Ridge}}}}\nsearch: {{parameters: {{{parameters}}}}}")
    found = find_structures(plan.config.search, plan.space)
    assert len(found) == len(SCALERS) < MOST_STRUCTURES < len(SCALERS) ** 4
    for each in plan.space.dimensions:
        assert all(any(same(one.points[0][each.name], value) for one in found) for value in each.spec.choices)


@pytest.mark.parametrize("names", [["no", "yes"], ["a", "b", "c", "rare"]])
def test_a_model_is_fitted_on_a_few_rows_of_all_classes(names):
    """The table is sorted, and the rare class stands at its end."""
    labels = np.repeat(names, [1000] * (len(names) - 1) + [8])
    frame = pd.DataFrame({"x": np.arange(len(labels)) % 97 / 7, "y": labels})
    plan = planned(
        "model: sklearn.linear_model.LogisticRegression\nsearch: {parameters: {C: [1]}}".replace(
            "model: sklearn.linear_model.LogisticRegression", "model: {estimator: sklearn.linear_model.LogisticRegression}"
        ),
        frame,
    )
    (sample,) = plan.samples()
    assert len(sample.features) == FEW_ROWS
    assert sample.model.classes_.tolist() == sorted(names)


def test_a_fit_that_needs_more_rows_gets_those_of_a_fold_and_one_that_fails_there_is_named():
    neighbours = "model: {{estimator: sklearn.neighbors.KNeighborsRegressor}}\nsearch: {{parameters: {{n_neighbors: [{}]}}}}"
    (sample,) = planned(neighbours.format(80)).samples()
    assert sample.model.n_samples_fit_ > FEW_ROWS
    (problem,) = planned(neighbours.format(1500)).samples()
    assert isinstance(problem, Problem)
    assert problem.message.startswith("cannot be fitted on the 9")
    assert "n_neighbors = 1500" in problem.message


def test_parameters_that_do_not_go_together_in_the_first_trial_are_no_mistake():
    grid = "{penalty: [l1, l2], solver: [lbfgs, liblinear], C: {low: 0.1, high: 1.0, num: 4}}"
    frame = pd.DataFrame({"x": np.arange(90) % 7 / 2, "y": np.arange(90) % 2})
    plan = planned(f"model: {{estimator: sklearn.linear_model.LogisticRegression}}\nsearch: {{parameters: {grid}}}", frame)
    (sample,) = plan.samples()
    assert not isinstance(sample, Problem)
    (structure,) = find_structures(plan.config.search, plan.space)
    assert structure.points[0] == {"penalty": "l1", "solver": "lbfgs", "C": 0.1}
