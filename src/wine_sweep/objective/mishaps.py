"""What a trial's code raises or warns of, as data."""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from wine_sweep.trial import Failure


def describe_error(error: BaseException) -> Failure:
    """Turn an exception into a trial's failure: its type, the first line of its message, and the traceback."""
    message = str(error).strip()
    first_line = message.splitlines()[0][:500] if message else ""
    return Failure(type(error).__name__, first_line, "".join(traceback.format_exception(error)))


@contextmanager
def recorded_warnings() -> Iterator[list[warnings.WarningMessage]]:
    """Catch what estimators warn their users of, such as missing convergence; leave out what is meant for developers."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        for category in (UserWarning, RuntimeWarning):
            warnings.simplefilter("always", category)
        yield caught


def summary(caught: Sequence[warnings.WarningMessage]) -> tuple[str, ...]:
    """Keep the first warning of each category, in one line: the numbers in them differ from fold to fold."""
    first: dict[str, str] = {}
    for warning in caught:
        message = " ".join(str(warning.message).split())
        first.setdefault(warning.category.__name__, message[:200])
    return tuple(f"{category}: {message}" for category, message in first.items())


def merged(before: Sequence[str], after: Sequence[str]) -> tuple[str, ...]:
    """Put the warnings of two steps together, one of each category."""
    found: dict[str, str] = {}
    for text in (*before, *after):
        found.setdefault(text.partition(": ")[0], text)
    return tuple(found.values())
