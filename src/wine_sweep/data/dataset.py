"""Turn a table into features and target, or refuse it by naming columns and rows; digests of rows."""

from __future__ import annotations

import hashlib
import numbers
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from wine_sweep.config import CrossValidation, DataConfig, Duplicates, NotKnown, known
from wine_sweep.data import table
from wine_sweep.data.columns import as_learned
from wine_sweep.data.frames import FRAME
from wine_sweep.data.given import (
    FOLDS,
    LEFT_OUT,
    NO_FOLD,
    TEST_COLUMN,
    TIME,
    are_dates,
    check_folds,
    check_time,
    find_test_rows,
    order_in_time,
)
from wine_sweep.data.table import as_numbers, rows
from wine_sweep.errors import ConfigPath, DataError
from wine_sweep.messages import one_of
from wine_sweep.trial import DataRequirements, Task

_SIZE = 8
_GAP = float("nan")


def row_digests(features: pd.DataFrame, columns: Sequence[str]) -> np.ndarray:
    """Digest the values of each row: BLAKE2b of them as bytes, column by column in the order of the sorted names.

    A number, be it a truth value or whole, is its eight bytes as float64, where -0 is 0 and every gap is the same NaN; all
    else is its text as UTF-8, after its length. So neither the order of columns, nor the index, nor how numbers were read
    makes a difference.

    Args:
        features: A table that has these columns, of shape (rows, at least these).
        columns: The names of the columns that count.

    Returns:
        Of shape (rows,), uint64.
    """
    parts = [_encoded(features[name]) for name in sorted(columns)]
    digests = b"".join(hashlib.blake2b(b"".join(row), digest_size=_SIZE).digest() for row in zip(*parts, strict=True))
    return np.frombuffer(digests, "<u8").astype(np.uint64)


def table_digest(table: pd.DataFrame) -> str:
    """Digest a table as it was read: SHA-256, in hex, of its columns' sorted names and its rows' digests."""
    columns = sorted(map(str, table.columns))
    rows = row_digests(table.rename(columns=str), columns).astype("<u8").tobytes()
    return hashlib.sha256("\0".join(columns).encode("utf-8", "surrogatepass") + b"\0" + rows).hexdigest()


def _encoded(column: pd.Series) -> Iterable[bytes]:
    if is_numeric_dtype(column):
        return _numbers(column.astype("float64").to_numpy())
    codes, values = pd.factorize(column.astype(object), use_na_sentinel=True)
    encoded = [*map(_value, values), *_numbers(np.array([_GAP]))]  # the code of a gap is -1: the last
    return [encoded[code] for code in codes]


def _value(value: object) -> bytes:
    if isinstance(value, numbers.Real | np.bool_):
        return next(iter(_numbers(np.array([float(value)]))))
    text = str(value).encode("utf-8", "surrogatepass")
    return b"t" + len(text).to_bytes(_SIZE, "little") + text


def _numbers(values: np.ndarray) -> Iterable[bytes]:
    canonical = np.where(np.isnan(values), _GAP, values + 0.0)  # adding 0 makes 0 of -0
    data = canonical.astype("<f8").tobytes()
    return [b"n" + data[start : start + _SIZE] for start in range(0, len(data), _SIZE)]


TARGET: ConfigPath = ("data", "target")
SOURCE: ConfigPath = ("data", "source")
GROUPS: ConfigPath = ("data", "groups")
WEIGHTS: ConfigPath = ("data", "weights")
_SHOWN = 5


@dataclass(frozen=True)
class Roles:
    """The names of the columns: the features, and what each other one is for that is used."""

    features: Sequence[str]
    target: str
    groups: str | None
    weights: str | None
    time: str | None = None
    folds: str | None = None


def find_roles(columns: Collection[str], config: DataConfig, source: str, cv: CrossValidation | None = None) -> Roles:
    """Find what each column is for.

    Raises:
        DataError: As `wrong_roles` says.
    """
    for error in wrong_roles(columns, config, source, cv):
        raise error
    target, folds = config.target or table.TARGET, None if cv is None else cv.column
    groups = config.groups if cv is None or cv.leave_one_group_out is None else cv.leave_one_group_out
    test = None if config.test is None else config.test.column
    others = {target, groups, config.groups, config.weights, config.time, folds, test, *config.drop}
    features = config.features or [name for name in columns if name not in others]
    return Roles(features, target, groups, config.weights, config.time, folds)


