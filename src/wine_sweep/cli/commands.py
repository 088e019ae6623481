"""The commands and their options, each declared once. Imports nothing heavy: a command's body imports what it works with."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from wine_sweep.cli.exits import DONE, FAILED, REFUSED, Format, print_json
from wine_sweep.cli.startup import check_surroundings, check_trusted, let_import_from, open_reader, start_server
from wine_sweep.errors import ConfigError, Problem, SweepInterrupted
from wine_sweep.importing import importing
from wine_sweep.messages import mask

app = typer.Typer(
    name="wine-sweep",
    help="Hyperparameter sweeps from one YAML file, tracked in MLflow, the best model promoted to Staging.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

ConfigFile = Annotated[Path, typer.Argument(metavar="CONFIG", help="The sweep's YAML file.", show_default=False)]
Sweep = Annotated[
    str,
    typer.Argument(metavar="SWEEP", help="A run id, its first 6 or more characters, a name, or 'latest'.", show_default=False),
]
TrackingUri = Annotated[
    str | None,
    typer.Option("--tracking-uri", metavar="URI", help="MLflow's store. Default: MLFLOW_TRACKING_URI, else MLflow's own."),
]


def _checked_experiment(name: str | None) -> str | None:
    if name is None:
        return None
    from wine_sweep.config.validation import check_experiment

    return check_experiment(name, "--experiment")


Experiment = Annotated[
    str | None,
    typer.Option("--experiment", metavar="NAME", help="The MLflow experiment.", callback=_checked_experiment),
]
Overrides = Annotated[
    list[str],
    typer.Option(
        "--set",
        metavar="KEY.PATH=VALUE",
        default_factory=list,
        show_default=False,
        help="Change a key of the config; repeatable.",
    ),
]
Trusted = Annotated[
    list[str],
    typer.Option(
        "--trust",
        metavar="CODE",
        default_factory=list,
        show_default=False,
        help="Trust a package, a file or folder with code of your own, model:NAME, or a Dask scheduler's address; repeatable.",
    ),
]
Workers = Annotated[int | None, typer.Option("--workers", metavar="N", min=1, help="Worker processes. Default: all cores.")]
Trials = Annotated[int | None, typer.Option("--trials", metavar="N", min=1, help="At most this many trials.")]
NoPromote = Annotated[bool, typer.Option("--no-promote", help="Do everything but the promotion.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show what functions and commands print.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no logs.")]


@app.command()
def run(
    config: ConfigFile,
    *,
    workers: Workers = None,
    trials: Trials = None,
    overrides: Overrides,
    no_promote: NoPromote = False,
    trust: Trusted,
    tracking_uri: TrackingUri = None,
    experiment: Experiment = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    as_json: AsJson = False,
) -> None:
    """Run a sweep: its trials, the winner, the promotion."""
    from wine_sweep.config import read_config

    draft = read_config(config, _changes(overrides, workers, trials))
    if draft.config is not None:
        start_server(draft.config.execution.backend)
    with importing():
        from wine_sweep.progress.display import SweepProgress, start_logging, stderr
        from wine_sweep.progress.signals import stop_on_signals
        from wine_sweep.sweep.run import RunOptions, run_sweep
        from wine_sweep.targets.prepare import prepare

    console = stderr()
    start_logging(console, quiet=quiet)
    with stop_on_signals(console.print) as stop:
        let_import_from(draft.folder, trust)
        prepared = prepare(draft, trusted=trust)
        if stop():
            raise SweepInterrupted("interrupted before the sweep began", run_id="")
        options = RunOptions(
            tracking_uri=tracking_uri, experiment=experiment, promote=not no_promote, verbose=verbose, command=_as_typed()
        )
        stop.grace = prepared.config.execution.grace
        with SweepProgress(console, prepared.objective.metric, quiet=quiet) as progress:
            result = run_sweep(prepared, options, observer=progress, stop=stop)
    from wine_sweep.cli.sweeps import print_outcome  # by now MLflow is imported: the sweep's writer did that beside the trials

    print_outcome(result, as_json=as_json, tracking_uri=tracking_uri)


@app.command()
def resume(
    sweep: Sweep,
    *,
    trials: Annotated[
        int | None, typer.Option("--trials", metavar="N", min=1, help="Extend it: N trials in all, those it has among them.")
    ] = None,
    workers: Workers = None,
    overrides: Overrides,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="CONFIG", help="Take this config in place of the recorded one.")
    ] = None,
    no_promote: NoPromote = False,
    trust: Trusted,
    tracking_uri: TrackingUri = None,
    experiment: Experiment = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    as_json: AsJson = False,
) -> None:
    """Go on where a sweep stopped, from what MLflow has of it."""
    with importing():
        from wine_sweep.cli.sweeps import describe_resumption, print_outcome, print_that_it_is_finished
        from wine_sweep.config import read_config
        from wine_sweep.progress.display import SweepProgress, start_logging, stderr
        from wine_sweep.progress.signals import stop_on_signals
        from wine_sweep.sweep import resume as resuming
        from wine_sweep.sweep.run import resume_sweep

    console, changes = stderr(), _changes(overrides, workers, trials)
    start_logging(console, quiet=quiet)
    with stop_on_signals(console.print) as stop:
        reader = open_reader(tracking_uri, experiment)
        found = reader.find(sweep)
        recorded = resuming.StoredConfig.of(reader, found)
        draft = recorded.draft(changes) if config is None else read_config(config, changes)
        if draft.config is not None:
            start_server(draft.config.execution.backend)
        let_import_from(draft.folder, trust)
        plan = resuming.plan_resume(reader, found, recorded, draft, trusted=trust)
        if found.status == "FINISHED" and not plan.has_more:
            resuming.discard_journal(reader, found)
            print_that_it_is_finished(plan, as_json=as_json)
            return
        if stop():
            raise SweepInterrupted("interrupted before the sweep went on", run_id=found.run_id)
        stop.grace = plan.prepared.config.execution.grace
        resumption = resuming.resume(reader, plan, stop=stop)
        if not quiet:
            console.print(describe_resumption(plan, len(resumption.past.trials)), soft_wrap=True)
        with SweepProgress(console, plan.prepared.objective.metric, quiet=quiet) as progress:
            result = resume_sweep(resumption, observer=progress, may_promote=not no_promote, verbose=verbose, stop=stop)
    print_outcome(result, as_json=as_json, tracking_uri=tracking_uri)


@app.command()
def plan(
    configs: Annotated[list[Path], typer.Argument(metavar="CONFIG...", help="Sweeps' YAML files.", show_default=False)],
    *,
    overrides: Overrides,
    trust: Trusted,
    experiment: Experiment = None,
    fit: Annotated[
        bool, typer.Option("--fit", help="Fit a model of each structure on a few rows, save it and load it back.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check configs and show what would run and be promoted; runs nothing."""
    with importing():
        from wine_sweep.cli.plan import plan_command

    plan_command(configs, overrides=overrides, trusted=trust, experiment=experiment, as_json=as_json, fits=fit)


