"""``wine-sweep run``."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from wine_sweep.cli.console import print_leaderboard, start_logging, stderr, stdout
from wine_sweep.cli.progress import SweepProgress
from wine_sweep.cli.signals import stop_on_signals
from wine_sweep.cli.trust import let_import_from
from wine_sweep.config import Backend, read_config
from wine_sweep.errors import SweepInterrupted
from wine_sweep.execution import warm_up
from wine_sweep.report.leaderboard import make_leaderboard, show_param
from wine_sweep.report.summary import (
    Work,
    count_states,
    count_work,
    group_failures,
    group_warnings,
    pruning_in_words,
    test_in_words,
    trials_in_words,
)
from wine_sweep.runner.preflight import Prepared, prepare
from wine_sweep.runner.sweep import RunOptions, SweepResult, run_sweep
from wine_sweep.wording import mask

TOP = 10


@dataclass(frozen=True)
class RunRequest:
    """What the user asked for; see the options of ``wine-sweep run``."""

    config: Path
    overrides: Sequence[str]
    trusted: tuple[str, ...]
    promote: bool
    tracking_uri: str | None
    experiment: str | None
    quiet: bool
    as_json: bool


def run_command(request: RunRequest) -> None:
    """Run a sweep, and print its leaderboard, the reasons for the winner, and what to do next."""
    console = stderr()
    start_logging(console, quiet=request.quiet)
    with stop_on_signals(console.print) as stop:
        prepared = _prepare(request)
        if stop():
            raise SweepInterrupted("interrupted before the sweep began", run_id="")
        options = RunOptions(
            tracking_uri=request.tracking_uri,
            experiment=request.experiment,
            promote=request.promote,
            command=mask(f"wine-sweep {' '.join(sys.argv[1:])}"),
        )
        with SweepProgress(console, prepared.objective.metric, quiet=request.quiet) as progress:
            result = run_sweep(prepared, options, observer=progress, stop=stop)
    if request.as_json:
        print(json.dumps(_document(prepared, result), indent=2, ensure_ascii=False))
    else:
        _print_result(stdout(), prepared, result, request)


def _prepare(request: RunRequest) -> Prepared:
    """Read and check the config; the workers' server loads its libraries meanwhile."""
    draft = read_config(request.config, request.overrides)
    let_import_from(draft.folder, request.trusted)
    if draft.config is not None and draft.config.execution.backend is Backend.PROCESSES:
        warm_up()
    return prepare(draft, trusted=request.trusted)


def _print_result(console: Console, prepared: Prepared, result: SweepResult, request: RunRequest) -> None:
    from wine_sweep.runner.winner import promotion_in_words  # by now MLflow is imported

    board = make_leaderboard([(prepared.name, prepared.objective, result.trials)])
    counts = ", ".join(f"{count} {state.value}" for state, count in count_states(result.trials).items() if count)
    console.print(f"[bold]{escape(prepared.name)}[/bold]  {escape(prepared.objective.in_words())}  {counts}\n")
    print_leaderboard(console, board, top=TOP)
    if len(board.rows) > TOP:
        console.print(f"[dim]… and {len(board.rows) - TOP} more: wine-sweep compare {result.run_id[:8]}[/dim]")
    console.print(f"\n[bold]Why trial {result.selection.trial.number}[/bold]")
    lines = list(result.selection.reasons)
    if result.winner.test_scores:
        lines.append(test_in_words(result.winner.test_scores, result.winner.interval))
    for line in [*lines, promotion_in_words(result.promotion)]:
        console.print(f"- {line}", markup=False)
    _print_notes(console, prepared, result)
    store = f" --tracking-uri {mask(request.tracking_uri)}" if request.tracking_uri else ""
    console.print("\n[bold]Next[/bold]")
    console.print(f"  wine-sweep ui{store}\n  wine-sweep compare latest{store}", markup=False)


def _print_notes(console: Console, prepared: Prepared, result: SweepResult) -> None:
    """Print what the user should know beside the result: failures, warnings, repeated suggestions, an early end."""
    notes = [f"failed: {failure} ({trials_in_words(numbers)})" for failure, numbers in group_failures(result.trials)]
    notes += [
        f"{category} in {trials_in_words(numbers)}: {message}" for category, message, numbers in group_warnings(result.trials)
    ]
    edges = prepared.space.at_the_edge(result.selection.trial.params)
    notes += [
        f"{name} {show_param(result.selection.trial.params[name])} is the {end} tried: better may lie beyond."
        for name, end in edges
    ]
    if prepared.method_reason:
        notes.insert(0, f"auto picked {prepared.config.search.method.value}: {prepared.method_reason}.")
    alone = prepared.objective.metric if prepared.objective.others else None
    notes += pruning_in_words(result.trials, _work(prepared, result), by=alone)
    if result.closing.repeats:
        notes.append(f"{result.closing.repeats} suggestions repeated earlier parameters; their results were reused.")
    if result.closing.stopped_by.ended_early:
        notes.append(f"The sweep ended after {len(result.trials)} trials: {result.closing.stopped_by.value}.")
    if notes:
        console.print("\n[bold]Notes[/bold]")
    for note in notes:
        console.print(f"- {note}", markup=False)


def _work(prepared: Prepared, result: SweepResult) -> Work:
    budget, seeds = prepared.config.search.budget, prepared.config.evaluation.seeds
    return count_work(
        result.trials, fits=len(prepared.material.folds) * seeds, last=budget.steps()[-1] if budget is not None else None
    )


def _document(prepared: Prepared, result: SweepResult) -> dict[str, Any]:
    """Give what ``--json`` prints."""
    work = _work(prepared, result)
    return {
        "run_id": result.run_id,
        "name": prepared.name,
        "objective": {"metric": prepared.objective.metric, "direction": prepared.objective.direction.value},
        "trials": {state.value: count for state, count in count_states(result.trials).items()},
        "method": prepared.config.search.method.value,
        "fits": {"done": round(work.done, 3), "without_pruning": work.whole},
        "selection": result.selection.record(),
        "test_scores": dict(result.winner.test_scores),
        "test_interval": result.winner.interval.record() if result.winner.interval else None,
        "promotion": result.promotion.record() if result.promotion else None,
        "stopped_by": result.closing.stopped_by.value,
        "repeated_suggestions": result.closing.repeats,
        "failures": [{"failure": failure, "trials": numbers} for failure, numbers in group_failures(result.trials)],
    }
