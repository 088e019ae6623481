"""The workers' server starts where a config says that there will be workers, and not otherwise."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

SERVERS = """\
import sys
import psutil
from wine_sweep.cli.startup import start_server
from wine_sweep.config import Backend
start_server(Backend(sys.argv[1]))
server = "fork" + "server"  # so that this program's own text does not name it
print(sum(server in " ".join(child.cmdline()) for child in psutil.Process().children()))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no server: each worker starts by itself")
@pytest.mark.parametrize(("backend", "servers"), [("processes", 1), ("serial", 0)])
def test_the_server_starts_where_trials_run_in_processes(backend, servers):
    told = subprocess.run([sys.executable, "-c", SERVERS, backend], check=True, capture_output=True, text=True)
    assert int(told.stdout) == servers
