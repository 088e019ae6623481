"""Weights reach `fit` and every metric, as scikit-learn itself would pass them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.ensemble import GradientBoostingRegressor, RandomForestClassifier
from sklearn.linear_model import ElasticNet, Lars, LogisticRegression, Ridge
from sklearn.metrics import get_scorer, get_scorer_names
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from wine_sweep.data import Fold
from wine_sweep.evaluation.cross_validation import CrossValidationTask
from wine_sweep.evaluation.estimator_params import ModelFactory
from wine_sweep.evaluation.estimators import fit, part_of, refusal_of_weights
from wine_sweep.evaluation.metrics import evaluate, find_metric, look_up, takes_weights
from wine_sweep.trial import Task, Trial, TrialState

REGRESSORS = {
    "an estimator": (Ridge(), "sample_weight"),
    "a pipeline": (Pipeline([("scale", StandardScaler()), ("net", ElasticNet(alpha=0.1))]), "net__sample_weight"),
    "a pipeline in a pipeline": (
        Pipeline([("scale", StandardScaler()), ("model", Pipeline([("scale", StandardScaler()), ("ridge", Ridge())]))]),
        "model__ridge__sample_weight",
    ),
    "a pipeline of one": (make_pipeline(GradientBoostingRegressor(random_state=0)), "gradientboostingregressor__sample_weight"),
}


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(3)
    features = pd.DataFrame(rng.normal(size=(120, 3)), columns=list("abc"))
    groups, weights = rng.integers(0, 20, 120), rng.uniform(0, 3, 120)
    weights[:15] = 0
    return features, features["a"].to_numpy() + rng.normal(size=120), groups, weights


def measured(template, features, target, *, folds, names, task, weights):
    metrics = [find_metric(name, task) for name in names]
    factory = ModelFactory({None: template}, 0, {None: frozenset()})
    return CrossValidationTask(factory, features, target, folds, metrics, weights=weights)(Trial(0, {}))


def by_hand(template, features, target, *, keyword, folds, scorer, weights):
    found = []
    for one in folds:
        model = clone(template).fit(features.iloc[one.fit], target[one.fit], **{keyword: weights[one.fit]})
        found.append(
            get_scorer(scorer)(model, features.iloc[one.measure], target[one.measure], sample_weight=weights[one.measure])
        )
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("template", "keyword"), REGRESSORS.values(), ids=REGRESSORS.keys())
def test_a_weighted_trial_scores_what_scikit_learn_scores_on_the_same_folds(template, keyword, rows):
    features, target, groups, weights = rows
    folds = [Fold(*pair) for pair in GroupKFold(4, shuffle=True, random_state=1).split(features, groups=groups)]
    trial = measured(template, features, target, folds=folds, names=["rmse", "mae", "r2"], task=Task.REGRESSION, weights=weights)
    assert trial.state is TrialState.FINISHED
    for name, scorer in (
        ("rmse", "neg_root_mean_squared_error"), ("mae", "neg_mean_absolute_error"), ("r2", "r2"),
    ):  # fmt: skip
        sign = 1 if name == "r2" else -1
        expected = by_hand(template, features, target, keyword=keyword, folds=folds, scorer=scorer, weights=weights)
        np.testing.assert_allclose(trial.scores[name].folds, sign * np.array(expected), rtol=1e-10)
    plain = measured(template, features, target, folds=folds, names=["rmse"], task=Task.REGRESSION, weights=None)
    assert plain.scores["rmse"].mean != pytest.approx(trial.scores["rmse"].mean, rel=1e-3)


@pytest.mark.slow
def test_a_weighted_classifier_scores_what_scikit_learn_scores(rows):
    features, target, groups, weights = rows
    classes = (target > 0).astype(int)
    splitter = StratifiedGroupKFold(3, shuffle=True, random_state=1)
    folds = [Fold(*pair) for pair in splitter.split(features, classes, groups)]
    template = RandomForestClassifier(n_estimators=10, random_state=0)
    trial = measured(
        template,
        features,
        classes,
        folds=folds,
        names=["roc_auc", "accuracy", "log_loss"],
        task=Task.CLASSIFICATION,
        weights=weights,
    )
    for name, scorer, sign in (("roc_auc", "roc_auc", 1), ("accuracy", "accuracy", 1), ("log_loss", "neg_log_loss", -1)):
        expected = by_hand(template, features, classes, keyword="sample_weight", folds=folds, scorer=scorer, weights=weights)
        np.testing.assert_allclose(trial.scores[name].folds, sign * np.array(expected), rtol=1e-10)


def test_a_weight_of_two_is_the_row_twice(rows):
    features, target, _, _ = rows
    twice = np.arange(120) % 3 == 0
    weights = 1.0 + twice
    model, other = Ridge(), Ridge()
    fit(model, features, target, weights)
    again = np.concatenate([np.arange(120), np.flatnonzero(twice)])
    fit(other, features.iloc[again], target[again], None)
    np.testing.assert_allclose(model.coef_, other.coef_, rtol=1e-10)
    metrics = [find_metric(name, Task.REGRESSION) for name in ("rmse", "mae", "r2")]
    one = evaluate(model, metrics, features, target, weights)
    assert one == pytest.approx(evaluate(model, metrics, features.iloc[again], target[again]), rel=1e-10)


def test_a_fold_without_weight_is_a_clear_failure(rows):
    features, target, _, weights = rows
    folds = [Fold(np.arange(15, 120), np.arange(15))]
    trial = measured(Ridge(), features, target, folds=folds, names=["rmse", "r2"], task=Task.REGRESSION, weights=weights)
    assert trial.state is TrialState.FAILED
    assert str(trial.failure) == "ValueError: none of the 15 rows to measure on has a weight above 0"


@pytest.mark.parametrize("model", [Ridge(), LogisticRegression(), make_pipeline(StandardScaler(), Ridge())])
def test_models_that_take_weights_are_not_refused(model):
    assert refusal_of_weights(model) is None


@pytest.mark.parametrize(
    ("model", "name"), [(Lars(), "Lars"), (make_pipeline(StandardScaler(), KNeighborsClassifier()), "KNeighborsClassifier")]
)
def test_models_that_take_none_are_refused_by_name(model, name):
    assert refusal_of_weights(model).startswith(f"{name} takes no weights: its `fit` has no `sample_weight`")
    features, target = pd.DataFrame({"a": [1.0, 2, 3, 4, 5, 6]}), np.array([0, 1, 0, 1, 0, 1])
    with pytest.raises(TypeError, match="sample_weight"):
        fit(model, features, target, np.ones(6))


def test_no_weights_have_no_part():
    assert part_of(None, np.array([1])) is None
    assert part_of(np.array([5.0, 6, 7]), np.array([2, 0])).tolist() == [7, 5]


@pytest.mark.slow
@pytest.mark.parametrize("task", Task)
@pytest.mark.filterwarnings("ignore")
def test_every_metric_that_is_said_to_take_weights_does_and_no_other(task):
    """Each scorer is tried, with three classes and with two, on rows that it can measure."""
    rng = np.random.default_rng(0)
    features, weights = pd.DataFrame(rng.normal(size=(60, 2))), rng.uniform(0.5, 2, 60)
    tried = 0
    for name in (each for each in get_scorer_names() if look_up(each).task is task):
        targets = [np.abs(rng.normal(size=60)) + 0.5] if task is Task.REGRESSION else [np.arange(60) % 3, np.arange(60) % 2]
        works = False
        for target in targets:
            model = Ridge(alpha=1e6) if task is Task.REGRESSION else LogisticRegression()
            model.fit(features, target)
            try:
                get_scorer(name)(model, features, target)
            except ValueError:
                continue  # a metric of two classes, for three
            tried += 1
            try:
                get_scorer(name)(model, features, target, sample_weight=weights)
            except (TypeError, ValueError):
                works = False
                break
            works = True
        assert takes_weights(find_metric(name, task)) is works, name
    assert tried > 10
