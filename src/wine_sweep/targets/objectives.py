"""Check the sections `evaluation`, `objective`, `selection`, `search` and `registry.gate` against model and table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from wine_sweep.config import (
    Choices,
    Cost,
    Direction,
    End,
    EvaluationConfig,
    Expression,
    HistoryReducer,
    ObjectiveConfig,
    PickConfig,
    RegistryConfig,
    SelectionConfig,
    SelectRule,
)
from wine_sweep.data import Dataset
from wine_sweep.errors import ConfigPath, Problem
from wine_sweep.evaluation.metrics import Metric, default_metrics, find_metric, refusal_of_name, usual_direction
from wine_sweep.gate.comparison import refusal
from wine_sweep.messages import one_of, show
from wine_sweep.search.space import Dimension, Space, describe
from wine_sweep.selection import Goal, Objective, OneStandardError
from wine_sweep.selection.objective import SPREAD, ParameterOrder
from wine_sweep.trial import FIT_SECONDS, Task


def check_gate(registry: RegistryConfig | None, data: Dataset) -> Iterator[Problem]:
    """Find slices that the table's rows cannot be cut into.

    Args:
        registry: The section `registry`, if there is one.
        data: The table.
    """
    gate = registry.gate if registry is not None else None
    for index, name in enumerate(gate.slices if gate is not None else ()):
        if (message := refusal(data, name)) is not None:
            yield Problem(message, ("registry", "gate", "slices", index))


class Goals:
    """What is measured, and what decides.

    Attributes:
        metrics: What is measured, the objective's metrics first.
        objective: What decides; None when that cannot be said.
        problems: What is wrong with the sections.
    """

    def __init__(
        self, evaluation: EvaluationConfig, objectives: Sequence[ObjectiveConfig] | None, selection: SelectionConfig, task: Task
    ) -> None:
        self._evaluation = evaluation
        self._objectives = [each.metric for each in objectives or ()]
        self.metrics: list[Metric] = []
        self.problems: list[Problem] = []
        goals = self._find_metrics(list(objectives or ()), task)
        self.objective = self._make_objective(goals, selection)
        if self.objective is not None:
            self._check_limits(selection.constraints)
            self._check_weights(selection.pick)

    def path_of(self, metric: str) -> ConfigPath:
        """Return the config key that names a metric."""
        if metric in (self._evaluation.metrics or ()):
            return ("evaluation", "metrics", (self._evaluation.metrics or []).index(metric))
        return (
            ("objective", self._objectives.index(metric), "metric") if metric in self._objectives else ("evaluation", "metrics")
        )

    def _find_metrics(self, objectives: list[ObjectiveConfig], task: Task) -> list[Goal | None]:
        """Look up every metric that is named; give the objectives' goals, None for one that is wrong."""
        listed = self._evaluation.metrics or default_metrics(task)
        wanted: list[tuple[ConfigPath, str]] = [
            (("objective", index, "metric"), each.metric) for index, each in enumerate(objectives)
        ]
        chosen = {name for _, name in wanted}
        named = [*wanted, *((("evaluation", "metrics", at), name) for at, name in enumerate(listed) if name not in chosen)]
        found: dict[str, Metric] = {}
        for path, name in named:
            if name == FIT_SECONDS and path[0] == "objective":
                continue
            if name in found:
                self.problems.append(Problem(f"{name} is given twice", path))
                continue
            try:
                found[name] = find_metric(name, task)
            except ValueError as error:
                self.problems.append(Problem(str(error), path))
        self.metrics = list(found.values())
        if not objectives:
            first = found.get(listed[0])
            return [Goal(first.name, first.direction) if first is not None else None]
        return [self._goal(each, found.get(each.metric), index) for index, each in enumerate(objectives)]

    def _goal(self, config: ObjectiveConfig, metric: Metric | None, index: int) -> Goal | None:
        if config.metric != FIT_SECONDS and metric is None:
            return None
        direction = Direction.MINIMIZE if metric is None else metric.direction
        if config.direction not in (None, direction):
            better = "lower" if direction is Direction.MINIMIZE else "higher"
            message = f"{config.metric} is better when {better}: leave `direction` out, or say {direction.value}"
            self.problems.append(Problem(message, ("objective", index, "direction")))
        return Goal(config.metric, direction)

    def _make_objective(self, goals: Sequence[Goal | None], selection: SelectionConfig) -> Objective | None:
        known = [goal for goal in goals if goal is not None]
        if len(known) < len(goals):
            return None
        if not self.metrics:
            self.problems.append(Problem("nothing is measured but time; name a metric", ("evaluation", "metrics")))
            return None
        return Objective(
            known[0].metric,
            known[0].direction,
            self._evaluation.describe(),
            others=tuple(known[1:]),
            pick=selection.pick or PickConfig(),
            limits=tuple(selection.constraints),
        )

    def _check_limits(self, limits: Sequence[str]) -> None:
        known = [FIT_SECONDS, *(name for metric in self.metrics for name in (metric.name, f"{metric.name}{SPREAD}"))]
        for index, limit in enumerate(limits):
            for name in Expression(limit).names:
                if name not in known:
                    message = f"'{name}' is not measured; {one_of(name, known)}"
                    self.problems.append(Problem(message, ("selection", "constraints", index)))

    def _check_weights(self, pick: PickConfig | None) -> None:
        known = self.objective.metrics if self.objective else []
        for name in pick.weights if pick is not None and pick.weights else {}:
            if name not in known:
                path = ("selection", "pick", "weights", name)
                self.problems.append(Problem(f"is no objective; {one_of(name, known)}", path, at_key=True))


