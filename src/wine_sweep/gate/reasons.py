"""The reasons of a verdict, in sentences with the numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from wine_sweep.config import GateConfig
from wine_sweep.gate.paired import Comparison
from wine_sweep.gate.slices import Slice

NEITHER = "that neither model was trained on"
NOT_THE_WINNER = "that the winner was not trained on"


def compared(found: Comparison, other: str, *, rows: str) -> str:
    """Say how two models did on all rows.

    Args:
        found: What came of comparing them.
        other: Whom the challenger was compared with.
        rows: Which rows these are, in words that follow ``412 rows``.
    """
    numbers = (found.champion, found.challenger, found.improvement, found.low, found.high)
    champion, challenger, improvement, low, high = in_decimals(numbers)
    word = "better" if found.improvement > 0 else "worse"
    by = f"{word} by {improvement.removeprefix('-')}" if found.improvement else "the same"
    return (
        f"On {found.rows:,} rows {rows}, {found.metric} is {challenger} against the {champion} of {other}: {by}"
        f" ({found.confidence * 100:g}% interval {low} to {high}, from {found.resamples:,} resamples)."
    )


def not_enough(found: Comparison, least: float) -> Iterator[str]:
    """Say that the interval begins too low, where it does."""
    if found.low > least:
        return
    asked = f"{least:g} (`min_improvement`)" if least else "0"
    yield f"That is not enough: the whole interval has to be above {asked}."


def worse_slices(slices: Sequence[Slice], found: Comparison, other: str, margin: float) -> Iterator[str]:
    """Name each slice in which the challenger is worse, with both numbers."""
    allowed = f" by more than {margin:g} (`slice_margin`)" if margin else ""
    for each in slices:
        if not each.is_worse(margin) or each.champion is None or each.challenger is None:
            continue
        champion, challenger, _ = in_decimals((each.champion, each.challenger, each.champion - each.challenger))
        yield (
            f"Where {each.name} ({each.rows:,} rows) it is worse{allowed}: {found.metric} {challenger}"
            f" against the {champion} of {other}."
        )


def unjudged_slices(slices: Sequence[Slice], gate: GateConfig) -> Iterator[str]:
    """Name the slices that have too few rows to judge by."""
    few = [f"{each.name} ({each.rows:,})" for each in slices if not each.judged]
    if few:
        yield f"Slices of fewer than {gate.min_rows:,} rows (`min_rows`) are not judged: {', '.join(few)}."


def left_out(excluded: int, champion: str) -> Iterator[str]:
    """Say how many test rows were left out, if any were."""
    if excluded:
        were, them = ("row was", "it") if excluded == 1 else ("rows were", "them")
        yield f"{excluded:,} test {were} left out, since {champion} was trained on {them}."


def too_few_rows(rows: int, gate: GateConfig, which: str) -> str:
    """Say that there are too few rows to compare models on."""
    there = f"There are only {rows:,} rows" if rows > 1 else f"There is {'only one' if rows else 'no'} row"
    return f"{there} {which}; the gate needs {gate.min_rows:,} (`min_rows`)."


def too_few_groups(rows: int, groups: int, needed: int) -> str:
    """Say that there are rows enough, of too few groups."""
    form = "one group" if groups == 1 else f"{groups:,} groups"
    return f"The {rows:,} rows form {form}, and rows of a group are no independent evidence; the gate needs {needed:,} groups."


def in_decimals(values: Sequence[float]) -> list[str]:
    """Show a value of each model, then what differs, with equally many decimals.

    They are as many as give the smaller value four digits, and what comes last, if it is not 0, two at least; eight at most.
    """
    sizes = [abs(value) for value in values[:2] if value] or [1.0]
    if min(sizes) < 1e-4 or max(sizes) >= 1e6:
        return [f"{value:.4g}" for value in values]
    wanted = 3 - math.floor(math.log10(min(sizes)))
    if values[-1]:
        wanted = max(wanted, 1 - math.floor(math.log10(abs(values[-1]))))
    shown = [f"{value:.{min(8, max(0, wanted))}f}" for value in values]
    return [each.removeprefix("-") if float(each) == 0 else each for each in shown]
