"""Sweeps whose tables say themselves how rows are split, on real stores: trained, tested, resumed, run again."""

from __future__ import annotations

import json

import mlflow
import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.linear_model import Ridge
from sklearn.metrics import root_mean_squared_error
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit

CONFIG = {
    "name": "named",
    "data": {"source": "own.csv", "target": "y"},
    "model": {"estimator": "sklearn.linear_model.Ridge"},
    "search": {"parameters": {"alpha": [0.1, 10.0]}},
    "evaluation": {"cv": 3, "metrics": ["rmse"]},
    "execution": {"backend": "serial"},
    "registry": {"name": "named", "gate": False},
}


@pytest.fixture
def table(store):
    """A daily table, the last day first, of which the last 40 days are another file too; three of its rows stand in both."""
    random = np.random.default_rng(6)
    days = pd.date_range("2025-10-01", periods=160).strftime("%Y-%m-%d")
    whole = pd.DataFrame({"day": days, "a": random.normal(size=160), "b": random.normal(size=160)})
    whole["y"] = (2 * whole["a"] - whole["b"] + random.normal(scale=0.3, size=160)).round(3)
    whole.iloc[::-1].to_csv("whole.csv", index=False)
    whole.iloc[:120].drop(columns="day").to_csv("own.csv", index=False)
    pd.concat([whole.iloc[120:], whole.iloc[[5, 6, 7]]]).drop(columns="day").to_csv("test.csv", index=False)
    return whole


@pytest.fixture
def sweep(in_process):
    """Run a config with these changes in its sections, and give what it prints as JSON."""

    def sweep(**changes):
        config = {**CONFIG, **{key: {**CONFIG[key], **value} for key, value in changes.items()}}
        with open("named.yaml", "w") as file:
            yaml.safe_dump(config, file)
        done = in_process("run", "named.yaml", "--quiet", "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return sweep


@pytest.mark.slow
def test_a_sweep_is_tested_on_another_table(table, sweep, store, in_process):
    done = sweep(data={"test": "test.csv"})
    own, test = (pd.read_csv(f"{name}.csv") for name in ("own", "test"))
    model = Ridge(alpha=done["selection"]["winner"]["params"]["alpha"]).fit(own[["a", "b"]], own["y"])
    assert done["test_scores"]["rmse"] == pytest.approx(root_mean_squared_error(test["y"], model.predict(test[["a", "b"]])))
    (overlap,) = done["overlaps"]
    assert overlap == "3 of the 43 test rows stand among the training rows too, with the same target: rows 41, 42, 43 of test.csv"
    (plan,) = json.loads(in_process("plan", "named.yaml", "--json").stdout)
    assert (plan["data"]["train_rows"], plan["data"]["test_rows"], plan["data"]["test_source"]) == (120, 43, "test.csv")
    assert plan["data"]["remarks"] == [overlap]

    run = store.client.get_run(done["run_id"])
    inputs = {each.tags[0].value: each.dataset for each in run.inputs.dataset_inputs}
    assert {context: (each.name, json.loads(each.profile)["num_rows"]) for context, each in inputs.items()} == {
        "training": ("own.csv", 120),
        "testing": ("test.csv", 43),
    }
    assert (run.data.params["test_data"], run.data.params["test_rows"]) == ("test.csv", "43")
    winner = store.client.get_run(done["selection"]["winner"]["run_id"])
    assert winner.data.metrics["test_rmse"] == done["test_scores"]["rmse"]
    staged = mlflow.pyfunc.load_model("models:/named@staging")
    np.testing.assert_allclose(staged.predict(test[["a", "b"]]), model.predict(test[["a", "b"]]))

    again = in_process("reproduce", winner.info.run_id)
    assert again.returncode == 0, again.stdout
    check = in_process("check", "named", "--data", "test.csv", "--json")
    assert json.loads(check.stdout)["rows"] == 40
    assert in_process("resume", done["run_id"]).returncode == 0
    test.assign(a=test["a"] + 1).to_csv("test.csv", index=False)
    refused = in_process("reproduce", winner.info.run_id)
    assert refused.returncode == 2
    assert "(the same rows and columns, with other values, here or in test.csv)" in " ".join(refused.stderr.split())


@pytest.mark.slow
@pytest.mark.parametrize("test", [{"test_size": 0.25}, {"test": {"since": "2026-01-29"}}])
def test_a_sweep_in_time_is_grid_search_over_time_series_split(table, sweep, in_process, test):
    data = {"source": "whole.csv", "time": "day", "dtypes": {"day": "date"}, **test}
    done = sweep(data=data, evaluation={"cv": {"time_series": 4, "gap": 7, "max_train": 60}})
    learned = table.iloc[:120]
    by_hand = GridSearchCV(
        Ridge(),
        {"alpha": [0.1, 10.0]},
        cv=TimeSeriesSplit(4, gap=7, max_train_size=60),
        scoring="neg_root_mean_squared_error",
    ).fit(learned[["a", "b"]], learned["y"])
    assert done["selection"]["winner"]["mean"] == pytest.approx(-by_hand.best_score_)
    assert done["selection"]["winner"]["params"] == by_hand.best_params_
    tested = table.iloc[120:]
    expected = root_mean_squared_error(tested["y"], by_hand.predict(tested[["a", "b"]]))
    assert done["test_scores"]["rmse"] == pytest.approx(expected)
    check = in_process("check", "named", "--data", "test.csv", "--json")  # without the day, which is no feature
    assert json.loads(check.stdout)["excluded_rows"] == 3


@pytest.mark.slow
def test_a_sweep_with_named_test_rows_is_refreshed_on_new_ones(table, sweep, store, in_process):
    sweep(data={"test": "test.csv"}, registry={"gate": {"min_rows": 10}})
    new = table.drop(columns="day").assign(a=table["a"] + 0.001, y=-2 * table["y"])
    new.to_csv("new.csv", index=False)
    done = in_process("refresh", "named.yaml", "--data", "new.csv", "--quiet", "--json")
    assert done.returncode == 0, done.stderr
    refreshed = json.loads(done.stdout)
    assert refreshed["ending"] == "promoted"
    params = store.client.get_run(refreshed["sweep"]).data.params
    assert (params["data_rows"], params["new_rows"], params["test_rows"]) == ("323", "160", "40")


@pytest.mark.slow
def test_the_shipped_config_of_a_daily_table_runs_and_promotes(in_process, root):
    done = in_process("run", root / "configs/time.yaml", "--workers", "1", "--quiet", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["selection"]["evaluation"], found["promotion"]["stage"]) == ("4 splits in time", "Staging")
    table = pd.read_csv(root / "configs/time.csv").sort_values("date")
    (plan,) = json.loads(in_process("plan", root / "configs/time.yaml", "--json").stdout)
    assert plan["data"]["test_from"] == table["date"].iloc[-plan["data"]["test_rows"]]
    features = table.drop(columns=["date", "rented"]).tail(plan["data"]["test_rows"])
    predicted = mlflow.pyfunc.load_model("models:/bikes@staging").predict(features)
    error = np.abs(predicted - table["rented"].tail(len(features))).mean()
    assert found["test_scores"]["mae"] == pytest.approx(error)
