"""What becomes of a command whose output nobody reads any more, or no disk has room for."""

from __future__ import annotations

import os
import subprocess

import pytest

CONFIG = """
name: small
data: {source: wine-quality-red}
model: {estimator: sklearn.linear_model.Ridge}
search: {parameters: {alpha: [0.1, 1, 10, 100]}}
evaluation: {cv: 3}
"""


def test_a_sweep_whose_output_nobody_reads_ends_as_any_other(wine_sweep, store):
    (store.folder / "small.yaml").write_text(CONFIG)
    read, written = os.pipe()
    os.close(read)
    with os.fdopen(written, "wb") as closed:
        done = subprocess.run(
            wine_sweep.command("run", "small.yaml"),
            cwd=store.folder,
            env=wine_sweep.environment(),
            stdout=closed,
            stderr=closed,
            stdin=subprocess.DEVNULL,
            timeout=240,
            check=False,
        )
    assert done.returncode == 0
    (parent,) = [run for run in store.client.search_runs(["1"]) if run.data.tags["wine_sweep.kind"] == "sweep"]
    assert parent.info.status == "FINISHED"


def test_results_that_no_disk_has_room_for_are_an_error_in_a_line(wine_sweep, store):
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            wine_sweep.command("list", "--json"),
            cwd=store.folder,
            env=wine_sweep.environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=240,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == "error: the results cannot be printed: No space left on device\n"
