"""Every regressor and classifier of scikit-learn that can be fitted on this data is kept, promoted, and loads back."""

from __future__ import annotations

import shutil
import warnings

import mlflow
import numpy as np
import pytest
from sklearn.utils import all_estimators

from wine_sweep.config import ModelConfig, Stage
from wine_sweep.data.table import load_bundled
from wine_sweep.evaluation.estimators import build_model, set_seed
from wine_sweep.registry import Action, Entry, ModelRegistry
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


def cases():
    for kind in BASE:
        for name, found in all_estimators(kind):
            if name not in UNFIT:
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
@pytest.mark.parametrize(("kind", "dotted"), list(cases()))
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
