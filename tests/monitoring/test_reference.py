"""What is taken down of a model: held against the rows that it was trained and tested on."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import log_loss, root_mean_squared_error

from wine_sweep.config import DataConfig
from wine_sweep.data import make_dataset, split_rows
from wine_sweep.data.table import load_bundled
from wine_sweep.evaluation.row_losses import Predictions, RowLoss
from wine_sweep.monitoring.reference import (
    MOST_ROWS,
    ColumnKind,
    ColumnProfile,
    Grouping,
    independent,
    make_reference,
    plain,
    profile_of,
)
from wine_sweep.trial import DataRequirements, Task


def referenced(table, model, *, metric, task=Task.REGRESSION, folds=(), **data):
    config = DataConfig.model_validate({"source": "t.csv", "seed": 1, **data})
    dataset = make_dataset(
        table, config, source="t.csv", needs=DataRequirements(task, numbers=True, takes_missing=False, model="m")
    )
    assert dataset.task is task
    split = split_rows(dataset, config, task=task, in_time=False)
    model.fit(dataset.features.iloc[split.train], dataset.target.iloc[split.train])
    predictions = model.predict(dataset.features.iloc[split.test])
    found = make_reference(dataset, split, model, predictions, task=task, objective_metric=metric, seed=0, folds=folds)
    return found, dataset, split


@pytest.fixture(scope="module")
def wine():
    return load_bundled("wine-quality-red")


def test_a_reference_holds_the_training_rows_and_the_test_rows_losses(wine):
    model = LinearRegression()
    found, dataset, split = referenced(wine, model, metric="r2", target="quality")
    assert (found.task, found.metric, found.target) == (Task.REGRESSION, RowLoss.RMSE, "quality")
    assert (found.data, found.digest) == ("t.csv", dataset.digest)
    assert found.names == list(wine.columns[:-1])
    pd.testing.assert_frame_equal(found.train, dataset.features.iloc[split.train].reset_index(drop=True))
    truth = wine["quality"].to_numpy()[split.test]
    rmse = root_mean_squared_error(truth, model.predict(dataset.features.iloc[split.test]))
    assert np.sqrt(found.test["loss"].mean()) == pytest.approx(rmse)
    assert list(found.test.columns) == ["target", "prediction", "loss", "weight", "group"]
    assert (found.test["weight"] == 1).all()
    assert list(found.test["group"]) == list(dataset.groups[split.test])


def test_training_rows_are_known_again_in_another_table(wine):
    found, _, split = referenced(wine, LinearRegression(), metric="rmse", target="quality")
    new = wine.iloc[::-1][wine.columns[::-1]]
    expected = np.isin(np.arange(len(wine))[::-1], split.train)
    assert list(found.was_trained_on(new)) == list(expected)
    assert list(found.train_rows) == sorted(set(found.train_rows.tolist()))


@pytest.mark.slow
def test_where_probabilities_decide_the_losses_are_of_them(wine):
    table = wine.assign(quality=np.where(wine["quality"] > 5, "good", "bad"))
    model = LogisticRegression(max_iter=5000)
    found, dataset, split = referenced(table, model, metric="log_loss", task=Task.CLASSIFICATION, target="quality")
    assert found.metric is RowLoss.LOG_LOSS
    truth = dataset.target.iloc[split.test]
    expected = log_loss(truth, model.predict_proba(dataset.features.iloc[split.test]))
    assert found.test["loss"].mean() == pytest.approx(expected)
    assert set(found.test["prediction"]) == {"good", "bad"}


def test_of_many_rows_some_are_kept_and_all_are_known_again():
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"a": rng.normal(size=20_000), "b": rng.integers(2, size=20_000), "y": rng.normal(size=20_000)})
    found, dataset, split = referenced(table, LinearRegression(), metric="mae", target="y", weights="b")
    assert len(found.train) == MOST_ROWS
    assert len(found.train_rows) == len(split.train)
    assert found.train["a"].isin(dataset.features["a"].iloc[split.train]).all()
    assert list(found.test["weight"]) == list(table["b"].to_numpy(dtype=float)[split.test])
    assert found.columns == (ColumnProfile("a", ColumnKind.NUMBER, found.columns[0].low, found.columns[0].high),)
    assert found.columns[0].high == dataset.features["a"].iloc[split.train].max()


def test_training_rows_are_measured_by_models_that_have_not_seen_them_each_once(wine):
    folds = [Predictions(np.array([3, 1]), np.array([5.0, 5.0])), Predictions(np.array([1, 2]), np.array([7.0, 7.0]))]
    found, *_ = referenced(wine, LinearRegression(), metric="rmse", target="quality", folds=folds)
    assert list(found.folds["prediction"]) == [5, 5, 7]
    assert list(found.folds["target"]) == list(wine["quality"].iloc[[3, 1, 2]])
    assert list(found.folds["loss"]) == list((found.folds["target"] - found.folds["prediction"]) ** 2)
    assert len(found.measured) == len(found.test) + 3


@pytest.mark.slow
def test_the_probabilities_of_the_folds_are_taken_row_by_row_too(wine):
    table = wine.assign(quality=np.where(wine["quality"] > 5, "good", "bad"))
    classes = np.array(["bad", "good"])
    first = Predictions(np.array([0, 1]), np.array(["bad", "bad"]), np.array([[0.9, 0.1], [0.6, 0.4]]), classes)
    second = Predictions(np.array([1, 3]), np.array(["good", "good"]), np.array([[0.2, 0.8], [0.3, 0.7]]), classes)
    model = LogisticRegression(max_iter=5000)
    found, *_ = referenced(table, model, metric="log_loss", task=Task.CLASSIFICATION, target="quality", folds=[first, second])
    likely = {0: {"bad": 0.9, "good": 0.1}, 1: {"bad": 0.6, "good": 0.4}, 3: {"bad": 0.3, "good": 0.7}}
    truth = table["quality"].iloc[[0, 1, 3]]
    assert list(found.folds["target"]) == list(truth)
    expected = [-np.log(likely[row][name]) for row, name in zip(likely, truth, strict=True)]
    assert list(found.folds["loss"]) == pytest.approx(expected)


def test_where_some_rows_came_later_those_alone_are_kept_to_compare_with_and_all_are_known(wine):
    is_new = np.arange(len(wine)) >= 1200
    config = DataConfig(source="t.csv", target="quality", seed=1)
    needs = DataRequirements(Task.REGRESSION, numbers=True, takes_missing=False, model="m")
    dataset = make_dataset(wine, config, source="t.csv", needs=needs, is_new=is_new)
    split = split_rows(dataset, config, task=Task.REGRESSION, in_time=False)
    model = LinearRegression().fit(dataset.features.iloc[split.train], dataset.target.iloc[split.train])
    predictions, folds = model.predict(dataset.features.iloc[split.test]), [Predictions(split.train, np.zeros(len(split.train)))]
    found = make_reference(dataset, split, model, predictions, task=Task.REGRESSION, objective_metric="rmse", seed=0, folds=folds)
    later = split.train[is_new[split.train]]
    assert len(found.train) == len(found.folds) == len(later) < len(split.train)
    assert found.was_trained_on(wine)[split.train].all()


@pytest.mark.parametrize(("duplicates", "together"), [("group", True), ("drop", True), ("keep", False)])
def test_equal_rows_count_as_one_where_the_config_keeps_them_together(duplicates, together, wine):
    found, *_ = referenced(wine, LinearRegression(), metric="rmse", target="quality", duplicates=duplicates)
    assert found.grouping == Grouping(None, together)
    assert (found.train_independent < 0.9) == (duplicates == "group")
    new = wine.head(50).drop(columns="quality")
    groups = found.grouping.groups_of(wine.head(50), new)
    assert len(np.unique(groups)) == (len(new.drop_duplicates()) if together else 50)


def test_rows_of_a_group_column_count_as_one_where_new_rows_have_it(wine):
    table = wine.assign(batch=np.arange(len(wine)) // 40)
    found, *_ = referenced(table, LinearRegression(), metric="rmse", target="quality", groups="batch")
    assert found.grouping.column == "batch"
    new = table.tail(100)
    assert len(np.unique(found.grouping.groups_of(new, new[found.names]))) <= 4
    assert len(np.unique(found.grouping.groups_of(new.drop(columns="batch"), new[found.names]))) > 50


def test_groups_of_one_size_are_worth_as_many_rows_as_there_are_groups():
    assert independent(np.repeat(np.arange(25), 4)) == 0.25
    assert independent(np.arange(7)) == 1
    assert independent(np.array([0, 0, 1])) == pytest.approx(9 / 5 / 3)


def test_predictions_of_another_kind_are_refused(wine):
    with pytest.raises(ValueError, match="could not convert string"):
        referenced(wine, Words(), metric="rmse", target="quality")


class Words:
    """A model that predicts words where numbers are wanted."""

    def fit(self, features, target):
        return self

    def predict(self, features):
        return np.array(["good"] * len(features))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1.5, 3.0, np.nan], ColumnProfile("c", ColumnKind.NUMBER, 1.5, 3.0, gaps=True)),
        ([0.0, 1.0, 1.0], ColumnProfile("c", ColumnKind.BOOLEAN, 0.0, 1.0)),
        ([True, None, False], ColumnProfile("c", ColumnKind.BOOLEAN, 0.0, 1.0, gaps=True)),
        (["b", "a", None], ColumnProfile("c", ColumnKind.CATEGORY, categories=("a", "b"), gaps=True)),
        ([2, "a", 1.0], ColumnProfile("c", ColumnKind.CATEGORY, categories=("1", "2", "a"))),
        ([f"id {index}" for index in range(101)], ColumnProfile("c", ColumnKind.CATEGORY)),
        ([np.nan, np.nan], ColumnProfile("c", ColumnKind.NUMBER, gaps=True)),
        (pd.to_datetime(["1970-01-02", "1970-01-03"]), ColumnProfile("c", ColumnKind.NUMBER, 86400.0, 172800.0)),
        (pd.to_datetime(["1970-01-02"]).tz_localize("UTC"), ColumnProfile("c", ColumnKind.NUMBER, 86400.0, 86400.0)),
    ],
)
def test_a_profile_says_what_a_column_holds(values, expected):
    assert profile_of(pd.Series(values, name="c")) == expected


def test_a_category_is_text_and_a_gap_stays_one():
    assert list(plain(pd.Series(["a", None, 2.0]), ColumnKind.CATEGORY)) == ["a", None, "2"]
