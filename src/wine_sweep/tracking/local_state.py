"""State on this machine that outlives a process: its folder, its locks, and who owns a sweep.

The temporary folder, the second choice, is everybody's: another user can make a folder or a link there first. So whatever is
read or written is looked at before: it is this user's, no link, and nobody else may write to it.

Each take-over has a number one higher than the one before; the token of the process that owns the sweep begins with it. A child
run carries the token of the process that made it, and of the one that closed it after its owner was dead. The parent run says
which results were there when it was taken over. So a result that a process writes after it has lost the sweep can be told from
one that it wrote before, by whoever reads, without a clock.
"""

from __future__ import annotations

import errno
import getpass
import json
import logging
import os
import platform
import re
import stat
import tempfile
import time
import uuid
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import platformdirs
from filelock import FileLock, Timeout

from wine_sweep.tracking import names

_logger = logging.getLogger(__name__)
_FOLDER_MODE = 0o700
_FILE_MODE = 0o600
_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH
_TOKEN = re.compile(r"[0-9a-f]{32}")


def is_token(text: object) -> bool:
    """Return whether a text is 32 hexadecimal digits, as tokens and run ids are; only such a text becomes a file name."""
    return isinstance(text, str) and _TOKEN.fullmatch(text) is not None


def state_folder(part: str = "") -> Path:
    """Return the folder, or one within it, made if missing.

    It is the user's state folder, or one in the temporary folder where that cannot be used.

    Args:
        part: The name of a folder within it; empty for the folder itself.

    Raises:
        OSError: Neither can be used, or the folder within it cannot.
    """
    for folder in state_folders():
        try:
            found = _writable(own_folder(folder))
        except OSError as error:
            _logger.warning("the folder for what must outlive this process cannot be used: %s", error)
        else:
            return own_folder(found / part) if part else found
    raise OSError(errno.ENOENT, "there is no folder for what must outlive this process")


def state_folders() -> tuple[Path, Path]:
    """Return where state may lie, whoever it belongs to: the preferred folder, and the one to fall back to."""
    owner = os.getuid() if hasattr(os, "getuid") else getpass.getuser()
    preferred = platformdirs.user_state_path("wine-sweep")
    if preferred.is_symlink() and _is_ours(preferred.lstat()):
        preferred = preferred.resolve()  # the user's own doing: the state on another disk
    return preferred, Path(tempfile.gettempdir()) / f"wine-sweep-{owner}"


def own_folder(folder: Path) -> Path:
    """Return a folder that nobody but its owner, this user, may write to; made if it is missing.

    Rights of others are taken away and not refused: a folder made by hand, with the umask of a group, would otherwise cost a
    user the journals in it. What others have put there meanwhile is told by its owner, file by file.

    Raises:
        OSError: It is somebody else's, a link, no folder, or cannot be made.
    """
    folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
    _refuse_strange(folder, found := folder.lstat(), stat.S_ISDIR)
    if hasattr(os, "getuid") and found.st_mode & _OTHERS_MAY_WRITE:
        folder.chmod(stat.S_IMODE(found.st_mode) & ~_OTHERS_MAY_WRITE)
        if folder.lstat().st_mode & _OTHERS_MAY_WRITE:  # a file system without rights takes it and does nothing
            raise PermissionError(errno.EACCES, "others may write to it", str(folder))
        _logger.warning("others could write to %s; that right is taken away", folder)
    return folder


def is_own_folder(folder: Path) -> bool:
    """Return whether a folder is there, is this user's and no link, and nobody else may write to it."""
    try:
        found = folder.lstat()
        _refuse_strange(folder, found, stat.S_ISDIR)
    except OSError:
        return False
    return not (hasattr(os, "getuid") and found.st_mode & _OTHERS_MAY_WRITE)


