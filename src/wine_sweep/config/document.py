"""A parsed config text: plain values, and the place of every key and value in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from wine_sweep.errors import Path, Problem


@dataclass(frozen=True)
class Place:
    """A spot in a text: `line` and `column` count from 1. A line of 0 means the source as a whole."""

    source: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.source}:{self.line}:{self.column}" if self.line else self.source


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
    keys: Mapping[Path, Place] = field(default_factory=dict)
    values: Mapping[Path, Place] = field(default_factory=dict)

    def place(self, path: Path, *, at_key: bool = False) -> Place:
        """Find where `path` stands; what does not stand in the text is placed at the key that should hold it."""
        if at_key and path in self.keys:
            return self.keys[path]
        if path in self.values:
            return self.values[path]
        while path:
            path = path[:-1]
            if path in self.keys:
                return self.keys[path]
        return self.values.get((), Place(self.source, 1, 1))

    def locate(self, problems: Iterable[Problem]) -> list[Problem]:
        """Give every problem its place, and sort them by it."""
        placed = [(self.place(problem.path, at_key=problem.at_key), problem) for problem in problems]
        placed.sort(key=lambda pair: (pair[0].source != self.source, pair[0].line, pair[0].column))
        return [replace(problem, place=str(place)) for place, problem in placed]
