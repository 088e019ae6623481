"""Keeps Python from looking for garbage while much is made that stays: imported modules, pages of runs.

Half a million objects would be looked through again and again. With the usual thresholds that is a quarter of the time that
pandas, scikit-learn and MLflow take to import.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _Pause:
    """Counts the contexts, of all threads, in which Python is not to look."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._was_enabled = True

    def enter(self) -> None:
        with self._lock:
            if self._count == 0:
                self._was_enabled = gc.isenabled()
                gc.disable()
            self._count += 1

    def leave(self) -> None:
        with self._lock:
            self._count -= 1
            if self._count == 0 and self._was_enabled:
                gc.enable()


_PAUSE = _Pause()
_is_ours = threading.Event()


@contextmanager
def gc_paused() -> Iterator[None]:
    """Have Python look for no garbage within this context, and as before after it.

    For what stays, alone: what models leave behind can be large, and be few objects.
    """
    _PAUSE.enter()
    try:
        yield
    finally:
        _PAUSE.leave()


@contextmanager
def importing() -> Iterator[None]:
    """Have Python look for no garbage within this context; in a process that is ours, never again at what there is at its end."""
    with gc_paused():
        yield
        if _is_ours.is_set():
            gc.freeze()


def process_is_ours() -> None:
    """Say that nobody else computes in this process, whose garbage would stay too when what was imported is frozen."""
    _is_ours.set()


def is_process_ours() -> bool:
    """Say whether nobody else computes in this process."""
    return _is_ours.is_set()
