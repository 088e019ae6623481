"""A disk that fills: the store's own, for a while and for good."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.faults.faultkit.place import SEARCHES, Command, Place

EXECUTION = "{backend: processes, workers: 2, tracking_timeout: %s}"
DISK = "24m"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MiB in memory, which only root may make."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or shutil.which("mount") is None or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("a small file system can be mounted by root only")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def disk_place(small_disk: Path, migrated: Path, tmp_path: Path) -> Iterator[Place]:
    """A place whose store and artifacts are on the small disk; its state is not."""
    folder = tmp_path / "place"
    folder.mkdir()
    shutil.copy(migrated, small_disk / "mlflow.db")
    made = Place(folder, f"sqlite:///{small_disk / 'mlflow.db'}")
    yield made
    made.clear()


def fill(disk: Path) -> Path:
    """Write a file until no byte is left."""
    path = disk / "filling"
    with path.open("wb", buffering=0) as file:
        for size in (2**20, 2**12, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue
    return path


def under_way(place: Place, timeout: str) -> Command:
    place.write_config(SEARCHES["grid"], pause=0.6, execution=EXECUTION % timeout)
    command = place.run()
    place.wait_until_under_way(command)
    return command


@pytest.mark.full_form
def test_a_disk_that_is_full_for_a_while_costs_no_result(disk_place, small_disk, audit):
    command = under_way(disk_place, "5m")
    filling = fill(small_disk)
    disk_place.wait_for_ended(len(disk_place.notes("ended")) + 10, command)
    filling.unlink()
    ended = command.wait()
    assert ended.code == 0, ended
    audit(disk_place, "a disk that fills, for a while")
    disk_place.assert_nothing_left_over()


def test_a_disk_that_stays_full_ends_the_sweep_and_resume_writes_what_waits(disk_place, small_disk, audit):
    command = under_way(disk_place, "5s")
    filling = fill(small_disk)
    ended = command.wait()
    assert ended.code == 1, ended
    assert "Traceback" not in ended.stderr
    assert ".jsonl" in ended.stderr.replace("\n", "")
    disk_place.assert_nothing_left_over()
    filling.unlink()
    resumed = disk_place.resume()
    assert resumed.wait().code == 0, resumed.text()
    ended_fits = [params for pid, params in disk_place.notes("ended") if pid != resumed.pid]
    assert len(ended_fits) == len(set(ended_fits))
    audit(disk_place, "a disk that fills, for good, and resume")
