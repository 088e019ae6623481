"""Whether the winner takes the place of the model in the stage, on what ground, and the reasons in sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import pandas as pd

from wine_sweep.config import GateConfig
from wine_sweep.gate import reasons
from wine_sweep.gate.dummy import describe_dummy
from wine_sweep.gate.paired import Comparison, paired_bootstrap
from wine_sweep.gate.slices import Slice, slice_rows
from wine_sweep.objective.row_losses import RowLoss

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
        """Give what is kept in MLflow."""
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
    gate: GateConfig,
    loss: RowLoss,
    champion_losses: np.ndarray,
    challenger_losses: np.ndarray,
    *,
    target: np.ndarray,
    groups: np.ndarray,
    weights: np.ndarray | None,
    slices_table: pd.DataFrame,
    version: str,
    excluded: int,
) -> Verdict:
    """Judge a challenger against the champion, on rows that neither was trained on.

    It is promoted when the lower end of the improvement's interval is above `min_improvement`, and no slice is worse.

    Args:
        gate: What is asked for.
        loss: The metric that decides.
        champion_losses: What each row loses with the champion, of shape (rows,); see `RowLoss.losses`.
        challenger_losses: The same with the challenger.
        target: The truth, of shape (rows,).
        groups: For every row, the number of its group.
        weights: The table's own weights, of shape (rows,); None when all rows count the same.
        slices_table: The columns to slice by, of shape (rows, columns); see `slices.sliceable`.
        version: The champion's, for the reasons.
        excluded: How many test rows are not among these, since the champion was trained on them.

    Raises:
        ValueError: A loss is no finite number.
    """
    champion, counted = f"version {version}", loss.row_weights(target, weights)
    left_out = tuple(reasons.left_out(excluded, champion))
    if (too_few := _too_few(gate, groups, counted, reasons.NEITHER)) is not None:
        return Verdict(Reason.TOO_FEW_ROWS, (too_few, *left_out), gate=gate, excluded=excluded)
    found = _compare(gate, loss, (champion_losses, challenger_losses), groups, counted)
    slices = slice_rows(
        loss,
        champion_losses,
        challenger_losses,
        target=target,
        weights=weights,
        table=slices_table,
        min_rows=gate.min_rows,
    )
    sentences = (
        reasons.compared(found, champion, rows=reasons.NEITHER),
        *reasons.not_enough(found, gate.min_improvement),
        *reasons.worse_slices(slices, found, champion, gate.slice_margin),
        *reasons.unjudged_slices(slices, gate),
        *left_out,
    )
    return Verdict(_ground(gate, found, slices), sentences, found, tuple(slices), gate, excluded)


def judge_against_dummy(
    gate: GateConfig,
    loss: RowLoss,
    dummy_losses: np.ndarray,
    challenger_losses: np.ndarray,
    *,
    target: np.ndarray,
    groups: np.ndarray,
    weights: np.ndarray | None,
) -> Verdict:
    """Judge a challenger that has no champion to beat: it has to be better than a model that looks at no feature.

    It is promoted when the lower end of the improvement's interval is above 0.

    Args:
        gate: What is asked for; `min_improvement` and `slices` are about champions.
        loss: The metric that decides.
        dummy_losses: What each row loses with the dummy, of shape (rows,); see `dummy.fit_dummy`.
        challenger_losses: The same with the challenger.
        target: The truth, of shape (rows,).
        groups: For every row, the number of its group.
        weights: The table's own weights, of shape (rows,); None when all rows count the same.

    Raises:
        ValueError: A loss is no finite number.
    """
    counted = loss.row_weights(target, weights)
    if (too_few := _too_few(gate, groups, counted, reasons.NOT_THE_WINNER)) is not None:
        return Verdict(Reason.TOO_FEW_ROWS, (too_few,), gate=gate)
    found = _compare(gate, loss, (dummy_losses, challenger_losses), groups, counted)
    ground = Reason.BEATS_DUMMY if found.low > 0 else Reason.NOT_BETTER_THAN_DUMMY
    compared = reasons.compared(found, describe_dummy(loss), rows=reasons.NOT_THE_WINNER)
    return Verdict(ground, (compared, *reasons.not_enough(found, 0.0)), found, gate=gate)


def _ground(gate: GateConfig, found: Comparison, slices: Sequence[Slice]) -> Reason:
    if found.low <= gate.min_improvement:
        return Reason.NOT_BETTER
    return Reason.WORSE_SLICE if any(each.is_worse(gate.slice_margin) for each in slices) else Reason.BETTER


def _too_few(gate: GateConfig, groups: np.ndarray, counted: np.ndarray, which: str) -> str | None:
    """Say why there is too little to compare models on; None where there is enough."""
    rows, different = int(np.sum(counted > 0)), len(np.unique(groups[counted > 0]))
    if rows < gate.min_rows:
        return reasons.too_few_rows(rows, gate, which)
    needed = min(gate.min_rows, FEWEST_GROUPS)
    return reasons.too_few_groups(rows, different, needed) if different < needed else None


def _compare(
    gate: GateConfig, loss: RowLoss, losses: tuple[np.ndarray, np.ndarray], groups: np.ndarray, counted: np.ndarray
) -> Comparison:
    return paired_bootstrap(loss, *losses, groups=groups, weights=counted, confidence=gate.confidence, seed=gate.seed)
