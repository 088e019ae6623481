"""Test rows and folds. Splitters are scikit-learn's, so that anybody can draw the same folds without wine_sweep."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.model_selection import (
    BaseCrossValidator,
    GroupKFold,
    GroupShuffleSplit,
    KFold,
    ShuffleSplit,
    StratifiedGroupKFold,
    StratifiedKFold,
    StratifiedShuffleSplit,
    TimeSeriesSplit,
)

from wine_sweep.config import CrossValidation, DataConfig, Duplicates
from wine_sweep.data.dataset import Dataset, rows
from wine_sweep.errors import DataError, Path
from wine_sweep.task import Task

_CV: Path = ("evaluation", "cv")


@dataclass(frozen=True)
class Split:
    """Row numbers of a `Dataset`: `train` is what trials may see, `test` what they may not. Both ascend."""

    train: np.ndarray
    test: np.ndarray


@dataclass(frozen=True)
class Fold:
    """Row numbers within the training rows: fit on `fit`, measure on `measure`."""

    fit: np.ndarray
    measure: np.ndarray


def split_rows(data: Dataset, config: DataConfig, *, task: Task, in_time: bool) -> Split:
    """Set the test rows aside.

    Regression: scikit-learn's `GroupShuffleSplit` over the groups of equal rows, or `ShuffleSplit` where no two rows are
    equal. Classification: `StratifiedShuffleSplit` over the groups, so that every class has its share of test rows.
    In time: the last rows.

    Args:
        data: The whole table.
        config: Says how many rows, and the seed.
        task: Decides about stratification.
        in_time: Whether the rows are in order of time.

    Raises:
        DataError: Too few rows or groups, or a class that has only one.
    """
    count = len(data.target)
    if in_time:
        aside = max(1, round(count * config.test_size))
        return Split(np.arange(count - aside), np.arange(count - aside, count))
    if task is Task.CLASSIFICATION:
        _check_classes(data)
    try:
        train, test = _set_aside(data.target.to_numpy(), data.groups, config.test_size, config.seed, task)
    except ValueError as error:
        raise DataError(f"{config.test_size} of {count} rows cannot be set aside: {error}", path=("data", "test_size")) from error
    return Split(train, test)


def make_folds(data: Dataset, split: Split, cv: CrossValidation, *, task: Task, duplicates: Duplicates) -> list[Fold]:
    """Draw the splits on which every trial of the sweep is measured.

    k folds come from `GroupKFold` (`StratifiedGroupKFold` for classes) over the groups of equal rows, or `KFold`
    (`StratifiedKFold`) where no two rows are equal; shuffled by the seed, and by seed + i for repeat i. A hold-out is
    drawn as the test rows are, splits in time are `TimeSeriesSplit`'s.

    Raises:
        DataError: Fewer rows, groups or members of every class than folds, or splits in time of rows that are to be grouped.
    """
    target, groups = data.target.to_numpy()[split.train], data.groups[split.train]
    if cv.time_series is not None and duplicates is not Duplicates.KEEP:
        raise DataError("splits in time cannot keep equal rows together; say `duplicates: keep`", path=("data", "duplicates"))
    try:
        if cv.holdout is not None:
            return [Fold(*_set_aside(target, groups, cv.holdout, cv.seed, task))]
        if cv.folds is not None:
            _check_folds(target, groups, cv.folds, task)
        grouping = groups if _has_equal_rows(groups) else None
        pairs = [pair for splitter in _splitters(cv, task, groups) for pair in splitter.split(target, target, grouping)]
    except DataError:
        raise
    except ValueError as error:
        raise DataError(f"{len(target)} training rows cannot be split so: {error}", path=_CV) from error
    return [Fold(fit, measure) for fit, measure in pairs]


def _set_aside(target: np.ndarray, groups: np.ndarray, share: float, seed: int, task: Task) -> tuple[np.ndarray, np.ndarray]:
    """Divide row numbers into (kept, set aside) so that no group stands on both sides; both ascend."""
    if task is Task.CLASSIFICATION:
        _, first, member = np.unique(groups, return_index=True, return_inverse=True)
        stratified = StratifiedShuffleSplit(n_splits=1, test_size=share, random_state=seed)
        _, chosen = next(stratified.split(first, target[first]))
        aside = np.isin(member, chosen)
    else:
        grouping = groups if _has_equal_rows(groups) else None
        splitter = ShuffleSplit if grouping is None else GroupShuffleSplit
        _, chosen = next(splitter(n_splits=1, test_size=share, random_state=seed).split(target, target, grouping))
        aside = np.isin(np.arange(len(target)), chosen)
    return np.flatnonzero(~aside), np.flatnonzero(aside)


def _splitters(cv: CrossValidation, task: Task, groups: np.ndarray) -> list[BaseCrossValidator]:
    if cv.time_series is not None:
        return [TimeSeriesSplit(n_splits=cv.time_series)]
    grouped = _has_equal_rows(groups)
    if task is Task.CLASSIFICATION:
        k_fold = StratifiedGroupKFold if grouped else StratifiedKFold
    else:
        k_fold = GroupKFold if grouped else KFold
    return [k_fold(n_splits=cv.folds, shuffle=True, random_state=cv.seed + repeat) for repeat in range(cv.repeats)]


def _has_equal_rows(groups: np.ndarray) -> bool:
    return len(np.unique(groups)) < len(groups)


def _check_folds(target: np.ndarray, groups: np.ndarray, folds: int, task: Task) -> None:
    different = len(np.unique(groups))
    if different < folds:
        raise DataError(f"{folds} folds need {folds} different training rows at least; there are {different}", path=_CV)
    if task is Task.CLASSIFICATION:
        names, counts = np.unique(target, return_counts=True)
        if counts.max() < folds:
            raise DataError(
                f"{folds} folds need a class with {folds} training rows at least;"
                f" the largest, {names[counts.argmax()]}, has {counts.max()}",
                path=_CV,
            )


def _check_classes(data: Dataset) -> None:
    _, first = np.unique(data.groups, return_index=True)
    names, counts = np.unique(data.target.to_numpy()[first], return_counts=True)
    if (counts < 2).any():
        lonely = names[counts < 2][0]
        raise DataError(
            f"class {lonely} of column '{data.target.name}' stands only in {rows((data.target == lonely).to_numpy())};"
            " to learn it and to test it takes 2 different rows",
            path=("data", "target"),
        )
