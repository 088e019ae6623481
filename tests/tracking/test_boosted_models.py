"""Models of LightGBM and XGBoost, alone and within scikit-learn's, are kept and load back for those who trust nobody."""

from __future__ import annotations

import argparse
import warnings

import catboost
import lightgbm
import mlflow
import numpy as np
import pytest
import xgboost
from sklearn.linear_model import Lasso, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from wine_sweep.data.table import load_bundled
from wine_sweep.errors import ModelError
from wine_sweep.tracking.models import ModelToLog, check_loads_back, log_model
from wine_sweep.tracking.store import open_store

QUICK = {"n_estimators": 3, "n_jobs": 1}
LIGHTGBM = ["LGBMRegressor", "LGBMClassifier", "LGBMRanker"]
XGBOOST = ["XGBRegressor", "XGBClassifier", "XGBRFRegressor", "XGBRFClassifier", "XGBRanker"]


def boosted():
    for module, names, more in ((lightgbm, LIGHTGBM, {"verbose": -1}), (xgboost, XGBOOST, {})):
        for name in names:
            found = getattr(module, name)
            yield pytest.param(found(**QUICK, **more), id=name)
            if not name.endswith("Ranker"):
                yield pytest.param(make_pipeline(StandardScaler(), found(**QUICK, **more)), id=f"{name} in a pipeline")
                grid = {"n_estimators": [1, 2], "importance_type": ["gain", "split" if module is lightgbm else "weight"]}
                yield pytest.param(GridSearchCV(found(**more), grid, cv=2), id=f"{name} in a grid")


@pytest.fixture
def rows():
    table = load_bundled("wine-quality-red").iloc[:120].astype(float)
    return table.drop(columns="quality"), (table["quality"] > 5).to_numpy().astype(int)


@pytest.fixture
def keep(store, monkeypatch):
    monkeypatch.chdir(store.folder)
    client = open_store(store.uri)
    experiment = client.create_experiment("boosted")

    def keep(model, features):
        run_id = client.create_run(experiment).info.run_id
        return log_model(client, ModelToLog(model, features), experiment_id=experiment, run_id=run_id)

    return keep


def fitted(model, features, target):
    own = {"group": [60, 60]} if type(model).__name__.endswith("Ranker") else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(features, target, **own)


@pytest.mark.slow
@pytest.mark.parametrize("model", list(boosted()))
def test_it_is_kept_and_loads_back_without_trust(model, rows, keep):
    features, target = rows
    saved = keep(fitted(model, features, target), features)
    assert saved.reasons == ()
    check_loads_back(saved.uri, features, np.asarray(model.predict(features)))


@pytest.mark.parametrize(
    ("flavor", "model"),
    [
        ("xgboost", xgboost.XGBClassifier(**QUICK)),
        ("catboost", catboost.CatBoostClassifier(n_estimators=3, thread_count=1, verbose=False, allow_writing_files=False)),
        ("sklearn", lightgbm.LGBMClassifier(**QUICK, verbose=-1)),
    ],
    ids=["xgboost", "catboost", "lightgbm"],
)
def test_a_bare_model_is_kept_in_its_library_s_format_where_that_is_data(flavor, model, rows, keep):
    features, target = rows[0].assign(whole=np.arange(120)), rows[1]
    saved = keep(fitted(model, features, target), features)
    assert saved.reasons == ()
    check_loads_back(saved.uri, features, np.asarray(model.predict(features)))
    loaded = getattr(mlflow, flavor).load_model(saved.uri)
    assert np.array_equal(loaded.predict_proba(features), model.predict_proba(features))
    assert flavor in mlflow.models.get_model_info(saved.uri).flavors


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "grid"),
    [
        (Ridge(), {"solver": ["svd", "cholesky"]}),
        (Ridge(), {"max_iter": [None, 10]}),
        (make_pipeline(StandardScaler(), Ridge()), {"ridge": [Ridge(), Lasso()], "standardscaler": ["passthrough"]}),
    ],
    ids=["text", "None", "estimators"],
)
def test_a_grid_of_what_is_no_number_is_kept_and_loads_back_without_trust(model, grid, rows, keep):
    features, target = rows
    searched = fitted(GridSearchCV(model, grid, cv=2), features, target)
    saved = keep(searched, features)
    assert saved.reasons == ()
    check_loads_back(saved.uri, features, searched.predict(features))


@pytest.mark.slow
def test_what_will_be_refused_later_is_known_when_it_is_kept(rows, keep):
    features, target = rows
    model = make_pipeline(FunctionTransformer(), Ridge())
    grid = {"functiontransformer__func": [np.square, None]}
    saved = keep(fitted(GridSearchCV(model, grid, cv=2), features, target), features)
    (why,) = saved.reasons
    assert "'numpy.square' as 'param_grid'" in why
    with pytest.raises(ModelError, match=r"'numpy\.square' as 'param_grid'"):
        check_loads_back(saved.uri, features, np.asarray([]))


def test_nobody_is_told_to_trust_a_package_of_pythons_own(rows, keep):
    features, target = rows
    model = fitted(Ridge(), features, target)
    model.extra_ = argparse.Namespace(a=1)
    with pytest.raises(ModelError) as refused:
        keep(model, features)
    assert "argparse.Namespace" in str(refused.value)
    assert "--trust" not in str(refused.value)
