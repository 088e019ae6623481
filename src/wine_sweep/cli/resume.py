"""``wine-sweep resume``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wine_sweep.cli.console import start_logging, stderr, stdout
from wine_sweep.cli.formats import print_json
from wine_sweep.cli.head_start import start_server
from wine_sweep.cli.outcome import print_outcome
from wine_sweep.cli.progress import SweepProgress
from wine_sweep.cli.signals import stop_on_signals
from wine_sweep.cli.trust import let_import_from
from wine_sweep.config import ParsedConfig, read_config
from wine_sweep.errors import SweepInterrupted
from wine_sweep.runner.header import planned_trials
from wine_sweep.runner.recorded import StoredConfig
from wine_sweep.runner.resume import Plan, discard_journal, plan_resume, resume
from wine_sweep.runner.sweep import resume_sweep
from wine_sweep.tracking.reader import SweepReader
from wine_sweep.tracking.store import open_store


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
