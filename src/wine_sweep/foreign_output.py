"""What libraries and models print while they compute, by whatever language: on standard error alone, and nothing of it raw.

A library in C writes to the descriptors 1 and 2, whatever `sys.stdout` is. There it would stand among the results, and bring
control characters from a config's or a model's text to the terminal. Imports nothing of ours but words.
"""

from __future__ import annotations

import codecs
import ctypes
import functools
import io
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast

from wine_sweep.wording import visible

_PIECE = 2**20
"""How many bytes are read and shown at once."""


@contextmanager
def foreign_output_shown() -> Iterator[None]:
    """Show on standard error, with control characters as escapes, what is printed within this context.

    What Python prints is shown at once. What is written to the descriptors goes to a file without a name, which never has
    anybody wait, and is shown when the context is left. Contexts may lie within each other, and be entered by several threads:
    the descriptors are the process's, and are put back by the last one.
    """
    _REDIRECTION.begin()
    try:
        yield
    finally:
        _REDIRECTION.end()


class _Shown(io.TextIOBase):
    """Stands in for a stream: a text goes to standard error, with control characters as escapes.

    Args:
        number: The descriptor that such a stream has.
        own: The stream that it stands in for.
        errors: Standard error as it was; None where there is none.
        descriptor: Where standard error leads to, where its own descriptor leads elsewhere for now.
    """

    def __init__(self, number: int, own: TextIO | None, errors: TextIO | None, descriptor: int | None) -> None:
        self._number = number
        self._own = own
        self._errors = errors
        self._descriptor = descriptor

    @property
    def rich_proxied_file(self) -> TextIO | None:
        """What a console of Rich's writes to, which is ours: the stream as it is."""
        return cast("TextIO | None", getattr(self._own, "rich_proxied_file", self._own))

    @property
    def encoding(self) -> str:  # type: ignore[override]  # typeshed has it as an attribute
        """Any text can be shown."""
        return "utf-8"

    def writable(self) -> bool:
        """See `io.TextIOBase`."""
        return True

    def fileno(self) -> int:
        """Give the descriptor, which leads to the file."""
        return self._number

    def isatty(self) -> bool:
        """Whoever prints colours for a terminal would have them shown as escapes."""
        return False

    def write(self, text: str) -> int:
        """Show a text."""
        shown = _visible_lines(text)
        if self._descriptor is not None:
            _write(self._descriptor, shown)
        elif self._errors is not None:
            self._errors.write(shown)
        return len(text)

    def flush(self) -> None:
        """Flush standard error."""
        if self._descriptor is None and self._errors is not None:
            self._errors.flush()

    def come_to_an_end(self) -> None:
        """Write from now on to the stream itself: its descriptor is put back."""
        self._descriptor = None


class _Redirection:
    """The state of a process's two descriptors."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._depth = 0
        self._file: tuple[int, int] | None = None
        self._kept: dict[int, int | None] = {}
        self._streams: tuple[TextIO, TextIO] = (sys.stdout, sys.stderr)
        self._stand_ins: tuple[_Shown, _Shown] | None = None

    def begin(self) -> None:
        with self._lock:
            self._depth += 1
            if self._depth == 1:
                try:
                    self._redirect()
                except BaseException:
                    self._depth = 0
                    raise

    def end(self) -> None:
        with self._lock:
            self._depth -= 1
            if self._depth == 0:
                self._revert()

    def _redirect(self) -> None:
        _flush_all()
        self._streams = sys.stdout, sys.stderr
        file = self._own_file()
        self._kept = {number: _copy_of(number) for number in (1, 2)}
        for number in (1, 2):
            os.dup2(file, number)
        out, errors = self._streams
        descriptor = self._kept[2] if _descriptor_of(errors) == 2 else None
        self._stand_ins = _Shown(1, out, errors, descriptor), _Shown(2, errors, errors, descriptor)
        sys.stdout, sys.stderr = cast("TextIO", self._stand_ins[0]), cast("TextIO", self._stand_ins[1])

    def _revert(self) -> None:
        _flush_native()
        stand_ins = self._stand_ins or ()
        if sys.stdout in stand_ins:  # or somebody has put another there meanwhile
            sys.stdout = self._streams[0]
        if sys.stderr in stand_ins:
            sys.stderr = self._streams[1]
        for each in stand_ins:
            each.come_to_an_end()
        for number, kept in self._kept.items():
            if kept is None:
                os.close(number)
            else:
                os.dup2(kept, number)
                os.close(kept)
        self._kept = {}
        self._show(self._own_file())

    def _own_file(self) -> int:
        """Give a file of this very process's, without a name; a forked process must not share its parent's."""
        if self._file is None or self._file[0] != os.getpid():
            self._file = os.getpid(), _nameless_file()
        return self._file[1]

    def _show(self, file: int) -> None:
        """Show what was written to the file, and empty it."""
        size = os.fstat(file).st_size
        if size == 0:
            return
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        at, text = 0, ""
        with suppress(OSError):  # nobody reads it any more, and that ends no sweep
            while at < size:
                piece = _read(file, at, min(_PIECE, size - at))
                at += len(piece)
                text = decoder.decode(piece, final=at >= size)
                if sys.stderr is not None:
                    sys.stderr.write(_visible_lines(text))
            if sys.stderr is not None:
                sys.stderr.write("" if text.endswith("\n") else "\n")
                sys.stderr.flush()
        os.lseek(file, 0, os.SEEK_SET)
        os.ftruncate(file, 0)


_REDIRECTION = _Redirection()


def _nameless_file() -> int:
    in_memory = hasattr(os, "memfd_create")
    with open(os.memfd_create("wine-sweep-output"), "w+b") if in_memory else tempfile.TemporaryFile() as file:
        return _above_standard(file.fileno())


def _copy_of(number: int) -> int | None:
    """Copy a descriptor; None where it is closed."""
    try:
        return _above_standard(number)
    except OSError:
        return None


def _above_standard(number: int) -> int:
    """Copy a descriptor to one above the first three, of which some may be closed, and are to stay so.

    Raises:
        OSError: It is closed.
    """
    low: list[int] = []
    try:
        while (copy := os.dup(number)) <= 2:
            low.append(copy)
    finally:
        for each in low:
            os.close(each)
    return copy


def _descriptor_of(stream: Any) -> int | None:
    try:
        found = stream.fileno()
    except (AttributeError, OSError, ValueError):  # as in a notebook, or where there is no stream
        return None
    return found if isinstance(found, int) else None


def _read(file: int, at: int, length: int) -> bytes:
    """Read without moving the place where the next text is written."""
    if hasattr(os, "pread"):
        return os.pread(file, length, at)
    os.lseek(file, at, os.SEEK_SET)
    return os.read(file, length)


def _write(descriptor: int, text: str) -> None:
    left = memoryview(text.encode("utf-8", "backslashreplace"))
    while left:
        left = left[os.write(descriptor, left) :]


def _visible_lines(text: str) -> str:
    return "\n".join(map(visible, text.split("\n")))


def _flush_all() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            with suppress(OSError, ValueError):  # nobody reads it any more, or it is closed
                stream.flush()
    _flush_native()


def _flush_native() -> None:
    """Have the C library write what it holds back, or it would do so later and elsewhere."""
    if (flush := _native_flush()) is not None:
        flush(None)


@functools.cache
def _native_flush() -> Any:
    if os.name != "posix":
        return None
    flush = ctypes.CDLL(None).fflush
    flush.argtypes = [ctypes.c_void_p]
    return flush
