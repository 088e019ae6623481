"""A tracking server may answer anything: pages without an end, versions that are no numbers, experiments that nobody knows."""

from __future__ import annotations

import http.server
import json
import threading
from types import SimpleNamespace

import mlflow
import pytest
from mlflow.exceptions import MlflowException
from mlflow.store.entities import PagedList
from mlflow.utils.uri import append_to_uri_path

from wine_sweep.errors import NotFoundError, TrackingError
from wine_sweep.tracking.reader import SweepReader
from wine_sweep.tracking.store import IDLE_PAGES, all_pages, translated_errors

EXPERIMENT = {"experiment_id": "1", "name": "a", "artifact_location": "/x", "lifecycle_stage": "active"}
TAGS = {"wine_sweep.kind": "sweep", "wine_sweep.objective": "rmse", "wine_sweep.direction": "minimize"}
RUN = {
    "info": {"run_id": "r\x1b[31m", "experiment_id": "7", "status": "FINISHED", "start_time": 1},
    "data": {"tags": [{"key": key, "value": value} for key, value in TAGS.items()]},
}
HONEST = {
    "experiments/search": {"experiments": [EXPERIMENT]},
    "runs/search": {"runs": [RUN]},
    "model-versions/search": {"model_versions": [{"name": "wine", "version": "1", "source": "s", "run_id": "r"}]},
    "registered-models/get": {"registered_model": {"name": "wine"}},
    "registered-models/search": {"registered_models": [{"name": "wine"}]},
    "registered-models/alias": {"model_version": {"name": "wine", "version": "1"}},
}


@pytest.fixture
def hostile(tmp_path, in_process_at, monkeypatch):
    """A server whose answers a test decides, by parts of the path, and the command line on it."""
    asked, answers = [], dict(HONEST)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.rfile.read(int(self.headers.get("content-length") or 0))
            asked.append(self.path)
            found = next((answer for part, answer in answers.items() if part in self.path), {})
            body = json.dumps(found(len(asked)) if callable(found) else found).encode()
            self.send_response(200 if len(asked) < 500 else 400)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    uri = f"http://127.0.0.1:{server.server_address[1]}"
    yield SimpleNamespace(asked=asked, answers=answers, run=in_process_at(tmp_path, uri))
    server.shutdown()
    server.server_close()
    mlflow.set_tracking_uri(None)


@pytest.mark.quick(4)
@pytest.mark.parametrize(
    ("command", "call", "answer"),
    [
        (("list",), "experiments/search", {"experiments": [EXPERIMENT]}),
        (("list",), "runs/search", {"runs": []}),
        (("compare", "latest"), "runs/search", {"runs": [RUN | {"data": {}}]}),
        (("history", "wine"), "model-versions/search", {"model_versions": []}),
    ],
)
@pytest.mark.parametrize("token", [lambda _: "x", str], ids=["the same token", "ever new tokens"])
def test_pages_without_an_end_end(token, command, call, answer, hostile):
    hostile.answers[call] = lambda number: answer | {"next_page_token": token(number)}
    ended = hostile.run(*command)
    assert ended.returncode == 1
    assert "says that there are more" in " ".join(ended.stderr.split())
    assert len(hostile.asked) <= IDLE_PAGES + 10


def test_pages_that_overlap_or_are_empty_now_and_then_are_read_to_their_end():
    pages = {None: ([1, 2], "a"), "a": ([], "b"), "b": ([2, 3], "c"), "c": ([3], "d"), "d": ([4], None)}
    assert list(all_pages(lambda token: PagedList(*pages[token]), lambda each: each, "read")) == [1, 2, 2, 3, 3, 4]


@pytest.mark.quick(1)
@pytest.mark.parametrize("version", ["x1\x1b[31m", "", "²", "9" * 5000, "-1"])
def test_a_version_that_is_no_number_is_reported(version, hostile):
    hostile.answers["model-versions/search"] = {"model_versions": [{"name": "wine", "version": version}]}
    ended = hostile.run("history", "wine")
    assert ended.returncode == 1
    assert "the registered model 'wine' has a version" in ended.stderr
    assert "\x1b" not in ended.stderr


@pytest.mark.parametrize("arguments", [["list"], ["list", "--lost"], ["list", "--json"]])
def test_a_run_of_an_experiment_that_nobody_knows_is_listed_by_that_ones_id(arguments, hostile):
    tags = [{"key": "wine_sweep.kind", "value": "check"}]
    check = {"info": RUN["info"] | {"run_id": "c", "run_name": "c", "status": "RUNNING"}, "data": {"tags": tags}}
    hostile.answers["runs/search"] = {"runs": [check, RUN]}
    ended = hostile.run(*arguments)
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_name_of_an_experiment_that_is_not_known_is_its_id(store):
    assert SweepReader(store.client).experiment_name("7") == "7"


def test_what_mlflow_cannot_parse_is_no_error_of_ours():
    with pytest.raises(TrackingError, match="MLflow could not split"), translated_errors("split"):
        exec("append_to_uri_path('http://[', 'x')", {"__name__": "wine_sweep.any", "append_to_uri_path": append_to_uri_path})
    with pytest.raises(TrackingError, match="refused"), translated_errors("x"):
        raise MlflowException("refused")


def test_an_error_of_our_own_is_not_taken_for_mlflows():
    for error in (ValueError, TypeError, KeyError, AttributeError, NotFoundError):
        with pytest.raises(error), translated_errors("split"):
            raise error("ours")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "failures from s3://x:\n##### File a.csv #####\nNo such file: a.csv\n##### File b #####\nother",
            "x: No such file: a.csv",
        ),
        ("failures from s3://x:\n##### File a.csv #####\n", "failures from s3://x: no reason is given"),
        ("one line\nmore", "one line"),
    ],
)
def test_a_list_of_failures_is_told_with_the_first_of_them(text, said):
    with pytest.raises(TrackingError) as caught, translated_errors("fetch it"):
        raise MlflowException(text)
    assert str(caught.value).endswith(said)
