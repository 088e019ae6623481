"""Decide whether the winner takes the place of the model in the stage, and say why in sentences."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
import pandas as pd

from wine_sweep.config import GateConfig
from wine_sweep.evaluation.bootstrap import MOST_LEFT_OUT
from wine_sweep.gate.comparison import Comparison, Contest, Slice, slice_rows
from wine_sweep.trial import Task

NEITHER = "that neither model was trained on"
NOT_THE_WINNER = "that the winner was not trained on"


def comparison_sentence(found: Comparison, other: str, *, rows: str) -> str:
    """Describe how two models did on all rows.

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
    """Report that the interval begins too low, where it does."""
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


def unjudged_slices(slices: Sequence[Slice], metric: str, gate: GateConfig) -> Iterator[str]:
    """Name the slices that have too few rows to judge by, or on which the metric has no value."""
    unjudged = [(f"{each.name} ({each.rows:,})", each.rows >= gate.min_rows) for each in slices if not each.judged]
    few, without = ([name for name, is_large in unjudged if is_large is large] for large in (False, True))
    if few:
        yield f"Slices of fewer than {gate.min_rows:,} rows (`min_rows`) are not judged: {', '.join(few)}."
    if without:
        yield f"Slices on which {metric} cannot be computed are not judged: {', '.join(without)}."


def excluded_rows_sentence(excluded: int, champion: str) -> Iterator[str]:
    """Describe how many test rows were left out, if any were."""
    if excluded:
        were, them = ("row was", "it") if excluded == 1 else ("rows were", "them")
        yield f"{excluded:,} test {were} left out, since {champion} was trained on {them}."


def too_few_rows(rows: int, gate: GateConfig, which: str) -> str:
    """Report that there are too few rows to compare models on."""
    there = f"There are only {rows:,} rows" if rows > 1 else f"There is {'only one' if rows else 'no'} row"
    return f"{there} {which}; the gate needs {gate.min_rows:,} (`min_rows`)."


def too_few_values(rows: int, metric: str) -> str:
    """Report that the metric has no value on too many resamples, as where hardly a row is of the other class."""
    return f"On the {rows:,} rows {metric} has no interval: more than {MOST_LEFT_OUT:.0%} of their resamples have no value of it."


def too_few_groups(rows: int, groups: int, needed: int) -> str:
    """Report that there are rows enough, of too few groups."""
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


FEWEST_GROUPS = 20
"""Whole groups are drawn, and percentiles of too few of them are too narrow: of equal models, 10 groups promote 6 in 100 and 20
groups 4. A gate whose `min_rows` is less asks for so many."""


class Decision(StrEnum):
    """What becomes of the winner."""

    PROMOTE = "promote"
    KEEP = "keep"


class Reason(StrEnum):
    """On what ground it is decided, one for each case."""

    BETTER = "better"
    NOT_BETTER = "not_better"
    WORSE_SLICE = "worse_slice"
    TOO_FEW_ROWS = "too_few_rows"
    BEATS_DUMMY = "beats_dummy"
    NOT_BETTER_THAN_DUMMY = "not_better_than_dummy"
    SAME_MODEL = "same_model"
    CHAMPION_COLUMNS = "champion_columns"
    CHAMPION_UNLOADABLE = "champion_unloadable"
    CHAMPION_FAILS = "champion_fails"
    OTHER_TASK = "other_task"
    UNKNOWN_ROWS = "unknown_rows"
    OVERTAKEN = "overtaken"
    FORCED = "forced"
    NO_GATE = "no_gate"

    @property
    def decision(self) -> Decision:
        """What follows from it."""
        return Decision.PROMOTE if self in _PROMOTING else Decision.KEEP


_PROMOTING = frozenset({Reason.BETTER, Reason.BEATS_DUMMY, Reason.FORCED, Reason.NO_GATE})


