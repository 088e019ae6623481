"""What a saved model may hold to be loaded by anybody, decided without loading anything."""

from __future__ import annotations

import functools
import importlib
import io
import json
import operator
import zipfile

import numpy as np
import pytest
import scipy.special
import skops.io
import yaml
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from wine_sweep.tracking import skops_policy
from wine_sweep.tracking.model_policy import judge, read_mlmodel
from wine_sweep.tracking.skops_policy import read_skops


@pytest.fixture
def folder(tmp_path):
    """A model's files: a skops file, and something else."""
    (tmp_path / "model").mkdir()
    skops.io.dump(Ridge(), tmp_path / "model" / "model.skops")
    (tmp_path / "data.json").write_text("{}")
    (tmp_path.parent / "outside.json").write_text("{}")
    return tmp_path


def judged(folder, flavors, **more):
    (folder / "MLmodel").write_text(yaml.safe_dump({"flavors": flavors, **more}))
    return judge(folder, read_mlmodel(folder))


def sklearn(**changes):
    flavor = {"serialization_format": "skops", "pickled_model": "model/model.skops", "skops_trusted_types": ["os.system"]}
    pyfunc = {"loader_module": "mlflow.sklearn", "model_path": "model/model.skops", "predict_fn": "predict"}
    return {
        "python_function": {**pyfunc, **{key: value for key, value in changes.items() if key in (*pyfunc, "code")}},
        "sklearn": {**flavor, **{key: value for key, value in changes.items() if key in flavor}},
    }


def native(library, **flavor):
    return {"python_function": {"loader_module": f"mlflow.{library}", "data": "data.json"}, library: flavor}


def test_mlflow_gets_to_see_what_was_judged_and_nothing_else(folder):
    claimed = sklearn()
    claimed["python_function"] |= {"env": "conda.yaml", "config": {"x": 1}}
    signature = {"inputs": "[]", "outputs": None, "params": None, "more": "x"}
    found = judged(folder, {**claimed, "spark": {"data": "x"}}, signature=signature, saved_input_example_info={"a": "../x"})
    assert found.reasons == ()
    assert found.mlmodel == {
        "signature": {"inputs": "[]"},
        "flavors": {
            "python_function": {"loader_module": "mlflow.sklearn", "model_path": "model/model.skops", "predict_fn": "predict"},
            "sklearn": {
                "pickled_model": "model/model.skops",
                "serialization_format": "skops",
                "skops_trusted_types": ["builtins.dict", "builtins.list", "builtins.str", "sklearn.linear_model._ridge.Ridge"],
            },
        },
    }


@pytest.mark.parametrize(
    ("flavors", "said"),
    [
        (sklearn(loader_module="this"), "its loader module is 'this'"),
        (sklearn(loader_module=["mlflow.sklearn"]), "its loader module is ['mlflow.sklearn']"),
        (sklearn(loader_module="mlflow.pyfunc.model"), "its loader module is 'mlflow.pyfunc.model'"),
        (sklearn(code="code"), "it brings code of its own, in 'code'"),
        (sklearn(serialization_format="cloudpickle"), "it is pickled (serialization_format 'cloudpickle')"),
        (sklearn(serialization_format=None), "it is pickled (serialization_format None)"),
        ({"python_function": sklearn()["python_function"]}, "has no flavor sklearn"),
        ({"sklearn": sklearn()["sklearn"]}, "it has no flavor python_function"),
        (sklearn(model_path="../outside.json"), "its model is in '../outside.json', which is no file of its own"),
        (sklearn(model_path="/etc/passwd"), "which is no file of its own"),
        (sklearn(model_path="model"), "which is no file of its own"),
        (sklearn(model_path="data.json"), "it is no skops file: BadZipFile"),
        (sklearn(predict_fn="__class__"), "it predicts by '__class__'"),
        (native("xgboost", data="data.json", model_class="os.system"), "it is to be made as 'os.system'"),
        (native("xgboost", data="data.json", model_class="xgboost.core.DMatrix"), "which is no class of xgboost's models"),
        (native("lightgbm", data="data.json", model_class="lightgbm.sklearn.LGBMRegressor"), "it is pickled"),
        (native("lightgbm", data="data.json", model_class="lightgbm.basic.Dataset"), "no class of lightgbm's models"),
        (native("catboost", data="data.json", model_type="Pool", save_format="cbm"), "not one of catboost's models"),
    ],
)
def test_why_a_model_is_not_loaded(folder, flavors, said):
    found = judged(folder, flavors)
    assert said in "; ".join(found.reasons)
    assert not found.mlmodel