def wrong_roles(
    columns: Collection[str], config: DataConfig, source: str, cv: CrossValidation | None = None
) -> Iterator[DataError]:
    """Find what is wrong with the uses of columns: there is no such column, or it is to have two.

    Only where nothing of that is wrong, it is looked at whether a feature is left.
    """
    taken: dict[str, str] = {}
    is_right = True
    reads = _readers(config, cv, table.TARGET if source in table.NAMES else None)
    for path, read in reads.items():
        try:
            name = read()
        except NotKnown:
            is_right = False
            continue
        if name is None and path == TARGET:
            message = f"is missing: which column is to be predicted? The table has: {', '.join(columns)}"
            yield DataError(message, path=path, code="missing-key")
        elif name is not None and name not in columns:
            message = f"there is no column '{name}' in the table; {one_of(name, list(columns), most=30)}"
            yield DataError(message, path=path, code="unknown-column")
        elif name in taken and (path, taken[name]) != (LEFT_OUT, "groups"):
            yield DataError(f"column '{name}' is `{taken[name]}` already; a column has one use", path=path, code="conflict")
        else:
            taken |= {name: ".".join(map(str, path[path[0] == "data" :]))} if name is not None else {}
            continue
        is_right = False
    lists: dict[str, Callable[[], list[str]]] = {"features": lambda: config.features or [], "drop": lambda: config.drop}
    for key, listed in lists.items():
        for index, name in enumerate(known(listed, [])):
            if name not in columns:
                message = f"there is no column '{name}' in the table; {one_of(name, list(columns), most=30)}"
                yield DataError(message, path=("data", key, index), code="unknown-column")
            elif name in taken and (key, taken[name]) != ("features", "time"):
                message = f"column '{name}' is `{taken[name]}` already; a column has one use"
                yield DataError(message, path=("data", key, index), code="conflict")
            else:
                taken |= {name: key}
                continue
            is_right = False
    if is_right and len(taken) == len(columns) and "features" not in taken.values():
        target, *others = taken
        every = "is the only column" if not others else "is all there is beside " + " and ".join(others)
        yield DataError(f"there is no feature: '{target}' {every}", path=SOURCE)


def _readers(
    config: DataConfig, cv: CrossValidation | None, usual_target: str | None
) -> Mapping[ConfigPath, Callable[[], str | None]]:
    """Return what gives the name of the column that each key asks for, None for none, or raises `NotKnown`."""
    reads: dict[ConfigPath, Callable[[], str | None]] = {
        TARGET: lambda: config.target or usual_target,
        GROUPS: lambda: config.groups,
        WEIGHTS: lambda: config.weights,
        TIME: lambda: config.time,
        TEST_COLUMN: lambda: None if config.test is None else config.test.column,
    }
    return reads if cv is None else reads | {FOLDS: lambda: cv.column, LEFT_OUT: lambda: cv.leave_one_group_out}


def check_groups(column: pd.Series) -> pd.Series:
    """Refuse a column of groups that has gaps, or holds what is no single value.

    Raises:
        DataError: It says so; gaps are named by row.
    """
    if any(isinstance(value, Collection) and not isinstance(value, str | bytes) for value in column.head(_SHOWN)):
        raise DataError(f"column '{column.name}' holds lists or mappings; a group is a number or text", path=GROUPS)
    missing = column.isna().to_numpy()
    if missing.any():
        raise DataError(f"column '{column.name}' has no value in {rows(missing)}; every row needs a group", path=GROUPS)
    return column


def check_weights(column: pd.Series) -> pd.Series:
    """Turn a column of weights into finite numbers of at least 0.

    Raises:
        DataError: It holds something else, or nothing above 0; the message names the rows.
    """
    weights = as_numbers(column, path=WEIGHTS, why="a weight is a number of at least 0")
    missing = weights.isna().to_numpy()
    if missing.any():
        raise DataError(f"column '{column.name}' has no value in {rows(missing)}; every row needs a weight", path=WEIGHTS)
    refuse_infinite(weights, WEIGHTS)
    negative = (weights < 0).to_numpy()
    if negative.any():
        raise DataError(f"column '{column.name}' is negative in {rows(negative)}; a weight is at least 0", path=WEIGHTS)
    if not (weights > 0).any():
        raise DataError(f"column '{column.name}' is 0 in every row; nothing would count", path=WEIGHTS)
    return weights