@dataclass(frozen=True)
class Verdict:
    """A decision, and what it rests on.

    Args:
        ground: On what ground it was decided.
        reasons: Why, a sentence each, with the numbers.
        comparison: Both models on all rows, where they were compared.
        slices: Both models on parts of the rows.
        gate: What was asked for; None where there was no gate.
        excluded: How many test rows were left out, since the champion was trained on them.
    """

    ground: Reason
    reasons: tuple[str, ...]
    comparison: Comparison | None = None
    slices: tuple[Slice, ...] = ()
    gate: GateConfig | None = None
    excluded: int = 0

    @property
    def decision(self) -> Decision:
        """What becomes of the winner."""
        return self.ground.decision

    def record(self) -> dict[str, Any]:
        """Return what is kept in MLflow."""
        return {
            "decision": self.decision.value,
            "ground": self.ground.value,
            "reasons": list(self.reasons),
            "comparison": None if self.comparison is None else self.comparison.record(),
            "slices": [each.record() for each in self.slices],
            "gate": None if self.gate is None else self.gate.model_dump(mode="json"),
            "excluded_rows": self.excluded,
        }


def judge_against_champion(
    gate: GateConfig, contest: Contest, *, slices_table: pd.DataFrame, version: str, excluded: int
) -> Verdict:
    """Judge a challenger against the champion, on rows that neither was trained on.

    It is promoted when the lower end of the improvement's interval is above `min_improvement`, and no slice is worse.

    Args:
        gate: What is asked for.
        contest: The two on these rows.
        slices_table: The columns to slice by, of shape (rows, columns); see `sliceable`.
        version: The champion's, for the reasons.
        excluded: How many test rows are not among these, since the champion was trained on them.

    Raises:
        ValueError: A loss is no finite number.
    """
    champion = f"version {version}"
    left_out = tuple(excluded_rows_sentence(excluded, champion))
    found = _compare(gate, contest, NEITHER)
    if isinstance(found, str):
        return Verdict(Reason.TOO_FEW_ROWS, (found, *left_out), gate=gate, excluded=excluded)
    slices = slice_rows(contest, table=slices_table, min_rows=gate.min_rows)
    sentences = (
        comparison_sentence(found, champion, rows=NEITHER),
        *not_enough(found, gate.min_improvement),
        *worse_slices(slices, found, champion, gate.slice_margin),
        *unjudged_slices(slices, contest.metric, gate),
        *left_out,
    )
    return Verdict(_ground(gate, found, slices), sentences, found, tuple(slices), gate, excluded)


def judge_against_dummy(gate: GateConfig, contest: Contest, *, dummy: str) -> Verdict:
    """Judge a challenger that has no champion to beat: it has to be better than a model that looks at no feature.

    It is promoted when the lower end of the improvement's interval is above 0.

    Args:
        gate: What is asked for; `min_improvement` and `slices` are about champions.
        contest: The dummy, see `fit_dummy`, and the challenger on rows that the challenger was not trained on.
        dummy: What the dummy is; see `describe_dummy`.

    Raises:
        ValueError: A loss is no finite number.
    """
    found = _compare(gate, contest, NOT_THE_WINNER)
    if isinstance(found, str):
        return Verdict(Reason.TOO_FEW_ROWS, (found,), gate=gate)
    ground = Reason.BEATS_DUMMY if found.low > 0 else Reason.NOT_BETTER_THAN_DUMMY
    compared = comparison_sentence(found, dummy, rows=NOT_THE_WINNER)
    return Verdict(ground, (compared, *not_enough(found, 0.0)), found, gate=gate)


def _ground(gate: GateConfig, found: Comparison, slices: Sequence[Slice]) -> Reason:
    if found.low <= gate.min_improvement:
        return Reason.NOT_BETTER
    return Reason.WORSE_SLICE if any(each.is_worse(gate.slice_margin) for each in slices) else Reason.BETTER


def _compare(gate: GateConfig, contest: Contest, which: str) -> Comparison | str:
    """Compare two models, or describe why there is too little to compare them on."""
    counts = contest.counted > 0
    rows, different = int(np.sum(counts)), len(np.unique(contest.groups[counts]))
    if rows < gate.min_rows:
        return too_few_rows(rows, gate, which)
    needed = min(gate.min_rows, FEWEST_GROUPS)
    if different < needed:
        return too_few_groups(rows, different, needed)
    return contest.compare(confidence=gate.confidence, seed=gate.seed) or too_few_values(rows, contest.metric)


