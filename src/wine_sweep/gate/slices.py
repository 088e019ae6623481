"""Parts of the rows by the values of a column: a model that is better as a whole may be worse for some of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from wine_sweep.data import Dataset
from wine_sweep.gate.paired import improvement_of
from wine_sweep.objective.row_losses import RowLoss
from wine_sweep.wording import one_of

MOST_VALUES = 20
"""Of a column that is no number; more would be slices of a few rows each."""

MOST_NUMBERS = 10
"""Of a column of numbers; with more it is cut into quartiles."""

GAP = "missing"
"""What the slice of the rows without a value is called."""


@dataclass(frozen=True)
class Slice:
    """Two models on a part of the rows.

    Args:
        name: The column and its value or values: ``is_red 1``, ``alcohol 9.5 to 10.3``.
        rows: How many rows with a weight above 0 it has.
        champion: The champion's value of the metric on them; None where there are none.
        challenger: The same of the other.
        improvement: By how much the challenger is better, in the metric's units; negative where it is worse.
        judged: Whether there are enough rows to judge by.
    """

    name: str
    rows: int
    champion: float | None
    challenger: float | None
    improvement: float | None
    judged: bool

    def is_worse(self, margin: float) -> bool:
        """Whether the challenger is worse here by more than `margin`, as far as that can be judged."""
        return self.judged and self.improvement is not None and self.improvement < -margin

    def record(self) -> dict[str, Any]:
        """Give what is kept of it in MLflow."""
        return asdict(self)


def sliceable(data: Dataset) -> pd.DataFrame:
    """Give the columns that rows can be sliced by: the features, and the group column."""
    beside = data.group_column
    return data.features if beside is None else data.features.assign(**{str(beside.name): beside})


def refusal(data: Dataset, name: str) -> str | None:
    """Say why rows cannot be sliced by a column, or None when they can."""
    columns = sliceable(data)
    if name not in columns:
        for role, taken in (("target", data.target), ("weights", data.weight_column)):
            if taken is not None and str(taken.name) == name:
                return f"column '{name}' is `{role}`; a slice is of a feature, or of the group column"
        return f"there is no column '{name}' in the table; {one_of(name, [str(each) for each in columns], most=30)}"
    column = columns[name]
    if not _is_number(column) and (count := len(set(_words(column)))) > MOST_VALUES:
        return f"column '{name}' has {count} different values that are no numbers; slices are of {MOST_VALUES} at most"
    return None


def slice_rows(
    loss: RowLoss,
    champion: np.ndarray,
    challenger: np.ndarray,
    *,
    target: np.ndarray,
    weights: np.ndarray | None,
    table: pd.DataFrame,
    min_rows: int,
) -> list[Slice]:
    """Compare two models on every slice of the rows.

    Args:
        loss: The metric that decides.
        champion: What each row loses with the champion, of shape (rows,).
        challenger: The same with the challenger.
        target: The truth, of shape (rows,).
        weights: The table's own weights, of shape (rows,); None when all rows count the same.
        table: The columns to slice by, of shape (rows, columns).
        min_rows: A slice with fewer rows that count is not judged.

    Returns:
        The slices of the first column, then those of the next; in each by value, the rows without one last.
    """
    found = []
    for name, mask in _masks(table):
        counted = loss.row_weights(target[mask], None if weights is None else weights[mask])
        rows = int(np.sum(counted > 0))
        if rows == 0:
            found.append(Slice(name, 0, None, None, None, judged=False))
            continue
        before, after = (loss.of_mean(np.average(losses[mask], weights=counted)) for losses in (champion, challenger))
        improvement = float(improvement_of(loss, before, after))
        found.append(Slice(name, rows, float(before), float(after), improvement, judged=rows >= min_rows))
    return found


def _masks(table: pd.DataFrame) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the name of each slice, and which rows it has."""
    for column in table.columns:
        labels, order = _labels(table[column])
        for label in order:
            yield f"{column} {label}", labels == label


def _labels(column: pd.Series) -> tuple[np.ndarray, Sequence[str]]:
    """Say which slice of a column each row is in, and in which order the slices come."""
    gap = column.isna().to_numpy()
    labels = np.full(len(column), GAP, dtype=object)
    if _is_number(column):
        numbers = column.to_numpy()[~gap].astype(float)
        labels[~gap], order = _quartiles(numbers) if len(np.unique(numbers)) > MOST_NUMBERS else _each(numbers)
    else:
        labels[~gap] = _words(column)
        order = sorted(set(labels[~gap]))
    return labels, list(dict.fromkeys([*order, *([GAP] if gap.any() else [])]))


def _words(column: pd.Series) -> list[str]:
    """Give the values of a column, but for gaps, as text."""
    return [str(value) for value in column[column.notna()].astype(str)]


def _each(numbers: np.ndarray) -> tuple[list[str], list[str]]:
    return [_shown(value) for value in numbers], [_shown(value) for value in np.unique(numbers)]


def _quartiles(numbers: np.ndarray) -> tuple[list[str], list[str]]:
    """Cut numbers into quartiles, each named by the lowest and the highest number in it; equal numbers stay together."""
    part = np.searchsorted(np.quantile(numbers, [0.25, 0.5, 0.75], method="lower"), numbers, side="left")
    names = {each: _span(numbers[part == each]) for each in np.unique(part)}
    return [names[each] for each in part], list(names.values())


def _span(numbers: np.ndarray) -> str:
    low, high = _shown(numbers.min()), _shown(numbers.max())
    return low if low == high else f"{low} to {high}"


def _shown(number: float) -> str:
    return str(int(number)) if abs(number) < 1e15 and number % 1 == 0 else f"{number:g}"


def _is_number(column: pd.Series) -> bool:
    return is_numeric_dtype(column) and not is_bool_dtype(column)
