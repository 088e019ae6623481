"""Models that somebody else registered: what would run code of its own is loaded by no command, unless it is trusted."""

from __future__ import annotations

import copy
import functools
import http.server
import json
import operator
import os
import pickle
import sys
import threading
import warnings
from pathlib import Path

import mlflow
import numpy as np
import pytest
import scipy.stats
from mlflow.artifacts import download_artifacts
from mlflow.exceptions import MlflowException
from mlflow.models import infer_signature
from mlflow.pyfunc import PythonModel
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestRegressor, StackingRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import ElasticNet, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from wine_sweep.config import Stage
from wine_sweep.data.table import load_bundled
from wine_sweep.errors import ModelError, UntrustedModelError
from wine_sweep.registry import Action, Entry, ModelRegistry
from wine_sweep.tracking import artifacts
from wine_sweep.tracking.model_policy import ModelTrust
from wine_sweep.tracking.models import ModelToLog, check_loads_back, load_model, log_model

CONFIG = """
name: small
data: {source: wine-quality-red, seed: 40}
model: {estimator: sklearn.tree.DecisionTreeRegressor}
search: {parameters: {max_depth: [DEPTH]}}
evaluation: {cv: 2, bootstrap: 0}
execution: {backend: serial}
registry: {name: wine, gate: GATE}
"""
NO_REQUIREMENTS = ["scikit-learn"]
"""Else MLflow starts Python again to find them out."""


@pytest.fixture(scope="module")
def rows():
    table = load_bundled("wine-quality-red").iloc[:200]
    return table.drop(columns="quality").astype(float), table["quality"].to_numpy(float)


@pytest.fixture
def marker(tmp_path):
    """A file that is made where code of a model runs."""
    return tmp_path / "it-ran.npy"


def touching(marker: Path) -> str:
    return f"open({str(marker)!r}, 'w').close()"


