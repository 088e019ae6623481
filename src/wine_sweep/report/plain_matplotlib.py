"""Matplotlib with its own defaults, whatever the working folder, the environment or the user's home say.

Matplotlib looks for a file ``matplotlibrc`` in the working folder first, whoever has put it there, when it is imported. Such a
file may ask for ``text.usetex``, which runs ``latex``; and reading one that is a pipe never ends. Nor can it be imported where
MPLBACKEND names no backend, which nothing here needs. Hence everything of Matplotlib is imported here, without either, and
nothing is drawn outside of `defaults`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from wine_sweep.errors import ConfigError, Problem

_FILE = "matplotlibrc"
_BACKEND = "backend"
_BACKEND_VARIABLE = "MPLBACKEND"


@contextmanager
def _kept_out() -> Iterator[None]:
    """Have the file of the working folder not be found, and no backend named; nobody else asks for that file by its bare name.

    Raises:
        ConfigError: Matplotlib cannot read the file that MATPLOTLIBRC names, or that of the user's home.
    """
    exists = os.path.exists
    backend = os.environ.pop(_BACKEND_VARIABLE, None)
    os.path.exists = lambda path: path != _FILE and exists(path)
    try:
        yield
    except (OSError, ValueError) as error:
        wrong = f"Matplotlib cannot be imported with the matplotlibrc of the user's home, or of MATPLOTLIBRC: {error}"
        raise ConfigError([Problem(wrong)]) from error
    finally:
        os.path.exists = exists
        if backend is not None:
            os.environ[_BACKEND_VARIABLE] = backend


with _kept_out():
    import matplotlib as mpl
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

if _backend := os.environ.get(_BACKEND_VARIABLE):  # for code of the user's own that draws in this process
    with suppress(ValueError):  # it is none, and nothing of ours needs one
        mpl.rcParams["backend"] = _backend

__all__ = ["Axes", "Figure", "defaults"]


@contextmanager
def defaults() -> Iterator[None]:
    """Draw with Matplotlib's defaults within this context; how pictures are shown on a screen stays as it is."""
    with mpl.rc_context({key: value for key, value in mpl.rcParamsDefault.items() if not key.startswith(_BACKEND)}):
        yield
