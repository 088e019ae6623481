"""Plain values as YAML that our reader reads back as equal ones."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import yaml

from wine_sweep.wording import visible, visible_in_yaml

WIDTH = 100


class Block(dict[str, Any]):
    """A mapping that is written with a key on each line."""


class _Dumper(yaml.SafeDumper):
    """Quotes every text that YAML 1.2 or 1.1 would read as something else, and writes no aliases."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  # the signature of PyYAML
        return True


def _represent_text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    is_word = value.replace("_", "a").replace(".", "a").replace("-", "a").isalnum() and value[:1] not in "-.0123456789"
    style = None if is_word and visible(value) == value else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _represent_text)
_Dumper.add_multi_representer(StrEnum, lambda dumper, value: _represent_text(dumper, value.value))
_Dumper.add_representer(
    Block, lambda dumper, value: dumper.represent_mapping("tag:yaml.org,2002:map", value.items(), flow_style=False)
)


def dump_yaml(tree: Mapping[str, Any], *, flow: bool | None = None) -> str:
    """Write plain values as YAML that is read back as the same values, keys in the order that they have.

    Args:
        tree: Mappings, lists, scalars, `Block` where a mapping is to have a line for each key.
        flow: Whether what is no `Block` stands in braces and brackets; by default what holds only scalars does.
    """
    plain = tree if isinstance(tree, dict) else dict(tree)
    text: str = yaml.dump(plain, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=flow, width=WIDTH)
    return visible_in_yaml(text)  # what it escapes stands in quotes
