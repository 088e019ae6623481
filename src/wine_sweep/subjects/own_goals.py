"""The objective of code that measures by itself: which of its metrics decides, and which way."""

from __future__ import annotations

from collections.abc import Sequence

from wine_sweep.config import Direction, Expression, HistoryReducer, ObjectiveConfig, PickConfig, SelectionConfig
from wine_sweep.errors import Problem
from wine_sweep.objective.metric_names import refusal_of_name
from wine_sweep.objective.metrics import ERRORS
from wine_sweep.selection import Goal, Objective
from wine_sweep.selection.objective import SPREAD
from wine_sweep.trial import FIT_SECONDS
from wine_sweep.wording import one_of

_BETTER_WHEN_HIGHER = frozenset(
    {"r2", "accuracy", "balanced_accuracy", "f1", "f1_macro", "f1_micro", "f1_weighted", "precision", "recall", "roc_auc"}
)


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
        direction = config.direction or _usual_direction(config.metric)
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


def _usual_direction(metric: str) -> Direction | None:
    if metric in ERRORS or metric == FIT_SECONDS:
        return Direction.MINIMIZE
    return Direction.MAXIMIZE if metric in _BETTER_WHEN_HIGHER else None


def needed_metrics(objective: Objective) -> list[str]:
    """List the metrics that a finished trial must have: the goals', and those that limits speak of."""
    limited = [name.removesuffix(SPREAD) for limit in objective.limits for name in Expression(limit).names]
    return [name for name in dict.fromkeys([*objective.metrics, *limited]) if name != FIT_SECONDS]
