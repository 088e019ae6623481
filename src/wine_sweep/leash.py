"""A process in a group of its own that never outlives the one that started it. Imports nothing of the package."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing.connection import wait
from pathlib import Path
from typing import IO

if sys.platform == "linux":
    import fcntl


def kill_when_closed(read_end: int) -> None:
    """Have the kernel kill this process's group once the other end of a pipe is closed, be it by SIGKILL; on Linux alone.

    That the pipe was closed is signalled as SIGKILL (fcntl(2), F_SETSIG), for as long as somebody has its read end.

    Args:
        read_end: The pipe's read end.
    """
    fcntl.fcntl(read_end, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(read_end, fcntl.F_SETOWN, -os.getpgrp())
    fcntl.fcntl(read_end, fcntl.F_SETFL, fcntl.fcntl(read_end, fcntl.F_GETFL) | os.O_ASYNC)


@contextmanager
def start_in_group(
    words: Sequence[str], *, folder: Path, environment: Mapping[str, str], stdout: IO[bytes], stderr: IO[bytes]
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process in a group of its own; when the context is left, whatever is left of the group is killed.

    On Linux the group is also killed when this process ends in any other way: the process holds the read end of a pipe
    whose write end is here alone. It asks for that itself before it becomes the program, while it still has the write end
    too: were it asked for from here, whoever is killed just before would leave the program running.

    Args:
        words: The program and its arguments; no shell is between.
        folder: Where it runs.
        environment: All of its variables.
        stdout: Where its output goes.
        stderr: Where its errors go.

    Raises:
        OSError: It cannot be started.
    """
    read_end, write_end = os.pipe()
    try:
        process = subprocess.Popen(  # noqa: S603  # the user's own program, trusted on the command line
            words,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            process_group=0,
            pass_fds=(read_end,),
            preexec_fn=partial(kill_when_closed, read_end) if sys.platform == "linux" else None,  # noqa: PLW1509  # takes no lock
        )
        try:
            yield process
        finally:
            _kill_group(process)
    finally:
        os.close(read_end)
        os.close(write_end)


def wait_for_exit(process: subprocess.Popen[bytes], seconds: float | None = None) -> bool:
    """Wait until a process has ended, and leave it to be reaped: until then nobody else can get its id.

    Args:
        process: A child of this process.
        seconds: How long to wait; for ever by default.

    Returns:
        Whether it has ended.
    """
    if seconds is None:
        return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT) is not None
    if hasattr(os, "pidfd_open"):
        watched = os.pidfd_open(process.pid)
        try:
            return bool(wait([watched], timeout=seconds))
        finally:
            os.close(watched)
    time.sleep(seconds)
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):  # macOS says "not permitted" of a group of which only zombies are left
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
