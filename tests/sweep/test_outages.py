"""The store goes away in mid-sweep: what has ended is kept, and stands in MLflow once the store is back."""

from __future__ import annotations

import contextlib
import json
import pathlib
import shutil
import signal
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable

import mlflow
import pytest
from mlflow import MlflowClient
from tests.watching import Silent

from wine_sweep.config import parse_config
from wine_sweep.errors import OutageError, SweepInterrupted
from wine_sweep.sweep.run import RunOptions, run_sweep
from wine_sweep.targets.prepare import prepare
from wine_sweep.tracking.journal import Journal
from wine_sweep.tracking.local_state import state_folder

ALPHAS = [round(0.1 * number, 1) for number in range(1, 13)]
GRID = f"""
name: small
experiment: NAME
data: {{source: wine-quality-red}}
model: {{estimator: sklearn.linear_model.Ridge}}
search: {{parameters: {{alpha: {ALPHAS}}}}}
execution: {{backend: serial, tracking_timeout: 60s}}
registry: {{name: NAME}}
"""


class Watcher(Silent):
    """Does something when so many trials have ended, and remembers what it is told; the switch that stops the sweep, too."""

    def __init__(self, at: dict[int, Callable[[], object]]) -> None:
        self.at = at
        self.ended = 0
        self.on = False
        self.waiting: list[int] = []

    def __call__(self) -> bool:
        return self.on

    def trial_ended(self, state, best) -> None:
        self.ended += 1
        self.at.get(self.ended, lambda: None)()

    def results_wait(self, count) -> None:
        self.waiting.append(count)


def token_of(name: str) -> str:
    """Make a token that a test can name."""
    return name.encode().hex().ljust(32, "0")


def run(uri: str, name: str, watcher: Watcher, *overrides: str, token: str):
    text = GRID.replace("NAME", name).encode()
    draft = parse_config(text, source="test.yaml", folder=pathlib.Path.cwd(), default_name="test", overrides=overrides)
    try:
        return run_sweep(prepare(draft), RunOptions(tracking_uri=uri, token=token_of(token)), observer=watcher, stop=watcher)
    finally:
        mlflow.set_tracking_uri(None)


def runs_of(client: MlflowClient, name: str) -> tuple[list[str], Counter[tuple[str, str]]]:
    """Give the parents' statuses, and how many children there are of each number and status."""
    experiment = client.get_experiment_by_name(name)
    found = client.search_runs([experiment.experiment_id], max_results=1000)
    children = [run for run in found if "mlflow.parentRunId" in run.data.tags]
    parents = [run.info.status for run in found if run not in children]
    return parents, Counter((run.data.tags["wine_sweep.trial"], run.info.status) for run in children)


def assert_whole(client: MlflowClient, name: str, token: str) -> None:
    """Every trial stands in MLflow once and finished, under one finished parent, with one model version and no journal left."""
    parents, children = runs_of(client, name)
    assert parents == ["FINISHED"]
    assert children == Counter((str(number), "FINISHED") for number in range(len(ALPHAS)))
    assert len(client.search_model_versions(f"name = '{name}'")) == 1
    assert not Journal.of(token_of(token)).path.exists()


@pytest.mark.slow
def test_a_server_that_is_stopped_and_started_gets_every_result(own_server, caplog):
    watcher = Watcher({3: lambda: own_server.stop(signal.SIGKILL), 8: own_server.start})
    run(own_server.uri, "stopped", watcher, "execution.tracking_timeout=3m", token="stopped")
    assert_whole(MlflowClient(own_server.uri), "stopped", "stopped")
    assert max(watcher.waiting) >= 1
    assert watcher.waiting[-1] == 0
    gone, back = [record.message for record in caplog.records if record.name.endswith("tracking.retry")]
    assert "Connection refused" in gone
    assert "trying again for 3m" in gone
    assert "the tracking store is back after" in back


@pytest.mark.slow
def test_answers_that_get_lost_make_nothing_twice(gate, server):
    def lose_much() -> None:
        for method, part in [
            ("POST", "/runs/create"),
            ("POST", "/runs/log-batch"),
            ("POST", "/runs/update"),
            ("POST", "/logged-models"),
            ("POST", "/registered-models/create"),
            ("POST", "/model-versions/create"),
            ("POST", "/registered-models/alias"),
        ]:
            gate.lose(method, part)

    gate.lose("POST", "/runs/create")  # the parent's
    run(gate.uri, "lost", Watcher({3: lose_much}), token="lost")
    assert gate.losing == []
    assert_whole(MlflowClient(server.uri), "lost", "lost")


