"""Names and labels that boosting libraries refuse, replaced around the model by classes of scikit-learn."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.base import is_classifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import StackingClassifier, StackingRegressor
from sklearn.feature_selection import RFE, SelectFromModel
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from wine_sweep.config import EstimatorConfig
from wine_sweep.evaluation.estimators import build_model, describe_needs, fit
from wine_sweep.evaluation.library_inputs import TableInputs, adapted
from wine_sweep.evaluation.library_params import copy_unfitted

xgboost = pytest.importorskip("xgboost")
lightgbm = pytest.importorskip("lightgbm")

ROWS = 90
QUICK = {"n_estimators": 3, "n_jobs": 1}
ODD = ["age [y]", "a<b", "a_b", 'q"uo,te', "x__{y}", "plain", "n_jobs<"]
RANDOM = np.random.default_rng(0)
FEATURES = pd.DataFrame(RANDOM.normal(size=(ROWS, len(ODD))), columns=ODD)
NUMBERED = np.digitize(FEATURES["a<b"], [-0.5, 0.5])
WEIGHTS = RANDOM.integers(1, 4, ROWS)


def booster(found=xgboost.XGBClassifier, **more):
    return found(**QUICK, **more, **({"verbose": -1} if found.__module__.startswith("lightgbm") else {}))


@pytest.mark.parametrize(
    "model",
    [
        booster(xgboost.XGBRegressor),
        booster(lightgbm.LGBMRegressor),
        make_pipeline(FunctionTransformer(), booster(xgboost.XGBRegressor)),
        StackingRegressor([("x", booster(xgboost.XGBRegressor)), ("l", booster(lightgbm.LGBMRegressor))], Ridge(), cv=2),
    ],
    ids=["xgboost", "lightgbm", "pipeline", "stacking"],
)
def test_columns_reach_the_libraries_under_names_that_they_take(model):
    inputs = TableInputs.from_table(FEATURES, None)
    whole = adapted(copy_unfitted(model), inputs)
    fit(whole, FEATURES, NUMBERED, None)
    plain = copy_unfitted(model).fit(FEATURES.set_axis([f"f{number}" for number in range(len(ODD))], axis=1), NUMBERED)
    expected = plain.predict(FEATURES.set_axis([f"f{number}" for number in range(len(ODD))], axis=1))
    assert np.array_equal(whole.predict(FEATURES[ODD[::-1]]), expected)


def test_categories_and_weights_pass_under_other_names():
    rows = FEATURES.assign(**{"k[0]": pd.Categorical(RANDOM.choice(["u", "v"], ROWS))})
    whole = adapted(booster(lightgbm.LGBMRegressor), TableInputs.from_table(rows, None))
    fit(whole, rows, NUMBERED, WEIGHTS)
    assert whole[-1].booster_.pandas_categorical == [["u", "v"]]
    assert whole[0].get_feature_names_out().tolist() == ["age _y_", "a<b", "a_b", "q_uo_te", "x_y_", "plain", "n_jobs<", "k_0_"]


@pytest.mark.parametrize(
    "model",
    [Ridge(), make_pipeline(StandardScaler(), booster(xgboost.XGBRegressor)), booster(lightgbm.LGBMRegressor)],
    ids=["no library", "arrays", "takes brackets"],
)
def test_nothing_is_replaced_where_no_library_would_refuse_it(model):
    columns = ["a<b"] if isinstance(model, lightgbm.LGBMRegressor) else ODD
    assert adapted(model, TableInputs(tuple(columns))) is model


@pytest.mark.parametrize("names", [["setosa", "versicolor", "virginica"], [3, 5, 8], [1, 2, 3]], ids=["text", "3 to 8", "1 to 3"])
def test_labels_are_numbered_around_xgboost_and_given_back(names):
    labels = np.array(names)[NUMBERED]
    rows = FEATURES[["plain", "a_b"]]
    whole = adapted(booster(), TableInputs.from_table(rows, labels))
    fit(whole, rows, labels, WEIGHTS)
    plain = booster().fit(rows, NUMBERED, sample_weight=WEIGHTS)
    assert whole.classes_.tolist() == names
    assert np.array_equal(whole.predict(rows), np.array(names)[plain.predict(rows)])
    assert np.array_equal(whole.predict_proba(rows), plain.predict_proba(rows))
    data = skops.io.dumps(whole)
    loaded = skops.io.loads(data, trusted=skops.io.get_untrusted_types(data=data))
    assert loaded.predict(rows).tolist() == whole.predict(rows).tolist()


@pytest.mark.parametrize(
    "model",
    [
        make_pipeline(StandardScaler(), SelectFromModel(booster()), booster()),
        make_pipeline(RFE(booster(), n_features_to_select=2), LogisticRegression()),
        CalibratedClassifierCV(booster(), cv=2),
        StackingClassifier([("x", booster()), ("l", LogisticRegression())], cv=2),
        GridSearchCV(booster(), {"max_depth": [2, 3]}, cv=2),
    ],
    ids=["pipeline", "selection", "calibration", "stacking", "grid"],
)
def test_labels_are_numbered_wherever_xgboost_stands(model):
    rows, labels = FEATURES[["plain", "a_b"]], np.array(["x", "y", "z"])[NUMBERED]
    whole = adapted(model, TableInputs.from_table(rows, labels))
    fit(whole, rows, labels, None)
    assert is_classifier(whole)
    assert set(whole.predict(rows)) <= {"x", "y", "z"}
    assert whole.classes_.tolist() == ["x", "y", "z"]


@pytest.mark.parametrize(
    ("model", "classes"),
    [
        (booster(), np.array([0, 1, 2])),
        (booster(), np.array([False, True])),
        (booster(xgboost.XGBRegressor), None),
        (booster(lightgbm.LGBMClassifier), np.array(["a", "b"])),
        (LogisticRegression(), np.array(["a", "b"])),
    ],
)
def test_labels_stay_where_they_are_taken(model, classes):
    assert adapted(model, TableInputs.from_table(FEATURES[["plain"]], classes)) is model


CATEGORIES = FEATURES[["plain"]].assign(
    text=RANDOM.choice(["x", "y"], ROWS), category=pd.Categorical(RANDOM.choice(["u", "v"], ROWS))
)
GAPS = CATEGORIES.assign(
    category=CATEGORIES["category"].where(FEATURES["a_b"] > 0), plain=FEATURES["plain"].where(FEATURES["a_b"] < 1)
)


def catboost_model(**params):
    catboost = pytest.importorskip("catboost")
    return catboost.CatBoostClassifier(iterations=3, thread_count=1, verbose=False, allow_writing_files=False, **params)


@pytest.mark.parametrize("table", [CATEGORIES, GAPS], ids=["whole", "gaps"])
@pytest.mark.parametrize("given", [{}, {"cat_features": ("text", "category")}, {"cat_features": (1, 2)}])
def test_catboost_is_told_its_categories_and_takes_gaps_in_them(table, given):
    whole = adapted(catboost_model(**given), TableInputs.from_table(table, NUMBERED))
    fit(whole, table, NUMBERED, WEIGHTS)
    learner = whole[-1] if table is GAPS else whole
    assert learner.get_cat_feature_indices() == [1, 2]
    assert whole.predict_proba(table.iloc[:1]).shape == (1, 3)


def test_catboost_behind_steps_that_encode_is_told_nothing():
    model = adapted(make_pipeline(StandardScaler(), catboost_model()), TableInputs.from_table(CATEGORIES, NUMBERED))
    assert "cat_features" not in model[-1].get_params()
    assert adapted(catboost_model(), TableInputs.from_table(FEATURES, NUMBERED)).get_params().get("cat_features") is None


def test_catboost_with_categories_is_copied_within_other_models():
    params = {
        "estimators": [["c", {"estimator": "catboost.CatBoostClassifier", "params": {"iterations": 3, "cat_features": ["text"]}}]]
    }
    config = EstimatorConfig(estimator="sklearn.ensemble.StackingClassifier", params={**params, "cv": 2})
    model = build_model(config, ()).model.fit(CATEGORIES[["plain", "text"]], NUMBERED)
    assert model.predict(CATEGORIES[["plain", "text"]]).shape[:1] == (ROWS,)


def test_xgboost_takes_categories_and_knows_them_in_a_single_row():
    model = build_model(EstimatorConfig(estimator="xgboost.XGBClassifier", params=QUICK), ()).model
    assert describe_needs(model).categories
    rows = CATEGORIES[["plain", "category"]]
    expected = model.fit(rows, NUMBERED).predict_proba(rows)
    for number in range(5):
        row = rows.iloc[[number]].astype({"category": "object"}).astype({"category": "category"})
        assert np.array_equal(model.predict_proba(row)[0], expected[number])
    made = build_model(EstimatorConfig(estimator="xgboost.XGBClassifier", params=QUICK), ()).model
    numbered = adapted(made, TableInputs.from_table(rows, NUMBERED)).fit(rows, NUMBERED)
    assert np.array_equal(numbered.predict_proba(rows), expected)
    alone = [pd.Series([each], index=rows.index[:1], dtype="str").astype("category") for each in (None, "w")]
    gap, new = (numbered.predict_proba(rows.iloc[[0]].assign(category=each)) for each in alone)
    assert np.array_equal(gap, new)  # a category that is new is none
    left = build_model(EstimatorConfig(estimator="xgboost.XGBClassifier", params={"enable_categorical": False}), ()).model
    assert not describe_needs(left).categories
