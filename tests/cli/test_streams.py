"""What becomes of a command whose output nobody reads, no disk has room for, or no encoding has the characters for."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from wine_sweep.progress.signals import end_with

CONFIG = """
name: small
data: {source: wine-quality-red}
model: {estimator: sklearn.linear_model.Ridge}
search: {parameters: {alpha: [0.1, 1, 10, 100]}}
evaluation: {cv: 3}
"""


@pytest.mark.slow
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


@pytest.mark.slow
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


ODD = CONFIG.replace("name: small", "name: Größe 🍷\nregistry: {name: wein}")
ENCODINGS = {
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "latin": {"PYTHONIOENCODING": "iso-8859-1"},
    "C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}


def ended(wine_sweep, *arguments, settings=None, redirected=""):
    """Run a command by a shell, with environment variables and redirections."""
    return subprocess.run(
        ["/bin/sh", "-c", f'exec "$@" {redirected}', "sh", *wine_sweep.command(*arguments)],
        cwd=wine_sweep.folder,
        env=wine_sweep.environment() | (settings or {}),
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=240,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_what_an_encoding_does_not_have_is_shown_as_an_escape(encoding, wine_sweep, store):
    (store.folder / "odd.yaml").write_text(ODD, encoding="utf-8")
    plain = "latin-1" if encoding == "latin" else "ascii"
    shown = {"run": "Größe 🍷", "compare": "±", "history": "wein", "list": "Größe 🍷"}
    for arguments in (["run", "odd.yaml"], ["compare", "latest"], ["history", "wein"], ["list"]):
        done = ended(wine_sweep, *arguments, settings=ENCODINGS[encoding])
        assert done.returncode == 0, done.stderr
        assert shown[arguments[0]].encode(plain, "backslashreplace") in done.stdout
        assert b"Traceback" not in done.stderr
    for arguments in (["compare", "latest", "--format", "json"], ["list", "--json"]):
        done = ended(wine_sweep, *arguments, settings=ENCODINGS[encoding])
        (first, *_) = json.loads(done.stdout.decode(plain))
        assert (first.get("sweep") or first["name"]) == "Größe 🍷", "JSON reads back as the values themselves"


def test_a_config_is_not_printed_where_its_characters_would_be_others(wine_sweep, tmp_path):
    (tmp_path / "w.yaml").write_text(
        "program: t.py\nname: Größe\nmethod: grid\nmetric: {name: loss, goal: minimize}\nparameters: {x: {values: [1]}}\n",
        encoding="utf-8",
    )
    done = ended(wine_sweep, "import-wandb", "w.yaml", settings=ENCODINGS["ascii"])
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr == b"stdout: has the encoding ascii, and the config other characters; give --output, or set PYTHONUTF8=1\n"


@pytest.mark.slow
@pytest.mark.parametrize("redirected", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_stream_that_is_closed_from_the_beginning_is_as_nowhere(redirected, wine_sweep, store):
    (store.folder / "small.yaml").write_text(CONFIG)
    codes = {("list",): 0, ("run", "small.yaml"): 0, ("list", "--json"): 0, ("plan", "none.yaml"): 2, ("--help",): 0, ("no",): 2}
    for arguments, code in codes.items():
        done = ended(wine_sweep, *arguments, redirected=redirected)
        assert (arguments, done.returncode) == (arguments, code), done
        assert b"Traceback" not in done.stderr
        if arguments == ("list",):
            assert done.stderr == b""
    (parent,) = [run for run in store.client.search_runs(["1"]) if run.data.tags["wine_sweep.kind"] == "sweep"]
    assert parent.info.status == "FINISHED"


def test_the_end_of_a_process_needs_no_streams(monkeypatch):
    codes = []
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    monkeypatch.setattr("atexit._run_exitfuncs", lambda: None)
    monkeypatch.setattr(os, "_exit", codes.append)
    end_with(130)
    assert codes == [130]
