"""The forms in which results can be printed."""

from __future__ import annotations

from enum import StrEnum


class Format(StrEnum):
    """How `compare` prints."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    MARKDOWN = "markdown"
