"""What the best trials predicted for the rows that their models were not fitted on, so that nobody has to fit these again.

The winner is nearly always the best trial of the process that measured it. Each process keeps what its best one predicted, in a
file of its own; whoever finds none for the winner fits its models once more.
"""

from __future__ import annotations

import logging
import os
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from wine_sweep.bench import Bench
from wine_sweep.config import Direction
from wine_sweep.objective.predicted import Predicted
from wine_sweep.objective.row_losses import row_loss_of
from wine_sweep.task import Task
from wine_sweep.trial import Trial, TrialState

_logger = logging.getLogger(__name__)

MOST_BYTES = 64_000_000
"""What the models of a trial predict may take so much memory: a million rows, or fewer with many classes."""

FORMAT = 1
"""Grows with each change of what stands in a file."""

_PREFIX = "best-of-"


class Recollection:
    """What the models of one trial have predicted, one after the other; all of them or nothing.

    Args:
        wants_probabilities: Whether probabilities are wanted of models that can give them, or of those that cannot.
    """

    def __init__(self, wants_probabilities: Callable[[bool], bool]) -> None:
        self._wants_probabilities = wants_probabilities
        self._folds: list[Predicted] | None = []

    @property
    def folds(self) -> tuple[Predicted, ...] | None:
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
        predicted = Predicted(rows, heard["predict"])
        if wanted:
            predicted = Predicted(rows, heard["predict"], heard["predict_proba"], np.asarray(model.classes_))
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

    def begin(self) -> Recollection:
        """Begin to take down what the models of a trial predict."""
        return Recollection(lambda can: row_loss_of(self._metric, self._task, probabilities=can).needs_probabilities)

    def offer(self, trial: Trial, recollection: Recollection, bench: Bench) -> None:
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
            new.write_bytes(pickle.dumps((FORMAT, trial.number, trial.key, recollection.folds)))
            new.replace(path)
        except Exception as error:  # noqa: BLE001  # a full disk, an answer that cannot be pickled: the trial has its result
            _logger.debug("what trial %d predicted is not kept: %s", trial.number, error)
            return
        self._best = value


def recall(folder: Path, trial: Trial) -> tuple[Predicted, ...] | None:
    """Give what a trial's models predicted for the rows that they were not fitted on; None where no process kept it.

    Args:
        folder: Where the processes' files are; only this user can write there.
        trial: The trial.
    """
    for path in folder.glob(f"{_PREFIX}*"):
        try:
            made_as, number, key, folds = pickle.loads(path.read_bytes())  # noqa: S301  # written by this sweep's own workers
        except Exception as error:  # noqa: BLE001  # damaged, or by an older version whose classes are gone
            _logger.debug("%s is left out: %s", path, error)
            continue
        if (made_as, number, key) == (FORMAT, trial.number, trial.key):
            kept: tuple[Predicted, ...] = folds
            return kept
    return None
