"""Ctrl-C and SIGTERM: the first asks the sweep to stop, a second Ctrl-C stops it at once."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class StopSwitch:
    """Is off until somebody sends a signal."""

    def __init__(self) -> None:
        self.on = False

    def __call__(self) -> bool:
        """Whether somebody wants to stop."""
        return self.on


@contextmanager
def stop_on_signals(tell: Callable[[str], Any]) -> Iterator[StopSwitch]:
    """Within this context SIGINT and SIGTERM turn the switch on; what was installed before is put back afterwards.

    Args:
        tell: Says something to the user.
    """
    switch = StopSwitch()

    def handle(number: int, _frame: FrameType | None) -> None:
        if switch.on and number == signal.SIGINT:
            raise KeyboardInterrupt
        if not switch.on:
            switch.on = True
            tell("Stopping: ending what runs. Ctrl-C again stops at once.")

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield switch
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
