"""A SQLite file that somebody deletes in mid-sweep: it is called what it is, and nothing is lost that can be kept."""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.faults.faultkit.audit import sweeps
from tests.faults.faultkit.place import SEARCHES, Command, Place

EXECUTION = "{backend: processes, workers: 2, tracking_timeout: %s}"
MISTAKEN = ("no such table", "unable to open database file", "readonly database", "Traceback")


@pytest.fixture
def place(migrated: Path, tmp_path: Path) -> Iterator[Place]:
    folder = tmp_path / "place"
    folder.mkdir()
    shutil.copy(migrated, folder / "mlflow.db")
    made = Place(folder, f"sqlite:///{folder / 'mlflow.db'}")
    yield made
    made.clear()


def under_way(place: Place, timeout: str, pause: float = 0.15) -> Command:
    place.write_config(SEARCHES["grid"], pause=pause, execution=EXECUTION % timeout)
    command = place.run()
    place.wait_until_under_way(command)
    return command


def copy(path: Path) -> Path:
    """Copy a store as a backup does."""
    target = path.with_name("backup.db")
    with closing(sqlite3.connect(path)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)
    return target


def look_anew(place: Place) -> None:
    """Have MLflow's client in this process open the file anew: its connections are to the one that was deleted."""
    place.uri += "?timeout=20"


def assert_called_deleted(text: str) -> None:
    assert not [words for words in MISTAKEN if words in text], text


def test_it_is_named_with_the_journal_and_the_advice_works(place, audit):
    path = place.folder / "mlflow.db"
    command = under_way(place, "3s")
    run_id = sweeps(place.client)[0].info.run_id
    backup = copy(path)
    path.unlink()
    ended = command.wait()
    said = "".join(ended.stderr.split())
    assert ended.code == 1, ended
    assert_called_deleted(ended.stderr)
    assert f"theSQLitefile{path}wasdeleted" in said
    (journal,) = (place.state / "wine-sweep" / "journals").glob("*.jsonl")
    assert f"waitin{journal}" in said
    assert f"wine-sweepresume{run_id},whichwritesthemfirst" in said
    for words in (["list"], ["compare", "latest"], ["resume", run_id, "--trust", place.kind.trust]):
        missing = place.start(*words).wait()
        assert missing.code == 2, missing
        assert_called_deleted(missing.stderr)
        assert "ismissing:itwasnevermade,oritwasdeleted" in "".join(missing.stderr.split())
        assert not path.exists()
    backup.rename(path)
    assert place.resume(run_id).wait().code == 0
    look_anew(place)
    audit(place, "a SQLite file that is deleted, a copy put back, and resume")
    assert not journal.exists()
    place.assert_nothing_left_over()


def test_one_that_is_put_back_in_time_goes_on(place, audit):
    path = place.folder / "mlflow.db"
    command = under_way(place, "5m", pause=0.3)
    path.rename(place.folder / "aside.db")
    place.wait_for_ended(len(place.notes("ended")) + 8, command)
    time.sleep(1)
    assert not path.exists()
    (place.folder / "aside.db").rename(path)
    ended = command.wait()
    assert ended.code == 0, ended
    assert_called_deleted(ended.stderr)
    audit(place, "a SQLite file that is away for a while")


def test_into_a_copy_that_is_put_back_nothing_is_written_but_by_resume(place, audit):
    path = place.folder / "mlflow.db"
    command = under_way(place, "5m", pause=0.3)
    backup = copy(path)
    path.unlink()
    place.wait_for_ended(len(place.notes("ended")) + 6, command)
    backup.rename(path)
    ended = command.wait()
    assert ended.code == 1, ended
    assert_called_deleted(ended.stderr)
    assert "anotheroneisinitsplacenow" in "".join(ended.stderr.split())
    assert place.resume().wait().code == 0
    look_anew(place)
    audit(place, "a SQLite file that is replaced by a copy, and resume")
