"""What wine_sweep keeps on this machine while sweeps run: journals and locks. Nothing of it is needed elsewhere."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

import platformdirs


def state_folder() -> Path:
    """Give the folder, made if missing."""
    return platformdirs.user_state_path("wine-sweep", ensure_exists=True)


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
