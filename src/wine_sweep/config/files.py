"""Reading files that a person names: what is no regular file may never end, or hold the process up for good."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

_OPEN_ALREADY = ("/dev/fd", "/proc/self/fd")
_STDIN = "/dev/stdin"


def read_file(path: Path, most: int) -> bytes:
    """Read a file, `most` bytes at most.

    A pipe or a terminal is read only where it is this process's own already: ``/dev/stdin``, or ``/dev/fd/63`` as a shell
    writes ``<(command)``.

    Raises:
        OSError: It cannot be read, or is no regular file.
    """
    if str(path) == _STDIN or str(path.parent) in _OPEN_ALREADY:
        with path.open("rb") as file:
            return file.read(most)
    with open(path, "rb", opener=_open_at_once) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        return file.read(most)


def _open_at_once(path: str, flags: int) -> int:
    """Open as `os.open` does, without waiting for somebody to write into a pipe."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
