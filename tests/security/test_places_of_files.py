"""Where a store says that files lie is the word of whoever can write to it: no other folder and no other server counts."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient
from sklearn.linear_model import Ridge

from wine_sweep.errors import TrackingError
from wine_sweep.tracking import artifacts, names
from wine_sweep.tracking.artifacts import check_location, is_elsewhere, split_location
from wine_sweep.tracking.models import ModelToLog, log_model

CONFIG = """
name: victim
data: {source: wine-quality-red, seed: 40}
model: {estimator: sklearn.tree.DecisionTreeRegressor}
search: {parameters: {max_depth: [1, 2]}}
evaluation: {cv: 2, bootstrap: 0}
execution: {backend: serial}
registry: {name: wine, gate: false}
"""
RUN = "0123456789abcdef" * 2
CHECK = ("check", "wine", "--data", "wine-quality-white")


@pytest.fixture(scope="module")
def swept(in_process_at, migrated, tmp_path_factory):
    """A folder with a store that has a sweep whose winner is in Staging."""
    folder = tmp_path_factory.mktemp("swept")
    shutil.copy(migrated, folder / "mlflow.db")
    (folder / "s.yaml").write_text(CONFIG)
    done = in_process_at(folder, f"sqlite:///{folder / 'mlflow.db'}")("run", "s.yaml")
    assert done.returncode == 0, done.stderr
    yield folder
    mlflow.set_tracking_uri(None)


@pytest.fixture
def run(swept, in_process_at, tmp_path):
    """The command line on a copy of that store; its artifacts are the same."""
    with closing(sqlite3.connect(swept / "mlflow.db")) as database, closing(sqlite3.connect(tmp_path / "copy.db")) as made:
        database.backup(made)
    yield in_process_at(swept, f"sqlite:///{tmp_path / 'copy.db'}")
    mlflow.set_tracking_uri(None)


@pytest.fixture
def copy(run, tmp_path):
    """The file of that copy."""
    return tmp_path / "copy.db"


def change(file: Path, *statement: object) -> None:
    with closing(sqlite3.connect(file)) as database:
        database.execute(statement[0], statement[1:])
        database.commit()


def place_all(file: Path, place: str) -> None:
    change(file, "UPDATE runs SET artifact_uri = ?", place)


def interrupt(file: Path) -> None:
    """Have the sweep look as one that was killed before a trial was begun."""
    change(file, "UPDATE runs SET status = 'KILLED' WHERE run_uuid IN (SELECT run_uuid FROM tags WHERE value = 'sweep')")


@pytest.mark.quick(3)
@pytest.mark.parametrize(
    "command", [("resume", "latest", "--json"), CHECK, ("promote", "latest", "--name", "new"), ("reproduce", "")]
)
@pytest.mark.parametrize("spelling", ["{}", "file://{}?/{run}/artifacts"])
def test_a_project_of_the_users_is_neither_written_over_nor_read(spelling, command, copy, run, tmp_path):
    project = tmp_path / "project"
    project.mkdir()
    (project / "config.yaml").write_text("mine")
    interrupt(copy)
    place_all(copy, spelling.format(project, run=RUN))
    if command[0] == "reproduce":
        command = ("reproduce", trial_of(copy))
    ended = run(*command)
    assert (project / "config.yaml").read_text() == "mine"
    assert [each.name for each in project.iterdir()] == ["config.yaml"]
    assert "Traceback" not in ended.stderr
    if command[0] in ("check", "reproduce", "resume"):
        assert ended.returncode == 1
        assert "somebody has changed that in the store" in " ".join(ended.stderr.split())


def trial_of(file: Path) -> str:
    with closing(sqlite3.connect(file)) as database:
        query = "SELECT run_uuid FROM tags WHERE key = ? AND value = 'trial'"
        return database.execute(query, (names.KIND,)).fetchone()[0]


def test_every_writer_and_reader_looks_at_the_place(store, tmp_path):
    client = store.client
    made = client.create_run("0").info.run_id
    place_all(store.folder / "mlflow.db", str(tmp_path / "project"))
    for action in (
        lambda: artifacts.write_text(client, made, "x", "a.txt"),
        lambda: artifacts.write(client, made, tmp_path / "mlflow.db"),
        lambda: artifacts.write(client, made, tmp_path),
        lambda: artifacts.has_folder(client, made, "a"),
        lambda: artifacts.fetch(client, made, "a", str(tmp_path)),
    ):
        with pytest.raises(TrackingError, match=rf"the files of the run {made} lie at .*project"):
            action()
    assert not (tmp_path / "project").exists()


def local_files(client, run_id: str) -> Path:
    return Path(client.get_run(run_id).info.artifact_uri)


@pytest.fixture
def project(tmp_path) -> Path:
    """A folder of the user's, with a file that nothing may write to."""
    made = tmp_path / "project"
    made.mkdir()
    (made / "a.txt").write_text("mine")
    return made


