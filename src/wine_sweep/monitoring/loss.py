"""Does a model lose more on new rows than on those that it was measured on when it was made?

Two independent samples, each drawn anew with replacement, group by group; the percentile interval of the difference of the
metric (B. Efron, R. J. Tibshirani, "An Introduction to the Bootstrap", 1993, sections 8.3 and 13.3). Whether it lies above 0 is
the same question for the difference, the ratio and its logarithm, since each resample has one sign for all three.

What it takes to see a loss. By the delta method the logarithm of the k-th root of the mean of n independent losses, whose
standard deviation is c times their mean, has a standard error of c / (k √n). The squared errors of a ridge regression on red
wine have c = 1.65, and its repeated rows make 400 rows worth 300: 0.048 for their rmse. A rise by a fifth, 0.182 of the
logarithm, is 2.7 standard errors of the difference between two such samples, which lies above a 95 % interval's 1.96 three
times in four; with 1,200 rows on the one side it is 3.3, nine times in ten. This is why the training rows' losses out of fold
are recorded beside the test rows' (`Reference.measured`). Measured on labels to which independent noise was added, which is
more regular, in 400 draws: 90 % against the 400 test rows alone, 97 % against all 1,200; 2 % false alarms in both. Absolute
errors (93 %), winsorised ones (91 %), a studentised interval (90 %) and a permutation test (91 %) in place of this interval
gain less.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import stats

from wine_sweep.config import Direction
from wine_sweep.evaluation.bootstrap import resample_sums
from wine_sweep.evaluation.row_losses import RowLoss

RESAMPLES = 10_000
FEWEST_RESAMPLES = 1_000
MOST_DRAWS = 50_000_000
"""So many groups are drawn in all at most: of very many groups fewer resamples are as good, down to `FEWEST_RESAMPLES`."""

FEWEST_GROUPS = 20
"""With fewer independent rows than this an interval means nothing."""

LEAST_RISE = 0.05
"""The relative rise of what is lost below which a model has not decayed, however sure the rise is."""

TO_CATCH = 0.2
POWER = 0.8
"""`needed_rows` says how many rows show a rise of so much, with such a probability."""


@dataclass(frozen=True)
class Losses:
    """What rows lose.

    Args:
        losses: Of shape (rows,).
        weights: How much each counts in the metric, of shape (rows,).
        groups: The group of each row, of shape (rows,).
    """

    losses: np.ndarray
    weights: np.ndarray
    groups: np.ndarray

    def by_group(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the weighted loss and the weight of each group, each of shape (groups,)."""
        code = np.unique(self.groups, return_inverse=True)[1]
        return np.bincount(code, self.losses * self.weights), np.bincount(code, self.weights)


@dataclass(frozen=True)
class LossComparison:
    """The metric on new rows against that on the rows that the model was measured on when it was made.

    Args:
        metric: Which metric.
        recorded: Its value then.
        new: Its value now.
        worse: By how much it is worse now, in the metric's own units; negative where it is better.
        low: The lower end of the interval of `worse`; None where there are too few rows for one.
        high: The upper end.
        confidence: The share of resamples between the ends.
        rise: By what share more is lost than then; of an accuracy that is the share of wrong classes. Infinite where nothing was.
        least_rise: The share from which it matters.
        recorded_rows: How many rows were measured then.
        new_rows: How many now.
        needed_rows: How many new rows would show a rise of `TO_CATCH` with a probability of `POWER`; None when none would.
    """

    metric: RowLoss
    recorded: float
    new: float
    worse: float
    low: float | None
    high: float | None
    confidence: float
    rise: float
    least_rise: float
    recorded_rows: int
    new_rows: int
    needed_rows: int | None

    @property
    def decayed(self) -> bool:
        """Return whether more is lost than then, surely and by enough to matter."""
        return self.low is not None and self.low > 0 and self.rise >= self.least_rise

    @property
    def is_telling(self) -> bool:
        """Return whether there are rows enough that a rise of `TO_CATCH` would most likely have been seen."""
        return self.low is not None and self.needed_rows is not None and self.new_rows >= self.needed_rows

    def record(self) -> dict[str, Any]:
        """Return what ``check.json`` holds; an infinite rise is null."""
        finite = self.rise if math.isfinite(self.rise) else None
        return {**asdict(self), "rise": finite, "decayed": self.decayed, "is_telling": self.is_telling}


