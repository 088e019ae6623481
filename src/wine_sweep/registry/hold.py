"""One promotion, or one refresh, of a registered model at a time on a machine.

Of two promotions on different machines, `ModelRegistry.move` tells the one that came first.
"""

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
def alone(name: str, *, doing: str = "promoting", patience: float = PATIENCE_SECONDS) -> Iterator[None]:
    """Be the only process on this machine that does something with a registered model.

    Args:
        name: The registered model.
        doing: What is done.
        patience: How long another process that does it is waited for, in seconds.

    Raises:
        OwnershipError: Another process does it, and does not end in time.
    """
    digest = hashlib.sha256(f"{doing} {name}".encode()).hexdigest()
    try:
        lock = FileLock(state_folder("locks") / f"model-{digest[:32]}.lock", timeout=patience)
        lock.acquire()
    except Timeout as error:
        raise OwnershipError(f"another process on this machine is {doing} {name}") from error
    except OSError as error:
        _logger.warning("no lock can be kept on this machine, so two at once are not kept apart here: %s", error)
        yield
        return
    try:
        yield
    finally:
        lock.release()