def open_own(path: str | Path, flags: int) -> int:
    """Open a file as `os.open` does, readable for its owner only where it is made.

    Raises:
        OSError: It is somebody else's, a link, no file, or others may write to it; or it cannot be opened.
    """
    try:
        file = os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0), _FILE_MODE)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise PermissionError(errno.EACCES, "it is a link", str(path)) from error
        raise
    try:
        found = os.fstat(file)
        _refuse_strange(path, found, stat.S_ISREG)
        if hasattr(os, "getuid") and found.st_mode & _OTHERS_MAY_WRITE:
            raise PermissionError(errno.EACCES, "others may write to it", str(path))
        if flags & (os.O_WRONLY | os.O_RDWR) and found.st_nlink > 1:
            raise PermissionError(errno.EACCES, "it is another file's second name", str(path))
    except OSError:
        os.close(file)
        raise
    return file


@contextmanager
def alone_on_machine(part: str, name: str, *, patience: float, without: int = logging.WARNING) -> Iterator[None]:
    """Be the only process of this user on this machine that does something; where no lock can be kept, that is logged.

    Args:
        part: The folder within the state folder that the lock's file is in.
        name: What that file's name begins with.
        patience: How long another process is waited for, in seconds.
        without: The level at which it is logged that no lock can be kept.

    Raises:
        Timeout: Another process does it, and does not end in time.
    """
    try:
        lock = FileLock(state_folder(part) / f"{name}.lock", timeout=patience)
        lock.acquire()
    except Timeout:
        raise
    except OSError as error:
        _logger.log(without, "no lock can be kept on this machine, so two at once are not kept apart here: %s", error)
        yield
        return
    try:
        yield
    finally:
        lock.release()


def machine_id() -> str:
    """Return the id of this machine, drawn at its first use: names of machines repeat, those of containers above all.

    Where it cannot be kept, it is this process's alone.
    """
    try:
        path = state_folder() / "machine"
        if not path.exists():
            _draw_machine_id(path)
        with open(open_own(path, os.O_RDONLY), encoding="utf-8") as file:
            return file.read()
    except (OSError, ValueError) as error:
        _logger.warning("the id of this machine cannot be kept: %s", error)
        return uuid.uuid4().hex


