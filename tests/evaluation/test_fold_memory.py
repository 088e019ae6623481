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
from sklearn.svm import SVC
from sklearn.tree import ExtraTreeRegressor

from wine_sweep.config import BudgetConfig, Direction
from wine_sweep.data import Fold
from wine_sweep.evaluation import cross_validation
from wine_sweep.evaluation.cross_validation import CrossValidationTask, FoldMemory, recall
from wine_sweep.evaluation.estimator_params import ModelFactory
from wine_sweep.evaluation.metrics import find_metric
from wine_sweep.execution.base import TrialDirs
from wine_sweep.execution.worker_main import FileTrialIO
from wine_sweep.trial import Score, Task, Trial, TrialState

CV = KFold(4, shuffle=True, random_state=1)


class Planted:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


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


class Closed(LogisticRegression):
    """Gives its probabilities as a property, which cannot be set."""

    @property
    def predict_proba(self):
        return super().predict_proba


class Roundabout(LogisticRegression):
    """Asks itself, for a part of the rows and for others."""

    def predict(self, features):
        self.predict_proba(features.head(2))
        return super().predict(features)

    def predict_proba(self, features):
        super().predict(-features)
        return super().predict_proba(features)


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(3)
    features = pd.DataFrame(rng.normal(size=(80, 3)), columns=list("abc"))
    return features, features["a"].to_numpy() + rng.normal(size=80)


@pytest.fixture(scope="module")
def classes(rows):
    features, number = rows
    return features, np.where(number > 0, "good", "bad").astype(object)


@pytest.fixture
def trial_dirs(tmp_path):
    return TrialDirs(tmp_path / "files")


def measure(rows, trial_dirs, template, params, *, metric="rmse", task=Task.REGRESSION, number=0, memory=None, also=(), **keys):
    features, target = rows
    metrics = [find_metric(name, task) for name in (metric, *also)]
    memory = memory or FoldMemory(metric, metrics[0].direction, task)
    folds = [Fold(fit, rest) for fit, rest in CV.split(features)]
    factory = ModelFactory({None: template}, 0, {None: frozenset()})
    measurement = CrossValidationTask(factory, features, target, folds, metrics, memory=memory, **keys)
    return measurement(Trial(number, params), FileTrialIO(trial_dirs, number))


@pytest.mark.parametrize("template", [Ridge(), make_pipeline(StandardScaler(), Ridge())])
def test_what_each_fold_predicted_is_what_scikit_learn_predicts(rows, trial_dirs, template):
    trial = measure(rows, trial_dirs, template, {})
    kept = recall(trial_dirs.common, trial)
    assert [list(each.rows) for each in kept] == [list(rest) for _, rest in CV.split(rows[0])]
    everything = np.empty(80)
    for each in kept:
        everything[each.rows] = each.predictions
        assert each.probabilities is None
    np.testing.assert_array_equal(everything, cross_val_predict(template, *rows, cv=CV))


@pytest.mark.quick(1)
@pytest.mark.parametrize("model", [LogisticRegression(), Closed(), Roundabout()])
def test_where_probabilities_decide_they_are_kept_with_their_classes(classes, trial_dirs, model):
    features, target = classes
    trial = measure(classes, trial_dirs, model, {}, metric="log_loss", task=Task.CLASSIFICATION, also=["accuracy"])
    expected = cross_val_predict(LogisticRegression(), features, target, cv=CV, method="predict_proba")
    for each in recall(trial_dirs.common, trial):
        np.testing.assert_array_equal(each.probabilities, expected[each.rows])
        assert list(each.classes) == ["bad", "good"]
        assert list(each.predictions) == list(each.classes[each.probabilities.argmax(axis=1)])


@pytest.mark.parametrize(("metric", "also"), [("log_loss", []), ("roc_auc", []), ("roc_auc", ["log_loss"])])
def test_what_no_metric_asked_for_is_not_asked_for(classes, trial_dirs, metric, also):
    """In time that is the trial's, for what only the winner needs; whoever needs it fits the winner's models again."""
    features, target = classes
    number = (target == "good").astype(int)
    model = LogisticRegression() if "log_loss" in (metric, *also) else SVC()
    trial = measure((features, number), trial_dirs, model, {}, metric=metric, task=Task.CLASSIFICATION, also=also)
    assert trial.state is TrialState.FINISHED, trial.failure
    assert recall(trial_dirs.common, trial) is None


def test_of_several_seeds_the_first_is_kept(rows, trial_dirs):
    template = ExtraTreeRegressor(max_depth=2)
    trial = measure(rows, trial_dirs, template, {}, seeds=3)
    expected = cross_val_predict(ExtraTreeRegressor(max_depth=2, random_state=0), *rows, cv=CV)
    kept = recall(trial_dirs.common, trial)
    assert len(kept) == 4
    for each in kept:
        np.testing.assert_array_equal(each.predictions, expected[each.rows])


def test_only_the_best_trial_of_a_process_is_kept(rows, trial_dirs):
    memory = FoldMemory("rmse", Direction.MINIMIZE, Task.REGRESSION)
    trials = [
        measure(rows, trial_dirs, Ridge(), {"alpha": alpha}, number=number, memory=memory)
        for number, alpha in enumerate([1000.0, 1.0, 100000.0])
    ]
    assert [recall(trial_dirs.common, each) is not None for each in trials] == [False, True, False]
    assert [path.name for path in trial_dirs.common.iterdir()] == [f"best-of-{os.getpid()}"]


