"""Pictures of checks: one for each kind of move and of loss, readable as PNG."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from wine_sweep.evaluation.row_losses import RowLoss
from wine_sweep.monitoring.check import check_rows
from wine_sweep.monitoring.reference import MEASURED, Grouping, Reference, profile_of
from wine_sweep.report.check_plots import MOST_PLOTS, check_plots
from wine_sweep.trial import Task


class Constant:
    """Predicts one value."""

    def __init__(self, value):
        self.value = value

    def predict(self, features):
        return np.full(len(features), self.value)


def reference_of(train, metric, task, **test):
    test = pd.DataFrame({**test, "weight": 1.0}).assign(group=range(len(train)))
    columns = tuple(profile_of(train[name]) for name in train)
    return Reference(
        task=task,
        metric=metric,
        target="y",
        columns=columns,
        data="t.csv",
        digest="",
        grouping=Grouping(None, equal_rows=False),
        weight_column=None,
        train_rows=np.array([1, 2], dtype=np.uint64),
        train=train,
        train_independent=1.0,
        test=test,
        folds=pd.DataFrame(columns=MEASURED),
    )


def drawn(reference, model, new):
    found = dict(check_plots(reference, check_rows(reference, model, new)))
    for content in found.values():
        with Image.open(io.BytesIO(content)) as image:
            assert image.format == "PNG"
            assert image.size == (1050, 600)
    return found


@pytest.mark.slow
def test_numbers_gaps_categories_and_predictions_have_each_a_picture():
    rng = np.random.default_rng(0)
    grapes = pd.Series(rng.choice(["a", "b $x$"], 300), dtype=object)
    train = pd.DataFrame({"price ($)": rng.normal(size=300), "grape/kind": grapes, "ph": rng.normal(size=300)})
    truth = rng.normal(size=300)
    reference = reference_of(train, RowLoss.RMSE, Task.REGRESSION, target=truth, prediction=np.zeros(300), loss=truth**2)
    new = train.assign(y=5.0, **{"price ($)": train["price ($)"] + 2, "grape/kind": "a"})
    new.loc[:200, "ph"] = np.nan
    found = drawn(reference, Constant(1.0), new)
    names = sorted(name.partition("-")[2] for name in found if name != "losses.png")
    assert names == ["grape-kind.png", "ph-gaps-.png", "price-.png", "the-prediction.png"]
    assert "losses.png" in found


def test_right_and_wrong_classes_have_a_picture():
    train = pd.DataFrame({"x": np.arange(100.0)})
    truth = np.array(["a", "b"] * 50)
    losses = (truth != "a").astype(float)
    reference = reference_of(train, RowLoss.ACCURACY, Task.CLASSIFICATION, target=truth, prediction="a", loss=losses)
    assert set(drawn(reference, Constant("a"), train.assign(y="b"))) == {"losses.png"}


@pytest.mark.slow
@pytest.mark.parametrize("labelled", [True, False])
def test_of_many_columns_those_that_moved_furthest_are_drawn(labelled):
    rng = np.random.default_rng(0)
    train = pd.DataFrame({f"x{index}": rng.normal(size=200) for index in range(15)})
    reference = reference_of(train, RowLoss.MAE, Task.REGRESSION, target=np.ones(200), prediction=1.0, loss=0.0)
    new = pd.DataFrame({name: train[name] + index / 5 for index, name in enumerate(train, start=3)})
    found = drawn(reference, Constant(1.0), new.assign(y=2.0) if labelled else new)
    assert len(found) == MOST_PLOTS + labelled
    assert next(iter(found)) == "01-x14.png"
