"""The objective: one metric or several, their directions, the limits of a winner, and the one-standard-error rule."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wine_sweep.config import Cost, Direction, End, Expression, PickConfig, PickRule
from wine_sweep.trial import FIT_SECONDS, Score, Trial, canonical_json

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
        """Return a number that is lower for a cheaper trial; infinity for one without the parameter."""
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
        """Return the standard error of a mean: the sample's standard deviation by the root of the number of values.

        `Score.std` is the population's, whose divisor is `values`; the sample's is `values` - 1.
        """
        return score.std / math.sqrt(self.values - 1)

    def cost(self, trial: Trial) -> tuple[float, ...]:
        """Return what is compared, lower for a cheaper trial; infinity where the cost is not known."""
        if not isinstance(self.cheapest, Cost):
            return tuple(each.cost(trial) for each in self.cheapest)
        value = self._measured(trial)
        return (math.inf if value is None else value,)

    def amount(self, trial: Trial) -> Amount:
        """Return a trial's cost as it is recorded."""
        if isinstance(self.cheapest, Cost):
            return self._measured(trial)
        return {each.name: trial.params[each.name] for each in self.cheapest if each.name in trial.params}

    def describe(self) -> str:
        """Describe what makes a trial cheap: ``fit_seconds``, ``highest alpha, then lowest max_depth``."""
        if isinstance(self.cheapest, Cost):
            return self.cheapest.value
        return ", then ".join(each.describe() for each in self.cheapest)

    def record(self) -> dict[str, Any]:
        """Return it as plain values, for `restore`."""
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


SPREAD = "_std"
"""What follows a metric's name in the name of its spread."""

_KNEE = PickConfig()


@dataclass(frozen=True)
class Goal:
    """One metric, and which way it is better."""

    metric: str
    direction: Direction

    @property
    def minimize(self) -> bool:
        """Return whether a lower value is better."""
        return self.direction is Direction.MINIMIZE

    def loss(self, value: float) -> float:
        """Return the value such that lower is better."""
        return value if self.minimize else -value

    def better(self, value: float, than: float) -> bool:
        """Return whether a value is strictly better than another."""
        return self.loss(value) < self.loss(than)

    def __str__(self) -> str:
        return f"{self.direction.value} {self.metric}"


