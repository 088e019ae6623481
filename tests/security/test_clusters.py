"""Nobody runs code here by way of Dask: neither a scheduler that nobody trusts, nor another user of this machine."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from mlflow import MlflowClient

from wine_sweep import Sweep
from wine_sweep.errors import ConfigError
from wine_sweep.tracking import names

CONFIG = """
name: far
experiment: tests
data: {source: wine-quality-red, seed: 40}
model: {estimator: sklearn.linear_model.Ridge}
search: {parameters: {alpha: [0.1, 1]}}
evaluation: {cv: 2, bootstrap: 0}
execution: {backend: BACKEND}
"""


@pytest.fixture
def scheduler():
    """A port that a stranger listens on; nobody may have connected when the test is over."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(BlockingIOError):
            server.accept()


def at(scheduler: str) -> str:
    return CONFIG.replace("backend: BACKEND", f"backend: dask, address: '{scheduler}'")


def refusal(scheduler: str) -> str:
    return f"execution.address: a Dask scheduler can run code in this process; run with --trust {scheduler} if you trust it"


@pytest.mark.parametrize("command", ["run", "plan"])
@pytest.mark.parametrize("trust", [[], ["--trust", "."], ["--trust", "tcp://127.0.0.1:1"]])
def test_a_scheduler_of_a_config_needs_trust(in_process, scheduler, command, trust):
    Path("far.yaml").write_text(at(scheduler))
    done = in_process(command, "far.yaml", *trust)
    assert done.returncode == 2
    assert refusal(scheduler) in done.stderr


def test_a_scheduler_of_a_recorded_config_needs_trust(in_process, store, scheduler):
    Path("near.yaml").write_text(CONFIG.replace("BACKEND", "serial"))
    assert in_process("run", "near.yaml").returncode == 0
    client = MlflowClient(store.uri)
    runs = client.search_runs([each.experiment_id for each in client.search_experiments()])
    parent = next(each for each in runs if each.data.tags.get(names.KIND) == "sweep")
    recorded = Path(client.download_artifacts(parent.info.run_id, names.RESOLVED_FILE)).read_text()
    assert "backend: serial" in recorded
    changed = recorded.replace("backend: serial", "backend: dask").replace("address: null", f"address: {scheduler}")
    assert scheduler in changed
    client.set_tag(parent.info.run_id, names.CONFIG, changed)
    done = in_process("resume", "latest", "--trials", 2)
    assert done.returncode == 2
    assert refusal(scheduler) in done.stderr


def test_a_scheduler_from_python_needs_trust(scheduler):
    config = {
        "search": {"parameters": {"x": [1, 2]}},
        "objective": {"metric": "loss", "direction": "minimize"},
        "execution": {"backend": "dask", "address": scheduler},
    }
    with pytest.raises(ConfigError, match="a Dask scheduler can run code"):
        Sweep(config, function=lambda params, context: {"loss": params["x"]})
    Sweep(config, function=lambda params, context: {"loss": params["x"]}, trust=scheduler)


def test_a_person_can_name_a_scheduler(in_process, scheduler):
    Path("far.yaml").write_text(at(scheduler))
    Path("near.yaml").write_text(CONFIG.replace("BACKEND", "serial"))
    assert in_process("plan", "far.yaml", "--trust", scheduler).returncode == 0
    typed = in_process("plan", "near.yaml", "--set", "execution.backend=dask", "--set", f"execution.address={scheduler}")
    assert typed.returncode == 0, typed.stderr
    assert in_process("plan", "near.yaml", "--set", f"execution={{backend: dask, address: '{scheduler}'}}").returncode == 0
    assert in_process("plan", "far.yaml", "--set", "execution.workers=2").returncode == 2


def test_nobody_else_can_use_a_cluster_on_this_machine():
    distributed = pytest.importorskip("distributed", reason="the backend dask needs distributed, an extra")
    from wine_sweep.execution.dask_pool import connect

    client, cluster = connect(None, 1)
    try:
        info = client.scheduler_info(n_workers=-1)
        (worker,) = info["workers"]
        nanny = info["workers"][worker]["nanny"]
        for address in (cluster.scheduler_address, worker, nanny):
            assert address.startswith("tls://127.0.0.1:")
            for protocol, security in (("tcp", None), ("tls", distributed.Security.temporary())):
                with pytest.raises((OSError, RuntimeError, ValueError)):
                    distributed.Client(
                        address.replace("tls", protocol), timeout=1, security=security, set_as_default=False
                    ).close()
        assert client.submit(abs, -1).result(timeout=20) == 1
    finally:
        client.close()
        cluster.close()
