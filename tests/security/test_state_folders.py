"""What lies on disk between processes is read, written and deleted only where it is this user's own."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from wine_sweep.errors import TrackingError
from wine_sweep.execution.base import TrialDirs
from wine_sweep.registry.client import exclusive
from wine_sweep.tracking.journal import Journal
from wine_sweep.tracking.local_state import machine_id, own_folder, state_folder, state_folders
from wine_sweep.tracking.lock import _lock_file
from wine_sweep.tracking.sqlite_file import BlankStore
from wine_sweep.trial import Trial, TrialState

TOKEN = "7a" * 16
NOBODY = 65534
TRIAL = Trial(0, {"x": 1}, TrialState.FINISHED, fit_seconds=0.1, started=1e9, ended=1e9)

as_root = pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can give files to another user")


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """The two folders where state may lie, neither made yet."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    return state_folders()


def plant(folder: Path, owner: int | None) -> Journal:
    """Make a journal and the files of its trials, and give all of it to a user."""
    journal = Journal(folder / "journals" / f"{TOKEN}.jsonl")
    journal.add(TRIAL)
    journal.close()
    journal.trial_dirs.make(journal.trial_dirs.common).joinpath("loot").write_text("mine")
    if owner is not None:
        for path in [folder, *folder.rglob("*")]:
            os.chown(path, owner, owner)
    return journal


@pytest.mark.parametrize("token", ["../../loot", "/tmp/loot", "", "A" * 32, "a" * 31, "a" * 33, "a" * 32 + "\n", "null"])
def test_only_a_token_names_a_journal(token):
    with pytest.raises(ValueError, match="names no journal"):
        Journal.of(token)


@as_root
@pytest.mark.parametrize("which", [0, 1])
def test_a_journal_in_somebody_elses_folder_is_neither_read_nor_deleted(folders, which, caplog):
    planted = plant(folders[which], NOBODY)
    journal = Journal.of(TOKEN)
    assert journal.path != planted.path
    assert journal.trials() == []
    assert "belongs to somebody else" in caplog.text
    journal.discard()
    planted.discard()
    assert planted.path.exists()
    assert planted.trial_dirs.common.joinpath("loot").exists()


@as_root
def test_a_folder_of_somebody_elses_within_ours_is_not_used(folders, caplog):
    planted = plant(folders[0], None)
    os.chown(planted.path.parent, NOBODY, NOBODY)
    journal = Journal.of(TOKEN)
    assert journal.trials() == []
    journal.add(TRIAL)
    assert journal.only_in_memory == 1
    assert "belongs to somebody else" in caplog.text


@as_root
def test_a_file_of_somebody_elses_in_our_folder_is_not_used(folders):
    planted = plant(folders[0], None)
    os.chown(planted.path, NOBODY, NOBODY)
    journal = Journal.of(TOKEN)
    with pytest.raises(TrackingError, match="somebody else"):
        journal.trials()
    journal.add(TRIAL)
    assert journal.only_in_memory == 1


@pytest.mark.parametrize("part", ["journals", f"journals/{TOKEN}.jsonl"])
def test_links_are_not_followed(folders, tmp_path, part):
    elsewhere = plant(tmp_path / "elsewhere", None)
    link = folders[1] / part
    own_folder(link.parent if part != "journals" else folders[1])
    link.symlink_to(tmp_path / "elsewhere" / part)
    journal = Journal(folders[1] / "journals" / f"{TOKEN}.jsonl", folders[1])
    if part == "journals":
        assert Journal.of(TOKEN).path != journal.path
    else:
        with pytest.raises(TrackingError, match="it is a link"):
            journal.trials()
    journal.add(TRIAL)
    assert journal.only_in_memory == 1
    journal.discard()
    assert elsewhere.path.exists()
    assert elsewhere.trial_dirs.common.joinpath("loot").exists()


