"""Test rows, folds, and the training data of a sweep. Splitters are scikit-learn's, so that anybody can draw the same folds."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import (
    BaseCrossValidator,
    GroupKFold,
    GroupShuffleSplit,
    KFold,
    LeaveOneGroupOut,
    LeaveOneOut,
    PredefinedSplit,
    ShuffleSplit,
    StratifiedGroupKFold,
    StratifiedKFold,
    StratifiedShuffleSplit,
    TimeSeriesSplit,
)

from wine_sweep.config import CrossValidation, DataConfig, Duplicates, Reading, known
from wine_sweep.data.dataset import GROUPS, SOURCE, TARGET, WEIGHTS, Dataset, OtherTable, short_name
from wine_sweep.data.frames import to_pandas
from wine_sweep.data.given import FOLDS, NO_FOLD, TEST, TIME, check_test_table, number_times, stack
from wine_sweep.data.table import TARGET as USUAL_TARGET
from wine_sweep.data.table import load_table, of_types, resolve_source, resolved_tables, rows, unused_keys
from wine_sweep.errors import ConfigPath, DataError
from wine_sweep.trial import Task

_CV: ConfigPath = ("evaluation", "cv")
NEW: ConfigPath = ("data", "new")
SHOWN = 5
DRAWS = 100
"""How many divisions of mixed groups are drawn, to take the one that divides the classes best."""


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

    Regression: scikit-learn's `GroupShuffleSplit` over the groups, or `ShuffleSplit` where each row is a group of its own.
    Classification: `StratifiedShuffleSplit` over the groups, so that every class has its share of test rows; where some
    group holds rows of several classes, of `DRAWS` draws of one `GroupShuffleSplit` the one that divides the classes best:
    every class keeps rows to learn from, as many as can be have rows to test, and of the class that is divided worst the
    part set aside is nearest to `test_size`. In time: the last rows, cut where another time begins. The share set aside is
    one of groups, and of rows as far as groups are of one size. With `data.new` it is a share of the new rows, drawn from
    groups that hold no other; of classes too, where each has two groups there at least. Where `data.test` names the test
    rows, it is these.

    Args:
        data: The whole table.
        config: Says how many rows, and the seed.
        task: Decides about stratification.
        in_time: Whether the rows are in order of time.

    Raises:
        DataError: Too few rows or groups, a class that has only one, or no test row has a weight.
    """
    count = len(data.target)
    if data.is_test is not None:
        return _checked(data, Split(np.flatnonzero(~data.is_test), np.flatnonzero(data.is_test)))
    _check_groups(data)
    if in_time:
        first = _first_test_row(data, config.test_size)
        return _checked(data, Split(np.arange(first), np.arange(first, count)))
    choosable = _choosable(data)
    target, groups = data.target.to_numpy()[choosable], data.groups[choosable]
    stratified = task is Task.CLASSIFICATION
    if stratified and data.is_new is None:
        _check_classes(data)
    elif stratified:
        stratified = _fewest_groups(target, groups) > 1
    try:
        _, aside = set_aside(target, groups, config.test_size, config.seed, stratified=stratified)
    except ValueError as error:
        which = "rows" if data.is_new is None else "new rows that equal no other"
        message = f"{config.test_size} of {len(choosable)} {which} cannot be set aside: {error}"
        raise DataError(message, path=("data", "test_size")) from error
    test = choosable[aside]
    return _checked(data, Split(np.setdiff1d(np.arange(count), test), test))


def _first_test_row(data: Dataset, share: float) -> int:
    """Find the row from which on all are test rows: the beginning of a time, so that as near to a share of the rows are.

    The share is one of the new rows, where there are some.

    Raises:
        DataError: The rows cannot be cut: there is one time, or they are to be grouped.
    """
    _refuse_groups_in_time(data)
    count = len(data.target)
    choosable = np.arange(count) if data.is_new is None else np.flatnonzero(data.is_new)
    wanted = choosable[-max(1, round(len(choosable) * share))]
    begins = np.flatnonzero(np.diff(number_times(data.time, count))) + 1
    if not len(begins):
        only = "1 row" if data.time is None else f"column '{data.time.name}' is {data.time.iloc[0]} in every row"
        raise DataError(f"{only}: there is nothing before the test rows", path=SOURCE if data.time is None else TIME)
    return int(begins[np.abs(begins - wanted).argmin()])


