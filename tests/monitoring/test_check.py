"""Models checked on new rows, and what it is said to come to."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import balanced_accuracy_score, log_loss, root_mean_squared_error
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from wine_sweep.config import DataConfig
from wine_sweep.data import make_dataset, split_rows
from wine_sweep.errors import DataError, ModelError
from wine_sweep.evaluation.row_losses import RowLoss
from wine_sweep.monitoring.check import State, Thresholds, check_rows
from wine_sweep.monitoring.drift import Oddity
from wine_sweep.monitoring.reference import make_reference
from wine_sweep.trial import DataRequirements, Task


def made(seed, count=600, *, slope=2.0):
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({"x": rng.normal(size=count), "grape": rng.choice(["merlot", "malbec"], count)})
    return table.assign(y=slope * table["x"] + (table["grape"] == "malbec") + rng.normal(0, 0.5, count))


def trained(table, model, *, metric="rmse", task=Task.REGRESSION, **data):
    """Give a fitted model and its reference."""
    model = make_pipeline(make_column_transformer((OneHotEncoder(), ["grape"]), remainder="passthrough"), model)
    config = DataConfig(source="t.csv", target="y", seed=1, test_size=0.5, **data)
    dataset = make_dataset(
        table, config, source="t.csv", needs=DataRequirements(task, numbers=False, takes_missing=False, model="m")
    )
    split = split_rows(dataset, config, task=task, in_time=False)
    model.fit(dataset.features.iloc[split.train], dataset.target.iloc[split.train])
    predictions = model.predict(dataset.features.iloc[split.test])
    return model, make_reference(dataset, split, model, predictions, task=task, objective_metric=metric, seed=0)


@pytest.fixture(scope="module")
def straight():
    return trained(made(0), LinearRegression())


@pytest.mark.slow
def test_more_rows_of_the_same_kind_are_healthy(straight):
    model, reference = straight
    new = made(1)
    result = check_rows(reference, model, new).result
    assert result.state is State.HEALTHY
    assert (result.rows, result.excluded, result.findings[0].oddity) == (600, 0, Oddity.OUTSIDE)
    assert result.loss.new == pytest.approx(root_mean_squared_error(new["y"], model.predict(new)))
    assert result.loss.is_telling
    assert re.fullmatch(
        r"rmse was 0\.\d+ on 300 unseen rows when it was made and is 0\.\d+ on 600 new rows: 0\.\d+ (worse|better),"
        r" \d\.\d% (more|less) lost \(95% interval of the difference -0\.\d+ to \+0\.\d+\)\.",
        result.reasons[0],
    )
    assert result.reasons[1:] == ["Nothing has moved: 3 tests, false discoveries kept to 5%."]
    assert json.loads(json.dumps(result.record()))["state"] == "healthy"


def test_rows_with_another_truth_show_decay_where_nothing_has_moved(straight):
    model, reference = straight
    result = check_rows(reference, model, made(1, slope=1.2)).result
    assert result.state is State.DECAYED
    assert result.moved == []


def test_a_column_that_has_moved_is_named_and_so_are_the_predictions(straight):
    model, reference = straight
    new = made(1).assign(x=lambda table: table["x"] + 1)
    new["y"] += 2
    result = check_rows(reference, model, new).result
    assert result.state is State.DRIFTED
    assert {drift.name for drift in result.moved} == {"x", "the prediction"}
    assert result.reasons[1:] == ["1 feature has moved: x.", "What the model predicts has moved."]


def test_without_the_truth_there_is_drift_alone(straight):
    model, reference = straight
    for new in (made(1).drop(columns="y"), made(1).assign(y=np.nan)):
        checked = check_rows(reference, model, new)
        assert checked.losses is None
        assert checked.result.state is State.HEALTHY
        assert checked.result.reasons[0].startswith("What the model loses is not known")


def test_where_some_rows_lack_the_truth_the_others_are_measured(straight):
    model, reference = straight
    new = made(1)
    new.loc[100:, "y"] = np.nan
    loss = check_rows(reference, model, new).result.loss
    assert loss.new_rows == 100
    assert loss.new == pytest.approx(root_mean_squared_error(new["y"][:100], model.predict(new[:100])))


def test_too_few_rows_are_no_failure_and_it_is_said_how_many_it_takes(straight):
    model, reference = straight
    result = check_rows(reference, model, made(1, 40)).result
    assert result.state is State.HEALTHY
    assert f"it takes {result.loss.needed_rows} rows like these to see one 80% of the time" in result.reasons[1]
    assert "too few to tell" in check_rows(reference, model, made(1, 8)).result.reasons[0]


def test_rows_that_were_trained_on_are_left_out(straight):
    model, reference = straight
    old = made(0)
    mixed = pd.concat([old, made(1)], ignore_index=True)
    result = check_rows(reference, model, mixed).result
    assert (result.excluded, result.rows) == (300, 900)
    trained_on = old[reference.was_trained_on(old)]
    with pytest.raises(DataError, match="the model was trained on every one of these 300 rows"):
        check_rows(reference, model, trained_on)


def test_classes_are_measured_by_their_probabilities_or_by_the_balanced_accuracy():
    table, new = (made(seed).assign(y=lambda rows: np.where(rows["y"] > 1.5, "good", "bad")) for seed in (0, 1))
    model, reference = trained(table, LogisticRegression(), metric="log_loss", task=Task.CLASSIFICATION)
    loss = check_rows(reference, model, new).result.loss
    assert loss.new == pytest.approx(log_loss(new["y"], model.predict_proba(new)))
    model, reference = trained(table, LogisticRegression(), metric="f1_macro", task=Task.CLASSIFICATION)
    loss = check_rows(reference, model, new).result.loss
    assert loss.metric is RowLoss.BALANCED_ACCURACY
    assert loss.new == pytest.approx(balanced_accuracy_score(new["y"], model.predict(new)))
    swapped = new.assign(y=np.where(new["y"] == "good", "bad", "good"))
    result = check_rows(reference, model, swapped).result
    assert result.state is State.DECAYED
    assert "more wrong classes" in result.reasons[0]


@pytest.mark.slow
def test_weights_of_new_rows_count_where_they_are_there():
    rng = np.random.default_rng(0)
    model, reference = trained(made(0).assign(w=rng.uniform(1, 2, 600)), LinearRegression(), weights="w")
    new = made(1).assign(w=rng.uniform(1, 9, 600))
    loss = check_rows(reference, model, new).result.loss
    assert loss.new == pytest.approx(root_mean_squared_error(new["y"], model.predict(new), sample_weight=new["w"]))
    alone = check_rows(reference, model, new.drop(columns="w")).result.loss
    assert alone.new == pytest.approx(root_mean_squared_error(new["y"], model.predict(new)))


@pytest.mark.slow
def test_what_counts_as_decay_can_be_set(straight):
    model, reference = straight
    new = made(1, slope=1.4)
    assert check_rows(reference, model, new).result.state is State.DECAYED
    assert check_rows(reference, model, new, Thresholds(least_rise=0.9)).result.state is State.HEALTHY
    wide = check_rows(reference, model, new, Thresholds(confidence=0.99)).result.loss
    narrow = check_rows(reference, model, new).result.loss
    assert wide.low < narrow.low < narrow.high < wide.high


def test_a_model_that_fails_on_the_rows_is_named(straight):
    model, reference = straight
    with pytest.raises(ModelError, match="the model does not predict these rows: ValueError: Found unknown categories"):
        check_rows(reference, model, made(1).assign(grape="pinot"))
    with pytest.raises(DataError, match="column 'y' holds 'good' in row 1"):
        check_rows(reference, model, made(1).assign(y=["good"] + ["1"] * 599))
