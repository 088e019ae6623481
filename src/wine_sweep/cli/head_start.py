"""What is set going first, since all else takes a second to import."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from wine_sweep.config import Backend, ParsedConfig, read_config
from wine_sweep.execution import start_forkserver


def read_ahead(path: Path, overrides: Sequence[str]) -> ParsedConfig:
    """Read a config, and start the workers' server.

    Args:
        path: The YAML file.
        overrides: Changes, each ``key.path=value``.

    Raises:
        ConfigError: It cannot be read as a config at all; what else is wrong is in the draft.
    """
    draft = read_config(path, overrides)
    start_server(draft)
    return draft


def start_server(draft: ParsedConfig) -> None:
    """Start the server that workers are forked from, if there will be any: it loads its libraries while this process works on.

    Args:
        draft: What was read as a config.
    """
    if draft.config is not None and draft.config.execution.backend is Backend.PROCESSES:
        start_forkserver()
