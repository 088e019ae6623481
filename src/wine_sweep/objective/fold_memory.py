"""What the best trials predicted for the rows that their models were not fitted on, so that nobody has to fit these again.

The winner is nearly always the best trial of the process that measured it. Each process keeps what its best one predicted, in a
file of its own; whoever finds none for the winner fits its models once more.
"""

from __future__ import annotations

import io
import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wine_sweep.bench import TrialIO
from wine_sweep.config import Direction
from wine_sweep.objective.predicted import Predictions
from wine_sweep.objective.row_losses import row_loss_of
from wine_sweep.task import Task
from wine_sweep.trial import Trial, TrialState

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
    """Give what a trial's models predicted for the rows that they were not fitted on; None where no process kept it.

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
