"""The interface between the loop and whatever decides what to try next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from wine_sweep.trial import Params, TrialState


@dataclass(frozen=True)
class Suggestion:
    """Parameters to try; `handle` is the searcher's own and goes back to it with the result."""

    params: Params
    handle: Any = None


@dataclass(frozen=True)
class Outcome:
    """What a searcher learns of a trial.

    Args:
        state: What has become of it.
        values: The objectives, in the config's order; empty unless finished.
        violations: By how much each limit on metrics is broken, above 0 when it is; empty unless finished.
    """

    state: TrialState
    values: Sequence[float] = ()
    violations: Mapping[str, float] = field(default_factory=dict)


class Searcher(Protocol):
    """Decides what to try next.

    Every suggestion that `ask` gives is told once, unless the sweep is interrupted. What `ask` gives depends only on
    the seed and the order of the calls, never on the clock.

    Attributes:
        adaptive: Whether results change what comes next. If so, the loop tells them in the order of asking.
    """

    adaptive: bool

    def ask(self) -> Suggestion | None:
        """Suggest parameters, or None when there is nothing left to suggest.

        Raises:
            SearchError: The sampler failed, or found nothing that keeps the constraints.
        """

    def tell(self, suggestion: Suggestion, outcome: Outcome) -> None:
        """Take what came of a suggestion."""

    def prune(self, suggestion: Suggestion, steps: Sequence[float], at: Sequence[int] = ()) -> bool:
        """Say whether a trial is not worth finishing.

        Args:
            suggestion: What is being tried.
            steps: The first objective at each step so far, one or more: a fold's value, the mean at a budget, or
                what a trial reported at a step of its own.
            at: The numbers of these steps, where the trial counts them itself; empty where they count from 0.
        """

    def learn(self, params: Params, outcome: Outcome) -> None:
        """Take a finished trial of an earlier sweep; only an adaptive searcher is given any."""
