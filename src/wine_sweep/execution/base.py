"""The interface of all backends, what a running trial may ask for, and the directories of its files."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import stat
import tempfile
import traceback
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Protocol

from wine_sweep.messages import first_line
from wine_sweep.trial import Failure, Trial


class TrialIO(Protocol):
    """What a task is given beside the trial that it measures."""

    @property
    def folder(self) -> Path:
        """A folder for files that are kept with the trial as its artifacts; made when it is first asked for."""

    @property
    def scratch(self) -> Path:
        """A folder for files that nobody keeps; made when it is first asked for, deleted when the trial has ended."""

    @property
    def common(self) -> Path:
        """A folder that all trials on this machine share, deleted when the sweep has ended; made when it is first asked for."""

    def report(self, trial: Trial) -> bool:
        """Show what a trial has said so far, its state RUNNING, and wait for the answer whether it is to go on."""


Task = Callable[[Trial, TrialIO], Trial]
"""What measures a trial: picklable, and it imports neither MLflow nor Optuna."""


@dataclass(frozen=True)
class Limits:
    """What one trial may take.

    Args:
        seconds: How long it may be measured, all its steps together; None for no limit.
        memory: How many bytes its processes may use together; None for no limit.
    """

    seconds: float | None = None
    memory: int | None = None


class LostTrialError(Exception):
    """A trial has no result, for a reason that is not the task's own; `failure` says which."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure)
        self.failure = failure


class Workers(Protocol):
    """Something that measures trials.

    A task reaches the workers once, when they are made; with each trial go only its parameters. Every future that
    `submit` gives comes to an end: with the measured trial, with an exception that `explain` puts into words when its
    worker is lost or it exceeded a limit, or cancelled by `stop`.

    A trial that is given back RUNNING waits for the next `submit` or for `drop`. Where its task measures in steps, nobody
    waits meanwhile; where its task has reported (`TrialIO.report`), its worker does: it is held, by the trial's number.

    Attributes:
        size: How many trials are measured at a time, 1 or more; on a cluster it changes as workers join and leave.
    """

    @property
    def size(self) -> int:
        """See the class."""

    def submit(self, trial: Trial) -> Future[Trial]:
        """Have a trial measured, or have one go on that was given back RUNNING.

        One that was given back by a report goes on in the worker that holds it; when that has died, it fails as one does
        whose worker died measuring, and begins afresh when it is submitted once more.

        Raises:
            ExecutionError: The workers as a whole are gone.
        """

    def drop(self, trial: Trial) -> None:
        """Take note that a trial that was given back RUNNING is not to go on; returns at once.

        A worker that holds it is told so. It is free when the trial's task has ended; what that says is thrown away.
        """

    def explain(self, error: BaseException) -> Failure:
        """Describe what a future's exception means for its trial.

        Raises:
            ExecutionError: It means that the workers as a whole are gone.
        """

    def stop(self) -> None:
        """End the workers at once, whatever they are doing; again does no harm."""


POLL_SECONDS = 0.2
"""How soon whatever waits looks whether it is to stop."""


def describe_error(error: BaseException) -> Failure:
    """Turn an exception into a trial's failure: its type, the first line of its message, and the traceback."""
    message = first_line(error) if str(error).strip() else ""
    return Failure(type(error).__name__, message, "".join(traceback.format_exception(error)))


def failure_of(error: BaseException) -> Failure:
    """Describe what an exception means that came out of a future."""
    return error.failure if isinstance(error, LostTrialError) else Failure(type(error).__name__, str(error))


