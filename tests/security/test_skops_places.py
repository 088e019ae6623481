"""Models of nothing but known parts, put together so that loading or predicting would do more than reckon."""

from __future__ import annotations

import copy
import datetime as dt
import functools
import io
import json
import operator
import zipfile
from collections import Counter, OrderedDict, defaultdict

import numpy as np
import pytest
import skops.io
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier, StackingClassifier, StackingRegressor
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.feature_selection import SelectFromModel
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import make_scorer, r2_score
from sklearn.metrics._scorer import _PassthroughScorer
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import ClassifierChain
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.utils import check_array

from wine_sweep.tracking import skops_policy
from wine_sweep.tracking.skops_policy import read_skops

BYTES = np.frombuffer(b"\necho written\n", dtype=np.uint8).copy()


def having(model, **attributes):
    """Give a model attributes, as a file can."""
    vars(model).update(attributes)
    return model


def stacked(estimator, method):
    stack = StackingRegressor([])
    return having(stack, estimators_=[estimator], stack_method_=[method], passthrough=False, final_estimator_=DummyClassifier())


def writing(path):
    """Write a file on predicting: the path is predicted, and given to an array's `tofile`."""
    says_path = DummyClassifier(strategy="constant", constant=str(path)).fit([[0], [1]], [str(path), "other"])
    taking = FunctionTransformer(operator.itemgetter(0))
    return Pipeline(
        [("a", stacked(says_path, "predict")), ("b", taking), ("c", taking), ("d", stacked(FrozenEstimator(BYTES), "tofile"))]
    )


def judged(path, model, change=lambda schema: None):
    """Say what is refused of a model's skops file, after a change of its schema."""
    whole = zipfile.ZipFile(io.BytesIO(skops.io.dumps(model)))
    schema = json.loads(whole.read("schema.json"))
    change(schema)
    with zipfile.ZipFile(path / "model.skops", "w") as archive:
        for name in whole.namelist():
            archive.writestr(name, json.dumps(schema) if name == "schema.json" else whole.read(name))
    return "; ".join(read_skops(path / "model.skops").refused)


