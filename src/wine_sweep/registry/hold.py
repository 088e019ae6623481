"""One promotion, or one refresh, of a registered model at a time on a machine.

Of two promotions on different machines, `ModelRegistry.move` tells the one that came first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from filelock import Timeout

from wine_sweep.errors import OwnershipError
from wine_sweep.tracking.state import alone_on_machine

PATIENCE_SECONDS = 60.0
"""How long another promotion on this machine is waited for; it takes a second or two."""


@contextmanager
def exclusive(name: str, *, doing: str = "promoting", patience: float = PATIENCE_SECONDS) -> Iterator[None]:
    """Be the only process on this machine that does something with a registered model.

    Args:
        name: The registered model.
        doing: What is done.
        patience: How long another process that does it is waited for, in seconds.

    Raises:
        OwnershipError: Another process does it, and does not end in time.
    """
    digest = hashlib.sha256(f"{doing} {name}".encode()).hexdigest()
    with ExitStack() as held:
        try:
            held.enter_context(alone_on_machine("locks", f"model-{digest[:32]}", patience=patience))
        except Timeout as error:
            raise OwnershipError(f"another process on this machine is {doing} {name}") from error
        yield
