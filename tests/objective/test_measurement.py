from __future__ import annotations

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import KFold, cross_validate

from wine_sweep.data import Fold
from wine_sweep.objective.measurement import Measurement, ModelFactory
from wine_sweep.objective.metrics import find_metric
from wine_sweep.task import Task
from wine_sweep.trial import Trial, TrialState


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
        return Measurement(ModelFactory(template, 0, frozenset()), features, target, folds, metrics, **keys)

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
    assert made.factory.template.fit_intercept is True


def test_an_estimator_that_works_in_place_spoils_no_later_trial(measurement):
    made = measurement(LinearRegression(copy_X=False))
    before = made.features.copy()
    first = made(Trial(0, {"tol": 1e-6}))
    assert made(Trial(1, {"tol": 1e-7})).scores == first.scores
    pd.testing.assert_frame_equal(made.features, before)


def test_open_random_states_get_the_seed_and_searched_ones_keep_their_value():
    factory = ModelFactory(Troubled(), 7, frozenset())
    assert factory.make({}).random_state == 7
    assert factory.make({"random_state": None}).random_state is None
    assert ModelFactory(Troubled(), 7, frozenset({"random_state"})).make({}).random_state is None
