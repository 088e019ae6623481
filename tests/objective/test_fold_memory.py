"""What the best trial of a process predicted is kept, and found again by the trial that it belongs to."""

from __future__ import annotations

import os
import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from wine_sweep.config import BudgetConfig, Direction
from wine_sweep.data import Fold
from wine_sweep.execution.benches import SpoolBench
from wine_sweep.objective import fold_memory
from wine_sweep.objective.factory import ModelFactory
from wine_sweep.objective.fold_memory import FoldMemory, recall
from wine_sweep.objective.measurement import Measurement
from wine_sweep.objective.metrics import find_metric
from wine_sweep.spool import Spool
from wine_sweep.task import Task
from wine_sweep.trial import Trial, TrialState

CV = KFold(4, shuffle=True, random_state=1)


class Silent(RegressorMixin, BaseEstimator):
    """Can be asked once only."""

    def fit(self, features, target):
        self.asked_ = False
        return self

    def predict(self, features):
        if self.asked_:
            raise RuntimeError("asked again")
        self.asked_ = True
        return np.zeros(len(features))


class Shy(LogisticRegression):
    """Does not tell its probabilities."""

    def predict_proba(self, features):
        raise NotImplementedError("no probabilities")


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(3)
    features = pd.DataFrame(rng.normal(size=(80, 3)), columns=list("abc"))
    return features, features["a"].to_numpy() + rng.normal(size=80)


@pytest.fixture
def spool(tmp_path):
    return Spool(tmp_path / "spool")


def measure(rows, spool, template, params, *, metric="rmse", task=Task.REGRESSION, number=0, memory=None, **keys):
    features, target = rows
    metrics = [find_metric(metric, task)]
    memory = memory or FoldMemory(metric, metrics[0].direction, task)
    folds = [Fold(fit, rest) for fit, rest in CV.split(features)]
    factory = ModelFactory({None: template}, 0, {None: frozenset()})
    measurement = Measurement(factory, features, target, folds, metrics, memory=memory, **keys)
    return measurement(Trial(number, params), SpoolBench(spool, number))


@pytest.mark.parametrize("template", [Ridge(), make_pipeline(StandardScaler(), Ridge())])
def test_what_each_fold_predicted_is_what_scikit_learn_predicts(rows, spool, template):
    trial = measure(rows, spool, template, {})
    kept = recall(spool.common, trial)
    assert [list(each.rows) for each in kept] == [list(rest) for _, rest in CV.split(rows[0])]
    everything = np.empty(80)
    for each in kept:
        everything[each.rows] = each.predictions
        assert each.probabilities is None
    np.testing.assert_array_equal(everything, cross_val_predict(template, *rows, cv=CV))


def test_where_probabilities_decide_they_are_kept_with_their_classes(rows, spool):
    features, number = rows
    target = np.where(number > 0, "good", "bad").astype(object)
    trial = measure((features, target), spool, LogisticRegression(), {}, metric="log_loss", task=Task.CLASSIFICATION)
    expected = cross_val_predict(LogisticRegression(), features, target, cv=CV, method="predict_proba")
    for each in recall(spool.common, trial):
        np.testing.assert_array_equal(each.probabilities, expected[each.rows])
        assert list(each.classes) == ["bad", "good"]
        assert list(each.predictions) == list(each.classes[each.probabilities.argmax(axis=1)])


def test_only_the_best_trial_of_a_process_is_kept(rows, spool):
    memory = FoldMemory("rmse", Direction.MINIMIZE, Task.REGRESSION)
    trials = [
        measure(rows, spool, Ridge(), {"alpha": alpha}, number=number, memory=memory)
        for number, alpha in enumerate([1000.0, 1.0, 100000.0])
    ]
    assert [recall(spool.common, each) is not None for each in trials] == [False, True, False]
    assert [path.name for path in spool.common.iterdir()] == [f"best-of-{os.getpid()}"]


