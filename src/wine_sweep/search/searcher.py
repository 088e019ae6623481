"""The interface of all searchers, and whether a search repeats its trials when it is run again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from wine_sweep.config import Expression, SearchConfig
from wine_sweep.trial import FIT_SECONDS, Params, TrialState


def describe_reproducibility(config: SearchConfig, *, workers: int | None, goals: Iterable[str], limits: Iterable[str]) -> str:
    """Describe what a second run of the same config has in common with the first, in one sentence.

    Args:
        config: The section `search`, its method not ``auto``.
        workers: How many trials are measured at a time; None when only the cluster knows.
        goals: The objective's metrics.
        limits: Limits on metrics.
    """
    reasons = []
    several = f"{workers} worker{'s' * (workers > 1)}" if workers is not None else "as many workers as there are at the start"
    one = workers == 1
    judged = {*goals, *(name for limit in limits for name in Expression(limit).names)}
    if config.method.learns and FIT_SECONDS in judged:
        reasons.append(f"{config.method} learns from {FIT_SECONDS}, which is never the same twice")
    if not config.method.is_seeded:
        reasons.append(f"{config.method} takes no seed")
    if config.pruner is not None and not one:
        reasons.append(f"with {several} it depends on their speed which trial is pruned")
    if not one and not (config.target is None and config.patience is None):
        reasons.append(f"with {several} a few more or fewer trials may be under way when it stops")
    until = ", as far as the timeout lets it come" if config.timeout is not None else ""
    if reasons:
        return f"not the same trials for certain: {'; '.join(reasons)}"
    if not config.method.learns:
        return f"the same trials with the same seed, whatever the number of workers{until}"
    return f"the same trials with the same seed and {several}{until}"


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
        """Return whether a trial is not worth finishing.

        Args:
            suggestion: What is being tried.
            steps: The first objective at each step so far, one or more: a fold's value, the mean at a budget, or
                what a trial reported at a step of its own.
            at: The numbers of these steps, where the trial counts them itself; empty where they count from 0.
        """

    def learn(self, params: Params, outcome: Outcome) -> None:
        """Take a finished trial of an earlier sweep; only an adaptive searcher is given any."""
