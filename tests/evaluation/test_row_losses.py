"""Losses row by row, held against scikit-learn's own metrics."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics
from sklearn.datasets import make_classification, make_regression
from sklearn.linear_model import LinearRegression, LogisticRegression

from wine_sweep.config import Direction
from wine_sweep.evaluation.row_losses import RowLoss, row_loss_of
from wine_sweep.trial import Task

REGRESSION = {
    RowLoss.RMSE: metrics.root_mean_squared_error,
    RowLoss.MAE: metrics.mean_absolute_error,
    RowLoss.MAPE: metrics.mean_absolute_percentage_error,
}


@pytest.fixture(scope="module")
def numbers():
    features, target = make_regression(200, 4, noise=20, random_state=0)
    return LinearRegression().fit(features[:100], target[:100]), pd.DataFrame(features), target


@pytest.fixture(scope="module", params=[int, str, bool], ids=["ints", "text", "booleans"])
def classes(request):
    kinds = 2 if request.param is bool else 3
    features, code = make_classification(
        300, 6, n_informative=4, n_classes=kinds, weights=[0.7, 0.2][: kinds - 1], random_state=0
    )
    target = np.array([request.param(each) for each in code], dtype=object if request.param is str else None)
    return LogisticRegression().fit(features[:150], target[:150]), pd.DataFrame(features), target


def mean(loss, model, features, target, weights=None):
    counted = loss.row_weights(target, weights)
    return loss.of_mean(np.average(loss.losses(model, features, target), weights=counted))


@pytest.mark.parametrize("loss", REGRESSION)
@pytest.mark.parametrize("weighted", [False, True])
def test_the_mean_over_rows_is_scikit_learns_metric_of_numbers(loss, weighted, numbers):
    model, features, target = numbers
    weights = np.random.default_rng(1).uniform(size=len(target)) if weighted else None
    expected = REGRESSION[loss](target, model.predict(features.to_numpy()), sample_weight=weights)
    assert mean(loss, model, features, target, weights) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_mean_over_rows_is_scikit_learns_metric_of_classes(weighted, classes):
    model, features, target = classes
    weights = np.random.default_rng(1).uniform(size=len(target)) if weighted else None
    predicted, probable = model.predict(features.to_numpy()), model.predict_proba(features.to_numpy())
    truth = target.astype(str) if target.dtype == object else target
    predicted = predicted.astype(str) if target.dtype == object else predicted
    expected = {
        RowLoss.ACCURACY: metrics.accuracy_score(truth, predicted, sample_weight=weights),
        RowLoss.BALANCED_ACCURACY: metrics.balanced_accuracy_score(truth, predicted, sample_weight=weights),
        RowLoss.LOG_LOSS: metrics.log_loss(truth, probable, sample_weight=weights),
        RowLoss.BRIER: metrics.brier_score_loss(
            truth, probable, sample_weight=weights, scale_by_half=True, labels=np.unique(truth)
        ),
    }
    for loss, value in expected.items():
        assert mean(loss, model, features, target, weights) == pytest.approx(value, rel=1e-9)


def test_a_class_that_a_model_has_never_seen_loses_as_much_as_can_be(classes):
    model, features, target = classes
    unseen = np.array(["unseen"] * len(target), dtype=object)
    assert RowLoss.LOG_LOSS.losses(model, features, unseen) == pytest.approx(-np.log(np.finfo(float).eps))


def test_classes_are_equal_whatever_they_were_read_as():
    found = RowLoss.ACCURACY.of_predictions(np.array([1.0, 0.0, 2.5]), np.array(["1", "1", "2.5"], dtype=object))
    assert list(found) == [0, 1, 0]
    assert list(RowLoss.ACCURACY.of_predictions(np.array([True, False]), np.array([1, 1]))) == [0, 1]
    assert list(RowLoss.ACCURACY.of_predictions(np.array([True, False], dtype=object), np.array([1, 1]))) == [0, 1]
    assert list(RowLoss.ACCURACY.of_predictions(np.array([2**53]), np.array([2**53 + 1]))) == [1]


def test_predictions_that_are_no_numbers_or_too_few_are_refused():
    with pytest.raises(ValueError, match="1 of 2 predictions are no finite numbers"):
        RowLoss.RMSE.of_predictions(np.array([1.0, np.nan]), np.array([1.0, 2.0]))
    with pytest.raises(ValueError, match="predictions for 2 rows"):
        RowLoss.RMSE.of_predictions(np.array([1.0]), np.array([1.0, 2.0]))
    assert list(RowLoss.MAE.of_predictions(np.array([[1.0], [5.0]]), np.array([1.0, 2.0]))) == [0, 3]


@pytest.mark.parametrize(
    ("metric", "task", "probabilities", "expected"),
    [
        ("rmse", Task.REGRESSION, False, "rmse"),
        ("r2", Task.REGRESSION, False, "rmse"),
        ("median_ae", Task.REGRESSION, False, "mae"),
        ("mape", Task.REGRESSION, False, "mape"),
        ("my_own", Task.REGRESSION, False, "rmse"),
        ("fit_seconds", Task.REGRESSION, False, "rmse"),
        ("accuracy", Task.CLASSIFICATION, True, "accuracy"),
        ("f1_macro", Task.CLASSIFICATION, True, "balanced_accuracy"),
        ("log_loss", Task.CLASSIFICATION, True, "log_loss"),
        ("roc_auc", Task.CLASSIFICATION, True, "brier_score"),
        ("roc_auc_ovr", Task.CLASSIFICATION, True, "brier_score"),
        ("average_precision", Task.CLASSIFICATION, True, "brier_score"),
        ("neg_brier_score", Task.CLASSIFICATION, True, "brier_score"),
        ("log_loss", Task.CLASSIFICATION, False, "accuracy"),
        ("my_own", Task.CLASSIFICATION, True, "accuracy"),
        ("rmse", Task.CLASSIFICATION, True, "accuracy"),
    ],
)
def test_a_metric_that_is_no_mean_over_rows_is_stood_in_for_by_the_nearest(metric, task, probabilities, expected):
    assert row_loss_of(metric, task, probabilities=probabilities) == expected


def test_losses_are_better_when_lower_and_metrics_as_they_are():
    assert [loss.of_mean(0.25) for loss in (RowLoss.RMSE, RowLoss.MAE, RowLoss.ACCURACY)] == [0.5, 0.25, 0.75]
    assert RowLoss.ACCURACY.direction is Direction.MAXIMIZE
    assert RowLoss.LOG_LOSS.direction is Direction.MINIMIZE
