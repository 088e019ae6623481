"""What a saved model takes: raw rows, as whoever has read a table, or none, brings them."""

from __future__ import annotations

import mlflow
import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, TargetEncoder

from wine_sweep.data.columns import as_learned
from wine_sweep.tracking.model_inputs import needed_columns, raw_rows, restoring, signature_of
from wine_sweep.tracking.model_policy import judge, read_mlmodel

ROWS = 120


def made_table() -> pd.DataFrame:
    random = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "number": random.normal(size=ROWS),
            "whole": random.integers(0, 4, ROWS),
            "truth": random.random(ROWS) < 0.5,
            "text": random.choice(["x", "y", "NA"], ROWS),
            "category": pd.Categorical(random.choice(["u", "v", "w"], ROWS)),
            "code": pd.Categorical(random.integers(1, 4, ROWS)),
            "number_gaps": random.normal(size=ROWS),
            "whole_gaps": pd.array(random.integers(0, 4, ROWS), dtype="Int64"),
            "truth_gaps": pd.array(random.random(ROWS) < 0.5, dtype="boolean"),
            "text_gaps": random.choice(["x", "y"], ROWS).astype(object),
            "category_gaps": pd.Categorical(random.choice(["u", "v"], ROWS)),
        }
    )
    for name in (each for each in table if each.endswith("_gaps")):
        table.loc[random.random(ROWS) < 0.2, name] = None
    return table


RAW = made_table()
FEATURES = pd.DataFrame({name: as_learned(RAW[name]) for name in RAW})
SUMMED = RAW["number"] + RAW["whole"] + RAW["truth"] + (RAW["text"] == "x") + RAW["number_gaps"].fillna(0)
TARGET = (SUMMED > 2).to_numpy().astype(int)
NUMBERS = ["number", "whole", "truth", "number_gaps", "whole_gaps", "truth_gaps"]
GROUPED = ["category", "code", "category_gaps"]
ENCODED = ["whole", "truth", "text", "text_gaps", "truth_gaps", *GROUPED]
MODELS = {
    "plain numbers": (["number", "whole", "truth"], LogisticRegression()),
    "native gaps and categories": ([*NUMBERS, *GROUPED], HistGradientBoostingClassifier(max_iter=5)),
    "one-hot": (ENCODED, make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression())),
    "ordinal": (ENCODED, make_pipeline(OrdinalEncoder(), HistGradientBoostingClassifier(max_iter=5))),
    "target": (["text", "text_gaps"], make_pipeline(TargetEncoder(random_state=0), LogisticRegression())),
    "by type": (
        list(RAW),
        make_pipeline(
            make_column_transformer(
                (SimpleImputer(), make_column_selector(dtype_include="number")),
                (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_include=["object", "category", "str"])),
            ),
            LogisticRegression(),
        ),
    ),
}


def rows_as_they_come(names: list[str]) -> dict[str, pd.DataFrame]:
    raw = RAW[names]
    return {
        "as read": raw,
        "nullable types": raw.convert_dtypes(),
        "objects with None": raw.astype(object).where(raw.notna(), None),
        "objects with NaN": raw.astype(object).where(raw.notna(), np.nan),
        "objects with NA": raw.astype(object).where(raw.notna(), pd.NA),
        "raw": raw_rows(FEATURES[names], ROWS).sort_index(),
        "JSON": pd.DataFrame(**{key: value for key, value in raw.to_dict(orient="split").items() if key != "index"}),
    }


@pytest.mark.parametrize("kind", MODELS)
def test_a_model_predicts_raw_rows_as_it_did_in_memory(kind, tmp_path):
    names, model = MODELS[kind]
    model.fit(FEATURES[names], TARGET)
    expected, probabilities = model.predict(FEATURES[names]), model.predict_proba(FEATURES[names])
    saved = restoring(model, FEATURES[names])
    assert (saved is model) == (kind == "plain numbers")
    types = skops.io.get_untrusted_types(data=skops.io.dumps(saved))
    signature = signature_of(model, FEATURES[names], expected[:3])
    mlflow.sklearn.save_model(
        saved,
        str(tmp_path / "m"),
        signature=signature,
        pip_requirements=[],
        serialization_format="skops",
        skops_trusted_types=types,
    )
    loaded = mlflow.pyfunc.load_model(str(tmp_path / "m"))
    for how, rows in rows_as_they_come(names).items():
        assert np.array_equal(loaded.predict(rows), expected), how
        assert np.allclose(loaded.get_raw_model().predict_proba(rows), probabilities), how
    assert judge(tmp_path / "m", read_mlmodel(tmp_path / "m")).reasons == ()


def test_columns_that_no_step_uses_are_optional_and_others_are_not():
    encode = make_column_transformer((OneHotEncoder(), ["text"]), ("passthrough", ["number"]), ("drop", ["code"]))
    model = make_pipeline(encode, LogisticRegression()).fit(FEATURES, TARGET)
    assert needed_columns(model, FEATURES) == ["number", "text"]
    inputs = signature_of(model, FEATURES, model.predict(FEATURES)).inputs
    assert [each.name for each in inputs.inputs if each.required] == ["number", "text"]
    saved = restoring(model, FEATURES)
    assert np.array_equal(saved.predict(RAW[["text", "number"]]), model.predict(FEATURES))
    with pytest.raises(KeyError, match="'text' not found"):
        saved.predict(RAW[["number"]])


@pytest.mark.parametrize("columns", [[0, 3], slice(0, 4), [True, *[False] * 10]])
def test_columns_that_are_named_by_their_positions_are_all_needed(columns):
    model = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), columns)).fit(FEATURES)
    assert needed_columns(model, FEATURES) == list(RAW)


def test_a_column_has_one_of_mlflow_s_types_only_where_no_row_can_look_otherwise():
    inputs = signature_of(LogisticRegression(), FEATURES, TARGET).inputs
    types = {each.name: str(each.type) for each in inputs.inputs}
    assert types.pop("number") == "DataType.double"
    assert set(types.values()) == {"Any"}


def test_the_steps_of_a_model_keep_their_names_and_none_is_hidden():
    model = Pipeline([("types", OrdinalEncoder()), ("clf", LogisticRegression())]).fit(FEATURES[["text", "category"]], TARGET)
    saved = restoring(model, FEATURES[["text", "category"]])
    assert list(saved.named_steps)[-2:] == ["types", "clf"]
    assert saved.named_steps["clf"] is model.named_steps["clf"]
    assert list(saved.classes_) == [0, 1]