def join_groups(equal: np.ndarray, column: pd.Series | None) -> np.ndarray:
    """Number the groups of rows that stay together: rows joined by `equal`, by `column`, or by a chain of both.

    These are the connected components of the graph whose nodes are the values of both, with an edge for each row.

    Args:
        equal: A number for each row; rows with the same one are equal.
        column: The groups that the table names, without gaps; None for none.

    Returns:
        `equal` itself without a column; otherwise the place of the group's first value among the column's sorted values,
        so that where nothing else is joined, splits are those that scikit-learn draws with the column as its groups.
    """
    if column is None:
        return equal
    values = column if is_numeric_dtype(column) else column.astype(str)
    named = np.unique(values.to_numpy(), return_inverse=True)[1]
    _, node = np.unique(equal, return_inverse=True)
    size = node.max() + 1 + named.max() + 1
    edges = coo_array((np.ones(len(node)), (node, node.max() + 1 + named)), shape=(size, size))
    _, component = connected_components(edges, directed=False)
    first: np.ndarray = pd.Series(named).groupby(component[node]).transform("min").to_numpy()
    return first


def refuse_infinite(column: pd.Series, path: ConfigPath) -> None:
    """Refuse infinities.

    Raises:
        DataError: It names the rows.
    """
    infinite = np.isinf(column.to_numpy())
    if infinite.any():
        raise DataError(f"column '{column.name}' is infinite in {rows(infinite)}", path=path)


@dataclass(frozen=True)
class OtherTable:
    """A table of test rows.

    Args:
        source: Its absolute path, or a bundled name.
        rows: Which rows are its, of shape (rows,), of all that were read.
    """

    source: str
    rows: np.ndarray


@dataclass(frozen=True)
class Dataset:
    """What a sweep learns from.

    Args:
        features: One row an example, each column of the type that `as_learned` gives it.
        target: The column to predict, of the same length: float64 for regression, the classes as they are otherwise.
        groups: For every row, the number of its group; no split divides a group. Rows with equal features share one, and
            rows with the same value of the group column.
        source: A bundled name or an absolute path.
        digest: SHA-256, in hex, of the values, the column names and their order.
        group_column: The column that names groups, as it is in the table, if there is one.
        weight_column: How much each row counts, float64 and at least 0, if there is such a column.
        is_new: For every row, whether it came later than the others (`data.new`); None where none did.
        time: The times that the rows are in the order of, if there is such a column: numbers, or dates, in UTC
            unless the column has a time zone.
        fold_column: The number of each row's fold, -1 for none, if there is such a column.
        is_test: For every row, whether the config names it a test row; None where test rows are drawn.
        test_table: The table that all test rows are from; None where they are of the table itself.
        positions: The place of each row in the table as read, from 0; None where all are there in the table's order.
    """

    features: pd.DataFrame
    target: pd.Series
    groups: np.ndarray
    source: str
    digest: str
    group_column: pd.Series | None = None
    weight_column: pd.Series | None = None
    is_new: np.ndarray | None = None
    time: pd.Series | None = None
    fold_column: pd.Series | None = None
    is_test: np.ndarray | None = None
    test_table: OtherTable | None = None
    positions: np.ndarray | None = None

    @property
    def task(self) -> Task:
        """What a model of it does: where the target is float64 it predicts numbers, and classes otherwise."""
        return Task.REGRESSION if self.target.dtype == np.float64 else Task.CLASSIFICATION

    @property
    def weights(self) -> np.ndarray | None:
        """How much each row counts, of shape (rows,); None when all count the same."""
        return None if self.weight_column is None else self.weight_column.to_numpy()

    @property
    def table(self) -> pd.DataFrame:
        """All columns: the features, then groups, weights, times and folds if there are any, then the target."""
        beside = [self.group_column, self.weight_column, self.time, self.fold_column, self.target]
        columns = {str(column.name): column for column in beside if column is not None}
        return self.features.assign(**{name: column for name, column in columns.items() if name not in self.features})

    @property
    def own_table(self) -> pd.DataFrame:
        """The same without the rows of another table."""
        return self.table if self.test_table is None or self.is_test is None else self.table.loc[~self.is_test]

    @property
    def name(self) -> str:
        """The short name: a bundled name, or the file's; what a table from Python is called."""
        return short_name(self.source)


