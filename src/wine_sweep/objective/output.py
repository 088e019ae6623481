"""What a trial prints, as files among its artifacts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

STDOUT_FILE = "stdout.txt"
STDERR_FILE = "stderr.txt"


class Tail:
    """Reads a file that grows, whole lines at a time; one that is not there yet is empty.

    A file that was deleted and made anew, by another attempt at a trial, is read from its beginning. It is held open in
    between, so that the new one cannot be taken for the old.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._rest = b""

    def read(self, *, to_the_end: bool = False) -> str:
        """Give the whole lines that are new.

        Args:
            to_the_end: Whether a last line without an end is given too.
        """
        found = self._rest + (self._file.read() if self._file is not None else b"")
        if self._is_another():
            found += b"" if found.endswith(b"\n") or not found else b"\n"
            found += self._file.read() if self._file is not None else b""
        whole = found if to_the_end else found[: found.rfind(b"\n") + 1]
        self._rest = found[len(whole) :]
        return whole.decode(errors="replace")

    def close(self) -> None:
        """Let the file go."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _is_another(self) -> bool:
        """Open the file that is there now, unless it is the one that is open."""
        try:
            now = self._path.stat().st_ino
            if self._file is not None and os.fstat(self._file.fileno()).st_ino == now:
                return False
            opened = self._path.open("rb")
        except FileNotFoundError:
            return False
        self.close()
        self._file = opened
        return True
