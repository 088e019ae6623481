"""What ``--trust`` allows: packages by name, code of the user's own by file or folder, and Dask schedulers by address."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator, Sequence

from wine_sweep.errors import ConfigError, Problem, SourceLocation
from wine_sweep.importing import lies_in
from wine_sweep.messages import MODEL_PREFIX, shell_word

_SCHEDULERS = ("tcp://", "tls://")
ADDRESS = ("execution", "address")
"""Where a config has a scheduler's address."""


class Trust:
    """Whom the person at the keyboard trusts.

    A value of ``--trust`` that could be a top-level package's name is one; a value that is a file or a folder here is that too.
    One that begins with ``model:`` names a registered model, whose versions may run code of their own when they are loaded.
    One that begins with ``tcp://`` or ``tls://`` is a Dask scheduler's address.

    Args:
        given: The values of ``--trust``; relative paths start from the working folder.

    Attributes:
        problems: The values that are none of these.
    """

    def __init__(self, given: Sequence[str]) -> None:
        self.given = tuple(given)
        self.packages = packages_among(given)
        code = code_among(given)
        self.paths = [path.resolve() for path in map(pathlib.Path, code) if _exists(path)]
        lost = [each for each in code if each not in self.packages and not _exists(pathlib.Path(each))]
        lost += [each for each in given if each == MODEL_PREFIX or not each.strip()]
        what = f"no file or folder here, no package's name, no {MODEL_PREFIX}NAME, and no tcp://HOST:PORT"
        here = SourceLocation("--trust")
        self.problems = [Problem(f"'{each}' is {what}", place=here, code="missing-file") for each in lost]

    def check(self) -> None:
        """Raise what is wrong.

        Raises:
            ConfigError: A value is none of what it can be.
        """
        if self.problems:
            raise ConfigError(self.problems)

    def covers(self, path: pathlib.Path) -> bool:
        """Return whether a file or folder is trusted, by itself or as part of a trusted folder."""
        return lies_in(path, self.paths)


def _exists(path: pathlib.Path) -> bool:
    try:
        return path.exists()
    except OSError:  # such as a name that is too long
        return False


def packages_among(given: Sequence[str]) -> tuple[str, ...]:
    """Return those values of ``--trust`` that could be a top-level package's name; no file is looked at."""
    return tuple(each for each in given if each.isidentifier())


def code_among(given: Sequence[str]) -> tuple[str, ...]:
    """Return those values of ``--trust`` that name code here: packages, files and folders."""
    return tuple(each for each in given if each.strip() and not each.startswith((MODEL_PREFIX, *_SCHEDULERS)))


def trusts_model(given: Sequence[str], name: str) -> bool:
    """Return whether the values of ``--trust`` name a registered model."""
    return f"{MODEL_PREFIX}{name}" in given


def check_address(address: str | None, trusted: Sequence[str], *, is_typed: bool) -> Iterator[Problem]:
    """Refuse a Dask scheduler that the person at the keyboard has not named: what it sends is unpickled in this process.

    An address is named by ``--trust``, written as in the config, or by ``--set``: whoever may write a config or a recorded one
    does not write the command line.

    Args:
        address: `execution.address`.
        trusted: The values of ``--trust``.
        is_typed: Whether it was given by ``--set``.
    """
    if address is None or address in trusted or is_typed:
        return
    how = f"run with --trust {shell_word(address)} if you trust it"
    yield Problem(f"a Dask scheduler can run code in this process; {how}", ADDRESS, code="untrusted")


def how_to_trust(path: pathlib.Path) -> str:
    """Describe what to type: ``run with --trust sweeps/mine if you trust it``."""
    here, whole = pathlib.Path.cwd(), path.resolve()
    shown = whole.relative_to(here) if whole.is_relative_to(here) else whole
    return f"run with --trust {shell_word(shown)} if you trust it"