@app.command("list")
def list_(
    *,
    lost: Annotated[bool, typer.Option("--lost", help="Only what is RUNNING although its process is gone.")] = False,
    close: Annotated[bool, typer.Option("--close", help="With --lost: end that in MLflow, as KILLED.")] = False,
    tracking_uri: TrackingUri = None,
    experiment: Experiment = None,
    as_json: AsJson = False,
) -> None:
    """List the sweeps, the newest first."""
    if close and not lost:
        raise ConfigError.at("--close", "ends what is lost, and nothing else; say `--lost --close`")
    with importing():
        from wine_sweep.cli.inspect import close_all, print_sweeps
        from wine_sweep.progress.display import start_logging, stderr
        from wine_sweep.sweep.lost import lost_sweeps
        from wine_sweep.tracking.lock import lost_checks

    reader = open_reader(tracking_uri, experiment)
    checks = lost_checks(reader.client, reader.experiment_ids)
    sweeps = reader.what_is_left(lost_sweeps(reader) if lost else reader.sweeps())
    if close:
        start_logging(stderr(), quiet=False)
        raise typer.Exit(DONE if close_all(reader, sweeps, checks, as_json=as_json) else FAILED)
    print_sweeps(reader, sweeps, checks, only_lost=lost, as_json=as_json)


