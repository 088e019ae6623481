"""A model's answers are heard, and the model is none the wiser."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import get_scorer
from sklearn.metrics.pairwise import polynomial_kernel
from sklearn.svm import LinearSVC

from wine_sweep.config import Direction
from wine_sweep.evaluation.cross_validation import FoldMemory
from wine_sweep.evaluation.metrics import evaluate, find_metric, listen
from wine_sweep.trial import Task

rng = np.random.default_rng(0)
FEATURES = pd.DataFrame(rng.normal(size=(60, 2)), columns=["a", "b"])
CLASSES = (FEATURES["a"] + rng.normal(size=60) > 0).to_numpy().astype(int)


class Strict(RegressorMixin, BaseEstimator):
    """Gives scikit-learn a parameter that is not allowed, when it predicts."""

    def fit(self, features, target):
        return self

    def predict(self, features):
        return polynomial_kernel(features, features, degree=-1.0)[0]


@pytest.mark.parametrize("name", ["accuracy", "roc_auc", "log_loss", "f1_macro", "neg_brier_score"])
def test_metrics_are_those_of_the_model_itself(name):
    model = LogisticRegression().fit(FEATURES, CLASSES)
    metric = find_metric(name, Task.CLASSIFICATION)
    assert evaluate(listen(model), [metric], FEATURES, CLASSES)[name] == pytest.approx(
        metric.sign * get_scorer(metric.scorer)(model, FEATURES, CLASSES)
    )


def test_what_was_asked_is_heard_and_nothing_else():
    model = LogisticRegression().fit(FEATURES, CLASSES)
    asked = listen(model)
    evaluate(asked, [find_metric(name, Task.CLASSIFICATION) for name in ("log_loss", "accuracy")], FEATURES, CLASSES)
    assert set(asked.heard) == {"predict", "predict_proba"}
    np.testing.assert_array_equal(asked.heard["predict"], model.predict(FEATURES))
    np.testing.assert_array_equal(asked.heard["predict_proba"], model.predict_proba(FEATURES))


def test_what_is_heard_stays_when_the_model_uses_its_answer_again():
    class Thrifty(RegressorMixin, BaseEstimator):
        def fit(self, features, target):
            self.answer_ = np.zeros(len(features))
            return self

        def predict(self, features):
            self.answer_ += 1
            return self.answer_

    asked = listen(Thrifty().fit(FEATURES, CLASSES))
    asked.predict(FEATURES)
    first = asked.heard["predict"]
    asked.predict(FEATURES)
    assert set(first) == {1}


def test_errors_name_the_model():
    model = LinearSVC().fit(FEATURES, CLASSES)
    with pytest.raises(AttributeError, match="LinearSVC has none of the following attributes: predict_proba"):
        evaluate(listen(model), [find_metric("log_loss", Task.CLASSIFICATION)], FEATURES, CLASSES)


def test_the_models_own_parameters_are_validated():
    model = Strict().fit(FEATURES, CLASSES)
    with pytest.raises(ValueError, match="degree"):
        evaluate(model, [find_metric("rmse", Task.REGRESSION)], FEATURES, CLASSES.astype(float))
    with config_context(skip_parameter_validation=True):
        assert evaluate(model, [find_metric("rmse", Task.REGRESSION)], FEATURES, CLASSES.astype(float))["rmse"] > 0


def test_a_model_is_left_as_it_was():
    model = Ridge().fit(FEATURES, CLASSES)
    before = dict(vars(model))
    evaluate(listen(model), [find_metric("rmse", Task.REGRESSION)], FEATURES, CLASSES)
    assert vars(model).keys() == before.keys()


@pytest.mark.parametrize("answer", [[[1], [1, 2]], 3])
def test_an_answer_that_is_no_column_is_passed_on_as_it_is_and_not_kept(answer):
    class Odd(RegressorMixin, BaseEstimator):
        def predict(self, features):
            return answer

    model = Odd()
    asked = listen(model)
    assert asked.predict(FEATURES) is answer
    recollection = FoldMemory("rmse", Direction.MINIMIZE, Task.REGRESSION).begin()
    recollection.take(model, asked.heard, np.arange(60))
    assert recollection.folds is None
