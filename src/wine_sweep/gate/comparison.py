"""Compare two models on the same rows, as a whole and by slices: the paired bootstrap; and the dummy model.

B. Efron, R. J. Tibshirani, "An Introduction to the Bootstrap", Chapman & Hall, 1993, section 13.3; in its paired form P. Koehn,
"Statistical Significance Tests for Machine Translation Evaluation", EMNLP 2004: both models are measured on the same drawn
rows, so that what makes a row hard for both of them does not count. Whole groups of rows are drawn, since the rows of one
group are not independent of each other.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from wine_sweep.config import GATE_RESAMPLES, Direction
from wine_sweep.data import Dataset
from wine_sweep.evaluation.bootstrap import MOST_LEFT_OUT, RowScores, Sample, resample_sums
from wine_sweep.evaluation.metrics import Metric
from wine_sweep.evaluation.row_losses import RowLoss
from wine_sweep.messages import one_of
from wine_sweep.trial import Task

_PREDICTS = {
    RowLoss.RMSE: "the mean of its training rows",
    RowLoss.MAE: "the median of its training rows",
    RowLoss.MAPE: "the median of its training rows",
    RowLoss.LOG_LOSS: "the share of every class in its training rows",
    RowLoss.BRIER: "the share of every class in its training rows",
    RowLoss.ACCURACY: "the most frequent class of its training rows",
    RowLoss.BALANCED_ACCURACY: "the most frequent class of its training rows",
}


def fit_dummy(task: Task, loss: RowLoss, features: pd.DataFrame, target: np.ndarray, weights: np.ndarray | None) -> Any:
    """Fit scikit-learn's `DummyRegressor` (mean, or median for absolute errors) or `DummyClassifier` (prior).

    Args:
        task: What the challenger does.
        loss: The metric that decides.
        features: Of the training rows, of shape (rows, features).
        target: The truth, of shape (rows,).
        weights: How much each row counts, of shape (rows,); None when all count the same.
    """
    from sklearn.dummy import DummyClassifier, DummyRegressor

    if task is Task.CLASSIFICATION:
        model = DummyClassifier(strategy="prior")
    else:
        model = DummyRegressor(strategy="mean" if loss is RowLoss.RMSE else "median")
    return model.fit(features, target, sample_weight=weights)


def describe_dummy(loss: RowLoss) -> str:
    """Describe what it predicts, in words that follow ``against the 0.81 of``."""
    return f"a model that always predicts {_PREDICTS[loss]}"


ROUNDING = 1e-12
"""The part of two values below which their difference comes from adding up in another order, and is none."""


@dataclass(frozen=True)
class Comparison:
    """A champion and a challenger on the same rows.

    Args:
        metric: What they were measured by.
        direction: Which way it is better.
        champion: Its value of the metric on all rows.
        challenger: The same of the other.
        improvement: By how much the challenger is better, in the metric's units; negative where it is worse.
        low: The lower end of the central percentile interval of the improvement.
        high: Its upper end.
        confidence: The share of resamples between the ends.
        rows: How many rows with a weight above 0 there were.
        groups: How many groups they form.
        resamples: How often groups were drawn anew.
        seed: Decided which.
    """

    metric: str
    direction: Direction
    champion: float
    challenger: float
    improvement: float
    low: float
    high: float
    confidence: float
    rows: int
    groups: int
    resamples: int
    seed: int

    def record(self) -> dict[str, Any]:
        """Return what is kept of it in MLflow."""
        return {**asdict(self), "direction": self.direction.value}


def improvement_of(direction: Direction, champion: np.ndarray, challenger: np.ndarray) -> np.ndarray:
    """Return by how much the challenger's values of a metric are better than the champion's; mere rounding is no difference.

    Args:
        direction: Which way the metric is better.
        champion: Values of the metric, of any shape.
        challenger: The same of the other model.
    """
    maximize = direction is Direction.MAXIMIZE
    better = challenger - champion if maximize else champion - challenger
    size = np.maximum(np.maximum(np.abs(champion), np.abs(challenger)), 1.0 if maximize else 0.0)
    improvement: np.ndarray = np.where(np.abs(better) <= ROUNDING * size, 0.0, better)
    return improvement


def paired_bootstrap(
    loss: RowLoss,
    champion: np.ndarray,
    challenger: np.ndarray,
    *,
    groups: np.ndarray,
    weights: np.ndarray,
    confidence: float,
    resamples: int = GATE_RESAMPLES,
    seed: int,
) -> Comparison:
    """Compare two models on the same rows.

    As many groups as there are are drawn with replacement, both models measured on their rows, and the differences' central
    percentiles taken. Memory is bounded by `CHUNK_BYTES`, or by one resample where that is more.

    Args:
        loss: The metric that decides.
        champion: What each row loses with the champion, of shape (rows,); see `RowLoss.losses`.
        challenger: The same with the challenger.
        groups: For every row, the number of its group.
        weights: How much each row counts, of shape (rows,); see `RowLoss.row_weights`. Rows that do not count are left out.
        confidence: The share of resamples between the ends of the interval: with 0.95, 2.5 % lie below it.
        resamples: How often groups are drawn anew.
        seed: Decides which.

    Raises:
        ValueError: No row counts, or a loss is no finite number.
    """
    counted = weights > 0
    if not counted.any():
        raise ValueError(f"none of the {len(weights)} rows has a weight above 0")
    champion, challenger, weights = champion[counted], challenger[counted], weights[counted]
    for who, losses in (("champion", champion), ("challenger", challenger)):
        if not np.isfinite(losses).all():
            raise ValueError(f"{np.sum(~np.isfinite(losses))} of {len(losses)} losses of the {who} are no finite numbers")
    _, code = np.unique(groups[counted], return_inverse=True)
    sums = [np.bincount(code, part) for part in (weights * champion, weights * challenger, weights)]
    rows = len(weights)
    del counted, champion, challenger, weights, code  # resamples have that memory then
    before, after = (loss.of_mean(total.sum() / sums[2].sum()) for total in sums[:2])
    lost, lost_after, weight = resample_sums(sums, resamples=resamples, random=np.random.default_rng(seed))
    drawn = improvement_of(loss.direction, loss.of_mean(lost / weight), loss.of_mean(lost_after / weight))
    low, high = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Comparison(
        loss.value,
        loss.direction,
        float(before),
        float(after),
        float(improvement_of(loss.direction, before, after)),
        float(low),
        float(high),
        confidence,
        rows=rows,
        groups=len(sums[2]),
        resamples=resamples,
        seed=seed,
    )


class Contest(Protocol):
    """Two models on the same rows, and the metric that decides between them."""

    @property
    def metric(self) -> str:
        """The name of the metric."""

    @property
    def direction(self) -> Direction:
        """Which way it is better."""

    @property
    def groups(self) -> np.ndarray:
        """For every row, the number of its group."""

    @property
    def counted(self) -> np.ndarray:
        """How much each row counts, of shape (rows,)."""

    def compare(self, *, confidence: float, seed: int) -> Comparison | None:
        """Compare the models on all rows; None where too many resamples have no value of the metric."""

    def on(self, chosen: np.ndarray) -> tuple[float, float] | None:
        """Return the metric of champion and challenger on some rows; None where it has no value there.

        Args:
            chosen: Which, of shape (rows,), bool; one that counts at least.
        """


@dataclass(frozen=True, eq=False)
class LossContest:
    """A contest by a metric that is a mean over rows.

    Args:
        loss: The metric.
        champion: What each row loses with the champion, of shape (rows,); see `RowLoss.losses`.
        challenger: The same with the challenger.
        target: The truth, of shape (rows,).
        groups: For every row, the number of its group.
        weights: The table's own weights, of shape (rows,); None when all rows count the same.
    """

    loss: RowLoss
    champion: np.ndarray
    challenger: np.ndarray
    target: np.ndarray
    groups: np.ndarray
    weights: np.ndarray | None = None

    @property
    def metric(self) -> str:
        """The name of the metric."""
        return self.loss.value

    @property
    def direction(self) -> Direction:
        """Which way it is better."""
        return self.loss.direction

    @cached_property
    def counted(self) -> np.ndarray:
        """How much each row counts; see `RowLoss.row_weights`."""
        return self.loss.row_weights(self.target, self.weights)

    def compare(self, *, confidence: float, seed: int) -> Comparison:
        """Compare the models on all rows; see `paired_bootstrap`."""
        losses = self.champion, self.challenger
        return paired_bootstrap(self.loss, *losses, groups=self.groups, weights=self.counted, confidence=confidence, seed=seed)

    def on(self, chosen: np.ndarray) -> tuple[float, float]:
        """Return the metric of champion and challenger on some rows."""
        counted = self.loss.row_weights(self.target[chosen], None if self.weights is None else self.weights[chosen])
        before, after = (
            self.loss.of_mean(np.average(losses[chosen], weights=counted)) for losses in (self.champion, self.challenger)
        )
        return float(before), float(after)


SCORE_RESAMPLES = 2_000
"""How often groups are drawn anew for a metric that is no mean over rows: each time all of it is computed."""

FEWEST_RESAMPLES = 200
MOST_ROWS_DRAWN = 20_000_000
"""In all resamples together: of more than 10,000 rows, whose intervals are narrow, fewer resamples are drawn."""


class ScoreContest:
    """A contest by any metric, which is measured anew on each resample of the rows.

    Args:
        metric: What is measured.
        champion: The model that is there.
        challenger: The other.
        sample: The rows.
        task: What the models do.

    Raises:
        Exception: It cannot be measured for both on all rows, as where one of them gives no probabilities.
    """

    def __init__(self, metric: Metric, champion: Any, challenger: Any, sample: Sample, task: Task) -> None:
        self._measured, self._sample = metric, sample
        self._scores = RowScores([champion, challenger], metric, sample, task=task)
        self._whole = self._scores.of(np.arange(len(sample.target)))
        if not np.isfinite(self._whole).all():
            raise ValueError(f"{metric.name} has no value on the {len(sample.target):,} rows")

    @property
    def metric(self) -> str:
        """The name of the metric."""
        return self._measured.name

    @property
    def direction(self) -> Direction:
        """Which way it is better."""
        return self._measured.direction

    @property
    def groups(self) -> np.ndarray:
        """For every row, the number of its group."""
        return self._sample.groups

    @cached_property
    def counted(self) -> np.ndarray:
        """How much each row counts."""
        weights = self._sample.weights
        return np.ones(len(self._sample.target)) if weights is None else weights

    def compare(self, *, confidence: float, seed: int) -> Comparison | None:
        """Compare the models on all rows; resamples on which one of them has no value are left out."""
        affordable = min(SCORE_RESAMPLES, max(FEWEST_RESAMPLES, MOST_ROWS_DRAWN // len(self._sample.target)))
        resamples = max(affordable, math.ceil(round(2 / (1 - confidence), 6)))
        drawn = self._scores.resampled(resamples=resamples, seed=seed)
        known = drawn[:, np.isfinite(drawn).all(axis=0)]
        if resamples - known.shape[1] > MOST_LEFT_OUT * resamples:
            return None
        direction, rows = self.direction, self.counted > 0
        low, high = np.quantile(improvement_of(direction, *known), [(1 - confidence) / 2, (1 + confidence) / 2])
        before, after = self._whole
        return Comparison(
            self.metric,
            direction,
            float(before),
            float(after),
            float(improvement_of(direction, before, after)),
            float(low),
            float(high),
            confidence,
            rows=int(rows.sum()),
            groups=len(np.unique(self.groups[rows])),
            resamples=known.shape[1],
            seed=seed,
        )

    def on(self, chosen: np.ndarray) -> tuple[float, float] | None:
        """Return the metric of champion and challenger on some rows; None where it has no value there."""
        try:
            before, after = self._scores.of(np.flatnonzero(chosen))
        except Exception:  # noqa: BLE001  # a metric that cannot be computed there, be it somebody's own
            return None
        return (float(before), float(after)) if np.isfinite([before, after]).all() else None


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
        judged: Whether there are enough rows to judge by, and the metric has a value on them.
    """

    name: str
    rows: int
    champion: float | None
    challenger: float | None
    improvement: float | None
    judged: bool

    def is_worse(self, margin: float) -> bool:
        """Return whether the challenger is worse here by more than `margin`, as far as that can be judged."""
        return self.judged and self.improvement is not None and self.improvement < -margin

    def record(self) -> dict[str, Any]:
        """Return what is kept of it in MLflow."""
        return asdict(self)


