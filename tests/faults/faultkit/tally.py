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


class Tally:
    """Adds up, scenario by scenario."""

    def __init__(self) -> None:
        self._lines: dict[str, Line] = {}

    def add(self, scenario: str, counted: Line) -> None:
        before = self._lines.get(scenario, Line())
        self._lines[scenario] = Line(*(a + b for a, b in zip(astuple(before), astuple(counted), strict=True)))

    def table(self) -> Iterator[str]:
        """Yield the table's lines; none when nothing was counted."""
        if not self._lines:
            return
        names = [field.name for field in fields(Line)]
        width = max(map(len, [*self._lines, "what was done"]))
        yield f"{'what was done':{width}}  " + "  ".join(f"{name:>8}" for name in names)
        for scenario, line in self._lines.items():
            yield f"{scenario:{width}}  " + "  ".join(f"{count:8}" for count in astuple(line))
