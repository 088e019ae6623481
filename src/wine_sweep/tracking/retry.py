"""Retry while the tracking store is unreachable; tell transient errors from permanent ones."""

from __future__ import annotations

import errno
import itertools
import logging
import os
import random
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import requests
from google.protobuf.json_format import ParseError
from mlflow.exceptions import MlflowException, RestException
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from wine_sweep.errors import TrackingError
from wine_sweep.messages import format_duration

_logger = logging.getLogger(__name__)
Result = TypeVar("Result")

FIRST_WAIT = 0.5
LONGEST_WAIT = 9.0
JITTER = 1.0
"""Seconds: the wait before the second attempt, before the later ones, and up to how much is added by chance."""

CREDENTIALS = ("MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")

STOP_SECONDS = 5.0
"""How long a store that is away is still tried for once somebody wants to stop."""

STEP_SECONDS = 0.1
"""How soon a wait between two attempts hears that somebody wants to stop."""


class RetryPolicy:
    """Does things to a store, again and again while it is away, with exponential backoff and jitter.

    One warning is logged when an outage begins and one when it ends; a single attempt that fails is none.

    Args:
        timeout: How long an outage may last, in seconds; 0 tries once.
        stop: Whether somebody wants to stop, so that an outage is not waited out.
        waiting: How many results wait for the store, for the warnings.
        before_attempt: Is done before each attempt: looks whether what is to be done still may be.
        before_retry: Is done before each further attempt of an outage: looks whether what is to be done still is.
        has_worked: Whether the server has taken these credentials: where it no longer does they have expired, and that is waited
            for as an outage is. Set by the first thing that works.
    """

    def __init__(
        self,
        timeout: float,
        *,
        stop: Callable[[], bool] = lambda: False,
        waiting: Callable[[], int] = lambda: 0,
        before_attempt: Callable[[], object] = lambda: None,
        before_retry: Callable[[], object] = lambda: None,
        has_worked: bool = False,
    ) -> None:
        self.timeout = timeout
        self.waiting = waiting
        self.before_attempt = before_attempt
        self.before_retry = before_retry
        self.has_worked = has_worked
        self._stop = stop
        self._away_since: float | None = None
        self._told = False

    @property
    def is_away(self) -> bool:
        """Return whether an outage has begun and not ended, be it that the policy gave up."""
        return self._away_since is not None

    @property
    def away_for(self) -> float:
        """How long the outage lasts already, in seconds; 0 without one."""
        return 0.0 if self._away_since is None else time.monotonic() - self._away_since

    def run(self, action: Callable[[], Result], *, stop: Callable[[], bool] | None = None) -> Result:
        """Do something that may be done twice, until it works or the outage lasts too long.

        Args:
            action: What to do; after an outage it may have been done, with the answer lost.
            stop: Whether somebody wants to stop, in place of the policy's own.

        Raises:
            TrackingError: The last attempt's, when the outage lasted for the timeout, or for 5 s after somebody wanted to
                stop; or any that is no outage, at once.
        """
        began, wait = time.monotonic(), FIRST_WAIT
        deadline = _Deadline(began + self.timeout, stop or self._stop)
        for attempts in itertools.count(1):
            try:
                result = self.once(action)
            except TrackingError as error:
                if not error.is_outage:
                    self._came_back()
                    raise
                self.begin_outage(began)
                if deadline.left() <= 0:
                    raise
                if attempts > 1 and not self._told:
                    self._told = True
                    _logger.warning("%s; trying again for %s%s", error, format_duration(self.timeout), self._results())
            else:
                self._came_back()
                return result
            deadline.sleep(wait + random.uniform(0, JITTER))  # noqa: S311  # no secret
            wait = min(2 * wait, LONGEST_WAIT)
        raise AssertionError("unreachable")

    def once(self, action: Callable[[], Result]) -> Result:
        """Do something once.

        Raises:
            TrackingError: It failed; as an outage where the server no longer takes credentials that it took before.
        """
        try:
            if self.is_away:
                self.before_retry()
            self.before_attempt()
            result = action()
        except TrackingError as error:
            if error.needs_login and not error.is_outage and self.has_worked:
                raise TrackingError(f"{error}, as it did before: {how_to_renew_credentials()}", is_outage=True) from error
            raise
        self.has_worked = True
        return result

    def begin_outage(self, began: float) -> None:
        """Take note that the store is away since then, by the monotonic clock, unless that is known."""
        self._away_since = self._away_since or began

    def _came_back(self) -> None:
        if self._told:
            _logger.warning("the tracking store is back after %s%s", format_duration(self.away_for), self._results())
        self._away_since, self._told = None, False

    def _results(self) -> str:
        count = self.waiting()
        return f"; {count} result{'s wait' if count > 1 else ' waits'} to be written" if count else ""


def how_to_renew_credentials() -> str:
    """Describe how a running process gets other credentials; it keeps the variables that it began with."""
    variables = [name for name in CREDENTIALS if os.environ.get(name)]
    if not variables:
        return "a ~/.mlflow/credentials that is renewed is read with the next attempt; a tracking URI is not, so stop and resume"
    began = f"{' and '.join(variables)} {'are' if len(variables) > 1 else 'is'} what this process began with"
    return f"has a token or a password expired? {began}: it goes on once the server takes that again; else stop, renew and resume"


class _Deadline:
    """How long a store that is away is tried for: not until the deadline once somebody wants to stop."""

    def __init__(self, deadline: float, stop: Callable[[], bool]) -> None:
        self._deadline = deadline
        self._stop = stop
        self._heard = False

    def left(self) -> float:
        """Return the seconds that are left."""
        if not self._heard and self._stop():
            self._heard = True
            self._deadline = min(self._deadline, time.monotonic() + STOP_SECONDS)
        return self._deadline - time.monotonic()

    def sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := min(until - time.monotonic(), self.left())) > 0:
            time.sleep(min(left, STEP_SECONDS))


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
    for each in chain(error):
        verdict = _verdict(each)
        if verdict is not None:
            return verdict
    return False


def needs_login(error: BaseException) -> bool:
    """Return whether a server, or a proxy in front of it, does not know the credentials: HTTP's 401 or 407."""
    return any(_asks_for_login(each) for each in chain(error))


def _asks_for_login(error: BaseException) -> bool:
    if isinstance(error, requests.HTTPError):
        return error.response is not None and error.response.status_code in _LOGIN_STATUSES
    if not isinstance(error, MlflowException):
        return False
    code = error.json.get("error_code") if isinstance(error, RestException) else error.error_code
    status = _STATUS.search(str(error)) or _NUMBER.fullmatch(str(code))
    return code in _LOGIN_CODES or (status is not None and int(status.group(1)) in _LOGIN_STATUSES)


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
    code = error.json.get("error_code") if isinstance(error, RestException) else error.error_code
    if code in _PASSING_CODES:
        return True
    status = _STATUS.search(str(error)) or _NUMBER.fullmatch(str(code))
    if status is not None:
        return int(status.group(1)) in _PASSING_STATUSES
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
