"""The interval around a test score: as scipy draws it, and as often right as it says."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import (
    get_scorer,
    mean_absolute_error,
    mean_absolute_percentage_error,
    roc_auc_score,
    root_mean_squared_error,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

from wine_sweep.evaluation.bootstrap import Replay, Sample, percentile_interval, resample_scores
from wine_sweep.evaluation.metrics import find_metric
from wine_sweep.trial import Task

RMSE = find_metric("rmse", Task.REGRESSION)
MAE = find_metric("mae", Task.REGRESSION)


class Zero(RegressorMixin, BaseEstimator):
    """Predicts 0, so that the target is its error; counts how often it is asked."""

    asked = 0

    def fit(self, features, target):
        return self

    def predict(self, features):
        self.asked += 1
        return np.zeros(len(features))


class Sure(ClassifierMixin, BaseEstimator):
    """A classifier of two classes without probabilities."""

    classes_ = np.array([0, 1])

    def fit(self, features, target):
        return self

    def predict(self, features):
        return (features.iloc[:, 0] > 0).to_numpy().astype(int)

    def decision_function(self, features):
        return features.iloc[:, 0].to_numpy()


def sample_of(target, *, groups=None, weights=None):
    target = np.asarray(target)
    features = pd.DataFrame({"a": np.arange(len(target), dtype=float)})
    return Sample(features, target, np.arange(len(target)) if groups is None else np.asarray(groups), weights)


def interval(model, metric, sample, *, resamples=1000, seed=0, confidence=0.95):
    scores = resample_scores(model, metric, sample, resamples=resamples, seed=seed)
    return percentile_interval(scores, confidence, metric=metric.name)


@pytest.fixture(scope="module")
def two_classes():
    rng = np.random.default_rng(4)
    features = pd.DataFrame(rng.normal(size=(160, 3)), columns=list("abc"))
    target = (features["a"] + rng.normal(size=160) > 0).to_numpy().astype(int)
    return features, target


# As scipy draws it -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95])
def test_it_agrees_with_scipys_percentile_bootstrap(confidence):
    """Within Monte Carlo error: three standard errors of a percentile of 4000 resamples, by the density around it."""
    errors = np.random.default_rng(1).normal(size=120)
    ours = resample_scores(Zero(), RMSE, sample_of(errors), resamples=4000, seed=0)
    found = percentile_interval(ours, confidence, metric="rmse")
    theirs = scipy.stats.bootstrap(
        (errors,),
        lambda drawn, axis: np.sqrt(np.mean(drawn**2, axis=axis)),
        n_resamples=4000,
        confidence_level=confidence,
        method="percentile",
        rng=np.random.default_rng(2),
    )
    spread = theirs.bootstrap_distribution.std()
    assert ours.std() == pytest.approx(spread, rel=0.05)
    tail = (1 - confidence) / 2
    density = scipy.stats.norm.pdf(scipy.stats.norm.ppf(tail)) / spread
    allowed = 3 * np.sqrt(2 * tail * (1 - tail) / 4000) / density
    assert abs(found.low - theirs.confidence_interval.low) < allowed
    assert abs(found.high - theirs.confidence_interval.high) < allowed
    assert allowed < 0.1 * (found.high - found.low)


def test_the_ends_are_the_percentiles_of_the_resamples():
    scores = np.random.default_rng(0).permutation(np.arange(1001.0))
    found = percentile_interval(scores, 0.9, metric="m")
    assert (found.metric, found.confidence, found.resamples) == ("m", 0.9, 1001)
    assert (found.low, found.high) == (pytest.approx(50), pytest.approx(950))
    assert found.record() == {
        "metric": "m", "low": found.low, "high": found.high, "confidence": 0.9, "resamples": 1001,
    }  # fmt: skip


def test_resamples_are_drawn_as_numpy_draws_them():
    errors = np.random.default_rng(1).normal(size=30)
    scores = resample_scores(Zero(), RMSE, sample_of(errors), resamples=5, seed=3)
    rng = np.random.default_rng(3)
    expected = [np.sqrt(np.mean(errors[rng.integers(30, size=30)] ** 2)) for _ in range(5)]
    np.testing.assert_allclose(scores, expected, rtol=1e-12)


@pytest.mark.parametrize("name", ["rmse", "mae", "mape"])
@pytest.mark.parametrize("is_weighted", [False, True])
def test_a_mean_over_rows_is_what_scikit_learn_measures_on_each_resample(name, is_weighted):
    rng = np.random.default_rng(5)
    groups, weights = rng.integers(9, size=40), rng.integers(3, size=40).astype(float)
    sample = Sample(pd.DataFrame({"a": rng.normal(size=40)}), rng.normal(size=40), groups, weights if is_weighted else None)
    model = LinearRegression().fit(sample.features, rng.normal(size=40))
    scores = resample_scores(model, find_metric(name, Task.REGRESSION), sample, resamples=20, seed=3)
    rng, predicted = np.random.default_rng(3), model.predict(sample.features)
    metric = {"rmse": root_mean_squared_error, "mae": mean_absolute_error, "mape": mean_absolute_percentage_error}[name]
    members = [np.flatnonzero(groups == number) for number in np.unique(groups)]
    for score in scores:
        rows = np.concatenate([members[number] for number in rng.integers(len(members), size=len(members))])
        expected = metric(sample.target[rows], predicted[rows], sample_weight=weights[rows] if is_weighted else None)
        assert score == pytest.approx(expected, rel=1e-12)


# As often right as it says -----------------------------------------------------------------------------------------------


def test_an_interval_of_95_percent_holds_the_true_value_about_as_often():
    rng = np.random.default_rng(17)
    true = np.sqrt(2 / np.pi)  # the mean absolute value of a standard normal
    found = [interval(Zero(), MAE, sample_of(rng.normal(size=100)), resamples=150) for _ in range(200)]
    assert 0.90 <= np.mean([each.low <= true <= each.high for each in found]) <= 0.99


def test_five_rows_alike_in_each_group_are_the_evidence_of_one():
    errors = np.random.default_rng(17).normal(size=60)
    alone = resample_scores(Zero(), MAE, sample_of(errors), resamples=2000, seed=0)
    five, groups = np.repeat(errors, 5), np.repeat(np.arange(60), 5)
    grouped = resample_scores(Zero(), MAE, sample_of(five, groups=groups), resamples=2000, seed=0)
    apart = resample_scores(Zero(), MAE, sample_of(five), resamples=2000, seed=0)
    np.testing.assert_allclose(grouped, alone, rtol=1e-12)
    assert alone.std() / apart.std() == pytest.approx(np.sqrt(5), rel=0.06)


def test_whole_groups_are_drawn_of_whatever_size_and_order():
    groups = np.array([7, 2, 7, 9, 2, 7])
    target = np.array([1.0, 10, 1, 100, 10, 1])
    scores = resample_scores(Zero(), MAE, sample_of(target, groups=groups), resamples=300, seed=0)
    possible = set()
    for counts in [(a, b, 3 - a - b) for a in range(4) for b in range(4 - a)]:
        rows = np.repeat([1.0, 10, 100], np.multiply(counts, [3, 2, 1]))
        possible.add(round(float(rows.mean()), 9))
    assert {round(float(score), 9) for score in scores} == possible


# Every kind of scorer ----------------------------------------------------------------------------------------------------

MODELS = {
    "probabilities": RandomForestClassifier(n_estimators=5, random_state=0),
    "probabilities in a pipeline": make_pipeline(StandardScaler(), LogisticRegression()),
    "decisions": make_pipeline(StandardScaler(), LinearSVC()),
    "decisions of a kernel": SVC(),
}
CASES = [
    *((model, name, words) for model in MODELS for name, words in (("accuracy", True), ("roc_auc", True), ("f1", False))),
    *((model, name, False) for model in MODELS for name in ("roc_auc", "average_precision")),
    *((model, name, False) for model in list(MODELS)[:2] for name in ("log_loss", "neg_brier_score")),
]


@pytest.mark.slow
@pytest.mark.parametrize(("model", "name", "words"), CASES)
@pytest.mark.parametrize("weighted", [False, True])
def test_a_resample_scores_what_the_scorer_scores_on_its_rows(model, name, words, weighted, two_classes):
    features, target = two_classes
    metric = find_metric(name, Task.CLASSIFICATION)
    if words:
        target = np.array(["no", "yes"], dtype=object)[target]
    fitted = clone(MODELS[model]).fit(features, target)
    weights = np.random.default_rng(0).integers(1, 5, 160).astype(float) if weighted else None
    score, _ = resample_scores(fitted, metric, Sample(features, target, np.arange(160), weights), resamples=2, seed=5)
    rows = np.random.default_rng(5).integers(160, size=160)
    keys = {"sample_weight": weights[rows]} if weighted else {}
    expected = metric.sign * get_scorer(metric.scorer)(fitted, features.iloc[rows], target[rows], **keys)
    assert score == pytest.approx(expected, rel=1e-12)


def test_three_classes_and_a_regressor_are_replayed_too(two_classes):
    features, _ = two_classes
    target = np.arange(160) % 3
    rows = np.random.default_rng(5).integers(160, size=160)
    cases = [
        (LogisticRegression().fit(features, target), "roc_auc_ovr", Task.CLASSIFICATION),
        (make_pipeline(StandardScaler(), LinearRegression()).fit(features, target), "r2", Task.REGRESSION),
    ]
    for model, name, task in cases:
        metric = find_metric(name, task)
        score, _ = resample_scores(model, metric, Sample(features, target, np.arange(160)), resamples=2, seed=5)
        assert score == pytest.approx(get_scorer(metric.scorer)(model, features.iloc[rows], target[rows]), rel=1e-12)


def test_a_replay_has_the_methods_that_the_model_has_and_no_others():
    replay = Replay(Sure(), pd.DataFrame({"a": [1.0, -1]}))
    assert hasattr(replay, "decision_function")
    assert not hasattr(replay, "predict_proba")
    assert replay.predict(np.array([1, 0, 0])).tolist() == [0, 1, 1]


def test_the_model_predicts_once():
    model = Zero()
    resample_scores(model, RMSE, sample_of(np.arange(20.0)), resamples=50, seed=0)
    assert model.asked == 1


def test_the_seed_decides():
    sample = sample_of(np.random.default_rng(1).normal(size=50))
    one, again, other = (resample_scores(Zero(), RMSE, sample, resamples=20, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert one.tolist() != other.tolist()


# Resamples without a value -----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_resamples_of_one_class_are_left_out():
    target = np.array([1] * 3 + [0] * 37)
    features = pd.DataFrame({"a": np.linspace(1, -1, 40) + np.tile([0.4, -0.4], 20)})
    metric = find_metric("roc_auc", Task.CLASSIFICATION)
    scores = resample_scores(Sure(), metric, Sample(features, target, np.arange(40)), resamples=1000, seed=0)
    lost = np.isnan(scores).sum()
    assert lost == pytest.approx(1000 * (37 / 40) ** 40, abs=3 * np.sqrt(45))
    found = percentile_interval(scores, 0.95, metric="roc_auc")
    assert found.resamples == 1000 - lost
    assert found.low <= roc_auc_score(target, features["a"]) <= found.high


@pytest.mark.parametrize(("lost", "there"), [(0, True), (100, True), (101, False), (1000, False)])
def test_beyond_a_tenth_without_a_value_there_is_no_interval(lost, there):
    scores = np.concatenate([np.full(lost, np.nan), np.arange(1000.0 - lost)])
    assert (percentile_interval(scores, 0.95, metric="m") is not None) is there


def test_a_resample_without_weight_is_left_out():
    sample = sample_of([1.0, 2.0, 3.0], weights=np.array([1.0, 0, 0]))
    scores = resample_scores(Zero(), RMSE, sample, resamples=2000, seed=0)
    assert np.isnan(scores).mean() == pytest.approx((2 / 3) ** 3, abs=0.04)
    np.testing.assert_allclose(scores[~np.isnan(scores)], 1.0)


def test_what_fails_on_the_rows_as_they_are_is_raised_and_not_left_out():
    metric = find_metric("log_loss", Task.CLASSIFICATION)
    sample = Sample(pd.DataFrame({"a": [1.0, 2]}), np.array([1, 1]), np.arange(2))
    model = LogisticRegression().fit(sample.features, [0, 1])
    with pytest.raises(ValueError, match="only one label"):
        resample_scores(model, metric, sample, resamples=10, seed=0)


def test_weights_weigh():
    errors = np.random.default_rng(1).normal(size=40)
    weights = np.random.default_rng(2).uniform(0, 3, 40)
    score, _ = resample_scores(Zero(), RMSE, sample_of(errors, weights=weights), resamples=2, seed=6)
    rows = np.random.default_rng(6).integers(40, size=40)
    assert score == pytest.approx(root_mean_squared_error(errors[rows], np.zeros(40), sample_weight=weights[rows]), rel=1e-12)


def test_nothing_is_warned_of_and_the_settings_of_scikit_learn_stay():
    import sklearn

    before = sklearn.get_config()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        resample_scores(Sure(), find_metric("precision", Task.CLASSIFICATION), sample_of([0, 1, 0]), resamples=50, seed=0)
    assert sklearn.get_config() == before