class Opens:
    """Opens a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


class Mine(PythonModel):
    """Any Python model is pickled."""

    def predict(self, context, model_input):
        return [5.0] * len(model_input)


# How hostile models are made; each gives what loading it says.


def own_loader(rows, marker, folder, monkeypatch):
    (folder / "strange_loader.py").write_text(
        f"{touching(marker)}\nclass Model:\n    def predict(self, rows): return [5.0] * len(rows)\n"
        "def _load_pyfunc(path): return Model()\n"
    )
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "strange_loader", raising=False)
    signature = infer_signature(rows[0].head(3), rows[1][:3])
    mlflow.pyfunc.log_model(name="m", loader_module="strange_loader", signature=signature, pip_requirements=NO_REQUIREMENTS)
    return "its loader module is 'strange_loader'"


def code_folder(rows, marker, folder, monkeypatch):
    path = folder / "brought_along.py"
    path.write_text("from sklearn.linear_model import Ridge\nclass Bent(Ridge):\n    pass\n")
    with monkeypatch.context() as patch:
        patch.syspath_prepend(folder)
        import brought_along

        model = brought_along.Bent().fit(*rows)
        path.write_text(f"{path.read_text()}{touching(marker)}\n")
        types = ["brought_along.Bent"]
        logged_by_sklearn(model, skops_trusted_types=types, code_paths=[str(path)])
    monkeypatch.delitem(sys.modules, "brought_along")
    return "it brings code of its own, in 'code'"


def own_types(rows, marker, folder, monkeypatch):
    """scipy's distributions run a text of their state by `exec` when they are loaded: no type but scipy's is needed."""
    model = Ridge().fit(*rows)
    model.prior_ = copy.deepcopy(scipy.stats.norm)
    model.prior_._parse_arg_template += f"\n{touching(marker)}\n"
    logged_by_sklearn(model, skops_trusted_types=["scipy.stats._continuous_distns.norm_gen", "builtins.NoneType"])
    marker.unlink(missing_ok=True)  # MLflow has loaded it on saving
    return "its skops file holds 'scipy.stats._continuous_distns.norm_gen'"


def a_pickle(rows, marker, folder, monkeypatch):
    model = Ridge().fit(*rows)
    model.extra_ = Opens(marker)
    logged_by_sklearn(model, serialization_format="pickle")
    marker.unlink(missing_ok=True)
    return "it is pickled (serialization_format 'pickle')"


def a_python_model(rows, marker, folder, monkeypatch):
    model = Mine()
    model.extra = Opens(marker)
    signature = infer_signature(rows[0].head(3), rows[1][:3])
    mlflow.pyfunc.log_model(name="m", python_model=model, signature=signature, pip_requirements=NO_REQUIREMENTS)
    marker.unlink(missing_ok=True)
    return "its loader module is 'mlflow.pyfunc.model'"


def a_function(rows, marker, folder, monkeypatch):
    """Nothing runs on loading, and on predicting numpy writes a file."""
    model = make_pipeline(FunctionTransformer(), StandardScaler(), Ridge()).fit(*rows)
    model.steps[0] = ("functiontransformer", FunctionTransformer(functools.partial(np.save, str(marker))))
    logged_by_sklearn(model, skops_trusted_types=["numpy.save", "functools.partial"], signature=infer_signature(rows[0].head(3)))
    return "its skops file holds 'numpy.save' ('FunctionNode')"


def the_name_of_a_method(rows, marker, folder, monkeypatch):
    """Nothing but estimators and an array: a stack calls the method of its estimator that its state names."""
    frozen = FrozenEstimator(np.frombuffer(b"written", dtype=np.uint8).copy())
    says_path = DummyClassifier(strategy="constant", constant=str(marker)).fit([[0], [1]], [str(marker), "other"])
    first = FunctionTransformer(operator.itemgetter(0))
    model = make_pipeline(stacked(says_path, "predict"), first, first, stacked(frozen, "tofile"))
    types = ["operator.itemgetter"]
    logged_by_sklearn(model, skops_trusted_types=types, signature=infer_signature(rows[0].head(3)))
    return "'estimator' of 'sklearn.frozen._frozen.FrozenEstimator' that is no estimator ('numpy.ndarray')"


def stacked(estimator, method):
    stack = StackingRegressor([])
    vars(stack).update(estimators_=[estimator], stack_method_=[method], passthrough=False, final_estimator_=DummyClassifier())
    return stack


def logged_by_sklearn(model, **own):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.sklearn.log_model(model, name="m", pip_requirements=NO_REQUIREMENTS, **own)


@pytest.fixture
def run(store, in_process):
    """Run a small sweep."""

    def run(depth, *arguments, gate="false"):
        (store.folder / "c.yaml").write_text(CONFIG.replace("DEPTH", str(depth)).replace("GATE", gate))
        return in_process("run", "c.yaml", "--quiet", "--json", *arguments)

    return run


def put_in_staging(store, source):
    """Register a model as a version of ``wine``, of the run of the version before, and move it to Staging."""
    registry = ModelRegistry(store.client)
    before = registry.in_stage("wine", Stage.STAGING)
    made = store.client.create_model_version("wine", source, before.run_id)
    registered = registry.find("wine", str(made.version))
    entry = Entry(Action.PROMOTED, "Staging", "mallory", before.version, registered.version, ())
    registry.move(registered, Stage.STAGING, entry)
    return registered.version


@pytest.fixture
def hostile(request, store, run, rows, marker):
    """A model in Staging that runs code of its own; gives what is said of it."""
    assert run(1).returncode == 0
    mlflow.set_tracking_uri(store.uri)
    folder = store.folder / "made"
    folder.mkdir()
    monkeypatch = request.getfixturevalue("monkeypatch")
    monkeypatch.setattr(sys, "path", list(sys.path))  # MLflow adds to it
    said = request.param(rows, marker, folder, monkeypatch)
    (logged,) = [each for each in store.client.search_logged_models(["0", "1"]) if each.name == "m"]
    put_in_staging(store, logged.model_uri)
    assert not marker.exists()
    return said


def in_one_line(text):
    return " ".join(text.split())


def is_refused(ended, said, marker, code):
    shown = in_one_line(ended.stderr if code == 1 else json.loads(ended.stdout)["gate"]["reasons"][0])
    assert ended.returncode == code, shown
    assert said in shown
    assert "models:/wine/2 is not loaded: that could run code of its own" in shown
    assert "run with --trust model:wine if you trust whoever registers its versions" in shown
    assert not marker.exists()
    return True


@pytest.mark.slow
@pytest.mark.parametrize("hostile", [own_loader, code_folder, own_types], indirect=True)
def test_a_model_that_brings_code_is_loaded_by_no_command_unless_it_is_trusted(hostile, run, store, in_process, marker):
    check = ("check", "wine", "--data", "wine-quality-white")
    move_on = ("promote", "--stage", "Production", "--name", "wine")
    for_another = ("--trust", "model:wines", "--trust", "sklearn")
    assert is_refused(in_process(*check, *for_another), hostile, marker, 1)
    assert is_refused(in_process(*move_on), hostile, marker, 1)
    assert is_refused(in_process(*move_on, "--dry-run"), hostile, marker, 1)
    gated = run(4, gate="{min_rows: 20}")
    assert is_refused(gated, hostile, marker, 3)
    assert json.loads(gated.stdout)["gate"]["ground"] == "champion_unloadable"
    assert is_refused(in_process("promote", "latest", "--json"), hostile, marker, 3)
    assert in_process(*move_on, "--trust", "model:wine", "--dry-run").returncode == 0
    assert marker.exists()
    marker.unlink()
    assert run(2).returncode == 0  # without a gate nothing of the version there is loaded
    assert is_refused(in_process("rollback", "wine"), hostile, marker, 1)
    assert "Back to version 2" in in_one_line(in_process("rollback", "wine", "--trust", "model:wine").stdout)


@pytest.mark.slow
@pytest.mark.parametrize("hostile", [a_pickle, a_python_model, a_function, the_name_of_a_method], indirect=True)
def test_a_model_that_is_pickled_or_holds_a_function_is_checked_only_if_it_is_trusted(hostile, in_process, marker):
    check = ("check", "wine", "--data", "wine-quality-white")
    assert is_refused(in_process(*check), hostile, marker, 1)
    in_process(*check, "--trust", "model:wine")
    assert marker.exists()


@pytest.mark.slow
@pytest.mark.parametrize("hostile", [own_types], indirect=True)
def test_refresh_checks_no_model_that_brings_code_unless_it_is_trusted(hostile, run, store, in_process, marker):
    run(3, "--no-promote")
    refresh = ("refresh", "c.yaml", "--data", "wine-quality-white", "--quiet")
    assert is_refused(in_process(*refresh), hostile, marker, 1)
    assert in_process(*refresh, "--trust", "model:wine").returncode in (0, 3)
    assert marker.exists()


@pytest.mark.slow
def test_reproduce_loads_no_model_and_knows_the_option(run, in_process):
    document = json.loads(run(1).stdout)
    winner = document["selection"]["winner"]["run_id"]
    assert in_process("reproduce", winner, "--trust", "model:wine").returncode == 0
    wrong = in_process("reproduce", winner, "--trust", "model:")
    assert wrong.returncode == 2
    assert "no model:NAME" in wrong.stderr


MODELS = {
    "elasticnet": ElasticNet(alpha=0.01),
    "forest": RandomForestRegressor(n_estimators=5, random_state=0),
    "pipeline": make_pipeline(StandardScaler(), FunctionTransformer(np.tanh), Ridge()),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_what_others_log_by_mlflows_defaults_is_loaded_without_trust(name, store, rows):
    features, target = rows
    model = MODELS[name].fit(features.abs(), target)
    types = ["sklearn.tree._tree.Tree"] if name == "forest" else None
    logged_by_sklearn(model, skops_trusted_types=types, registered_model_name="theirs")
    loaded = load_model("models:/theirs/1", ModelTrust("theirs"))
    np.testing.assert_allclose(loaded.predict(features), model.predict(features))


def test_lightgbm_is_loaded_without_trust_unless_it_is_pickled(store, rows):
    lightgbm = pytest.importorskip("lightgbm")
    features, target = rows
    model = lightgbm.LGBMRegressor(n_estimators=3, verbose=-1).fit(features, target)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        native = mlflow.lightgbm.log_model(model.booster_, name="m", pip_requirements=["lightgbm"])
        pickled = mlflow.lightgbm.log_model(model, name="m", pip_requirements=["lightgbm"], serialization_format="cloudpickle")
        types = ["collections.OrderedDict", "lightgbm.basic.Booster", "lightgbm.sklearn.LGBMRegressor"]
        skops = mlflow.sklearn.log_model(model, name="m", pip_requirements=["lightgbm"], skops_trusted_types=types)
    for logged in (native, skops):
        loaded = load_model(logged.model_uri, ModelTrust("theirs"))
        np.testing.assert_allclose(loaded.predict(features), model.predict(features))
    with pytest.raises(UntrustedModelError, match="it is pickled"):
        load_model(pickled.model_uri, ModelTrust("theirs"))
    loaded = load_model(pickled.model_uri, ModelTrust("theirs", is_trusted=True))
    np.testing.assert_allclose(loaded.predict(features), model.predict(features))


@pytest.mark.slow
def test_xgboost_is_loaded_without_trust(store, rows):
    xgboost = pytest.importorskip("xgboost")
    features, target = rows
    model = xgboost.XGBRegressor(n_estimators=3).fit(features, target)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logged = mlflow.xgboost.log_model(model, name="m", pip_requirements=["xgboost"], model_format="json")
    loaded = load_model(logged.model_uri, ModelTrust("theirs"))
    np.testing.assert_allclose(loaded.predict(features), model.predict(features), rtol=1e-6)


def test_what_this_process_has_saved_is_loaded_back_and_nothing_else(store, rows, marker):
    features = rows[0]
    run_id = store.client.create_run("0").info.run_id
    saved = log_model(store.client, ModelToLog(Mine(), features), experiment_id="0", run_id=run_id)
    check_loads_back(saved.uri, features, np.full(len(features), 5.0), saved.written)
    with pytest.raises(ModelError, match=r"does not load back: .*its loader module is 'mlflow.pyfunc.model'"):
        check_loads_back(saved.uri, features, np.full(len(features), 5.0))
    (Path(download_artifacts(saved.uri)) / "python_model.pkl").write_bytes(pickle.dumps(Opens(marker)))
    with pytest.raises(UntrustedModelError):
        load_model(saved.uri, ModelTrust("mine", written=saved.written))
    assert not marker.exists()


@pytest.mark.slow
@pytest.mark.parametrize("place", ["{folder}", "file://{folder}", "runs:/{run_id}/m", "http://127.0.0.1:9/m", "models:/wine/1"])
def test_a_winners_model_is_a_logged_model_whatever_its_runs_tag_says(place, run, store, in_process, tmp_path):
    document = json.loads(run(1, "--no-promote").stdout)
    run_id = document["selection"]["winner"]["run_id"]
    store.client.set_tag(run_id, "wine_sweep.model", place.format(folder=tmp_path, run_id=run_id))
    ended = in_process("promote", "latest")
    assert ended.returncode == 1
    assert "which is no logged model (models:/m-…)" in in_one_line(ended.stderr)
    assert store.client.search_registered_models() == []


@pytest.fixture
def stranger():
    """A server that takes down who asks it."""
    heard: list[str | None] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            heard.append(self.headers.get("Authorization"))
            self.send_error(404)

        def log_message(self, *_arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/api/2.0/mlflow-artifacts/artifacts/model", heard
    server.shutdown()
    server.server_close()


def test_the_credentials_for_the_store_are_sent_to_no_other_server(stranger, run, store, in_process, monkeypatch):
    place, heard = stranger
    assert run(1).returncode == 0
    put_in_staging(store, place)
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "secret")
    ended = in_process("check", "wine", "--data", "wine-quality-white")
    assert ended.returncode == 1
    assert "a server that is not the store's" in in_one_line(ended.stderr)
    assert heard == []
    mlflow.set_tracking_uri(store.uri)
    with pytest.raises(ModelError, match="404"):
        load_model("models:/wine/2", ModelTrust("wine", is_trusted=True))
    assert "Bearer secret" in heard


@pytest.mark.parametrize(
    ("store_uri", "place", "expected"),
    [
        ("https://mlflow.example", "mlflow-artifacts:/1/models/m-1", False),
        ("https://mlflow.example", "mlflow-artifacts://mlflow.example/1", False),
        ("https://mlflow.example", "https://me:secret@mlflow.example:443/api", False),
        ("https://mlflow.example", "http://mlflow.example/api", True),
        ("http://mlflow.example:5000", "mlflow-artifacts://mlflow.example/1", True),
        ("http://mlflow.example:5000", "http://evil.example:5000/api", True),
        ("sqlite:///mlflow.db", "http://evil.example/api", True),
        ("https://mlflow.example", "s3://bucket/1", False),
        ("sqlite:///mlflow.db", "/mlruns/1", False),
    ],
)
def test_which_servers_are_others(store_uri, place, expected, store):
    mlflow.set_tracking_uri(store_uri)
    assert artifacts.is_elsewhere(place) is expected


@pytest.mark.slow
def test_a_folder_without_a_model_is_not_copied(run, store, in_process, tmp_path):
    assert run(1).returncode == 0
    put_in_staging(store, str(tmp_path))
    ended = in_process("check", "wine", "--data", "wine-quality-white")
    assert ended.returncode == 1
    assert "there is no model at" in in_one_line(ended.stderr)


def test_nothing_is_left_of_a_model_that_was_loaded_or_refused(store, rows, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", None)
    features, target = rows
    logged_by_sklearn(Ridge().fit(features, target), registered_model_name="theirs")
    loaded = load_model("models:/theirs/1", ModelTrust("theirs"))
    assert [os.stat(each).st_mode & 0o777 for each in (tmp_path / "tmp").glob("wine-sweep-model-*")] == [0o700]
    del loaded
    with pytest.raises((ModelError, MlflowException)):
        load_model("models:/theirs/7", ModelTrust("theirs"))
    assert list((tmp_path / "tmp").glob("wine-sweep-model-*")) == []


PYTHON_MODEL = """
from mlflow.pyfunc import PythonModel