def _draw_machine_id(path: Path) -> None:
    drawn = path.with_name(f"machine-{uuid.uuid4().hex}")
    try:
        with open(open_own(drawn, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "w", encoding="utf-8") as file:
            file.write(uuid.uuid4().hex)
        with suppress(FileExistsError):
            os.link(drawn, path)  # whole or not at all, and the first of several processes wins
    finally:
        drawn.unlink(missing_ok=True)


def _writable(folder: Path) -> Path:
    with tempfile.TemporaryFile(dir=folder):
        return folder


def _is_ours(found: os.stat_result) -> bool:
    return not hasattr(os, "getuid") or found.st_uid == os.getuid()


def _refuse_strange(path: str | Path, found: os.stat_result, is_right: Callable[[int], bool]) -> None:
    """Refuse what belongs to somebody else, links, and what is of another kind.

    Raises:
        PermissionError: It is such a thing.
    """
    if not _is_ours(found):
        raise PermissionError(errno.EACCES, "it belongs to somebody else", str(path))
    if not is_right(found.st_mode):
        kind = "a link" if stat.S_ISLNK(found.st_mode) else "of another kind"
        raise PermissionError(errno.EACCES, f"it is {kind}", str(path))


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


def number_of(token: str) -> int:
    """Read the number of the take-over from an owner's token; 0 for one of a version that did not count them."""
    number, dash, _ = token.partition("-")
    return int(number) if dash and number.isascii() and number.isdigit() and len(number) < 10 else 0


@dataclass(frozen=True)
class TakenOver:
    """What was there when a sweep was taken over for the last time.

    Args:
        by: The token of the owner that took it over.
        spans: The numbers of the trials that had a result then: (first, last) of each unbroken row, both inclusive, ascending.
        rest: Any number from this one on counts too: not all spans fitted into a tag. None where they did.
    """

    by: str
    spans: Sequence[tuple[int, int]]
    rest: int | None = None

    @classmethod
    def from_results(cls, by: str, numbers: Iterable[int]) -> TakenOver:
        """Build it from the numbers of the trials that have a result."""
        spans: list[tuple[int, int]] = []
        for number in sorted(set(numbers)):
            if spans and spans[-1][1] == number - 1:
                spans[-1] = spans[-1][0], number
            else:
                spans.append((number, number))
        found = cls(by, spans)
        while len(found.text()) > names.MAX_TAG:
            found = cls(by, found.spans[: len(found.spans) // 2], found.spans[len(found.spans) // 2][0])
        return found

    @classmethod
    def from_tags(cls, tags: Mapping[str, str]) -> TakenOver | None:
        """Read it from a parent run's tags; None for a sweep that was never taken over, and for a tag that cannot be read."""
        try:
            document = json.loads(tags.get(names.TAKEN_OVER, ""))
            by, text = document["by"], document["results"]
            spans = [_span(each) for each in text.split(",") if each]
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None
        rest = next((first for first, last in spans if last is None), None)
        return cls(str(by), sorted((first, last) for first, last in spans if last is not None), rest)

    def text(self) -> str:
        """Write it as a tag's value."""
        parts = [f"{first}-{last}" if last > first else str(first) for first, last in self.spans]
        parts += [] if self.rest is None else [f"{self.rest}-"]
        return json.dumps({"by": self.by, "results": ",".join(parts)}, separators=(",", ":"))

    def counts(self, number: int, made_by: str | None) -> bool:
        """Return whether a result counts, by its trial's number and the token of the owner that made its run.

        One of a version that wrote no tokens counts always.
        """
        if made_by is None or made_by == self.by or number_of(made_by) > number_of(self.by):
            return True
        place = bisect_right(self.spans, number, key=lambda span: span[0])
        was_there = place > 0 and self.spans[place - 1][1] >= number
        return was_there or (self.rest is not None and number >= self.rest)


def _span(text: str) -> tuple[int, int | None]:
    """Read ``7``, ``3-7`` or ``41-``, which is all from 41 on."""
    first, dash, last = text.partition("-")
    return int(first), (int(last) if last else None) if dash else int(first)


_LARGEST_PID = 2**31
BEAT_SECONDS = 10.0
"""How often it says that it is alive."""


@dataclass(frozen=True)
class Owner:
    """A process that runs a sweep.

    Args:
        token: What tells it from every other; the number of its take-over first, then a hyphen.
        machine: Where it runs: the machine's own id, since names of machines repeat.
        host: That machine's name.
        pid: Its process id there.
        beat: How often it has said that it is alive.
    """

    token: str
    machine: str
    host: str
    pid: int
    beat: int = 0

    @classmethod
    def here(cls) -> Owner:
        """Describe this process."""
        return cls(uuid.uuid4().hex, machine_id(), platform.node(), os.getpid())

    def numbered(self, number: int) -> Owner:
        """Return the owner with a new token, which holds the number of its take-over; whoever begins a sweep has 1."""
        return replace(self, token=f"{number}-{uuid.uuid4().hex}")

    @property
    def number(self) -> int:
        """The number of its take-over; 0 where its version of wine_sweep did not count them."""
        return number_of(self.token)

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"

    def text(self) -> str:
        """Write it as a tag's value."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_tag(cls, text: str | None) -> Owner | None:
        """Read the owner from a run's tag `names.OWNER`; None when it has none, or one that cannot be read."""
        try:
            owner = cls(**json.loads(text or ""))
        except (ValueError, TypeError, RecursionError):
            return None
        texts, numbers = (owner.token, owner.machine, owner.host), (owner.pid, owner.beat)
        is_sound = all(isinstance(text, str) for text in texts) and all(type(number) is int for number in numbers)
        return owner if is_sound and 0 < owner.pid < _LARGEST_PID else None


def user_name() -> str:
    """Return the name of the user, or ``unknown`` where the system knows none."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "unknown"
