"""Parameters that boosting libraries know beside `get_params`."""

from __future__ import annotations

import pytest
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from wine_sweep.config import EstimatorConfig
from wine_sweep.evaluation.estimator_params import ModelFactory, check_fixed, find_refused
from wine_sweep.evaluation.estimators import EstimatorError, build_model, copy_of, refusal, set_params, set_seed

KNOWN = [
    ("lightgbm.LGBMClassifier", "max_bin", 63),
    ("lightgbm.LGBMRegressor", "eta", 0.2),
    ("xgboost.XGBRegressor", "seed", 4),
    ("xgboost.XGBClassifier", "eta", 0.2),
    ("catboost.CatBoostClassifier", "depth", 3),
    ("catboost.CatBoostRegressor", "cat_features", ["zip"]),
]


def built(dotted, **params):
    pytest.importorskip(dotted.partition(".")[0])
    return build_model(EstimatorConfig(estimator=dotted, params=params), ())


@pytest.mark.parametrize(("dotted", "name", "value"), KNOWN)
def test_what_the_library_knows_is_set_alone_and_in_a_pipeline(dotted, name, value):
    found = built(dotted, **{name: value})
    assert not found.problems
    pipeline = Pipeline([("scale", StandardScaler()), ("boost", built(dotted).model)])
    set_params(pipeline, {f"boost__{name}": value}, (), ())
    taken = tuple(value) if isinstance(value, list) else value
    assert pipeline.get_params()[f"boost__{name}"] == copy_of(found.model).get_params()[name] == taken


@pytest.mark.parametrize(
    ("dotted", "name", "near"),
    [
        ("lightgbm.LGBMClassifier", "path_smoth", "'path_smooth'"),
        ("xgboost.XGBRegressor", "max_dept", "'max_depth'"),
        ("catboost.CatBoostClassifier", "dept", "'depth'"),
    ],
)
def test_what_it_does_not_know_is_refused_with_the_nearest_name(dotted, name, near):
    (problem,) = built(dotted, **{name: 3}).problems
    assert problem.code == "unknown-parameter"
    assert f"did you mean {near}?" in problem.message
    with pytest.raises(EstimatorError, match="has no parameter"):
        set_params(built(dotted).model, {name: 3}, (), ())


@pytest.mark.parametrize("name", ["forcedsplits_filename", "fs", "output_model"])
def test_files_stay_refused_under_names_that_only_the_library_knows(name):
    model = built("lightgbm.LGBMClassifier").model
    (problem,) = find_refused(model, {name: "/etc/passwd"}, lambda path: False, (), ())
    assert problem.code == "untrusted"


def test_catboost_writes_no_files_and_prints_no_iterations_unless_told_to():
    dotted = "catboost.CatBoostClassifier"
    assert built(dotted).model.get_params() == {"allow_writing_files": False, "verbose": False}
    chosen = {"allow_writing_files": True, "logging_level": "Info"}
    assert built(dotted, **chosen).model.get_params() == chosen


@pytest.mark.parametrize("dotted", ["catboost.CatBoostClassifier", "xgboost.XGBClassifier"])
def test_a_seed_is_set_where_the_config_has_none_under_any_of_its_names(dotted):
    assert set_seed(built(dotted).model, 7).get_params()["random_state"] == 7
    seeded = set_seed(built(dotted, **{"random_seed" if "cat" in dotted else "seed": 3}).model, 7)
    assert seeded.get_params().get("random_state") is None


@pytest.mark.parametrize(
    ("dotted", "name"),
    [
        ("lightgbm.LGBMClassifier", "n_iter_no_change"),
        ("xgboost.XGBClassifier", "early_stopping_rounds"),
        ("catboost.CatBoostRegressor", "od_wait"),
    ],
)
def test_stopping_early_without_rows_to_validate_on_is_refused_at_its_key(dotted, name):
    config = EstimatorConfig(estimator=dotted, params={name: 5})
    found = build_model(config, ())
    (problem,) = [*found.problems, *check_fixed(found.model, config)]
    assert problem.path == ("model", "params", name)
    assert "rows to validate on" in problem.message
    assert refusal(Pipeline([("boost", found.model)]), f"boost__{name}", 5) == problem.message
    assert refusal(found.model, name, None) is None


def test_catboost_stops_early_by_a_share_of_its_own():
    model = built("catboost.CatBoostClassifier", eval_fraction=0.2, early_stopping_rounds=5).model
    assert refusal(model, "early_stopping_rounds", 5) is None


@pytest.mark.parametrize(
    ("dotted", "names"),
    [("lightgbm.LGBMClassifier", ("n_jobs", "nthread")), ("catboost.CatBoostRegressor", ("thread_count", "thread_count"))],
)
def test_a_trial_takes_one_thread_unless_the_config_says_how_many(dotted, names):
    own, other = names
    template = Pipeline([("boost", built(dotted).model)])
    factory = ModelFactory({None: template}, 0, {None: frozenset()})
    assert factory.make({}).get_params()[f"boost__{own}"] == 1
    params = factory.make({f"boost__{other}": 3}).get_params()
    assert params[f"boost__{other}"] == 3
    assert own == other or params[f"boost__{own}"] is None
