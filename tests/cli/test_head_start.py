"""The workers' server starts as soon as a config says that there will be workers, and not otherwise."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

SERVERS = """\
import pathlib, sys
import psutil
from wine_sweep.cli.startup import read_ahead
read_ahead(pathlib.Path(sys.argv[1]), [f"execution.backend={sys.argv[2]}"])
server = "fork" + "server"  # so that this program's own text does not name it
print(sum(server in " ".join(child.cmdline()) for child in psutil.Process().children()))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no server: each worker starts by itself")
@pytest.mark.parametrize(("backend", "servers"), [("processes", 1), ("serial", 0)])
def test_the_server_starts_where_trials_run_in_processes(tmp_path, backend, servers):
    config = tmp_path / "sweep.yaml"
    config.write_text(
        "data: {source: wine-quality-red, target: quality}\n"
        "model: {estimator: sklearn.linear_model.Ridge}\n"
        "search: {parameters: {alpha: [0.1, 1.0]}}\n"
        "objective: rmse\n"
    )
    told = subprocess.run([sys.executable, "-c", SERVERS, str(config), backend], check=True, capture_output=True, text=True)
    assert int(told.stdout) == servers
