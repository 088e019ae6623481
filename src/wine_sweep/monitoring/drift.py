"""Test features and predictions for drift, and new rows for schema violations.

Numbers: the two-sample Kolmogorov-Smirnov test; ties only make it more cautious. Categories, truth values, and numbers of few
values: the chi-square test of homogeneity, rare values pooled so that every expected count is 5 at least (W. G. Cochran, "Some
methods for strengthening the common χ² tests", Biometrics 10, 1954). Gaps, where there are any: the same. All p-values are
adjusted together by Y. Benjamini and Y. Hochberg, "Controlling the false discovery rate", JRSS B 57, 1995. Since a large sample
makes the smallest move significant, what counts as moved must also have moved by `LEAST_EFFECT`.

Rows of a group, such as repeated rows, are not independent: taken as if they were, they make p-values too small. Each sample
counts as so many rows as its groups are worth (`independent`), which for chi-square is the first-order correction of J. N. K.
Rao and A. J. Scott, "The analysis of categorical data from complex sample surveys", JASA 76, 1981. Of 600 draws of 800 training
rows and 400 new ones from red wine, where one row in seven repeats another, 13 % had a false discovery without this and 2.5 %
with it; 0.2 % had one of `LEAST_EFFECT`.

The checks are those of E. Breck, N. Polyzotis, S. Roy, S. E. Whang, M. Zinkevich, "Data Validation for Machine Learning",
MLSys 2019, as far as a table of one model needs them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_datetime64_any_dtype, is_numeric_dtype
from scipy import stats

from wine_sweep.data.dataset import refuse_infinite
from wine_sweep.data.table import as_numbers
from wine_sweep.errors import DataError
from wine_sweep.messages import did_you_mean
from wine_sweep.monitoring.reference import ColumnKind, ColumnProfile, plain

FALSE_DISCOVERIES = 0.05
"""The share of moved columns that may be there by chance."""

LEAST_EFFECT = 0.15
"""The KS statistic or Cramér's V below which a move is too small to speak of; numbers that all move by 0.4 standard deviations
have such a statistic."""

FEW_VALUES = 10
"""Numbers with so many values at most are compared value by value."""

LEAST_EXPECTED = 5.0


class DriftTest(StrEnum):
    """How a column was tested."""

    KS = "KS"
    CHI_SQUARE = "chi-square"


class Aspect(StrEnum):
    """What of a table was tested."""

    VALUES = "values"
    GAPS = "gaps"
    """Where a column has no value."""
    PREDICTION = "prediction"
    """What the model predicts for it."""


@dataclass(frozen=True)
class Part:
    """A sample of rows.

    Args:
        table: Columns as `plain` gives them, of shape (rows, columns).
        independent: The share of rows that they are worth, at most 1.
    """

    table: pd.DataFrame
    independent: float


@dataclass(frozen=True)
class Drift:
    """How far a column has moved.

    Args:
        column: Its name.
        aspect: What of it was tested.
        test: How it was tested.
        statistic: The KS statistic, or chi-square.
        p_value: How likely one as large is where nothing has moved.
        adjusted: That, adjusted for the number of tests.
        effect: By how much it has moved, between 0 and 1: the KS statistic, which is the largest distance between the two
            distribution functions, or Cramér's V, as two samples of equal size would have it.
        moved: Whether it counts as moved.
    """

    column: str
    aspect: Aspect
    test: DriftTest
    statistic: float
    p_value: float
    effect: float
    adjusted: float = 1.0
    moved: bool = False

    @property
    def name(self) -> str:
        """What has moved: ``alcohol``, ``alcohol (gaps)`` or ``the prediction``."""
        if self.aspect is Aspect.PREDICTION:
            return "the prediction"
        return f"{self.column} (gaps)" if self.aspect is Aspect.GAPS else self.column

    def record(self) -> dict[str, Any]:
        """Return what ``check.json`` holds."""
        return asdict(self)


def compare_columns(before: Part, now: Part, columns: Iterable[ColumnProfile], *, aspect: Aspect = Aspect.VALUES) -> list[Drift]:
    """Test each column for whether new rows are distributed as earlier ones; `adjust` then judges all together.

    A column that has no value at all in either is left out.
    """
    found = []
    for column in columns:
        old, new = before.table[column.name], now.table[column.name]
        if old.isna().any() or new.isna().any():
            gaps = _chi_square(old.isna(), new.isna(), before, now)
            found.append(Drift(column.name, Aspect.GAPS, DriftTest.CHI_SQUARE, *gaps))
        old, new = old.dropna(), new.dropna()
        if old.empty or new.empty:
            continue
        if column.kind is ColumnKind.NUMBER and len(set(old.unique()) | set(new.unique())) > FEW_VALUES:
            found.append(Drift(column.name, aspect, DriftTest.KS, *_kolmogorov_smirnov(old, new, before, now)))
        else:
            found.append(Drift(column.name, aspect, DriftTest.CHI_SQUARE, *_chi_square(old, new, before, now)))
    return found


def adjust(drifts: Sequence[Drift]) -> list[Drift]:
    """Adjust the p-values of all tests for their number, and say what has moved; the largest effect first."""
    if not drifts:
        return []
    adjusted = stats.false_discovery_control([drift.p_value for drift in drifts])
    judged = [
        replace(drift, adjusted=float(p), moved=bool(p <= FALSE_DISCOVERIES and drift.effect >= LEAST_EFFECT))
        for drift, p in zip(drifts, adjusted, strict=True)
    ]
    return sorted(judged, key=lambda drift: (not drift.moved, -drift.effect))


def _kolmogorov_smirnov(old: pd.Series, new: pd.Series, before: Part, now: Part) -> tuple[float, float, float]:
    """Return statistic, p-value and effect; the p-value is `ks_2samp`'s asymptotic one of so many independent rows."""
    statistic = float(stats.ks_2samp(old, new, method="asymp").statistic)
    first, second = len(old) * before.independent, len(new) * now.independent
    rows = max(1.0, np.round(first * second / (first + second)))
    return statistic, float(stats.kstwo.sf(statistic, rows)), statistic


