"""Says whose results count where a sweep was taken over: those that the owner of that time wrote.

Each take-over has a number one higher than the one before; the token of the process that owns the sweep begins with it. A child
run carries the token of the process that made it, and of the one that closed it after its owner was dead. The parent run says
which results were there when it was taken over. So a result that a process writes after it has lost the sweep can be told from
one that it wrote before, by whoever reads, without a clock.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from wine_sweep.tracking import names
from wine_sweep.tracking.tags import MAX_TAG


def number_of(token: str) -> int:
    """Read the number of the take-over from an owner's token; 0 for one of a version that did not count them."""
    number, dash, _ = token.partition("-")
    return int(number) if dash and number.isascii() and number.isdigit() and len(number) < 10 else 0


@dataclass(frozen=True)
class TakenOver:
    """What was there when a sweep was taken over for the last time.

    Args:
        by: The token of the owner that took it over.
        spans: The numbers of the trials that had a result then: (first, last) of each unbroken row, both inclusive, ascending.
        rest: Any number from this one on counts too: not all spans fitted into a tag. None where they did.
    """

    by: str
    spans: Sequence[tuple[int, int]]
    rest: int | None = None

    @classmethod
    def from_results(cls, by: str, numbers: Iterable[int]) -> TakenOver:
        """Build it from the numbers of the trials that have a result."""
        spans: list[tuple[int, int]] = []
        for number in sorted(set(numbers)):
            if spans and spans[-1][1] == number - 1:
                spans[-1] = spans[-1][0], number
            else:
                spans.append((number, number))
        found = cls(by, spans)
        while len(found.text()) > MAX_TAG:
            found = cls(by, found.spans[: len(found.spans) // 2], found.spans[len(found.spans) // 2][0])
        return found

    @classmethod
    def from_tags(cls, tags: Mapping[str, str]) -> TakenOver | None:
        """Read it from a parent run's tags; None for a sweep that was never taken over, and for a tag that cannot be read."""
        try:
            document = json.loads(tags.get(names.TAKEN_OVER, ""))
            by, text = document["by"], document["results"]
            spans = [_span(each) for each in text.split(",") if each]
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None
        rest = next((first for first, last in spans if last is None), None)
        return cls(str(by), sorted((first, last) for first, last in spans if last is not None), rest)

    def text(self) -> str:
        """Write it as a tag's value."""
        parts = [f"{first}-{last}" if last > first else str(first) for first, last in self.spans]
        parts += [] if self.rest is None else [f"{self.rest}-"]
        return json.dumps({"by": self.by, "results": ",".join(parts)}, separators=(",", ":"))

    def counts(self, number: int, made_by: str | None) -> bool:
        """Whether a result counts, by its trial's number and the token of the owner that made its run.

        One of a version that wrote no tokens counts always.
        """
        if made_by is None or made_by == self.by or number_of(made_by) > number_of(self.by):
            return True
        place = bisect_right(self.spans, number, key=lambda span: span[0])
        was_there = place > 0 and self.spans[place - 1][1] >= number
        return was_there or (self.rest is not None and number >= self.rest)


def _span(text: str) -> tuple[int, int | None]:
    """Read ``7``, ``3-7`` or ``41-``, which is all from 41 on."""
    first, dash, last = text.partition("-")
    return int(first), (int(last) if last else None) if dash else int(first)
