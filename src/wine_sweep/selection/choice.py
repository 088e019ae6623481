"""The winner of a sweep, and the reasons for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from wine_sweep.selection.objective import Goal, Objective, eligible, number, shown
from wine_sweep.selection.one_standard_error import Candidates, near_the_best
from wine_sweep.selection.pareto import by_pick, pareto_front
from wine_sweep.trial import FIT_SECONDS, Trial, TrialState

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
        """Give what is kept in MLflow as ``selection.json``."""
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
    """Say how the winner is chosen."""
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
    """Give the next best, a few."""
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
    """Say which trials could not win, and why."""
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
