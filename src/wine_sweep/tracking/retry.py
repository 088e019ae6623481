"""Retry while the tracking store is unreachable."""

from __future__ import annotations

import logging
import os
import random
import time
from collections.abc import Callable
from typing import TypeVar

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
        began, wait, attempts = time.monotonic(), FIRST_WAIT, 0
        deadline = _Deadline(began + self.timeout, stop or self._stop)
        while True:
            attempts += 1
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
