"""``--set key.path=value``: changes to a config from the command line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wine_sweep.config.document import Document, Place
from wine_sweep.config.yaml_reader import read_yaml
from wine_sweep.errors import ConfigError, Path, Problem


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
    key, equals, text = assignment.partition("=")
    path: Path = tuple(key.strip().split("."))
    if not equals or not all(path):
        raise ConfigError([Problem("expected key.path=value, as in search.trials=50", place=source)])
    new = read_yaml(text.encode() if text.strip() else b"null", source)
    value = _assign(document.value, path, new.value, source)
    keys = {
        **document.keys,
        **{path[: end + 1]: Place(source) for end in range(len(path)) if path[: end + 1] not in document.keys},
    }
    kept = {old: place for old, place in document.values.items() if old[: len(path)] != path}
    placed = {path: Place(source), **{(*path, *inner): Place(source) for inner in new.values}}
    return Document(value, document.source, {**keys, path: Place(source)}, {**kept, **placed})


def _assign(value: Any, path: Path, new: Any, source: str) -> Any:
    if not path:
        return new
    if value is None:
        value = {}
    if not isinstance(value, dict):
        raise ConfigError([Problem(f"`{path[0]}` cannot be set inside something that is no mapping of keys", place=source)])
    return {**value, path[0]: _assign(value.get(path[0]), path[1:], new, source)}
