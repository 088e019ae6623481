"""What a trial prints, as files among its artifacts."""

from __future__ import annotations

import os
from pathlib import Path

STDOUT_FILE = "stdout.txt"
STDERR_FILE = "stderr.txt"


class Tail:
    """Reads a file that grows, whole lines at a time; one that is not there yet is empty.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0
        self._file = 0

    def read(self, *, to_the_end: bool = False) -> str:
        """Give the whole lines that are new.

        Args:
            to_the_end: Whether a last line without an end is given too.
        """
        try:
            with self._path.open("rb") as file:
                now = os.fstat(file.fileno())
                if now.st_ino != self._file or now.st_size < self._read:  # another attempt has begun it anew
                    self._file, self._read = now.st_ino, 0
                file.seek(self._read)
                found = file.read()
        except FileNotFoundError:
            return ""
        whole = found if to_the_end else found[: found.rfind(b"\n") + 1]
        self._read += len(whole)
        return whole.decode(errors="replace")
