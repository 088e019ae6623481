"""What counts as an outage, on errors that MLflow really raises; and what the policy does about one."""

from __future__ import annotations

import errno
import logging
import socket
import sqlite3
import time

import pytest
import requests
import sqlalchemy
from mlflow import MlflowClient
from mlflow.exceptions import RestException

from wine_sweep.errors import OwnershipError, TrackingError
from wine_sweep.tracking import retry
from wine_sweep.tracking.causes import chain, is_outage
from wine_sweep.tracking.retry import RetryPolicy
from wine_sweep.tracking.store import leave_retries_to_policy, translated_errors


@pytest.fixture
def client(gate) -> MlflowClient:
    leave_retries_to_policy()
    return MlflowClient(gate.uri)


@pytest.fixture
def fast(monkeypatch):
    """Waits that a test can wait for."""
    monkeypatch.setattr(retry, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(retry, "LONGEST_WAIT", 0.05)
    monkeypatch.setattr(retry, "JITTER", 0.01)
    monkeypatch.setattr(retry, "STEP_SECONDS", 0.01)


def raised(action) -> TrackingError:
    with pytest.raises(TrackingError) as caught, translated_errors("do it"):
        action()
    return caught.value


def test_an_error_that_is_its_own_cause_is_looked_at_once():
    error = ValueError("it")
    try:
        raise error from error
    except ValueError:
        assert list(chain(error)) == [error]
        assert not is_outage(error)


def test_nobody_there_is_an_outage():
    leave_retries_to_policy()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{free.getsockname()[1]}"
    error = raised(lambda: MlflowClient(uri).search_experiments())
    assert error.is_outage
    assert "Connection refused" in str(error)


@pytest.mark.slow
@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_an_overloaded_server_is_an_outage(gate, client, status):
    gate.status = status
    assert raised(lambda: client.get_run("0" * 32)).is_outage


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_refusal_is_none(gate, client, status):
    gate.status = status
    assert not raised(lambda: client.get_run("0" * 32)).is_outage


def test_a_connection_that_breaks_is_an_outage(gate, client):
    gate.is_shut = True
    assert raised(lambda: client.create_run("0")).is_outage


@pytest.mark.slow
@pytest.mark.parametrize("over_http", [True, False])
def test_a_run_that_is_not_there_and_a_value_that_is_not_allowed_are_none(store, client, over_http):
    asked = client if over_http else store.client
    assert not raised(lambda: asked.get_run("0" * 32)).is_outage
    run_id = asked.create_run("0").info.run_id
    asked.log_param(run_id, "alpha", 1)
    assert not raised(lambda: asked.log_param(run_id, "alpha", 2)).is_outage


def test_an_outage_while_artifacts_are_written_is_one(gate, client):
    run_id = client.create_run(client.create_experiment("proxied artifacts")).info.run_id
    client.log_text(run_id, "text", "a.txt")
    assert any(each.startswith("PUT /api/2.0/mlflow-artifacts/") for each in gate.passed)
    gate.status = 503
    assert raised(lambda: client.log_text(run_id, "text", "a.txt")).is_outage
    gate.is_shut, gate.status = True, None
    assert raised(lambda: client.log_text(run_id, "text", "a.txt")).is_outage


def sqlite_error(tmp_path, *, statement: str) -> Exception:
    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path / 'a.db'}", connect_args={"timeout": 0.05})
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("create table t (x)"))
        connection.commit()
    holder = sqlite3.connect(tmp_path / "a.db")
    holder.execute("begin exclusive")
    try:
        with pytest.raises(sqlalchemy.exc.OperationalError) as caught, engine.connect() as connection:
            connection.execute(sqlalchemy.text(statement))
    finally:
        holder.close()
        engine.dispose()
    return caught.value


def test_a_locked_database_is_an_outage_and_a_missing_table_is_none(tmp_path):
    locked = sqlite_error(tmp_path, statement="insert into t values (1)")
    assert "database is locked" in str(locked)
    assert is_outage(locked)
    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path / 'b.db'}")
    with pytest.raises(sqlalchemy.exc.OperationalError) as caught, engine.connect() as connection:
        connection.execute(sqlalchemy.text("select * from nosuch"))
    engine.dispose()
    assert not is_outage(caught.value)


