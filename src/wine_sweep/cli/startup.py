"""What a command does before its heavy imports: start the workers' server, and allow imports that ``--trust`` names."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.machinery import PathFinder
from pathlib import Path

from wine_sweep.config import ParsedConfig, read_config
from wine_sweep.errors import ConfigError, Problem, SourceLocation
from wine_sweep.execution import start_forkserver
from wine_sweep.importing import find_installed, import_last
from wine_sweep.targets.trust import packages_among


def read_ahead(path: Path, overrides: Sequence[str]) -> ParsedConfig:
    """Read a config, and start the workers' server.

    Args:
        path: The YAML file.
        overrides: Changes, each ``key.path=value``.

    Raises:
        ConfigError: It cannot be read as a config at all; what else is wrong is in the draft.
    """
    draft = read_config(path, overrides)
    start_server(draft)
    return draft


def start_server(draft: ParsedConfig) -> None:
    """Start the server that workers are forked from, if there will be any: it loads its libraries while this process works on.

    Args:
        draft: What was read as a config.
    """
    traits = draft.config.execution.backend.traits if draft.config is not None else None
    if traits is not None and traits.shares_this_disk and not traits.runs_in_this_process:
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
    for name in packages_among(trusted):
        spec = PathFinder.find_spec(name, [str(folder)]) if find_installed(name, beside=folder) is None else None
        if spec is None:
            continue
        found = Path(next(iter(spec.submodule_search_locations or ()), spec.origin or ""))
        meant = Path.cwd() / name
        if meant.exists() and found.resolve() != meant.resolve():
            message = f"{name!r} is {meant} here, and beside the config lies another, {found}; run in that folder if you trust it"
            raise ConfigError([Problem(message, place=SourceLocation("--trust"))])
        import_last(folder, [name])