def short_name(source: str) -> str:
    """Return the name of a bundled table, or the last part of a path; what a table from Python is called."""
    return source.strip("<>") if source == FRAME else source.replace("\\", "/").rsplit("/", 1)[-1]


def make_dataset(
    table: pd.DataFrame,
    config: DataConfig,
    *,
    source: str,
    needs: DataRequirements,
    is_new: np.ndarray | None = None,
    cv: CrossValidation | None = None,
    test: OtherTable | None = None,
) -> Dataset:
    """Check a table and take it apart into features and target.

    Args:
        table: All rows and columns as read.
        config: Names the columns that are no features, and says what to do with equal rows.
        source: Where the table came from.
        needs: What the model can learn from.
        is_new: Which rows came later than the others, of shape (rows,); None where none did.
        cv: Names columns that are no features, too.
        test: Which rows are of a table of test rows; None where there is none.

    Raises:
        DataError: A column that the config names is missing; the target has gaps, is constant or not of the task's kind;
            groups or folds have gaps; times are none; weights are no finite numbers of at least 0, or all 0; there is no
            feature; or a feature holds text, gaps or infinities that the model cannot take.
    """
    table = table.rename(columns=str)
    roles = find_roles(list(table.columns), config, source, cv)
    target = _check_target(table[roles.target], needs.task)
    beside = {}
    if roles.groups is not None:
        beside["groups"] = check_groups(table[roles.groups])
    if roles.weights is not None:
        beside["weights"] = check_weights(table[roles.weights])
    features = _check_features(table[list(roles.features)], needs)
    if roles.time is not None:
        beside["time"] = check_time(table[roles.time])
    if roles.folds is not None:
        folds = table[roles.folds]
        beside["folds"] = check_folds(folds if test is None else folds.mask(test.rows, NO_FOLD))
    test, is_test = (test, _named_test_rows(table, config, beside, test)) if is_new is None else (None, None)
    if (chosen := _chosen_rows(features, target, beside, config.duplicates)) is not None:
        features, target = features.iloc[chosen].reset_index(drop=True), target.iloc[chosen].reset_index(drop=True)
        beside = {role: column.iloc[chosen].reset_index(drop=True) for role, column in beside.items()}
        is_new, is_test = (None if mask is None else mask[chosen] for mask in (is_new, is_test))
    groups = join_groups(_equal_rows(features, config.duplicates), beside.get("groups"))
    masks = {name: pd.Series(mask) for name, mask in (("new", is_new), ("test", is_test)) if mask is not None}
    return Dataset(
        features,
        target,
        groups,
        source,
        _digest(features, {"target": target, **beside, **masks}),
        group_column=beside.get("groups"),
        weight_column=beside.get("weights"),
        is_new=is_new,
        time=beside.get("time"),
        fold_column=beside.get("folds"),
        is_test=is_test,
        test_table=test,
        positions=chosen,
    )


def _named_test_rows(
    table: pd.DataFrame, config: DataConfig, beside: Mapping[str, pd.Series], test: OtherTable | None
) -> np.ndarray | None:
    """Return which rows the config names test rows, of shape (rows,); None where they are drawn."""
    if test is not None or config.test is None:
        return None if test is None else test.rows
    return find_test_rows(config.test, table, beside.get("time"))


def _chosen_rows(
    features: pd.DataFrame, target: pd.Series, beside: Mapping[str, pd.Series], duplicates: Duplicates
) -> np.ndarray | None:
    """Return the numbers of the rows to keep, in the order of time; None for all of them as they are."""
    time = beside.get("time")
    chosen = None if time is None else order_in_time(time)
    if duplicates is Duplicates.DROP:
        repeats = pd.concat([features, target.rename("target"), *beside.values()], axis=1).duplicated().to_numpy()
        chosen = np.flatnonzero(~repeats) if chosen is None else chosen[~repeats[chosen]]
    return chosen


