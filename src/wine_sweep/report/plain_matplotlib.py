"""Matplotlib with its own defaults, whatever the working folder, the environment or the user's home say.

Matplotlib looks for a file ``matplotlibrc`` in the working folder first, whoever has put it there, when it is imported. Such a
file may ask for ``text.usetex``, which runs ``latex``; and reading one that is a pipe never ends. Hence everything of
Matplotlib is imported here, without that file, and nothing is drawn outside of `defaults`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

_FILE = "matplotlibrc"
_BACKEND = "backend"


@contextmanager
def _file_kept_out() -> Iterator[None]:
    """Have the file of the working folder not be found; Matplotlib asks for it by its bare name, and nobody else does."""
    exists = os.path.exists
    os.path.exists = lambda path: path != _FILE and exists(path)
    try:
        yield
    finally:
        os.path.exists = exists


with _file_kept_out():
    import matplotlib as mpl
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Axes", "Figure", "defaults"]


@contextmanager
def defaults() -> Iterator[None]:
    """Draw with Matplotlib's defaults within this context; how pictures are shown on a screen stays as it is."""
    with mpl.rc_context({key: value for key, value in mpl.rcParamsDefault.items() if not key.startswith(_BACKEND)}):
        yield
