"""Which trial is best, and why. Pure functions over finished trials."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from wine_sweep.config import Direction
from wine_sweep.trial import Trial, TrialState

RULE = "best mean of the objective; on a tie the smaller spread, then the earlier trial"


@dataclass(frozen=True)
class Objective:
    """The metric that decides, which way it is better, and what its mean is a mean over (``5 folds``)."""

    metric: str
    direction: Direction
    evaluation: str

    @property
    def minimize(self) -> bool:
        """Whether a lower value is better."""
        return self.direction is Direction.MINIMIZE

    def loss(self, value: float) -> float:
        """Give the value such that lower is better."""
        return value if self.minimize else -value

    def better(self, value: float, than: float) -> bool:
        """Whether a value is strictly better than another."""
        return self.loss(value) < self.loss(than)


@dataclass(frozen=True)
class Selection:
    """The chosen trial and the reasons for it, a sentence each."""

    trial: Trial
    objective: Objective
    reasons: tuple[str, ...]
    runners_up: tuple[Trial, ...]

    def record(self) -> dict[str, Any]:
        """Give what is kept in MLflow as ``selection.json``."""
        metric = self.objective.metric
        return {
            "rule": RULE,
            "metric": metric,
            "direction": self.objective.direction.value,
            "evaluation": self.objective.evaluation,
            "winner": _entry(self.trial, metric),
            "runners_up": [_entry(trial, metric) for trial in self.runners_up],
            "reasons": list(self.reasons),
        }


def rank(trials: Iterable[Trial], objective: Objective, *, by: Objective | None = None) -> list[Trial]:
    """Order finished trials, the best first: by mean, then smaller spread, then earlier; others are left out.

    Args:
        trials: Trials in any state.
        objective: The sweep's objective.
        by: Another metric to order by.
    """
    measure = by or objective
    finished = [trial for trial in trials if trial.state is TrialState.FINISHED and measure.metric in trial.scores]

    def order(trial: Trial) -> tuple[float, float, int]:
        score = trial.scores[measure.metric]
        return measure.loss(score.mean), score.std, trial.number

    return sorted(finished, key=order)


def select(trials: Sequence[Trial], objective: Objective) -> Selection | None:
    """Choose the best of the finished trials; None when there is none."""
    ranked = rank(trials, objective)
    if not ranked:
        return None
    return Selection(ranked[0], objective, tuple(_reasons(ranked, len(trials), objective)), tuple(ranked[1:6]))


def choose(trial: Trial, trials: Sequence[Trial], objective: Objective, *, by: str) -> Selection:
    """Record that somebody chose a trial by hand, and where it stands among the others."""
    ranked = rank(trials, objective)
    place = next(index for index, each in enumerate(ranked, start=1) if each.number == trial.number)
    score = trial.scores[objective.metric]
    reasons = (
        f"Trial {trial.number} was chosen by hand ({by}).",
        f"By mean {objective.metric} over {objective.evaluation} it is number {place} of {len(ranked)}:"
        f" {number(score.mean)} ± {number(score.std)}.",
    )
    return Selection(trial, objective, reasons, tuple(each for each in ranked if each.number != trial.number)[:5])


def _reasons(ranked: Sequence[Trial], tried: int, objective: Objective) -> Iterable[str]:
    best = ranked[0].scores[objective.metric]
    word = "lowest" if objective.minimize else "highest"
    yield (
        f"Trial {ranked[0].number} has the {word} mean {objective.metric} over {objective.evaluation}:"
        f" {number(best.mean)} ± {number(best.std)}, of {len(ranked)} finished trials."
    )
    if len(ranked) < tried:
        yield f"{tried - len(ranked)} of {tried} trials have no result and could not win."
    if len(ranked) == 1:
        return
    second = ranked[1].scores[objective.metric]
    gap = abs(second.mean - best.mean)
    if gap == 0:
        tie = "smaller spread" if second.std > best.std else "lower number"
        yield f"Trial {ranked[1].number} has the same mean; the {tie} decides."
        return
    within = "well within" if gap < best.std / 2 else "within" if gap < best.std else "more than"
    yield (
        f"The next, trial {ranked[1].number}, is {number(gap)} worse ({number(second.mean)} ± {number(second.std)}),"
        f" {within} the winner's spread over the folds."
    )


def number(value: float) -> str:
    """Show a metric with four significant digits."""
    return f"{value:.4g}"


def _entry(trial: Trial, metric: str) -> dict[str, Any]:
    score = trial.scores[metric]
    return {
        "trial": trial.number,
        "run_id": trial.run_id,
        "params": dict(trial.params),
        "mean": score.mean,
        "std": score.std,
        "metrics": {name: each.mean for name, each in trial.scores.items()},
    }
