"""Choose the winner of a sweep: by rank, by one standard error, or from the Pareto front; and say why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wine_sweep.config import Cost, PickRule
from wine_sweep.messages import show_bytes
from wine_sweep.selection.objective import Goal, Objective, OneStandardError, eligible, number, shown
from wine_sweep.trial import FIT_SECONDS, Trial, TrialState


@dataclass(frozen=True)
class Candidates:
    """The trials whose mean lies within one standard error of the best one's.

    Args:
        one_standard_error: What makes a trial cheap.
        best: The trial with the best mean.
        standard_error: That mean's.
        threshold: The worst mean that is near enough.
        trials: Those that are, the cheapest first: the winner, and the best among the others.
    """

    one_standard_error: OneStandardError
    best: Trial
    standard_error: float
    threshold: float
    trials: tuple[Trial, ...]

    @property
    def winner(self) -> Trial:
        """The cheapest."""
        return self.trials[0]

    def record(self, objective: Objective) -> dict[str, Any]:
        """Return what is kept of it in ``selection.json``."""
        return {
            **self.one_standard_error.record(),
            "best_trial": self.best.number,
            "best_mean": self.best.score(objective.metric).mean,
            "standard_error": self.standard_error,
            "threshold": self.threshold,
            "candidates": [
                {"trial": each.number, "mean": each.score(objective.metric).mean, "cost": self.one_standard_error.amount(each)}
                for each in self.trials
            ],
        }

    def reasons(self, objective: Objective, *, of: int) -> Iterator[str]:
        """Describe why the winner wins.

        Args:
            objective: What decides.
            of: How many trials could have won.
        """
        winner, best, count = self.winner, self.best, len(self.trials)
        error = f"within one standard error ({number(self.standard_error)})"
        mean, word = best.score(objective.metric), "lowest" if objective.minimize else "highest"
        if count == 1:
            yield f"Trial {best.number} has the {word} {objective.measure}: {shown(mean)}, of {of} finished trials."
            yield f"No other is {error} of it."
            return
        if winner.number == best.number:
            yield f"Trial {best.number} has the {word} {objective.measure}: {shown(mean)}, of {of} finished trials."
            yield f"It is also the cheapest of the {count} {error} of it: {self._cost(winner)}."
        else:
            yield (
                f"Trial {winner.number} is the cheapest of {count} {error} of the best, trial {best.number}"
                f" ({number(mean.mean)}): {self._cost(winner)} against {self._cost(best, short=True)}."
            )
            own = winner.score(objective.metric)
            yield f"Its {objective.measure} is {shown(own)}, {number(abs(own.mean - mean.mean))} worse than the best."
        second = self.trials[1]
        if self.one_standard_error.cost(second) == self.one_standard_error.cost(winner):
            same = second.score(objective.metric).mean == winner.score(objective.metric).mean
            yield f"Trial {second.number} costs the same; the {'lower number' if same else 'better mean'} decides."

    def _cost(self, trial: Trial, *, short: bool = False) -> str:
        """Show what a trial costs; in short without the name of what is measured."""
        amount, cheapest = self.one_standard_error.amount(trial), self.one_standard_error.cheapest
        if isinstance(amount, dict):
            values = ((name, number(value) if isinstance(value, float) else str(value)) for name, value in amount.items())
            return ", ".join(f"{name} {value}" for name, value in values) or "none of the parameters"
        if amount is None:
            return "a cost that is not known"
        value = show_bytes(amount) if cheapest is Cost.MODEL_SIZE else number(amount)
        return value if short else f"{self.one_standard_error.describe()} {value}"


def near_the_best(ranked: Sequence[Trial], objective: Objective) -> Candidates | None:
    """Find the trials within one standard error of the best, the cheapest first; None where the best alone decides.

    Of trials that cost the same the one with the better mean comes first, then the earlier.

    Args:
        ranked: The trials that can win, the best mean first.
        objective: What decides.
    """
    one_standard_error = objective.one_standard_error
    if one_standard_error is None or not ranked:
        return None
    best = ranked[0].score(objective.metric)
    error = one_standard_error.standard_error(best)
    threshold = objective.loss(best.mean) + error

    def loss(trial: Trial) -> float:
        return objective.loss(trial.score(objective.metric).mean)

    near = [trial for trial in ranked if loss(trial) <= threshold]
    near.sort(key=lambda trial: (one_standard_error.cost(trial), loss(trial), trial.number))
    return Candidates(one_standard_error, ranked[0], error, objective.loss(threshold), tuple(near))


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
    """Return which rows no other row dominates: is at most as large everywhere and smaller somewhere.

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


