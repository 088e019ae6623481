"""Files packed and unpacked, as they go from a cluster's worker to the client."""

from __future__ import annotations

import os

import pytest

from wine_sweep.execution.base import LEFT_OUT, pack, unpack


def test_what_is_packed_is_unpacked_as_it_was(tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "deep/er").mkdir(parents=True)
    (source / "deep/er/model").write_bytes(bytes(range(256)))
    (source / "an empty one").touch()
    (source / "link").symlink_to("deep/er/model")
    (source / "elsewhere").symlink_to(tmp_path, target_is_directory=True)
    os.mkfifo(source / "pipe")
    target.mkdir()
    unpack(pack(source), target)
    found = {path.relative_to(target).as_posix(): path.read_bytes() for path in target.rglob("*") if path.is_file()}
    assert found == {"deep/er/model": bytes(range(256)), "an empty one": b"", "link": bytes(range(256))}


def test_a_folder_that_is_not_there_has_no_files(tmp_path):
    assert pack(tmp_path / "none") == {}


def test_what_does_not_fit_is_left_out_and_named(tmp_path):
    for name, size in (("a", 60), ("b", 50), ("c", 50), ("d", 101)):
        (tmp_path / name).write_bytes(b"x" * size)
    packed = pack(tmp_path, most=100)
    assert set(packed) == {"b", "c", LEFT_OUT}
    assert packed[LEFT_OUT].decode() == (
        "a: 60 bytes, and 100 is the most that all files may have together\n"
        "d: 101 bytes, and 100 is the most that all files may have together\n"
    )


@pytest.mark.parametrize("name", ["../a", "/tmp/a", "x/../../a", "link/a"])
def test_a_path_that_leads_out_is_refused_and_nothing_is_written(tmp_path, name):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path, target_is_directory=True)
    with pytest.raises(ValueError, match="leads out of the trial's folder"):
        unpack({"fine": b"1", name: b"2"}, folder)
    assert [path.name for path in folder.iterdir()] == ["link"]
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