def _refuse_groups_in_time(data: Dataset) -> None:
    if data.group_column is not None:
        raise DataError("splits in time cannot keep groups together; leave one of the two out", path=GROUPS)


def _choosable(data: Dataset) -> np.ndarray:
    """List the rows that test rows are drawn from: all of them, or the new ones whose groups hold no other.

    Raises:
        DataError: There are none.
    """
    if data.is_new is None:
        return np.arange(len(data.target))
    old = np.unique(data.groups[~data.is_new])
    found = np.flatnonzero(data.is_new & ~np.isin(data.groups, old))
    if not len(found):
        raise DataError(f"each of the {data.is_new.sum()} new rows is among the others already: there is nothing new", path=NEW)
    return found


def _fewest_groups(target: np.ndarray, groups: np.ndarray) -> int:
    """Count the groups of each class, and give the lowest count."""
    pairs = np.unique(np.column_stack([np.unique(target, return_inverse=True)[1], groups]), axis=0)
    return int(np.bincount(pairs[:, 0]).min())


def make_folds(data: Dataset, split: Split, cv: CrossValidation, *, task: Task, duplicates: Duplicates) -> list[Fold]:
    """Draw the splits on which every trial of the sweep is measured.

    k folds come from `GroupKFold` (`StratifiedGroupKFold` for classes) over the groups, or `KFold` (`StratifiedKFold`)
    where each row is a group of its own; shuffled by the seed, and by seed + i for repeat i, or not at all. A hold-out is
    drawn as the test rows are, splits in time are `TimeSeriesSplit`'s, the table's own folds `PredefinedSplit`'s, and one row
    or one group at a time is left out as by `LeaveOneOut` and `LeaveOneGroupOut`. With ``stratified: false`` classes are split
    as numbers are.

    Raises:
        DataError: Fewer rows, groups or members of every class than folds; splits in time of rows that are to be grouped;
            or a fold in which no row to fit or to measure on has a weight.
    """
    stratified = task is Task.CLASSIFICATION and cv.stratified is not False
    if cv.time_series is not None:
        _refuse_groups_in_time(data)
        if data.time is None and duplicates is not Duplicates.KEEP:
            message = "splits in time cannot keep equal rows together; say `duplicates: keep`"
            raise DataError(f"{message}, or name the column of times by `time`", path=("data", "duplicates"))
    try:
        folds = [Fold(fit, measure) for fit, measure in _drawn_folds(data, split, cv, stratified=stratified)]
    except DataError:
        raise
    except ValueError as error:
        raise DataError(f"{_described(data, split, cv)} cannot be split so: {error}", path=_CV) from error
    _check_fold_weights(data, split, folds)
    return folds


def _described(data: Dataset, split: Split, cv: CrossValidation) -> str:
    """Describe what is to be split: ``300 training rows``, or ``300 training rows of 30 different times``."""
    rows_of = f"{len(split.train)} training rows"
    if cv.time_series is None or data.time is None:
        return rows_of
    return f"{rows_of} of {data.time.iloc[split.train].nunique()} different times"


Parts = Iterator[tuple[np.ndarray, np.ndarray]]
"""Row numbers within the training rows: to fit on, and to measure on."""


def _drawn_folds(data: Dataset, split: Split, cv: CrossValidation, *, stratified: bool) -> Parts:
    target, groups = data.target.to_numpy()[split.train], data.groups[split.train]
    if cv.time_series is not None:
        yield from _folds_in_time(cv, number_times(data.time, len(data.target))[split.train])
    elif cv.holdout is not None:
        yield from _draws(target, groups, cv.holdout, cv.seed, stratified=stratified, count=cv.repeats)
    elif data.fold_column is not None:
        yield from _own_folds(data, split, data.fold_column.to_numpy()[split.train])
    else:
        if cv.folds is not None:
            _check_folds(data, split, cv.folds, stratified=stratified)
        grouping = groups if _are_grouped(groups) else None
        for splitter in _splitters(cv, stratified=stratified, grouped=grouping is not None):
            yield from splitter.split(target, target, grouping)


