"""Every regressor and classifier of scikit-learn and of the boosting libraries learns a table as people have it, and is kept."""

from __future__ import annotations

import shutil
import warnings

import mlflow
import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.utils import all_estimators

from wine_sweep.config import ModelConfig, Stage, parse_config
from wine_sweep.data.table import load_bundled
from wine_sweep.errors import ConfigError
from wine_sweep.evaluation.estimators import build_model, set_seed
from wine_sweep.registry import Action, Entry, ModelRegistry
from wine_sweep.sweep.rehearsal import rehearse
from wine_sweep.targets.prepare import prepare
from wine_sweep.tracking.models import ModelToLog, check_loads_back, log_model
from wine_sweep.tracking.store import open_store

BASE = {"regressor": "sklearn.linear_model.Ridge", "classifier": "sklearn.linear_model.LogisticRegression"}
UNFIT = {
    "CCA": "needs several targets",
    "ClassifierChain": "needs several targets",
    "IsotonicRegression": "takes one feature",
    "MultiOutputClassifier": "needs several targets",
    "MultiOutputRegressor": "needs several targets",
    "MultiTaskElasticNet": "needs several targets",
    "MultiTaskElasticNetCV": "needs several targets",
    "MultiTaskLasso": "needs several targets",
    "MultiTaskLassoCV": "needs several targets",
    "PLSCanonical": "needs several targets",
    "RegressorChain": "needs several targets",
}
META = {
    "FixedThresholdClassifier",
    "OneVsOneClassifier",
    "OneVsRestClassifier",
    "OutputCodeClassifier",
    "SelfTrainingClassifier",
    "TunedThresholdClassifierCV",
}
SETTINGS = {
    "NuSVC": {"nu": 0.1},
    "QuadraticDiscriminantAnalysis": {"reg_param": 0.5},
    "RadiusNeighborsClassifier": {"radius": 200.0},
    "RadiusNeighborsRegressor": {"radius": 200.0},
}


def cases(left_out=UNFIT):
    for kind in BASE:
        for name, found in all_estimators(kind):
            if name not in left_out:
                module = found.__module__.rpartition("._")[0] or found.__module__
                yield pytest.param(kind, f"{module}.{name}", id=name)


def config_of(kind: str, dotted: str) -> ModelConfig:
    nested = {"estimator": BASE[kind]}
    name = dotted.rpartition(".")[2]
    params = dict(SETTINGS.get(name, {}))
    if name in {"StackingClassifier", "StackingRegressor", "VotingClassifier", "VotingRegressor"}:
        params["estimators"] = [["one", nested], ["two", nested]]
    elif name in META:
        params["estimator"] = nested
    return ModelConfig(estimator=dotted, params=params)


@pytest.fixture(scope="module")
def rows():
    table = load_bundled("wine-quality-red").iloc[:240].astype(float)
    features = table.drop(columns="quality")
    return {
        "regressor": (features, table["quality"].to_numpy()),
        "classifier": (features, (table["quality"] > 5).to_numpy().astype(int)),
    }


