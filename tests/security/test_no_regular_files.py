"""What is no regular file is refused by its name: a pipe that nobody writes into holds nobody up."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CONFIG = """
data: {source: TABLE, target: quality}
model: {estimator: sklearn.linear_model.Ridge}
search: {parameters: {alpha: [0.1, 1]}}
"""


@pytest.fixture
def strange(tmp_path):
    """Files that are none, by what they are: a pipe, a link to a device, and a link to this process's own stdin."""
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "zero.csv").symlink_to("/dev/zero")
    (tmp_path / "null.csv").symlink_to("/dev/null")


@pytest.mark.quick(1)
@pytest.mark.timeout(120)
@pytest.mark.usefixtures("strange")
@pytest.mark.parametrize("name", ["pipe.csv", "zero.csv", "null.csv"])
@pytest.mark.parametrize(
    "command", [["plan"], ["run"], ["import-wandb"], ["refresh", "--data", "new.csv"]], ids=lambda words: words[0]
)
def test_a_config_is_a_regular_file(in_process, command, name):
    done = in_process(command[0], name, *command[1:])
    assert done.returncode == 2
    assert f"{name}: cannot be read: it is no regular file" in done.stderr


@pytest.mark.timeout(120)
@pytest.mark.usefixtures("strange")
@pytest.mark.parametrize("name", ["pipe.csv", "zero.csv"])
def test_a_table_is_a_regular_file(in_process, name):
    Path("c.yaml").write_text(CONFIG.replace("TABLE", name))
    done = in_process("plan", "c.yaml")
    assert done.returncode == 2
    assert f"{name} is no regular file" in done.stderr


@pytest.mark.slow
def test_a_person_can_give_a_config_by_stdin(tmp_path):
    command = [sys.executable, "-m", "wine_sweep", "plan", "/dev/stdin"]
    text = CONFIG.replace("TABLE, target: quality", "wine-quality-red")
    done = subprocess.run(command, input=text, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=50)
    assert done.returncode == 0, done.stderr


@pytest.mark.timeout(120)
def test_a_functions_file_is_a_regular_file(in_process, tmp_path):
    os.mkfifo(tmp_path / "pipe.py")
    text = (
        "model: {function: 'pipe.py:train'}\nsearch: {parameters: {a: [1, 2]}}\nobjective: {metric: loss, direction: minimize}\n"
    )
    Path("c.yaml").write_text(text)
    done = in_process("plan", "c.yaml", "--trust", ".")
    assert done.returncode == 2
    assert "pipe.py cannot be read: it is no regular file" in done.stderr