def test_formats_of_libraries_are_data(folder):
    assert not judged(folder, native("xgboost", data="data.json", model_class="xgboost.sklearn.XGBRegressor")).reasons
    assert not judged(folder, native("lightgbm", data="data.json")).reasons
    assert not judged(folder, native("catboost", data="data.json", model_type="CatBoost", save_format="json")).reasons


@pytest.mark.quick(3)
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("!!python/object/apply:os.system [id]", "cannot be read: ConstructorError"),
        ("[" * 3000, "cannot be read"),
        (r'flavors: {a: "\UFFFFFFFF"}', "cannot be read: OverflowError"),
        ("flavors: {a: !!bool maybe}", "cannot be read: KeyError"),
        ("flavors: {a: !!int ''}", "cannot be read: IndexError"),
        ("flavors: {a: !!timestamp x}", "cannot be read: AttributeError"),
        ("flavors: [1]", "names no flavors"),
        ("x" * (16 * 2**20 + 1), "more than 16 MiB"),
    ],
    ids=["tag", "deep", "no-character", "no-boolean", "no-number", "no-moment", "list", "long"],
)
def test_an_mlmodel_that_is_none(tmp_path, text, said):
    (tmp_path / "MLmodel").write_text(text)
    with pytest.raises(ValueError, match=said):
        read_mlmodel(tmp_path)


@pytest.mark.parametrize(
    ("lines", "last"),
    [
        (["a0: &a0 [x, x]", *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 40))], "flavors: {python_function: *a39}"),
        (["a0: &a0 {x: 1}", *(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}" for n in range(1, 40))], "flavors: {}"),
        ([], "flavors: " + "{<<: " * 25 + "{a: 1}" + "}" * 25),
        ([], "flavors: " + "{<<: [{}, " * 25 + "{a: 1}" + "]}" * 25),
    ],
    ids=["aliases", "merged-aliases", "merges", "merged-lists"],
)
def test_an_mlmodel_that_unfolds_without_end_is_refused(tmp_path, lines, last):
    (tmp_path / "MLmodel").write_text("\n".join([*lines, last]))
    with pytest.raises(ValueError, match=r"its MLmodel cannot be read: (Composer|Constructor)Error"):
        read_mlmodel(tmp_path)


def refused(path, model=None, change=lambda schema: None):
    """Say what of a model's skops file is refused, after a change of its text."""
    schema = json.loads(zipfile.ZipFile(io.BytesIO(skops.io.dumps(model))).read("schema.json"))
    change(schema)
    with zipfile.ZipFile(path / "changed.skops", "w") as archive:
        archive.writestr("schema.json", json.dumps(schema))
    return read_skops(path / "changed.skops").refused


@pytest.mark.parametrize(
    "harmless",
    [
        np.log1p,
        np.mean,
        scipy.special.expit,
        functools.partial(np.clip, a_min=0),
        operator.itemgetter("x"),
        operator.methodcaller("convert_dtypes"),
        operator.methodcaller("astype", {"x": "Float64", "when": "datetime64[us, Europe/Paris]"}),
    ],
)
def test_functions_that_only_reckon_may_be_held(tmp_path, harmless):
    assert refused(tmp_path, FunctionTransformer(harmless)) == ()


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (np.save, "numpy.save"),
        (np.fromfile, "numpy.fromfile"),
        (eval, "builtins.eval"),
        (importlib.import_module, "importlib.import_module"),
        (scipy.special.test, "PytestTester"),
        (np.memmap, "numpy.memmap"),
        (Ridge().fit, "Ridge"),
        (operator.attrgetter("__class__"), "operator.attrgetter"),
        (operator.methodcaller("to_csv", "x"), "operator.methodcaller"),
        (functools.partial(np.savetxt, "x"), "numpy.savetxt"),
    ],
)
def test_functions_that_do_more_are_refused(tmp_path, function, name):
    model = FunctionTransformer(function)
    try:
        found = refused(tmp_path, model)
    except (AttributeError, skops.io.exceptions.UnsupportedTypeException) as error:
        pytest.skip(f"skops does not save it: {error}")
    assert name in " ".join(found)