def test_the_best_is_the_highest_where_the_metric_says_so(rows, spool):
    memory = FoldMemory("r2", Direction.MAXIMIZE, Task.REGRESSION)
    trials = [
        measure(rows, spool, Ridge(), {"alpha": alpha}, metric="r2", number=number, memory=memory)
        for number, alpha in enumerate([1.0, 100000.0])
    ]
    assert [recall(spool.common, each) is not None for each in trials] == [True, False]


def test_a_trial_of_the_same_number_with_other_parameters_is_another(rows, spool):
    measure(rows, spool, Ridge(), {"alpha": 1.0})
    assert recall(spool.common, Trial(0, {"alpha": 2.0})) is None


def test_a_file_that_was_cut_off_is_left_out(rows, spool):
    trial = measure(rows, spool, Ridge(), {})
    (path,) = spool.common.iterdir()
    path.with_name("best-of-0").write_bytes(path.read_bytes()[:50])
    path.with_name("best-of-1").write_bytes(b"")
    assert recall(spool.common, trial) is not None
    path.unlink()
    assert recall(spool.common, trial) is None
    assert recall(spool.common / "missing", trial) is None


def test_a_model_that_cannot_be_asked_for_more_than_its_metrics_costs_the_trial_nothing(rows, spool):
    features, number = rows
    target = np.where(number > 0, 1, 0)
    memory = FoldMemory("roc_auc", Direction.MAXIMIZE, Task.CLASSIFICATION)
    memory_of_losses = memory.begin()
    model = Shy().fit(features, target)
    with memory_of_losses.of(model, features, np.arange(80)):
        model.predict(features)
    assert memory_of_losses.folds is None
    trial = measure((features, target), spool, Shy(), {}, metric="accuracy", task=Task.CLASSIFICATION)
    assert trial.state is TrialState.FINISHED
    assert recall(spool.common, trial) is not None


def test_what_takes_too_much_memory_is_dropped_at_once(rows, spool, monkeypatch):
    monkeypatch.setattr(fold_memory, "MOST_BYTES", 1000)
    recollection = FoldMemory("rmse", Direction.MINIMIZE, Task.REGRESSION).begin()
    model = Ridge().fit(*rows)
    for taken in (True, False, False):
        with recollection.of(model, rows[0].head(40), np.arange(40)):
            model.predict(rows[0].head(40))
        assert (recollection.folds is not None) == taken
    trial = measure(rows, spool, Ridge(), {})
    assert trial.state is TrialState.FINISHED
    assert recall(spool.common, trial) is None


def test_a_model_is_not_asked_again_for_what_a_metric_asked_for(rows, spool):
    trial = measure(rows, spool, Silent(), {})
    assert trial.state is TrialState.FINISHED, trial.failure
    assert [list(each.predictions) for each in recall(spool.common, trial)] == [[0.0] * 20] * 4


def test_a_model_is_as_it_was_once_it_was_listened_to(rows):
    model = Ridge().fit(*rows)
    before = set(vars(model))
    with FoldMemory("rmse", Direction.MINIMIZE, Task.REGRESSION).begin().of(model, rows[0], np.arange(80)):
        pass
    assert set(vars(model)) == before
    assert pickle.loads(pickle.dumps(model)).predict(rows[0]) == pytest.approx(model.predict(rows[0]))


@pytest.mark.parametrize("keys", [{"stepwise": True}, {"budget": BudgetConfig(parameter="max_iter", min=10, max=20)}])
def test_a_trial_in_steps_is_not_remembered(rows, spool, keys):
    measure(rows, spool, Ridge(), {}, **keys)
    assert not spool.common.exists()


def test_a_failed_trial_is_not_remembered(rows, spool):
    features, target = rows
    trial = measure((features, np.where(np.arange(80) == 3, np.nan, target)), spool, Ridge(), {})
    assert trial.state is TrialState.FAILED
    assert not spool.common.exists()


def test_a_folder_that_cannot_be_made_costs_nothing(rows, tmp_path):
    tmp_path.joinpath("spool").write_text("a file")
    trial = measure(rows, Spool(tmp_path / "spool"), Ridge(), {})
    assert trial.state is TrialState.FINISHED
