"""What a trial costs, and how sure the best mean is: what the one-standard-error rule goes by."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wine_sweep.config import Cost, End
from wine_sweep.trial import Score, Trial, canonical_json

Amount = float | dict[str, Any] | None
"""A trial's cost as it is recorded: seconds, bytes, or the parameters that decide; None where it is not known."""


@dataclass(frozen=True)
class ParameterOrder:
    """Which values of a parameter are cheap.

    Args:
        name: The parameter.
        order: The cheap end of its numbers, or its values from the cheapest to the dearest; what is not among them is dearer.
    """

    name: str
    order: End | tuple[Any, ...]

    def cost(self, trial: Trial) -> float:
        """Give a number that is lower for a cheaper trial; infinity for one without the parameter."""
        if self.name not in trial.params:
            return math.inf
        value = trial.params[self.name]
        if not isinstance(self.order, End):
            keys = [canonical_json(each) for each in self.order]
            key = canonical_json(value)
            return keys.index(key) if key in keys else len(keys)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return math.inf
        return value if self.order is End.LOWEST else -value

    def describe(self) -> str:
        """Say it: ``highest alpha``, ``kernel linear before rbf``."""
        if isinstance(self.order, End):
            return f"{self.order.value} {self.name}"
        return f"{self.name} {' before '.join(map(str, self.order))}"


@dataclass(frozen=True)
class OneStandardError:
    """The one-standard-error rule: of the trials that are as good as the best within the noise, the cheapest wins.

    Breiman, Friedman, Olshen, Stone, "Classification and Regression Trees", 1984, section 3.4.3; Hastie, Tibshirani,
    Friedman, "The Elements of Statistical Learning", 2nd edition, section 7.10.

    Args:
        values: How many values a mean is a mean over, 2 or more: folds times repeats times seeds.
        cheapest: What is measured of a trial, or parameters, the first of which decides before the second.
    """

    values: int
    cheapest: Cost | tuple[ParameterOrder, ...]

    def standard_error(self, score: Score) -> float:
        """Give the standard error of a mean: the sample's standard deviation by the root of the number of values.

        `Score.std` is the population's, whose divisor is `values`; the sample's is `values` - 1.
        """
        return score.std / math.sqrt(self.values - 1)

    def cost(self, trial: Trial) -> tuple[float, ...]:
        """Give what is compared, lower for a cheaper trial; infinity where the cost is not known."""
        if not isinstance(self.cheapest, Cost):
            return tuple(each.cost(trial) for each in self.cheapest)
        value = self._measured(trial)
        return (math.inf if value is None else value,)

    def amount(self, trial: Trial) -> Amount:
        """Give a trial's cost as it is recorded."""
        if isinstance(self.cheapest, Cost):
            return self._measured(trial)
        return {each.name: trial.params[each.name] for each in self.cheapest if each.name in trial.params}

    def describe(self) -> str:
        """Say what makes a trial cheap: ``fit_seconds``, ``highest alpha, then lowest max_depth``."""
        if isinstance(self.cheapest, Cost):
            return self.cheapest.value
        return ", then ".join(each.describe() for each in self.cheapest)

    def record(self) -> dict[str, Any]:
        """Give it as plain values, for `restore`."""
        return {"values": self.values, "cheapest": _plain(self.cheapest)}

    @classmethod
    def restore(cls, record: Mapping[str, Any]) -> OneStandardError:
        """Make it from its record."""
        cheapest = record["cheapest"]
        return cls(record["values"], Cost(cheapest) if isinstance(cheapest, str) else orders_of(cheapest))

    def _measured(self, trial: Trial) -> float | None:
        if self.cheapest is Cost.FIT_SECONDS:
            return None if math.isnan(trial.fit_seconds) else trial.fit_seconds
        return trial.scores[Cost.MODEL_SIZE].mean if Cost.MODEL_SIZE in trial.scores else None


def orders_of(entries: Sequence[Mapping[str, str | Sequence[Any]]]) -> tuple[ParameterOrder, ...]:
    """Make the orders of parameters from a list of mappings with one key each, as a config has them."""
    return tuple(
        ParameterOrder(name, End(order) if isinstance(order, str) else tuple(order))
        for entry in entries
        for name, order in entry.items()
    )


def _plain(cheapest: Cost | tuple[ParameterOrder, ...]) -> str | list[dict[str, Any]]:
    if isinstance(cheapest, Cost):
        return cheapest.value
    return [{each.name: each.order.value if isinstance(each.order, End) else list(each.order)} for each in cheapest]