@app.command()
def compare(
    sweeps: Annotated[
        list[str], typer.Argument(metavar="SWEEP...", help="One sweep or more, as for promote.", show_default=False)
    ],
    *,
    top: Annotated[int | None, typer.Option("--top", metavar="N", min=1, help="Only the best N trials.")] = None,
    sort: Annotated[
        str | None, typer.Option("--sort", metavar="METRIC", help="Order by this metric. Default: the objective.")
    ] = None,
    format_: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.TABLE,
    tracking_uri: TrackingUri = None,
    experiment: Experiment = None,
) -> None:
    """Show the leaderboard of one or more sweeps."""
    with importing():
        from wine_sweep.cli.inspect import board_of, print_board

    board = board_of(open_reader(tracking_uri, experiment), sweeps, sort=sort)
    print_board(board, format_, top=top)


@app.command()
def promote(
    sweep: Annotated[
        str | None,
        typer.Argument(
            metavar="[SWEEP]",
            help="As for resume. Without it, with --stage Production: the version that is in Staging.",
            show_default=False,
        ),
    ] = None,
    *,
    run_id: Annotated[
        str | None, typer.Option("--run", metavar="RUN_ID", help="Promote this trial in place of the best.")
    ] = None,
    stage: Annotated[
        str | None, typer.Option("--stage", metavar="STAGE", help="Staging or Production. Default: the config's.")
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="MODEL", help="The registered model. Default: the config's.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Whatever the gate says; from a sweep that failed, and out of Production, too.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be promoted.")] = False,
    trust: Trusted,
    tracking_uri: TrackingUri = None,
    experiment: Experiment = None,
    as_json: AsJson = False,
) -> None:
    """Select the best trial of a finished sweep, and promote it if the gate lets it; or move on from Staging to Production."""
    with importing():
        from wine_sweep.cli.sweeps import move_to_production, print_candidate
        from wine_sweep.config import Stage, find_stage
        from wine_sweep.registry import ModelRegistry
        from wine_sweep.sweep.promote_recorded import find_candidate, promote_candidate
        from wine_sweep.tracking.store import open_store

    wanted = find_stage(stage, "--stage")
    if sweep is None:
        if wanted is not Stage.PRODUCTION or name is None or run_id is not None:
            move = "to move the version in Staging on, say `--stage Production --name MODEL`; or name the SWEEP to promote from"
            raise ConfigError([Problem(move)])
        if not dry_run:
            check_trusted(trust)
        move_to_production(ModelRegistry(open_store(tracking_uri)), name, trust, dry_run=dry_run, as_json=as_json)
        return
    let_import_from(Path.cwd(), trust)
    reader = open_reader(tracking_uri, experiment)
    found = reader.find(sweep)
    candidate = find_candidate(reader, found, run_id=run_id, name=name, stage=wanted, force=force, trusted=trust)
    outcome = None if dry_run else promote_candidate(reader, candidate, force=force)
    print_candidate(candidate, outcome, as_json=as_json)
    if outcome is not None and outcome.is_refused:
        raise typer.Exit(REFUSED)


ModelName = Annotated[str, typer.Argument(metavar="NAME", help="The registered model.", show_default=False)]
Reason = Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Why, for the ledger.")]


@app.command()
def history(
    name: ModelName,
    *,
    as_of: Annotated[
        str | None, typer.Option("--as-of", metavar="DATE", help="What it held then: a day (its end) or a moment, in UTC.")
    ] = None,
    tracking_uri: TrackingUri = None,
    as_json: AsJson = False,
) -> None:
    """Show what was in a registered model's stages, since when, by whom, and why."""
    with importing():
        from wine_sweep.cli.inspect import print_history
        from wine_sweep.registry import ModelRegistry
        from wine_sweep.registry.transitions import parse_moment, read_history
        from wine_sweep.tracking.store import open_store

    at = parse_moment(as_of, "--as-of") if as_of is not None else None
    print_history(read_history(ModelRegistry(open_store(tracking_uri)), name, at=at), as_json=as_json)


@app.command()
def rollback(
    name: ModelName,
    *,
    stage: Annotated[str | None, typer.Option("--stage", metavar="STAGE", help="Staging (default) or Production.")] = None,
    why: Reason = None,
    trust: Trusted,
    tracking_uri: TrackingUri = None,
    as_json: AsJson = False,
) -> None:
    """Put the version back into a stage that was there before."""
    with importing():
        from wine_sweep.cli.sweeps import print_move
        from wine_sweep.config import Stage, find_stage
        from wine_sweep.promotion.manual import roll_back
        from wine_sweep.registry import ModelRegistry
        from wine_sweep.tracking.store import open_store

    check_trusted(trust)
    registry = ModelRegistry(open_store(tracking_uri))
    promotion = roll_back(registry, name, find_stage(stage, "--stage") or Stage.STAGING, why=why, trusted=trust)
    print_move(promotion, "Back to", as_json=as_json)