@pytest.mark.slow
def test_a_full_disk_is_waited_for(small_disk, migrated, monkeypatch):
    folder = small_disk("16m")
    monkeypatch.chdir(folder)
    (folder / "mlflow.db").write_bytes(migrated.read_bytes())
    ballast = folder / "ballast"

    def fill() -> None:
        with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(b"x" * 4096):
                pass
        assert shutil.disk_usage(folder).free == 0

    watcher = Watcher({3: fill})
    timer = threading.Timer(0, lambda: None)

    def make_room_later() -> None:
        nonlocal timer
        timer = threading.Timer(3, ballast.unlink)
        timer.start()

    watcher.at[9] = make_room_later
    run(f"sqlite:///{folder / 'mlflow.db'}", "full", watcher, token="full")
    timer.join()
    assert max(watcher.waiting) >= 1
    assert_whole(MlflowClient(f"sqlite:///{folder / 'mlflow.db'}"), "full", "full")
    with sqlite3.connect(folder / "mlflow.db") as connection:
        assert connection.execute("pragma integrity_check").fetchone() == ("ok",)


@pytest.mark.slow
def test_a_server_that_never_comes_back_leaves_a_journal_with_what_it_did_not_get(gate, server):
    watcher = Watcher({4: lambda: setattr(gate, "is_shut", True)})
    with pytest.raises(OutageError) as caught:
        run(gate.uri, "never", watcher, "execution.tracking_timeout=3s", token="never")
    error = caught.value
    first = str(error).splitlines()[0]
    assert first == f"the tracking store at {gate.uri} has not answered for 3s: {error.waiting} results wait in {error.journal}"
    client = MlflowClient(server.uri)
    assert client.get_run(error.run_id).data.tags["wine_sweep.journal"] == token_of("never")
    journal = Journal.of(token_of("never"))
    assert str(journal.path) == error.journal
    _, children = runs_of(client, "never")
    written = {int(number) for number, status in children if status == "FINISHED"}
    held = {trial.number for trial in journal.trials()}
    assert written | held == set(range(watcher.ended))
    assert len(held - written) <= error.waiting <= len(held)
    assert error.waiting >= 1
    journal.discard()


@pytest.mark.slow
def test_ctrl_c_while_the_store_is_away_ends_soon_and_names_the_journal(gate):
    watcher = Watcher({4: lambda: setattr(gate, "is_shut", True), 10: lambda: setattr(watcher, "on", True)})
    began = time.monotonic()
    with pytest.raises(SweepInterrupted) as caught:
        run(gate.uri, "away", watcher, "execution.tracking_timeout=10m", token="away")
    assert time.monotonic() - began < 40
    journal = Journal.of(token_of("away"))
    assert f"in {journal.path}" in str(caught.value)
    assert caught.value.run_id
    assert journal.trials()
    assert journal.may_belong_to(caught.value.run_id)
    assert not journal.may_belong_to("another"), "it is bound from the moment on at which the parent run is there"
    journal.discard()


@pytest.mark.slow
@pytest.mark.parametrize(("stops", "finished"), [("choosing", 130), ("never", 0)])
def test_a_journal_is_discarded_when_everything_is_written(store, stops, finished):
    watcher = Watcher({12: lambda: setattr(watcher, "on", stops == "choosing")})
    if finished:
        with pytest.raises(SweepInterrupted):
            run(store.uri, "written", watcher, token="written")
    else:
        run(store.uri, "written", watcher, token="written")
    assert not Journal.of(token_of("written")).path.exists()


@pytest.mark.slow
def test_the_command_line_names_the_run_and_the_journal(gate, in_process_at, tmp_path):
    (tmp_path / "small.yaml").write_text(GRID.replace("NAME", "cli"))
    gate.shuts_after = ("/runs/create", 5)
    command = in_process_at(tmp_path, gate.uri.replace("http://", "http://me:secret@"))
    done = command("run", "small.yaml", "--set", "execution.tracking_timeout=2s", "--json")
    assert done.returncode == 1
    document = json.loads(done.stdout)
    assert document["results_waiting"] >= 1
    assert document["journal"].startswith(str(state_folder() / "journals"))
    assert f"Go on with: wine-sweep resume {document['run_id']}, which writes them first" in done.stderr
    assert f"results wait in {document['journal']}" in done.stderr
    assert "secret" not in done.stdout + done.stderr + pathlib.Path(document["journal"]).read_text()


@pytest.mark.slow
def test_a_store_that_is_deleted_when_all_is_written_keeps_the_journal(store):
    """A copy that is put back may be older, and lack what was written."""
    path = store.folder / "mlflow.db"

    class Deleter(Watcher):
        def phase(self, what: str) -> None:
            path.unlink(missing_ok=True)

    with pytest.raises(OutageError, match="was deleted") as caught:
        run(store.uri, "deleted", Deleter({}), "execution.tracking_timeout=1s", token="deleted")
    journal = Journal.of(token_of("deleted"))
    assert caught.value.journal == str(journal.path)
    assert caught.value.waiting == len(journal.trials()) == len(ALPHAS)
    assert not path.exists()
    journal.discard()
