"""The gate in whole sweeps, on a real SQLite store: who is promoted, who is kept, and what the ledger says of it."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from mlflow.artifacts import download_artifacts
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import RandomForestRegressor
from sklearn.metrics import root_mean_squared_error
from sklearn.model_selection import GroupShuffleSplit
from sklearn.tree import DecisionTreeRegressor

from wine_sweep.promotion import promote
from wine_sweep.registry import ModelRegistry

STUMP = "sklearn.tree.DecisionTreeRegressor"
FOREST = "sklearn.ensemble.RandomForestRegressor"


@pytest.fixture
def run(store, in_process):
    """Run a small sweep of one kind of model, and give what it prints as JSON."""

    def run(code=0, *, estimator=STUMP, source="wine-quality-red", gate=None, model=None, arguments=(), seed=40, **fixed):
        config = {
            "name": "gated",
            "data": {"source": source, "target": "quality", "seed": seed},
            "model": model or {"estimator": estimator, "params": {"random_state": 0, **fixed}},
            "search": {"parameters": {"max_depth": [1]}},
            "evaluation": {"cv": 2, "bootstrap": 0},
            "execution": {"backend": "serial"},
            "registry": {"name": "wine", **({} if gate is None else {"gate": gate})},
        }
        if "pipeline" in config["model"]:
            config["search"]["parameters"] = {"tree__max_depth": [4]}
        (store.folder / "g.yaml").write_text(yaml.safe_dump(config))
        ended = in_process("run", "g.yaml", "--quiet", "--json", *arguments)
        assert ended.returncode in ((0, 3) if code is None else (code,)), ended.stderr or json.loads(ended.stdout)["gate"]
        return json.loads(ended.stdout)

    return run


def depth(number):
    return ("--set", f"search.parameters.max_depth=[{number}]")


def stages(store):
    return {int(each.version): each.current_stage for each in store.client.search_model_versions("name = 'wine'")}


def put_in_staging(store, version):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        store.client.transition_model_version_stage("wine", version, "Staging", archive_existing_versions=True)


def ledger(store):
    return ModelRegistry(store.client).ledger("wine")


def red_by_hand():
    folder = Path(promote.__file__).parent.parent / "data" / "wine_quality"
    table = pd.read_csv(folder / "winequality-red.csv", sep=";")
    features, target = table.drop(columns="quality").astype(float), table["quality"].to_numpy(float)
    groups = features.groupby(list(features.columns), sort=False).ngroup().to_numpy()
    train, test = next(GroupShuffleSplit(1, test_size=0.25, random_state=40).split(features, groups=groups))
    return features, target, train, test


@pytest.mark.slow
def test_the_first_model_has_to_beat_scikit_learns_dummy(run, store):
    document = run()
    gate = document["gate"]
    assert (document["promotion"]["version"], gate["ground"], gate["decision"]) == ("1", "beats_dummy", "promote")
    features, target, train, test = red_by_hand()
    expected = [
        root_mean_squared_error(target[test], model.fit(features.iloc[train], target[train]).predict(features.iloc[test]))
        for model in (DummyRegressor(), DecisionTreeRegressor(max_depth=1, random_state=0))
    ]
    assert [gate["comparison"][name] for name in ("champion", "challenger")] == pytest.approx(expected)
    (entry,) = ledger(store)
    assert (entry.action, entry.before, entry.after, entry.ground) == ("promoted", None, "1", "beats_dummy")
    assert entry.evidence["comparison"]["rows"] == gate["comparison"]["rows"] == len(test)
    assert (entry.sweep, entry.run_id) == (document["run_id"], document["selection"]["winner"]["run_id"])


def test_a_model_no_better_than_a_dummy_is_not_promoted(run, store, in_process):
    document = run(3, estimator="sklearn.tree.DecisionTreeRegressor", min_samples_leaf=1100)
    assert document["promotion"] is None
    assert document["gate"]["ground"] == "not_better_than_dummy"
    assert stages(store) == {}
    (entry,) = ledger(store)
    assert (entry.action, entry.before, entry.after) == ("kept", None, None)
    shown = in_process("history", "wine")
    assert shown.returncode == 0
    assert "Staging holds no version." in shown.stdout


@pytest.mark.slow
def test_a_better_model_takes_the_place_and_the_numbers_are_those_of_scikit_learn(run, store):
    run()
    document = run(estimator=FOREST, arguments=depth(12), n_estimators=30)
    features, target, train, test = red_by_hand()
    expected = [
        root_mean_squared_error(target[test], model.fit(features.iloc[train], target[train]).predict(features.iloc[test]))
        for model in (
            DecisionTreeRegressor(max_depth=1, random_state=0),
            RandomForestRegressor(30, max_depth=12, random_state=0),
        )
    ]
    found = document["gate"]["comparison"]
    assert [found["champion"], found["challenger"]] == pytest.approx(expected)
    assert 0 < found["low"] < found["improvement"] < found["high"]
    assert document["gate"]["ground"] == "better"
    assert document["promotion"]["archived_versions"] == ["1"]
    assert stages(store) == {1: "Archived", 2: "Staging"}
    assert [(each.before, each.after) for each in ledger(store)] == [(None, "1"), ("1", "2")]


@pytest.mark.slow
def test_a_model_that_is_not_better_is_kept_out_with_the_numbers(run, store, in_process):
    run(estimator=FOREST, arguments=depth(12), n_estimators=30)
    document = run(3)
    assert document["promotion"] is None
    assert document["gate"]["ground"] == "not_better"
    assert document["gate"]["comparison"]["improvement"] < 0
    assert stages(store) == {1: "Staging"}
    assert store.client.get_model_version_by_alias("wine", "staging").version == 1
    entry = ledger(store)[-1]
    assert (entry.action, entry.before, entry.after, entry.run_id) == (
        "kept", "1", "1", document["selection"]["winner"]["run_id"],
    )  # fmt: skip
    parent = store.client.get_run(document["run_id"])
    assert parent.info.status == "FINISHED"
    assert "Not promoted: version 1 of wine stays in Staging." in parent.data.tags["mlflow.note.content"]
    record = json.loads(Path(download_artifacts(f"runs:/{document['run_id']}/promotion.json")).read_text())
    assert (record["promoted"], record["version"], record["champion"]) == (False, None, "1")
    again = in_process("promote", "latest")
    assert again.returncode == 3
    assert "Not promoted: version 1 of wine stays in Staging." in " ".join(again.stdout.split())
    forced = in_process("promote", "latest", "--force", "--json")
    assert forced.returncode == 0, forced.stderr
    record = json.loads(forced.stdout)
    assert (record["version"], record["gate"]["ground"]) == ("2", "forced")
    assert record["gate"]["comparison"]["improvement"] == document["gate"]["comparison"]["improvement"]
    assert stages(store) == {1: "Archived", 2: "Staging"}


@pytest.mark.slow
def test_the_same_model_changes_nothing_and_the_sweep_says_that_it_is_there(run, store, in_process):
    run()
    document = run()
    assert document["gate"]["ground"] == "same_model"
    assert (document["promotion"]["version"], document["promotion"]["already_there"]) == ("1", True)
    assert stages(store) == {1: "Staging"}
    assert len(ledger(store)) == 1
    shown = in_process("run", "g.yaml", "--quiet")
    assert shown.returncode == 0
    assert "It is there already: version 1 of wine in Staging." in " ".join(shown.stdout.split())
    assert in_process("promote", "latest").returncode == 0
    assert stages(store) == {1: "Staging"}


@pytest.mark.slow
@pytest.mark.parametrize("change", ["rows", "params", "estimator"])
def test_other_rows_parameters_or_estimators_are_no_same_model(run, change):
    run()
    other = {"rows": {"seed": 41}, "params": {"min_samples_leaf": 580}, "estimator": {"estimator": FOREST}}[change]
    assert run(None, **other)["gate"]["ground"] != "same_model"


@pytest.mark.slow
def test_a_different_seed_shrinks_the_rows_and_too_few_are_a_refusal(run, store):
    first = run()
    second = run(3, seed=41)
    assert second["gate"]["ground"] == "not_better"
    used, excluded = second["gate"]["comparison"]["rows"], second["gate"]["excluded_rows"]
    assert used < first["gate"]["comparison"]["rows"] / 2
    assert used + excluded == pytest.approx(first["gate"]["comparison"]["rows"], abs=20)
    refused = run(3, seed=41, gate={"min_rows": used + 1})
    assert refused["gate"]["ground"] == "too_few_rows"
    assert str(used) in refused["gate"]["reasons"][0]
    assert stages(store) == {1: "Staging"}


@pytest.mark.slow
def test_another_seed_makes_another_forest(run):
    forest = {"estimator": FOREST, "model": {"estimator": FOREST, "params": {"n_estimators": 5}}}
    assert run(**forest)["gate"]["ground"] == "beats_dummy"
    assert run(None, **forest, arguments=("--set", "search.seed=2"))["gate"]["ground"] in ("not_better", "better")


@pytest.mark.slow
def test_another_seed_makes_the_same_model_of_what_has_no_use_for_it(run):
    ridge, search = {"estimator": "sklearn.linear_model.Ridge"}, "search.parameters={alpha: [1]}"
    run(model=ridge, arguments=("--set", search))
    alike = run(model=ridge, arguments=("--set", search, "--set", "search.seed=2"))["gate"]
    assert (alike["ground"], alike["reasons"]) == (
        "same_model", ["The winner loses the same as version 1 on each of 398 new rows."],
    )  # fmt: skip


@pytest.mark.slow
def test_a_broken_champion_is_replaced_by_force(run, store, in_process):
    run()
    shutil.rmtree(download_artifacts(store.client.get_model_version("wine", "1").source))
    assert run(3)["gate"]["ground"] == "champion_unloadable"
    forced = in_process("promote", "latest", "--force")
    assert forced.returncode == 0, forced.stdout
    assert stages(store) == {1: "Archived", 2: "Staging"}


@pytest.mark.slow
def test_a_model_that_does_not_load_any_more_is_not_promoted(run, store, in_process):
    document = run(gate=False, arguments=("--no-promote",))
    uri = store.client.get_run(document["selection"]["winner"]["run_id"]).data.tags["wine_sweep.model"]
    shutil.rmtree(download_artifacts(uri))
    ended = in_process("promote", "latest")
    assert ended.returncode == 1
    assert "cannot be loaded" in ended.stderr
    assert stages(store) == {}


@pytest.mark.slow
def test_a_model_that_predicts_otherwise_than_when_it_was_kept_is_not_promoted(run, store, in_process, monkeypatch):
    run(gate=False, arguments=("--no-promote",))
    monkeypatch.setattr("wine_sweep.tracking.models.LoadedModel.predict", lambda self, features: np.zeros(len(features)))
    ended = in_process("promote", "latest")
    assert ended.returncode == 1
    assert "predicts otherwise than when it was kept" in ended.stderr
    assert stages(store) == {}


@pytest.mark.slow
def test_resume_takes_nothing_out_of_production(run, store, in_process):
    run(arguments=("--set", "search.parameters.max_depth=[2, 1]", "--trials", "1"))
    assert in_process("promote", "latest", "--stage", "production").returncode == 0
    ended = in_process("resume", "latest", "--trials", "2", "--quiet")
    assert ended.returncode == 0, ended.stderr
    assert stages(store) == {1: "Production"}


@pytest.mark.slow
def test_a_column_of_numbers_that_holds_text_now_is_a_stated_case(run, table, store):
    table.to_csv("numbers.csv", index=False)
    table.assign(alcohol=[f"a{value:.0f}" for value in table["alcohol"]]).to_csv("text.csv", index=False)
    run(source="numbers.csv")
    unknown = {"handle_unknown": "use_encoded_value", "unknown_value": -1}
    encoded = {
        "pipeline": {
            "encode": {"estimator": "sklearn.preprocessing.OrdinalEncoder", "params": unknown},
            "tree": {"estimator": STUMP, "params": {"random_state": 0}},
        }
    }
    document = run(3, source="text.csv", model=encoded)
    assert document["gate"]["ground"] == "champion_fails"
    assert stages(store) == {1: "Staging"}


@pytest.mark.slow
def test_a_champion_that_predicts_another_column_is_a_stated_case(run):
    run()
    document = run(3, arguments=("--set", "data.target=alcohol"))
    assert document["gate"]["reasons"] == ["Version 1 predicts 'quality' and the winner 'alcohol'; they cannot be compared."]


@pytest.mark.slow
def test_models_are_judged_by_the_metric_that_decides_or_by_another_that_is_asked_for(run):
    found = run(arguments=("--set", "objective=r2"))["gate"]["comparison"]
    assert (found["metric"], found["direction"], found["resamples"]) == ("r2", "maximize", 2000)
    assert found["champion"] == pytest.approx(0, abs=0.01)  # of a model that predicts the mean
    found = run(None, estimator=FOREST, gate={"metric": "mae"}, arguments=("--set", "objective=r2"))["gate"]["comparison"]
    assert found["metric"] == "mae"


PYTHON_MODEL = """
from mlflow.pyfunc import PythonModel

