"""Verdicts without numbers: no gate, somebody's word, or a champion that nothing can be compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from wine_sweep.gate.verdict import Reason, Verdict
from wine_sweep.task import Task


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
