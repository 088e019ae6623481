"""How a command ends: exit codes, how an error is shown, and JSON for programs."""

from __future__ import annotations

import errno
import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Any, TextIO, cast

from wine_sweep.errors import (
    ConfigError,
    DataError,
    ExecutionError,
    NotFoundError,
    OutageError,
    OvertakenError,
    OwnershipError,
    SweepInterrupted,
    WineSweepError,
)
from wine_sweep.messages import shell_argument, visible, visible_in_json


class Format(StrEnum):
    """How `compare` prints."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    MARKDOWN = "markdown"


def print_json(document: Any, *, indent: int | None = 2) -> None:
    """Print a JSON document to stdout; what a terminal would act on is escaped, and reads back as the same values.

    So is what stdout's encoding does not have.
    """
    text = visible_in_json(json.dumps(document, indent=indent, ensure_ascii=False))
    print(text if can_print(text) else visible_in_json(json.dumps(document, indent=indent)))


def can_print(text: str) -> bool:
    """Return whether stdout's encoding has all characters of a text; a stream that has no encoding takes any."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


DONE = 0
FAILED = 1
WRONG = 2
REFUSED = 3
"""A gate said no, or a check has found that a model has decayed; everything else went well."""
INTERRUPTED = 130
_NOBODY_READS = frozenset({errno.EPIPE, errno.EIO, errno.EBADF})
"""What writing to a pipe fails with whose reader has ended, and to a terminal that is closed."""


def exit_code(error: WineSweepError) -> int:
    """Return the process's exit code for an error.

    It is 2 where what the user asks for is wrong, 3 where somebody else promoted meanwhile, 130 after an interruption, 1 for
    anything else.
    """
    if isinstance(error, OvertakenError):
        return REFUSED
    if isinstance(error, ConfigError | DataError | NotFoundError | OwnershipError):
        return WRONG
    return INTERRUPTED if isinstance(error, SweepInterrupted) else FAILED


def report_error(error: WineSweepError, *, as_json: bool) -> None:
    """Show an error: on stderr a line for each problem, and as JSON on stdout where JSON was asked for."""
    lines = _lines(error)
    if error.run_id or isinstance(error, SweepInterrupted | OutageError):
        lines.append(_what_next(error))
    print("\n".join(lines), file=sys.stderr)
    if as_json:
        document = {"error": str(error), "exit_code": exit_code(error)}
        if error.run_id or isinstance(error, SweepInterrupted | OutageError):
            document["run_id"] = error.run_id
        if isinstance(error, OutageError):
            document |= {"results_waiting": error.waiting, "journal": error.journal}
        print_json(document, indent=None)


def _lines(error: WineSweepError) -> list[str]:
    """Return a line for each problem, and for each part of what an error is made of; no other text begins a line."""
    if isinstance(error, ConfigError):
        return [visible(str(each)) if error.problems[0].place else visible(f"error: {each}") for each in error.problems]
    parts = str(error).split("\n") if isinstance(error, ExecutionError | OutageError) else [str(error)]
    return [visible(f"error: {part}") for part in parts]


def report_interruption(*, as_json: bool) -> None:
    """Show that a command was interrupted: in a line on stderr, and as JSON on stdout where JSON was asked for."""
    print("interrupted", file=sys.stderr)
    if as_json:
        print_json({"error": "interrupted", "exit_code": INTERRUPTED}, indent=None)


def _what_next(error: WineSweepError) -> str:
    if not error.run_id:
        again = "if `wine-sweep list` shows the sweep later, `wine-sweep resume` goes on with it; otherwise run it again"
        return f"No run is known to have been made: {again}." if isinstance(error, OutageError) else "No run was made yet."
    first = ", which writes them first" if isinstance(error, OutageError) and error.waiting else ""
    return f"Go on with: wine-sweep resume {shell_argument(error.run_id)}{first}"


class _Stream:
    """A text stream that goes nowhere once nobody reads it any more: a closed pipe or terminal ends no sweep.

    Args:
        stream: Standard output or standard error.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.failure: OSError | None = None

    def write(self, text: str) -> int:
        """Write a text; what a stream cannot take that nobody has left is kept as `failure`."""
        with self._leaving():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush as the stream does, and as `write` does."""
        with self._leaving():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @contextmanager
    def _leaving(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno not in _NOBODY_READS:
                self.failure = self.failure or error
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


def _keep_standard_streams_apart() -> None:
    """Open for nothing what is closed of the three standard streams: the next file to be opened would be in its place else."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            nowhere = os.open(os.devnull, os.O_RDWR)
            os.dup2(nowhere, number)
            if nowhere != number:
                os.close(nowhere)
            else:
                os.set_inheritable(number, True)


def _able(stream: TextIO | None, number: int) -> TextIO:
    """Return a stream that takes any text, to the same place by a descriptor of its own; also where Python found it closed.

    What is done to the usual descriptor while libraries compute, see `foreign_output_shown`, does not concern it.
    """
    if stream is None:
        return open(number, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # as Python's own
    if not isinstance(stream, io.TextIOWrapper) or stream.fileno() != number:
        return stream
    stream.flush()
    return io.TextIOWrapper(
        open(os.dup(number), "wb", 0 if stream.write_through else -1),
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


@contextmanager
def surviving_streams() -> Iterator[Callable[[], OSError | None]]:
    """Within this context what is printed goes nowhere once nobody can read it, or where it was closed from the beginning.

    A character that a stream's encoding does not have is shown as an escape. Each stream has a descriptor of its own.

    Yields:
        Flushes standard output, and returns why it could not be written to; None where it was, or nobody reads it any more.
    """
    _keep_standard_streams_apart()
    before = sys.stdout, sys.stderr
    output, errors = _Stream(_able(before[0], 1)), _Stream(_able(before[1], 2))

    def failure() -> OSError | None:
        output.flush()
        errors.flush()
        return output.failure

    sys.stdout, sys.stderr = cast("TextIO", output), cast("TextIO", errors)
    try:
        yield failure
    finally:
        failure()
        sys.stdout, sys.stderr = before