class Always(PythonModel):
    def predict(self, context, model_input):
        return [99.0] * len(model_input)

def train(params, context):
    return {"rmse": 0.1, "score": 1.0}, Always()
"""


@pytest.mark.slow
def test_a_python_model_of_ones_own_is_compared_too(store, in_process):
    (store.folder / "code.py").write_text(PYTHON_MODEL)
    (store.folder / "c.yaml").write_text(
        "data: {source: wine-quality-red, seed: 40}\nmodel: {function: code.py:train}\nsearch: {parameters: {x: [1]}}\n"
        "objective: rmse\nevaluation: {cv: 2}\nregistry: {name: own}\n"
    )
    ended = in_process("run", "c.yaml", "--trust", ".", "--quiet", "--json")
    assert ended.returncode == 3, ended.stderr
    assert json.loads(ended.stdout)["gate"]["ground"] == "not_better_than_dummy"
    ended = in_process(
        "run", "c.yaml", "--trust", ".", "--quiet", "--json", "--set", "objective=[{metric: score, direction: maximize}]"
    )
    found = json.loads(ended.stdout)["gate"]
    assert found["comparison"]["metric"] == "rmse"
    assert "rmse stands in for score: models are compared row by row." in found["reasons"]


@pytest.fixture
def table():
    folder = Path(promote.__file__).parent.parent / "data" / "wine_quality"
    return pd.read_csv(folder / "winequality-red.csv", sep=";")


@pytest.mark.slow
def test_rows_that_are_new_are_compared_on_and_old_ones_are_not(run, table):
    table.iloc[:800].to_csv("first.csv", index=False)
    table.to_csv("grown.csv", index=False)
    run(source="first.csv", gate=False)
    document = run(source="grown.csv", estimator=FOREST, arguments=depth(12), n_estimators=30)
    assert document["gate"]["ground"] == "better"
    assert document["gate"]["excluded_rows"] > 100


@pytest.mark.slow
@pytest.mark.parametrize("change", ["fewer", "more"])
def test_a_champion_of_other_columns_is_a_stated_case(run, table, change, store):
    table.drop(columns="alcohol").to_csv("fewer.csv", index=False)
    table.to_csv("more.csv", index=False)
    run(source="more.csv" if change == "fewer" else "fewer.csv")
    if change == "more":  # the champion's columns are all there: it can be asked
        document = run(source="more.csv", estimator=FOREST, arguments=depth(12), n_estimators=30)
        assert document["gate"]["ground"] == "better"
        return
    document = run(3, source="fewer.csv", estimator=FOREST, arguments=depth(12), n_estimators=30)
    assert document["gate"]["ground"] == "champion_columns"
    assert "it needs alcohol" in document["gate"]["reasons"][0]
    assert stages(store) == {1: "Staging"}


@pytest.mark.slow
def test_a_champion_that_does_not_load_is_a_stated_case(run, store):
    run()
    version = store.client.get_model_version("wine", "1")
    shutil.rmtree(download_artifacts(version.source))
    document = run(3, estimator=FOREST, arguments=depth(12), n_estimators=30)
    assert document["gate"]["ground"] == "champion_unloadable"
    assert "models:/wine/1 cannot be loaded" in document["gate"]["reasons"][0]
    assert stages(store) == {1: "Staging"}


@pytest.mark.slow
def test_a_champion_that_does_not_predict_is_a_stated_case(run, store, monkeypatch):
    run()
    real = promote.ask_gate

    def without_a_column(challenger, champion):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("wine_sweep.tracking.models.LoadedModel._own", lambda self, features: features.iloc[:, 1:])
            return real(challenger, champion)

    monkeypatch.setattr(promote, "ask_gate", without_a_column)
    document = run(3, estimator=FOREST, arguments=depth(12), n_estimators=30)
    assert document["gate"]["ground"] == "champion_fails"
    assert "fixed acidity" in document["gate"]["reasons"][0]


@pytest.mark.slow
def test_a_champion_that_somebody_registered_by_hand_is_a_stated_case(run, store):
    run(arguments=("--no-promote",))
    logged = store.client.search_logged_models(["1"])[0]
    other = store.client.create_run("0").info.run_id
    store.client.create_registered_model("wine")
    store.client.create_model_version("wine", logged.model_uri, other)
    put_in_staging(store, "1")
    document = run(3, estimator=FOREST, arguments=depth(12), n_estimators=30)
    assert document["gate"]["ground"] == "unknown_rows"
    assert stages(store) == {1: "Staging"}


@pytest.mark.slow
def test_a_champion_for_another_task_is_a_stated_case(run):
    run()
    document = run(3, estimator="sklearn.tree.DecisionTreeClassifier", arguments=depth(8))
    assert document["gate"]["ground"] == "other_task"


@pytest.mark.slow
def test_a_gate_for_classes_compares_by_what_decides(run, table):
    table.assign(quality=(table["quality"] > 5).astype(int)).to_csv("good.csv", index=False)
    run(estimator="sklearn.tree.DecisionTreeClassifier", source="good.csv", gate=False)
    better = {"estimator": "sklearn.ensemble.RandomForestClassifier", "n_estimators": 30, "min_samples_leaf": 5}
    document = run(
        **better,
        source="good.csv",
        arguments=(*depth(12), "--set", "objective=log_loss", "--set", "evaluation.metrics=[log_loss]"),
    )
    assert document["gate"]["comparison"]["metric"] == "log_loss"
    assert document["gate"]["ground"] == "better"


@pytest.mark.slow
def test_a_slice_that_gets_worse_keeps_a_better_model_out(run):
    random = np.random.default_rng(0)
    rows = pd.DataFrame(random.normal(size=(600, 2)), columns=["a", "b"])
    rows["few"] = (np.arange(600) % 4 == 0).astype(int)
    rows["quality"] = np.where(rows["few"] == 1, rows["a"], rows["b"])
    rows.to_csv("rows.csv", index=False)

    def by(column):
        kept = {"estimator": "sklearn.compose.ColumnTransformer", "params": {"transformers": [["kept", "passthrough", [column]]]}}
        return {"pipeline": {"keep": kept, "tree": {"estimator": STUMP, "params": {"random_state": 0}}}}

    gate = {"slices": ["few"], "slice_margin": 0.05}
    run(source="rows.csv", model=by("a"), gate=False)
    document = run(3, source="rows.csv", model=by("b"), gate=gate)
    assert document["gate"]["ground"] == "worse_slice"
    assert document["gate"]["comparison"]["low"] > 0
    assert any("few 1" in reason for reason in document["gate"]["reasons"])
    assert run(source="rows.csv", model=by("b"))["gate"]["ground"] == "better"


@pytest.mark.slow
def test_without_a_gate_every_winner_is_promoted(run, store):
    run(estimator=FOREST, arguments=depth(12), n_estimators=30)
    assert run(gate=False)["gate"]["ground"] == "no_gate"
    assert stages(store) == {1: "Archived", 2: "Staging"}


@pytest.mark.slow
def test_who_is_overtaken_is_told_and_changes_nothing(run, store, monkeypatch):
    run()
    real = promote.ask_gate

    def while_somebody_promotes(challenger, champion):
        verdict = real(challenger, champion)
        made = store.client.create_model_version("wine", store.client.get_model_version("wine", "1").source)
        put_in_staging(store, made.version)
        return verdict

    monkeypatch.setattr(promote, "ask_gate", while_somebody_promotes)
    document = run(3, estimator=FOREST, arguments=depth(12), n_estimators=30)
    assert document["gate"]["ground"] == "overtaken"
    assert "Version 2 of wine is in Staging by now" in document["gate"]["reasons"][0]
    assert stages(store) == {1: "Archived", 2: "Staging", 3: "None"}
    last = ledger(store)[-1]
    assert (last.action, last.ground, last.after) == ("kept", "overtaken", "2")


@pytest.mark.slow
def test_gate_ledger_and_rollback_on_a_tracking_server(server, tmp_path, in_process_at):
    name = "served wine"
    command = in_process_at(tmp_path, server.uri)

    def run(depth, estimator, code):
        config = {
            "name": "served",
            "data": {"source": "wine-quality-red", "seed": 40},
            "model": {"estimator": estimator, "params": {"random_state": 0, "min_samples_leaf": 5}},
            "search": {"parameters": {"max_depth": [depth]}},
            "evaluation": {"cv": 2, "bootstrap": 0},
            "execution": {"backend": "serial"},
            "registry": {"name": name},
        }
        (tmp_path / "g.yaml").write_text(yaml.safe_dump(config))
        ended = command("run", "g.yaml", "--quiet", "--json")
        assert ended.returncode == code, ended.stderr or ended.stdout
        return json.loads(ended.stdout)["gate"]["ground"]

    assert [run(2, STUMP, 0), run(12, FOREST, 0), run(1, STUMP, 3), run(12, FOREST, 0)] == [
        "beats_dummy", "better", "not_better", "same_model",
    ]  # fmt: skip
    assert command("rollback", name).returncode == 0
    history = json.loads(command("history", name, "--json").stdout)
    assert [(each["action"], each["before"], each["after"]) for each in history["entries"]] == [
        ("rolled_back", "2", "1"),
        ("kept", "2", "2"),
        ("promoted", "1", "2"),
        ("promoted", None, "1"),
    ]
    version = server.client.get_model_version_by_alias(name, "staging")
    assert (str(version.version), version.current_stage) == ("1", "Staging")
