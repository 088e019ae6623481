"""What a check of a model comes to, and why."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from wine_sweep.config import Direction
from wine_sweep.decay.drift import FALSE_DISCOVERIES, Aspect, Drift
from wine_sweep.decay.loss import FEWEST_GROUPS, POWER, TO_CATCH, LossComparison
from wine_sweep.decay.schema import Finding

_SHOWN = 5


class State(StrEnum):
    """What a check of a model comes to."""

    HEALTHY = "healthy"
    DRIFTED = "drifted"
    """The rows are others than in training; that the model loses more on them is not shown."""
    DECAYED = "decayed"
    """The model loses more than when it was made."""


@dataclass(frozen=True)
class CheckResult:
    """What a check of a model comes to.

    Args:
        state: In a word.
        reasons: Why, a sentence each.
        rows: How many new rows it was checked on.
        excluded: How many were left out, since the model was trained on them.
        findings: What is in the new rows that was in no training row.
        drifts: How far each column has moved, what has moved first.
        loss: What the model loses on the new rows; None where their truth is not known.
    """

    state: State
    reasons: Sequence[str]
    rows: int
    excluded: int
    findings: Sequence[Finding]
    drifts: Sequence[Drift]
    loss: LossComparison | None

    @property
    def moved(self) -> list[Drift]:
        """What has moved."""
        return [drift for drift in self.drifts if drift.moved]

    def record(self) -> dict[str, Any]:
        """Give what ``check.json`` and ``--json`` hold."""
        return {
            "state": self.state.value,
            "reasons": list(self.reasons),
            "rows": self.rows,
            "excluded_rows": self.excluded,
            "findings": [finding.record() for finding in self.findings],
            "drift": [drift.record() for drift in self.drifts],
            "loss": self.loss.record() if self.loss is not None else None,
        }


def judge(
    *, rows: int, excluded: int, findings: Sequence[Finding], drifts: Sequence[Drift], loss: LossComparison | None
) -> CheckResult:
    """Decide: decayed where more is lost, surely and by enough; drifted where something has moved; healthy otherwise.

    What cannot be told for want of rows is said, and is no reason to call a model decayed.

    Args:
        rows: How many new rows it was checked on.
        excluded: How many were left out.
        findings: What is in the new rows that was in no training row.
        drifts: How far each column has moved, judged together.
        loss: What the model loses; None where the truth is not known.
    """
    moved = [drift for drift in drifts if drift.moved]
    state = State.DRIFTED if moved else State.HEALTHY
    if loss is not None and loss.decayed:
        state = State.DECAYED
    return CheckResult(state, [*_of_loss(loss), *_of_drift(moved, len(drifts))], rows, excluded, findings, drifts, loss)


def _of_loss(loss: LossComparison | None) -> list[str]:
    if loss is None:
        return ["What the model loses is not known: the new rows lack the column that it predicts."]
    then, now = f"{loss.recorded_rows} unseen rows when it was made", f"{loss.new_rows} new rows"
    sentence = f"{loss.metric} was {loss.recorded:.4g} on {then} and is {loss.new:.4g} on {now}"
    if loss.low is None or loss.high is None:
        return [f"{sentence}; fewer than {FEWEST_GROUPS} of them are different, too few to tell."]
    ends = f"{100 * loss.confidence:g}% interval of the difference {_signed(loss.low)} to {_signed(loss.high)}"
    reasons = [f"{sentence}: {_change(loss)} ({ends})."]
    if loss.low > 0 and not loss.decayed:
        reasons.append(f"A rise of less than {loss.least_rise:.0%} does not count.")
    return reasons if loss.decayed or loss.is_telling else [*reasons, _too_few(loss)]


def _change(loss: LossComparison) -> str:
    if loss.worse == 0:
        return "the same"
    word = "worse" if loss.worse > 0 else "better"
    if not math.isfinite(loss.rise):
        return f"{abs(loss.worse):.3g} {word}"
    what = "wrong classes" if loss.metric.direction is Direction.MAXIMIZE else "lost"
    return f"{abs(loss.worse):.3g} {word}, {abs(loss.rise):.1%} {'more' if loss.rise > 0 else 'less'} {what}"


def _too_few(loss: LossComparison) -> str:
    rise = f"{TO_CATCH:.0%}"
    if loss.needed_rows is None:
        return f"The rows when it was made are too few to see a rise of {rise}, however many new rows there are."
    return f"A rise of {rise} may go unseen: it takes {loss.needed_rows} rows like these to see one {POWER:.0%} of the time."


def _of_drift(moved: Sequence[Drift], tested: int) -> list[str]:
    if not moved:
        return [f"Nothing has moved: {tested} tests, false discoveries kept to {FALSE_DISCOVERIES:.0%}."]
    names = [drift.name for drift in moved if drift.aspect is not Aspect.PREDICTION]
    reasons = []
    if names:
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        have = "feature has" if len(names) == 1 else "features have"
        reasons.append(f"{len(names)} {have} moved: {', '.join(names[:_SHOWN])}{more}.")
    if len(names) < len(moved):
        reasons.append("What the model predicts has moved.")
    return reasons


def _signed(value: float) -> str:
    return f"{value:+.3g}"