@dataclass(frozen=True)
class TrialDirs:
    """A folder with the folders of trials: ``0007`` for files that are kept, ``0007.scratch`` for files that nobody keeps.

    Beside them is ``common``, for what outlives a trial and not the sweep.
    Nothing is made before somebody has a file to put there.

    Args:
        root: The folder, an absolute path.
        is_temporary: Whether it goes when `close` is called.
    """

    root: Path
    is_temporary: bool = False

    @classmethod
    def at(cls, root: Path | None) -> TrialDirs:
        """Open the directories at a folder; without one, temporary ones."""
        return cls(root.absolute()) if root is not None else cls.temporary(Path(tempfile.gettempdir()))

    @classmethod
    def temporary(cls, parent: Path) -> TrialDirs:
        """Make temporary directories within a folder."""
        return cls(parent.absolute() / f"wine-sweep-{uuid.uuid4().hex}", is_temporary=True)

    def folder(self, number: int) -> Path:
        """Name the folder for a trial's files that are kept, whether it is there or not."""
        return self.root / f"{number:04d}"

    def scratch(self, number: int) -> Path:
        """Name the folder for a trial's files that nobody keeps, whether it is there or not."""
        return self.root / f"{number:04d}.scratch"

    @property
    def common(self) -> Path:
        """Name the folder for what is no single trial's, whether it is there or not."""
        return self.root / "common"

    def make(self, folder: Path) -> Path:
        """Make one of the folders unless it is there, for the owner of this process only.

        Raises:
            OSError: It cannot be made, or what is there is a link or somebody else's.
        """
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = self.root.lstat()
        if not stat.S_ISDIR(found.st_mode) or (hasattr(os, "getuid") and found.st_uid != os.getuid()):
            raise PermissionError(errno.EACCES, "it is a link or belongs to somebody else", str(self.root))
        folder.mkdir(exist_ok=True)
        return folder

    def clear(self, number: int) -> None:
        """Remove both folders of a trial.

        Raises:
            OSError: Something of them stays.
        """
        for folder in (self.folder(number), self.scratch(number)):
            if folder.exists():
                shutil.rmtree(folder)

    def clear_scratch(self, number: int) -> None:
        """Remove the files of a trial that nobody keeps, as far as they can be: what it has left running may still write."""
        shutil.rmtree(self.scratch(number), ignore_errors=True)

    def close(self) -> None:
        """Remove temporary directories as far as possible."""
        if self.is_temporary:
            shutil.rmtree(self.root, ignore_errors=True)


_logger = logging.getLogger(__name__)

MOST_BYTES = 64_000_000
"""How many bytes the files of one trial may have together."""

LEFT_OUT = "left-out.txt"
"""The file that names those that were left out."""


@dataclass(frozen=True)
class RemoteResult:
    """A trial and its files.

    Args:
        trial: The trial.
        files: What stands in its folder, by path within it, with slashes; empty before it has ended.
        is_held: Whether it has reported, and waits at its worker to go on.
    """

    trial: Trial
    files: Mapping[str, bytes] = field(default_factory=dict)
    is_held: bool = False


def pack(folder: Path, most: int = MOST_BYTES) -> dict[str, bytes]:
    """Read the files of a folder, the small ones first, as far as they fit; the others are named in `LEFT_OUT`.

    Args:
        folder: The folder; it need not be there.
        most: How many bytes may be read.
    """
    packed: dict[str, bytes] = {}
    left_out: list[str] = []
    room = most
    for size, name in sorted(_sizes(folder)):
        if size > room:
            left_out.append(f"{name}: {size} bytes, and {most} is the most that all files may have together\n")
            continue
        try:
            packed[name] = (folder / name).read_bytes()
        except OSError as error:
            left_out.append(f"{name}: {error.strerror}\n")
        else:
            room -= len(packed[name])
    if left_out:
        packed[LEFT_OUT] = "".join(sorted(left_out)).encode()
    return packed


def unpack(files: Mapping[str, bytes], folder: Path) -> None:
    """Write files into a folder, which is there.

    Raises:
        ValueError: A path leads out of the folder; nothing is written.
        OSError: A file cannot be written.
    """
    targets = {_inside(folder, name): content for name, content in files.items()}
    for target, content in targets.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def receive(result: RemoteResult, trial_dirs: TrialDirs) -> Trial:
    """Put the files of a trial into its folder here; those that cannot be put there cost it nothing but them."""
    number = result.trial.number
    try:
        if result.files:
            unpack(result.files, trial_dirs.make(trial_dirs.folder(number)))
    except (OSError, ValueError) as error:
        _logger.warning("files of trial %d are lost: %s", number, error)
    return result.trial


def _sizes(folder: Path) -> Iterator[tuple[int, str]]:
    """Yield size and path of each regular file, links to files among them; links to folders are not followed."""
    for place, _, names in os.walk(folder):
        for path in (Path(place) / name for name in names):
            if path.is_file():
                yield path.stat().st_size, path.relative_to(folder).as_posix()


def _inside(folder: Path, name: str) -> Path:
    path = PurePosixPath(name)
    target = folder / path
    if path.is_absolute() or ".." in path.parts or not target.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"the path {name!r} leads out of the trial's folder")
    return target
