"""Whole checks: a model of a real sweep, held against new rows by the command line, and the run that is left."""

from __future__ import annotations

import json
import shutil
from contextlib import contextmanager
from io import StringIO
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import root_mean_squared_error
from sklearn.model_selection import GroupShuffleSplit

from wine_sweep.data.table import load_bundled
from wine_sweep.tracking.monitoring_runs import read_reference

CONFIG = """
name: red
experiment: wines
data: {source: red.csv, target: quality, seed: 4}
model: {pipeline: {scale: sklearn.preprocessing.StandardScaler, ridge: sklearn.linear_model.Ridge}}
search: {parameters: {ridge__alpha: [1, 100]}}
evaluation: {bootstrap: 0, metrics: [rmse]}
execution: {backend: serial}
registry: {name: wine}
"""


class Place:
    """A store with a model that was trained on a part of the red wines, and tables of other wines beside it."""

    def __init__(self, store, run):
        self.client, self.uri, self.folder, self.run = store.client, store.uri, store.folder, run

    def check(self, *arguments):
        return self.run("check", *arguments)

    def found(self, *arguments, model="wine"):
        done = self.check(model, "--json", *arguments)
        return done.returncode, json.loads(done.stdout)

    def artifact(self, run, name):
        return Path(self.client.download_artifacts(run.info.run_id, name, str(self.folder))).read_text()

    @contextmanager
    def current(self):
        """Make the store MLflow's current one, as its users do."""
        mlflow.set_tracking_uri(self.uri)
        yield
        mlflow.set_tracking_uri(None)


@pytest.fixture(scope="module")
def place(migrated, tmp_path_factory, in_process_at):
    from tests.conftest import copied_store

    store = copied_store(migrated, tmp_path_factory.mktemp("checks"))
    made = Place(store, in_process_at(store.folder, store.uri))
    wine = load_bundled("wine-quality-red")
    features = wine.drop(columns="quality")
    groups = features.groupby(list(features)).ngroup()
    old, new = next(GroupShuffleSplit(1, test_size=0.25, random_state=3).split(wine, groups=groups))
    more = wine.iloc[new]
    for name, table in {
        "red": wine.iloc[old],
        "more": more,
        "shifted": more.assign(alcohol=more["alcohol"] + 2),
        "unlabelled": more.drop(columns="quality"),
        "mixed": wine,
        "incomplete": more.drop(columns=["pH", "density"]),
        "few": more.head(30),
    }.items():
        table.to_csv(store.folder / f"{name}.csv", index=False)
    (store.folder / "red.yaml").write_text(CONFIG)
    done = made.run("run", "red.yaml", "--quiet", "--json")
    assert done.returncode == 0, done.stderr
    return made


@pytest.mark.slow
def test_more_rows_of_the_same_wine_are_healthy(place):
    code, found = place.found("--data", "more.csv")
    assert (code, found["state"], found["version"], found["stage"]) == (0, "healthy", "1", "Staging")
    assert [drift for drift in found["drift"] if drift["moved"]] == []
    version = place.client.get_model_version("wine", "1")
    reference = read_reference(place.client, version.run_id)
    measured = reference.measured
    assert found["loss"]["recorded_rows"] == len(measured) == len(pd.read_csv(place.folder / "red.csv"))
    assert found["loss"]["recorded"] == pytest.approx(root_mean_squared_error(measured["target"], measured["prediction"]))


@pytest.mark.slow
def test_white_wine_shows_that_a_model_of_red_wine_has_decayed(place):
    done = place.check("wine", "--data", "wine-quality-white")
    assert done.returncode == 3
    first, *lines = done.stdout.splitlines()
    assert first == "wine version 1 (Staging) has decayed"
    assert "chlorides" in done.stdout
    assert any(line.startswith("- rmse was 0.") and "4898 new rows" in line for line in lines)
    assert "Next: `wine-sweep refresh CONFIG --data NEW` sweeps again" in done.stdout


@pytest.mark.slow
def test_a_column_that_has_moved_is_named_with_its_picture_and_its_metrics(place):
    code, found = place.found("--data", "shifted.csv")
    assert code == 3
    assert [drift["column"] for drift in found["drift"] if drift["moved"]] == ["alcohol", "prediction"]
    run = place.client.get_run(found["run_id"])
    assert run.data.metrics["drift_effect/alcohol"] > 0.5
    assert run.data.metrics["drift_p/alcohol"] < 1e-9
    plots = {Path(each.path).name for each in place.client.list_artifacts(found["run_id"], "plots")}
    assert plots == {"01-alcohol.png", "02-the-prediction.png", "losses.png"}
    for name in plots:
        path = place.client.download_artifacts(found["run_id"], f"plots/{name}", str(place.folder))
        with Image.open(path) as image:
            assert image.size == (1050, 600)
            assert len(image.getcolors(maxcolors=100_000)) > 10


def test_the_run_of_a_check_holds_all_that_it_found(place):
    _, found = place.found("--data", "more.csv", "--confidence", "0.9")
    run = place.client.get_run(found["run_id"])
    assert (run.info.status, run.info.run_name) == ("FINISHED", "check wine v1")
    assert place.client.get_experiment(run.info.experiment_id).name == "wines"
    assert run.data.params == {
        "model": "wine", "version": "1", "data": "more.csv", "confidence": "0.9", "min_loss": "0.05", "seed": "0"
    }  # fmt: skip
    tags = {name.removeprefix("wine_sweep."): value for name, value in run.data.tags.items()}
    assert (tags["kind"], tags["state"], tags["registered_model"], tags["model_version"], tags["stage"]) == (
        "check", "healthy", "wine", "1", "Staging"
    )  # fmt: skip
    assert run.data.metrics["rmse_new"] == pytest.approx(found["loss"]["new"])
    assert run.data.metrics["rows"] == found["rows"]
    (entry,) = run.inputs.dataset_inputs
    assert (entry.dataset.name, entry.dataset.digest) == ("more.csv", tags["data"][:8])
    kept = json.loads(place.artifact(run, "check.json"))
    assert kept == {name: found[name] for name in kept}
    drift = pd.read_csv(StringIO(place.artifact(run, "drift.csv")))
    assert list(drift["column"]) == [each["column"] for each in found["drift"]]
    listed = json.loads(place.run("list", "--json").stdout)
    assert [sweep["name"] for sweep in listed] == ["red"]