@app.command()
def check(
    name: ModelName,
    *,
    data: Annotated[
        str, typer.Option("--data", metavar="NEW", help="The new rows: a table's path, or a bundled name.", show_default=False)
    ],
    stage: Annotated[
        str | None, typer.Option("--stage", metavar="STAGE", help="Check the version in Staging (default) or Production.")
    ] = None,
    version: Annotated[
        int | None, typer.Option("--version", metavar="N", min=1, help="Check this version, in whatever stage.")
    ] = None,
    confidence: Annotated[
        float, typer.Option("--confidence", metavar="SHARE", min=0.5, max=0.9999, help="How sure a loss must be.")
    ] = 0.95,
    min_loss: Annotated[
        float, typer.Option("--min-loss", metavar="SHARE", min=0, help="By what share more must be lost to count.")
    ] = 0.05,
    max_size: Annotated[
        str | None, typer.Option("--max-size", metavar="SIZE", help="The most that the new rows may unfold to. Default: 2GB.")
    ] = None,
    trust: Trusted,
    tracking_uri: TrackingUri = None,
    experiment: Experiment = None,
    as_json: AsJson = False,
) -> None:
    """Check whether a registered model has decayed on new rows: what has moved, and what it loses."""
    with importing():
        from wine_sweep.cli.check import most_bytes, print_check
        from wine_sweep.config import Stage, find_stage
        from wine_sweep.monitoring.check import State, Thresholds
        from wine_sweep.progress.display import start_logging, stderr
        from wine_sweep.sweep.check import Check, check_model

    start_logging(stderr(), quiet=False)
    if stage is not None and version is not None:
        two = "names a version, and --stage one too; give one of the two"
        raise ConfigError.at("--version", two)
    wanted_stage = find_stage(stage, "--stage") or Stage.STAGING
    check_trusted(trust)
    wanted = Check(
        name,
        data,
        stage=wanted_stage,
        version=None if version is None else str(version),
        experiment=experiment,
        limits=Thresholds(confidence=confidence, least_rise=min_loss),
        max_size=most_bytes(max_size),
        raised_by="--max-size",
        trusted=tuple(trust),
    )
    outcome = check_model(open_reader(tracking_uri), wanted, folder=Path.cwd())
    print_check(outcome, as_json=as_json)
    raise typer.Exit(REFUSED if outcome.result.state is State.DECAYED else DONE)


@app.command()
def reproduce(
    run_id: Annotated[
        str, typer.Argument(metavar="RUN_ID", help="A trial's run, or its first 6 or more characters.", show_default=False)
    ],
    *,
    trust: Trusted,
    tracking_uri: TrackingUri = None,
    experiment: Experiment = None,
    as_json: AsJson = False,
) -> None:
    """Run one trial again from what its run records, and say whether every metric agrees; writes nothing."""
    with importing():
        from wine_sweep.cli.check import print_reproduction
        from wine_sweep.progress.display import start_logging, stderr
        from wine_sweep.sweep import reproduce as reproducing
        from wine_sweep.tracking.reader import find_trial

    console = stderr()
    start_logging(console, quiet=False)
    let_import_from(Path.cwd(), trust)
    reader = open_reader(tracking_uri, experiment)
    done = reproducing.reproduce(reader, find_trial(reader, run_id), trusted=trust, tell=console.print)
    print_reproduction(done, as_json=as_json)
    raise typer.Exit(DONE if done.agrees else FAILED)


