"""What ``run``, ``resume``, ``promote`` and ``rollback`` print."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import typer
from rich.console import Console

from wine_sweep.cli.exits import REFUSED, print_json
from wine_sweep.config import Stage
from wine_sweep.config.validation import parse_duration
from wine_sweep.errors import ConfigError
from wine_sweep.messages import mask, shell_argument, shell_word
from wine_sweep.progress.display import print_leaderboard, stdout, styled
from wine_sweep.promotion.manual import move_on, staged
from wine_sweep.promotion.promote import NOT_PROMOTED, StagingResult
from wine_sweep.registry import ModelRegistry, Promotion
from wine_sweep.report.trials import (
    Work,
    count_states,
    count_work,
    describe_params,
    describe_pruning,
    describe_test,
    describe_trials,
    group_failures,
    group_warnings,
    show_param,
)
from wine_sweep.sweep.finish import SweepOutcome
from wine_sweep.sweep.metadata import planned_trials
from wine_sweep.sweep.promote_recorded import Candidate
from wine_sweep.sweep.resume import Plan
from wine_sweep.targets.base import SweepPlan
from wine_sweep.trial import TrialState

TOP = 10


def print_outcome(result: SweepOutcome, *, as_json: bool, tracking_uri: str | None) -> None:
    """Print what came of a sweep: as one JSON document, or as leaderboard, reasons, notes and what to do next.

    Raises:
        typer.Exit: With exit code 3, where the gate said no.
    """
    if as_json:
        print_json(_document(result))
    else:
        _print(result, tracking_uri)
    if result.outcome is not None and result.outcome.is_refused:
        raise typer.Exit(REFUSED)


def _print(result: SweepOutcome, tracking_uri: str | None) -> None:
    console, prepared = stdout(), result.closing.prepared
    board = result.closing.leaderboard()
    counts = ", ".join(f"{count} {state.value}" for state, count in count_states(result.closing.trials).items() if count)
    console.print(styled((prepared.name, "bold"), f"  {prepared.objective.describe()}  {counts}"))
    console.print()
    print_leaderboard(console, board, top=TOP)
    if len(board.rows) > TOP:
        console.print(f"… and {len(board.rows) - TOP} more: wine-sweep compare {shell_argument(result.run_id[:8])}", style="dim")
    _print_heading(console, f"Why trial {result.best.number}")
    lines = list(result.reasons)
    if result.test_scores:
        lines.append(describe_test(result.test_scores, result.test_interval))
    for line in [*lines, *([NOT_PROMOTED] if result.outcome is None else [])]:
        console.print(f"- {line}")
    if result.outcome is not None:
        print_promotion(console, result.outcome)
    _print_notes(console, result)
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


def _print_notes(console: Console, result: SweepOutcome) -> None:
    """Print what the user should know beside the result: failures, warnings, repeated suggestions, an early end."""
    prepared, trials, best = result.closing.prepared, result.closing.trials, result.best.params
    notes = [f"{text}." for text in _overlaps(prepared)]
    notes += [f"failed: {failure} ({describe_trials(numbers)})" for failure, numbers in group_failures(trials)]
    notes += [f"{category} in {describe_trials(numbers)}: {message}" for category, message, numbers in group_warnings(trials)]
    edges = prepared.space.at_the_edge(best)
    notes += [f"{name} {show_param(best[name])} is the {end} tried: better may lie beyond." for name, end in edges]
    if prepared.method_reason:
        notes.insert(0, f"auto picked {prepared.config.search.method}: {prepared.method_reason}.")
    alone = prepared.objective.metric if prepared.objective.others else None
    notes += describe_pruning(trials, _work(result), by=alone)
    if result.closing.repeats:
        notes.append(f"{result.closing.repeats} suggestions repeated earlier parameters; their results were reused.")
    if result.closing.stopped_by.ended_early:
        notes.append(f"The sweep ended after {len(trials)} trials: {result.closing.stopped_by.value}.")
    if notes:
        _print_heading(console, "Notes")
    for note in notes:
        console.print(f"- {note}")


def _overlaps(prepared: SweepPlan) -> list[str]:
    """Describe what of the test rows stands among the training rows too."""
    return prepared.material.overlaps if prepared.material is not None else []


def _work(result: SweepOutcome) -> Work | None:
    """Count the fits; None where trials were pruned that count their steps themselves."""
    prepared = result.closing.prepared
    if not prepared.steps and count_states(result.closing.trials)[TrialState.PRUNED]:
        return None
    budget, full = prepared.config.search.budget, prepared.fits.full
    budgets = budget.steps() if budget is not None else []
    steps = [full * each / budgets[-1] for each in budgets] or [full / (prepared.steps or 1)] * (prepared.steps or 1)
    return count_work(result.closing.trials, steps=steps, whole=full)


def _document(result: SweepOutcome) -> dict[str, Any]:
    """Return what ``--json`` prints."""
    prepared, work = result.closing.prepared, _work(result)
    overlaps = _overlaps(prepared)
    return {
        "run_id": result.run_id,
        "name": prepared.name,
        "objective": {"metric": prepared.objective.metric, "direction": prepared.objective.direction.value},
        "trials": {state.value: count for state, count in count_states(result.closing.trials).items()},
        "method": str(prepared.config.search.method),
        "fits": {"done": round(work.done, 3), "without_pruning": work.whole} if work is not None else None,
        "selection": result.selection.record(),
        "test_scores": dict(result.test_scores),
        "test_interval": result.test_interval.record() if result.test_interval else None,
        "promotion": result.promotion.record() if result.promotion else None,
        "gate": result.outcome.verdict.record() if result.outcome else None,
        "stopped_by": result.closing.stopped_by.value,
        "repeated_suggestions": result.closing.repeats,
        "failures": [{"failure": failure, "trials": numbers} for failure, numbers in group_failures(result.closing.trials)],
        **({"overlaps": overlaps} if overlaps else {}),
    }


def parse_pause(text: str | None) -> float | None:
    """Parse the value of ``--at-most-every``: how long after a refresh none sweeps again, in seconds.

    Raises:
        ConfigError: It is no duration.
    """
    if text is None:
        return None
    try:
        seconds: float = parse_duration(text)
    except ValueError as error:
        raise ConfigError.at("--at-most-every", str(error)) from error
    return seconds


def describe_resumption(plan: Plan, results: int) -> str:
    """Describe with how many results a sweep goes on, and what it runs."""
    name, run_id, planned = plan.sweep.name, plan.sweep.run_id[:8], planned_trials(plan.prepared)
    code = "" if plan.prepared.kind == "estimator" else f"; it runs: {plan.prepared.subject}"
    return f"{name} ({run_id}) goes on: {results} trials have a result; planned: {planned}{code}"


def print_that_it_is_finished(plan: Plan, *, as_json: bool) -> None:
    """Print that there is nothing to resume."""
    sweep = plan.sweep
    if as_json:
        document = {"run_id": sweep.run_id, "name": sweep.name, "status": sweep.status, "resumed": False}
        print_json(document, indent=None)
        return
    done = f"the sweep '{sweep.name}' ({sweep.run_id[:8]}) is finished, with {plan.results} trials"
    stdout().print(f"Nothing to do: {done}. --trials N gives it N trials in all.")


def move_to_production(registry: ModelRegistry, name: str, trusted: Sequence[str], *, dry_run: bool, as_json: bool) -> None:
    """Move the version that is in Staging to Production, or only say which that is.

    Raises:
        WineSweepError: As `move_on` says.
    """
    if not dry_run:
        print_move(move_on(registry, name, trusted), "Now", as_json=as_json)
        return
    version = staged(registry, name, trusted).version
    if as_json:
        print_json({"model": name, "version": version, "stage": Stage.PRODUCTION.value, "dry_run": True}, indent=None)
        return
    stdout().print(f"Would move version {version} of {name} to Production; nothing was changed.")


def print_move(promotion: Promotion, now: str, *, as_json: bool) -> None:
    """Print which version is in a stage from now on."""
    if as_json:
        print_json(promotion.record())
        return
    instead = f", in place of version {', '.join(promotion.archived)}" if promotion.archived else ""
    where = f"{promotion.stage.value} (alias `{promotion.stage.alias}`)"
    stdout().print(f"{now} version {promotion.version} of {promotion.name} in {where}{instead}.")


def print_candidate(candidate: Candidate, outcome: StagingResult | None, *, as_json: bool) -> None:
    """Print the trial chosen from a finished sweep, and what became of it; None where that was only to be shown."""
    if as_json:
        record = outcome.record() if outcome else {"model": candidate.name, "stage": candidate.stage.value, "dry_run": True}
        print_json({**record, "selection": candidate.selection.record()})
        return
    console, trial = stdout(), candidate.selection.trial
    console.print(f"{candidate.sweep.name}  trial {trial.number}: {describe_params(trial.params)}")
    for line in candidate.selection.reasons:
        console.print(f"- {line}")
    if outcome is not None:
        print_promotion(console, outcome)
        return
    where = f"{candidate.name} in {candidate.stage.value}"
    console.print(f"- Would become a version of {where}, if the gate lets it; nothing was changed.")
