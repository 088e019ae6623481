"""What comes back from a cluster of a trial: the trial itself, and the files that it wrote there."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from wine_sweep.spool import TrialDirs
from wine_sweep.trial import Trial

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
