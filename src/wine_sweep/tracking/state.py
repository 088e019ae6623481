"""The folder on this machine for what must outlive a process: journals of trials that MLflow may not know yet, and locks."""

from __future__ import annotations

import getpass
import logging
import os
import tempfile
import uuid
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


def machine_id() -> str:
    """Give the id of this machine, drawn at its first use: names of machines repeat, those of containers above all."""
    path = state_folder() / "machine"
    if not path.exists():
        drawn = path.with_name(f"machine-{uuid.uuid4().hex}")
        drawn.write_text(uuid.uuid4().hex, encoding="utf-8")
        try:
            os.link(drawn, path)  # whole or not at all, and the first of several processes wins
        except FileExistsError:
            pass
        finally:
            drawn.unlink()
    return path.read_text(encoding="utf-8")


def _made(folder: Path) -> Path:
    """Make a folder that only its owner may use, and see that it is ours and can be written."""
    folder.mkdir(mode=_OWNER_ONLY, parents=True, exist_ok=True)
    if hasattr(os, "getuid") and folder.stat().st_uid != os.getuid():
        raise PermissionError(f"{folder} belongs to somebody else")
    with tempfile.TemporaryFile(dir=folder):
        return folder