def compare_losses(
    recorded: Losses, new: Losses, metric: RowLoss, *, confidence: float, least_rise: float, seed: int
) -> LossComparison:
    """Hold what a model loses on new rows against what it lost when it was made.

    Args:
        recorded: The rows that it was measured on then.
        new: The new rows; each sample has one at least, and a weight above 0.
        metric: What the losses add up to.
        confidence: Of the interval, between 0 and 1.
        least_rise: The share by which more must be lost for the model to have decayed.
        seed: Decides what is drawn.
    """
    then, now = (float(np.average(each.losses, weights=each.weights)) for each in (recorded, new))
    before, after = float(metric.of_mean(then)), float(metric.of_mean(now))
    sign = 1 if metric.direction is Direction.MINIMIZE else -1
    low = high = None
    if min(len(np.unique(each.groups)) for each in (recorded, new)) >= FEWEST_GROUPS:
        random = np.random.default_rng(seed)
        first, second = (metric.of_mean(mean) for mean in _paired_means(recorded, new, random))
        worse = sign * (second - first)
        low, high = map(float, np.quantile(worse[np.isfinite(worse)], [(1 - confidence) / 2, (1 + confidence) / 2]))
    return LossComparison(
        metric=metric,
        recorded=before,
        new=after,
        worse=sign * (after - before),
        low=low,
        high=high,
        confidence=confidence,
        rise=_ratio(_lost(metric, now), _lost(metric, then)) - 1,
        least_rise=least_rise,
        recorded_rows=len(recorded.losses),
        new_rows=len(new.losses),
        needed_rows=needed_rows(recorded, metric, confidence=confidence),
    )


def needed_rows(
    recorded: Losses, metric: RowLoss, *, confidence: float, rise: float = TO_CATCH, power: float = POWER
) -> int | None:
    """Describe how many new rows show a rise of what is lost, by the normal approximation of the logarithm of the ratio.

    The new rows are taken to be spread and grouped as the recorded ones are.

    Args:
        recorded: What was lost when the model was made.
        metric: What the losses add up to.
        confidence: Of the interval that is to lie above 0.
        rise: The share by which more is lost.
        power: With which probability it is to be seen.

    Returns:
        None when the recorded rows are too few, whatever the number of new ones.
    """
    lost, weight = recorded.by_group()
    total = lost.sum()
    if total == 0:
        return None
    variance = _root(metric) ** 2 * float(((lost - weight * total / weight.sum()) ** 2).sum()) / total**2
    allowed = math.log1p(rise) / float(stats.norm.ppf((1 + confidence) / 2) + stats.norm.ppf(power))
    left = allowed**2 - variance
    return math.ceil(len(recorded.losses) * variance / left) if left > 0 else None


def _paired_means(recorded: Losses, new: Losses, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw as many resamples of one sample as of the other, and give the mean loss of each, of shape (resamples,)."""
    parts = [each.by_group() for each in (recorded, new)]
    groups = sum(len(weight) for _, weight in parts)
    count = min(RESAMPLES, max(FEWEST_RESAMPLES, MOST_DRAWS // groups))
    (first, first_weight), (second, second_weight) = (resample_sums(part, resamples=count, random=random) for part in parts)
    with np.errstate(invalid="ignore"):  # groups drawn that all weigh nothing have no mean
        return first / first_weight, second / second_weight


def _root(metric: RowLoss) -> float:
    """Return the power of the mean loss that the metric grows with."""
    return 0.5 if metric is RowLoss.RMSE else 1.0


def _lost(metric: RowLoss, mean: float) -> float:
    """Return what is lost in the metric's units: the metric itself where it is an error, the share of wrong classes otherwise."""
    return float(mean ** _root(metric))


def _ratio(after: float, before: float) -> float:
    if before > 0:
        return after / before
    return math.inf if after > 0 else 1.0
