"""When a sweep asks for no more trials: its budget, and what its results say."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from wine_sweep.config import SearchConfig
from wine_sweep.search.space import Space
from wine_sweep.selection import Objective
from wine_sweep.trial import Trial, TrialState


class StopReason(StrEnum):
    """Why a sweep asked for no more trials."""

    TRIALS = "every trial was run"
    TIMEOUT = "the time was up"
    EXHAUSTED = "there was nothing new left to try"
    TARGET = "the target was reached"
    PATIENCE = "nothing better came for as many trials as `patience` says"
    REGRET = "little was left to be gained: less than the noise of the folds"
    FAILURES = "as many trials failed as `max_failures` allows"
    INTERRUPTED = "it was interrupted"

    @property
    def ended_early(self) -> bool:
        """Whether there may have been more to try."""
        return self is not StopReason.TRIALS


class Stopper(Protocol):
    """Says when results are reason enough to stop.

    Attributes:
        reason: What it stops for.
    """

    reason: StopReason

    def add(self, trial: Trial) -> bool:
        """Take a trial that has ended, in the order of numbers, and say whether to stop.

        Raises:
            SearchError: It cannot be told.
        """


@dataclass(frozen=True)
class Budget:
    """When to stop asking.

    Args:
        trials: The most trials to run; None for no limit.
        seconds: The time after which none is started any more; None for no limit.
        points: The number of different points of the space; None when it has no end.
    """

    trials: int | None = None
    seconds: float | None = None
    points: int | None = None

    @property
    def repeats(self) -> int:
        """How many repeated suggestions in a row mean that nothing new will come."""
        return min(max(100, 10 * (self.points or 0)), 1000)


def make_stoppers(config: SearchConfig, space: Space, objective: Objective) -> list[Stopper]:
    """Make what the keys `target`, `patience` and `regret` ask for."""
    stoppers: list[Stopper] = []
    if config.target is not None:
        stoppers.append(Target(objective, float(config.target)))
    if config.patience is not None:
        stoppers.append(Patience(objective, config.patience))
    if config.regret is not None:
        stoppers.append(Regret(config, space, objective))
    return stoppers


class Target:
    """Stops when a trial that could win reaches a value."""

    reason = StopReason.TARGET

    def __init__(self, objective: Objective, value: float) -> None:
        self._objective = objective
        self._value = value

    def add(self, trial: Trial) -> bool:
        """Take a trial; see `Stopper`."""
        return _can_win(trial) and not self._objective.better(self._value, trial.score(self._objective.metric).mean)


class Patience:
    """Stops when a number of trials in a row were no better than the best before; with several goals, than the front.

    Trials that failed, were pruned or broke a limit are no better. It begins to count at the first that could win.
    """

    reason = StopReason.PATIENCE

    def __init__(self, objective: Objective, trials: int) -> None:
        self._objective = objective
        self._trials = trials
        self._front: list[tuple[float, ...]] = []
        self._in_vain = 0

    def add(self, trial: Trial) -> bool:
        """Take a trial; see `Stopper`."""
        if _can_win(trial) and self._advances(self._objective.losses(trial)):
            self._in_vain = 0
        elif self._front:
            self._in_vain += 1
        return self._in_vain >= self._trials

    def _advances(self, losses: tuple[float, ...]) -> bool:
        """Add a point to the front unless one of it is at least as good everywhere."""
        if any(all(old <= new for old, new in zip(point, losses, strict=True)) for point in self._front):
            return False
        self._front = [point for point in self._front if any(old < new for old, new in zip(point, losses, strict=True))]
        self._front.append(losses)
        return True


class Regret:
    """Stops by Optuna's regret bound; see `wine_sweep.search.regret`. It is asked once a finished trial could win."""

    reason = StopReason.REGRET

    def __init__(self, config: SearchConfig, space: Space, objective: Objective) -> None:
        from wine_sweep.search.regret import RegretBound  # it loads Optuna and torch

        if config.regret is None:
            raise ValueError("the config does not ask for a regret bound")
        self._metric = objective.metric
        self._bound = RegretBound(config.regret, space, direction=objective.direction, seed=config.seed)

    def add(self, trial: Trial) -> bool:
        """Take a trial; see `Stopper`."""
        return _can_win(trial) and self._bound.add(trial.params, trial.scores[self._metric].folds)


def _can_win(trial: Trial) -> bool:
    return trial.state is TrialState.FINISHED and trial.is_feasible
