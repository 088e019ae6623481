"""Capture what a trial's code prints, warns of and raises, and the metrics that a program reports without MLflow.

A library in C writes to the descriptors 1 and 2, whatever `sys.stdout` is. There it would stand among the results, and bring
control characters from a config's or a model's text to the terminal. Imports nothing of ours but words.
"""

from __future__ import annotations

import codecs
import ctypes
import functools
import io
import json
import math
import os
import re
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TextIO, cast

from wine_sweep.config import HistoryReducer
from wine_sweep.evaluation.metrics import refusal_of_name, refusal_of_step
from wine_sweep.messages import show, visible_lines
from wine_sweep.trial import FIT_SECONDS, Report

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
        """Return the whole lines that are new.

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


STEP = "step"
_LONGEST_STEP = 300


class MetricParseError(ValueError):
    """What a program says cannot be understood; the message says where and why."""


@dataclass(frozen=True)
class MetricLine:
    """Metrics that were said at once, with the step that they are of, if one was named."""

    values: Mapping[str, float]
    step: int | None = None


def sayings_of_file(path: Path) -> list[MetricLine]:
    """Read a file of metrics: one JSON object, a list of them, or one on each line; none where there is no such file.

    Raises:
        MetricParseError: It is no JSON, or holds something that is no number.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise MetricParseError(f"{path.name} cannot be read: {error}") from error
    try:
        whole = json.loads(text) if text.strip() else []
    except (ValueError, RecursionError):  # no JSON, a number of thousands of digits, or nested too deeply
        return [_saying(_parsed(line, f"{path.name}:{at}"), f"{path.name}:{at}") for at, line in _lines(text)]
    return [_saying(each, path.name) for each in (whole if isinstance(whole, list) else [whole])]


def sayings_of_line(line: str) -> list[MetricLine]:
    """Read one whole line of a file of metrics; nothing where it is no JSON object by itself.

    Raises:
        MetricParseError: It holds something that is no number.
    """
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return []
    return [_saying(found, "metrics.json")] if isinstance(found, dict) else []


def sayings_of_text(text: str, pattern: re.Pattern[str]) -> Iterator[MetricLine]:
    """Find metrics in what a program has printed.

    Args:
        text: What it printed.
        pattern: Its named groups are metrics, or `name` and `value`; `step` numbers them.

    Raises:
        MetricParseError: A group holds something that is no number.
    """
    for match in pattern.finditer(text):
        groups = {name: value for name, value in match.groupdict().items() if value is not None}
        step = groups.pop(STEP, None)
        if "name" in groups and "value" in groups:
            groups = {groups["name"]: groups["value"]}
        values = {name: _number(_number_in(value, name), name, "stdout") for name, value in groups.items()}
        yield MetricLine(values, None if step is None else _step_in(step))


def reports(sayings: Iterable[MetricLine]) -> tuple[Report, ...]:
    """Put together what was said of each step, the first step first; what was said of none is left out."""
    found: dict[int, dict[str, float]] = {}
    for each in sayings:
        if each.step is not None:
            found.setdefault(each.step, {}).update(each.values)
    return tuple(Report(step, values) for step, values in sorted(found.items()))


def results(sayings: Iterable[MetricLine], of: Mapping[str, HistoryReducer]) -> dict[str, float]:
    """Return the value of each metric that counts: the last that was said, or as `of` says for it."""
    histories: dict[str, list[float]] = {}
    for each in sayings:
        for name, value in each.values.items():
            if name == FIT_SECONDS:
                continue  # the time of the process is measured, whatever it says of itself
            histories.setdefault(name, []).append(value)
    return {name: reduce_history(values, of.get(name, HistoryReducer.LAST)) for name, values in histories.items()}


def reduce_history(values: list[float], of: HistoryReducer) -> float:
    """Choose from a history of one value or more; one that is no number counts as it is."""
    if of is HistoryReducer.LAST:
        return values[-1]
    broken = next((value for value in values if math.isnan(value)), None)
    return broken if broken is not None else min(values) if of is HistoryReducer.MIN else max(values)


