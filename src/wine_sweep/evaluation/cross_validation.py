"""Measure an estimator by cross-validation, and keep the out-of-fold predictions of the best trial. Workers run this.

The winner is nearly always the best trial of the process that measured it. Each process keeps what its best one predicted, in a
file of its own; whoever finds none for the winner fits its models once more.
"""

from __future__ import annotations

import io
import json
import logging
import os
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, median_high
from typing import Any

import numpy as np
import pandas as pd

from wine_sweep.config import BudgetConfig, Direction
from wine_sweep.data import Fold
from wine_sweep.evaluation.capture import foreign_output_shown, merged, recorded_warnings, summary
from wine_sweep.evaluation.early_stopping import RowsAside, fit_until_best, rows_at
from wine_sweep.evaluation.estimator_params import ModelFactory
from wine_sweep.evaluation.estimators import fit, part_of
from wine_sweep.evaluation.metrics import Metric, evaluate, listen, size_of
from wine_sweep.evaluation.row_losses import Predictions, row_loss_of
from wine_sweep.execution.base import TrialIO, describe_error
from wine_sweep.trial import BEST_ITERATION, MODEL_SIZE, Failure, Params, Score, Step, Task, Trial, TrialState

_logger = logging.getLogger(__name__)

MOST_BYTES = 64_000_000
"""What the models of a trial predict may take so much memory: a million rows, or fewer with many classes."""

FORMAT = 2
"""Grows with each change of what stands in a file."""

_HEADER = "header"
_ARRAYS = ("rows", "predictions", "probabilities", "classes")
_BYTES_OF_A_CHARACTER = 4

_PREFIX = "best-of-"


class OutOfFoldPredictions:
    """What the models of one trial have predicted, one after the other; all of them or nothing.

    Args:
        wants_probabilities: Whether probabilities are wanted of models that can give them, or of those that cannot.
    """

    def __init__(self, wants_probabilities: Callable[[bool], bool]) -> None:
        self._wants_probabilities = wants_probabilities
        self._folds: list[Predictions] | None = []

    @property
    def folds(self) -> tuple[Predictions, ...] | None:
        """What each model predicted; None where the metrics did not ask one for all that is wanted."""
        return None if self._folds is None else tuple(self._folds)

    def take(self, model: Any, heard: Mapping[str, np.ndarray], rows: np.ndarray) -> None:
        """Take down what a model has answered. It is not asked itself: that would be the trial's time.

        Args:
            model: Fitted.
            heard: Its answers by method, each of shape (rows, …).
            rows: The numbers of the rows that it was asked about, of shape (rows,).
        """
        if self._folds is None:
            return
        wanted = self._wants_probabilities(hasattr(model, "predict_proba"))
        needed = ("predict", "predict_proba") if wanted else ("predict",)
        if any(name not in heard or heard[name].shape[:1] != rows.shape for name in needed):
            self._folds = None
            return
        predicted = Predictions(rows, heard["predict"])
        if wanted:
            predicted = Predictions(rows, heard["predict"], heard["predict_proba"], np.asarray(model.classes_))
        self._folds.append(predicted)
        if sum(each.nbytes for each in self._folds) > MOST_BYTES:
            self._folds = None


class FoldMemory:
    """Keeps what the best trial of this process predicted.

    Args:
        metric: Which trial is the best.
        direction: Which way that metric is better.
        task: What the models do.
    """

    def __init__(self, metric: str, direction: Direction, task: Task) -> None:
        self._metric = metric
        self._direction = direction
        self._task = task
        self._best: float | None = None

    def begin(self) -> OutOfFoldPredictions:
        """Begin to take down what the models of a trial predict."""
        return OutOfFoldPredictions(lambda can: row_loss_of(self._metric, self._task, probabilities=can).needs_probabilities)

    def offer(self, trial: Trial, recollection: OutOfFoldPredictions, bench: TrialIO) -> None:
        """Keep what a trial predicted, if it is better than those before; that it cannot be kept costs time later, no more.

        Args:
            trial: The trial.
            recollection: What the model of each fold predicted, by the numbers of the rows that may be trained on.
            bench: Where the trial was measured.
        """
        if trial.state is not TrialState.FINISHED or recollection.folds is None:
            return
        value = trial.scores[self._metric].mean
        if self._best is not None and not (value < self._best if self._direction is Direction.MINIMIZE else value > self._best):
            return
        try:
            path = bench.common / f"{_PREFIX}{os.getpid()}"
            new = path.with_name(f"new-{path.name}")
            new.write_bytes(_written(trial, recollection.folds))
            new.replace(path)
        except Exception as error:  # noqa: BLE001  # a full disk, answers that are no plain values: the trial has its result
            _logger.debug("what trial %d predicted is not kept: %s", trial.number, error)
            return
        self._best = value


def recall(folder: Path, trial: Trial) -> tuple[Predictions, ...] | None:
    """Return what a trial's models predicted for the rows that they were not fitted on; None where no process kept it.

    Args:
        folder: Where the processes' files are; only this user can write there.
        trial: The trial.
    """
    for path in folder.glob(f"{_PREFIX}*"):
        try:
            folds = _read(path, trial)
        except Exception as error:  # noqa: BLE001  # damaged, or of an older version
            _logger.debug("%s is left out: %s", path, error)
            continue
        if folds is not None:
            return folds
    return None


