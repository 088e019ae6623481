"""How one trial is measured: an estimator by cross-validation. This is what workers run."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import numpy as np
import pandas as pd

from wine_sweep.bench import TrialIO
from wine_sweep.config import BudgetConfig
from wine_sweep.data import Fold
from wine_sweep.foreign_output import foreign_output_shown
from wine_sweep.objective.answers import listen
from wine_sweep.objective.factory import ModelFactory
from wine_sweep.objective.fold_memory import FoldMemory, OutOfFoldPredictions
from wine_sweep.objective.metrics import Metric, evaluate
from wine_sweep.objective.mishaps import describe_error, merged, recorded_warnings, summary
from wine_sweep.objective.size import size_of
from wine_sweep.objective.weights import fit, part_of
from wine_sweep.trial import MODEL_SIZE, Failure, Params, Score, Step, Trial, TrialState


@dataclass(frozen=True)
class CrossValidationTask:
    """Measures trials on the same folds; called with a trial, it gives the trial back with its result.

    Args:
        factory: Makes the estimators.
        features: The training rows, of shape (rows, features).
        target: Their truth, of shape (rows,).
        folds: Row numbers to fit on and to measure on.
        metrics: What is measured.
        weights: How much each training row counts, of shape (rows,); None when all count the same.
        seeds: How often each fit is repeated with another seed.
        budget: What grows from step to step; without it a step is a fold.
        stepwise: Whether to measure one step and give the trial back RUNNING, for somebody to look at it.
        weighs: Whether the size of each model at the full budget is measured too.
        memory: Keeps what the best trial predicted; used where a trial's folds are measured one after the other, in full.
        clock: Tells the time in seconds since the epoch.
    """

    factory: ModelFactory
    features: pd.DataFrame
    target: np.ndarray
    folds: Sequence[Fold]
    metrics: Sequence[Metric]
    weights: np.ndarray | None = None
    seeds: int = 1
    budget: BudgetConfig | None = None
    stepwise: bool = False
    weighs: bool = False
    memory: FoldMemory | None = None
    clock: Callable[[], float] = time.time

    @property
    def steps(self) -> int:
        """How many steps a trial has."""
        return len(self.folds) if self.budget is None else len(self.budget.steps())

    def __call__(self, trial: Trial, bench: TrialIO | None = None) -> Trial:
        """Measure a trial, or its next step. Whatever its estimator raises becomes the trial's `failure`; nothing is raised."""
        started = trial.started if trial.steps else self.clock()
        steps, caught, failure = list(trial.steps), list[warnings.WarningMessage](), None
        memory = self.memory if self.budget is None and not self.stepwise and bench is not None else None
        recollection = memory.begin() if memory is not None else None
        try:
            with foreign_output_shown(), recorded_warnings() as caught:
                while failure is None and len(steps) < self.steps and (not self.stepwise or len(steps) == len(trial.steps)):
                    steps.append(self._measure(trial.params, len(steps), recollection))
                    failure = self._not_finite(steps)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001  # whatever a user's estimator raises, sys.exit too, is this trial's result, not the sweep's end
            failure = describe_error(error)
        after = replace(
            trial,
            steps=tuple(steps),
            started=started,
            ended=self.clock(),
            warnings=merged(trial.warnings, summary(caught)),
        )
        if failure is not None:
            return replace(after, state=TrialState.FAILED, steps=(), failure=failure)
        if len(steps) < self.steps:
            return after
        finished = self._finished(after)
        if memory is not None and bench is not None and recollection is not None:
            memory.offer(finished, recollection, bench)
        return finished

    def _measure(self, params: Params, number: int, recollection: OutOfFoldPredictions | None) -> Step:
        """Measure step `number`: one fold, or all folds at one budget; each with every seed."""
        if self.budget is None:
            return self._fit_and_score(params, [(number, self.folds[number])], None, recollection)
        return self._fit_and_score(params, list(enumerate(self.folds)), self.budget.steps()[number], recollection)

    def _fit_and_score(
        self,
        params: Params,
        folds: Sequence[tuple[int, Fold]],
        budget: int | float | None,
        recollection: OutOfFoldPredictions | None,
    ) -> Step:
        is_weighed = self.weighs and (self.budget is None or budget == self.budget.steps()[-1])
        values: dict[str, list[float]] = {name: [] for name in self._measured(is_weighed=is_weighed)}
        grown = self.budget.parameter if self.budget is not None else None
        params = params if grown is None or budget is None else {**params, grown: int(budget)}
        spent = 0.0
        for number, fold in folds:
            rows = fold.fit
            if grown is None and budget is not None:
                rows = share_of(rows, budget, classes=self._classes(rows), seed=self.factory.seed + number)
            for repeat in range(self.seeds):
                # every fit gets rows of its own: an estimator with copy=False works in place
                features, target = self.features.iloc[rows], self.target[rows]
                model = self.factory.make(params, repeat=repeat)
                begin = time.perf_counter()
                fit(model, features, target, part_of(self.weights, rows))
                spent += time.perf_counter() - begin
                held_out = self.features.iloc[fold.measure]
                truth, weights = self.target[fold.measure], part_of(self.weights, fold.measure)
                asked = listen(model)
                measured = evaluate(asked, self.metrics, held_out, truth, weights)
                if recollection is not None and repeat == 0:
                    recollection.take(model, asked.heard, fold.measure)
                for name, value in measured.items():
                    values[name].append(value)
                if is_weighed:
                    values[MODEL_SIZE].append(size_of(model))
        return Step({name: tuple(each) for name, each in values.items()}, spent / (len(folds) * self.seeds), budget)

    def _measured(self, *, is_weighed: bool) -> list[str]:
        """Name what is measured of a model."""
        return [*(metric.name for metric in self.metrics), *([MODEL_SIZE] if is_weighed else [])]

    def _classes(self, rows: np.ndarray) -> np.ndarray | None:
        """Give the classes of rows, or None where the target is a number to predict."""
        return None if self.target.dtype.kind == "f" else self.target[rows]

    def _finished(self, trial: Trial) -> Trial:
        """Sum up: over all folds, or over those at the last budget."""
        counted = trial.steps if self.budget is None else trial.steps[-1:]
        return replace(
            trial,
            state=TrialState.FINISHED,
            scores={
                name: Score.of([value for step in counted for value in step.values[name]])
                for name in self._measured(is_weighed=self.weighs)
            },
            fit_seconds=fmean(step.fit_seconds for step in counted),
            steps=() if self.budget is None else trial.steps,
        )

    def _not_finite(self, steps: Sequence[Step]) -> Failure | None:
        """Look at the last step for a value that no mean can be taken of."""
        for name, values in steps[-1].values.items():
            for index, value in enumerate(values):
                if not np.isfinite(value):
                    fold = len(steps) - 1 if self.budget is None else index // self.seeds
                    return Failure("NonFiniteMetric", f"{name} is {value} in fold {fold}")
        return None


def share_of(rows: np.ndarray, share: float, *, classes: np.ndarray | None, seed: int) -> np.ndarray:
    """Take a share of rows at random, larger shares with the same seed including smaller ones; of each class its share.

    Args:
        rows: Row numbers.
        share: Above 0, at most 1.
        classes: The rows' classes, of the same length; at least one row of each is taken. None for none.
        seed: Decides which rows.

    Returns:
        Row numbers in the order of `rows`, at least one.
    """
    order = np.random.default_rng(seed).permutation(len(rows))
    labels = np.zeros(len(rows), dtype=int) if classes is None else np.unique(classes, return_inverse=True)[1]
    place = np.empty(len(rows))
    for label in np.unique(labels):
        members = order[labels[order] == label]
        place[members] = np.arange(len(members)) / len(members)
    return rows[place < share]
