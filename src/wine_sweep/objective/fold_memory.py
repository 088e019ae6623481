"""What the best trials predicted for the rows that their models were not fitted on, so that nobody has to fit these again.

The winner is nearly always the best trial of the process that measured it. Each process keeps what its best one predicted, in a
file of its own; whoever finds none for the winner fits its models once more.
"""

from __future__ import annotations

import functools
import logging
import os
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from wine_sweep.bench import Bench
from wine_sweep.config import Direction
from wine_sweep.objective.predicted import Predicted
from wine_sweep.objective.row_losses import row_loss_of
from wine_sweep.task import Task
from wine_sweep.trial import Trial, TrialState

_logger = logging.getLogger(__name__)

MOST_BYTES = 64_000_000
"""What the models of a trial predict may take so much memory: a million rows, or fewer with many classes."""

_PREFIX = "best-of-"
_METHODS = ("predict", "predict_proba")


class Recollection:
    """What the models of one trial predict, one after the other.

    Args:
        wants_probabilities: Whether probabilities are wanted of models that can give them, or of those that cannot.
    """

    def __init__(self, wants_probabilities: Callable[[bool], bool]) -> None:
        self._wants_probabilities = wants_probabilities
        self._folds: list[Predicted] = []
        self._is_whole = True

    @property
    def folds(self) -> tuple[Predicted, ...] | None:
        """What each model predicted; None where one could not be asked."""
        return tuple(self._folds) if self._is_whole else None

    @contextmanager
    def of(self, model: Any, features: pd.DataFrame, rows: np.ndarray) -> Iterator[None]:
        """Take down what a model predicts within this context; what nobody has asked it for is asked for at the end.

        Args:
            model: Fitted.
            features: The rows that it is asked about, of shape (rows, features).
            rows: Their numbers, of shape (rows,).
        """
        if not self._is_whole:
            yield
            return
        heard: dict[str, np.ndarray] = {}
        listened = [name for name in _METHODS if hasattr(model, name) and name not in getattr(model, "__dict__", {name: None})]
        for name in listened:
            setattr(model, name, _listening(getattr(model, name), name, heard))
        try:
            yield
        finally:
            for name in listened:
                delattr(model, name)
        try:
            wanted = self._wants_probabilities("predict_proba" in listened)
            self._folds.append(Predicted.by(model, features, rows, probabilities=wanted, heard=heard))
        except Exception as error:  # noqa: BLE001  # no metric asked for it: it is not the trial's failure that it cannot be had
            self._give_up(f"{type(model).__name__} cannot tell what it predicts: {error}")
        if sum(each.nbytes for each in self._folds) > MOST_BYTES:
            self._give_up(f"what it predicts takes more than {MOST_BYTES} bytes")

    def _give_up(self, why: str) -> None:
        _logger.debug("what a trial predicts is not kept: %s", why)
        self._is_whole = False
        self._folds.clear()


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
        """Listen to the models of a trial."""
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
            new.write_bytes(pickle.dumps((trial.number, trial.key, recollection.folds)))
            new.replace(path)
        except OSError as error:
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
            number, key, folds = pickle.loads(path.read_bytes())  # noqa: S301  # written by this sweep's own workers
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            _logger.debug("%s is left out: %s", path, error)
            continue
        if (number, key) == (trial.number, trial.key):
            kept: tuple[Predicted, ...] = folds
            return kept
    return None


def _listening(method: Callable[..., Any], name: str, heard: dict[str, np.ndarray]) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(*arguments: Any, **keywords: Any) -> Any:
        answer = method(*arguments, **keywords)
        heard[name] = np.asarray(answer)
        return answer

    return call