def test_the_best_is_the_highest_where_the_metric_says_so(rows, trial_dirs):
    memory = FoldMemory("r2", Direction.MAXIMIZE, Task.REGRESSION)
    trials = [
        measure(rows, trial_dirs, Ridge(), {"alpha": alpha}, metric="r2", number=number, memory=memory)
        for number, alpha in enumerate([1.0, 100000.0])
    ]
    assert [recall(trial_dirs.common, each) is not None for each in trials] == [True, False]


def test_a_trial_of_the_same_number_with_other_parameters_is_another(rows, trial_dirs):
    measure(rows, trial_dirs, Ridge(), {"alpha": 1.0})
    assert recall(trial_dirs.common, Trial(0, {"alpha": 2.0})) is None


def test_a_pickle_in_the_place_of_a_file_is_not_run(rows, trial_dirs, tmp_path):
    trial = measure(rows, trial_dirs, Ridge(), {})
    (path,) = trial_dirs.common.iterdir()
    path.write_bytes(pickle.dumps(Planted(str(tmp_path / "ran"))))
    assert recall(trial_dirs.common, trial) is None
    with path.open("wb") as file:
        np.savez(file, header=np.array(Planted(str(tmp_path / "ran")), dtype=object))
    assert recall(trial_dirs.common, trial) is None
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("values", "is_kept"),
    [
        (["good", "bäd", ""], True),
        (["ends with NUL\0", "b", "c"], False),
        ([1, "b", "c"], False),
        ([None, "b", "c"], False),
        (["x" * 30_000_000, "b", "c"], False),
    ],
)
def test_labels_that_are_objects_come_back_as_they_were_or_are_not_kept(tmp_path, values, is_kept):
    given = np.array(values, dtype=object)
    memory, trial_dirs = FoldMemory("rmse", Direction.MINIMIZE, Task.REGRESSION), TrialDirs(tmp_path)
    recollection = memory.begin()
    recollection.take(Ridge(), {"predict": given}, np.arange(3))
    trial = Trial(0, {}, TrialState.FINISHED, {"rmse": Score(1.0)})
    memory.offer(trial, recollection, FileTrialIO(trial_dirs, 0))
    kept = recall(trial_dirs.common, trial)
    assert (kept is not None) == is_kept
    if kept is not None:
        assert kept[0].predictions.dtype == object
        assert list(kept[0].predictions) == values


@pytest.mark.parametrize(
    "content",
    [b"", b"\x80\x05", pickle.dumps((0, 0, "another format", ())), pickle.dumps(3), b"cnowhere\nNothing\n.", b"\xff" * 40],
)
def test_a_file_of_another_kind_is_left_out(rows, trial_dirs, content):
    trial = measure(rows, trial_dirs, Ridge(), {})
    (path,) = trial_dirs.common.iterdir()
    path.with_name("best-of-0").write_bytes(content)
    assert recall(trial_dirs.common, trial) is not None
    path.unlink()
    assert recall(trial_dirs.common, trial) is None
    assert recall(trial_dirs.common / "missing", trial) is None


def test_what_takes_too_much_memory_is_dropped_at_once(rows, trial_dirs, monkeypatch):
    monkeypatch.setattr(cross_validation, "MOST_BYTES", 1000)
    recollection = FoldMemory("rmse", Direction.MINIMIZE, Task.REGRESSION).begin()
    for taken in (True, False, False):
        recollection.take(Ridge(), {"predict": np.zeros(40)}, np.arange(40))
        assert (recollection.folds is not None) == taken
    trial = measure(rows, trial_dirs, Ridge(), {})
    assert trial.state is TrialState.FINISHED
    assert recall(trial_dirs.common, trial) is None


def test_a_model_is_not_asked_again_for_what_a_metric_asked_for(rows, trial_dirs):
    trial = measure(rows, trial_dirs, Silent(), {})
    assert trial.state is TrialState.FINISHED, trial.failure
    assert [list(each.predictions) for each in recall(trial_dirs.common, trial)] == [[0.0] * 20] * 4


@pytest.mark.parametrize("keys", [{"stepwise": True}, {"budget": BudgetConfig(parameter="max_iter", min=10, max=20)}])
def test_a_trial_in_steps_is_not_remembered(rows, trial_dirs, keys):
    measure(rows, trial_dirs, Ridge(), {}, **keys)
    assert not trial_dirs.common.exists()


def test_a_failed_trial_is_not_remembered(rows, trial_dirs):
    features, target = rows
    trial = measure((features, np.where(np.arange(80) == 3, np.nan, target)), trial_dirs, Ridge(), {})
    assert trial.state is TrialState.FAILED
    assert not trial_dirs.common.exists()


def test_a_folder_that_cannot_be_made_costs_nothing(rows, tmp_path):
    tmp_path.joinpath("files").write_text("a file")
    trial = measure(rows, TrialDirs(tmp_path / "files"), Ridge(), {})
    assert trial.state is TrialState.FINISHED