def test_a_model_that_writes_a_file_by_text_that_names_a_method_is_refused_for_each_part_of_it(tmp_path):
    model = writing(tmp_path / "written")
    said = judged(tmp_path, model)
    assert "'stack_method_' of 'sklearn.ensemble._stacking.StackingRegressor' that is none of" in said
    assert "'estimator' of 'sklearn.frozen._frozen.FrozenEstimator' that is no estimator ('numpy.ndarray')" in said
    assert "'operator.itemgetter'" in said
    with pytest.raises(AttributeError):  # of what `tofile` gives
        model.predict([[0]])
    assert (tmp_path / "written").read_bytes() == BYTES.tobytes()  # so there was something to refuse


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (stacked(Ridge(), "tofile"), "'stack_method_' of"),
        (stacked(Ridge(), "fit"), "'stack_method_' of"),
        (StackingClassifier([], stack_method="__init__"), "'stack_method' of"),
        (having(ClassifierChain(Ridge()), chain_method_="tofile"), "'chain_method_' of"),
        (SelectFromModel(Ridge(), importance_getter="__class__.__init__"), "'importance_getter' of"),
        (SelectFromModel(Ridge(), importance_getter=np.mean), "'importance_getter' of"),
        (GridSearchCV(Ridge(), {}, scoring=having(make_scorer(r2_score), _response_method="tofile")), "'_response_method' of"),
        (
            GridSearchCV(Ridge(), {}, scoring=having(make_scorer(r2_score), _response_method=("predict", "dump"))),
            "'_response_method'",
        ),
        (FrozenEstimator(BYTES), "'estimator' of"),
        (FrozenEstimator([Ridge()]), "'estimator' of"),
        (FrozenEstimator({"predict": 1}), "'estimator' of"),
        (having(GridSearchCV(Ridge(), {}), best_estimator_=BYTES), "'best_estimator_' of"),
        (TransformedTargetRegressor(BYTES), "'regressor' of"),
        (stacked(BYTES, "predict"), "'estimators_' of"),
        (stacked(np.mean, "predict"), "'estimators_' of"),
        (Pipeline([("a", BYTES)]), "'steps' of"),
        (having(Pipeline([]), steps=[("a", make_scorer(r2_score))]), "'steps' of"),
        (ColumnTransformer([("a", BYTES, [0])]), "'transformers' of"),
        (FunctionTransformer(operator.itemgetter(0)), "'operator.itemgetter' in a form"),
        (FunctionTransformer(operator.itemgetter(slice(0, 5))), "'operator.itemgetter' in a form"),
        (FunctionTransformer(operator.methodcaller("to_pickle", "x")), "'operator.methodcaller' in a form"),
        (FunctionTransformer(operator.methodcaller("astype", {"x": "U1000000000"})), "'operator.methodcaller' in a form"),
        (FunctionTransformer(operator.methodcaller("astype", "float64")), "'operator.methodcaller' in a form"),
        (FunctionTransformer(operator.methodcaller("convert_dtypes", False)), "'operator.methodcaller' in a form"),
        (having(Ridge(), predict=operator.methodcaller("convert_dtypes")), "'operator.methodcaller' as 'predict'"),
        (having(Ridge(), predict=operator.itemgetter("x")), "'operator.itemgetter' as 'predict'"),
        (having(Ridge(), predict=np.mean), "'numpy.mean' as 'predict'"),
        (having(Ridge(), extra_=[np.mean]), "'numpy.mean' as 'extra_'"),
        (FunctionTransformer(make_scorer(r2_score)), "_Scorer' as 'func'"),
        (FunctionTransformer(functools.partial(_PassthroughScorer(None), Ridge())), "'functools.partial' in a form"),
        (FunctionTransformer(functools.partial(np.clip, a_min=Ridge())), "'functools.partial' in a form"),
        (FunctionTransformer(having(functools.partial(np.clip, a_min=0), predict=1)), "'functools.partial' in a form"),
        (FunctionTransformer(functools.partial(np.clip, dtype=[np.float64])), "'functools.partial' in a form"),
        (FunctionTransformer(functools.partial(check_array, dtype=[Ridge])), "'functools.partial' in a form"),
        (FunctionTransformer(functools.partial(check_array, dtype=np.float64)), "'functools.partial' in a form"),
        (FunctionTransformer(functools.partial(check_array, estimator=Ridge())), "'functools.partial' in a form"),
        (FunctionTransformer(dict), "'builtins.dict' as 'func'"),
        (having(Ridge(), __array__=1), "'__array__' of"),
    ],
)
def test_what_may_not_stand_where_it_does(tmp_path, model, said):
    assert said in judged(tmp_path, model)


X = np.array([[0.0, 1.0], [1.0, 0.0]] * 6)
Y = np.array([0, 1] * 6)


@pytest.mark.parametrize(
    "model",
    [
        StackingClassifier(
            [("a", LogisticRegression()), ("b", "drop")], LogisticRegression(), stack_method="predict_proba", cv=2
        ),
        make_pipeline(ColumnTransformer([("a", OneHotEncoder(), [0]), ("b", "passthrough", slice(1, 2))]), Ridge()),
        make_pipeline(StandardScaler(), FrozenEstimator(Ridge().fit(X, Y))),
        TransformedTargetRegressor(Ridge(), func=np.log1p, inverse_func=np.expm1),
        GridSearchCV(make_pipeline(StandardScaler(), Ridge()), {"ridge__alpha": [1, 2]}, scoring=["r2"], refit="r2", cv=2),
        CalibratedClassifierCV(LogisticRegression(class_weight={0: 1, 1: 2}), cv=2),
        make_pipeline(SelectFromModel(Ridge(), importance_getter="coef_"), Ridge()),
        make_pipeline(FunctionTransformer(functools.partial(np.clip, a_min=0, a_max=1)), Ridge()),
        HistGradientBoostingClassifier(max_iter=2, categorical_features=[0]),
    ],
    ids=lambda model: type(model).__name__,
)
def test_models_that_are_put_together_as_usual_are_loaded(tmp_path, model):
    assert judged(tmp_path, model.fit(X, Y)) == ""
    trusted = list(read_skops(tmp_path / "model.skops").types)
    np.testing.assert_array_equal(skops.io.load(tmp_path / "model.skops", trusted=trusted).predict(X), model.predict(X))