RUNNERS_UP = 5
RULE = "best mean of the objective; on a tie the smaller spread, then the earlier trial"
RULE_OF_ONE_VALUE = "best value of the objective; on a tie the earlier trial"
ONE_STANDARD_ERROR_RULE = (
    "the cheapest ({cheapest}) of the trials within one standard error of the best mean; on a tie the better mean, then the"
    " earlier trial"
)


@dataclass(frozen=True)
class Selection:
    """The chosen trial and the reasons for it, a sentence each.

    Args:
        trial: The winner.
        objective: What decided.
        reasons: Why.
        runners_up: The next best.
        front: With several goals, the trials on the Pareto front.
        near: Where the cheapest within one standard error of the best wins, those that are.
    """

    trial: Trial
    objective: Objective
    reasons: tuple[str, ...]
    runners_up: tuple[Trial, ...]
    front: tuple[Trial, ...] = ()
    near: Candidates | None = None

    def record(self) -> dict[str, Any]:
        """Return what is kept in MLflow as ``selection.json``."""
        objective = self.objective
        record = {
            "rule": rule(objective),
            "metric": objective.metric,
            "direction": objective.direction.value,
            "evaluation": objective.evaluation,
            "winner": _entry(self.trial, objective),
            "runners_up": [_entry(trial, objective) for trial in self.runners_up],
            "reasons": list(self.reasons),
        }
        if objective.limits:
            record["limits"] = list(objective.limits)
        if self.near is not None:
            record["one_standard_error"] = self.near.record(objective)
        if objective.others:
            record["objectives"] = [{"metric": goal.metric, "direction": goal.direction.value} for goal in objective.goals]
            record["pareto_front"] = [_entry(trial, objective) for trial in self.front]
        return record


def rule(objective: Objective) -> str:
    """Describe how the winner is chosen."""
    if objective.one_standard_error is not None:
        return ONE_STANDARD_ERROR_RULE.format(cheapest=objective.one_standard_error.describe())
    if not objective.others:
        return RULE if objective.evaluation else RULE_OF_ONE_VALUE
    return f"{objective.describe_pick()}, on the Pareto front; on a tie the earlier trial"


def rank(trials: Iterable[Trial], objective: Objective, *, by: Goal | None = None) -> list[Trial]:
    """Order the trials that can win, the best first; failed, pruned and infeasible ones are left out.

    One goal: by mean, then smaller spread, then earlier. Several: those on the Pareto front first, by the rule.

    Args:
        trials: Trials in any state.
        objective: The sweep's objective.
        by: Another metric to order by.
    """
    if by is None and objective.others:
        return by_pick(list(trials), objective)
    measure = by or objective

    def order(trial: Trial) -> tuple[float, float, int]:
        score = trial.score(measure.metric)
        return measure.loss(score.mean), score.std if score.has_spread else 0.0, trial.number

    return sorted(eligible(trials, [measure.metric]), key=order)


def select(trials: Sequence[Trial], objective: Objective) -> Selection | None:
    """Choose the best of the finished trials, or the cheapest that is near enough; None when there is none that can win."""
    ranked = rank(trials, objective)
    if not ranked:
        return None
    front = pareto_front(trials, objective) if objective.others else []
    near = near_the_best(ranked, objective)
    winner = near.winner if near is not None else ranked[0]
    why: Iterable[str]
    if near is not None:
        why = near.reasons(objective, of=len(ranked))
    else:
        why = _reasons_of_front(ranked, front, objective) if front else _reasons(ranked, objective)
    reasons = (*why, *_left_out(trials, objective))
    return Selection(winner, objective, reasons, _others(ranked, winner), tuple(front), near)


