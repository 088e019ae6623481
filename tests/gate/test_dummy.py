"""The models that look at no feature."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from wine_sweep.evaluation.row_losses import RowLoss
from wine_sweep.gate.comparison import describe_dummy, fit_dummy
from wine_sweep.trial import Task

FEATURES = pd.DataFrame({"text": list("abcde"), "gap": [None] * 5})
TARGET = np.array([1.0, 2, 3, 4, 10])


@pytest.mark.parametrize(("loss", "constant"), [(RowLoss.RMSE, 4), (RowLoss.MAE, 3), (RowLoss.MAPE, 3)])
def test_a_regressor_is_the_mean_or_the_median_whatever_the_features_are(loss, constant):
    assert set(fit_dummy(Task.REGRESSION, loss, FEATURES, TARGET, None).predict(FEATURES)) == {constant}


@pytest.mark.parametrize(("loss", "constant"), [(RowLoss.RMSE, 7), (RowLoss.MAE, 10)])
def test_weights_count(loss, constant):
    weights = np.array([1.0, 0, 0, 1, 4])
    expected = np.average(TARGET, weights=weights) if loss is RowLoss.RMSE else constant
    assert set(fit_dummy(Task.REGRESSION, loss, FEATURES, TARGET, weights).predict(FEATURES)) == {expected}


def test_a_classifier_gives_the_shares_of_the_classes():
    target = np.array(["no", "no", "yes", "no", "yes"], dtype=object)
    model = fit_dummy(Task.CLASSIFICATION, RowLoss.LOG_LOSS, FEATURES, target, None)
    np.testing.assert_allclose(model.predict_proba(FEATURES), np.tile([0.6, 0.4], (5, 1)))
    assert set(model.predict(FEATURES)) == {"no"}
    weighted = fit_dummy(Task.CLASSIFICATION, RowLoss.ACCURACY, FEATURES, target, np.array([1.0, 1, 4, 1, 4]))
    assert set(weighted.predict(FEATURES)) == {"yes"}


@pytest.mark.parametrize("loss", RowLoss)
def test_each_is_described(loss):
    assert describe_dummy(loss).startswith("a model that always predicts the ")
