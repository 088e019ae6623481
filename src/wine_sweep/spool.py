"""Where trials put files: what is kept with them, and what is not. Imports nothing of the package."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Spool:
    """Two folders for each trial below one root; none is made here.

    Args:
        root: The folder of all.
    """

    root: Path

    def folder(self, number: int) -> Path:
        """Name the folder of what is kept with a trial, as its artifacts."""
        return self.root / f"{number:04d}"

    def scratch(self, number: int) -> Path:
        """Name the folder of what nobody keeps."""
        return self.root / f"{number:04d}.scratch"

    def clear(self, number: int) -> None:
        """Delete both."""
        for folder in (self.folder(number), self.scratch(number)):
            shutil.rmtree(folder, ignore_errors=True)