@pytest.mark.slow
def test_a_check_may_be_kept_in_another_experiment(place):
    _, found = place.found("--data", "few.csv", "--experiment", "checks")
    run = place.client.get_run(found["run_id"])
    assert place.client.get_experiment(run.info.experiment_id).name == "checks"


def test_rows_without_labels_are_checked_for_drift_alone(place):
    code, found = place.found("--data", "unlabelled.csv")
    assert (code, found["state"], found["loss"]) == (0, "healthy", None)


@pytest.mark.slow
def test_rows_that_were_trained_on_are_left_out_and_counted(place):
    done = place.check("wine", "--data", "mixed.csv")
    assert done.returncode == 0, done.stdout
    reference = read_reference(place.client, place.client.get_model_version("wine", "1").run_id)
    known = int(reference.was_trained_on(load_bundled("wine-quality-red")).sum())
    assert f"mixed.csv: {1599 - known} new rows; {known} more were left out, since it was trained on them" in done.stdout
    old = pd.read_csv(place.folder / "red.csv")
    old[reference.was_trained_on(old)].to_csv(place.folder / "trained.csv", index=False)
    refused = place.check("wine", "--data", "trained.csv")
    assert refused.returncode == 2
    assert "the model was trained on every one of these" in refused.stderr


def test_too_few_rows_are_said_to_be_too_few(place):
    done = place.check("wine", "--data", "few.csv")
    assert done.returncode == 0
    assert "A rise of 20% may go unseen: it takes" in done.stdout


@pytest.mark.quick(6)
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["wine", "--data", "incomplete.csv"], "there is no column 'density'; there is no column 'pH'"),
        (["wine", "--data", "none.csv"], "no such file"),
        (["wines", "--data", "more.csv"], "there is no registered model 'wines'; there are: wine"),
        (["wine", "--data", "more.csv", "--stage", "Production"], "no version of wine is in Production; there are: 1 (Staging)"),
        (["wine", "--data", "more.csv", "--version", "9"], "there is no version 9 of wine; there are: 1"),
        (["wine", "--data", "more.csv", "--version", "1", "--stage", "Staging"], "give one of the two"),
        (["wine", "--data", "more.csv", "--stage", "Stagin"], "no stage 'Stagin'; did you mean 'Staging'?"),
    ],
)
def test_what_cannot_be_checked_is_refused_and_leaves_no_run(arguments, message, place):
    before = len(place.client.search_runs([each.experiment_id for each in place.client.search_experiments()]))
    done = place.check(*arguments)
    assert done.returncode == 2
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert len(place.client.search_runs([each.experiment_id for each in place.client.search_experiments()])) == before


def test_a_model_with_nothing_recorded_is_refused_and_one_whose_files_are_gone_too(place):
    version = place.client.get_model_version("wine", "1")
    bare = place.client.create_run("0").info.run_id
    place.client.create_registered_model("bare")
    with place.current():
        place.client.create_model_version("bare", version.source, bare)
    done = place.check("bare", "--data", "more.csv", "--version", "1")
    assert done.returncode == 2
    assert "nothing is recorded of what version 1 of bare was trained and tested on" in done.stderr
    folder = place.folder / "gone"
    folder.mkdir()
    place.client.create_registered_model("gone")
    with place.current():
        place.client.create_model_version("gone", str(folder), version.run_id)
    shutil.rmtree(folder)
    done = place.check("gone", "--data", "more.csv", "--version", "1")
    assert done.returncode == 1
    assert "models:/gone/1 cannot be loaded" in done.stderr


@pytest.mark.slow
def test_the_predictions_are_those_of_the_registered_model(place):
    _, found = place.found("--data", "more.csv")
    new = pd.read_csv(place.folder / "more.csv")
    with place.current():
        predicted = mlflow.pyfunc.load_model("models:/wine@staging").predict(new.drop(columns="quality").astype(float))
    assert found["loss"]["new"] == pytest.approx(np.sqrt(np.mean((new["quality"] - predicted) ** 2)))


def test_new_rows_are_read_as_the_table_was_that_the_model_was_trained_on(place):
    text = CONFIG.replace("red.csv", "comma.csv").replace("seed: 4}", 'seed: 4, decimal: ",", drop: [pH], na_values: ["?"]}')
    for name, table in {"comma": "mixed", "later": "more"}.items():
        wine = pd.read_csv(place.folder / f"{table}.csv").astype({"pH": object})
        wine.loc[3, "pH"] = "?"
        wine.to_csv(place.folder / f"{name}.csv", sep=";", decimal=",", index=False)
    (place.folder / "comma.yaml").write_text(text.replace("name: wine}", "name: comma}").replace("name: red", "name: comma"))
    assert place.run("run", "comma.yaml", "--quiet").returncode == 0
    code, found = place.found("--data", "later.csv", model="comma")
    assert code == 0
    assert found["loss"]["new"] == pytest.approx(found["loss"]["recorded"], rel=0.2)
    assert {each["column"] for each in found["drift"]} >= {"alcohol"}
    assert "pH" not in {each["column"] for each in found["drift"]}