@app.command()
def refresh(
    config: ConfigFile,
    *,
    data: Annotated[str, typer.Option("--data", metavar="NEW", help="New rows: a table as in data.source.", show_default=False)],
    force: Annotated[bool, typer.Option("--force", help="Sweep whatever the check says, and however short ago.")] = False,
    at_most_every: Annotated[
        str | None,
        typer.Option("--at-most-every", metavar="TIME", help="Sweep no sooner than this after the last time: 7d, 12h."),
    ] = None,
    workers: Workers = None,
    trials: Trials = None,
    overrides: Overrides,
    trust: Trusted,
    tracking_uri: TrackingUri = None,
    experiment: Experiment = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Check the model in the stage on new rows; when it has decayed, sweep on old and new ones, and promote what is better."""
    with importing():
        from wine_sweep.cli.sweeps import parse_pause
        from wine_sweep.config import MAX_TABLE, read_config
        from wine_sweep.data.table import resolve_source
        from wine_sweep.progress.display import SweepProgress, start_logging, stderr, stdout
        from wine_sweep.progress.signals import stop_on_signals
        from wine_sweep.registry import RegisteredVersion
        from wine_sweep.sweep import refresh as refreshing
        from wine_sweep.sweep.check import Check, CheckOutcome, check_model
        from wine_sweep.sweep.finish import SweepOutcome
        from wine_sweep.sweep.run import RunOptions, run_sweep
        from wine_sweep.targets.base import SweepPlan
        from wine_sweep.targets.prepare import prepare
        from wine_sweep.tracking.reader import SweepReader
        from wine_sweep.tracking.store import open_store

    console = stderr()
    start_logging(console, quiet=quiet)
    pause = parse_pause(at_most_every)

    def prepared(changes: Sequence[str] = ()) -> SweepPlan:
        draft = read_config(config, [*_changes(overrides, workers, trials), *changes])
        let_import_from(draft.folder, trust)
        return prepare(draft, trusted=trust)

    def sweep(made: SweepPlan) -> SweepOutcome:
        options = RunOptions(tracking_uri=tracking_uri, experiment=experiment, command=_as_typed(), refreshes=asked.target.name)
        with stop_on_signals(console.print) as stop:  # what comes before is interrupted, and has no trials that may go on
            stop.grace = made.config.execution.grace
            with SweepProgress(console, made.objective.metric, quiet=quiet) as progress:
                return run_sweep(made, options, observer=progress, stop=stop)

    def check(champion: RegisteredVersion) -> CheckOutcome:
        table = asked.base.config.data
        max_size = table.max_size if table is not None else MAX_TABLE
        wanted = Check(
            champion.name,
            asked.new,
            version=champion.version,
            experiment=experiment,
            max_size=max_size,
            trusted=tuple(trust),
        )
        return check_model(reader, wanted, folder=Path.cwd())

    asked = refreshing.Refresh(prepared(), resolve_source(data, Path.cwd()), force, pause)
    reader = SweepReader(open_store(tracking_uri, create=True))
    done = refreshing.refresh(asked, reader, check=check, prepare=prepared, sweep=sweep)
    if as_json:
        print_json(done.record())
    else:
        stdout().print(done.describe(), soft_wrap=True)
    if done.is_refused:
        raise typer.Exit(REFUSED)


@app.command()
def ui(
    *,
    tracking_uri: TrackingUri = None,
    host: Annotated[str, typer.Option("--host", help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="The port to listen on.")] = 5000,
) -> None:
    """Open MLflow's UI on the store that sweeps are tracked in."""
    with importing():
        from wine_sweep.cli.inspect import become_ui
        from wine_sweep.tracking.store import resolve_uri

    become_ui(resolve_uri(tracking_uri), host, port)


@app.command("import-wandb")
def import_wandb(
    sweep: Annotated[Path, typer.Argument(metavar="FILE", help="A W&B sweep's YAML file.", show_default=False)],
    *,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="CONFIG", help="Write to this file. Default: stdout.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that exists.")] = False,
    as_json: AsJson = False,
) -> None:
    """Turn a W&B sweep into a config, and say what became of each key."""
    with importing():
        from wine_sweep.cli.import_wandb import import_wandb_command

    import_wandb_command(sweep, output=output, force=force, as_json=as_json)


@app.command()
def schema() -> None:
    """Print the config's JSON Schema, for editors."""
    from wine_sweep.cli.plan import schema_command

    schema_command()


def _changes(overrides: Sequence[str], workers: int | None, trials: int | None) -> list[str]:
    """Return the changes to the config that options ask for; short options are spelled as such."""
    short = (("execution.workers", workers), ("search.trials", trials))
    return [*overrides, *(f"{key}={value}" for key, value in short if value)]


def _as_typed() -> str:
    return mask(shlex.join(["wine-sweep", *sys.argv[1:]]))


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"wine-sweep {version('wine-sweep')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[  # noqa: ARG001  # its callback does it all
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    check_surroundings()