def sliceable(data: Dataset) -> pd.DataFrame:
    """Return the columns that rows can be sliced by: the features, and the group column."""
    beside = data.group_column
    return data.features if beside is None else data.features.assign(**{str(beside.name): beside})


def refusal(data: Dataset, name: str) -> str | None:
    """Describe why rows cannot be sliced by a column, or None when they can."""
    columns = sliceable(data)
    if name not in columns:
        others = {
            "target": data.target,
            "weights": data.weight_column,
            "time": data.time,
            "evaluation.cv.column": data.fold_column,
        }
        for role, taken in others.items():
            if taken is not None and str(taken.name) == name:
                return f"column '{name}' is `{role}`; a slice is of a feature, or of the group column"
        return f"there is no column '{name}' in the table; {one_of(name, [str(each) for each in columns], most=30)}"
    column = columns[name]
    if not _is_number(column) and (count := len(set(_words(column)))) > MOST_VALUES:
        return f"column '{name}' has {count} different values that are no numbers; slices are of {MOST_VALUES} at most"
    return None


def slice_rows(contest: Contest, *, table: pd.DataFrame, min_rows: int) -> list[Slice]:
    """Compare two models on every slice of the rows.

    Args:
        contest: The models on all rows.
        table: The columns to slice by, of shape (rows, columns).
        min_rows: A slice with fewer rows that count is not judged.

    Returns:
        The slices of the first column, then those of the next; in each by value, the rows without one last.
    """
    found = []
    for name, mask in _masks(table):
        rows = int(np.sum(contest.counted[mask] > 0))
        values = contest.on(mask) if rows else None
        if values is None:
            found.append(Slice(name, rows, None, None, None, judged=False))
            continue
        improvement = float(improvement_of(contest.direction, *map(np.asarray, values)))
        found.append(Slice(name, rows, *values, improvement, judged=rows >= min_rows))
    return found


def _masks(table: pd.DataFrame) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the name of each slice, and which rows it has."""
    for column in table.columns:
        labels, order = _labels(table[column])
        for label in order:
            yield f"{column} {label}", labels == label


def _labels(column: pd.Series) -> tuple[np.ndarray, Sequence[str]]:
    """Return which slice of a column each row is in, and in which order the slices come."""
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
    """Return the values of a column, but for gaps, as text."""
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
