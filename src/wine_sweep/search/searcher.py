"""The interface between the loop and whatever decides what to try next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from wine_sweep.trial import Params


@dataclass(frozen=True)
class Suggestion:
    """Parameters to try; `handle` is the searcher's own and goes back to it with the result."""

    params: Params
    handle: Any = None


class Searcher(Protocol):
    """Decides what to try next.

    Every suggestion that `ask` gives is told once, unless the sweep is interrupted. What `ask` gives depends only on
    the seed and the order of the calls, never on the clock.

    Attributes:
        adaptive: Whether results change what comes next. If so, the loop tells them in the order of asking.
    """

    adaptive: bool

    def ask(self) -> Suggestion | None:
        """Suggest parameters, or None when there is nothing left to suggest."""

    def tell(self, suggestion: Suggestion, value: float | None) -> None:
        """Take the objective's value for a suggestion, or None when the trial failed."""
