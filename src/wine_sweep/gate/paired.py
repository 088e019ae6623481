"""Whether one model is better than another on the same rows: the paired bootstrap.

B. Efron, R. J. Tibshirani, "An Introduction to the Bootstrap", Chapman & Hall, 1993, section 13.3; in its paired form P. Koehn,
"Statistical Significance Tests for Machine Translation Evaluation", EMNLP 2004: both models are measured on the same drawn
rows, so that what makes a row hard for both of them does not count. Whole groups of rows are drawn, since the rows of one
group are not independent of each other.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from wine_sweep.config import GATE_RESAMPLES, Direction
from wine_sweep.objective.row_losses import RowLoss

CHUNK_BYTES = 2_000_000
"""How much memory resamples are given at a time, about what caches hold; what comes out does not depend on it."""

_BYTES_A_DRAW = 16
"""A drawn group takes 8 for its number, and 8 for the value that is looked up by it."""

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
        """Give what is kept of it in MLflow."""
        return {**asdict(self), "direction": self.direction.value}


def improvement_of(loss: RowLoss, champion: np.ndarray, challenger: np.ndarray) -> np.ndarray:
    """Say by how much the challenger's values of a metric are better than the champion's; mere rounding is no difference.

    Args:
        loss: The metric.
        champion: Values of the metric, of any shape.
        challenger: The same of the other model.
    """
    maximize = loss.direction is Direction.MAXIMIZE
    better = challenger - champion if maximize else champion - challenger
    size = 1.0 if maximize else np.maximum(np.abs(champion), np.abs(challenger))
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
    chunk_bytes: int = CHUNK_BYTES,
) -> Comparison:
    """Compare two models on the same rows.

    As many groups as there are are drawn with replacement, both models measured on their rows, and the differences' central
    percentiles taken. Memory is bounded by `chunk_bytes`, or by one resample where that is more.

    Args:
        loss: The metric that decides.
        champion: What each row loses with the champion, of shape (rows,); see `RowLoss.losses`.
        challenger: The same with the challenger.
        groups: For every row, the number of its group.
        weights: How much each row counts, of shape (rows,); see `RowLoss.row_weights`. Rows that do not count are left out.
        confidence: The share of resamples between the ends of the interval: with 0.95, 2.5 % lie below it.
        resamples: How often groups are drawn anew.
        seed: Decides which.
        chunk_bytes: How much memory resamples are given at a time.

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
    before, after = (loss.of_mean(total.sum() / sums[2].sum()) for total in sums[:2])
    drawn = _improvements(loss, sums, resamples=resamples, seed=seed, chunk_bytes=chunk_bytes)
    low, high = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Comparison(
        loss.value,
        loss.direction,
        float(before),
        float(after),
        float(improvement_of(loss, before, after)),
        float(low),
        float(high),
        confidence,
        rows=len(weights),
        groups=len(sums[2]),
        resamples=resamples,
        seed=seed,
    )


def _improvements(loss: RowLoss, sums: list[np.ndarray], *, resamples: int, seed: int, chunk_bytes: int) -> np.ndarray:
    """Draw groups anew, and say how much better the challenger is each time.

    Args:
        loss: The metric.
        sums: Of each group, of shape (groups,): the champion's weighted losses, the challenger's, and the weights.
        resamples: How often.
        seed: Decides which groups.
        chunk_bytes: How much memory may be used at a time.

    Returns:
        Of shape (resamples,).
    """
    random, count = np.random.default_rng(seed), len(sums[0])
    chunk = max(1, chunk_bytes // (_BYTES_A_DRAW * count))
    parts = []
    for start in range(0, resamples, chunk):
        groups = random.integers(count, size=(min(chunk, resamples - start), count))
        champion, challenger, weight = (of_group[groups].sum(axis=1) for of_group in sums)
        parts.append(improvement_of(loss, loss.of_mean(champion / weight), loss.of_mean(challenger / weight)))
    return np.concatenate(parts)