def _written(trial: Trial, folds: Sequence[Predictions]) -> bytes:
    """Write folds as NumPy's own format, with a header in JSON: reading that runs no code, unlike a pickle.

    Raises:
        ValueError: An array holds objects that are no texts.
    """
    arrays: dict[str, Any] = {}
    objects: list[str] = []
    for number, fold in enumerate(folds):
        for name in _ARRAYS:
            array = getattr(fold, name)
            if array is None:
                continue
            key = f"{name}_{number}"
            objects += [key] if array.dtype.hasobject else []
            arrays[key] = _texts(array) if array.dtype.hasobject else array
    header: dict[str, Any] = {"format": FORMAT, "trial": trial.number, "key": trial.key, "folds": len(folds), "objects": objects}
    written = io.BytesIO()
    np.savez(written, **{_HEADER: np.array(json.dumps(header)), **arrays})
    return written.getvalue()


def _texts(array: np.ndarray) -> np.ndarray:
    """Write an array of objects that are all texts as one of characters.

    Raises:
        ValueError: They are not, or it would not come back as it was, or takes too much memory.
    """
    values: list[Any] = list(array.flat) if array.dtype == object else [None]
    if not all(type(each) is str and not each.endswith("\0") for each in values):
        raise ValueError("it holds objects that are no texts")
    if len(values) * _BYTES_OF_A_CHARACTER * max(map(len, values), default=0) > MOST_BYTES:
        raise ValueError(f"its texts take more than {MOST_BYTES} bytes")
    return array.astype(np.str_)


def _read(path: Path, trial: Trial) -> tuple[Predictions, ...] | None:
    """Read what a file holds of a trial; None where it is another trial's.

    Raises:
        Exception: It is damaged, or of another format.
    """
    with np.load(path, allow_pickle=False) as arrays:
        header = json.loads(str(arrays[_HEADER]))
        if header["format"] != FORMAT or (header["trial"], header["key"]) != (trial.number, trial.key):
            return None
        objects = frozenset(header["objects"])

        def one(name: str, number: int) -> np.ndarray | None:
            key = f"{name}_{number}"
            if key not in arrays:
                return None
            array: np.ndarray = arrays[key]
            return array.astype(object) if key in objects else array

        return tuple(Predictions(*(one(name, number) for name in _ARRAYS)) for number in range(header["folds"]))  # type: ignore[arg-type]  # rows and predictions are always there


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
        aside: How rows to stop by are set aside; None where no model stops early.
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
    aside: RowsAside | None = None
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
        values: dict[str, list[float]] = {name: [] for name in self._measured(params, is_weighed=is_weighed)}
        grown = self.budget.parameter if self.budget is not None else None
        params = params if grown is None or budget is None else {**params, grown: int(budget)}
        spent = 0.0
        for number, fold in folds:
            rows = fold.fit
            if grown is None and budget is not None:
                rows = share_of(rows, budget, classes=self._classes(rows), seed=self.factory.seed + number)
            for repeat in range(self.seeds):
                model = self.factory.make(params, repeat=repeat)
                begin = time.perf_counter()
                found = self._fit(model, params, rows, number)
                spent += time.perf_counter() - begin
                if found is not None:
                    values[BEST_ITERATION].append(found)
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

    def _fit(self, model: Any, params: Params, rows: np.ndarray, number: int) -> int | None:
        """Fit a model on rows of fold `number`, and return its iterations where it stops early."""
        stopping = self.factory.stopping_of(params)
        # every fit gets rows of its own: an estimator with copy=False works in place
        if stopping is None or self.aside is None:
            fit(model, self.features.iloc[rows], self.target[rows], part_of(self.weights, rows))
            return None
        kept, aside = self.aside.divide(rows, stopping.share, self.factory.seed + number)
        fitted, held = (rows_at(self.features, self.target, self.weights, part) for part in (kept, aside))
        return fit_until_best(model, fitted, held, stopping.rounds)

    def _measured(self, params: Params, *, is_weighed: bool) -> list[str]:
        """Name what is measured of a model."""
        stops = self.aside is not None and self.factory.stopping_of(params) is not None
        more = [*([MODEL_SIZE] if is_weighed else []), *([BEST_ITERATION] if stops else [])]
        return [*(metric.name for metric in self.metrics), *more]

    def _classes(self, rows: np.ndarray) -> np.ndarray | None:
        """Return the classes of rows, or None where the target is a number to predict."""
        return None if self.target.dtype.kind == "f" else self.target[rows]

    def _finished(self, trial: Trial) -> Trial:
        """Sum up: over all folds, or over those at the last budget."""
        counted = trial.steps if self.budget is None else trial.steps[-1:]
        return replace(
            trial,
            state=TrialState.FINISHED,
            scores={
                name: _summed(name, [value for step in counted for value in step.values[name]])
                for name in self._measured(trial.params, is_weighed=self.weighs)
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


def _summed(name: str, values: list[float]) -> Score:
    """Sum up the values of all fits, as a mean; iterations as one of them, their median."""
    score = Score.of(values)
    return replace(score, mean=float(median_high(values))) if name == BEST_ITERATION else score


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