def choose(trial: Trial, trials: Sequence[Trial], objective: Objective, *, by: str) -> Selection:
    """Record that somebody chose a trial by hand, and where it stands among the others."""
    ranked = rank(trials, objective)
    place = next((f"number {index}" for index, each in enumerate(ranked, start=1) if each.number == trial.number), "none")
    score = trial.score(objective.metric)
    reasons = (
        f"Trial {trial.number} was chosen by hand ({by}).",
        f"By {objective.measure} it is {place} of {len(ranked)} that could win: {shown(score)}.",
    )
    return Selection(trial, objective, reasons, _others(ranked, trial))


def _others(ranked: Sequence[Trial], winner: Trial) -> tuple[Trial, ...]:
    """Return the next best, a few."""
    return tuple(each for each in ranked if each.number != winner.number)[:RUNNERS_UP]


def _reasons(ranked: Sequence[Trial], objective: Objective) -> Iterable[str]:
    best = ranked[0].score(objective.metric)
    word = "lowest" if objective.minimize else "highest"
    yield (f"Trial {ranked[0].number} has the {word} {objective.measure}: {shown(best)}, of {len(ranked)} finished trials.")
    if len(ranked) == 1:
        return
    second = ranked[1].score(objective.metric)
    gap = abs(second.mean - best.mean)
    if gap == 0:
        tie = "smaller spread" if second.std > best.std else "lower number"
        yield f"Trial {ranked[1].number} has the same {'mean' if best.has_spread else 'value'}; the {tie} decides."
        return
    if not best.has_spread:
        yield f"The next, trial {ranked[1].number}, is {number(gap)} worse ({shown(second)})."
        return
    within = "well within" if gap < best.std / 2 else "within" if gap < best.std else "more than"
    yield (
        f"The next, trial {ranked[1].number}, is {number(gap)} worse ({shown(second)}),"
        f" {within} the winner's spread over the folds."
    )


def _reasons_of_front(ranked: Sequence[Trial], front: Sequence[Trial], objective: Objective) -> Iterable[str]:
    winner, names = ranked[0], " and ".join(objective.metrics)
    yield (
        f"{len(front)} of {len(ranked)} finished trials are on the Pareto front of {names}:"
        " no other is better in one of them without being worse in another."
    )
    values = ", ".join(
        f"{goal.metric} {number(winner.score(goal.metric).mean)} (from {_span(front, goal)})" for goal in objective.goals
    )
    yield f"Trial {winner.number} is chosen by `{objective.describe_pick()}`: {values} on the front."


def _span(front: Sequence[Trial], goal: Goal) -> str:
    values = sorted((trial.score(goal.metric).mean for trial in front), key=goal.loss)
    return f"{number(values[0])} to {number(values[-1])}"


def _left_out(trials: Sequence[Trial], objective: Objective) -> Iterable[str]:
    """Return which trials could not win, and why."""
    pruned = sum(trial.state is TrialState.PRUNED for trial in trials)
    infeasible = sum(trial.state is TrialState.FINISHED and not trial.is_feasible for trial in trials)
    without = sum(trial.state not in (TrialState.FINISHED, TrialState.PRUNED) for trial in trials)
    if without:
        yield f"{without} of {len(trials)} trials have no result and could not win."
    if pruned:
        yield f"{pruned} of {len(trials)} trials were pruned and could not win."
    if infeasible:
        yield f"{infeasible} of {len(trials)} trials break a limit ({', '.join(objective.limits)}) and could not win."


def _entry(trial: Trial, objective: Objective) -> dict[str, Any]:
    score = trial.score(objective.metric)
    return {
        "trial": trial.number,
        "run_id": trial.run_id,
        "params": dict(trial.params),
        "mean": score.mean,
        "std": score.std if score.has_spread else None,
        "metrics": {name: each.mean for name, each in trial.scores.items()},
        **({FIT_SECONDS: trial.fit_seconds} if FIT_SECONDS in objective.metrics else {}),
    }
