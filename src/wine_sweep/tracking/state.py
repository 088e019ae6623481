"""The folder on this machine for what must outlive a process: journals of trials that MLflow may not know yet, and locks.

The temporary folder, the second choice, is everybody's: another user can make a folder or a link there first. So whatever is
read or written is looked at before: it is this user's, no link, and nobody else may write to it.
"""

from __future__ import annotations

import errno
import getpass
import logging
import os
import re
import stat
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import platformdirs
from filelock import FileLock, Timeout

_logger = logging.getLogger(__name__)
_FOLDER_MODE = 0o700
_FILE_MODE = 0o600
_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH
_TOKEN = re.compile(r"[0-9a-f]{32}")


def is_token(text: object) -> bool:
    """Whether a text is 32 hexadecimal digits, as tokens and the ids of runs are; only such a text becomes a file's name."""
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
    """Whether a folder is there, is this user's and no link, and nobody else may write to it."""
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
