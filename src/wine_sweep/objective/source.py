"""Where a function of the user's own comes from: a file that each process loads, or the function itself, written down."""

from __future__ import annotations

import hashlib
import importlib.util
import pickle
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wine_sweep.errors import ConfigError, Problem
from wine_sweep.import_path import find_installed, import_last, start_scripts_as_usual
from wine_sweep.objective.context import TrialContext

NO_FILE = "notebook.py"
"""Stands in a config for the file of a function that was given as it is, and that MLflow does not have."""

Train = Callable[[dict[str, Any], TrialContext], Any]
"""A function of the user's: it takes parameters and a context, and returns metrics, or metrics and a fitted model."""


_DIGEST = "__wine_sweep_digest__"


@dataclass(frozen=True)
class FunctionSource:
    """A function by its file and its name, which a worker loads for itself.

    Args:
        file: The Python file, absolute.
        name: The function's name in it.
    """

    file: Path
    name: str

    def load(self) -> Train:
        """Import the file, once in a process, and give the function.

        Raises:
            AttributeError: There is no such function in it.
            Exception: Whatever the file raises when it is imported.
        """
        start_scripts_as_usual()
        found: Train = getattr(_module(self.file, self.module), self.name)
        return found

    @property
    def module(self) -> str:
        """The name under which the file is imported: its stem, unless something installed or standard has that name."""
        stem = self.file.stem
        is_taken = stem == "__main__" or find_installed(stem, beside=self.file.parent) is not None
        return f"wine_sweep_file_{stem}" if is_taken else stem


@dataclass(frozen=True)
class PickledFunction:
    """A function that has no file of its own, such as a notebook's, as cloudpickle has written it.

    Args:
        pickled: What cloudpickle has made of it.
        name: Its name.
    """

    pickled: bytes
    name: str

    def load(self) -> Train:
        """Give the function."""
        start_scripts_as_usual()
        found: Train = pickle.loads(self.pickled)  # noqa: S301  # it comes from the process that runs the sweep
        return found


Source = FunctionSource | PickledFunction


def source_of(function: Train) -> PickledFunction:
    """Make a function ready for other processes: one of a module is named, any other is written down as it is.

    Raises:
        ConfigError: It is no function, or holds what cannot be written down: a lock, an open file.
    """
    import cloudpickle  # only this needs it

    if not callable(function):
        raise ConfigError([Problem(f"what is swept is called, and a {type(function).__name__} cannot be")])
    try:
        return PickledFunction(cloudpickle.dumps(function), name_of(function))
    except (TypeError, AttributeError, ValueError, pickle.PicklingError) as error:
        message = f"the function cannot be sent to worker processes: {error}; let it make what it needs itself"
        raise ConfigError([Problem(message)]) from error


def name_of(function: Train) -> str:
    """Give a function's name; ``function`` for one that has none, such as a lambda."""
    name = getattr(function, "__name__", "function")
    return name if name.isidentifier() else "function"


def _module(file: Path, name: str) -> Any:
    """Import a file as a module of a name; again gives the same module, unless it has changed.

    What lies beside it can be imported, last: nothing in its folder stands in for something that is installed.
    """
    known, digest = sys.modules.get(name), hashlib.sha256(file.read_bytes()).hexdigest()
    if known is not None and getattr(known, _DIGEST, None) == (str(file), digest):
        return known
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} cannot be imported")
    import_last(file.parent, [name])
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    setattr(module, _DIGEST, (str(file), digest))
    return module
