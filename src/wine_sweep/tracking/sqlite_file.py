"""The SQLite file behind a store: made with all its tables at once, and watched for being deleted.

SQLite makes a file that is missing anew, and empty; a store that was deleted would then have "no such table". And a connection
goes on writing into a file that is deleted already. So connections to a store that is known to be there are made such that they
make no file, and each that is taken from a pool is compared with the file that is there now. Imports no MLflow.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import re
import sqlite3
import stat
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import mlflow
import platformdirs
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sqlalchemy import event
from sqlalchemy.engine import Dialect, Engine, make_url
from sqlalchemy.exc import ArgumentError, DisconnectionError, SQLAlchemyError
from sqlalchemy.pool import Pool

from wine_sweep.errors import ConfigError, Problem
from wine_sweep.messages import mask
from wine_sweep.tracking.local_state import is_own_folder, own_folder

_SQLITE = re.compile(r"sqlite(\+\w+)?:")
_SQLITE_FILE = re.compile(r"sqlite(\+\w+)?:///")
_NEVER = frozenset({errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP})
"""What looking for a file fails with where there can be none, whoever asks and whenever."""

_TABLES = frozenset({"alembic_version", "experiments", "runs"})
"""Without these a file is no store of MLflow's."""

_INFO = "wine_sweep.file"
_Identity = tuple[int, int]
_known: dict[str, _Identity] = {}
"""The stores that were opened here, by their real paths: device and inode, which no other file has while it is open."""


def file_of(uri: str) -> Path | None:
    """Return the SQLite file behind a URI; None for any other store, one in memory too."""
    if not _SQLITE_FILE.match(uri):
        return None
    database = make_url(uri).database or ""
    return Path(database) if database and not database.startswith((":memory:", "file:")) else None


def refuse_impossible(uri: str) -> None:
    """See that a URI of SQLite's names what can be a store; MLflow would try for minutes to open what cannot.

    Raises:
        ConfigError: It names a folder, a pipe, what is no path, or no file at all, and a store in memory ends with its process.
    """
    if not _SQLITE.match(uri):
        return
    why = _why_impossible(uri)
    if why is not None:
        raise ConfigError([Problem(f"the tracking URI '{mask(uri)[:200]}' {why}; a SQLite store is a file: sqlite:///mlflow.db")])


def _why_impossible(uri: str) -> str | None:
    try:
        url = make_url(uri)
    except (ArgumentError, ValueError) as error:
        return f"cannot be read ({str(error)[:200]})"
    if url.host:
        return f"names a host, '{url.host[:60]}'"
    database = url.database or ""
    is_uri = database.startswith("file:")
    if not database or database.startswith(":memory:") or (is_uri and (":memory:" in database or "memory" in url.query.values())):
        return "names a store in memory, which would be gone at the end"
    return _why_no_file(database)


def _why_no_file(path: str) -> str | None:
    """Describe why no SQLite file can be at a path; None where there can, or the system does not say."""
    if "\0" in path:
        return "holds a NUL character, which no path can"
    try:
        kind = os.stat(path).st_mode
    except OSError as error:
        return f"names no file that could be there ({error.strerror})" if error.errno in _NEVER else None
    if stat.S_ISDIR(kind):
        return "names a folder"
    return None if stat.S_ISREG(kind) else "names what is no regular file"


def real_path(path: Path) -> str:
    """Return what is the same for a relative path, an absolute one and a link, where they lead to one file."""
    return os.path.realpath(path)


def why_no_store(path: Path) -> str | None:
    """Describe why a file is no store that could be read; None where it is one, or MLflow has to say what is wrong with it."""
    try:
        size = path.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        return f"the SQLite file {path} is missing: it was never made, or it was deleted"
    except OSError:
        return None
    if size == 0:
        return f"the SQLite file {path} is empty: what was in it was deleted"
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.Error:
        return None
    return None if tables >= _TABLES else f"the SQLite file {path} holds no tables of MLflow's"


def watch(path: Path) -> None:
    """Take note of a store's file, which is there, so that no connection makes it anew and `what_became_of` knows it."""
    if not event.contains(Pool, "checkout", _check_out):
        event.listen(Engine, "do_connect", _connect)
        event.listen(Pool, "checkout", _check_out)
    found = path.stat()
    _known[real_path(path)] = (found.st_dev, found.st_ino)


def forget(path: Path) -> None:
    """Take note that a store's file is missing and may be made anew."""
    _known.pop(real_path(path), None)


def what_became_of(uri: str) -> tuple[str, bool] | None:
    """Describe what happened to a store's file since it was opened here; None where it is still there, or none was opened.

    Returns:
        What happened and what to do, and whether the file is missing: then it may come back.
    """
    path = file_of(uri)
    before = _known.get(real_path(path)) if path is not None else None
    if path is None or before is None:
        return None
    advice = "put it back there, or a copy of it, to go on; without one only a new sweep can begin"
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return f"the SQLite file {path} was deleted; {advice}", True
    except OSError:
        return None
    if found.st_size == 0:
        return f"the SQLite file {path} was deleted, and an empty one is in its place; {advice}", True
    if (found.st_dev, found.st_ino) != before:
        return f"the SQLite file {path} was deleted while it was in use, and another one is in its place now", False
    return None


def _connect(dialect: Dialect, record: Any, arguments: list[Any], options: dict[str, Any]) -> Any:
    """Connect to a store that is known to be there, without making its file; None leaves it to SQLAlchemy.

    A copy that somebody has put in its place may lack what was written here: `resume` looks for that, and nobody else does.

    Raises:
        sqlite3.OperationalError: It cannot be opened, or is another file by now.
    """
    if dialect.name != "sqlite" or not arguments or (path := real_path(arguments[0])) not in _known:
        return None
    connection = sqlite3.connect(f"{Path(path).as_uri()}?mode=rw", **{**options, "uri": True})
    found = os.stat(path)
    if (identity := (found.st_dev, found.st_ino)) != _known[path]:
        connection.close()
        raise sqlite3.OperationalError("unable to open database file: it is another one by now")
    record.info[_INFO] = path, identity
    return connection


def _check_out(_connection: Any, record: Any, _proxy: Any) -> None:
    """Have a pool throw a connection away whose file is not the one that is there now.

    Raises:
        DisconnectionError: It is not.
    """
    if _INFO not in record.info:
        return
    path, identity = record.info[_INFO]
    try:
        found = os.stat(path)
    except OSError as error:
        raise DisconnectionError(str(error)) from error
    if (found.st_dev, found.st_ino) != identity:
        raise DisconnectionError(f"{path} is another file by now")


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
        """Return the one for the MLflow that is installed."""
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
