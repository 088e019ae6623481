"""Whether running a search again gives the same trials, and if not, why."""

from __future__ import annotations

from collections.abc import Iterable

from wine_sweep.config import Expression, SearchConfig
from wine_sweep.trial import FIT_SECONDS


def describe_reproducibility(config: SearchConfig, *, workers: int | None, goals: Iterable[str], limits: Iterable[str]) -> str:
    """Say what a second run of the same config has in common with the first, in one sentence.

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
        reasons.append(f"{config.method.value} learns from {FIT_SECONDS}, which is never the same twice")
    if config.pruner is not None and not one:
        reasons.append(f"with {several} it depends on their speed which trial is pruned")
    if not one and not (config.target is None and config.patience is None and config.regret is None):
        reasons.append(f"with {several} a few more or fewer trials may be under way when it stops")
    until = ", as far as the timeout lets it come" if config.timeout is not None else ""
    if reasons:
        return f"not the same trials for certain: {'; '.join(reasons)}"
    if not config.method.learns:
        return f"the same trials with the same seed, whatever the number of workers{until}"
    return f"the same trials with the same seed and {several}{until}"
