"""What a process does before its heavy imports: check its surroundings, start the workers' server, allow imports of ``--trust``.

Imports nothing heavy itself.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING

from wine_sweep.errors import ConfigError, Problem, SourceLocation
from wine_sweep.importing import find_installed, import_last, importing
from wine_sweep.messages import one_of, show

if TYPE_CHECKING:
    from wine_sweep.config import Backend
    from wine_sweep.tracking.reader import SweepReader

_LEVEL = "MLFLOW_LOGGING_LEVEL"
_CONFIGURE = "MLFLOW_CONFIGURE_LOGGING"
_YES_OR_NO = ("true", "false", "1", "0")


def check_surroundings() -> None:
    """See that the working folder is there, and that MLflow can be imported with the variables that it reads then.

    Raises:
        ConfigError: It is not, or it cannot.
    """
    try:
        os.getcwd()
    except OSError as error:
        what = "was deleted" if isinstance(error, FileNotFoundError) else f"cannot be used ({error.strerror})"
        raise ConfigError([Problem(f"the working folder {what}; go to another one, as by `cd`")]) from error
    problems = []
    level, configure = os.environ.get(_LEVEL), os.environ.get(_CONFIGURE)
    levels = logging.getLevelNamesMapping()
    if level and level.upper() not in levels:
        allowed = one_of(level.upper(), [name for name in levels if name != "NOTSET"])
        problems.append(Problem(f"no level of Python's logging; {allowed}; got {show(level)}", place=SourceLocation(_LEVEL)))
    if configure is not None and configure.lower() not in _YES_OR_NO:
        wrong = f"MLflow takes true, false, 1 or 0 in this environment variable; got {show(configure)}"
        problems.append(Problem(wrong, place=SourceLocation(_CONFIGURE)))
    if problems:
        raise ConfigError(problems)


def start_server(backend: Backend) -> None:
    """Start the server that workers are forked from, if there will be any: it loads its libraries while this process works on.

    Args:
        backend: Where trials will run.
    """
    from wine_sweep.execution import start_forkserver

    if backend.traits.shares_this_disk and not backend.traits.runs_in_this_process:
        start_forkserver()


def let_import_from(folder: Path, trusted: Sequence[str]) -> None:
    """Let a trusted module that lies beside a config be imported, last: whatever is installed or standard goes first.

    Workers look where this process does. Called after the libraries are imported: some of them try modules that may not be
    installed, and would find them here. A file that is trusted by its path needs nothing: where it runs, it is loaded by path.

    Args:
        folder: The config's folder.
        trusted: The values of ``--trust``.

    Raises:
        ConfigError: A value is a file or folder of the working folder, and the module of that name beside the config is another.
    """
    from wine_sweep.targets.trust import packages_among

    for name in packages_among(trusted):
        spec = PathFinder.find_spec(name, [str(folder)]) if find_installed(name, beside=folder) is None else None
        if spec is None:
            continue
        found = Path(next(iter(spec.submodule_search_locations or ()), spec.origin or ""))
        meant = Path.cwd() / name
        if meant.exists() and found.resolve() != meant.resolve():
            message = f"{name!r} is {meant} here, and beside the config lies another, {found}; run in that folder if you trust it"
            raise ConfigError.at("--trust", message)
        import_last(folder, [name])


def check_trusted(trusted: Sequence[str]) -> None:
    """Check the values of ``--trust``, and allow imports of the working folder's modules that they name.

    Raises:
        ConfigError: As `Trust` and `let_import_from` say.
    """
    from wine_sweep.targets.trust import Trust

    Trust(trusted).check()
    let_import_from(Path.cwd(), trusted)


def open_reader(tracking_uri: str | None, experiment: str | None = None) -> SweepReader:
    """Return what reads the sweeps of a store, of one experiment or of all; imports MLflow.

    Raises:
        WineSweepError: The store cannot be read, or there is no such experiment.
    """
    with importing():
        from wine_sweep.tracking.reader import SweepReader
        from wine_sweep.tracking.store import open_store

    return SweepReader(open_store(tracking_uri), experiment)
