from __future__ import annotations

import pickle
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import KFold, cross_validate
from sklearn.tree import ExtraTreeRegressor

from wine_sweep.config import BudgetConfig
from wine_sweep.data import Fold
from wine_sweep.evaluation.cross_validation import CrossValidationTask, share_of
from wine_sweep.evaluation.estimator_params import ModelFactory
from wine_sweep.evaluation.metrics import find_metric
from wine_sweep.trial import Task, Trial, TrialState


class Troubled(RegressorMixin, BaseEstimator):
    """Warns, raises or does well, as its parameter says."""

    def __init__(self, how: str = "well", random_state: int | None = None) -> None:
        self.how = how
        self.random_state = random_state

    def fit(self, features, target):
        if self.how == "raise":
            raise ValueError("the first line\nand more")
        if self.how == "exit":
            raise MemoryError
        if self.how == "warn":
            warnings.warn(f"gap {np.mean(target)}", RuntimeWarning, stacklevel=1)
            warnings.warn("for developers", DeprecationWarning, stacklevel=1)
        self.mean_ = float(np.mean(target))
        return self

    def predict(self, features):
        return np.full(len(features), self.mean_)


@pytest.fixture
def measurement():
    rng = np.random.default_rng(3)
    features = pd.DataFrame(rng.normal(size=(60, 3)), columns=list("abc"))
    target = features["a"].to_numpy() + rng.normal(size=60)
    folds = [Fold(fit, rest) for fit, rest in KFold(4, shuffle=True, random_state=1).split(features)]
    metrics = [find_metric(name, Task.REGRESSION) for name in ("rmse", "mae", "r2")]

    def make(template, **keys):
        return CrossValidationTask(
            ModelFactory({None: template}, 0, {None: frozenset()}), features, target, folds, metrics, **keys
        )

    return make


def test_scores_are_those_of_scikit_learn(measurement):
    made = measurement(LinearRegression())
    trial = made(Trial(0, {"positive": False}))
    expected = cross_validate(
        LinearRegression(),
        made.features,
        made.target,
        cv=KFold(4, shuffle=True, random_state=1),
        scoring={"rmse": "neg_root_mean_squared_error", "mae": "neg_mean_absolute_error", "r2": "r2"},
    )
    assert trial.state is TrialState.FINISHED
    for name, sign in (("rmse", -1), ("mae", -1), ("r2", 1)):
        np.testing.assert_allclose(trial.scores[name].folds, sign * expected[f"test_{name}"], rtol=1e-12)
        assert trial.scores[name].std == pytest.approx(np.std(expected[f"test_{name}"]), rel=1e-9)


def test_whatever_an_estimator_raises_becomes_the_trials_failure(measurement):
    trial = measurement(Troubled())(Trial(0, {"how": "raise"}))
    assert trial.state is TrialState.FAILED
    assert (trial.failure.kind, trial.failure.message) == ("ValueError", "the first line")
    assert "in fit" in trial.failure.traceback
    assert trial.scores == {}
    assert trial.started <= trial.ended
    assert measurement(Troubled())(Trial(0, {"how": "exit"})).failure.kind == "MemoryError"


def test_warnings_for_users_are_kept_once_each_and_nothing_is_printed(measurement, capfd):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trial = measurement(Troubled())(Trial(0, {"how": "warn"}))
    assert trial.state is TrialState.FINISHED
    assert len(trial.warnings) == 1
    assert trial.warnings[0].startswith("RuntimeWarning: gap ")
    assert capfd.readouterr().err == ""


def test_it_survives_the_way_to_a_worker(measurement):
    made = measurement(LinearRegression())
    there = pickle.loads(pickle.dumps(made))
    assert there(Trial(0, {})).scores == made(Trial(0, {})).scores


def test_trials_do_not_touch_each_other(measurement):
    made = measurement(LinearRegression())
    first = made(Trial(0, {"fit_intercept": False}))
    made(Trial(1, {"fit_intercept": True}))
    assert made(Trial(2, {"fit_intercept": False})).scores == first.scores
    assert made.factory.templates[None].fit_intercept is True


def test_an_estimator_that_works_in_place_spoils_no_later_trial(measurement):
    made = measurement(LinearRegression(copy_X=False))
    before = made.features.copy()
    first = made(Trial(0, {"tol": 1e-6}))
    assert made(Trial(1, {"tol": 1e-7})).scores == first.scores
    pd.testing.assert_frame_equal(made.features, before)


def test_open_random_states_get_the_seed_and_searched_ones_keep_their_value():
    factory = ModelFactory({None: Troubled()}, 7, {None: frozenset()})
    assert factory.make({}).random_state == 7
    assert factory.make({"random_state": None}).random_state is None
    assert ModelFactory({None: Troubled()}, 7, {None: frozenset({"random_state"})}).make({}).random_state is None