def _chi_square(old: pd.Series, new: pd.Series, before: Part, now: Part) -> tuple[float, float, float]:
    """Return statistic, p-value and effect; chi-square is that of so many independent rows."""
    values = pd.Index(old.unique()).union(pd.Index(new.unique()), sort=False)
    counts = np.array([series.value_counts().reindex(values, fill_value=0).to_numpy(dtype=float) for series in (old, new)])
    table = _pool_rare(counts * np.array([[before.independent], [now.independent]]))
    if table.shape[1] < 2:
        return 0.0, 1.0, 0.0
    found = stats.chi2_contingency(table, correction=False)
    shares = table / table.sum(axis=1, keepdims=True)
    effect = float(np.sqrt(0.5 * ((shares[0] - shares[1]) ** 2 / shares.sum(axis=0)).sum()))
    return float(found.statistic), float(found.pvalue), effect


def _pool_rare(table: np.ndarray) -> np.ndarray:
    """Add up the rarest columns of counts, of shape (2, values), so that every expected count is `LEAST_EXPECTED` at least.

    Where there are too few rows, one column is left.
    """
    table = table[:, np.argsort(-table.sum(axis=0), kind="stable")]
    least = LEAST_EXPECTED * table.sum() / table.sum(axis=1).min()
    kept = int((table.sum(axis=0) >= least).sum())
    while 0 < kept < table.shape[1] and table[:, kept:].sum() < least:
        kept -= 1
    return table if kept == table.shape[1] else np.hstack([table[:, :kept], table[:, kept:].sum(axis=1, keepdims=True)])


_SHOWN = 3


class Oddity(StrEnum):
    """What may be in new rows that was in no training row."""

    UNSEEN = "unseen"
    OUTSIDE = "outside"
    GAPS = "gaps"


@dataclass(frozen=True)
class Finding:
    """Something in new rows that was in no training row.

    Args:
        column: Where.
        oddity: What: categories, values outside the range, or gaps.
        rows: In how many rows.
        share: In which share of them, between 0 and 1.
        detail: What exactly: ``outside 8.4 to 14``.
    """

    column: str
    oddity: Oddity
    rows: int
    share: float
    detail: str

    def record(self) -> dict[str, Any]:
        """Return what ``check.json`` holds."""
        return asdict(self)


def take_features(table: pd.DataFrame, columns: Sequence[ColumnProfile]) -> pd.DataFrame:
    """Return a model's features of a new table, of the types that the model was trained on.

    Returns:
        Of shape (rows, features), in the model's order; other columns are left out.

    Raises:
        DataError: A column is missing, or holds text, dates or infinities where the model needs numbers; it names all of these.
    """
    table = table.rename(columns=str)
    wrong, taken = [], {}
    for column in columns:
        if column.name not in table.columns:
            wrong.append(f"there is no column '{column.name}'{did_you_mean(column.name, table.columns)}")
            continue
        try:
            taken[column.name] = _typed(table[column.name], column.kind)
        except DataError as error:
            wrong.append(str(error))
    if wrong:
        raise DataError(f"the model cannot predict these rows: {'; '.join(wrong)}")
    return pd.DataFrame(taken, index=table.index)


def find_oddities(features: pd.DataFrame, columns: Sequence[ColumnProfile]) -> list[Finding]:
    """List what is in new rows, as `take_features` gives them, that was in no training row."""
    return [finding for column in columns for finding in _oddities(plain(features[column.name], column.kind), column)]


def _typed(column: pd.Series, kind: ColumnKind) -> pd.Series:
    """Return a column as the table that was trained on has it after `make_dataset`."""
    if kind is ColumnKind.CATEGORY:
        unlike = is_numeric_dtype(column) and not is_bool_dtype(column)
        return plain(column, kind) if unlike else column
    if is_datetime64_any_dtype(column):
        return column
    typed = as_numbers(column, path=("data", "source"), why="the model was trained on numbers there")
    refuse_infinite(typed, ("data", "source"))
    return typed


def _oddities(column: pd.Series, profile: ColumnProfile) -> Iterator[Finding]:
    gaps = column.isna().to_numpy()
    if gaps.any() and not profile.gaps:
        yield _finding(profile, Oddity.GAPS, gaps, "no value")
    if profile.categories is not None:
        unseen = ~gaps & ~column.isin(profile.categories).to_numpy()
        if unseen.any():
            found = sorted(set(column[unseen]))
            more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
            shown = ", ".join(f"'{value}'" for value in found[:_SHOWN])
            yield _finding(profile, Oddity.UNSEEN, unseen, f"{shown}{more}")
    if profile.low is not None and profile.high is not None:
        values = column.to_numpy(dtype=float)
        outside = ~gaps & ((values < profile.low) | (values > profile.high))
        if outside.any():
            yield _finding(profile, Oddity.OUTSIDE, outside, f"outside {profile.low:g} to {profile.high:g}")


def _finding(profile: ColumnProfile, oddity: Oddity, where: np.ndarray, detail: str) -> Finding:
    return Finding(profile.name, oddity, int(where.sum()), float(where.mean()), detail)
