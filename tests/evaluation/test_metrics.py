from __future__ import annotations

import pickle
import re
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as functions
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import get_scorer, get_scorer_names

from wine_sweep.config import Direction, EvaluationConfig, MetricConfig
from wine_sweep.evaluation.metrics import (
    METRICS,
    Metric,
    MetricError,
    check_classes,
    check_values,
    default_metrics,
    evaluate,
    find_metric,
    look_up,
    metric_of,
    takes_weights,
    usual_direction,
)
from wine_sweep.evaluation.scorers import LibraryFunction, OwnFunction
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


ROWS = np.random.default_rng(3)
FEATURES = pd.DataFrame(ROWS.normal(size=(90, 2)))
SICK = np.where(FEATURES[0] + ROWS.normal(size=90) > 0.5, "malignant", "benign")
MODEL = LogisticRegression().fit(FEATURES, SICK)
WEIGHTS = ROWS.integers(1, 4, size=90).astype(float)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"metric": "cohen_kappa_score"}, lambda y, p, s, w: functions.cohen_kappa_score(y, p, sample_weight=w)),
        (
            {"metric": "fbeta_score", "params": {"beta": 2}, "positive": "malignant"},
            lambda y, p, s, w: functions.fbeta_score(y, p, beta=2, pos_label="malignant", sample_weight=w),
        ),
        (
            {"metric": "f1", "params": {"average": "macro"}},
            lambda y, p, s, w: functions.f1_score(y, p, average="macro", sample_weight=w),
        ),
        (
            {"metric": "average_precision", "positive": "benign"},
            lambda y, p, s, w: functions.average_precision_score(y == "benign", -s, sample_weight=w),
        ),
        ({"metric": "zero_one_loss"}, lambda y, p, s, w: functions.zero_one_loss(y, p, sample_weight=w)),
        ({"metric": "hinge_loss"}, lambda y, p, s, w: functions.hinge_loss(y, s, sample_weight=w)),
    ],
    ids=lambda value: value["metric"] if isinstance(value, dict) else "",
)
def test_a_function_with_parameters_gives_what_it_gives_by_itself(entry, expected):
    metric = metric_of(MetricConfig(**entry), Task.CLASSIFICATION)
    target = pd.Series(SICK, name="c")
    assert (check_classes(metric, target), check_values(metric, target), takes_weights(metric)) == (None, None, True)
    metric = pickle.loads(pickle.dumps(metric))
    found = evaluate(MODEL, [metric], FEATURES, SICK, WEIGHTS)
    score = MODEL.decision_function(FEATURES)
    assert found == {metric.name: pytest.approx(expected(SICK, MODEL.predict(FEATURES), score, WEIGHTS), rel=1e-12)}


def test_functions_are_better_the_way_that_their_scorers_are():
    found = {each.name: each for each in LibraryFunction.all()}
    assert {"fbeta_score", "matthews_corrcoef", "mean_pinball_loss", "max_error", "brier_score_loss"} <= set(found)
    assert not {"confusion_matrix", "roc_curve", "ndcg_score", "adjusted_rand_score", "auc", "make_scorer"} & set(found)
    for name in get_scorer_names():
        scorer = get_scorer(name)
        function = found.get(scorer._score_func.__name__)
        if function is not None:
            assert (function.direction is Direction.MAXIMIZE) == (scorer._sign == 1), name
            assert LibraryFunction.of_scorer(name).task is look_up(name).task or look_up(name).task is None, name


@pytest.mark.parametrize(
    ("entry", "message", "path"),
    [
        ({"metric": "fbeta_score", "params": {"betta": 2}}, "did you mean 'beta'?", ("params", "betta")),
        ({"metric": "f1", "params": {"labels": {"a": 1}}}, "numbers, text", ("params", "labels")),
        ({"metric": "roc_auc", "positive": 1}, "treats both classes alike", ("positive",)),
        ({"metric": "f1_macro", "positive": 1}, "treats both classes alike", ("positive",)),
        ({"metric": "zero_one_loss", "direction": "maximize"}, "better when lower", ("direction",)),
        ({"metric": "positive_likelihood_ratio", "params": {"x": 1}}, "takes no parameters", ("params", "x")),
        ({"metric": "confusion_matrix"}, "there is no metric 'confusion_matrix'", ()),
    ],
)
def test_a_wrong_entry_is_explained_at_its_key(entry, message, path):
    with pytest.raises(MetricError, match=re.escape(message)) as caught:
        metric_of(MetricConfig(**entry), Task.CLASSIFICATION)
    assert caught.value.path == path


def test_parameters_that_the_function_refuses_are_found_before_a_fit():
    metric = metric_of(MetricConfig(metric="mean_pinball_loss", params={"alpha": 3}), Task.REGRESSION)
    assert "must be a float in the range [0.0, 1.0]" in check_values(metric, pd.Series([1.0, 2.0], name="y"))


def test_two_metrics_of_one_function_are_told_apart_and_dumped_as_written():
    alphas = [{"metric": "mean_pinball_loss", "params": {"alpha": alpha}} for alpha in (0.1, 0.9)]
    config = EvaluationConfig.model_validate({"metrics": ["rmse", *alphas, "mine.py:profit"]})
    names = ["rmse", "mean_pinball_loss_alpha_0.1", "mean_pinball_loss_alpha_0.9", "profit"]
    assert [each.plain_name for each in config.metrics] == names
    dumped = config.model_dump(mode="json")
    assert dumped["metrics"][0] == "rmse"
    assert dumped["metrics"][3] == "mine.py:profit"
    assert EvaluationConfig.model_validate(dumped) == config


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
def test_functions_of_ones_own_are_called_with_truth_and_predictions_or_with_model_and_rows(tmp_path, weights):
    file = tmp_path / "own_metrics_of_a_test.py"
    file.write_text(
        "def hits(y_true, y_pred, sample_weight=None, worth=1):\n"
        "    weights = 1 if sample_weight is None else sample_weight\n"
        "    return worth * ((y_true == y_pred) * weights).sum()\n"
        "def sure(y_true, y_proba):\n    return y_proba.max()\n"
        "def model_of(estimator, X, y):\n    return len(X) + estimator.coef_[0, 0]\n"
        "def none(y_true, y_pred): pass\n"
        "def four(a, b, c, d): pass\n"
    )
    own = {name: OwnFunction(file, name) for name in ("sure", "model_of")}
    made = {"hits": OwnFunction(file, "hits", (("worth", 2),)), **own}
    assert [each.refusal() for each in made.values()] == [None] * 3
    metrics = [Metric(name, "", Task.CLASSIFICATION, made=each) for name, each in made.items()]
    found = evaluate(MODEL, metrics, FEATURES, SICK, weights)
    right = MODEL.predict(FEATURES) == SICK
    assert found["hits"] == 2 * (right.sum() if weights is None else weights[right].sum())
    assert found["sure"] == MODEL.predict_proba(FEATURES)[:, 1].max()
    assert found["model_of"] == len(FEATURES) + MODEL.coef_[0, 0]
    assert "takes a, b, c, d" in OwnFunction(file, "four").refusal()
    assert OwnFunction(file, "hits", (("worht", 2),)).refusal() == "hits has no parameter 'worht'"
    with pytest.raises(TypeError, match="none returns None, and a metric is one number"):
        evaluate(MODEL, [Metric("none", "", made=OwnFunction(file, "none"))], FEATURES, SICK)
