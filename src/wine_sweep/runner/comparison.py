"""What a trial measured, held against what it measured before, value by value."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wine_sweep.tracking import names
from wine_sweep.trial import Trial

RELATIVE = 1e-9
ABSOLUTE = 1e-12
"""What counts as equal: this share of the larger value, or, near zero, this much."""

Key = tuple[str, int | None]
"""A metric as MLflow names it, and the step of its history; None where it is one value."""

Values = Mapping[Key, float]


@dataclass(frozen=True)
class ValueComparison:
    """One value, then and now.

    Args:
        metric: The metric, as MLflow names it.
        step: The step of its history, which is the fold; None where it is one value.
        recorded: What stands in MLflow; None where there is nothing.
        again: What was measured now; None where nothing was.
    """

    metric: str
    step: int | None
    recorded: float | None
    again: float | None

    @property
    def difference(self) -> float | None:
        """By how much they differ; None where one of them is missing."""
        return None if self.recorded is None or self.again is None else self.again - self.recorded

    @property
    def agrees(self) -> bool:
        """Whether they are equal, but for what rounding does."""
        if self.recorded is None or self.again is None:
            return False
        if math.isnan(self.recorded) or math.isnan(self.again):
            return math.isnan(self.recorded) and math.isnan(self.again)
        return math.isclose(self.recorded, self.again, rel_tol=RELATIVE, abs_tol=ABSOLUTE)

    @property
    def name(self) -> str:
        """The metric, with the fold where there is one: ``fold_rmse[3]``."""
        return self.metric if self.step is None else f"{self.metric}[{self.step}]"

    def record(self) -> dict[str, Any]:
        """Give it as JSON has it."""
        return {
            "metric": self.metric,
            "fold": self.step,
            "recorded": self.recorded,
            "again": self.again,
            "difference": self.difference,
            "agrees": self.agrees,
        }


def compare(recorded: Values, again: Values) -> list[ValueComparison]:
    """Hold every value that is there, then or now, against its counterpart; the steps of a metric stand together."""
    steps: dict[str, set[int | None]] = {}
    for metric, step in (*recorded, *again):
        steps.setdefault(metric, set()).add(step)
    keys = [
        (metric, step) for metric, found in steps.items() for step in sorted(found, key=lambda step: (step is not None, step))
    ]
    return [ValueComparison(*key, recorded.get(key), again.get(key)) for key in keys]


def values_of(trial: Trial) -> dict[Key, float]:
    """List what a trial measured: means, spreads, and the values of the folds; the time of a fit is no result."""
    found: dict[Key, float] = {}
    for name, score in trial.scores.items():
        found[name, None] = score.mean
        if score.has_spread:
            found[names.spread_metric(name), None] = score.std
        found |= {(names.fold_metric(name), fold): value for fold, value in enumerate(score.folds)}
    return found
