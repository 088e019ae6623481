"""What ``--trust`` allows."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.machinery import PathFinder
from pathlib import Path

from wine_sweep.import_path import find_installed, import_last
from wine_sweep.subjects.trust import packages_among


def let_import_from(folder: Path, trusted: Sequence[str]) -> None:
    """Let a trusted module that lies beside a config be imported, last: whatever is installed or standard goes first.

    Workers look where this process does. Called after the libraries are imported: some of them try modules that may not be
    installed, and would find them here. A file that is trusted by its path needs nothing: where it runs, it is loaded by path.

    Args:
        folder: The config's folder.
        trusted: The values of ``--trust``.
    """
    for name in packages_among(trusted):
        if find_installed(name, beside=folder) is None and PathFinder.find_spec(name, [str(folder)]) is not None:
            import_last(folder, [name])
