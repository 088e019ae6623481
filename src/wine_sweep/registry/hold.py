"""One promotion at a time on a machine; of two on different machines, `ModelRegistry.move` tells the one that came first."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout

from wine_sweep.errors import OwnershipError
from wine_sweep.tracking.state import state_folder

_logger = logging.getLogger(__name__)

PATIENCE_SECONDS = 60.0
"""How long another promotion on this machine is waited for; it takes a second or two."""


@contextmanager
def alone(name: str) -> Iterator[None]:
    """Hold the promotions of a registered model on this machine.

    Raises:
        OwnershipError: Another process holds them, and does not let go.
    """
    path = state_folder() / "locks" / f"model-{hashlib.sha256(name.encode()).hexdigest()[:32]}.lock"
    lock = FileLock(path, timeout=PATIENCE_SECONDS)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise OwnershipError(f"another process has been promoting a version of {name} for {PATIENCE_SECONDS:g} s") from error
    except OSError as error:
        _logger.warning("no lock can be kept on this machine, so two promotions at once are told apart afterwards: %s", error)
        yield
        return
    try:
        yield
    finally:
        lock.release()