PLAIN = {
    "an OrderedDict": OrderedDict(a=1, b=[2.5, None]),
    "a Counter": Counter("aab"),
    "a defaultdict": defaultdict(OrderedDict, a=OrderedDict(b=1)),
    "a dict with numbers as keys": {2: "a", 2.5: "b", True: None},
    "an array of objects": np.array([["a", 1], [None, 2.5]], dtype=object),
    "a masked array of numbers": np.ma.MaskedArray([1.0, 2.0], [False, True]),
    "a masked array of objects": np.ma.MaskedArray(np.array(["a", None], dtype=object), [False, True]),
    "a masked array without a mask": np.ma.MaskedArray(np.array([["a"], [1]], dtype=object)),
    "an array of dicts": np.array([{"a": 1}, (1, "b")], dtype=object),
    "times": [dt.datetime(2026, 1, 1, tzinfo=dt.UTC), dt.timedelta(1), np.datetime64("2026-01-01")],
    "bytes": [b"a", bytearray(b"b"), {1}, frozenset([1]), range(3), slice(1, None)],
    "generators": [np.random.RandomState(0), np.random.default_rng(0)],
    "numbers of numpy": [np.float32(1), np.int8(1), np.bool_(True), np.str_("a"), np.dtype("f8")],
}


@pytest.mark.parametrize("value", list(PLAIN.values()), ids=list(PLAIN))
def test_what_skops_writes_for_data_is_loaded(tmp_path, value):
    assert judged(tmp_path, having(Ridge(), extra_=value)) == ""
    loaded = skops.io.load(tmp_path / "model.skops", trusted=list(read_skops(tmp_path / "model.skops").types)).extra_
    assert type(loaded) is type(value)
    if not any("Random" in repr(each) or "Generator" in repr(each) for each in value):
        assert repr(loaded) == repr(value)


# How files are changed so that skops itself would call what they hold, or takes another text than the one that was judged.


def calling_a_key_type(schema):
    attributes = schema["content"]["content"]
    attributes["extra_"]["key_types"]["content"] = [attributes.pop("func")]
    schema["content"]["key_types"]["content"].pop()


def constructing_any_type(schema):
    schema["content"]["key_types"]["content"][0] |= {"__class__": "bytes"}


def shortening_a_key(schema):
    attributes = schema["content"]
    getter = attributes["content"].pop("func")
    attributes["content"]["inputXX"] = {**copy.deepcopy(attributes["content"]["input"]), "content": '"filename"', "__id__": 10**9}
    attributes["key_types"]["content"][-1] = getter


def without_its_key_types(schema):
    schema["content"]["key_types"]["content"].pop()


def a_state_that_is_a_list(schema):
    schema["content"] = {**schema["content"], "__loader__": "ListNode", "__class__": "list", "content": []}


def a_state_that_is_a_bunch(schema):
    schema["content"] |= {"__module__": "sklearn.utils._bunch", "__class__": "Bunch"}


def a_default_factory(schema):
    attributes = schema["content"]["content"]
    factory = attributes.pop("func")
    schema["content"]["key_types"]["content"].pop()
    made = {"__class__": "defaultdict", "__module__": "collections", "__loader__": "DefaultDictNode"}
    attributes["extra_"] = {**made, "content": {"main": attributes["extra_"], "default_factory": factory}}


def a_masked_array(schema):
    attributes = schema["content"]["content"]
    made = {"__class__": "MaskedArray", "__module__": "numpy.ma", "__loader__": "MaskedArrayNode"}
    attributes["extra_"] = {**made, "content": {"data": attributes["extra_"], "mask": attributes["extra_"]}}


