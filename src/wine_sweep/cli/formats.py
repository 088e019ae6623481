"""The forms in which results can be printed."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from typing import Any

from wine_sweep.wording import visible_in_json


class Format(StrEnum):
    """How `compare` prints."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    MARKDOWN = "markdown"


def print_json(document: Any, *, indent: int | None = 2) -> None:
    """Print a JSON document to stdout; what a terminal would act on is escaped, and reads back as the same values.

    So is what stdout's encoding does not have.
    """
    text = visible_in_json(json.dumps(document, indent=indent, ensure_ascii=False))
    print(text if can_print(text) else visible_in_json(json.dumps(document, indent=indent)))


def can_print(text: str) -> bool:
    """Whether stdout's encoding has all characters of a text; a stream that has no encoding takes any."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True