class UserObjective:
    """What decides among trials whose metrics are known by name alone.

    Args:
        objectives: The section `objective`, one or more.
        selection: The section `selection`.
        evaluation: What a mean is a mean over; empty where there is none.

    Attributes:
        objective: What decides; None when that cannot be said.
        of: Which value of a metric's history counts, where that is not the last.
        problems: What is wrong with the sections.
    """

    def __init__(self, objectives: Sequence[ObjectiveConfig], selection: SelectionConfig, evaluation: str) -> None:
        self.problems: list[Problem] = []
        self.objective: Objective | None = None
        self.of = {each.metric: each.of for each in objectives if each.of is not None and each.of is not HistoryReducer.LAST}
        self._spread = bool(evaluation)
        goals = [self._goal(each, index) for index, each in enumerate(objectives)]
        self._check_limits(selection.constraints)
        self._check_weights(selection.pick, [each.metric for each in objectives])
        if not self.problems:
            first, *others = goals
            self.objective = Objective(
                first.metric,
                first.direction,
                evaluation,
                others=tuple(others),
                pick=selection.pick or PickConfig(),
                limits=tuple(selection.constraints),
            )

    def _goal(self, config: ObjectiveConfig, index: int) -> Goal:
        direction = config.direction or usual_direction(config.metric)
        if direction is None:
            message = f"say which way {config.metric} is better: {{metric: {config.metric}, direction: minimize}}, or maximize"
            self.problems.append(Problem(message, ("objective", index, "metric")))
        if (refused := refusal_of_name(config.metric)) is not None:
            self.problems.append(Problem(refused, ("objective", index, "metric")))
        if config.metric == FIT_SECONDS and config.of is not None:
            self.problems.append(Problem(f"{FIT_SECONDS} has no history", ("objective", index, "of")))
        return Goal(config.metric, direction or Direction.MINIMIZE)

    def _check_limits(self, limits: Sequence[str]) -> None:
        for index, limit in enumerate(limits):
            name = next((name for name in Expression(limit).names if name.endswith(SPREAD)), None)
            if name is not None and not self._spread:
                message = f"'{name}' would be a spread over folds or seeds, and there is one value a trial"
                self.problems.append(Problem(message, ("selection", "constraints", index)))

    def _check_weights(self, pick: PickConfig | None, known: Sequence[str]) -> None:
        for name in pick.weights if pick is not None and pick.weights else {}:
            if name not in known:
                path = ("selection", "pick", "weights", name)
                self.problems.append(Problem(f"is no objective; {one_of(name, known)}", path, at_key=True))


