"""What ``--trust`` allows."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path


def let_import_from(folder: Path, trusted: Sequence[str]) -> None:
    """Let modules beside a config be imported, but only when the user trusts some; workers look where this process does."""
    if trusted and str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
