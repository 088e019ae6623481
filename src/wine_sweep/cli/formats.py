"""The forms in which results can be printed."""

from __future__ import annotations

import json
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
    """Print a JSON document to stdout; what a terminal would act on is escaped, and reads back as the same values."""
    print(visible_in_json(json.dumps(document, indent=indent, ensure_ascii=False)))