def needed_metrics(objective: Objective) -> list[str]:
    """List the metrics that a finished trial must have: the goals', and those that limits speak of."""
    limited = [name.removesuffix(SPREAD) for limit in objective.limits for name in Expression(limit).names]
    return [name for name in dict.fromkeys([*objective.metrics, *limited]) if name != FIT_SECONDS]


_SELECT: ConfigPath = ("selection", "select")
_CHEAPEST: ConfigPath = ("selection", "cheapest")


def check_cheapest(selection: SelectionConfig, space: Space) -> list[Problem]:
    """Hold an order of parameters against the space."""
    if not isinstance(selection.cheapest, list):
        return []
    problems: list[Problem] = []
    for index, entry in enumerate(selection.cheapest):
        for name, order in entry.items():
            problems += _check_order(name, order, space, (*_CHEAPEST, index, name))
    return problems


def check_spread(selection: SelectionConfig, objective: Objective, *, values: int) -> list[Problem]:
    """Find what the rule lacks: it needs the spread over two values or more of one trial.

    Args:
        selection: The section `selection`.
        objective: What decides.
        values: How many values the objective's mean is a mean over.
    """
    if selection.select is not SelectRule.ONE_STANDARD_ERROR:
        return []
    why = f"{FIT_SECONDS} has none" if objective.metric == FIT_SECONDS else "here each trial is measured once"
    if objective.metric == FIT_SECONDS or values < 2:
        return [Problem(f"one_standard_error needs the spread of a metric over two folds or seeds, or more; {why}", _SELECT)]
    return []


def one_standard_error_of(selection: SelectionConfig, space: Space, *, values: int) -> OneStandardError | None:
    """Return the rule of a selection that is right; None where the best mean wins."""
    if selection.select is not SelectRule.ONE_STANDARD_ERROR:
        return None
    cheapest = selection.cheapest or Cost.FIT_SECONDS
    if isinstance(cheapest, Cost):
        return OneStandardError(values, cheapest)
    orders = [
        ParameterOrder(name, order if isinstance(order, End) else tuple(_typed(value, _named(name, space)) for value in order))
        for entry in cheapest
        for name, order in entry.items()
    ]
    return OneStandardError(values, tuple(orders))


def _check_order(name: str, order: End | list[Any], space: Space, path: ConfigPath) -> Iterator[Problem]:
    dimensions = _named(name, space)
    if not dimensions:
        yield Problem(f"is not searched; {one_of(name, space.names)}", path, at_key=True)
    elif isinstance(order, End):
        strange = [value for value in _choices(dimensions) if not _is_number(value)]
        if strange:
            message = f"'{order}' is for numbers, and {name} may be {_shown(strange[0])}; list its values, the cheapest first"
            yield Problem(message, path)
    else:
        for index, value in enumerate(order):
            if not any(each.contains(_typed(value, [each])) for each in dimensions):
                yield Problem(f"{name} is never {_shown(value)}{_allowed(value, dimensions)}", (*path, index))


def _allowed(value: Any, dimensions: Sequence[Dimension]) -> str:
    choices = _choices(dimensions)
    return f"; {one_of(value, map(_plain, choices))}" if choices else f"; it is {describe(dimensions[0].spec)}"


def _choices(dimensions: Sequence[Dimension]) -> list[Any]:
    return [value for each in dimensions if isinstance(each.spec, Choices) for value in each.spec.choices]


def _named(name: str, space: Space) -> list[Dimension]:
    return [each for each in space.dimensions if each.name == name]


def _typed(value: Any, dimensions: Sequence[Dimension]) -> Any:
    """Return a value the type that the space has for it."""
    if not _is_number(value):
        return value
    return next((typed for each in dimensions if each.contains(typed := each.typed(value))), value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shown(value: Any) -> str:
    return "null" if value is None else show(value)


def _plain(value: Any) -> str:
    return "null" if value is None else str(value)
