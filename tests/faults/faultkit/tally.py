"""The counts that the suite shows at its end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple, dataclass, fields


@dataclass
class Line:
    """What was counted in one scenario."""

    times: int = 0
    trials: int = 0
    finished: int = 0
    lost: int = 0
    twice: int = 0
    running: int = 0
    versions: int = 0
    wrong: int = 0


@dataclass
class Moves:
    """What was counted of promotions in one scenario.

    Args:
        times: How often it was done.
        old: How often the version was found in the stage that had been there before.
        new: How often another was.
        told: How many commands were told that somebody else was faster.
        twice: How many versions there are of a model that has one already.
        begun: How many entries of the ledger have begun and not ended.
        wrong: How much was not as it should be.
    """

    times: int = 0
    old: int = 0
    new: int = 0
    told: int = 0
    twice: int = 0
    begun: int = 0
    wrong: int = 0


class Tally:
    """Adds up, scenario by scenario; what is counted differently is in a table of its own."""

    def __init__(self) -> None:
        self._lines: dict[str, Line | Moves] = {}

    def add(self, scenario: str, counted: Line | Moves) -> None:
        kind = type(counted)
        before = self._lines.get(scenario, kind())
        self._lines[scenario] = kind(*(a + b for a, b in zip(astuple(before), astuple(counted), strict=True)))

    def table(self) -> Iterator[str]:
        """Yield the tables' lines; none when nothing was counted."""
        for kind in (Line, Moves):
            yield from self._table({scenario: line for scenario, line in self._lines.items() if isinstance(line, kind)}, kind)

    def _table(self, lines: dict[str, Line | Moves], kind: type[Line | Moves]) -> Iterator[str]:
        if not lines:
            return
        width = max(map(len, [*lines, "what was done"]))
        yield f"{'what was done':{width}}  " + "  ".join(f"{field.name:>8}" for field in fields(kind))
        for scenario, line in lines.items():
            yield f"{scenario:{width}}  " + "  ".join(f"{count:8}" for count in astuple(line))