def _own_folds(data: Dataset, split: Split, number: np.ndarray) -> Parts:
    """Measure on each fold of the table's own.

    Raises:
        DataError: There is none, nothing is left to fit on, or a group stands on both sides of one.
    """
    name = data.fold_column.name if data.fold_column is not None else ""
    for value in np.unique(number[number != NO_FOLD]) if (number != NO_FOLD).any() else ():
        if (number == value).all():
            message = f"column '{name}' is {value} in every training row: none is left to fit on; rows with -1 always are"
            raise DataError(message, path=FOLDS)
    if (number == NO_FOLD).all():
        raise DataError(f"column '{name}' is -1 in every training row: there is none to measure on", path=FOLDS)
    groups = None if data.group_column is None else data.groups[split.train]
    for fit, measure in PredefinedSplit(number).split():
        if groups is not None and data.group_column is not None and (torn := np.isin(groups[measure], groups[fit])).any():
            group = data.group_column.iloc[split.train[measure[torn][0]]]
            message = f"the rows with '{data.group_column.name}' {group} are not all in one fold; leave `data.groups` out"
            raise DataError(message, path=FOLDS)
        yield fit, measure


def _folds_in_time(cv: CrossValidation, times: np.ndarray) -> Parts:
    """Split the different times as `TimeSeriesSplit` does; without rows of one time these are its splits of the rows.

    Args:
        cv: The splits.
        times: The number of each training row's time, ascending.
    """
    different, time = np.unique(times, return_inverse=True)
    splitter = TimeSeriesSplit(n_splits=cv.time_series, gap=cv.gap, max_train_size=cv.max_train)
    for fit, measure in splitter.split(different):
        yield np.flatnonzero(np.isin(time, fit)), np.flatnonzero(np.isin(time, measure))


