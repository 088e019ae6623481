"""Something answers in place of the tracking server, with status 200 or 401: results wait, and the words say what came back."""

from __future__ import annotations

import time

import pytest
from tests.conftest import Gate
from tests.faults.faultkit.place import SEARCHES, Command, Place
from tests.faults.faultkit.server import ManagedServer

EXECUTION = "{backend: processes, workers: 2, tracking_timeout: %s}"
HTML = b"<!doctype html><html><head><title>Sign in</title></head></html>"
PAGES = {
    "a page of HTML instead of JSON (title: Sign in)": (200, "text/html", HTML),
    "nothing instead of JSON": (200, "text/plain", b""),
    "as it did before: a ~/.mlflow/credentials that is renewed": (401, "text/plain", b"You are not authenticated."),
}


@pytest.fixture
def gated(server: ManagedServer, tmp_path):
    """A place whose store is the tracking server, with a proxy in front of it."""
    (tmp_path / "place").mkdir()
    gate = Gate(server.uri)
    place = Place(tmp_path / "place", gate.uri)
    yield place, gate
    place.clear()
    gate.close()


def words_of(command: Command) -> str:
    return " ".join(command.text().split())


def test_pages_of_a_proxy_cost_no_result(gated, audit):
    place, gate = gated
    place.write_config(SEARCHES["grid"], pause=0.8, execution=EXECUTION % "5m")
    command = place.run()
    place.wait_until_under_way(command)
    for back, (said, page) in enumerate(PAGES.items(), start=1):
        gate.page = page
        place.wait_until(lambda said=said: said in words_of(command), command)
        gate.page = None
        place.wait_until(lambda back=back: words_of(command).count("the tracking store is back") == back, command)
    ended = command.wait()
    assert ended.code == 0, ended
    assert "Traceback" not in ended.stderr
    audit(place, "pages of a proxy in place of answers", times=len(PAGES))


@pytest.mark.parametrize("page", [PAGES["nothing instead of JSON"], (200, "text/html", HTML), (401, "text/plain", b"no")])
def test_at_the_beginning_they_end_the_sweep_at_once(gate, in_process_at, tmp_path, page):
    (tmp_path / "c.yaml").write_text(
        "data: {source: wine-quality-red}\nmodel: {estimator: sklearn.linear_model.Ridge}\n"
        "search: {parameters: {alpha: [1, 2]}}\nexecution: {backend: serial}\n"
    )
    gate.page = page
    began = time.monotonic()
    done = in_process_at(tmp_path, gate.uri)("run", "c.yaml", "--quiet", "--tracking-uri", gate.uri)
    assert done.returncode == 1
    assert time.monotonic() - began < 60
    expected = "the server does not know these credentials" if page[0] == 401 else f"the server at {gate.uri} answered with"
    assert done.stderr.startswith(f"error: MLflow could not open the store: {expected}"), done.stderr


def test_a_page_that_stays_ends_the_sweep_and_resume_writes_what_waits(gated, audit):
    place, gate = gated
    place.write_config(SEARCHES["grid"], pause=0.3, execution=EXECUTION % "4s")
    command = place.run()
    place.wait_until_under_way(command)
    gate.page = (200, "text/html", HTML)
    ended = command.wait(120)
    assert ended.code == 1, ended
    assert "Traceback" not in ended.stderr
    assert "a page of HTML instead of JSON (title: Sign in): a login or maintenance page?" in " ".join(ended.stderr.split())
    assert "wine-sweep resume" in ended.stderr
    gate.page = None
    resumed = place.resume()
    assert resumed.wait().code == 0, resumed.text()
    audit(place, "a page of a proxy that stays, and resume")
