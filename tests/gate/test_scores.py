"""Models that are judged by a metric that is no mean over rows: it is measured anew on each resample."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as functions
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.svm import SVC

from wine_sweep.config import GateConfig, MetricConfig
from wine_sweep.evaluation.bootstrap import Sample
from wine_sweep.evaluation.metrics import Metric, metric_of
from wine_sweep.evaluation.scorers import OwnFunction
from wine_sweep.gate import Reason, ScoreContest, comparison, judge_against_champion, judge_against_dummy
from wine_sweep.trial import Task

RANDOM = np.random.default_rng(1)
FEATURES = pd.DataFrame(RANDOM.normal(size=(300, 3)), columns=["a", "b", "c"])
RARE = np.where(FEATURES["a"] + 0.5 * RANDOM.normal(size=300) > 1.7, "fraud", "fine")
MODEL = LogisticRegression().fit(FEATURES, RARE)
DUMMY = DummyClassifier().fit(FEATURES, RARE)
GATE = GateConfig()
RESAMPLES = 200


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch):
    """Draw a tenth of the resamples; a sweep in `tests/sweep/test_gate.py` draws all of them."""
    monkeypatch.setattr(comparison, "SCORE_RESAMPLES", RESAMPLES)


def contest_of(metric, champion=DUMMY, challenger=MODEL, *, target=RARE, groups=None, weights=None, task=Task.CLASSIFICATION):
    if isinstance(metric, dict):
        metric = metric_of(MetricConfig(**metric), task)
    groups = np.arange(len(target)) if groups is None else groups
    return ScoreContest(metric, champion, challenger, Sample(FEATURES, target, groups, weights), task)


def test_a_good_model_of_rare_events_is_better_than_none():
    contest = contest_of({"metric": "average_precision", "positive": "fraud"})
    verdict = judge_against_dummy(GATE, contest, dummy="a dummy")
    found = verdict.comparison
    assert verdict.ground is Reason.BEATS_DUMMY
    assert found.champion == np.mean(RARE == "fraud")
    assert found.challenger == functions.average_precision_score(RARE == "fraud", MODEL.predict_proba(FEATURES)[:, 1])
    assert found.low < found.improvement == found.challenger - found.champion < found.high
    assert verdict.reasons[0].startswith("On 300 rows that the winner was not trained on, average_precision is ")


@pytest.mark.parametrize("weights", [None, RANDOM.integers(1, 4, size=300).astype(float)], ids=["plain", "weighted"])
def test_both_models_are_measured_on_the_same_drawn_groups(weights):
    worse, groups = LogisticRegression().fit(FEATURES[["b"]].assign(a=0.0, c=0.0)[["a", "b", "c"]], RARE), np.arange(300) // 3
    found = contest_of({"metric": "f1_macro"}, worse, groups=groups, weights=weights).compare(confidence=0.9, seed=5)
    random, drawn = np.random.default_rng(5), []
    for _ in range(found.resamples):
        rows = (3 * random.integers(100, size=100)[:, None] + np.arange(3)).ravel()
        values = [
            functions.f1_score(
                RARE[rows],
                model.predict(FEATURES)[rows],
                average="macro",
                sample_weight=None if weights is None else weights[rows],
            )
            for model in (worse, MODEL)
        ]
        drawn.append(values[1] - values[0])
    assert (found.low, found.high) == pytest.approx(np.quantile(drawn, [0.05, 0.95]), rel=1e-12)
    assert (found.rows, found.groups, found.resamples) == (300, 100, RESAMPLES)


def test_a_function_of_ones_own_judges_whatever_it_is_called_with(tmp_path):
    file = tmp_path / "own_judges_of_a_test.py"
    file.write_text(
        "def profit(y_true, y_pred): return 100.0 * ((y_true == 'fraud') & (y_pred == 'fraud')).sum()\n"
        "def by_rows(estimator, X, y): return ((estimator.predict(X) == y) * X['b'].abs()).sum()\n"
    )
    for name in ("profit", "by_rows"):
        found = contest_of(Metric(name, "", made=OwnFunction(file, name))).compare(confidence=0.95, seed=0)
        values = OwnFunction(file, name).load()
        arguments = (RARE, MODEL.predict(FEATURES)) if name == "profit" else (MODEL, FEATURES, RARE)
        assert found.challenger == values(*arguments)
        assert found.low < found.improvement < found.high


def test_resamples_without_a_value_are_left_out_and_too_many_of_them_are_no_evidence():
    few = np.full(300, "fine", dtype=object)
    few[:5] = "fraud"
    model = LogisticRegression().fit(FEATURES, few)
    contest = contest_of({"metric": "roc_auc"}, challenger=model, target=few)
    assert 0.9 * RESAMPLES < contest.compare(confidence=0.95, seed=0).resamples < RESAMPLES
    few[1:5] = "fine"
    contest = contest_of({"metric": "roc_auc"}, challenger=model, target=few)
    assert contest.compare(confidence=0.95, seed=0) is None
    verdict = judge_against_champion(GATE, contest, slices_table=FEATURES.iloc[:, :0], version="2", excluded=0)
    assert verdict.ground is Reason.TOO_FEW_ROWS
    assert verdict.reasons == ("On the 300 rows roc_auc has no interval: more than 10% of their resamples have no value of it.",)


def test_a_slice_of_one_class_is_named_and_not_judged():
    table = pd.DataFrame({"part": np.where(RARE == "fraud", "x", np.where(np.arange(300) < 150, "y", "z"))})
    table.loc[RARE == "fraud", "part"] = np.where(np.arange((RARE == "fraud").sum()) % 2, "x", "y")
    contest = contest_of({"metric": "roc_auc"})
    verdict = judge_against_champion(GATE, contest, slices_table=table, version="2", excluded=0)
    judged = {each.name: each.judged for each in verdict.slices}
    assert judged["part y"]
    assert not judged["part z"]
    assert "Slices on which roc_auc cannot be computed are not judged: part z (" in verdict.reasons[-1]


class Predicts:
    """A model that says nothing of itself, as one that MLflow loads."""

    def __init__(self, model):
        self._model = model

    def predict(self, features):
        return self._model.predict(features)


def test_a_model_that_tells_nothing_of_itself_is_measured_as_far_as_it_predicts():
    found = contest_of({"metric": "f1", "positive": "fraud"}, Predicts(MODEL), MODEL).compare(confidence=0.95, seed=0)
    assert found.champion == found.challenger == functions.f1_score(RARE, MODEL.predict(FEATURES), pos_label="fraud")
    assert (found.low, found.high) == (0, 0)
    numbers = FEATURES["a"].to_numpy()
    line = LinearRegression().fit(FEATURES, numbers)
    contest = contest_of({"metric": "r2"}, Predicts(line), line, target=numbers, task=Task.REGRESSION)
    assert contest.compare(confidence=0.95, seed=0).champion == 1
    with pytest.raises(Exception, match=r"predict_proba|decision_function"):
        contest_of({"metric": "roc_auc"}, Predicts(MODEL))


def test_decisions_rank_as_well_as_probabilities():
    machine = SVC().fit(FEATURES, RARE)
    found = contest_of({"metric": "roc_auc"}, challenger=machine).compare(confidence=0.95, seed=0)
    assert found.challenger == functions.roc_auc_score(RARE, machine.decision_function(FEATURES))
