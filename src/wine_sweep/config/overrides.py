"""``--set key.path=value``: changes to a config from the command line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wine_sweep.config.document import Document
from wine_sweep.config.yaml_reader import read_yaml
from wine_sweep.errors import ConfigError, ConfigPath, Problem, SourceLocation


def apply_overrides(document: Document, assignments: Sequence[str]) -> Document:
    """Return `document` with every ``key.path=value`` set; the value is read as YAML and replaces what stood there.

    Raises:
        ConfigError: An assignment has no ``=``, its value is not YAML, or its path leads through something that is no mapping.
    """
    for assignment in assignments:
        document = _apply(document, assignment)
    return document


def _apply(document: Document, assignment: str) -> Document:
    source = f"--set {assignment}"
    if any("\ud800" <= character <= "\udfff" for character in assignment):
        raise ConfigError([Problem("is not UTF-8 text", place=SourceLocation(source))])
    key, equals, text = assignment.partition("=")
    path: ConfigPath = tuple(key.strip().split("."))
    if not equals or not all(path):
        raise ConfigError([Problem("expected key.path=value, as in search.trials=50", place=SourceLocation(source))])
    new = read_yaml(text.encode(), source, may_be_empty=True)
    value = _assign(document.value, path, new.value, source)
    here = SourceLocation(source)
    outer = [path[:end] for end in range(1, len(path))]
    keys = {**document.keys, **{each: here for each in outer if each not in document.keys}, path: here}
    values = {old: place for old, place in document.values.items() if old[: len(path)] != path}
    values |= {each: here for each in outer if each not in document.values}
    values |= {(*path, *inner): here for inner in new.values}
    return Document(value, document.source, keys, values)


def _assign(value: Any, path: ConfigPath, new: Any, source: str) -> Any:
    if not path:
        return new
    if value is None:
        value = {}
    if not isinstance(value, dict):
        raise ConfigError(
            [Problem(f"`{path[0]}` cannot be set inside something that is no mapping of keys", place=SourceLocation(source))]
        )
    return {**value, path[0]: _assign(value.get(path[0]), path[1:], new, source)}
