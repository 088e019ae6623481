"""What a config gives an estimator runs no code, and reads and writes no file that nobody trusts."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import joblib
import pytest
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from wine_sweep.config import parse_config
from wine_sweep.errors import ConfigError
from wine_sweep.evaluation.estimator_params import FILE_PARAMETERS, ModelFactory, find_refused
from wine_sweep.evaluation.estimators import EstimatorError, find_class
from wine_sweep.targets.prepare import prepare

PIPELINE = "{pipeline: {scale: sklearn.preprocessing.StandardScaler, ridge: sklearn.linear_model.Ridge}%s}"
SEARCH_CV = (
    "{pipeline: {first: {estimator: sklearn.model_selection.GridSearchCV, params: {estimator: {estimator: %s}, param_grid: %s,"
    " scoring: r2}}, ridge: sklearn.linear_model.Ridge}}"
)
UNPICKLES = "joblib writes into that folder, and unpickles what lies there; "
TRUST_CACHE = UNPICKLES + "run with --trust cache if you trust it"
SPACE = "LightGBM reads what follows a space as another parameter; leave the space out"
VECTORIZER = "{estimator: sklearn.feature_extraction.text.CountVectorizer, params: {input: filename}}"


def problems(folder, model, parameters="ridge__alpha: [1]", trusted=()):
    text = f"data: {{source: wine-quality-red}}\nmodel: {model}\nsearch: {{parameters: {{{parameters}}}}}\n"
    try:
        prepare(parse_config(text.encode(), source="c", folder=folder, default_name="c"), trusted=trusted)
    except ConfigError as error:
        return [f"{'.'.join(map(str, each.path))}: {each.message}" for each in error.problems]
    return []


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cache").mkdir()
    return tmp_path


@pytest.mark.quick(2)
@pytest.mark.parametrize(
    ("model", "parameters", "expected"),
    [
        (PIPELINE % ", params: {memory: cache}", "ridge__alpha: [1]", [f"model.params.memory: {TRUST_CACHE}"]),
        (
            PIPELINE % "",
            "memory: [null, cache, new]",
            [
                f"search.parameters.memory.1: {TRUST_CACHE}",
                f"search.parameters.memory.2: {UNPICKLES}there is none yet: make it, and run with --trust new"
                " if you trust it",
            ],
        ),
        (
            "{pipeline: {group: {estimator: sklearn.cluster.FeatureAgglomeration, params: {memory: cache}},"
            " ridge: sklearn.linear_model.Ridge}}",
            "ridge__alpha: [1]",
            [f"model.pipeline.group.params.memory: {TRUST_CACHE}"],
        ),
        (
            PIPELINE % ", params: {scale: {estimator: sklearn.cluster.FeatureAgglomeration, params: {memory: cache}}}",
            "ridge__alpha: [1]",
            [f"model.params.scale.params.memory: {TRUST_CACHE}"],
        ),
        (
            "{estimator: sklearn.compose.TransformedTargetRegressor}",
            "regressor: [{estimator: lightgbm.LGBMRegressor}], regressor__num_leaves: ['31 forcedbins_filename=/etc/passwd']",
            [f"search.parameters.regressor__num_leaves.0: {SPACE}"],
        ),
        (
            "{estimator: lightgbm.LGBMRegressor, params: {num_leaves: '31 forcedbins_filename=/etc/passwd'}}",
            "n_estimators: [2]",
            [f"model.params.num_leaves: {SPACE}"],
        ),
        (
            "{pipeline: {columns: {estimator: sklearn.compose.ColumnTransformer, params: {transformers: [[a, "
            f"{VECTORIZER}, x]]}}}}, ridge: sklearn.linear_model.Ridge}}}}",
            "ridge__alpha: [1]",
            [
                "model.pipeline.columns.params.transformers.0.1.params.input: input is not for a sweep: "
                "it reads the files that the table names"
            ],
        ),
        (
            SEARCH_CV % ("sklearn.cluster.FeatureAgglomeration", "{memory: [cache]}"),
            "ridge__alpha: [1]",
            [f"model.pipeline.first.params.param_grid.memory.0: {TRUST_CACHE}"],
        ),
        (
            SEARCH_CV % ("sklearn.cluster.FeatureAgglomeration", "[{n_clusters: [2]}, {memory: [cache]}]"),
            "ridge__alpha: [1]",
            [f"model.pipeline.first.params.param_grid.1.memory.0: {TRUST_CACHE}"],
        ),
        (
            "{estimator: sklearn.model_selection.GridSearchCV, params: {estimator: {estimator: lightgbm.LGBMRegressor},"
            " param_grid: {machines: ['127.0.0.1:1']}}}",
            "cv: [2]",
            ["model.params.param_grid.machines.0: machines is not for a sweep: LightGBM connects to other machines"],
        ),
        (
            SEARCH_CV % ("sklearn.cluster.FeatureAgglomeration", "{n_clusters: [2]}"),
            "first__param_grid: [{estimator__memory: [cache]}]",
            [f"search.parameters.first__param_grid.0.estimator__memory.0: {TRUST_CACHE}"],
        ),
        (
            "{estimator: lightgbm.LGBMClassifier, params: {class_weight: {test: 1, train: 2}}}",
            "n_estimators: [2]",
            [],
        ),
    ],
)  # fmt: skip
def test_a_parameter_that_names_files_needs_trust_of_them(folder, model, parameters, expected):
    found = problems(folder, model, parameters)
    assert [each for each in found if "is not for a sweep" in each or "trust" in each or "LightGBM" in each] == expected


def test_a_grid_with_a_trusted_folder_is_taken(folder):
    model = SEARCH_CV % ("sklearn.cluster.FeatureAgglomeration", "{memory: [cache], n_clusters: [2]}")
    assert problems(folder, model, trusted=["cache"]) == []


@pytest.mark.parametrize("trusted", ["cache", "./cache", ".", ".."])
def test_with_trust_it_is_taken(folder, trusted):
    assert problems(folder, PIPELINE % ", params: {memory: cache}", trusted=[trusted]) == []
    assert problems(folder, PIPELINE % ", params: {memory: cache}", trusted=["sklearn"]) != []


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("exploded",)


@pytest.mark.slow
def test_what_lies_in_a_cache_beside_the_config_is_unpickled_only_with_trust(in_process, store):
    """The same sweep fills the cache, somebody else changes what lies there: the next run is theirs."""
    model = PIPELINE % ", params: {memory: cache}"
    text = f"data: {{source: wine-quality-red}}\nmodel: {model}\nsearch: {{parameters: {{ridge__alpha: [1]}}}}\n"
    (store.folder / "c.yaml").write_text(text + "evaluation: {cv: 2}\nexecution: {backend: serial}\n")
    (store.folder / "cache").mkdir()
    assert in_process("run", "c.yaml", "--quiet", "--trust", "cache").returncode == 0
    kept = list((store.folder / "cache").rglob("output.pkl"))
    for path in kept:
        joblib.dump(Bomb(), path)
    assert kept
    refused = in_process("run", "c.yaml", "--quiet")
    assert refused.returncode == 2
    assert "c.yaml:2:" in refused.stderr
    assert "run with --trust cache if you trust it" in refused.stderr
    assert not (store.folder / "exploded").exists()


def test_the_parameters_of_a_recorded_trial_are_looked_at_too(folder):
    """They come from the store, where others may write."""
    template = make_pipeline(StandardScaler(), Ridge())
    factory = ModelFactory({None: template}, 0, {None: frozenset()})
    with pytest.raises(EstimatorError, match="unpickles what lies there"):
        factory.make({"memory": "cache"})
    trusting = ModelFactory({None: template}, 0, {None: frozenset()}, paths=(folder,))
    assert pickle.loads(pickle.dumps(trusting)).make({"memory": "cache"}).memory == "cache"


@pytest.mark.parametrize("parameter", FILE_PARAMETERS, ids=lambda each: f"{each.package}-{each.names[0]}")
def test_every_entry_of_the_list_is_refused_under_every_name(parameter):
    owner = type("Owner", (), {"__module__": f"{parameter.package}.somewhere"})
    for name in parameter.names:
        for value in parameter.values or ("there", 1, ["there"]):
            assert len(list(find_refused(owner, {name: value}, lambda path: False, (), ()))) == 1
        assert not list(find_refused(owner, {name: None}, lambda path: False, (), ()))
    assert bool(list(find_refused(owner, {parameter.names[0]: "there"}, lambda path: True, (), ()))) == (
        not parameter.is_path and not parameter.values
    )


@pytest.mark.parametrize(
    "dotted",
    [
        "sklearn.tests.test_base.MyEstimator",
        "sklearn.utils._testing.MinimalRegressor",
        "sklearn.utils._mocking.CheckingClassifier",
        "sklearn.conftest.Something",
        "sklearn.externals.array_api_compat.torch.Something",
        "xgboost.testing.data.Something",
        "xgboost.spark.SparkXGBRegressor",
        "lightgbm.dask.DaskLGBMRegressor",
    ],
)
def test_modules_that_bring_no_estimators_are_not_imported(dotted, monkeypatch):
    module = dotted.rpartition(".")[0]
    monkeypatch.delitem(sys.modules, module, raising=False)
    with pytest.raises(EstimatorError, match="is not imported"):
        find_class(dotted, (), ("model",))
    assert module not in sys.modules


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import sys; sys.exit(0)", "cannot be imported: SystemExit: 0"),
        ("class Odd(BaseException): pass\nraise Odd('no')", "cannot be imported: Odd: no"),
        ("import pytest; pytest.skip('no', allow_module_level=True)", "cannot be imported: Skipped: no"),
        ("class Mine:\n fit = get_params = 1\n def __init__(self): raise SystemExit('no')", "cannot be made: SystemExit: no"),
    ],
)  # fmt: skip
def test_whatever_an_estimators_module_raises_is_a_config_error(folder, monkeypatch, code, message):
    monkeypatch.syspath_prepend(str(folder))
    name = f"raises_{abs(hash(code))}"
    (folder / f"{name}.py").write_text(code)
    [found] = problems(folder, f"{{estimator: {name}.Mine}}", "x: [1]", trusted=[name])
    assert message in found


@pytest.mark.quick(1)
@pytest.mark.parametrize("backend", ["serial", "processes"])
def test_an_estimator_that_leaves_python_fails_its_trial_and_not_the_sweep(in_process, store, monkeypatch, backend):
    (store.folder / "leaves.py").write_text(
        "from sklearn.linear_model import Ridge\nclass Mine(Ridge):\n"
        "    def fit(self, X, y):\n        if self.alpha == 1: raise SystemExit(0)\n        return super().fit(X, y)\n"
    )
    (store.folder / "c.yaml").write_text(
        "data: {source: wine-quality-red}\nmodel: {estimator: leaves.Mine}\nsearch: {parameters: {alpha: [1, 2]}}\n"
        f"evaluation: {{cv: 2}}\nexecution: {{backend: {backend}}}\n"
    )
    done = in_process("run", "c.yaml", "--json", "--quiet", "--trust", "leaves")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["trials"]["failed"] == 1


REPRESENTATIVE = (
    "CountVectorizer",
    "FeatureAgglomeration",
    "LGBMRegressor",
    "OneHotEncoder",
    "Pipeline",
    "Ridge",
    "XGBRegressor",
)


def heard_of(*estimators: str) -> dict[tuple[str, str], list[str]]:
    """Fit estimators with text, and return what an audit hook heard by parameter and value."""
    command = [sys.executable, "-P", str(Path(__file__).parent / "audited_fits.py"), *estimators]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    report = json.loads(done.stdout)
    assert report["tried"] >= 10 * len(estimators)
    return {(name, value): events for name, value, events in report["heard"]}


def is_listed(name: str, value: str) -> bool:
    return any(name in each.names and each.means(value) for each in FILE_PARAMETERS)


@pytest.mark.slow
def test_the_list_has_every_parameter_that_an_audit_hook_hears_of():
    heard = heard_of(*REPRESENTATIVE)
    assert {("memory", "shipped"), ("input", "filename")} <= set(heard), "the hook hears"
    assert {key: events for key, events in heard.items() if not is_listed(*key)} == {}