@dataclass(frozen=True)
class Objective(Goal):
    """What decides.

    Args:
        metric: The first goal's metric.
        direction: Which way it is better.
        evaluation: What a mean is a mean over: ``5 folds``; empty where a metric is measured once, and is no mean.
        others: The goals after the first.
        pick: How the winner is chosen among several goals.
        limits: Limits on metrics, as the config writes them.
        one_standard_error: With one objective, how the cheapest trial within one standard error of the best is chosen; None
            where the best trial wins.
    """

    evaluation: str
    others: tuple[Goal, ...] = ()
    pick: PickConfig = _KNEE
    limits: tuple[str, ...] = ()
    one_standard_error: OneStandardError | None = None

    @property
    def goals(self) -> tuple[Goal, ...]:
        """All goals, the first one first."""
        return (Goal(self.metric, self.direction), *self.others)

    @property
    def metrics(self) -> list[str]:
        """The goals' metrics."""
        return [goal.metric for goal in self.goals]

    @property
    def measure(self) -> str:
        """What is compared, in words: ``mean rmse over 5 folds``, or ``rmse``."""
        return f"mean {self.metric} over {self.evaluation}" if self.evaluation else self.metric

    @property
    def deciding(self) -> list[str]:
        """The goals' metrics, and what makes a trial cheap where that is measured."""
        cost = (
            [self.one_standard_error.cheapest.value]
            if self.one_standard_error is not None and isinstance(self.one_standard_error.cheapest, Cost)
            else []
        )
        return [*self.metrics, *cost]

    @property
    def weighs_models(self) -> bool:
        """Return whether the size of each fitted model is measured, since it decides."""
        return self.one_standard_error is not None and self.one_standard_error.cheapest is Cost.MODEL_SIZE

    @property
    def is_plain(self) -> bool:
        """Return whether metric and direction say all of it."""
        return not (self.others or self.limits or self.one_standard_error)

    def values(self, trial: Trial) -> tuple[float, ...]:
        """Return a finished trial's value for each goal."""
        return tuple(trial.score(metric).mean for metric in self.metrics)

    def losses(self, trial: Trial) -> tuple[float, ...]:
        """Return a finished trial's value for each goal such that lower is better."""
        return tuple(goal.loss(value) for goal, value in zip(self.goals, self.values(trial), strict=True))

    def amounts(self, trial: Trial) -> dict[str, float]:
        """Say for each limit by how much a finished trial breaks it: above 0 when it does."""
        values = known_values(trial)
        return {limit: _parsed(limit).violation(values) for limit in self.limits}

    def violations(self, trial: Trial) -> dict[str, float]:
        """Return the limits that a finished trial breaks, each with by how much."""
        return {limit: amount for limit, amount in self.amounts(trial).items() if amount > 0}

    def record(self) -> dict[str, Any]:
        """Return all but the evaluation as plain values, for `Objective.restore`."""
        return {
            "goals": [[goal.metric, goal.direction.value] for goal in self.goals],
            "pick": self.pick.model_dump(mode="json"),
            "limits": list(self.limits),
            "one_standard_error": self.one_standard_error.record() if self.one_standard_error is not None else None,
        }

    @classmethod
    def restore(cls, record: Mapping[str, Any], evaluation: str) -> Objective:
        """Make an objective from its record."""
        first, *others = (Goal(metric, Direction(direction)) for metric, direction in record["goals"])
        pick, one_standard_error = PickConfig.model_validate(record["pick"]), record.get("one_standard_error")
        return cls(
            first.metric,
            first.direction,
            evaluation,
            tuple(others),
            pick,
            tuple(record["limits"]),
            OneStandardError.restore(one_standard_error) if one_standard_error is not None else None,
        )

    def describe(self) -> str:
        """Describe what is wanted: ``minimize rmse``, ``minimize rmse, minimize fit_seconds (knee)``."""
        text = ", ".join(map(str, self.goals))
        return text if not self.others else f"{text} ({self.describe_pick()})"

    def describe_pick(self) -> str:
        """Name the rule for several goals: ``knee``, ``first``, ``weights rmse 2, fit_seconds 1``."""
        if self.pick.rule is not PickRule.WEIGHTS:
            return self.pick.rule.value
        weights = ", ".join(f"{metric} {weight:g}" for metric, weight in (self.pick.weights or {}).items())
        return f"weights {weights}"


@functools.cache
def _parsed(limit: str) -> Expression:
    return Expression(limit)


def known_values(trial: Trial) -> dict[str, float]:
    """Return what a limit can speak of: each metric's mean, its spread if it has one, and ``fit_seconds``."""
    means = {name: score.mean for name, score in trial.scores.items()}
    spreads = {f"{name}{SPREAD}": score.std for name, score in trial.scores.items() if score.has_spread}
    return {FIT_SECONDS: trial.fit_seconds, **means, **spreads}


def eligible(trials: Iterable[Trial], metrics: Iterable[str]) -> list[Trial]:
    """List the trials that may win: finished, within all limits, and with these metrics."""
    wanted = [metric for metric in metrics if metric != FIT_SECONDS]
    return [trial for trial in trials if trial.can_win and all(metric in trial.scores for metric in wanted)]


def number(value: float) -> str:
    """Show a metric with four significant digits."""
    return f"{value:.4g}"


def shown(score: Score) -> str:
    """Show a metric with its spread, if it has one: ``0.6502 ± 0.0175``."""
    return f"{number(score.mean)} ± {number(score.std)}" if score.has_spread else number(score.mean)