def as_constructor(schema):
    schema["__loader__"] = "ConstructorFromReduceNode"


def as_function(schema):
    schema |= {"__loader__": "FunctionNode", "__module__": "sklearn.utils._testing", "__class__": "TempMemmap"}


def unnamed(schema):
    schema["__class__"] = None


def reexported(schema):
    schema |= {"__module__": "sklearn.calibration", "__class__": "Parallel"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (as_constructor, "'sklearn.linear_model._ridge.Ridge' ('ConstructorFromReduceNode')"),
        (as_function, "'sklearn.utils._testing.TempMemmap' ('FunctionNode')"),
        (unnamed, "'sklearn.linear_model._ridge.None'"),
        (reexported, "'sklearn.calibration.Parallel'"),
    ],
)
def test_a_loader_is_given_no_other_names_than_its_own(tmp_path, change, said):
    assert said in refused(tmp_path, Ridge(), change)


@pytest.mark.parametrize("protocol", [0, None, True, "2"])
def test_a_protocol_of_another_kind_is_refused(tmp_path, protocol):
    with pytest.raises(ValueError, match="it is a skops file of protocol"):
        refused(tmp_path, Ridge(), lambda schema: schema.update(protocol=protocol))


def first_attribute(schema):
    """The vectorizer's `input`, in a pipeline's first step."""
    steps = schema["content"]["content"]["steps"]["content"]
    return steps[0]["content"][1]["content"]["content"]["input"]


def hidden_by_its_id(schema):
    """What skops takes is what has the same id and comes first."""
    text = first_attribute(schema)
    decoy = {**text, "content": '"filename"', "__id__": 7.0}
    schema["content"]["content"] = {"first": decoy, **schema["content"]["content"]}
    text["__id__"] = 7


def hidden_by_a_whole_number(schema):
    hidden_by_its_id(schema)
    schema["content"]["content"]["first"]["__id__"] = 7
    schema["content"]["key_types"]["content"].append(schema["content"]["key_types"]["content"][0])


@pytest.mark.parametrize(
    ("change", "said"),
    [(hidden_by_its_id, "an id that is no number (7.0)"), (hidden_by_a_whole_number, "several objects with one id")],
)
def test_skops_takes_nothing_else_for_what_was_judged(tmp_path, change, said):
    assert said in "; ".join(refused(tmp_path, make_pipeline(TfidfVectorizer(), Ridge()), change))


def test_a_vectorizer_opens_no_files(tmp_path):
    assert refused(tmp_path, make_pipeline(TfidfVectorizer(), Ridge())) == ()
    said = "'sklearn.feature_extraction.text.TfidfVectorizer' with an `input` that is not 'content'"
    assert refused(tmp_path, make_pipeline(TfidfVectorizer(input="filename"), Ridge())) == (said,)
    cached = refused(
        tmp_path,
        make_pipeline(TfidfVectorizer(), Ridge()),
        lambda schema: first_attribute(schema).update(__loader__="CachedNode"),
    )
    assert said in cached
    assert "'builtins.str' ('CachedNode')" in cached


def test_the_lists_name_classes_where_they_are_defined_and_not_what_modules_import():
    here = [name for name in skops_policy._OBJECTS if name.startswith(("sklearn.", "scipy."))]
    found = 0
    for dotted in here:
        module, _, name = dotted.rpartition(".")
        made = getattr(importlib.import_module(module), name, None)
        if made is not None:  # other versions of scikit-learn have others
            assert isinstance(made, type)
            assert made.__module__ == module, dotted
            found += 1
    assert found > 60