@pytest.fixture(scope="module")
def registry_store(migrated, tmp_path_factory):
    folder = tmp_path_factory.mktemp("estimators")
    shutil.copy(migrated, folder / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        client = open_store(f"sqlite:///{folder / 'mlflow.db'}")
        yield client, client.create_experiment("estimators")
        mlflow.set_tracking_uri(None)


@pytest.mark.quick(1)
@pytest.mark.parametrize(("kind", "dotted"), list(cases())[::8])
def test_it_is_kept_promoted_and_loads_back(kind, dotted, rows, registry_store):
    client, experiment = registry_store
    features, target = rows[kind]
    built = build_model(config_of(kind, dotted), ())
    assert built.problems == []
    model = set_seed(built.model, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(features, target)
        expected = np.asarray(model.predict(features))
    run_id = client.create_run(experiment).info.run_id
    uri = log_model(client, ModelToLog(model, features), experiment_id=experiment, run_id=run_id).uri
    check_loads_back(uri, features, expected)
    name = dotted.rpartition(".")[2]
    registry = ModelRegistry(client)
    resident = registry.register(name, model_uri=uri, run_id=run_id)
    registry.move(resident, Stage.STAGING, Entry(Action.PROMOTED, "Staging", "ann", None, "1", ()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for address in (f"models:/{name}/Staging", f"models:/{name}@staging"):
            predicted = np.asarray(mlflow.pyfunc.load_model(address).predict(features))
            np.testing.assert_allclose(predicted, expected, rtol=1e-9)


def test_the_list_of_estimators_that_do_not_fit_is_not_longer_than_it_must_be():
    known = {name for kind in BASE for name, _ in all_estimators(kind)}
    assert set(UNFIT) <= known
    assert len(known - set(UNFIT)) > 80


BOOSTING = {
    "classifier": ["xgboost.XGBClassifier", "xgboost.XGBRFClassifier", "lightgbm.LGBMClassifier", "catboost.CatBoostClassifier"],
    "regressor": ["xgboost.XGBRegressor", "xgboost.XGBRFRegressor", "lightgbm.LGBMRegressor", "catboost.CatBoostRegressor"],
}
LEFT_OUT = {
    **UNFIT,
    "CategoricalNB": "takes counts alone, and numbers are scaled",
    "ComplementNB": "takes counts alone, and numbers are scaled",
    "MultinomialNB": "takes counts alone, and numbers are scaled",
}
"""Of a table with text, dates and gaps too; at most 15."""


def mixed_cases():
    yield from cases(LEFT_OUT)
    yield from (pytest.param(kind, each, id=each.rpartition(".")[2]) for kind, named in BOOSTING.items() for each in named)


@pytest.fixture(scope="module")
def mixed_folder(tmp_path_factory):
    """A table of numbers, whole numbers, text, categories, truth values and dates, with gaps in most."""
    folder, random = tmp_path_factory.mktemp("mixed"), np.random.default_rng(0)
    count = 400
    number = random.normal(size=count)
    kind = random.choice(["red", "green", "blue"], count)
    table = pd.DataFrame(
        {
            "number": np.where(random.random(count) < 0.1, np.nan, number),
            "whole": random.integers(0, 50, count),
            "few": pd.array(random.choice([1, 2, None], count), dtype="Int64"),
            "kind": np.where(random.random(count) < 0.1, None, kind),
            "name": [f"{word} {index % 30}" for index, word in enumerate(kind)],
            "flag": random.random(count) < 0.4,
            "day": pd.date_range("2026-01-01", periods=count).strftime("%Y-%m-%d"),
            "amount": np.exp(number + (kind == "red")) + 1,
        }
    )
    table["class"] = np.where(table["amount"] > 2.5, "dear", "cheap")
    table.to_csv(folder / "mixed.csv", index=False)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "dotted"), list(mixed_cases()))
def test_it_learns_a_mixed_table_by_itself_and_can_be_kept(kind, dotted, mixed_folder):
    model = config_of(kind, dotted).model_dump(mode="json", exclude_defaults=True)
    built = build_model(ModelConfig.model_validate(model), ()).model
    plain = {
        name: each for name, each in built.get_params(deep=False).items() if each is None or isinstance(each, bool | int | str)
    }
    name = next(name for name in plain if name not in model.get("params", {}))
    config = {
        "data": {"source": "mixed.csv", "target": "amount" if kind == "regressor" else "class"},
        "model": {**model, "preprocess": "auto"},
        "search": {"parameters": {name: [plain[name]]}},
        "evaluation": {"cv": 2},
    }
    config["data"]["drop"] = ["class" if kind == "regressor" else "amount"]
    draft = parse_config(yaml.safe_dump(config).encode(), source="c", folder=mixed_folder, default_name="c")
    try:
        assert rehearse(prepare(draft)) == 1
    except ConfigError as error:
        pytest.fail(str(error))


def test_few_estimators_are_left_out():
    assert len(LEFT_OUT) <= 15