@pytest.mark.quick(1)
@pytest.mark.parametrize("linked", ["the run's folder", "its artifacts", "a folder within"])
@pytest.mark.parametrize("written", ["before", "after"])
def test_no_link_among_the_folders_of_a_run_is_followed(store, project, linked, written):
    """Where others may write to these folders they may put one there at any time."""
    run_id = store.client.create_run("0").info.run_id
    root = local_files(store.client, run_id)
    if written == "after":
        artifacts.write_text(store.client, run_id, "first", "within/b.txt")
    path = {"the run's folder": root.parent, "its artifacts": root, "a folder within": root / "within"}[linked]
    if path.exists():
        path.rename(f"{path}-away")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(project)
    with pytest.raises(TrackingError, match="is a link or no folder; MLflow makes a folder there"):
        artifacts.write_text(store.client, run_id, "theirs", "within/a.txt")
    if linked != "a folder within":
        with pytest.raises(TrackingError, match="is a link or no folder"):
            artifacts.fetch(store.client, run_id, "a.txt", str(store.folder))
    assert [(each.name, each.read_text()) for each in project.rglob("*") if each.is_file()] == [("a.txt", "mine")]


def test_a_file_that_is_a_link_is_replaced_and_not_written_through(store, project):
    run_id = store.client.create_run("0").info.run_id
    root = local_files(store.client, run_id)
    root.mkdir(parents=True)
    (root / "a.txt").symlink_to(project / "a.txt")
    artifacts.write_text(store.client, run_id, "ours", "a.txt")
    assert (project / "a.txt").read_text() == "mine"
    assert ((root / "a.txt").read_text(), (root / "a.txt").is_symlink()) == ("ours", False)
    assert [each.name for each in root.iterdir()] == ["a.txt"]


def test_a_colleague_can_read_what_is_written(store):
    run_id = store.client.create_run("0").info.run_id
    artifacts.write_text(store.client, run_id, "ours", "a.txt")
    umask = os.umask(0)
    os.umask(umask)
    assert (local_files(store.client, run_id) / "a.txt").stat().st_mode & 0o777 == 0o666 & ~umask


@pytest.mark.slow
def test_a_model_is_written_to_the_place_that_was_looked_at(store, project):
    """A store may answer otherwise the next time: here a trigger changes the place once the model is linked to its run."""
    run_id = store.client.create_run("0").info.run_id
    change(
        store.folder / "mlflow.db",
        "CREATE TRIGGER moved AFTER INSERT ON inputs BEGIN UPDATE logged_models SET artifact_location = '"
        f"{project}' WHERE model_id = NEW.destination_id; END",
    )
    rows = pd.DataFrame({"x": [1.0, 2.0, 3.0]})
    uri = log_model(store.client, ModelToLog(Ridge().fit(rows, [1, 2, 3]), rows), experiment_id="0", run_id=run_id).uri
    assert store.client.get_logged_model(uri.removeprefix("models:/")).artifact_location == str(project), "it was moved"
    assert [each.name for each in project.iterdir()] == ["a.txt"]


def test_no_source_file_goes_round_the_one_that_looks(root):
    forbidden = ("client.log_text(", "client.log_artifact", "client.download_artifacts(", "client.list_artifacts(")
    for path in (root / "src").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert not [each for each in forbidden if each in text], path


