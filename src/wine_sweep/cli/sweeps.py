"""The commands ``run``, ``resume`` and ``refresh``, and what they print at the end."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from wine_sweep.cli.exits import REFUSED, print_json
from wine_sweep.cli.startup import let_import_from, start_server
from wine_sweep.config import MAX_TABLE, ParsedConfig, read_config
from wine_sweep.config.validation import parse_duration
from wine_sweep.data.table import resolve_source
from wine_sweep.errors import ConfigError, Problem, SourceLocation, SweepInterrupted
from wine_sweep.messages import mask, shell_argument, shell_word
from wine_sweep.progress.display import SweepProgress, print_leaderboard, start_logging, stderr, stdout, styled
from wine_sweep.progress.signals import stop_on_signals
from wine_sweep.promotion.promote import NOT_PROMOTED, StagingResult
from wine_sweep.registry import RegisteredVersion
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
from wine_sweep.sweep.check import Check, CheckOutcome, check_model
from wine_sweep.sweep.finish import SweepResult
from wine_sweep.sweep.metadata import planned_trials
from wine_sweep.sweep.refresh import Refresh, refresh
from wine_sweep.sweep.resume import Plan, StoredConfig, discard_journal, plan_resume, resume
from wine_sweep.sweep.run import RunOptions, resume_sweep, run_sweep
from wine_sweep.targets.base import SweepPlan
from wine_sweep.targets.prepare import prepare
from wine_sweep.tracking.reader import SweepReader
from wine_sweep.tracking.store import open_store
from wine_sweep.trial import TrialState

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
        notes.insert(0, f"auto picked {prepared.config.search.method}: {prepared.method_reason}.")
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
    """Return what ``--json`` prints."""
    work = _work(prepared, result)
    return {
        "run_id": result.run_id,
        "name": prepared.name,
        "objective": {"metric": prepared.objective.metric, "direction": prepared.objective.direction.value},
        "trials": {state.value: count for state, count in count_states(result.trials).items()},
        "method": str(prepared.config.search.method),
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


@dataclass(frozen=True)
class RefreshRequest:
    """What the user asked for; see the options of ``wine-sweep refresh``."""

    config: Path
    data: str
    force: bool
    at_most_every: str | None
    overrides: Sequence[str]
    trusted: tuple[str, ...]
    tracking_uri: str | None
    experiment: str | None
    quiet: bool
    as_json: bool


def refresh_command(request: RefreshRequest) -> None:
    """Check, sweep again if need be, promote or keep; print one line that says what happened.

    Raises:
        WineSweepError: As `refresh` says.
        typer.Exit: With exit code 3, where a model that has decayed is still in the stage.
    """
    console = stderr()
    start_logging(console, quiet=request.quiet)
    pause = _pause(request.at_most_every)

    def prepared(changes: Sequence[str] = ()) -> SweepPlan:
        draft = read_config(request.config, [*request.overrides, *changes])
        let_import_from(draft.folder, request.trusted)
        return prepare(draft, trusted=request.trusted)

    def sweep(made: SweepPlan) -> SweepResult:
        options = RunOptions(
            tracking_uri=request.tracking_uri,
            experiment=request.experiment,
            command=mask(shlex.join(["wine-sweep", *sys.argv[1:]])),
            refreshes=asked.target.name,
        )
        with stop_on_signals(console.print) as stop:  # what comes before is interrupted, and has no trials that may go on
            stop.grace = made.config.execution.grace
            with SweepProgress(console, made.objective.metric, quiet=request.quiet) as progress:
                return run_sweep(made, options, observer=progress, stop=stop)

    asked = Refresh(prepared(), resolve_source(request.data, Path.cwd()), request.force, pause)
    reader = SweepReader(open_store(request.tracking_uri, create=True))

    def check(champion: RegisteredVersion) -> CheckOutcome:
        data = asked.base.config.data
        wanted = Check(
            champion.name,
            asked.new,
            version=champion.version,
            experiment=request.experiment,
            max_size=data.max_size if data is not None else MAX_TABLE,
            trusted=request.trusted,
        )
        return check_model(reader, wanted, folder=Path.cwd())

    done = refresh(asked, reader, check=check, prepare=prepared, sweep=sweep)
    if request.as_json:
        print_json(done.record())
    else:
        stdout().print(done.describe(), soft_wrap=True)
    if done.is_refused:
        raise typer.Exit(REFUSED)


def _pause(text: str | None) -> float | None:
    """Read how long after a refresh none sweeps again, in seconds.

    Raises:
        ConfigError: It is no duration.
    """
    if text is None:
        return None
    try:
        seconds: float = parse_duration(text)
    except ValueError as error:
        raise ConfigError([Problem(str(error), place=SourceLocation("--at-most-every"))]) from error
    return seconds


@dataclass(frozen=True)
class ResumeRequest:
    """What the user asked for; see the options of ``wine-sweep resume``."""

    sweep: str
    config: Path | None
    overrides: Sequence[str]
    trusted: tuple[str, ...]
    promote: bool
    tracking_uri: str | None
    experiment: str | None
    quiet: bool
    verbose: bool
    as_json: bool


def resume_command(request: ResumeRequest) -> None:
    """Go on where a sweep stopped, and print what `run` would have printed."""
    console = stderr()
    start_logging(console, quiet=request.quiet)
    with stop_on_signals(console.print) as stop:
        reader = SweepReader(open_store(request.tracking_uri), request.experiment)
        sweep = reader.find(request.sweep)
        recorded = StoredConfig.of(reader, sweep)
        draft = _draft(recorded, request)
        start_server(draft)
        let_import_from(draft.folder, request.trusted)
        plan = plan_resume(reader, sweep, recorded, draft, trusted=request.trusted)
        if sweep.status == "FINISHED" and not plan.has_more:
            discard_journal(reader, sweep)
            _say_that_it_is_finished(plan, as_json=request.as_json)
            return
        if stop():
            raise SweepInterrupted("interrupted before the sweep went on", run_id=sweep.run_id)
        stop.grace = plan.prepared.config.execution.grace
        resumption = resume(reader, plan, stop=stop)
        if not request.quiet:
            console.print(_what_is_there(plan, len(resumption.past.trials)), soft_wrap=True)
        with SweepProgress(console, plan.prepared.objective.metric, quiet=request.quiet) as progress:
            result = resume_sweep(resumption, observer=progress, may_promote=request.promote, verbose=request.verbose, stop=stop)
    print_outcome(result, as_json=request.as_json, tracking_uri=request.tracking_uri)


def _what_is_there(plan: Plan, results: int) -> str:
    name, run_id, planned = plan.sweep.name, plan.sweep.run_id[:8], planned_trials(plan.prepared)
    code = "" if plan.prepared.kind == "estimator" else f"; it runs: {plan.prepared.subject}"
    return f"{name} ({run_id}) goes on: {results} trials have a result; planned: {planned}{code}"


def _draft(recorded: StoredConfig, request: ResumeRequest) -> ParsedConfig:
    if request.config is not None:
        return read_config(request.config, request.overrides)
    return recorded.draft(request.overrides)


def _say_that_it_is_finished(plan: Plan, *, as_json: bool) -> None:
    sweep = plan.sweep
    if as_json:
        document = {"run_id": sweep.run_id, "name": sweep.name, "status": sweep.status, "resumed": False}
        print_json(document, indent=None)
        return
    done = f"the sweep '{sweep.name}' ({sweep.run_id[:8]}) is finished, with {plan.results} trials"
    stdout().print(f"Nothing to do: {done}. --trials N gives it N trials in all.")


@dataclass(frozen=True)
class RunRequest:
    """What the user asked for; see the options of ``wine-sweep run``."""

    draft: ParsedConfig
    trusted: tuple[str, ...]
    promote: bool
    tracking_uri: str | None
    experiment: str | None
    quiet: bool
    verbose: bool
    as_json: bool


def run_command(request: RunRequest) -> None:
    """Run a sweep, and print its leaderboard, the reasons for the winner, and what to do next."""
    console = stderr()
    start_logging(console, quiet=request.quiet)
    with stop_on_signals(console.print) as stop:
        let_import_from(request.draft.folder, request.trusted)
        prepared = prepare(request.draft, trusted=request.trusted)
        if stop():
            raise SweepInterrupted("interrupted before the sweep began", run_id="")
        options = RunOptions(
            tracking_uri=request.tracking_uri,
            experiment=request.experiment,
            promote=request.promote,
            verbose=request.verbose,
            command=mask(shlex.join(["wine-sweep", *sys.argv[1:]])),
        )
        stop.grace = prepared.config.execution.grace
        with SweepProgress(console, prepared.objective.metric, quiet=request.quiet) as progress:
            result = run_sweep(prepared, options, observer=progress, stop=stop)
    # by now MLflow is imported

    print_outcome(result, as_json=request.as_json, tracking_uri=request.tracking_uri)
