"""Tell the store's transient errors from permanent ones."""

from __future__ import annotations

import errno
import re
import sqlite3
from collections.abc import Iterator

import requests
from google.protobuf.json_format import ParseError
from mlflow.exceptions import MlflowException, RestException
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

_PASSING_CODES = frozenset({"TEMPORARILY_UNAVAILABLE", "DEADLINE_EXCEEDED", "REQUEST_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED"})
_PASSING_STATUSES = frozenset({408, 429, 500, 502, 503, 504})
_LOGIN_CODES = frozenset({"UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED"})
_LOGIN_STATUSES = frozenset({401, 407})
_STATUS = re.compile(r"failed with error code (\d{3}) != ")
_NUMBER = re.compile(r"(\d{3})")
_EXISTS = "RESOURCE_ALREADY_EXISTS"
_MISSING = "RESOURCE_DOES_NOT_EXIST"
_NOT_UNIQUE = re.compile(r"\((?:\w+\.)*(?:IntegrityError|UniqueViolation)\)")
"""What SQLAlchemy writes of a row that is there already, be it that a server passes it on: SQLite, MySQL, PostgreSQL."""

_UNSAID = frozenset({"INTERNAL_ERROR", "BAD_REQUEST"})
"""What MLflow's client puts on errors of any kind, the network's and the database's among them."""

_PASSING_ERRNOS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE, errno.EHOSTUNREACH, errno.ENETUNREACH}
)
_PASSING_SQLITE = frozenset({
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
})  # fmt: skip
_SQLITE_PRIMARY = 0xFF
"""SQLite's extended codes hold the primary one in their lowest byte; see https://sqlite.org/rescode.html."""


def is_outage(error: BaseException) -> bool:
    """Return whether the store did not answer, or cannot write for now: a full disk, a lock, a server that is gone or overloaded.

    What MLflow wraps is looked at as well. A clear answer (no such run, not allowed, an invalid value) is no outage.
    """
    verdicts = map(_verdict, chain(error))
    return next((each for each in verdicts if each is not None), False)


def needs_login(error: BaseException) -> bool:
    """Return whether a server, or a proxy in front of it, does not know the credentials: HTTP's 401 or 407."""
    return any(_asks_for_login(each) for each in chain(error))


def _asks_for_login(error: BaseException) -> bool:
    if isinstance(error, requests.HTTPError):
        return error.response is not None and error.response.status_code in _LOGIN_STATUSES
    if not isinstance(error, MlflowException):
        return False
    code, status = _code_and_status(error)
    return code in _LOGIN_CODES or status in _LOGIN_STATUSES


def _code_and_status(error: MlflowException) -> tuple[str | None, int | None]:
    """Return MLflow's code of an error, and HTTP's where there is one."""
    code = error.json.get("error_code") if isinstance(error, RestException) else error.error_code
    status = _STATUS.search(str(error)) or _NUMBER.fullmatch(str(code))
    return code, None if status is None else int(status.group(1))


def is_missing(error: MlflowException) -> bool:
    """Return whether what was asked for is not there."""
    code: str = error.error_code
    return code == _MISSING


def came_second(error: MlflowException) -> bool:
    """Return whether another process made the same thing a moment ago: MLflow looks for it and makes it in two steps."""
    return error.error_code == _EXISTS or _NOT_UNIQUE.search(str(error)) is not None


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and what it was raised from, each once; MLflow raises its own without `from`."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _verdict(error: BaseException) -> bool | None:
    """Return whether one error is a sign of an outage; None when it says nothing and its cause has to."""
    if isinstance(error, MlflowException):
        return _verdict_of_mlflow(error)
    if isinstance(error, requests.RequestException):
        return _verdict_of_requests(error)
    if isinstance(error, DBAPIError):
        return _verdict_of_database(error)
    if isinstance(error, ConnectionError | TimeoutError | ParseError):
        return True
    return error.errno in _PASSING_ERRNOS if isinstance(error, OSError) else None


def _verdict_of_mlflow(error: MlflowException) -> bool | None:
    code, status = _code_and_status(error)
    if code in _PASSING_CODES:
        return True
    if status is not None:
        return status in _PASSING_STATUSES
    if isinstance(error, RestException) and code == "INTERNAL_ERROR":
        return True
    return None if code in _UNSAID else False


def _verdict_of_requests(error: requests.RequestException) -> bool:
    if isinstance(error, requests.HTTPError):
        return error.response is not None and error.response.status_code in _PASSING_STATUSES
    passing = (
        requests.ConnectionError,
        requests.Timeout,
        requests.exceptions.RetryError,
        requests.exceptions.ChunkedEncodingError,
    )
    return isinstance(error, passing) and not isinstance(error, requests.exceptions.SSLError)


def _verdict_of_database(error: DBAPIError) -> bool:
    if isinstance(error.orig, sqlite3.Error):
        code = getattr(error.orig, "sqlite_errorcode", None)
        return code is not None and code & _SQLITE_PRIMARY in _PASSING_SQLITE
    return error.connection_invalidated or isinstance(error, OperationalError | InterfaceError)
