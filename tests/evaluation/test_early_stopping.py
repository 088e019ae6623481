"""Boosting stops by rows that are set aside, and the winner has the median of the iterations that the folds found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from wine_sweep.config import parse_config
from wine_sweep.errors import ConfigError
from wine_sweep.evaluation.early_stopping import FitRows, RowsAside, as_chosen, fit_until_best, refusal_to_stop, set_iterations
from wine_sweep.evaluation.library_inputs import TableInputs, adapted
from wine_sweep.evaluation.library_params import copy_unfitted
from wine_sweep.targets.prepare import prepare
from wine_sweep.trial import BEST_ITERATION, Trial, TrialState

catboost = pytest.importorskip("catboost")
lightgbm = pytest.importorskip("lightgbm")
xgboost = pytest.importorskip("xgboost")

ROWS = 240
RANDOM = np.random.default_rng(0)
TABLE = pd.DataFrame(RANDOM.normal(size=(ROWS, 3)), columns=["a", "b", "c"])
LABELS = np.where(TABLE["a"] + RANDOM.normal(size=ROWS) > 0, "yes", "no")
WEIGHTS = RANDOM.integers(1, 4, ROWS).astype(float)
MOST = 200
HISTOGRAM = "sklearn.ensemble.HistGradientBoostingClassifier"
LEARNERS = {
    "xgboost": xgboost.XGBClassifier(n_estimators=MOST, n_jobs=1, max_depth=3),
    "lightgbm": lightgbm.LGBMClassifier(num_boost_round=MOST, n_jobs=1, verbose=-1, min_child_samples=5),
    "catboost": catboost.CatBoostClassifier(
        iterations=MOST, thread_count=1, verbose=False, allow_writing_files=False, random_seed=0
    ),
    "histogram": HistGradientBoostingClassifier(max_iter=MOST, random_state=0),
}


def made(name):
    model = make_pipeline(StandardScaler(), copy_unfitted(LEARNERS[name]))
    return adapted(model, TableInputs.from_table(TABLE, LABELS))


def rows(start, stop, *, weighted):
    part = slice(start, stop)
    return FitRows(TABLE.iloc[part], LABELS[part], WEIGHTS[part] if weighted else None)


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", LEARNERS)
def test_it_stops_and_predicts_as_a_model_of_so_many_iterations_does(name, weighted):
    stopped = made(name)
    fitted, aside = rows(0, 180, weighted=weighted), rows(180, ROWS, weighted=weighted)
    found = fit_until_best(stopped, fitted, aside, 5)
    assert 0 < found < MOST / 2
    model = set_iterations(make_pipeline(StandardScaler(), copy_unfitted(LEARNERS[name])), found)
    again = adapted(as_chosen(model, made(name), fitted), TableInputs((), False))
    last, weight = again.steps[-1][0], {} if fitted.weights is None else {"sample_weight": fitted.weights}
    again.fit(fitted.features, fitted.target, **{f"{last}__{key}": value for key, value in weight.items()})
    assert np.allclose(stopped.predict_proba(aside.features), again.predict_proba(aside.features), atol=1e-6)
    assert set(stopped.predict(aside.features)) <= {"yes", "no"}


def test_rows_to_stop_by_are_whole_groups_of_each_class_its_share_or_the_last_in_time():
    numbers = np.arange(30, 210)
    classes, groups, times = np.arange(ROWS) % 3 == 0, np.arange(ROWS) // 6, np.arange(ROWS) // 4
    kept, aside = RowsAside(classes, np.arange(ROWS), None, True).divide(numbers, 0.1, 1)
    assert (len(kept), len(aside), classes[aside].sum()) == (162, 18, 6)
    assert sorted([*kept, *aside]) == numbers.tolist()
    kept, aside = RowsAside(classes, groups, None, False).divide(numbers, 0.2, 1)
    assert not set(groups[kept]) & set(groups[aside])
    kept, aside = RowsAside(classes, groups, times, True).divide(numbers, 0.1, 1)
    assert times[kept].max() < times[aside].min()
    assert len(aside) == 18
    with pytest.raises(ValueError, match="one time"):
        RowsAside(classes, groups, np.zeros(ROWS), True).divide(numbers, 0.1, 1)


def planned(model, more="search: {method: grid}"):
    frame = TABLE.assign(y=LABELS)
    text = f'data: {{source: "<a table from Python>", target: y}}\n{model}\nevaluation: {{cv: 3, metrics: [accuracy]}}\n{more}'
    return prepare(parse_config(text.encode(), source="s.yaml", folder=Path.cwd(), default_name="s"), frame=frame)


STOPPING = """models:
  x: {estimator: xgboost.XGBClassifier, params: {n_estimators: 200}, early_stopping: {rounds: 5}, parameters: {max_depth: [2]}}
  h: {estimator: sklearn.ensemble.HistGradientBoostingClassifier, parameters: {max_depth: [2]}}"""


@pytest.mark.slow
def test_the_winner_has_the_median_of_the_iterations_that_the_folds_found():
    plan = planned(STOPPING)
    trial = plan.task()(Trial(0, {"model": "x", "max_depth": 2}))
    assert trial.state is TrialState.FINISHED, trial.failure
    found = trial.scores[BEST_ITERATION]
    assert found.mean == sorted(found.folds)[1]
    assert plan.task()(trial).scores[BEST_ITERATION] == found
    winner = plan.refit(trial)
    booster = winner.model.estimators_[0]
    assert booster.get_booster().num_boosted_rounds() == found.mean
    assert booster.early_stopping_rounds is None
    other = plan.task()(Trial(1, {"model": "h", "max_depth": 2}))
    assert BEST_ITERATION not in other.scores
    (small, _) = plan.samples()
    assert small.model.estimators_[0].get_booster().num_boosted_rounds() == 10


@pytest.mark.parametrize(
    ("model", "path", "said"),
    [
        (
            "estimator: sklearn.linear_model.LogisticRegression, early_stopping: {rounds: 5}",
            "model.early_stopping",
            "cannot stop",
        ),
        ("estimator: xgboost.XGBClassifier, params: {early_stopping_rounds: 7}", "early_stopping_rounds", "{rounds: 7}"),
        (
            f"estimator: {HISTOGRAM}, params: {{n_iter_no_change: 3}}, early_stopping: {{rounds: 5}}",
            "model.params.n_iter_no_change",
            "leave it out",
        ),
        ("estimator: xgboost.XGBClassifier, early_stopping: {rounds: 5, share: 0.001}", "model.early_stopping.share", "fold 0"),
        ("estimator: xgboost.XGBClassifier, early_stopping: {rounds: 0}", "model.early_stopping.rounds", "at least 1"),
        ("command: [python, a.py], early_stopping: {rounds: 5}", "model.early_stopping", "goes with `estimator`"),
    ],
)
def test_what_cannot_stop_early_is_an_error_at_its_key(model, path, said):
    with pytest.raises(ConfigError) as refused:
        planned(f"model: {{{model}}}", "search: {parameters: {max_depth: [2, 3]}}")
    assert any(path in line and said in line for line in str(refused.value).splitlines())


def test_only_the_last_step_of_a_pipeline_is_asked_to_stop():
    assert refusal_to_stop(make_pipeline(StandardScaler(), LEARNERS["xgboost"])) is None
    assert "LogisticRegression" in refusal_to_stop(make_pipeline(LogisticRegression()))
    shared = catboost.CatBoostClassifier(eval_fraction=0.2)
    assert "eval_fraction" in refusal_to_stop(shared)


def test_a_config_without_it_is_dumped_as_before():
    plan = planned("model: {estimator: sklearn.linear_model.LogisticRegression}", "search: {parameters: {C: [1, 2]}}")
    assert "early_stopping" not in plan.config.model_dump()["model"]