def in_steps(measurement, trial):
    """Measure a trial step by step, and give it back after each."""
    seen = []
    while trial.state is TrialState.RUNNING:
        trial = measurement(trial)
        seen.append(trial)
    return seen


def test_a_trial_measured_fold_by_fold_is_the_same_trial(measurement):
    whole = measurement(LinearRegression())(Trial(0, {"positive": False}))
    seen = in_steps(measurement(LinearRegression(), stepwise=True), Trial(0, {"positive": False}))
    assert [len(trial.steps) for trial in seen] == [1, 2, 3, 0]
    assert seen[-1].scores == whole.scores
    assert seen[-1].started == seen[0].started
    assert seen[1].steps[1].values["rmse"] == (whole.scores["rmse"].folds[1],)


def test_a_growing_parameter_ends_with_what_its_last_value_gives_alone(measurement):
    budget = BudgetConfig(parameter="n_estimators", min=2, max=9, factor=2)
    forest = RandomForestRegressor(random_state=0)
    (only, *_, last) = in_steps(measurement(forest, stepwise=True, budget=budget), Trial(0, {"max_depth": 3}))
    assert [step.budget for step in last.steps] == [2, 4, 8, 9]
    alone = measurement(RandomForestRegressor(n_estimators=9, random_state=0))(Trial(0, {"max_depth": 3}))
    assert last.scores == alone.scores
    first = measurement(RandomForestRegressor(n_estimators=2, random_state=0))(Trial(0, {"max_depth": 3}))
    assert only.steps[0].values["rmse"] == first.scores["rmse"].folds


def test_a_growing_share_of_the_rows_ends_with_all_of_them(measurement):
    made = measurement(LinearRegression(), stepwise=True, budget=BudgetConfig(rows=0.25, factor=2))
    *_, last = in_steps(made, Trial(0, {}))
    assert [step.budget for step in last.steps] == [0.25, 0.5, 1.0]
    assert last.scores == measurement(LinearRegression())(Trial(0, {})).scores
    assert len({step.values["rmse"] for step in last.steps}) == 3


@pytest.mark.parametrize("share", [0.01, 0.1, 0.3, 0.75, 1.0])
def test_a_share_of_rows_has_its_size_each_class_and_all_of_smaller_shares(share):
    rows = np.arange(100, 300)
    classes = np.array(["rare"] * 10 + ["common"] * 190)
    taken = share_of(rows, share, classes=classes, seed=3)
    assert set(taken) <= set(share_of(rows, min(1.0, share * 2), classes=classes, seed=3))
    assert {"rare", "common"} == set(classes[taken - 100])
    assert len(taken) == pytest.approx(200 * share, abs=2)
    assert len(share_of(rows, share, classes=None, seed=3)) == pytest.approx(200 * share, abs=1)
    assert list(taken) == sorted(taken)


def test_each_seed_is_a_fit_of_its_own(measurement):
    tree = ExtraTreeRegressor()
    trial = measurement(tree, seeds=3)(Trial(0, {"max_depth": 2}))
    seeded = [measurement(ExtraTreeRegressor(random_state=seed))(Trial(0, {"max_depth": 2})) for seed in range(3)]
    expected = [each.scores["rmse"].folds[fold] for fold in range(4) for each in seeded]
    assert trial.scores["rmse"].folds == tuple(expected)
    assert trial.scores["rmse"].std == pytest.approx(np.std(expected))


def test_a_step_that_fails_fails_the_trial(measurement):
    class Late(Troubled):
        def fit(self, features, target):
            if len(target) > 30:
                raise ValueError("too many rows for me")
            return super().fit(features, target)

    made = measurement(Late(), stepwise=True, budget=BudgetConfig(rows=0.25, factor=2))
    first, second, third = in_steps(made, Trial(0, {}))
    assert (first.state, second.state, third.state) == ("running", "running", "failed")
    assert str(third.failure) == "ValueError: too many rows for me"
    assert third.scores == {}


def test_the_family_chooses_the_estimator_and_is_no_parameter_of_it(measurement):
    made = measurement(LinearRegression())
    families = ModelFactory(
        {"line": LinearRegression(), "tree": ExtraTreeRegressor()}, 5, {"line": frozenset(), "tree": frozenset()}
    )
    assert isinstance(families.make({"model": "line", "positive": True}), LinearRegression)
    tree = families.make({"model": "tree", "max_depth": 4}, repeat=2)
    assert (tree.max_depth, tree.random_state) == (4, 7)
    assert replace(made, factory=families)(Trial(0, {"model": "tree", "max_depth": 1})).state is TrialState.FINISHED
