"""Everything that wine_sweep raises on purpose.

They differ by what the caller does next::

    WineSweepError
    ├── ConfigError (ValueError)        mend the config or the command line; nothing has run
    ├── DataError (ValueError)          mend the table or what the config says of it; nothing has run
    ├── NotFoundError (LookupError)     name another sweep, run or model
    ├── SearchError (RuntimeError)      the sampler gave up; the sweep stops
    ├── TrackingError (RuntimeError)    the MLflow store failed or cannot be reached; try again later
    │   ├── OutageError                 it stayed away for too long in mid-sweep; resume once it is back
    │   └── DeletedError                the run or its experiment was deleted; restore it by the command in the message
    ├── OwnershipError (RuntimeError)   another process runs the sweep; wait for it, or stop it
    │   └── OvertakenError              another version was promoted meanwhile; compare with that one
    ├── ExecutionError (RuntimeError)   the workers as a whole are gone or cannot be used; mend the cluster, then resume
    ├── ModelError (RuntimeError)       the winner cannot be fitted, saved or loaded back; promote another
    │   └── UntrustedModelError         loading it could run code of its own; trust whoever made it, or leave it
    ├── SweepFailed (RuntimeError)      no trial finished, or too many failed; the reasons are in the message
    └── SweepInterrupted (RuntimeError) somebody stopped the sweep; it can be resumed

A trial's own failure is not among them: it is data, kept with the trial.
This module imports nothing of the package.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

ConfigPath = tuple[str | int, ...]
"""Where a value stands in a config: keys and positions from the top, ``("search", "parameters", "alpha", 0)``."""


class WineSweepError(Exception):
    """The root: catch this for everything that wine_sweep raises on purpose.

    Attributes:
        run_id: The parent run of the sweep that ended with it and can be resumed; empty where there is none.
    """

    run_id: str = ""


@dataclass(frozen=True)
class SourceLocation:
    """A spot in a text: `line` and `column` count from 1. A line of 0 means the source as a whole."""

    source: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.source}:{self.line}:{self.column}" if self.line else self.source


Code = Literal[
    "bad-data", "conflict", "duplicate", "invalid", "missing-file", "missing-key", "not-installed", "not-yaml", "out-of-range",
    "refused-value", "unknown-column", "unknown-estimator", "unknown-key", "unknown-metric", "unknown-name", "unknown-parameter",
    "unknown-value", "unreadable", "untrusted", "wrong-type",
]  # fmt: skip
"""The kinds of mistakes in words that stay, for programs; ``docs/config.md`` says what each means."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a config.

    Args:
        message: What is wrong and what is allowed, in one line.
        path: The key that it is about; empty for the file as a whole.
        place: Where that stands; None when it stands in no text.
        at_key: Whether the key itself is wrong (unknown, given twice) and not its value.
        code: The kind of mistake, a `Code`.
        line: The line of the text that it stands in, to be shown; empty where that is not known.
    """

    message: str
    path: ConfigPath = ()
    place: SourceLocation | None = None
    at_key: bool = False
    code: Code = field(default="invalid", compare=False)
    line: str = field(default="", compare=False)

    def __str__(self) -> str:
        parts = (str(self.place) if self.place else "", ".".join(map(str, self.path)), self.message)
        return ": ".join(part for part in parts if part)


class ConfigError(WineSweepError, ValueError):
    """A config cannot be used. All of its problems are in `problems`, in the order of the file."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)

    @classmethod
    def at(cls, source: str, message: str, *, code: Code = "invalid") -> ConfigError:
        """Make the error of one problem of an option, a variable or a whole file."""
        return cls([Problem(message, place=SourceLocation(source), code=code)])


class DataError(WineSweepError, ValueError):
    """The table cannot be used; `path` is the config key that names it (``("data", "target")``), `code` as `Problem` has it.

    Where more is wrong with it, that is in `others`.
    """

    def __init__(
        self, message: str, *, path: ConfigPath = ("data", "source"), code: Code = "bad-data", others: Sequence[DataError] = ()
    ) -> None:
        super().__init__(message)
        self.path = path
        self.code = code
        self.others = tuple(others)


class NotFoundError(WineSweepError, LookupError):
    """No such sweep, run or registered model, or more than one fits what was asked for."""


class SearchError(WineSweepError, RuntimeError):
    """The sampler could not suggest a trial."""


class TrackingError(WineSweepError, RuntimeError):
    """MLflow's store failed, refused or could not be reached.

    Args:
        message: What could not be done, and why.
        is_outage: Whether the store did not answer or cannot write for now, so that trying again may help.
        needs_login: Whether the server does not know these credentials: at first they are wrong, later they have expired.
    """

    def __init__(self, message: str, *, is_outage: bool = False, needs_login: bool = False) -> None:
        super().__init__(message)
        self.is_outage = is_outage
        self.needs_login = needs_login


class OutageError(TrackingError):
    """The store was there when the sweep began, and has been gone for longer than the sweep waits.

    Args:
        message: For how long, and what waits where.
        run_id: The parent run's id; empty when it is not known to be made.
        waiting: How many trials that have ended are not in MLflow.
        journal: The file that holds them; None when none wait.
    """

    def __init__(self, message: str, *, run_id: str, waiting: int = 0, journal: str | None = None) -> None:
        super().__init__(message, is_outage=True)
        self.run_id = run_id
        self.waiting = waiting
        self.journal = journal


class DeletedError(TrackingError):
    """A run, or the experiment that it is in, was deleted in MLflow; the message has the command that brings it back."""


class OwnershipError(WineSweepError, RuntimeError):
    """The sweep is in the hands of another process."""


class OvertakenError(OwnershipError):
    """Another version of the registered model has been put into the stage, at the same time or since somebody looked."""


class ExecutionError(WineSweepError, RuntimeError):
    """The workers as a whole are gone or cannot be used; what has finished is kept, and the sweep can be resumed."""


class ModelError(WineSweepError, RuntimeError):
    """The winner could not be fitted, saved, or did not load back as it was."""


class UntrustedModelError(ModelError):
    """A model is not loaded, since that could run code of its own and nobody at the keyboard trusts it."""


class SweepFailed(WineSweepError, RuntimeError):  # noqa: N818  # says what happened, as subprocess.TimeoutExpired does
    """The sweep ended without one finished trial, or with as many failed ones as `max_failures` allows."""


class SweepInterrupted(WineSweepError, RuntimeError):  # noqa: N818  # as above
    """Somebody stopped the sweep. Everything in MLflow is closed; `run_id` is the parent run's id."""

    def __init__(self, message: str, *, run_id: str) -> None:
        super().__init__(message)
        self.run_id = run_id
