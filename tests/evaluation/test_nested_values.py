"""Pipelines, tuples, functions and columns in the parameters of an estimator: the model is the one that plain code makes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.spatial.distance
import skops.io
import yaml
from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_selector
from sklearn.decomposition import PCA
from sklearn.ensemble import BaggingClassifier, RandomForestClassifier, StackingClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.feature_selection import SelectKBest, f_classif, mutual_info_classif
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import balanced_accuracy_score
from sklearn.metrics.pairwise import laplacian_kernel
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, OneHotEncoder, RobustScaler, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from wine_sweep.config import ModelConfig
from wine_sweep.config.search import exact_key
from wine_sweep.evaluation.estimator_params import ModelFactory, find_refused
from wine_sweep.evaluation.estimators import EstimatorError, build_model, chosen_states, describe_needs, set_params
from wine_sweep.evaluation.functions import FunctionError, _listed, find_function
from wine_sweep.tracking.skops_policy import read_skops
from wine_sweep.trial import canonical_json

SEARCH = ("search", "parameters")


def built(text):
    made = build_model(ModelConfig(**yaml.safe_load(text)), ())
    assert made.problems == []
    return made.model


def structure(value):
    """Describe an estimator, or a value of one, so that two are alike if and only if the same code made them."""
    if isinstance(value, BaseEstimator):
        return type(value), {name: structure(each) for name, each in value.get_params(deep=False).items()}
    if isinstance(value, make_column_selector):
        return type(value), vars(value)
    if isinstance(value, list | tuple):
        return type(value), [structure(each) for each in value]
    return type(value), repr(value)


MODELS = {
    "pipelines in a ColumnTransformer": (
        """
        pipeline:
          prep:
            estimator: sklearn.compose.ColumnTransformer
            params:
              transformers:
                - - cat
                  - pipeline:
                      impute: {estimator: sklearn.impute.SimpleImputer, params: {strategy: most_frequent}}
                      encode: sklearn.preprocessing.OneHotEncoder
                  - [island, sex]
                - [num, {pipeline: {impute: sklearn.impute.SimpleImputer, scale: {pipeline: {a: passthrough}}}}, {dtype: number}]
                - [text, sklearn.feature_extraction.text.TfidfVectorizer, review]
                - [rest, passthrough, {columns: {dtype: [date, category]}}]
              remainder: drop
          clf: sklearn.linear_model.LogisticRegression
        """,
        lambda: Pipeline(
            [
                (
                    "prep",
                    ColumnTransformer(
                        [
                            (
                                "cat",
                                Pipeline([("impute", SimpleImputer(strategy="most_frequent")), ("encode", OneHotEncoder())]),
                                ["island", "sex"],
                            ),
                            (
                                "num",
                                Pipeline([("impute", SimpleImputer()), ("scale", Pipeline([("a", "passthrough")]))]),
                                make_column_selector(dtype_include=["number", "bool"]),
                            ),
                            ("text", TfidfVectorizer(), "review"),
                            (
                                "rest",
                                "passthrough",
                                make_column_selector(dtype_include=["datetime", "datetimetz", "category"]),
                            ),
                        ],
                        remainder="drop",
                    ),
                ),
                ("clf", LogisticRegression()),
            ]
        ),
    ),
    "a pipeline as a step": (
        """
        pipeline:
          prep:
            pipeline: {scale: sklearn.preprocessing.StandardScaler, pca: sklearn.decomposition.PCA}
            params: {pca__n_components: 2}
          none: passthrough
          clf: sklearn.linear_model.LogisticRegression
        params: {prep__scale__with_mean: false}
        """,
        lambda: Pipeline(
            [
                ("prep", Pipeline([("scale", StandardScaler(with_mean=False)), ("pca", PCA(n_components=2))])),
                ("none", "passthrough"),
                ("clf", LogisticRegression()),
            ]
        ),
    ),
    "pipelines in ensembles": (
        """
        estimator: sklearn.ensemble.StackingClassifier
        params:
          estimators:
            - [lr, {pipeline: {scale: sklearn.preprocessing.StandardScaler, lr: sklearn.linear_model.LogisticRegression}}]
            - [nb, sklearn.naive_bayes.GaussianNB]
          final_estimator:
            estimator: sklearn.ensemble.BaggingClassifier
            params:
              estimator: {pipeline: {scale: sklearn.preprocessing.RobustScaler, tree: sklearn.tree.DecisionTreeClassifier}}
        """,
        lambda: StackingClassifier(
            [
                ("lr", Pipeline([("scale", StandardScaler()), ("lr", LogisticRegression())])),
                ("nb", GaussianNB()),
            ],
            final_estimator=BaggingClassifier(
                Pipeline([("scale", RobustScaler()), ("tree", DecisionTreeClassifier())]),
            ),
        ),
    ),
    "calibration, and a dotted path alone": (
        """
        estimator: sklearn.calibration.CalibratedClassifierCV
        params:
          estimator:
            pipeline:
              union:
                estimator: sklearn.pipeline.FeatureUnion
                params: {transformer_list: [[pca, sklearn.decomposition.PCA], [all, passthrough]]}
              bag: {estimator: sklearn.ensemble.BaggingClassifier, params: {estimator: sklearn.svm.SVC}}
        """,
        lambda: CalibratedClassifierCV(
            Pipeline(
                [
                    ("union", FeatureUnion([("pca", PCA()), ("all", "passthrough")])),
                    ("bag", BaggingClassifier(SVC())),
                ]
            )
        ),
    ),
    "functions": (
        """
        estimator: sklearn.compose.TransformedTargetRegressor
        params: {regressor: sklearn.linear_model.Ridge, func: numpy.log1p, inverse_func: numpy.expm1}
        """,
        lambda: TransformedTargetRegressor(Ridge(), func=np.log1p, inverse_func=np.expm1),
    ),
    "functions in steps": (
        """
        pipeline:
          impute: {estimator: sklearn.impute.SimpleImputer, params: {strategy: numpy.median}}
          select: {estimator: sklearn.feature_selection.SelectKBest, params: {score_func: sklearn.feature_selection.f_classif}}
          knn:
            estimator: sklearn.neighbors.KNeighborsClassifier
            params: {metric: scipy.spatial.distance.cosine, weights: distance}
        """,
        lambda: Pipeline(
            [
                ("impute", SimpleImputer(strategy=np.median)),
                ("select", SelectKBest(f_classif)),
                ("knn", KNeighborsClassifier(metric=scipy.spatial.distance.cosine, weights="distance")),
            ]
        ),
    ),
    "tuples": (
        """
        pipeline:
          a: {estimator: sklearn.preprocessing.MinMaxScaler, params: {feature_range: [-1, 1]}}
          b: {estimator: sklearn.preprocessing.RobustScaler, params: {quantile_range: [10.0, 90.0]}}
          net: {estimator: sklearn.neural_network.MLPClassifier, params: {hidden_layer_sizes: [5, 3]}}
        """,
        lambda: Pipeline(
            [
                ("a", MinMaxScaler(feature_range=(-1, 1))),
                ("b", RobustScaler(quantile_range=(10.0, 90.0))),
                ("net", MLPClassifier(hidden_layer_sizes=[5, 3])),
            ]
        ),
    ),
    "text that is itself allowed stays text": (
        """
        pipeline:
          fill: {estimator: sklearn.impute.SimpleImputer, params: {strategy: constant, fill_value: numpy.log1p}}
          clf: {estimator: sklearn.ensemble.RandomForestClassifier, params: {oob_score: sklearn.metrics.balanced_accuracy_score}}
        """,
        lambda: Pipeline(
            [
                ("fill", SimpleImputer(strategy="constant", fill_value="numpy.log1p")),
                ("clf", RandomForestClassifier(oob_score=balanced_accuracy_score)),
            ]
        ),
    ),
}


@pytest.mark.parametrize(("text", "code"), MODELS.values(), ids=MODELS)
def test_the_model_is_the_one_that_code_makes(text, code):
    assert structure(built(text)) == structure(code())


SEARCHED = """
pipeline:
  prep:
    estimator: sklearn.compose.ColumnTransformer
    params:
      transformers:
        - [num, {pipeline: {impute: sklearn.impute.SimpleImputer, scale: sklearn.preprocessing.MinMaxScaler}}, {dtype: number}]
        - [text, sklearn.feature_extraction.text.TfidfVectorizer, review]
  select: sklearn.feature_selection.SelectKBest
  clf: sklearn.svm.SVC
