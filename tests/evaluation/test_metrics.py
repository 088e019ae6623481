from __future__ import annotations

import re
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import get_scorer, get_scorer_names

from wine_sweep.config import Direction
from wine_sweep.evaluation.metrics import METRICS, check_classes, default_metrics, evaluate, find_metric, look_up, usual_direction
from wine_sweep.trial import Task


def test_every_scorer_of_scikit_learn_is_for_a_task_or_for_none():
    """A scorer that fits a regressor's continuous predictions is for regression; this holds the lists complete."""
    rng = np.random.default_rng(0)
    features, target = pd.DataFrame(rng.normal(size=(40, 2))), np.abs(rng.normal(size=40)) + 0.5
    from sklearn.dummy import DummyRegressor

    model = DummyRegressor().fit(features, target)
    for name in get_scorer_names():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                get_scorer(name)(model, features, target)
        except (ValueError, AttributeError, TypeError):
            fits = False
        else:
            fits = True
        task = look_up(name).task
        if task is not None:
            assert fits == (task is Task.REGRESSION), name


@pytest.mark.parametrize("task", Task)
def test_the_usual_metrics_fit_their_task(task):
    usual = {Task.REGRESSION: ["rmse", "mae", "r2"], Task.CLASSIFICATION: ["accuracy", "balanced_accuracy", "f1_macro"]}
    assert [find_metric(name, task).name for name in default_metrics(task)] == usual[task]


@pytest.mark.parametrize("name", ["rmse", "mae", "mape", "median_ae", "max_error", "log_loss"])
def test_errors_are_minimised_and_positive(name):
    metric = find_metric(name, METRICS[name].task)
    assert (metric.direction, metric.sign) == (Direction.MINIMIZE, -1)


@pytest.mark.parametrize("name", METRICS)
def test_every_row_is_a_scorer_of_scikit_learn_under_its_name_or_as_an_error(name):
    metric = METRICS[name]
    assert metric.name == name
    assert not metric.scorer or metric.scorer in get_scorer_names()
    assert not metric.for_more or look_up(metric.for_more) is not None


@pytest.mark.parametrize(
    ("name", "direction"),
    [("rmse", "minimize"), ("fit_seconds", "minimize"), ("model_size", "minimize"), ("f1_micro", "maximize"), ("depth", None)],
)
def test_the_direction_of_what_a_program_reports_goes_by_its_name(name, direction):
    assert usual_direction(name) == direction


def test_a_scorers_own_name_keeps_scikit_learns_sign():
    metric = find_metric("neg_mean_squared_error", Task.REGRESSION)
    assert (metric.direction, metric.sign) == (Direction.MAXIMIZE, 1)


@pytest.mark.parametrize(
    ("name", "task", "message"),
    [
        ("rsme", Task.REGRESSION, "there is no metric 'rsme'; did you mean 'rmse'? For regression: rmse, mae"),
        ("rsme", None, "did you mean 'rmse'? For regression: rmse, mae"),
        ("acuracy", None, "or a scikit-learn scorer's name For classification: log_loss, accuracy"),
        ("accuracy", Task.REGRESSION, "accuracy does not fit a regression model. For regression: rmse"),
        ("rmse", Task.CLASSIFICATION, "rmse does not fit a classification model. For classification: log_loss, accuracy"),
        ("adjusted_rand_score", Task.CLASSIFICATION, "adjusted_rand_score does not fit a classification model"),
        ("f1_samples", Task.CLASSIFICATION, "f1_samples does not fit a classification model"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_does(name, task, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        find_metric(name, task)


@pytest.mark.parametrize(
    ("name", "classes", "message"),
    [
        ("f1", [0, 1], None),
        ("f1", [1, 2], None),
        ("roc_auc", ["no", "yes"], None),
        ("accuracy", ["a", "b", "c"], None),
        ("f1", ["no", "yes"], "f1 needs to know which class is the positive one"),
        ("f1", [2, 3], "f1 needs to know which class is the positive one"),
        ("roc_auc", [1, 2, 3], "roc_auc needs two classes, column 'c' has 3; use roc_auc_ovr"),
        ("recall", [1, 2, 3], "recall needs two classes, column 'c' has 3; use recall_macro"),
    ],
)
def test_metrics_of_two_classes_need_two(name, classes, message):
    found = check_classes(find_metric(name, Task.CLASSIFICATION), pd.Series(classes * 3, name="c"))
    assert found is None if message is None else found.startswith(message)


def test_evaluation_agrees_with_each_scorer_alone():
    rng = np.random.default_rng(1)
    features = pd.DataFrame(rng.normal(size=(80, 2)))
    target = (features[0] + rng.normal(size=80) > 0).to_numpy().astype(int)
    model = LogisticRegression().fit(features, target)
    metrics = [find_metric(name, Task.CLASSIFICATION) for name in ("accuracy", "log_loss", "roc_auc", "f1")]
    scores = evaluate(model, metrics, features, target)
    for metric in metrics:
        assert scores[metric.name] == pytest.approx(metric.sign * get_scorer(metric.scorer)(model, features, target), rel=1e-12)
    assert scores["log_loss"] > 0
