"""What ``--trust`` allows: packages by name, and code of the user's own by file or folder."""

from __future__ import annotations

import pathlib
import shlex
from collections.abc import Sequence

from wine_sweep.errors import ConfigError, Place, Problem
from wine_sweep.objective.file_parameters import lies_in
from wine_sweep.wording import MODEL_PREFIX


class Trust:
    """Whom the person at the keyboard trusts.

    A value of ``--trust`` that could be a top-level package's name is one; a value that is a file or a folder here is that too.
    One that begins with ``model:`` names a registered model, whose versions may run code of their own when they are loaded.

    Args:
        given: The values of ``--trust``; relative paths start from the working folder.

    Raises:
        ConfigError: A value is none of these.
    """

    def __init__(self, given: Sequence[str]) -> None:
        self.given = tuple(given)
        self.packages = packages_among(given)
        code = code_among(given)
        self.paths = [path.resolve() for path in map(pathlib.Path, code) if _exists(path)]
        lost = [each for each in code if each not in self.packages and not _exists(pathlib.Path(each))]
        lost += [each for each in given if each == MODEL_PREFIX]
        if lost:
            here = Place("--trust")
            raise ConfigError(
                [
                    Problem(f"'{each}' is no file or folder here, no package's name, and no {MODEL_PREFIX}NAME", place=here)
                    for each in lost
                ]
            )

    def covers(self, path: pathlib.Path) -> bool:
        """Whether a file or folder is trusted, by itself or as part of a trusted folder."""
        return lies_in(path, self.paths)


def _exists(path: pathlib.Path) -> bool:
    try:
        return path.exists()
    except OSError:  # such as a name that is too long
        return False


def packages_among(given: Sequence[str]) -> tuple[str, ...]:
    """Give those values of ``--trust`` that could be a top-level package's name; no file is looked at."""
    return tuple(each for each in given if each.isidentifier())


def code_among(given: Sequence[str]) -> tuple[str, ...]:
    """Give those values of ``--trust`` that name code here: packages, files and folders."""
    return tuple(each for each in given if not each.startswith(MODEL_PREFIX))


def trusts_model(given: Sequence[str], name: str) -> bool:
    """Whether the values of ``--trust`` name a registered model."""
    return f"{MODEL_PREFIX}{name}" in given


def how_to_trust(path: pathlib.Path) -> str:
    """Say what to type: ``run with --trust sweeps/mine if you trust it``."""
    here, whole = pathlib.Path.cwd(), path.resolve()
    shown = whole.relative_to(here) if whole.is_relative_to(here) else whole
    return f"run with --trust {shlex.quote(str(shown))} if you trust it"
