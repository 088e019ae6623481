"""Where a function of the user's own comes from: a file that each process loads, or the function itself, written down."""

from __future__ import annotations

import importlib.util
import pickle
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wine_sweep.objective.context import TrialContext

Train = Callable[[dict[str, Any], TrialContext], Any]
"""A function of the user's: it takes parameters and a context, and returns metrics, or metrics and a fitted model."""


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
        found: Train = getattr(_module(self.file), self.name)
        return found


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
        found: Train = pickle.loads(self.pickled)  # noqa: S301  # it comes from the process that runs the sweep
        return found


Source = FunctionSource | PickledFunction


def source_of(function: Train) -> PickledFunction:
    """Make a function ready for other processes: one of a module is named, any other is written down as it is."""
    import cloudpickle  # it comes with MLflow, and only this needs it

    return PickledFunction(cloudpickle.dumps(function), name_of(function))


def name_of(function: Train) -> str:
    """Give a function's name; ``function`` for one that has none, such as a lambda."""
    name = getattr(function, "__name__", "function")
    return name if name.isidentifier() else "function"


def _module(file: Path) -> Any:
    """Import a file under its own name, with its folder to import from; again gives the same module."""
    known = sys.modules.get(file.stem)
    if known is not None and getattr(known, "__file__", None) == str(file):
        return known
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} cannot be imported")
    if str(file.parent) not in sys.path:
        sys.path.insert(0, str(file.parent))
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[file.stem]
        raise
    return module
