"""How much memory a process and its children use."""

from __future__ import annotations

import time

import psutil

LOOK_SECONDS = 0.1
"""How often the memory in use is measured."""

FAMILY_SECONDS = 1.0
"""How often a process's children are looked up, which takes a hundred times as long as to measure those known."""


class MemoryMeter:
    """Measures the resident memory of a process and all that it started; pages that they share count for each.

    Args:
        pid: The process.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._family: list[psutil.Process] = []
        self._looked = self._measured = float("-inf")
        self._used = 0

    def used(self) -> int:
        """Give the bytes in use, as of `LOOK_SECONDS` ago at most; 0 when the process has ended."""
        now = time.monotonic()
        if now - self._looked >= FAMILY_SECONDS:
            self._family, self._looked = _family(self._pid), now
        if now - self._measured >= LOOK_SECONDS:
            self._used, self._measured = sum(map(_resident, self._family)), now
        return self._used


def _family(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return []


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0
