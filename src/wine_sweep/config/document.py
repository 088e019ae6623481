"""A parsed config text: plain values, and the place of every key and value in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from wine_sweep.errors import ConfigPath, Problem, SourceLocation


@dataclass(frozen=True)
class Document:
    """What stands in a config, before anybody asks whether it makes sense.

    Args:
        value: Nested dicts, lists and scalars.
        source: The name to show for the text, usually its file.
        keys: The place of each key.
        values: The place of each value.
    """

    value: Any
    source: str
    keys: Mapping[ConfigPath, SourceLocation] = field(default_factory=dict)
    values: Mapping[ConfigPath, SourceLocation] = field(default_factory=dict)

    def place(self, path: ConfigPath, *, at_key: bool = False) -> SourceLocation:
        """Find where `path` stands; what does not stand in the text is placed at the key that should hold it."""
        if at_key and path in self.keys:
            return self.keys[path]
        if path in self.values:
            return self.values[path]
        while path:
            path = path[:-1]
            if path in self.keys:
                return self.keys[path]
        return self.values.get((), SourceLocation(self.source, 1, 1))

    def as_written(self, path: ConfigPath) -> ConfigPath:
        """Give the path that stands in the text for one that goes on where a short form ends: ``cv: 1`` for ``cv.folds``."""
        if path in self.values or path in self.keys:
            return path
        listed = tuple(part for part in path if part != "choices")
        if listed in self.values:
            return listed
        value: Any = self.value
        written: list[str | int] = []
        for part in path:
            if part == 0 and isinstance(value, dict) and 0 not in value:
                continue  # one value in place of a list of one
            if not isinstance(value, dict | list):
                break
            try:
                value = value[part]  # type: ignore[index]  # a list's position is a number, and a mapping has any key
            except (KeyError, IndexError, TypeError):
                return tuple(written) if isinstance(value, list) else (*written, *path[path.index(part) :])
            written.append(part)
        return tuple(written)

    def locate(self, problems: Iterable[Problem]) -> list[Problem]:
        """Give every problem that has none its place, and sort all by it; overrides of the command line come last."""
        written = [replace(each, path=self.as_written(each.path)) for each in problems]
        placed = [replace(each, place=each.place or self.place(each.path, at_key=each.at_key)) for each in written]
        return sorted(dict.fromkeys(placed), key=self._order)

    def _order(self, problem: Problem) -> tuple[bool, int, int]:
        place = problem.place or SourceLocation(self.source)
        return place.source != self.source, place.line, place.column
