"""The tables of a new store are made once, and copied after that."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing

import mlflow
import pytest
from mlflow import MlflowClient

from wine_sweep.tracking.sqlite_file import BlankStore
from wine_sweep.tracking.store import open_store


@pytest.fixture
def blank(migrated, tmp_path):
    made = BlankStore(tmp_path / "cache" / "blank.db")
    made.keep(migrated)
    assert made.path.exists()
    return made


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "wine-sweep"


def schema(path):
    with closing(sqlite3.connect(path)) as connection:
        return sorted(connection.execute("SELECT type, name, sql FROM sqlite_master").fetchall())


def test_a_copy_is_the_store_that_mlflow_itself_makes(blank, migrated, tmp_path):
    path = tmp_path / "here" / "mlflow.db"
    path.parent.mkdir()
    assert blank.copy_to(path)
    assert schema(path) == schema(migrated)
    client = MlflowClient(f"sqlite:///{path}")
    (default,) = client.search_experiments()
    (original,) = MlflowClient(f"sqlite:///{migrated}").search_experiments()
    assert (default.experiment_id, default.name, default.lifecycle_stage) == ("0", "Default", "active")
    assert default.artifact_location == original.artifact_location
    run = client.create_run(client.create_experiment("first"))
    assert client.get_run(run.info.run_id).info.status == "RUNNING"
    assert list(path.parent.glob(".*")) == []


@pytest.mark.slow
def test_the_default_experiment_keeps_its_artifacts_in_the_folder_of_the_copy(tmp_path, monkeypatch, cache):
    places = []
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        monkeypatch.chdir(folder)
        monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
        mlflow.set_tracking_uri(None)
        (default,) = open_store(f"sqlite:///{folder / 'mlflow.db'}", create=True).search_experiments()
        places.append(default.artifact_location)
    mlflow.set_tracking_uri(None)
    assert [str(tmp_path / name) in place for name, place in zip(("first", "second"), places, strict=True)] == [True, True]
    assert len(list(cache.iterdir())) == 1


def test_a_store_that_somebody_has_written_to_is_not_kept(migrated, tmp_path):
    used = tmp_path / "used.db"
    shutil.copy(migrated, used)
    MlflowClient(f"sqlite:///{used}").create_registered_model("wine")
    blank = BlankStore(tmp_path / "blank.db")
    blank.keep(used)
    assert not blank.path.exists()


def test_a_file_that_is_there_is_left_alone(blank, tmp_path):
    path = tmp_path / "mlflow.db"
    path.write_text("mine")
    assert not blank.copy_to(path)
    assert path.read_text() == "mine"


@pytest.mark.parametrize("spoil", [lambda path: path.write_bytes(path.read_bytes()[:20_000]), lambda path: path.write_text("no")])
def test_a_damaged_copy_is_not_used(blank, spoil, tmp_path):
    spoil(blank.path)
    path = tmp_path / "mlflow.db"
    assert not blank.copy_to(path)
    assert not path.exists()


@pytest.mark.slow
def test_a_cache_that_cannot_be_written_costs_nothing(tmp_path, monkeypatch):
    tmp_path.joinpath("cache").write_text("a file")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    client = open_store(f"sqlite:///{tmp_path / 'mlflow.db'}", create=True)
    assert [each.name for each in client.search_experiments()] == ["Default"]
    mlflow.set_tracking_uri(None)


def test_another_version_of_mlflow_has_another_file(monkeypatch):
    before = BlankStore.of_this_mlflow().path
    monkeypatch.setattr(mlflow, "__version__", "9.9.9")
    assert BlankStore.of_this_mlflow().path != before


@pytest.mark.usefixtures("cache")
def test_no_file_is_made_but_the_stores_own(migrated, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    BlankStore.of_this_mlflow().keep(migrated)
    open_store(f"sqlite:///{tmp_path}/a.db?timeout=30", create=True)
    assert {path.name for path in tmp_path.iterdir()} - {"cache"} == {"a.db"}
    mlflow.set_tracking_uri(None)
