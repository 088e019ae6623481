"""Ctrl-C and SIGTERM: the first asks the sweep to stop, the second stops it at once."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class StopSwitch:
    """Is off until somebody sends a signal.

    Attributes:
        on: Whether somebody has.
        grace: How many seconds what runs may take then; told to the user.
    """

    def __init__(self) -> None:
        self.on = False
        self.grace = 0.0

    def __call__(self) -> bool:
        """Whether somebody wants to stop."""
        return self.on


@contextmanager
def stop_on_signals(tell: Callable[[str], Any]) -> Iterator[StopSwitch]:
    """Within this context SIGINT and SIGTERM turn the switch on; what was installed before is put back afterwards.

    The second of them raises KeyboardInterrupt in the main thread. Any more change nothing: what ends the runs in MLflow
    is not to be interrupted, and takes moments.

    Args:
        tell: Says something to the user.
    """
    switch = StopSwitch()
    heard = 0

    def handle(_number: int, _frame: FrameType | None) -> None:
        nonlocal heard
        heard += 1
        if heard == 1:
            switch.on = True
            tell(f"Stopping: what runs may take {switch.grace:g}s more. Ctrl-C again stops at once.")
        elif heard == 2:
            tell("Stopping at once.")
            raise KeyboardInterrupt

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield switch
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