def no_gate() -> Verdict:
    """Promote, since nothing is asked for."""
    return Verdict(Reason.NO_GATE, ("There is no gate: the winner is compared with nothing.",))


def forced(instead_of: Verdict | None = None) -> Verdict:
    """Promote, since somebody says so.

    Args:
        instead_of: What the gate says, where it was asked; its numbers are kept.
    """
    said = "Promoted by force, without asking the gate."
    if instead_of is None:
        return Verdict(Reason.FORCED, (said,))
    said = f"Promoted by force; the gate says {instead_of.ground.value}."
    return replace(instead_of, ground=Reason.FORCED, reasons=(said, *instead_of.reasons))


def same_model(version: str, *, rows: int = 0) -> Verdict:
    """Keep what there is: the winner is the champion itself.

    Args:
        version: The champion's.
        rows: For how many rows it predicts the very same; 0 where that was not asked, since it was made in the same way.
    """
    if rows:
        return Verdict(Reason.SAME_MODEL, (f"The winner loses the same as version {version} on each of {rows:,} new rows.",))
    return Verdict(
        Reason.SAME_MODEL,
        (f"The winner and version {version} are the same model: the same parameters, fitted on the same rows.",),
    )


def champion_columns(version: str, *, gone: Sequence[str], new: Sequence[str]) -> Verdict:
    """Keep the champion: it needs columns that the table has no more, or the other way round.

    Args:
        version: The champion's.
        gone: Columns that it was trained on and that are not among the features.
        new: Features that it was not trained on.
    """
    changes = [f"it needs {', '.join(gone)}"] if gone else []
    changes += [f"it does not know {', '.join(new)}"] if new else []
    why = f"Version {version} was trained on other columns, and cannot be compared with: {'; '.join(changes)}."
    return Verdict(Reason.CHAMPION_COLUMNS, (why,))


def champion_unloadable(version: str, why: str) -> Verdict:
    """Keep the champion: it cannot be loaded, for that reason."""
    return Verdict(Reason.CHAMPION_UNLOADABLE, (f"Version {version} cannot be loaded, so it cannot be compared with: {why}",))


def champion_fails(version: str, why: str) -> Verdict:
    """Keep the champion: it loads and does not predict, for that reason."""
    return Verdict(
        Reason.CHAMPION_FAILS, (f"Version {version} does not predict these rows, so it cannot be compared with: {why}",)
    )


def other_task(version: str, champion: Task, challenger: Task) -> Verdict:
    """Keep the champion: one of the two predicts numbers, the other classes."""
    why = f"Version {version} does {champion.value} and the winner {challenger.value}; they cannot be compared."
    return Verdict(Reason.OTHER_TASK, (why,))


def other_target(version: str, champion: str, challenger: str) -> Verdict:
    """Keep what there is: the two predict different columns."""
    why = f"Version {version} predicts '{champion}' and the winner '{challenger}'; they cannot be compared."
    return Verdict(Reason.OTHER_TASK, (why,))


def unknown_rows(version: str | None) -> Verdict:
    """Keep what there is: nothing says which rows a model was trained on, so there is no telling which are new to it.

    Args:
        version: The champion's; None where it is the winner that does not say it.
    """
    who = "the winner's model" if version is None else f"version {version}"
    why = f"Nothing says which rows {who} was trained on, so there are none to compare on."
    return Verdict(Reason.UNKNOWN_ROWS, (why,))


def overtaken(verdict: Verdict, why: str) -> Verdict:
    """Keep what there is: somebody has put another version into the stage since the models were compared.

    Args:
        verdict: What the gate has said of the one that was there before.
        why: What is in the stage now.
    """
    said = f"{why[:1].upper()}{why[1:]}; the winner was compared with what was there before."
    return replace(verdict, ground=Reason.OVERTAKEN, reasons=(said, *verdict.reasons))