def a_mask_of_objects(schema):
    attributes = schema["content"]["content"]
    made = {"__class__": "MaskedArray", "__module__": "numpy.ma", "__loader__": "MaskedArrayNode"}
    array = {"__class__": "ndarray", "__module__": "numpy", "__loader__": "NdArrayNode", "type": "json", "content": []}
    shape = {"__class__": "tuple", "__module__": "builtins", "__loader__": "TupleNode", "content": []}
    attributes["extra_"] = {**made, "content": {"data": {**array, "shape": shape}, "mask": {**array, "shape": shape}}}


def a_set_of_a_range(schema):
    made = {"__module__": "builtins", "__loader__": "ConstructorFromReduceNode"}
    tuple_of = {"__class__": "tuple", "__module__": "builtins", "__loader__": "TupleNode"}
    number = {"__class__": "str", "__module__": "builtins", "__loader__": "JsonNode", "content": "9000000000000"}
    inner = {**made, "__class__": "range", "content": {**tuple_of, "content": [number]}}
    schema["content"]["content"]["extra_"] = {**made, "__class__": "frozenset", "content": {**tuple_of, "content": [inner]}}


@pytest.mark.parametrize(
    "change",
    [
        calling_a_key_type,
        constructing_any_type,
        shortening_a_key,
        without_its_key_types,
        a_state_that_is_a_list,
        a_state_that_is_a_bunch,
        a_default_factory,
        a_masked_array,
        a_mask_of_objects,
        a_set_of_a_range,
    ],
)
def test_what_skops_does_not_write_is_refused(tmp_path, change):
    model = having(CountVectorizer().fit(["ab cd"]), extra_={"k": 1}, func=functools.partial(np.clip, a_min=0))
    assert judged(tmp_path, model) == ""
    assert "in a form that skops does not write" in judged(tmp_path, model, change)


@pytest.mark.parametrize("loader", [1, None, ["ListNode"], {"a": 1}])
def test_a_loader_that_is_no_name_is_refused(tmp_path, loader):
    said = judged(tmp_path, Ridge(), lambda schema: schema["content"]["content"]["alpha"].update(__loader__=loader))
    assert "without the name of a loader" in said


def test_a_key_that_stands_twice_is_refused(tmp_path):
    text = zipfile.ZipFile(io.BytesIO(skops.io.dumps(CountVectorizer()))).read("schema.json").decode()
    with zipfile.ZipFile(tmp_path / "model.skops", "w") as archive:
        archive.writestr("schema.json", text.replace('"input":', '"input": null, "input":', 1))
    with pytest.raises(ValueError, match="a key that stands twice"):
        read_skops(tmp_path / "model.skops")


def test_a_file_that_unfolds_without_end_is_not_unfolded(tmp_path, monkeypatch):
    path = tmp_path / "model.skops"
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *_: pytest.fail("it was unfolded"))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("schema.json", "w") as schema:
        for _ in range(skops_policy.MOST_SCHEMA_BYTES // 2**20 + 1):
            schema.write(b" " * 2**20)
    with pytest.raises(ValueError, match=r"its schema.json has 135,266,304 bytes; at most 134,217,728 are read"):
        read_skops(path)


def test_data_that_unfold_without_end_are_not_unfolded(tmp_path, monkeypatch):
    monkeypatch.setattr(skops_policy, "MOST_BYTES", 2**20)
    skops.io.dump(having(Ridge(), coef_=np.zeros(2**20)), tmp_path / "model.skops", compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(ValueError, match="its data have more than 1,048,576 bytes when they are unfolded"):
        read_skops(tmp_path / "model.skops")


def test_an_array_is_no_archive_of_arrays(tmp_path):
    skops.io.dump(having(Ridge(), coef_=np.zeros(2)), tmp_path / "first.skops")
    held = io.BytesIO()
    np.savez(held, x=np.zeros(2))
    with zipfile.ZipFile(tmp_path / "first.skops") as first, zipfile.ZipFile(tmp_path / "model.skops", "w") as archive:
        for name in first.namelist():
            archive.writestr(name, held.getvalue() if name.endswith(".npy") else first.read(name))
    assert read_skops(tmp_path / "model.skops").refused == ("'numpy.ndarray' that is no array",)