def test_a_store_on_a_full_disk_is_an_outage(small_disk, migrated):
    folder = small_disk(f"{migrated.stat().st_size // 1024 + 64}k")
    (folder / "mlflow.db").write_bytes(migrated.read_bytes())
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    run_id = client.create_run("0").info.run_id

    def write_much() -> None:
        for number in range(1000):
            client.set_tag(run_id, f"tag{number}", "x" * 5000)

    error = raised(write_much)
    assert error.is_outage
    assert "full" in str(error)
    assert raised(lambda: (folder / "artifact").write_bytes(b"x" * 10**6)).is_outage


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), True),
        (OSError(errno.EROFS, "Read-only file system"), True),
        (PermissionError(errno.EACCES, "Permission denied"), False),
        (FileNotFoundError(errno.ENOENT, "No such file"), False),
        (requests.ReadTimeout("slow"), True),
        (requests.exceptions.SSLError("wrong certificate"), False),
        (requests.exceptions.InvalidURL("no URL"), False),
        (RestException({"error_code": "TEMPORARILY_UNAVAILABLE", "message": "later"}), True),
        (RestException({"error_code": "INTERNAL_ERROR", "message": "oops"}), True),
        (RestException({"error_code": "PERMISSION_DENIED", "message": "no"}), False),
        (RestException({"error_code": "SOMETHING_NEW", "message": "?"}), False),
        (sqlalchemy.exc.OperationalError("select 1", {}, Exception("server closed the connection unexpectedly")), True),
        (sqlalchemy.exc.DBAPIError("select 1", {}, Exception("gone"), connection_invalidated=True), True),
        (sqlalchemy.exc.DataError("insert", {}, Exception("value too long")), False),
        (ValueError("anything else"), False),
    ],
)
def test_other_signs(error, expected):
    assert is_outage(error) is expected


class Flaky:
    """Fails so many times, then works."""

    def __init__(self, failures: int, *, is_outage: bool = True) -> None:
        self.left = failures
        self.is_outage = is_outage
        self.times: list[float] = []

    def __call__(self) -> str:
        self.times.append(time.monotonic())
        if self.left:
            self.left -= 1
            raise TrackingError("gone", is_outage=self.is_outage)
        return "done"


def test_an_outage_is_waited_out_and_told_of_once_when_it_begins_and_once_when_it_ends(fast, caplog):
    policy = RetryPolicy(30, waiting=lambda: 12)
    assert policy.run(Flaky(8)) == "done"
    assert not policy.is_away
    gone, back = [record.message for record in caplog.records]
    assert gone == "gone; trying again for 30s; 12 results wait to be written"
    assert back.startswith("the tracking store is back after 0.")
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


def test_a_single_failure_is_not_worth_a_word(fast, caplog):
    assert RetryPolicy(30).run(Flaky(1)) == "done"
    assert caplog.records == []


def test_any_other_error_is_raised_at_once(fast):
    action = Flaky(8, is_outage=False)
    with pytest.raises(TrackingError):
        RetryPolicy(30).run(action)
    assert len(action.times) == 1


def test_an_outage_that_lasts_too_long_raises_the_last_error(fast):
    policy = RetryPolicy(0.3)
    began = time.monotonic()
    with pytest.raises(TrackingError, match="gone") as caught:
        policy.run(Flaky(10**6))
    assert caught.value.is_outage
    assert 0.3 <= time.monotonic() - began < 2
    assert policy.is_away
    assert policy.away_for >= 0.3


def test_without_a_timeout_it_is_tried_once(fast):
    action = Flaky(2)
    with pytest.raises(TrackingError):
        RetryPolicy(0).run(action)
    assert len(action.times) == 1


def test_who_wants_to_stop_does_not_wait_for_long(fast, monkeypatch):
    monkeypatch.setattr(retry, "STOP_SECONDS", 0.2)
    asked = time.monotonic() + 0.3
    with pytest.raises(TrackingError):
        RetryPolicy(60, stop=lambda: time.monotonic() > asked).run(Flaky(10**6))
    assert 0.4 < time.monotonic() - asked + 0.3 < 3


@pytest.mark.slow
def test_waits_grow_and_differ(monkeypatch):
    monkeypatch.setattr(retry, "FIRST_WAIT", 0.05)
    monkeypatch.setattr(retry, "LONGEST_WAIT", 0.4)
    monkeypatch.setattr(retry, "JITTER", 0.04)
    monkeypatch.setattr(retry, "STEP_SECONDS", 0.005)
    action = Flaky(6)
    RetryPolicy(60).run(action)
    waits = [after - before for before, after in zip(action.times, action.times[1:], strict=False)]
    for wait, least in zip(waits, [0.05, 0.1, 0.2, 0.4, 0.4, 0.4], strict=True):
        assert least <= wait < least + 1
    assert len({round(wait, 4) for wait in waits[3:]}) > 1


def test_before_it_tries_again_it_looks_whether_it_still_may(fast):
    done: list[str] = []

    def attempt():
        done.append("attempt")
        if len(done) == 1:
            raise TrackingError("away", is_outage=True)

    def taken_over():
        raise OwnershipError("another process has it")

    policy = RetryPolicy(5, before_retry=taken_over)
    with pytest.raises(OwnershipError, match="another process has it"):
        policy.run(attempt)
    assert done == ["attempt"], "what another process may have done meanwhile is not done again"
    RetryPolicy(5, before_retry=lambda: done.append("look")).run(attempt)
    done.clear()
    RetryPolicy(5, before_retry=lambda: done.append("look")).run(attempt)
    assert done == ["attempt", "look", "attempt"]