def set_aside(
    target: np.ndarray, groups: np.ndarray, share: float, seed: int, *, stratified: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Divide row numbers into (kept, set aside) so that no group stands on both sides; both ascend.

    Args:
        target: The rows' truth, of shape (rows,).
        groups: Their groups, of shape (rows,).
        share: Which part is set aside, above 0 and below 1.
        seed: Decides which.
        stratified: Whether each class of the target is to have its share.

    Raises:
        ValueError: They cannot be divided so.
    """
    return next(_draws(target, groups, share, seed, stratified=stratified))


def _draws(target: np.ndarray, groups: np.ndarray, share: float, seed: int, *, stratified: bool, count: int = 1) -> Parts:
    """Divide row numbers as `set_aside` says, so many times; where groups hold several classes, with seeds that follow."""
    options: dict[str, Any] = {"n_splits": count, "test_size": share, "random_state": seed}
    if stratified:
        _, first, member = np.unique(groups, return_index=True, return_inverse=True)
        if (target != target[first][member]).any():
            yield from (_nearest_draw(target, groups, share, seed + repeat) for repeat in range(count))
            return
        drawn = StratifiedShuffleSplit(**options).split(first, target[first])
    else:
        member, grouping = np.arange(len(target)), groups if _are_grouped(groups) else None
        splitter = ShuffleSplit if grouping is None else GroupShuffleSplit
        drawn = splitter(**options).split(target, target, grouping)
    for _, chosen in drawn:
        aside = np.isin(member, chosen)
        yield np.flatnonzero(~aside), np.flatnonzero(aside)


def _nearest_draw(target: np.ndarray, groups: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Divide groups of mixed classes: the first of the draws that come nearest to setting `share` of every class aside.

    A class of which nothing is set aside counts for more than any part that is too large or too small.

    Raises:
        ValueError: Each draw sets all rows of some class aside.
    """
    names, code = np.unique(target, return_inverse=True)
    counts = np.bincount(code)
    best, least = None, np.inf
    for kept, aside in GroupShuffleSplit(n_splits=DRAWS, test_size=share, random_state=seed).split(target, groups=groups):
        parts = np.bincount(code[aside], minlength=len(names)) / counts
        off = (parts == 0).sum() + np.abs(parts - share).max() if (parts < 1).all() else np.inf
        if off < least:
            best, least = (kept, aside), off
    if best is None:
        raise ValueError(f"each of {DRAWS} draws of whole groups sets every row of some class aside")
    return best


def _splitters(cv: CrossValidation, *, stratified: bool, grouped: bool) -> list[BaseCrossValidator]:
    if cv.folds is None:
        return [LeaveOneGroupOut() if grouped else LeaveOneOut()]
    plain, by_class = (GroupKFold, StratifiedGroupKFold) if grouped else (KFold, StratifiedKFold)
    k_fold = by_class if stratified else plain
    if not cv.shuffle:
        return [k_fold(n_splits=cv.folds)]
    return [k_fold(n_splits=cv.folds, shuffle=True, random_state=cv.seed + repeat) for repeat in range(cv.repeats)]


def _are_grouped(groups: np.ndarray) -> bool:
    return len(np.unique(groups)) < len(groups)


def _check_groups(data: Dataset) -> None:
    column = data.group_column
    if column is None or len(np.unique(data.groups)) > 1:
        return
    if column.nunique() == 1:
        raise DataError(f"column '{column.name}' is {column.iloc[0]!s} in every row, and one group cannot be split", path=GROUPS)
    raise DataError(
        f"the {column.nunique()} groups of column '{column.name}' are all joined by rows with equal features, and one group"
        " cannot be split; `duplicates: keep` goes by the column alone",
        path=GROUPS,
    )


def _different(data: Dataset, count: int, rows_of: str) -> str:
    """Describe what it takes so many of: ``5 different training rows``, or ``training rows of 5 groups of 'batch'``."""
    column = data.group_column
    return f"{count} different {rows_of}" if column is None else f"{rows_of} of {count} groups of '{column.name}'"


def _check_folds(data: Dataset, split: Split, folds: int, *, stratified: bool) -> None:
    different = len(np.unique(data.groups[split.train]))
    if different < folds:
        needed = _different(data, folds, "training rows")
        raise DataError(f"{folds} folds need {needed} at least; there are {different}", path=_CV)
    if stratified:
        names, counts = np.unique(data.target.to_numpy()[split.train], return_counts=True)
        if counts.max() < folds:
            raise DataError(
                f"{folds} folds need a class with {folds} training rows at least;"
                f" the largest, {names[counts.argmax()]}, has {counts.max()};"
                " `stratified: false` does not look at classes, `cv: leave_one_out` takes each row once",
                path=_CV,
            )


def _check_classes(data: Dataset) -> None:
    """Refuse a class that stands in one group alone: it could be learned or tested, not both."""
    names, code = np.unique(data.target.to_numpy(), return_inverse=True)
    pairs = np.unique(np.column_stack([code, np.unique(data.groups, return_inverse=True)[1]]), axis=0)
    lonely = names[np.bincount(pairs[:, 0]) < 2]
    if len(lonely):
        where, takes = rows((data.target == lonely[0]).to_numpy()), _different(data, 2, "rows")
        raise DataError(
            f"class {lonely[0]} of column '{data.target.name}' stands only in {where}; to learn it and to test it takes {takes}",
            path=TARGET,
        )


def _checked(data: Dataset, split: Split) -> Split:
    """Return a split both sides of which can be used.

    Raises:
        DataError: There is nothing to learn from the training rows, or a side has no weight.
    """
    learned = data.target.iloc[split.train]
    if learned.nunique() < 2:
        where = "" if len(learned) else ": there is none"
        value = learned.iloc[0] if len(learned) else "nothing"
        raise DataError(f"column '{data.target.name}' is {value} in every training row{where}", path=TARGET)
    if data.weights is not None:
        for what, part in (("test rows", split.test), ("training rows", split.train)):
            if not data.weights[part].any():
                raise DataError(f"none of the {len(part)} {what} has a weight above 0", path=WEIGHTS)
    return split


def _check_fold_weights(data: Dataset, split: Split, folds: list[Fold]) -> None:
    if data.weights is None:
        return
    weights = data.weights[split.train]
    for index, fold in enumerate(folds):
        for what, part in (("fits", fold.fit), ("measures", fold.measure)):
            if not weights[part].any():
                raise DataError(f"no row that fold {index} {what} on has a weight above 0", path=WEIGHTS)


@dataclass(frozen=True)
class TrainingData:
    """The rows of a sweep: the whole table, what is set aside, and the folds of the rest."""

    dataset: Dataset
    split: Split
    folds: Sequence[Fold]

    @property
    def variables(self) -> dict[str, str]:
        """What is shown of it on the parent run, as parameters."""
        later = {} if self.dataset.is_new is None else {"new_rows": str(self.dataset.is_new.sum())}
        test = {} if self.dataset.test_table is None else {"test_data": short_name(self.dataset.test_table.source)}
        return {
            "data": self.dataset.name,
            "data_rows": str(len(self.dataset.target)),
            **later,
            **test,
            "test_rows": str(len(self.split.test)),
        }

    @cached_property
    def overlaps(self) -> list[str]:
        """Describe what of the test rows that a config names stands among the training rows too: rows, and groups."""
        data, train, test = self.dataset, self.split.train, self.split.test
        if data.is_test is None:
            return []
        columns = data.features.assign(**{str(data.target.name): data.target})
        equal = columns.groupby(list(columns.columns), sort=False, dropna=False, observed=True).ngroup().to_numpy()
        repeated = test[np.isin(equal[test], equal[train])]
        found = []
        if len(repeated):
            what = f"{len(repeated):,} of the {len(test):,} test rows {'stands' if len(repeated) == 1 else 'stand'}"
            source = data.source if data.test_table is None else data.test_table.source
            where = f"{rows(self._marks(repeated))} of {short_name(source)}"
            found.append(f"{what} among the training rows too, with the same target: {where}")
        if data.group_column is not None and len(both := np.intersect1d(data.groups[test], data.groups[train])):
            names = data.group_column[np.isin(data.groups, both)].drop_duplicates().astype(str)
            count = f"{len(names):,} {'group stands' if len(names) == 1 else 'groups stand'}"
            shown = ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
            found.append(f"{count} among the test rows and the training rows: '{data.group_column.name}' {shown}")
        return found

    def _marks(self, places: np.ndarray) -> np.ndarray:
        """Mark rows in the table that test rows are from, as it was read."""
        data = self.dataset
        positions = np.arange(len(data.target)) if data.positions is None else data.positions
        first = 0 if data.test_table is None else np.flatnonzero(data.test_table.rows)[0]
        marks = np.zeros(positions.max() + 1 - first, dtype=bool)
        marks[positions[places] - first] = True
        return marks

    @property
    def test_from(self) -> str | None:
        """The time of the first test row; None where rows have no times."""
        time = self.dataset.time
        return None if time is None else str(time.iloc[self.split.test[0]]).removesuffix(" 00:00:00")

    def why_changed(self, rows: int, columns: Sequence[str]) -> str:
        """Return in what the table differs from an earlier one of so many rows, with these columns."""
        table = self.dataset.own_table
        changes = [f"{rows} rows then, {len(table)} now"] if rows != len(table) else []
        gone = [name for name in columns if name not in table.columns]
        new = [str(name) for name in table.columns if name not in columns]
        changes += [f"without {', '.join(gone)}"] if gone else []
        changes += [f"with {', '.join(new)} besides"] if new else []
        test = self.dataset.test_table
        there = "" if test is None else f", here or in {short_name(test.source)}"
        return "; ".join(changes) or f"the same rows and columns, with other values{there}"


@dataclass(frozen=True)
class LoadedRows:
    """A table as read, before anybody asks what its columns mean.

    Args:
        source: A bundled name or an absolute path.
        table: All rows and columns, the new rows last.
        is_new: Which rows those are, of shape (rows,); None where there are none.
        test: Which rows are those of a table of test rows; None where there is none.
        wrong: Keys that have no use here, and what is wrong with columns that are to be of another type than they are.
    """

    source: str
    table: pd.DataFrame
    is_new: np.ndarray | None
    wrong: Sequence[DataError] = ()
    test: OtherTable | None = None


def load_rows(config: DataConfig, folder: pathlib.Path, cv: CrossValidation | None = None, *, frame: Any = None) -> LoadedRows:
    """Load the table of a section `data`, whose relative paths start from `folder`.

    Args:
        config: The section.
        folder: What relative paths start from.
        cv: How the rows are split; a column of folds may be missing in a table of test rows.
        frame: The table where it was given from Python; None where a file or a bundled table is read.

    Raises:
        DataError: It cannot be read, or the new rows or the test rows cannot.
    """
    source = resolve_source(config.source, folder)
    table = load_table(source, config) if frame is None else to_pandas(frame)
    is_new, test = None, None
    named = known(lambda: config.test, None)
    if named is not None and named.table is not None:
        table, test = _with_test_rows(table, resolve_source(named.table, folder), config, cv)
    if config.new is not None:
        table, is_new = _with_new(table, resolve_source(config.new, folder), config)
        test = None if test is None else OtherTable(test.source, np.pad(test.rows, (0, len(table) - len(test.rows))))
    typed, wrong = of_types(table, config.dtypes)
    return LoadedRows(source, typed, is_new, [*unused_keys(source, config), *wrong], test)


def _with_test_rows(
    table: pd.DataFrame, source: str, config: DataConfig, cv: CrossValidation | None
) -> tuple[pd.DataFrame, OtherTable]:
    """Put the rows of a table of test rows below the others; columns that only it has are left out.

    Raises:
        DataError: It cannot be read, lacks columns that are used, or has others of another kind.
    """
    test = _load_beside(source, config, TEST)
    folds = None if cv is None else cv.column
    columns = [str(name) for name in table.columns]
    used = [name for name in columns if name not in {*config.drop, folds}]
    if config.features is not None:
        groups = None if cv is None else cv.leave_one_group_out
        named = {*config.features, config.target or USUAL_TARGET, config.groups, config.weights, config.time, groups}
        used = [name for name in used if name in named]
    check_test_table(
        table.set_axis(columns, axis=1), test, [name for name in used if name not in config.dtypes or name not in test]
    )
    both = stack(table, test)
    return both, OtherTable(source, np.arange(len(both)) >= len(table))


def _load_beside(source: str, reading: Reading, path: ConfigPath) -> pd.DataFrame:
    try:
        return load_table(source, reading)
    except DataError as error:
        raise DataError(str(error), path=path, code=error.code) from error


def divide(dataset: Dataset, config: DataConfig, cv: CrossValidation, task: Task) -> TrainingData:
    """Set the test rows of a dataset aside, and draw the folds.

    Raises:
        DataError: It cannot be divided so.
    """
    split = split_rows(dataset, config, task=task, in_time=cv.time_series is not None or dataset.time is not None)
    folds = make_folds(dataset, split, cv, task=task, duplicates=config.duplicates)
    return TrainingData(dataset, split, folds)


def _with_new(table: pd.DataFrame, source: str, config: DataConfig) -> tuple[pd.DataFrame, np.ndarray]:
    """Put new rows below a table, and say which they are; columns that only they have are left out.

    Raises:
        DataError: They cannot be read, or lack a column.
    """
    new = _load_beside(source, config, NEW)
    unused = {*config.drop, None if config.test is None else config.test.column}  # of the new rows, test rows are drawn
    lacking = [name for name in map(str, table.columns) if name not in new and name not in unused]
    if lacking:
        raise DataError(f"the new rows lack {', '.join(lacking[:10])}; they have: {', '.join(new.columns[:30])}", path=NEW)
    both = stack(table, new)
    return both, np.arange(len(both)) >= len(table)


def resolved_data(config: DataConfig, dataset: Dataset, folder: pathlib.Path) -> DataConfig:
    """Return the section `data` such that it means the same from every working folder, with the target named."""
    return resolved_tables(config, folder).model_copy(update={"source": dataset.source, "target": str(dataset.target.name)})
