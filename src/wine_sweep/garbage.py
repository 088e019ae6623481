"""How often Python looks for garbage while much is imported: half a million objects that stay are looked through again and again.

With its usual threshold that is a quarter of the time that pandas, scikit-learn and MLflow take to import.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

RARELY = 100_000
"""So many new objects, and not 700, before it looks among them."""


class _Rare:
    """Counts the contexts, of all threads, in which Python is to look rarely."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._before = gc.get_threshold()

    def enter(self) -> None:
        with self._lock:
            if self._count == 0:
                self._before = gc.get_threshold()
                gc.set_threshold(RARELY, *self._before[1:])
            self._count += 1

    def leave(self) -> None:
        with self._lock:
            self._count -= 1
            if self._count == 0:
                gc.set_threshold(*self._before)


_RARE = _Rare()


@contextmanager
def collected_rarely() -> Iterator[None]:
    """Have Python look for garbage rarely within this context, and as often as before after it.

    For imports alone: what models leave behind can be large, and be few objects.
    """
    _RARE.enter()
    try:
        yield
    finally:
        _RARE.leave()
