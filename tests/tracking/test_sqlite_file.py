"""A SQLite file that is deleted is called that, is not made anew, and one without MLflow's tables is no store."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing

import mlflow
import pytest

from wine_sweep.errors import ConfigError, NotFoundError, TrackingError
from wine_sweep.tracking.reader import SweepReader
from wine_sweep.tracking.sqlite_file import file_of, real_path
from wine_sweep.tracking.store import open_store


def other_database(path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE dear (x)")


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda path: None, "is missing: it was never made, or it was deleted"),
        (lambda path: path.touch(), "is empty: what was in it was deleted"),
        (other_database, "holds no tables of MLflow's"),
    ],
)
def test_what_is_no_store_is_not_made_one(tmp_path, make, why):
    path = tmp_path / "mlflow.db"
    make(path)
    before = path.read_bytes() if path.exists() else None
    with pytest.raises(NotFoundError, match=why):
        open_store(f"sqlite:///{path}")
    assert (path.read_bytes() if path.exists() else None) == before
    assert [each.name for each in tmp_path.iterdir()] == ([] if before is None else ["mlflow.db"])


@pytest.mark.parametrize("create", [True, False])
@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("sqlite:///.", "names a folder"),
        ("sqlite:///{}", "names a folder"),
        ("sqlite+pysqlite:///.", "names a folder"),
        ("sqlite:///:memory:", "names a store in memory, which would be gone at the end"),
        ("sqlite://", "names a store in memory"),
        ("sqlite:///", "names a store in memory"),
        ("sqlite:///file::memory:?uri=true", "names a store in memory"),
        ("sqlite:///file:x?mode=memory&uri=true", "names a store in memory"),
        ("sqlite:///%00", "holds a NUL character"),
        ("sqlite:////dev/null", "names what is no regular file"),
        ("sqlite:///{}/pipe", "names what is no regular file"),
        ("sqlite:///{}/file/mlflow.db", "names no file that could be there"),
        ("sqlite:///{}/" + "x" * 300, "names no file that could be there"),
        ("sqlite://host/mlflow.db", "names a host, 'host'"),
        ("sqlite:mlflow.db", "cannot be read"),
    ],
)
def test_what_no_store_can_be_is_refused_at_once(tmp_path, monkeypatch, uri, why, create):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setattr("mlflow.store.db.utils.create_sqlalchemy_engine_with_retry", lambda _: pytest.fail("it would be tried"))
    before = set(tmp_path.iterdir())
    with pytest.raises(ConfigError) as caught:
        open_store(uri.format(tmp_path), create=create)
    assert why in str(caught.value)
    assert str(caught.value).endswith("a SQLite store is a file: sqlite:///mlflow.db")
    assert set(tmp_path.iterdir()) == before
    mlflow.set_tracking_uri(None)


@pytest.mark.parametrize("value", ["xyz", ""])
@pytest.mark.parametrize(
    ("name", "allowed"),
    [("MLFLOW_SQLALCHEMYSTORE_POOL_SIZE", "the type int"), ("MLFLOW_ENABLE_ASYNC_LOGGING", "true, false, 1 or 0")],
)
def test_a_variable_of_mlflows_that_it_would_fail_on_is_refused_first(store, monkeypatch, name, allowed, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=f"^{name}: MLflow takes .*{allowed}.* got '{value}'"):
        open_store(store.uri)


def test_a_store_in_a_folder_that_is_missing_is_missing(tmp_path):
    with pytest.raises(NotFoundError, match="is missing"):
        open_store(f"sqlite:///{tmp_path / 'no' / 'such' / 'mlflow.db'}")


def test_a_store_that_is_deleted_while_it_is_open_is_called_deleted_and_not_made_anew(store):
    path = store.folder / "mlflow.db"
    client = open_store(store.uri)
    path.rename(store.folder / "kept.db")
    for _ in range(2):
        with pytest.raises(TrackingError, match=f"the SQLite file {path} was deleted; put it back") as caught:
            SweepReader(client)
        assert caught.value.is_outage
        assert not path.exists()
    (store.folder / "kept.db").rename(path)
    assert SweepReader(client).sweeps() == []


def test_another_file_in_its_place_is_not_written_to(store):
    path = store.folder / "mlflow.db"
    client = open_store(store.uri)
    shutil.copy(path, store.folder / "copy.db")
    os.replace(store.folder / "copy.db", path)
    before = path.read_bytes()
    with pytest.raises(TrackingError, match="another one is in its place now") as caught:
        SweepReader(client)
    assert not caught.value.is_outage
    assert path.read_bytes() == before
    assert SweepReader(open_store(store.uri)).sweeps() == [], "who opens it anew may use it"


def test_an_empty_file_in_its_place_counts_as_deleted(store):
    path = store.folder / "mlflow.db"
    client = open_store(store.uri)
    path.unlink()
    path.touch()
    with pytest.raises(TrackingError, match="was deleted, and an empty one is in its place") as caught:
        SweepReader(client)
    assert caught.value.is_outage
    assert path.stat().st_size == 0


def test_a_store_that_is_deleted_can_be_made_anew_in_the_same_process(store):
    path = store.folder / "mlflow.db"
    open_store(store.uri).create_experiment("first")
    path.unlink()
    client = open_store(store.uri, create=True)
    assert client.get_experiment_by_name("first") is None
    assert client.create_experiment("second")


def test_a_relative_uri_an_absolute_one_and_a_link_are_one_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    (tmp_path / "linked").symlink_to("here")
    uris = [
        "sqlite:///here/a.db",
        "sqlite:///./here/../here/a.db",
        f"sqlite:///{tmp_path}/here/a.db",
        "sqlite:///linked/a.db?timeout=9",
    ]
    assert {real_path(file_of(uri)) for uri in uris} == {str(tmp_path / "here" / "a.db")}


@pytest.fixture(autouse=True)
def _uri_as_before():
    yield
    mlflow.set_tracking_uri(None)