def _lines(text: str) -> Iterator[tuple[int, str]]:
    return ((number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip())


def _parsed(line: str, place: str) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        raise MetricParseError(f"{place}: is neither a JSON object nor one on each line: {error.msg}") from error
    except (ValueError, RecursionError) as error:
        raise MetricParseError(f"{place}: holds a number of thousands of digits, or is nested too deeply") from error


def _saying(found: Any, place: str) -> MetricLine:
    if not isinstance(found, dict):
        raise MetricParseError(f'{place}: expected an object of metrics such as {{"rmse": 0.7}}, got {show(found)}')
    step = found.get(STEP)
    if step is not None and (refused := refusal_of_step(step)) is not None:
        raise MetricParseError(f"{place}: {refused}")
    values = {name: value for name, value in found.items() if name != STEP}
    return MetricLine({name: _number(value, name, place) for name, value in values.items()}, step)


def _number(value: Any, name: str, place: str) -> float:
    if (refused := refusal_of_name(name)) is not None:
        raise MetricParseError(f"{place}: {refused}")
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
    except OverflowError as error:
        raise MetricParseError(f"{place}: the metric '{name}' is larger than a number can be") from error
    raise MetricParseError(f"{place}: the metric '{name}' is {show(value)}; a number is needed")


def _step_in(text: str) -> int:
    step = int(text) if text.strip().isdecimal() and len(text) <= _LONGEST_STEP else text
    if (refused := refusal_of_step(step)) is not None:
        raise MetricParseError(f"stdout: {refused}")
    return int(step)


def _number_in(text: str, name: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise MetricParseError(f"the pattern of `stdout` found '{text[:60]}' for {name}, which is no number") from error


@contextmanager
def recorded_warnings() -> Iterator[list[warnings.WarningMessage]]:
    """Catch what estimators warn their users of, such as missing convergence; leave out what is meant for developers."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        for category in (UserWarning, RuntimeWarning):
            warnings.simplefilter("always", category)
        yield caught


def summary(caught: Sequence[warnings.WarningMessage]) -> tuple[str, ...]:
    """Keep the first warning of each category, in one line: the numbers in them differ from fold to fold."""
    first: dict[str, str] = {}
    for warning in caught:
        message = " ".join(str(warning.message).split())
        first.setdefault(warning.category.__name__, message[:200])
    return tuple(f"{category}: {message}" for category, message in first.items())


def merged(before: Sequence[str], after: Sequence[str]) -> tuple[str, ...]:
    """Put the warnings of two steps together, one of each category."""
    found: dict[str, str] = {}
    for text in (*before, *after):
        found.setdefault(text.partition(": ")[0], text)
    return tuple(found.values())


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


@contextmanager
def foreign_output_hidden() -> Iterator[None]:
    """Show nothing of what is printed within this context, as `foreign_output_shown` would."""
    _REDIRECTION.begin()
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            yield
    finally:
        _REDIRECTION.end(shows=False)


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
        """Return the descriptor, which leads to the file."""
        return self._number

    def isatty(self) -> bool:
        """Whoever prints colours for a terminal would have them shown as escapes."""
        return False

    def write(self, text: str) -> int:
        """Show a text."""
        shown = visible_lines(text)
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

    def end(self, *, shows: bool = True) -> None:
        with self._lock:
            self._depth -= 1
            if self._depth == 0:
                self._revert(shows=shows)

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

    def _revert(self, *, shows: bool) -> None:
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
        if shows:
            self._show(self._own_file())
        _empty(self._own_file())

    def _own_file(self) -> int:
        """Return a file of this very process's, without a name; a forked process must not share its parent's."""
        if self._file is None or self._file[0] != os.getpid():
            self._file = os.getpid(), _nameless_file()
        return self._file[1]

    def _show(self, file: int) -> None:
        """Show what was written to the file."""
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
                    sys.stderr.write(visible_lines(text))
            if sys.stderr is not None:
                sys.stderr.write("" if text.endswith("\n") else "\n")
                sys.stderr.flush()


_REDIRECTION = _Redirection()


def _empty(file: int) -> None:
    os.lseek(file, 0, os.SEEK_SET)
    os.ftruncate(file, 0)


def _nameless_file() -> int:
    in_memory = hasattr(os, "memfd_create")
    with open(os.memfd_create("wine-sweep-output"), "w+b") if in_memory else tempfile.TemporaryFile() as file:
        if os.name == "posix":
            import fcntl

            # Or two threads that write at once would write over each other: a file in memory has no lock for its place.
            fcntl.fcntl(file, fcntl.F_SETFL, fcntl.fcntl(file, fcntl.F_GETFL) | os.O_APPEND)
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
