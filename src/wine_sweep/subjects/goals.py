"""From the sections `evaluation`, `objective` and `selection` to metrics and an objective, held against the model's task."""

from __future__ import annotations

from collections.abc import Sequence

from wine_sweep.config import Direction, EvaluationConfig, Expression, ObjectiveConfig, PickConfig, SearchConfig, SelectionConfig
from wine_sweep.errors import ConfigPath, Problem
from wine_sweep.objective.metrics import DEFAULTS, Metric, find_metric
from wine_sweep.selection import Goal, Objective
from wine_sweep.selection.objective import SPREAD
from wine_sweep.task import Task
from wine_sweep.trial import FIT_SECONDS
from wine_sweep.wording import one_of


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
        """Give the config key that names a metric."""
        if metric in (self._evaluation.metrics or ()):
            return ("evaluation", "metrics", (self._evaluation.metrics or []).index(metric))
        return (
            ("objective", self._objectives.index(metric), "metric") if metric in self._objectives else ("evaluation", "metrics")
        )

    def _find_metrics(self, objectives: list[ObjectiveConfig], task: Task) -> list[Goal | None]:
        """Look up every metric that is named; give the objectives' goals, None for one that is wrong."""
        listed = self._evaluation.metrics or DEFAULTS[task]
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


def check_stopping(search: SearchConfig, objective: Objective, *, values: int) -> list[Problem]:
    """Find what a regret bound lacks: it needs the spread over two fits or more of one trial.

    Args:
        search: The section `search`.
        objective: What decides.
        values: How many values the objective's mean is a mean over.
    """
    if search.regret is None:
        return []
    if objective.metric == FIT_SECONDS or values < 2:
        return [Problem("compares with the noise of the folds; it needs a metric and two folds or more", ("search", "regret"))]
    return []