@pytest.mark.parametrize(
    "place",
    [
        f"/home/me/mlruns/1/{RUN}/artifacts",
        f"/home/my runs/1/{RUN}/artifacts/",
        f"./mlruns/1/{RUN}/artifacts",
        f"file:///home/me/1/{RUN}/artifacts",
        f"s3://bucket/some/{RUN}/artifacts",
        f"s3://bucket/some/{RUN}/artifacts?endpoint=x",
        f"dbfs:/databricks/mlflow-tracking/1/{RUN}/artifacts",
        f"wasbs://container@account.blob.core.windows.net/1/{RUN}/artifacts",
        f"mlflow-artifacts:/1/{RUN}/artifacts",
        f"mlflow-artifacts://tracking:5871/1/{RUN}/artifacts",
        f"http://tracking:5871/api/2.0/mlflow-artifacts/artifacts/1/{RUN}/artifacts",
    ],
)
def test_places_that_mlflow_gives_are_taken(place, monkeypatch, store):
    mlflow.set_tracking_uri("http://tracking:5871")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "secret")
    check_location(place, "run", RUN)


@pytest.mark.parametrize(
    "place",
    [
        "/home/me/project",
        "",
        f"/home/me/{RUN}/artifacts/..",
        f"/home/me/{RUN}/artifacts/../../../project/{RUN}/../artifacts",
        f"/home/me/{'f' * 32}/artifacts",
        f"/home/me/project%2F%2e%2e/{RUN}/artifacts",
        f"file:///home/me/project?/{RUN}/artifacts",
        f"file:///home/me/project#/{RUN}/artifacts",
        f"s3://bucket/private?x=/{RUN}/artifacts",
        f"runs:/{'f' * 32}/{RUN}/artifacts",
        f"models:/m-{'f' * 32}/{RUN}/artifacts",
        f"http://evil:5872/{RUN}/artifacts",
        f"HTTP://evil:5872/{RUN}/artifacts",
        f"mlflow-artifacts://evil:5872/{RUN}/artifacts",
        f"http://evil:5872\\@tracking:5871/{RUN}/artifacts",
        f"http://tracking:5871\\@evil:5872/{RUN}/artifacts",
        f"http://tracking:5871@evil:5872/{RUN}/artifacts",
        f"http://tracking:5871 .evil/{RUN}/artifacts",
        f" http://evil:5872/{RUN}/artifacts",
        f"ht\ttp://evil:5872/{RUN}/artifacts",
        f"http:/evil:5872/{RUN}/artifacts",
        f"http://[/{RUN}/artifacts",
        f"http://tracking:99999/{RUN}/artifacts",
        f"http://evil\u2100/{RUN}/artifacts",
        f"http://\x1bc\x9b32m/{RUN}/artifacts",
    ],
)
def test_places_that_mlflow_never_gives_are_refused(place, monkeypatch, store):
    mlflow.set_tracking_uri("http://tracking:5871")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "secret")
    with pytest.raises(TrackingError, match="the files of the run lie at"):
        check_location(place, "run", RUN)


def test_a_folder_that_is_called_as_no_run_is_refused_though_the_store_says_it_is_one(store):
    with pytest.raises(TrackingError, match="lie at"):
        check_location("/home/me/project/artifacts", "run", "project")


def test_credentials_for_an_encrypted_store_go_over_no_open_connection(store):
    mlflow.set_tracking_uri("https://tracking:443")
    assert is_elsewhere("http://tracking:443/x")
    assert not is_elsewhere("https://tracking/x")


@pytest.mark.parametrize("host", ["evil:5872\\@tracking:5871", "evil:5872\\tracking", "tra\tcking", "\u2100", "[", "x:y"])
def test_what_two_programs_read_differently_is_no_address(host):
    assert split_location(f"http://{host}/a") is None


@pytest.fixture
def stranger():
    """A server that notes the credentials which it is sent."""
    heard = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            heard.append(self.headers.get("Authorization"))
            self.send_error(404)

        do_PUT = do_GET  # noqa: N815

        def log_message(self, *_arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/api/2.0/mlflow-artifacts/artifacts", heard
    server.shutdown()
    server.server_close()


@pytest.mark.slow
def test_no_file_of_a_run_sends_the_credentials_elsewhere(stranger, copy, run, monkeypatch):
    place, heard = stranger
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "secret")
    interrupt(copy)
    change(copy, "UPDATE runs SET artifact_uri = ? || '/' || run_uuid || '/artifacts'", place)
    for arguments in (CHECK, ("resume", "latest"), ("compare", "latest")):
        ended = run(*arguments)
        assert "Traceback" not in ended.stderr
    assert heard == []


