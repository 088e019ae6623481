"""Where the files of trials lie until they are kept elsewhere: two folders a trial, one for all. Imports nothing of ours."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path


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
        """Give the spool at a folder; without one a temporary spool of its own."""
        return cls(root.absolute()) if root is not None else cls.temporary(Path(tempfile.gettempdir()))

    @classmethod
    def temporary(cls, parent: Path) -> TrialDirs:
        """Give a temporary spool within a folder."""
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
        """Remove a temporary spool, as far as it can be."""
        if self.is_temporary:
            shutil.rmtree(self.root, ignore_errors=True)
