"""How a command ends: exit codes, how an error is shown, and JSON for programs."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from itertools import accumulate
from typing import Any, TextIO, cast

from wine_sweep.errors import (
    ConfigError,
    DataError,
    ExecutionError,
    NotFoundError,
    OutageError,
    OvertakenError,
    OwnershipError,
    Problem,
    SourceLocation,
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
    """Show an error: on stderr a line for each problem, and as JSON on stdout where JSON was asked for.

    On a terminal, the line of the config that a problem stands in is shown below it.
    """
    lines = _lines(error)
    if isinstance(error, ConfigError) and sys.stderr.isatty():
        lines = [line for each, shown in zip(error.problems, lines, strict=True) for line in (shown, *_excerpt(each))]
    if error.run_id or isinstance(error, SweepInterrupted | OutageError):
        lines.append(_what_next(error))
    print("\n".join(lines), file=sys.stderr)
    if as_json:
        document: dict[str, Any] = {"error": str(error), "exit_code": exit_code(error)}
        if isinstance(error, ConfigError):
            document["problems"] = list(map(_as_json, error.problems))
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


def _as_json(problem: Problem) -> dict[str, Any]:
    place = problem.place or SourceLocation("")
    return {
        "file": place.source or None,
        "line": place.line or None,
        "column": place.column or None,
        "key": ".".join(map(str, problem.path)) or None,
        "message": problem.message,
        "code": problem.code,
    }


_RED, _DIM, _PLAIN = "\x1b[1;31m", "\x1b[2m", "\x1b[0m"


def _excerpt(problem: Problem) -> list[str]:
    """Return the line that a problem stands in, as wide as the terminal at most, and a caret under the place."""
    if problem.place is None or not problem.line.strip():
        return []
    gutter = f"{problem.place.line:>4} | "
    try:
        columns = os.get_terminal_size(sys.stderr.fileno()).columns
    except OSError:
        columns = 0
    shown, before, caret = point_at(problem.line, problem.place.column, (columns or 80) - len(gutter) - 1)
    has_colour = not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"
    red, dim, plain = (_RED, _DIM, _PLAIN) if has_colour else ("", "", "")
    return [f"{dim}{gutter}{plain}{shown}", f"{dim}{'|':>6}{plain} {' ' * before}{red}{caret}{plain}"]


def point_at(line: str, column: int, width: int) -> tuple[str, int, str]:
    """Cut a line to a width around a place in it; tabs are four spaces, and what a terminal would act on is an escape.

    Args:
        line: The line.
        column: The place, counted in characters from 1, a byte order mark not among them.
        width: In cells of the terminal.

    Returns:
        What is shown, how many cells of it stand before the place, and the carets that go under the word there.
    """
    from rich.cells import cell_len  # takes its time to import, and no error is in a hurry

    text = line.replace("\ufeff", "")
    at = min(column - 1, len(text))
    start = max(0, at - width)  # a character has one cell or more, but for accents
    pieces = ["    " if character == "\t" else visible(character) for character in text[start : at + width]]
    cells, here = list(map(cell_len, pieces)), at - start
    word = re.match(r"[\w.+-]+", text[at:])
    caret = sum(cells[here : here + len(word[0])]) if word else 1
    before = sum(cells[:here])
    if len(pieces) == len(text) and sum(cells) <= width:
        return "".join(pieces), before, "^" * caret
    room = width - 2  # one cell for each end that is cut
    end = _reach(cells[here:], room - min(before, room // 2))
    first = here - _reach(cells[:here][::-1], room - sum(cells[here : here + end]))
    ends = "…" if start or first else "", "…" if here + end < len(pieces) or at + width < len(text) else ""
    before = sum(cells[first:here]) + len(ends[0])
    return ends[0] + "".join(pieces[first : here + end]) + ends[1], before, "^" * max(1, min(caret, width - before))


def _reach(cells: list[int], room: int) -> int:
    """Count the leading pieces that have room."""
    return next((count for count, used in enumerate(accumulate(cells)) if used > room), len(cells))


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