@pytest.mark.quick(1)
@pytest.mark.parametrize("entry", ["machine 127.0.0.1 login bob password s3cret", "default login bob password s3cret"])
def test_what_netrc_has_for_a_host_is_not_sent_because_the_store_says_so(stranger, copy, run, monkeypatch, entry):
    place, heard = stranger
    netrc = copy.with_name("netrc")
    netrc.write_text(f"{entry}\n")
    monkeypatch.setenv("NETRC", str(netrc))
    change(copy, "UPDATE experiments SET artifact_location = ?", place)
    change(copy, "DELETE FROM tags WHERE key = ?", names.MODEL)
    ended = run("promote", "latest", "--name", "new")
    assert "the credentials for it" in " ".join(ended.stderr.split())
    assert heard == []


@pytest.mark.slow
def test_no_new_model_sends_the_credentials_elsewhere(stranger, copy, run, monkeypatch):
    place, heard = stranger
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "secret")
    change(copy, "UPDATE experiments SET artifact_location = ?", place)
    change(copy, "DELETE FROM tags WHERE key = ?", names.MODEL)
    ended = run("promote", "latest", "--name", "new")
    assert ended.returncode == 1
    assert "the credentials for it" in " ".join(ended.stderr.split())
    assert heard == []


@pytest.mark.slow
@pytest.mark.parametrize("place", ["http://[", "http://\x1bc\x9b32mhealthy\u2100/", "x:\x00"])
@pytest.mark.parametrize("command", [CHECK, ("promote", "latest", "--name", "wine", "--dry-run"), ("resume", "latest")])
def test_addresses_that_are_none_are_reported_without_control_characters(place, command, copy, run):
    interrupt(copy)
    place_all(copy, place)
    change(copy, "UPDATE model_versions SET source = ?, storage_location = ?", place, place)
    ended = run(*command)
    assert "Traceback" not in ended.stderr
    assert not {"\x1b", "\x9b", "\x00"} & set(ended.stderr + ended.stdout)


@pytest.mark.quick(2)
@pytest.mark.parametrize(
    "change_of",
    [
        {"train_independent": "x"},
        {"train_independent": float("nan")},
        {"grouping": {"column": ["a"], "equal_rows": True}},
        {"grouping": []},
        {"target": {"a": 1}},
        {"data": {"name": ["x"], "digest": ""}},
        {"columns": [{"name": 5}]},
        {"columns": {}},
        {"task": []},
        {"weight_column": 5},
        {"test": "prediction"},
        {"folds": "loss"},
    ],
    ids=str,
)
def test_a_reference_that_somebody_has_changed_is_reported_with_its_run(change_of, swept, run, tmp_path):
    place = next(swept.rglob("reference/reference.json")).parent
    shutil.copytree(place, tmp_path / "kept")
    try:
        table = change_of.get("test") or change_of.get("folds")
        if table is not None:
            path = place / f"{next(iter(change_of))}.parquet"
            pd.read_parquet(path).drop(columns=table).to_parquet(path)
        else:
            record = json.loads((place / "reference.json").read_text())
            (place / "reference.json").write_text(json.dumps(record | change_of))
        ended = run(*CHECK)
    finally:
        shutil.rmtree(place)
        shutil.copytree(tmp_path / "kept", place)
    assert ended.returncode == 1
    assert f"reference of the run {place.parent.parent.name} cannot be read" in " ".join(ended.stderr.split())


@pytest.mark.slow
def test_an_error_that_nobody_foresaw_is_shown_without_control_characters(run, monkeypatch):
    def fail(*_arguments, **_options):
        raise RuntimeError("\x1bc\x9b32mhealthy\u2028\nsecond line")

    monkeypatch.setattr(MlflowClient, "search_runs", fail)
    ended = run("list")
    assert ended.returncode == 1
    assert "Traceback (most recent call last)" in ended.stderr
    assert "RuntimeError: \\x1bc\\x9b32mhealthy\\u2028\nsecond line" in ended.stderr


@pytest.mark.slow
def test_honest_places_of_an_experiment_are_written_to(store, in_process, tmp_path):
    client = store.client
    client.create_experiment("own", artifact_location=os.fspath(tmp_path / "my files"))
    (store.folder / "s.yaml").write_text(CONFIG.replace("name: victim", "name: victim\nexperiment: own"))
    done = in_process("run", "s.yaml")
    assert done.returncode == 0, done.stderr
    assert in_process(*CHECK).returncode in (0, 3)
    assert list((tmp_path / "my files").glob("*/artifacts/config.yaml"))
