"""Measures how long ago something was, the time included for which the machine was asleep or stood still."""

from __future__ import annotations

import time


class Stopwatch:
    """Measure the time since it was made.

    On Linux `time.monotonic` stands still while a machine sleeps and ``CLOCK_BOOTTIME`` does not; neither counts for how long a
    virtual machine was paused, which the wall clock shows once it has been set. The clock that says most is believed: too long a
    time costs a look at the store, too short a one would let results be written twice.
    """

    def __init__(self) -> None:
        self._began = _readings()

    @property
    def seconds(self) -> float:
        """The time since it was made, in seconds."""
        return max(now - then for now, then in zip(_readings(), self._began, strict=True))


def _readings() -> tuple[float, float]:
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock), time.time()