def test_a_linked_folder_of_files_is_not_deleted(folders, tmp_path):
    journal = Journal.of(TOKEN)
    journal.add(TRIAL)
    (tmp_path / "dear").mkdir()
    journal.trial_dirs.root.symlink_to(tmp_path / "dear")
    with pytest.raises(PermissionError, match="link"):
        journal.trial_dirs.make(journal.trial_dirs.common)
    journal.discard()
    assert (tmp_path / "dear").exists()


def test_another_files_second_name_is_not_written_to(folders, tmp_path):
    (tmp_path / "dear").write_text("no newline at its end")
    os.link(tmp_path / "dear", own_folder(own_folder(folders[0]) / "journals") / f"{TOKEN}.jsonl")
    journal = Journal.of(TOKEN)
    journal.add(TRIAL)
    assert journal.only_in_memory == 1
    assert (tmp_path / "dear").read_text() == "no newline at its end"


@pytest.mark.parametrize("mode", [0o775, 0o777, 0o1777])
def test_rights_of_others_are_taken_away_and_what_is_ours_is_still_read(folders, mode, caplog):
    planted = plant(folders[0], None)
    folders[0].chmod(mode)
    planted.path.parent.chmod(mode)
    assert Journal.of(TOKEN).trials() == [TRIAL]
    assert "others could write to" in caplog.text
    assert [stat.S_IMODE(path.stat().st_mode) & 0o022 for path in (folders[0], planted.path.parent)] == [0, 0]


def test_a_journal_that_others_may_write_to_is_not_read(folders):
    planted = plant(folders[0], None)
    planted.path.chmod(0o666)
    with pytest.raises(TrackingError, match="others may write to it"):
        Journal.of(TOKEN).trials()


def test_the_state_may_lie_on_another_disk(folders, tmp_path):
    (tmp_path / "disk").mkdir(mode=0o700)
    folders[0].parent.mkdir()
    folders[0].symlink_to(tmp_path / "disk")
    assert state_folder() == tmp_path / "disk"
    Journal.of(TOKEN).add(TRIAL)
    assert Journal.of(TOKEN).trials() == [TRIAL]


@as_root
def test_where_every_folder_is_somebody_elses_nothing_is_kept_there(folders, caplog):
    for folder in folders:
        folder.mkdir(parents=True)
        os.chown(folder, NOBODY, NOBODY)
        folder.chmod(0o777)
    with pytest.raises(OSError, match="no folder"):
        state_folder("locks")
    journal = Journal.of(TOKEN)
    journal.add(TRIAL)
    assert (journal.only_in_memory, journal.trials()) == (1, [])
    assert machine_id() != machine_id()
    with exclusive("wine"):
        pass
    assert [list(folder.iterdir()) for folder in folders] == [[], []]


@as_root
@pytest.mark.parametrize("plant_file", [lambda path: path.symlink_to("/etc/hostname"), lambda path: path.write_text("x")])
def test_the_id_of_this_machine_is_not_somebody_elses(folders, plant_file):
    path = own_folder(folders[0]) / "machine"
    plant_file(path)
    os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    assert len(machine_id()) == 32


@pytest.mark.parametrize("run_id", ["../../../victim", "/tmp/victim", "a/b", "x" * 300, "\x00", "\ud800"])
def test_the_lock_of_a_run_lies_among_the_locks_whatever_its_id(folders, run_id):
    assert _lock_file(run_id).parent == state_folder("locks")
    assert len(_lock_file(run_id).name) < 60


@as_root
def test_a_blank_store_of_somebody_elses_is_not_copied(tmp_path, migrated):
    blank = BlankStore(tmp_path / "cache" / "blank.db")
    blank.keep(migrated)
    os.chown(tmp_path / "cache", NOBODY, NOBODY)
    assert not blank.copy_to(tmp_path / "mlflow.db")


@as_root
def test_files_of_trials_are_not_put_into_somebody_elses_folder(tmp_path):
    (tmp_path / "files").mkdir()
    os.chown(tmp_path / "files", NOBODY, NOBODY)
    trial_dirs = TrialDirs(tmp_path / "files")
    with pytest.raises(PermissionError, match="somebody else"):
        trial_dirs.make(trial_dirs.folder(0))
