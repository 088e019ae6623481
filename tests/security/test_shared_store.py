"""Two users of one machine share a SQLite store, and nobody can lock others out by a file in the temporary folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from mlflow import MlflowClient

USERS = (65533, 65534)
CONFIG = """
name: shared
experiment: shared
data: {source: wine-quality-red, seed: 40}
model: {estimator: sklearn.tree.DecisionTreeRegressor}
search: {parameters: {max_depth: [1, 2, 3, 4, 5, 6]}}
evaluation: {cv: 2, bootstrap: 0}
execution: {backend: processes, workers: 1}
"""


@pytest.fixture
def shared():
    """A folder that two users may write to, each with a home of its own."""
    if not hasattr(os, "getuid") or os.getuid() != 0:
        pytest.skip("only root can be two other users")
    if shutil.which("setpriv") is None:
        pytest.skip("there is no setpriv")
    folder = Path("/tmp") / f"wine-sweep-shared-{uuid.uuid4().hex}"  # pytest's own folders are closed to others
    (folder / "work").mkdir(parents=True)
    (folder / "work").chmod(0o777)
    (folder / "tmp").mkdir()
    (folder / "tmp").chmod(0o1777)
    (folder / "work" / "c.yaml").write_text(CONFIG)
    for user in USERS:
        (folder / str(user)).mkdir(mode=0o700)
        os.chown(folder / str(user), user, user)
    reads = "import os, sys, wine_sweep, mlflow; sys.exit(not os.access(mlflow.__file__, os.F_OK))"  # as Alembic looks for files
    command = [*as_user(USERS[0]), sys.executable, "-c", reads]
    if subprocess.run(command, check=False, capture_output=True, cwd="/").returncode:
        shutil.rmtree(folder)
        pytest.skip("setpriv cannot let another user read the packages of this test")
    yield folder
    shutil.rmtree(folder)


def as_user(user: int) -> list[str]:
    """Begin a command as another user, who may read whatever there is, Python itself among it, and write what is its own."""
    reading = ["--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search"]
    return ["setpriv", "--reuid", str(user), "--regid", str(user), "--clear-groups", *reading]


def start(folder: Path, user: int, *arguments: str, umask: int = 0) -> subprocess.Popen[str]:
    home = folder / str(user)
    variables = {name: str(home / name.lower()) for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "MPLCONFIGDIR")}
    environment = {**os.environ, "HOME": str(home), "TMPDIR": str(folder / "tmp"), **variables}
    return subprocess.Popen(
        [*as_user(user), sys.executable, "-m", "wine_sweep", *arguments],
        cwd=folder / "work",
        env=environment,
        umask=umask,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_two_users_run_sweeps_on_one_store_at_once(shared, migrated):
    path = shared / "work" / "mlflow.db"
    shutil.copy(migrated, path)
    path.chmod(0o666)
    uris = (f"sqlite:///{path}", "sqlite:///mlflow.db")
    command = ("run", "c.yaml", "--quiet", "--tracking-uri")
    running = [start(shared, user, *command, uri) for user, uri in zip(USERS, uris, strict=True)]
    for process in running:
        _, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors
    client = MlflowClient(f"sqlite:///{path}")
    (experiment,) = (each for each in client.search_experiments() if each.name == "shared")
    runs = client.search_runs([experiment.experiment_id], max_results=100)
    assert [run.info.status for run in runs] == ["FINISHED"] * 7 * len(USERS)
    assert [each.name for each in (shared / "tmp").iterdir() if each.name.endswith(".lock")] == []


def test_nothing_in_the_temporary_folder_is_a_lock_of_ours(in_process, store, monkeypatch, tmp_path):
    """As root, who may write anywhere, nobody is locked out; so the folder is looked at."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    assert in_process("list").returncode == 0
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_new_store_is_there_with_all_of_its_tables_or_not_at_all(tmp_path, monkeypatch):
    """Whoever looks while it is made sees no file, or a whole one: two users need no lock."""
    import sqlite3
    import threading
    from contextlib import closing

    import mlflow

    from wine_sweep.tracking.store import open_store

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path, seen, done = tmp_path / "mlflow.db", [], threading.Event()

    def look() -> None:
        while not done.is_set():
            if path.exists():
                with closing(sqlite3.connect(path)) as connection:
                    seen.append(connection.execute("SELECT count(*) FROM sqlite_master WHERE type = 'table'").fetchone()[0])
            done.wait(0.002)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        open_store(f"sqlite:///{path}", create=True)
    finally:
        done.set()
        looking.join()
        mlflow.set_tracking_uri(None)
    with closing(sqlite3.connect(path)) as connection:
        count = connection.execute("SELECT count(*) FROM sqlite_master WHERE type = 'table'").fetchone()[0]
    assert set(seen) <= {count}
