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
        self.freezes = False

    def enter(self) -> None:
        with self._lock:
            if self._count == 0:
                self._was_enabled = gc.isenabled()
                gc.disable()
            self._count += 1

    def leave(self) -> None:
        with self._lock:
            self._count -= 1
            if self._count == 0:
                if self.freezes:
                    gc.freeze()
                if self._was_enabled:
                    gc.enable()


_PAUSE = _Pause()


@contextmanager
def uncollected() -> Iterator[None]:
    """Have Python look for no garbage within this context, and as before after it.

    For what stays, alone: what models leave behind can be large, and be few objects.
    """
    _PAUSE.enter()
    try:
        yield
    finally:
        _PAUSE.leave()


def freeze_what_stays() -> None:
    """Have whatever there is at the end of each such context never be looked at again, for as long as this process lives.

    For a process that is ours alone: in another one, garbage of others would stay too.
    """
    _PAUSE.freezes = True
