"""What a sweep that has ended prints."""

from __future__ import annotations

from typing import Any

import typer
from rich.console import Console

from wine_sweep.cli.console import print_leaderboard, stdout, styled
from wine_sweep.cli.exits import REFUSED
from wine_sweep.cli.formats import print_json
from wine_sweep.report.leaderboard import make_leaderboard, show_param
from wine_sweep.report.summary import (
    Work,
    count_states,
    count_work,
    describe_pruning,
    describe_test,
    describe_trials,
    group_failures,
    group_warnings,
)
from wine_sweep.runner.conclusion import SweepResult
from wine_sweep.runner.staging import NOT_PROMOTED, StagingResult
from wine_sweep.subjects.prepared import SweepPlan
from wine_sweep.trial import TrialState
from wine_sweep.wording import mask, shell_argument, shell_word

TOP = 10


def print_outcome(result: SweepResult, *, as_json: bool, tracking_uri: str | None) -> None:
    """Print what came of a sweep: as one JSON document, or as leaderboard, reasons, notes and what to do next.

    Raises:
        typer.Exit: With exit code 3, where the gate said no.
    """
    _print(result, as_json=as_json, tracking_uri=tracking_uri)
    if result.outcome is not None and result.outcome.is_refused:
        raise typer.Exit(REFUSED)


def _print(result: SweepResult, *, as_json: bool, tracking_uri: str | None) -> None:
    prepared = result.closing.prepared
    if as_json:
        print_json(_document(prepared, result))
        return
    console = stdout()
    board = make_leaderboard([(prepared.name, prepared.objective, result.trials)])
    counts = ", ".join(f"{count} {state.value}" for state, count in count_states(result.trials).items() if count)
    console.print(styled((prepared.name, "bold"), f"  {prepared.objective.describe()}  {counts}"))
    console.print()
    print_leaderboard(console, board, top=TOP)
    if len(board.rows) > TOP:
        console.print(f"… and {len(board.rows) - TOP} more: wine-sweep compare {shell_argument(result.run_id[:8])}", style="dim")
    _print_heading(console, f"Why trial {result.selection.trial.number}")
    lines = list(result.selection.reasons)
    if result.test_scores:
        lines.append(describe_test(result.test_scores, result.test_interval))
    for line in [*lines, *([NOT_PROMOTED] if result.outcome is None else [])]:
        console.print(f"- {line}")
    if result.outcome is not None:
        print_promotion(console, result.outcome)
    _print_notes(console, prepared, result)
    store = f" --tracking-uri {shell_word(mask(tracking_uri))}" if tracking_uri else ""
    _print_heading(console, "Next")
    for command in ["ui", "compare latest"]:
        console.print(f"  wine-sweep {command}{store}")
    if result.outcome is not None:
        console.print(f"  wine-sweep history{store} {shell_argument(result.outcome.name)}")


def _print_heading(console: Console, text: str) -> None:
    console.print()
    console.print(text, style="bold")


def print_promotion(console: Console, outcome: StagingResult) -> None:
    """Print what the gate says, and what became of the winner."""
    _print_heading(console, f"{outcome.name}, {outcome.stage.value}")
    for line in outcome.describe():
        console.print(f"- {line}")


def _print_notes(console: Console, prepared: SweepPlan, result: SweepResult) -> None:
    """Print what the user should know beside the result: failures, warnings, repeated suggestions, an early end."""
    notes = [f"failed: {failure} ({describe_trials(numbers)})" for failure, numbers in group_failures(result.trials)]
    notes += [
        f"{category} in {describe_trials(numbers)}: {message}" for category, message, numbers in group_warnings(result.trials)
    ]
    edges = prepared.space.at_the_edge(result.selection.trial.params)
    notes += [
        f"{name} {show_param(result.selection.trial.params[name])} is the {end} tried: better may lie beyond."
        for name, end in edges
    ]
    if prepared.method_reason:
        notes.insert(0, f"auto picked {prepared.config.search.method.value}: {prepared.method_reason}.")
    alone = prepared.objective.metric if prepared.objective.others else None
    notes += describe_pruning(result.trials, _work(prepared, result), by=alone)
    if result.closing.repeats:
        notes.append(f"{result.closing.repeats} suggestions repeated earlier parameters; their results were reused.")
    if result.closing.stopped_by.ended_early:
        notes.append(f"The sweep ended after {len(result.trials)} trials: {result.closing.stopped_by.value}.")
    if notes:
        _print_heading(console, "Notes")
    for note in notes:
        console.print(f"- {note}")


def _work(prepared: SweepPlan, result: SweepResult) -> Work | None:
    """Count the fits; None where trials were pruned that count their steps themselves."""
    if not prepared.steps and count_states(result.trials)[TrialState.PRUNED]:
        return None
    budget, full = prepared.config.search.budget, prepared.fits.full
    budgets = budget.steps() if budget is not None else []
    steps = [full * each / budgets[-1] for each in budgets] or [full / (prepared.steps or 1)] * (prepared.steps or 1)
    return count_work(result.trials, steps=steps, whole=full)


def _document(prepared: SweepPlan, result: SweepResult) -> dict[str, Any]:
    """Give what ``--json`` prints."""
    work = _work(prepared, result)
    return {
        "run_id": result.run_id,
        "name": prepared.name,
        "objective": {"metric": prepared.objective.metric, "direction": prepared.objective.direction.value},
        "trials": {state.value: count for state, count in count_states(result.trials).items()},
        "method": prepared.config.search.method.value,
        "fits": {"done": round(work.done, 3), "without_pruning": work.whole} if work is not None else None,
        "selection": result.selection.record(),
        "test_scores": dict(result.test_scores),
        "test_interval": result.test_interval.record() if result.test_interval else None,
        "promotion": result.promotion.record() if result.promotion else None,
        "gate": result.outcome.verdict.record() if result.outcome else None,
        "stopped_by": result.closing.stopped_by.value,
        "repeated_suggestions": result.closing.repeats,
        "failures": [{"failure": failure, "trials": numbers} for failure, numbers in group_failures(result.trials)],
    }
