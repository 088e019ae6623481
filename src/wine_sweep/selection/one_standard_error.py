"""The trials that are as good as the best within one standard error; the cheapest of them wins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from wine_sweep.config import Cost
from wine_sweep.selection.objective import Objective, number, shown
from wine_sweep.selection.thrift import OneStandardError
from wine_sweep.trial import Trial
from wine_sweep.wording import show_bytes


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
        """Give what is kept of it in ``selection.json``."""
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
        """Say why the winner wins.

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
