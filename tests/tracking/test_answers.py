"""What is no answer of MLflow's is an outage, whatever its status says; and what came back is said."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from tests.conftest import Gate

from wine_sweep.errors import TrackingError
from wine_sweep.tracking import retry
from wine_sweep.tracking.retry import RetryPolicy
from wine_sweep.tracking.store import leave_retries_to_policy, translated_errors, watch_answers

RUN = "0" * 32
HTML = b"<!DOCTYPE html>\n<html><head><title>Sign \x1b[31m in</title></head><body></body></html>"
PAGES = {
    "html": (HTML, r"a page of HTML instead of JSON (title: Sign \x1b[31m in): a login or maintenance page?"),
    "html without a title": (b"<html>", "a page of HTML instead of JSON: a login or maintenance page?"),
    "nothing": (b"", "nothing instead of JSON"),
    "blanks": (b" \r\n ", "nothing instead of JSON"),
    "half of an answer": (b'{"run": {"info"', 'something else than JSON: {"run": {"info"'),
    "garbage": (b"\x00\x1b[2J", r"something else than JSON: \x00\x1b[2J"),
    "null": (b"null", "JSON that is not MLflow's: null"),
    "a list": (b"[]", "JSON that is not MLflow's: []"),
    "an error": (b'{"detail": "maintenance"}', "JSON that is not MLflow's: {"),
}
CALLS = {
    "create_run": lambda client, folder: client.create_run("0"),
    "get_run": lambda client, folder: client.get_run(RUN),
    "log_batch": lambda client, folder: client.log_batch(RUN, [Metric("a", 1.0, 1, 1)]),
    "update": lambda client, folder: client.update_run(RUN, status="FINISHED"),
    "search": lambda client, folder: client.search_runs(["0"]),
    "experiment": lambda client, folder: client.get_experiment_by_name("x"),
    "upload": lambda client, folder: artifacts(client).log_artifact(str(folder / "x.txt")),
    "listing": lambda client, folder: artifacts(client).list_artifacts(),
    "registered model": lambda client, folder: client.create_registered_model("x"),
    "version": lambda client, folder: client.create_model_version("x", "runs:/a", RUN, await_creation_for=0),
    "stage": lambda client, folder: client.transition_model_version_stage("x", "1", "Staging"),
    "versions": lambda client, folder: client.search_model_versions("name = 'x'"),
    "alias": lambda client, folder: client.set_registered_model_alias("x", "a", "1"),
    "logged model": lambda client, folder: client.create_logged_model("0", name="m"),
}


def artifacts(client: MlflowClient):
    return get_artifact_repository(f"mlflow-artifacts:/0/{RUN}/artifacts", tracking_uri=client.tracking_uri)


@pytest.fixture
def alone(tmp_path: Path):
    """A proxy with nothing behind it."""
    leave_retries_to_policy()
    watch_answers()
    (tmp_path / "x.txt").write_text("x")
    made = Gate("http://127.0.0.1:9")
    yield made
    made.close()


def raised(action) -> TrackingError:
    with pytest.raises(TrackingError) as caught, translated_errors("do it"):
        action()
    return caught.value


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_page_that_is_not_mlflows_is_an_outage_for_every_call(alone, tmp_path, page):
    content, words = PAGES[page]
    alone.page = (200, "text/html", content)
    calls = {name: call for name, call in CALLS.items() if name != "upload" or content}  # MLflow answers that with nothing itself
    for name, call in calls.items():
        error = raised(lambda call=call: call(MlflowClient(alone.uri), tmp_path))
        assert error.is_outage, name
        assert str(error).startswith(f"MLflow could not do it: the server at {alone.uri} answered with {words}"), name


@pytest.mark.parametrize("content", [b'{"run": [1]}', b'{"run": {"info": {}}}', b'{"run_info": {}}', b"{}"])
def test_a_run_without_an_id_is_none(alone, content):
    alone.page = (200, "application/json", content)
    assert raised(lambda: MlflowClient(alone.uri).create_run("0")).is_outage


@pytest.mark.parametrize("content", [HTML, b""])
def test_a_page_is_not_stored_as_a_file(alone, tmp_path, monkeypatch, content):
    alone.page = (200, "text/html", content)
    repository = artifacts(MlflowClient(alone.uri))
    error = raised(lambda: repository._download_file("x.html", str(tmp_path / "got")))
    assert error.is_outage
    assert not (tmp_path / "got").exists()


def test_a_file_that_is_a_page_of_html_is_one(gate, server, tmp_path):
    watch_answers()
    client = MlflowClient(gate.uri)
    run_id = client.create_run("0").info.run_id
    (tmp_path / "report.html").write_bytes(HTML)
    (tmp_path / "empty.txt").write_bytes(b"")
    client.log_artifacts(run_id, str(tmp_path))
    for name in ("report.html", "empty.txt"):
        assert Path(client.download_artifacts(run_id, name)).read_bytes() == (tmp_path / name).read_bytes()


@pytest.mark.quick(1)
@pytest.mark.parametrize("status", [401, 407])
def test_credentials_that_worked_and_do_so_no_longer_are_waited_for(alone, monkeypatch, status, caplog):
    for name, value in (("FIRST_WAIT", 0.01), ("LONGEST_WAIT", 0.05), ("JITTER", 0.01)):
        monkeypatch.setattr(retry, name, value)
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "expired")
    policy, client, tries = RetryPolicy(60), MlflowClient(alone.uri), 0

    def ask() -> None:
        nonlocal tries
        tries += 1
        alone.page = (status, "text/plain", b"who are you?") if tries not in (2, 5) else (200, "application/json", b"{}")
        with translated_errors("write it"):
            client.log_batch(RUN, [Metric("a", 1.0, 1, 1)])

    with pytest.raises(TrackingError) as caught:
        policy.run(ask)
    assert (caught.value.is_outage, tries) == (False, 1), "at the beginning they are wrong"
    policy.run(ask)
    policy.run(ask)
    assert tries == 5
    assert "MLFLOW_TRACKING_TOKEN is what this process began with" in caplog.text
    assert "else stop, renew and resume" in caplog.text


def test_a_permission_that_is_missing_is_not_waited_for(alone):
    policy, client = RetryPolicy(60, has_worked=True), MlflowClient(alone.uri)
    alone.page = (403, "text/plain", b"no")

    def ask() -> None:
        with translated_errors("write it"):
            client.log_batch(RUN, [Metric("a", 1.0, 1, 1)])

    with pytest.raises(TrackingError, match="does not permit"):
        policy.run(ask)
