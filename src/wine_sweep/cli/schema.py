"""``wine-sweep schema``."""

from __future__ import annotations

from wine_sweep.cli.formats import print_json
from wine_sweep.config import SweepConfig


def schema_command() -> None:
    """Print the config's JSON Schema (draft 2020-12)."""
    schema = SweepConfig.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    print_json(schema)