def _check_target(target: pd.Series, task: Task) -> pd.Series:
    missing = target.isna().to_numpy()
    if missing.any():
        raise DataError(f"column '{target.name}' has no value (empty, NA, None or null) in {rows(missing)}", path=TARGET)
    if task is Task.REGRESSION:
        target = as_numbers(target, path=TARGET, why="a regressor predicts numbers")
        refuse_infinite(target, TARGET)
    elif is_numeric_dtype(target) and not is_bool_dtype(target):
        refuse_infinite(target.astype("float64"), TARGET)
        fractions = (target.astype("float64") % 1 != 0).to_numpy()
        if fractions.any():
            raise DataError(
                f"column '{target.name}' holds fractions, first in {rows(fractions)}; a classifier needs classes", path=TARGET
            )
        beyond = (target.astype("float64").abs() > 2**62).to_numpy()
        target = target.astype(str).astype(object) if beyond.any() else target.astype("int64")
    elif not is_bool_dtype(target):
        target = target.astype(str).astype(object)
    if target.nunique() < 2:
        raise DataError(f"column '{target.name}' is constant: every row has {target.iloc[0]!s}", path=TARGET)
    return target


def _check_features(features: pd.DataFrame, needs: DataRequirements) -> pd.DataFrame:
    columns, wrong = {}, []
    for name in features.columns:
        try:
            columns[name] = _checked_feature(features[name], needs)
        except DataError as error:
            wrong.append(error)
    if wrong:
        first, *others = wrong
        raise DataError(str(first), path=first.path, code=first.code, others=others)
    return pd.DataFrame(columns)


def _checked_feature(column: pd.Series, needs: DataRequirements) -> pd.Series:
    name = column.name
    if column.dtype.kind == "m":
        why = "no model that is kept takes them; write them as numbers, of seconds say, or leave it out with `data.drop`"
        raise DataError(f"column '{name}' holds durations; {why}", path=SOURCE)
    is_taken = needs.categories and isinstance(column.dtype, pd.CategoricalDtype)
    if needs.numbers and not is_numeric_dtype(column) and not is_taken:
        time = f" `data.time: {name}` orders the rows by it," if are_dates(column) else ""
        why = f"{needs.model} needs numbers;{time} `model.preprocess: auto` prepares any column, `data.drop` leaves it out"
        column = as_numbers(column, path=SOURCE, why=why)
    if any(isinstance(value, Collection) and not isinstance(value, str | bytes) for value in column.head(_SHOWN)):
        raise DataError(f"column '{name}' holds lists or mappings; a feature holds numbers or text", path=SOURCE)
    column = as_learned(column)
    missing = column.isna().to_numpy()
    if missing.any() and not needs.takes_missing:
        raise DataError(
            f"column '{name}' has no value in {rows(missing)}, and {needs.model} cannot take gaps;"
            " drop the rows, or begin model.pipeline with sklearn.impute.SimpleImputer",
            path=SOURCE,
        )
    if column.dtype.kind == "f":
        refuse_infinite(column, SOURCE)
    return column


def _digest(features: pd.DataFrame, beside: Mapping[str, pd.Series]) -> str:
    digest = hashlib.sha256()
    named = [(f"{role}:{column.name}", column) for role, column in beside.items()]
    numbers = {name: column.astype("float64") if is_numeric_dtype(column) else column for name, column in features.items()}
    for name, column in [*numbers.items(), *named]:
        digest.update(f"{name}\0{column.dtype.kind}\0".encode())
        digest.update(_bytes_of(column))
    return digest.hexdigest()


def _bytes_of(column: pd.Series) -> bytes:
    values = column.to_numpy()
    if values.dtype.kind == "f":
        return values.astype("<f8").tobytes()
    if values.dtype.kind in "iub":
        return values.astype("<i8").tobytes()
    return b"".join(b"\1" if gap else b"\0" + str(value).encode() for value, gap in zip(values, column.isna(), strict=True))


def _equal_rows(features: pd.DataFrame, duplicates: Duplicates) -> np.ndarray:
    if duplicates is not Duplicates.KEEP:
        equal: np.ndarray = features.groupby(list(features.columns), sort=False, dropna=False, observed=True).ngroup().to_numpy()
        return equal
    return np.arange(len(features))