class Always(PythonModel):
    def predict(self, context, model_input):
        return [5.6] * len(model_input)

def train(params, context):
    return {"rmse": 0.1}, Always()
"""
ESTIMATOR = "from sklearn.linear_model import Ridge\n\nclass Curved(Ridge):\n    pass\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    "made",
    [
        ("always.py", PYTHON_MODEL, "{function: always.py:train}", "always.py"),
        ("curved.py", ESTIMATOR, "{estimator: curved.Curved}", "curved"),
    ],
)
def test_who_makes_a_model_of_their_own_promotes_it_and_is_asked_to_trust_it_later(made, store, in_process):
    file, code, model, trust = made
    (store.folder / file).write_text(code)
    (store.folder / "c.yaml").write_text(
        f"data: {{source: wine-quality-red, seed: 40}}\nmodel: {model}\nsearch: {{parameters: {{alpha: [1]}}}}\n"
        "objective: rmse\nevaluation: {cv: 2}\nexecution: {workers: 1}\nregistry: {name: own, gate: false}\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", list(sys.path))
        ended = in_process("run", "c.yaml", "--trust", trust, "--quiet", "--json")
        assert ended.returncode == 0, ended.stderr
        assert json.loads(ended.stdout)["promotion"]["version"] == "1"
        check = ("check", "own", "--data", "wine-quality-white", "--trust", trust)
        refused = in_process(*check)
        assert refused.returncode == 1
        assert "run with --trust model:own" in in_one_line(refused.stderr)
        trusted = in_process(*check, "--trust", "model:own")
        assert trusted.returncode in (0, 3), trusted.stderr
