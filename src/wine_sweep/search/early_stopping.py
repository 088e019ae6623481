"""Stop trials early by Optuna's pruners."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

import optuna

from wine_sweep.config import Direction, PrunerType, SearchConfig
from wine_sweep.search.optuna_options import STUDY_NAME, counts_in_resources, make_pruner, quieten, resource
from wine_sweep.search.searcher import Outcome
from wine_sweep.trial import TrialState


class StepReporter:
    """Reports a trial's steps to Optuna as its pruner wants them.

    Where a step is a fold, the mean of the folds so far is reported, and to Wilcoxon's test each fold's own value; where
    the budget grows, the mean at that budget. Steps count from 0, for Hyperband and successive halving in resources. What a
    trial reports at steps of its own count goes to each pruner as it is.

    Args:
        config: The section `search`, with a pruner.
        steps: How many steps a trial has; 0 where only the trial knows.
    """

    def __init__(self, config: SearchConfig, steps: int) -> None:
        if config.pruner is None:
            raise ValueError("there is no pruner to report to")
        quieten()
        self._pruner = config.pruner
        self._budget = config.budget
        self._told: dict[int, int] = {}
        self.optuna_pruner = make_pruner(config.pruner, config.budget, steps)

    def should_prune(self, trial: optuna.trial.Trial, steps: Sequence[float], at: Sequence[int] = ()) -> bool:
        """Report the last of a trial's steps, and ask.

        Args:
            trial: Optuna's trial.
            steps: The value at each step so far.
            at: The numbers of the steps where the trial counts them itself; several may be new then.
        """
        if at:
            self._report_new(trial, steps, at)
        else:
            whole = self._budget is not None or self._pruner.type is PrunerType.WILCOXON
            trial.report(steps[-1] if whole else fmean(steps), self._number(len(steps)))
        return trial.should_prune()

    def _report_new(self, trial: optuna.trial.Trial, steps: Sequence[float], at: Sequence[int]) -> None:
        """Report each step that Optuna has not been told of: it compares trials at steps of the same number."""
        last = self._told.get(trial.number, -1)
        for value, number in zip(steps, at, strict=True):
            if number > last:
                trial.report(value, number)
        self._told[trial.number] = max(last, at[-1])

    def _number(self, steps: int) -> int:
        """Number the last of so many steps as Optuna's pruner wants it."""
        return resource(steps, self._budget) if counts_in_resources(self._pruner) else steps - 1


class PruningStudy:
    """A study that only prunes, beside a search that is not Optuna's, or that has several objectives.

    Optuna prunes studies of one objective; with several, this one sees the first.
    """

    def __init__(self, reporter: StepReporter, direction: Direction) -> None:
        self._reporter = reporter
        self._study = optuna.create_study(
            sampler=optuna.samplers.RandomSampler(seed=0),
            pruner=reporter.optuna_pruner,
            direction=direction.value,
            study_name=STUDY_NAME,
        )

    def begin(self) -> optuna.trial.Trial:
        """Begin a trial."""
        return self._study.ask()

    def should_prune(self, trial: optuna.trial.Trial, steps: Sequence[float], at: Sequence[int] = ()) -> bool:
        """Report the last of a trial's steps, and ask; see `StepReporter`."""
        return self._reporter.should_prune(trial, steps, at)

    def end(self, trial: optuna.trial.Trial, outcome: Outcome) -> None:
        """End a trial."""
        if outcome.state is TrialState.FINISHED:
            self._study.tell(trial, outcome.values[0])
        else:
            pruned = outcome.state is TrialState.PRUNED
            self._study.tell(trial, state=optuna.trial.TrialState.PRUNED if pruned else optuna.trial.TrialState.FAIL)
