"""Several goals at once: the Pareto front, and one trial of it by a stated rule."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wine_sweep.config import PickRule
from wine_sweep.selection.objective import Objective, eligible
from wine_sweep.trial import Trial


def pareto_front(trials: Sequence[Trial], objective: Objective) -> list[Trial]:
    """List the trials that no other is better than in one goal without being worse in another, by number.

    Equal trials are all on the front; trials that cannot win are not. With one goal, the front is the best trials.
    """
    able = eligible(trials, objective.metrics)
    if not able:
        return []
    on_front = non_dominated(np.array([objective.losses(trial) for trial in able]))
    return sorted((trial for trial, keep in zip(able, on_front, strict=True) if keep), key=lambda trial: trial.number)


def non_dominated(losses: np.ndarray) -> np.ndarray:
    """Say which rows no other row dominates: is at most as large everywhere and smaller somewhere.

    Args:
        losses: Lower is better, of shape (points, goals).

    Returns:
        Booleans, of shape (points,).
    """
    keep = np.zeros(len(losses), dtype=bool)
    front = np.empty((0, losses.shape[1]))
    for index in np.lexsort(losses.T[::-1]):  # in this order no later row dominates an earlier one
        row = losses[index]
        if not (np.all(front <= row, axis=1) & np.any(front < row, axis=1)).any():
            keep[index] = True
            front = np.vstack([front, row])
    return keep


def by_pick(trials: Sequence[Trial], objective: Objective) -> list[Trial]:
    """Order the trials that can win by the rule for several goals: those on the front first, the winner at their head.

    Each goal is scaled to 0 for the best and 1 for the worst value on the front. ``knee``: the smallest sum, which is the
    point farthest below the plane through the front's ends (Das, "On characterizing the 'knee' of the Pareto curve based
    on Normal-Boundary Intersection", Structural Optimization 18, 1999). ``weights``: the smallest weighted sum, weights
    that are not given being 0. ``first``: the best in the first goal, then in the second, and so on. A tie goes to the
    earlier trial.
    """
    able = eligible(trials, objective.metrics)
    front = pareto_front(able, objective)
    if not front:
        return []
    numbers = {trial.number for trial in front}
    losses = np.array([objective.losses(trial) for trial in able])
    ends = np.array([objective.losses(trial) for trial in front])
    best, width = ends.min(axis=0), np.ptp(ends, axis=0)
    scaled = (losses - best) / np.where(width > 0, width, 1.0)
    if objective.pick.rule is PickRule.FIRST:
        keys = [tuple(row) for row in losses]
    else:
        weights = objective.pick.weights or dict.fromkeys(objective.metrics, 1.0)
        keys = [(float(value),) for value in scaled @ np.array([weights.get(metric, 0.0) for metric in objective.metrics])]
    order = sorted(range(len(able)), key=lambda index: (able[index].number not in numbers, keys[index], able[index].number))
    return [able[index] for index in order]