"""


@pytest.mark.parametrize(
    ("params", "name", "value"),
    [
        ({"prep__num__impute__strategy": "median"}, "prep__num__impute__strategy", "median"),
        ({"prep__num__scale__feature_range": [0, 2]}, "prep__num__scale__feature_range", (0, 2)),
        ({"prep__text__ngram_range": [1, 2]}, "prep__text__ngram_range", (1, 2)),
        ({"select__score_func": "sklearn.feature_selection.mutual_info_classif"}, "select__score_func", mutual_info_classif),
        ({"clf__kernel": "sklearn.metrics.pairwise.laplacian_kernel"}, "clf__kernel", laplacian_kernel),
        ({"clf__kernel": "rbf"}, "clf__kernel", "rbf"),
        ({"prep__num": "passthrough"}, "prep__num", "passthrough"),
        ({"prep__num__scale__quantile_range": [5, 95], "prep__num__scale": "sklearn.preprocessing.RobustScaler"},
         "prep__num__scale__quantile_range", (5, 95)),
        ({"prep__num": {"pipeline": {"log": {"estimator": "sklearn.preprocessing.FunctionTransformer"}}},
          "prep__num__log__func": "numpy.log1p"}, "prep__num__log__func", np.log1p),
    ],
)  # fmt: skip
def test_searched_names_reach_into_pipelines(params, name, value):
    model = set_params(built(SEARCHED), params, (), SEARCH)
    assert model.get_params()[name] == value
    assert type(model.get_params()[name]) is type(value)


def test_columns_may_be_searched():
    choice = [["num", "sklearn.preprocessing.StandardScaler", {"dtype": "number"}]]
    model = set_params(built(SEARCHED), {"prep__transformers": choice}, (), SEARCH)
    (only,) = model.get_params()["prep__transformers"]
    assert structure(only) == structure(("num", StandardScaler(), make_column_selector(dtype_include=["number", "bool"])))


def test_each_column_has_one_type():
    table = pd.DataFrame(
        {
            "whole": [1, 2],
            "gap": [1.5, None],
            "nullable": pd.array([1, None], dtype="Int64"),
            "flag": [True, False],
            "text": ["a", None],
            "mixed": pd.Series(["a", 1], dtype=object),
            "colour": pd.Categorical(["red", "blue"]),
            "when": pd.to_datetime(["2026-01-01", None]),
            "zoned": pd.to_datetime(["2026-01-01", None]).tz_localize("UTC"),
        }
    )
    text = "transformers: [[x, passthrough, {dtype: %s}]]"
    found = {}
    for each in ("number", "text", "category", "date", "[category, text]"):
        params = yaml.safe_load(text % each)
        found[each] = built(yaml.safe_dump({"estimator": "sklearn.compose.ColumnTransformer", "params": params})).transformers[0][
            2
        ](table)
    assert found == {
        "number": ["whole", "gap", "nullable", "flag"],
        "text": ["text", "mixed"],
        "category": ["colour"],
        "date": ["when", "zoned"],
        "[category, text]": ["text", "mixed", "colour"],
    }


REFUSED = {
    "{pipeline: {}}": "a nested pipeline is {pipeline: {name: step, …}, params: {…}}, and nothing else",
    "{pipeline: [[a, sklearn.svm.SVC]]}": "a nested pipeline is {pipeline: {name: step, …}, params: {…}}, and nothing else",
    "{pipeline: {a: sklearn.svm.SVC}, verbose: true}": "a nested pipeline is {pipeline: {name: step, …}, params",
    "{pipeline: {a__b: sklearn.svm.SVC}}": ".pipeline.a__b: a step cannot be called 'a__b'",
    "{pipeline: {memory: sklearn.svm.SVC}}": ".pipeline.memory: a step cannot be called 'memory'",
    "{pipeline: {a: 3}}": ".pipeline.a: a step is a dotted path, {estimator: …, params: {…}} or {pipeline: {…}}, got 3",
    "{pipeline: {a: StandardScaler}}": ".pipeline.a: expected a dotted path such as",
    "{pipeline: {a: sklearn.svm.SVCC}}": ".pipeline.a: there is no 'SVCC' in sklearn.svm; did you mean 'SVC'?",
    "{pipeline: {a: mine.Model}}": ".pipeline.a: the package 'mine' is not trusted; run with --trust mine",
    "{pipeline: {a: sklearn.svm.SVC, b: sklearn.svm.SVC}}": ".pipeline.a: only the last step may be a model",
    "{pipeline: {a: sklearn.svm.SVC}, params: {a__D: 1}}": ".params.a__D: Pipeline has no parameter 'a__D'",
    "{pipeline: {a: sklearn.svm.SVC}, params: {a__C: -1}}": ".params.a__C: The 'C' parameter of SVC must be a float in the range",
    "{pipeline: {a: {estimator: sklearn.svm.SVC, params: {C: -1}}}}": ".pipeline.a.params.C: The 'C' parameter of SVC must be",
    "{pipeline: {a: sklearn.svm.SVC}, params: {steps: []}}": ".params.steps: the steps are those of `pipeline`",
    "{estimator: sklearn.pipeline.Pipeline}": ".estimator: a pipeline is written as {pipeline: {step: …}}, with named steps",
    "{estimator: sklearn.svm.SVC, params: {kernel: numpy.load}}": ".params.kernel: numpy.load is none of the functions that a",
    "{estimator: sklearn.svm.SVC, params: {kernel: np.dot}}": ".kernel: functions are taken from numpy, scipy, sklearn, and 'np'",
    "{estimator: sklearn.svm.SVC, params: {kernel: mine.kernel}}": "'mine' is not trusted; run with --trust mine if",
    "{estimator: sklearn.svm.SVC, params: {kernel: rbff}}": ".params.kernel: The 'kernel' parameter of SVC must be a str among",
    "{estimator: sklearn.feature_selection.SelectKBest, params: {score_func: f_classif}}": (
        "must be a callable. Got 'f_classif' instead.; did you mean 'sklearn.feature_selection.f_classif'?"
    ),
    "{estimator: sklearn.svm.SVC, params: {kernel: None}}": "Got 'None' instead.; did you mean null?",
    "{estimator: xgboost.XGBClassifier, params: {max_depth: None}}": "'None' is text, and no max_depth; did you mean null?",
    "{estimator: sklearn.compose.ColumnTransformer, params: {transformers: [[a, drop, {dtype: int}]]}}": (
        ".params.transformers.0.2: columns are a name, a list of names, or {dtype: …} with one of number, text, category, date"
    ),
    "{estimator: sklearn.compose.ColumnTransformer, params: {transformers: [[a, drop, {dtype: text, pattern: a}]]}}": (
        ".params.transformers.0.2: columns are a name"
    ),
    "{estimator: sklearn.compose.ColumnTransformer, params: {transformers: [[a, sklearn.svm.SVCC, b]]}}": (
        ".params.transformers.0.1: there is no 'SVCC' in sklearn.svm"
    ),
}  # fmt: skip


@pytest.mark.parametrize(("value", "expected"), REFUSED.items(), ids=REFUSED)
def test_a_value_that_cannot_be_used_is_one_error_at_its_key(value, expected):
    config = ModelConfig(estimator="sklearn.ensemble.BaggingClassifier", params={"estimator": yaml.safe_load(value)})
    (problem,) = build_model(config, ()).problems
    assert expected in f"{'.'.join(map(str, problem.path))}: {problem.message}"
    assert problem.path[:3] == ("model", "params", "estimator")


def test_a_name_that_leads_into_passthrough_says_so():
    with pytest.raises(EstimatorError, match=r"'prep__num' is 'passthrough' \(text\), which has no parameters; name by `when`"):
        set_params(built(SEARCHED), {"prep__num": "passthrough", "prep__num__impute__strategy": "mean"}, (), SEARCH)


@pytest.mark.parametrize(
    "dotted",
    [
        *("numpy.load", "numpy.save", "numpy.savetxt", "numpy.fromfile", "numpy.memmap", "numpy.vectorize", "numpy.frompyfunc"),
        *("numpy.apply_along_axis", "numpy.ndarray.tofile", "numpy.os.system", "numpy.lib.npyio.DataSource", "numpy.float64"),
        *("scipy.io.loadmat", "scipy.LowLevelCallable", "scipy.optimize.minimize", "scipy.stats.norm"),
        *("sklearn.datasets.fetch_openml", "sklearn.metrics.make_scorer", "sklearn.metrics.get_scorer", "sklearn.clone"),
        *("sklearn.set_config", "sklearn.utils._testing.os.system", "sklearn.metrics.pairwise.pairwise_distances"),
    ],
)
def test_only_functions_that_compute_are_taken(dotted):
    with pytest.raises(FunctionError, match="none of the functions that a config may name"):
        find_function(dotted, ())


@pytest.mark.parametrize("dotted", ["os.system", "builtins.eval", "subprocess.run", "pandas.read_pickle", "joblib.load"])
def test_functions_of_other_packages_need_trust(dotted):
    with pytest.raises(FunctionError, match="is not trusted; run with --trust"):
        find_function(dotted, ())


def test_a_function_of_a_trusted_package_is_taken(tmp_path, monkeypatch):
    (tmp_path / "mytransforms.py").write_text("def halve(x): return x / 2\nNAME = 'no function'\n")
    monkeypatch.syspath_prepend(tmp_path)
    config = ModelConfig(
        pipeline={
            "half": {"estimator": "sklearn.preprocessing.FunctionTransformer", "params": {"func": "mytransforms.halve"}},
            "words": {
                "estimator": "sklearn.feature_extraction.text.CountVectorizer",
                "params": {"tokenizer": "mytransforms.halve"},
            },
        }
    )
    made = build_model(config, ("mytransforms",))
    assert made.problems == []
    assert made.model["half"].func(3) == made.model["words"].tokenizer(3) == 1.5
    for name, said in (("NAME", "is not a function"), ("halv", "there is no 'halv' in mytransforms")):
        with pytest.raises(FunctionError, match=said):
            find_function(f"mytransforms.{name}", ("mytransforms",))
    untrusted = build_model(config, ()).problems[0]
    assert (untrusted.code, untrusted.path) == ("untrusted", ("model", "pipeline", "half", "params", "func"))


def saved_and_loaded(model, path):
    skops.io.dump(model, path)
    content = read_skops(path)
    assert content.refused == ()
    return skops.io.load(path, trusted=list(content.types))


@pytest.mark.slow
def test_each_function_of_the_list_is_saved_and_loaded(tmp_path):
    for dotted, function in _listed().items():
        loaded = saved_and_loaded(FunctionTransformer(function), tmp_path / "model.skops")
        assert loaded.func is function, dotted


def test_a_fitted_model_with_functions_pipelines_and_columns_is_saved_and_loaded(tmp_path):
    text = """
    pipeline:
      prep:
        estimator: sklearn.compose.ColumnTransformer
        params:
          transformers:
            - - num
              - pipeline:
                  impute: {estimator: sklearn.impute.SimpleImputer, params: {strategy: numpy.median}}
                  log: {estimator: sklearn.preprocessing.FunctionTransformer, params: {func: numpy.log1p}}
                  scale: {estimator: sklearn.preprocessing.RobustScaler, params: {quantile_range: [10, 90]}}
              - {dtype: number}
            - - text
              - pipeline:
                  impute: {estimator: sklearn.impute.SimpleImputer, params: {strategy: most_frequent}}
                  encode: sklearn.preprocessing.OneHotEncoder
              - {dtype: [text, category]}
      select: {estimator: sklearn.feature_selection.SelectKBest, params: {score_func: sklearn.feature_selection.f_classif, k: 3}}
      knn:
        estimator: sklearn.neighbors.KNeighborsClassifier
        params: {metric: scipy.spatial.distance.cityblock, weights: numpy.exp, n_neighbors: 2}
    """
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"a": rng.random(20), "b": rng.integers(0, 9, 20), "c": rng.choice(["x", "y"], 20)})
    rows = rows.assign(d=pd.Categorical(rng.choice(["u", "v"], 20))).mask(rng.random((20, 4)) < 0.1)
    model = built(text).fit(rows, [0, 1] * 10)
    loaded = saved_and_loaded(model, tmp_path / "model.skops")
    np.testing.assert_array_equal(loaded.predict_proba(rows), model.predict_proba(rows))
    assert structure(loaded) == structure(model)


def test_open_random_states_at_any_depth_get_the_seed_but_those_that_the_config_sets():
    config = ModelConfig(
        **yaml.safe_load("""
        pipeline:
          prep:
            pipeline:
              pca: {estimator: sklearn.decomposition.PCA, params: {random_state: null}}
              more: sklearn.decomposition.PCA
          stack:
            estimator: sklearn.ensemble.StackingClassifier
            params:
              estimators:
                - [tree, {estimator: sklearn.tree.DecisionTreeClassifier, params: {random_state: null}}]
                - [pipe, {pipeline: {pca: sklearn.decomposition.PCA, tree: sklearn.tree.DecisionTreeClassifier}}]
    """)
    )
    factory = ModelFactory({None: build_model(config, ()).model}, 7, {None: frozenset(chosen_states(config))})
    open_states = {
        name for name, value in factory.make({}).get_params().items() if name.endswith("random_state") and value is None
    }
    assert open_states == {"prep__pca__random_state", "stack__tree__random_state"}
    new = {"stack__tree": "sklearn.tree.DecisionTreeClassifier", "prep__more__random_state": None}
    made = factory.make(new).get_params()
    assert (made["stack__tree__random_state"], made["prep__more__random_state"]) == (7, None)


@pytest.mark.parametrize(
    "value",
    [
        {"pipeline": {"a": "sklearn.svm.SVC"}, "params": {"memory": "cache"}},
        {"pipeline": {"a": {"pipeline": {"b": "sklearn.svm.SVC"}, "params": {"memory": "cache"}}}},
        {"pipeline": {"a": {"estimator": "sklearn.cluster.FeatureAgglomeration", "params": {"memory": "cache"}}}},
        {"pipeline": {"a": "sklearn.cluster.FeatureAgglomeration"}, "params": {"a__memory": "cache"}},
        {"pipeline": {"a": {"estimator": "lightgbm.LGBMClassifier", "params": {"output_model": "there"}}}},
        {"pipeline": {"a": "lightgbm.LGBMClassifier"}, "params": {"a__output_model": "there"}},
        {"estimator": "sklearn.model_selection.GridSearchCV",
         "params": {"estimator": "lightgbm.LGBMClassifier", "param_grid": {"output_model": ["there"]}}},
        {"estimator": "sklearn.model_selection.GridSearchCV",
         "params": {"estimator": {"pipeline": {"a": "lightgbm.LGBMClassifier"}}, "param_grid": {"a__output_model": ["there"]}}},
        [["x", {"pipeline": {"a": "sklearn.svm.SVC"}, "params": {"memory": "cache"}}]],
    ],
    ids=repr,
)  # fmt: skip
def test_files_are_refused_in_pipelines_too(value):
    bagging = BaggingClassifier()
    (problem,) = find_refused(bagging, {"estimator": value}, lambda path: False, (), ())
    assert "LightGBM writes that file" in problem.message or "joblib writes into that folder" in problem.message
    (searched,) = find_refused(
        bagging,
        {"estimator__output_model": "there"},
        lambda path: False,
        (),
        (),
        outer={"estimator": ["lightgbm.LGBMClassifier"]},
    )
    assert "LightGBM writes that file" in searched.message


@pytest.mark.parametrize(
    ("text", "numbers", "takes_missing"),
    [
        ("{estimator: sklearn.ensemble.StackingClassifier, params: {estimators: [[a, %s], [b, %s]]}}", False, True),
        ("{estimator: sklearn.calibration.CalibratedClassifierCV, params: {estimator: %s}}", False, True),
        ("{pipeline: {prep: {pipeline: {ct: %s}}, clf: sklearn.svm.SVC}}", False, True),
        ("{estimator: sklearn.ensemble.VotingClassifier, params: {estimators: [[a, %s], [b, sklearn.svm.SVC]]}}", True, False),
        ("{estimator: sklearn.ensemble.BaggingClassifier, params: {estimator: %s}}", True, False),
    ],
    ids=["stacking", "calibration", "steps", "one reads numbers alone", "bagging makes an array"],
)  # fmt: skip
def test_what_hands_the_table_on_reads_what_its_estimators_read(text, numbers, takes_missing):
    transformer = "{estimator: sklearn.compose.ColumnTransformer, params: {transformers: [[a, drop, [b]]]}}"
    whole = f"{{pipeline: {{ct: {transformer}, clf: sklearn.linear_model.LogisticRegression}}}}"
    count = text.count("%s")
    needs = describe_needs(built(text % ((transformer if "ct: %s" in text else whole,) * count)))
    assert (needs.numbers, needs.takes_missing) == (numbers, takes_missing)


def test_the_steps_of_a_pipeline_are_written_in_their_order_and_other_keys_are_sorted():
    first, second = ({"pipeline": dict.fromkeys(names, "a.B"), "params": {"y": 1, "x": 2}} for names in ("ba", "ab"))
    assert canonical_json(first) == '{"params":{"x":2,"y":1},"pipeline":{"b":"a.B","a":"a.B"}}'
    assert exact_key([first]) != exact_key([second])
    assert exact_key({"params": {"x": 2, "y": 1}, "pipeline": {"b": "a.B", "a": "a.B"}}) == exact_key(first)
