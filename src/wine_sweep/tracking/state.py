"""The folder on this machine for what must outlive a process: journals of trials that MLflow may not know yet, and locks."""

from __future__ import annotations

import getpass
import logging
import os
import tempfile
import uuid
from contextlib import suppress
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
    """Give the id of this machine, drawn at its first use: names of machines repeat, those of containers above all.

    Where it cannot be kept, it is this process's alone.
    """
    path = state_folder() / "machine"
    try:
        if not path.exists():
            _draw_machine_id(path)
        return path.read_text(encoding="utf-8")
    except OSError as error:
        _logger.warning("the id of this machine cannot be kept: %s", error)
        return uuid.uuid4().hex


def _draw_machine_id(path: Path) -> None:
    drawn = path.with_name(f"machine-{uuid.uuid4().hex}")
    try:
        drawn.write_text(uuid.uuid4().hex, encoding="utf-8")
        with suppress(FileExistsError):
            os.link(drawn, path)  # whole or not at all, and the first of several processes wins
    finally:
        drawn.unlink(missing_ok=True)


def _made(folder: Path) -> Path:
    """Make a folder that only its owner may use, and see that it is ours and can be written."""
    folder.mkdir(mode=_OWNER_ONLY, parents=True, exist_ok=True)
    if hasattr(os, "getuid") and folder.stat().st_uid != os.getuid():
        raise PermissionError(f"{folder} belongs to somebody else")
    with tempfile.TemporaryFile(dir=folder):
        return folder
