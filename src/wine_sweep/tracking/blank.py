"""The tables of a SQLite store, made once by each version of MLflow and copied from then on: making them takes seconds."""

from __future__ import annotations

import hashlib
import logging
import os
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import mlflow
import platformdirs
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from wine_sweep.tracking.state import is_own_folder, own_folder

_logger = logging.getLogger(__name__)

_OF_ITS_FOLDER = "experiments"
"""MLflow puts the default experiment there, with the place of its artifacts; it does so again where there is none."""

_OF_ANY = frozenset({"alembic_version", "workspaces"})
"""What else it fills in a new store, the same in each."""


class BlankStore:
    """A store that holds nothing yet, in the user's cache folder; one for each version of MLflow and of its tables.

    Whatever goes wrong with it only costs the seconds that it would have saved.

    Args:
        path: The SQLite file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def of_this_mlflow(cls) -> BlankStore:
        """Give the one for the MLflow that is installed."""
        migrations = Path(mlflow.__file__).parent / "store" / "db_migrations" / "versions"
        revisions = " ".join(sorted(each.name for each in migrations.glob("*.py")))
        digest = hashlib.sha256(revisions.encode()).hexdigest()[:12]
        return cls(platformdirs.user_cache_path("wine-sweep") / f"mlflow-{mlflow.__version__}-{digest}.db")

    def put(self, path: Path) -> bool:
        """Make a file that is missing a store that holds nothing yet, at once or not at all; its tables are made if need be.

        Returns:
            Whether it was made.
        """
        if self.copy_to(path):
            return True
        try:
            with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as folder:
                made = Path(folder) / path.name
                MlflowClient(f"sqlite:///{made.absolute()}").search_experiments(max_results=1)
                self.keep(made)
                return _is_copied(made, path)
        except (OSError, sqlite3.Error, MlflowException, SQLAlchemyError) as error:
            _logger.debug("%s is not put in place: %s", path, error)
            return False

    def copy_to(self, path: Path) -> bool:
        """Make a file that is missing a store that holds nothing yet, at once or not at all.

        Returns:
            Whether it was made.
        """
        if not is_own_folder(self.path.parent) or not self.path.exists():
            return False
        return _is_copied(self.path, path)

    def keep(self, path: Path) -> None:
        """Keep a copy of a store that MLflow has just made, unless somebody has written to it already."""
        try:
            own_folder(self.path.parent)
            with tempfile.TemporaryDirectory(prefix="new-", dir=self.path.parent) as folder:
                copied = Path(folder) / self.path.name
                _copy(path, copied)
                if _empty(copied):
                    os.replace(copied, self.path)
        except (OSError, sqlite3.Error) as error:
            _logger.debug("%s is not kept: %s", self.path, error)


def _is_copied(source: Path, path: Path) -> bool:
    """Put a copy of a store that holds nothing in place, and say whether it is there."""
    try:
        with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as folder:
            copied = Path(folder) / path.name
            _copy(source, copied)
            if not _empty(copied):
                return False
            os.link(copied, path)  # unlike a move it leaves a file alone that somebody else has made meanwhile
    except (OSError, sqlite3.Error) as error:
        _logger.debug("no copy of %s: %s", source, error)
        return False
    return True


def _copy(source: Path, target: Path) -> None:
    """Copy a SQLite file as its transactions have it.

    Raises:
        sqlite3.Error: It is no such file, or damaged.
    """
    readable = f"{source.absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(readable, uri=True)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)
        if (verdict := new.execute("PRAGMA quick_check").fetchone()[0]) != "ok":
            raise sqlite3.DatabaseError(verdict)


def _empty(path: Path) -> bool:
    """Take out of a copy what belongs to the folder of the store; say whether it holds nothing more."""
    with closing(sqlite3.connect(path)) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        with connection:
            connection.execute(f"DELETE FROM {_OF_ITS_FOLDER}")  # noqa: S608  # a name of ours
        filled = {name for name in tables if connection.execute(f'SELECT 1 FROM "{name}" LIMIT 1').fetchone()}  # noqa: S608  # the file's own
    return filled <= _OF_ANY
