"""Columns of any type, prepared for an estimator: skrub's pipeline with our seeds, and what it is to the reader."""

from __future__ import annotations

import mlflow
import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from skrub import tabular_pipeline

from wine_sweep.data.columns import as_learned
from wine_sweep.evaluation.estimator_params import ModelFactory
from wine_sweep.evaluation.preprocessing import LEFT_OUT, describe_columns
from wine_sweep.tracking.model_inputs import raw_rows, restoring, signature_of
from wine_sweep.tracking.model_policy import judge, read_mlmodel
from wine_sweep.tracking.models import ModelToLog, _trusted_types

ROWS = 80


def made_table() -> pd.DataFrame:
    random = np.random.default_rng(1)
    table = pd.DataFrame(
        {
            "age": random.integers(1, 80, ROWS),
            "fare": random.normal(size=ROWS),
            "alone": random.random(ROWS) < 0.5,
            "port": random.choice(["C", "S", None], ROWS),
            "name": [f"Passenger {number} of {random.integers(9)}" for number in range(ROWS)],
            "boarded": pd.date_range("1912-04-01", periods=ROWS),
            "empty": np.nan,
        }
    )
    table.loc[::7, "fare"] = np.nan
    return pd.DataFrame({name: as_learned(table[name]) for name in table})


TABLE = made_table()
TARGET = np.arange(ROWS) % 2


def factory(model, *, chosen=frozenset()) -> ModelFactory:
    return ModelFactory({None: model}, 7, {None: chosen}, preprocessed=frozenset({None}))


def test_it_is_skrub_s_pipeline_for_the_estimator_with_its_searched_parameters():
    made = factory(LogisticRegression()).make({"C": 0.5})
    expected = tabular_pipeline(LogisticRegression(C=0.5))
    assert [(name, type(step)) for name, step in made.steps] == [(name, type(step)) for name, step in expected.steps]
    assert made.steps[-1][1].C == 0.5


def test_every_random_state_has_the_seed_but_one_that_the_config_sets():
    states = {
        name: value
        for name, value in factory(RandomForestClassifier(), chosen=frozenset({"random_state"})).make({}).get_params().items()
        if name.endswith("random_state")
    }
    assert states.pop("randomforestclassifier__random_state") is None
    assert set(states.values()) == {7}


@pytest.mark.parametrize(
    "model",
    [LogisticRegression(), RandomForestClassifier(5), HistGradientBoostingClassifier(max_iter=5)],
    ids=lambda model: type(model).__name__,
)
def test_what_is_saved_predicts_raw_rows_and_runs_no_code_when_it_is_loaded(model, tmp_path):
    fitted = factory(model).make({}).fit(TABLE, TARGET)
    expected = fitted.predict(TABLE)
    saved = restoring(fitted, TABLE)
    mlflow.sklearn.save_model(
        saved,
        str(tmp_path / "m"),
        signature=signature_of(fitted, TABLE, expected),
        pip_requirements=[],
        serialization_format="skops",
        skops_trusted_types=_trusted_types(ModelToLog(saved, TABLE)),
    )
    assert judge(tmp_path / "m", read_mlmodel(tmp_path / "m")).reasons == ()
    loaded = mlflow.pyfunc.load_model(str(tmp_path / "m"))
    assert np.array_equal(loaded.predict(TABLE), expected)
    assert np.array_equal(loaded.predict(raw_rows(TABLE, ROWS).sort_index()), expected)


def test_each_column_is_named_once_with_what_it_is_taken_for():
    assert describe_columns(TABLE) == {
        "numbers": ["age", "fare", "alone"],
        "dates, as their parts": ["boarded"],
        "categories": ["port"],
        "text, as a few numbers": ["name"],
        LEFT_OUT: ["empty"],
    }
