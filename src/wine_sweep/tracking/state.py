"""The folder on this machine for what must outlive a process: journals of trials that MLflow may not know yet."""

from __future__ import annotations

import getpass
import logging
import os
import tempfile
from pathlib import Path

import platformdirs

_logger = logging.getLogger(__name__)
_OWNER_ONLY = 0o700


def state_folder() -> Path:
    """Give the folder, made if missing: the user's state folder, or one in the temporary folder where that cannot be written."""
    preferred, last = state_folders()
    for folder in (preferred, last):
        try:
            return _made(folder)
        except OSError as error:
            _logger.warning("the folder for what must outlive this process cannot be used: %s", error)
    return preferred


def state_folders() -> tuple[Path, Path]:
    """Give where state may lie: the preferred folder, and the one to fall back to."""
    owner = os.getuid() if hasattr(os, "getuid") else getpass.getuser()
    return platformdirs.user_state_path("wine-sweep"), Path(tempfile.gettempdir()) / f"wine-sweep-{owner}"


def _made(folder: Path) -> Path:
    """Make a folder that only its owner may use, and see that it is ours and can be written."""
    folder.mkdir(mode=_OWNER_ONLY, parents=True, exist_ok=True)
    if hasattr(os, "getuid") and folder.stat().st_uid != os.getuid():
        raise PermissionError(f"{folder} belongs to somebody else")
    with tempfile.TemporaryFile(dir=folder):
        return folder
