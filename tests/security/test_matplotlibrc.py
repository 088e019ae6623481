"""Pictures of a check are drawn with Matplotlib's defaults, whatever file of its lies in the working folder."""

from __future__ import annotations

import os
import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from tests.report.test_check_plots import Constant, reference_of

from wine_sweep.evaluation.row_losses import RowLoss
from wine_sweep.monitoring.check import check_rows
from wine_sweep.report.check_plots import check_plots
from wine_sweep.trial import Task

pytestmark = pytest.mark.slow

DRAW = """
import sys
from wine_sweep.report.check_plots import _axes, _png
from wine_sweep.report.check_plots import defaults, mpl
with defaults():
    sys.stdout.buffer.write(_png(_axes("title", "x", "y")[0]))
assert not mpl.rcParams["text.usetex"]
"""
RUNS_LATEX = "text.usetex: True\nfigure.facecolor: red\nsavefig.facecolor: red\n"


def draw(folder, path):
    environment = {**os.environ, "PATH": f"{path}{os.pathsep}{os.environ['PATH']}"}
    command = [sys.executable, "-P", "-c", DRAW]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=True, timeout=50).stdout


def test_a_file_in_the_working_folder_is_not_read(tmp_path):
    folders = {name: tmp_path / name for name in ("empty", "set", "pipe", "bin")}
    for folder in folders.values():
        folder.mkdir()
    latex = folders["bin"] / "latex"
    latex.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\nexit 1\n")
    latex.chmod(0o755)
    (folders["set"] / "matplotlibrc").write_text(RUNS_LATEX)
    os.mkfifo(folders["pipe"] / "matplotlibrc")
    pictures = {draw(folders[name], folders["bin"]) for name in ("empty", "set", "pipe")}
    assert len(pictures) == 1
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(("backend", "expected"), [("nonsense", "auto"), ("svg", "svg"), ("", "auto")])
def test_a_backend_of_the_environment_is_for_others_and_may_be_none(backend, expected, tmp_path, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", backend)
    code = (
        "import os; from wine_sweep.report.check_plots import mpl;"
        "print(mpl.rcParams._get_backend_or_none() or 'auto', os.environ['MPLBACKEND'])"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=50, check=False
    )
    assert (done.stdout.split(), done.stderr) == ([expected, *([backend] if backend else [])], "")


def test_a_file_of_the_environment_that_cannot_be_read_is_an_error_that_says_so(tmp_path, monkeypatch):
    (tmp_path / "mine").write_bytes(b"\xff\xfe: 1\n")
    monkeypatch.setenv("MATPLOTLIBRC", str(tmp_path / "mine"))
    command = [sys.executable, "-P", "-c", "import wine_sweep.report.check_plots"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=50, check=False)
    last = (
        "ConfigError: Matplotlib cannot be imported with the matplotlibrc of the user's home, or of MATPLOTLIBRC: 'utf-8' codec"
    )
    assert last in done.stderr.splitlines()[-1]


def test_what_is_set_in_this_process_is_not_drawn_with():
    train = pd.DataFrame({"x": np.arange(100.0)})
    reference = reference_of(train, RowLoss.MAE, Task.REGRESSION, target=np.ones(100), prediction=1.0, loss=0.0)
    checked = check_rows(reference, Constant(1.0), train.assign(y=2.0))
    plain = dict(check_plots(reference, checked))
    assert plain
    with mpl.rc_context({"text.usetex": True, "figure.facecolor": "red", "savefig.facecolor": "red"}):
        assert dict(check_plots(reference, checked)) == plain
        assert mpl.rcParams["text.usetex"]
