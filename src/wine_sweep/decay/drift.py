"""Have the features moved, or the predictions? One test for each, judged together.

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
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from wine_sweep.decay.columns import ColumnKind, ColumnProfile

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
        """Give what ``check.json`` holds."""
        return asdict(self)


def compare_columns(before: Part, now: Part, columns: Iterable[ColumnProfile], *, aspect: Aspect = Aspect.VALUES) -> list[Drift]:
    """Test each column for whether new rows are distributed as earlier ones; `adjust` then judges all together.

    Args:
        before: The earlier rows.
        now: The new rows.
        columns: What to compare. One that has no value at all in either is left out.
        aspect: What the columns are.
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
    """Give statistic, p-value and effect; the p-value is `ks_2samp`'s asymptotic one of so many independent rows."""
    statistic = float(stats.ks_2samp(old, new, method="asymp").statistic)
    first, second = len(old) * before.independent, len(new) * now.independent
    rows = max(1.0, np.round(first * second / (first + second)))
    return statistic, float(stats.kstwo.sf(statistic, rows)), statistic


def _chi_square(old: pd.Series, new: pd.Series, before: Part, now: Part) -> tuple[float, float, float]:
    """Give statistic, p-value and effect; chi-square is that of so many independent rows."""
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
    """Add up the rarest columns of a table of counts, so that every expected count is `LEAST_EXPECTED` at least.

    Args:
        table: Counts, of shape (2, values).

    Returns:
        Of shape (2, fewer values); one column where there are too few rows.
    """
    table = table[:, np.argsort(-table.sum(axis=0), kind="stable")]
    least = LEAST_EXPECTED * table.sum() / table.sum(axis=1).min()
    kept = int((table.sum(axis=0) >= least).sum())
    while 0 < kept < table.shape[1] and table[:, kept:].sum() < least:
        kept -= 1
    return table if kept == table.shape[1] else np.hstack([table[:, :kept], table[:, kept:].sum(axis=1, keepdims=True)])
