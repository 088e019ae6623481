"""What a process finds when it starts, and no command could work with. Imports nothing heavy.

The commands, their options, and the exit codes. What a command does is in the module of its name.
"""

from __future__ import annotations

import atexit
import gc
import logging
import os
import sys
import traceback
import warnings
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from wine_sweep.cli.exits import FAILED, INTERRUPTED, Format, exit_code, report_error, report_interruption, surviving_streams
from wine_sweep.errors import ConfigError, Problem, SourceLocation, WineSweepError
from wine_sweep.importing import importing, is_process_ours, keep_working_folder_out, process_is_ours, start_scripts_as_usual
from wine_sweep.messages import one_of, show, visible
from wine_sweep.progress.signals import Interruption, end_with, ignore_signals, interrupted_by_signals

_LEVEL = "MLFLOW_LOGGING_LEVEL"
_CONFIGURE = "MLFLOW_CONFIGURE_LOGGING"
_YES_OR_NO = ("true", "false", "1", "0")


def check_surroundings() -> None:
    """See that the working folder is there, and that MLflow can be imported with the variables that it reads then.

    Raises:
        ConfigError: It is not, or it cannot.
    """
    try:
        os.getcwd()
    except OSError as error:
        what = "was deleted" if isinstance(error, FileNotFoundError) else f"cannot be used ({error.strerror})"
        raise ConfigError([Problem(f"the working folder {what}; go to another one, as by `cd`")]) from error
    problems = []
    level, configure = os.environ.get(_LEVEL), os.environ.get(_CONFIGURE)
    levels = logging.getLevelNamesMapping()
    if level and level.upper() not in levels:
        allowed = one_of(level.upper(), [name for name in levels if name != "NOTSET"])
        problems.append(Problem(f"no level of Python's logging; {allowed}; got {show(level)}", place=SourceLocation(_LEVEL)))
    if configure is not None and configure.lower() not in _YES_OR_NO:
        wrong = f"MLflow takes true, false, 1 or 0 in this environment variable; got {show(configure)}"
        problems.append(Problem(wrong, place=SourceLocation(_CONFIGURE)))
    if problems:
        raise ConfigError(problems)


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
    list[str] | None, typer.Option("--set", metavar="KEY.PATH=VALUE", help="Change a key of the config; repeatable.")
]
Trusted = Annotated[
    list[str] | None,
    typer.Option(
        "--trust",
        metavar="CODE",
        help="Trust a package, a file or folder with code of your own, model:NAME, or a Dask scheduler's address; repeatable.",
    ),
]
Workers = Annotated[int | None, typer.Option("--workers", metavar="N", min=1, help="Worker processes. Default: all cores.")]
Trials = Annotated[int | None, typer.Option("--trials", metavar="N", min=1, help="At most this many trials.")]
NoPromote = Annotated[bool, typer.Option("--no-promote", help="Do everything but the promotion.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show what functions and commands print.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no logs.")]


def main() -> NoReturn:
    """Run the command line and exit with its code."""
    process_is_ours()
    keep_working_folder_out()
    atexit.unregister(gc.freeze)
    atexit.register(gc.freeze)  # or Python would look through half a million objects before it ends, for a second
    _show_warnings_safely()
    with surviving_streams() as output_failure, interrupted_by_signals() as interruption:
        try:
            code = _run(interruption)
        finally:
            start_scripts_as_usual()
        if (failure := output_failure()) is not None:
            print(f"error: the results cannot be printed: {failure.strerror}", file=sys.stderr)
            code = code or FAILED
    if is_process_ours():
        ignore_signals()
        if code == INTERRUPTED:
            end_with(INTERRUPTED)
    sys.exit(code)


def _run(interruption: Interruption) -> str | int | None:
    """Run the command line, and return its exit code; whatever is raised after an interruption is a consequence of that."""
    as_json = "--json" in sys.argv
    try:
        app()
    except SystemExit as ended:
        if interruption.heard is None:
            return ended.code
    except WineSweepError as error:
        if interruption.heard is None:
            report_error(error, as_json=as_json)
            return exit_code(error)
    except KeyboardInterrupt:
        pass
    except Exception:  # noqa: BLE001  # shown as Python would, with its control characters as escapes
        if interruption.heard is None:
            print("\n".join(map(visible, traceback.format_exc().rstrip("\n").split("\n"))), file=sys.stderr)
            return 1
    report_interruption(as_json=as_json)
    return INTERRUPTED


def _show_warnings_safely() -> None:
    """Have Python's warnings of this process shown as one line each: they may quote names from a table or a server."""

    def show(message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: Any, **__: Any) -> None:
        print(visible(f"{filename}:{lineno}: {category.__name__}: {message}"), file=sys.stderr)

    warnings.showwarning = show


@app.command()
def run(
    config: ConfigFile,
    workers: Workers = None,
    trials: Trials = None,
    overrides: Overrides = None,
    no_promote: NoPromote = False,
    trust: Trusted = None,
    tracking_uri: TrackingUri = None,
    experiment: Experiment = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    as_json: AsJson = False,
) -> None:
    """Run a sweep: its trials, the winner, the promotion."""
    from wine_sweep.cli.startup import read_ahead

    draft = read_ahead(config, (*(overrides or ()), *_short(workers, trials)))

    with importing():
        from wine_sweep.cli.sweeps import RunRequest, run_command

    run_command(
        RunRequest(
            draft=draft,
            trusted=tuple(trust or ()),
            promote=not no_promote,
            tracking_uri=tracking_uri,
            experiment=experiment,
            quiet=quiet,
            verbose=verbose,
            as_json=as_json,
        )
    )


@app.command()
def resume(
    sweep: Sweep,
    trials: Annotated[
        int | None, typer.Option("--trials", metavar="N", min=1, help="Extend it: N trials in all, those it has among them.")
    ] = None,
    workers: Workers = None,
    overrides: Overrides = None,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="CONFIG", help="Take this config in place of the recorded one.")
    ] = None,
    no_promote: NoPromote = False,
    trust: Trusted = None,
    tracking_uri: TrackingUri = None,
    experiment: Experiment = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    as_json: AsJson = False,
) -> None:
    """Go on where a sweep stopped, from what MLflow has of it."""
    with importing():
        from wine_sweep.cli.sweeps import ResumeRequest, resume_command

    resume_command(
        ResumeRequest(
            sweep=sweep,
            config=config,
            overrides=(*(overrides or ()), *_short(workers, trials)),
            trusted=tuple(trust or ()),
            promote=not no_promote,
            tracking_uri=tracking_uri,
            experiment=experiment,
            quiet=quiet,
            verbose=verbose,
            as_json=as_json,
        )
    )


@app.command()
def plan(
    configs: Annotated[list[Path], typer.Argument(metavar="CONFIG...", help="Sweeps' YAML files.", show_default=False)],
    overrides: Overrides = None,
    trust: Trusted = None,
    experiment: Experiment = None,
    as_json: AsJson = False,
) -> None:
    """Check configs and show what would run and be promoted; runs nothing."""
    with importing():
        from wine_sweep.cli.plan import plan_command

    plan_command(configs, overrides=overrides or (), trusted=trust or (), experiment=experiment, as_json=as_json)


@app.command("list")
def list_(
    lost: Annotated[bool, typer.Option("--lost", help="Only what is RUNNING although its process is gone.")] = False,
    close: Annotated[bool, typer.Option("--close", help="With --lost: end that in MLflow, as KILLED.")] = False,
    tracking_uri: TrackingUri = None,
    experiment: Experiment = None,
    as_json: AsJson = False,
) -> None:
    """List the sweeps, the newest first."""
    with importing():
        from wine_sweep.cli.inspect import list_command

    code = list_command(tracking_uri=tracking_uri, experiment=experiment, only_lost=lost, close=close, as_json=as_json)
    raise typer.Exit(code)


@app.command()
def compare(
    sweeps: Annotated[
        list[str], typer.Argument(metavar="SWEEP...", help="One sweep or more, as for promote.", show_default=False)
    ],
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
        from wine_sweep.cli.inspect import compare_command

    compare_command(sweeps, top=top, sort=sort, format_=format_, tracking_uri=tracking_uri, experiment=experiment)


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
    trust: Trusted = None,
    tracking_uri: TrackingUri = None,
    experiment: Experiment = None,
    as_json: AsJson = False,
) -> None:
    """Select the best trial of a finished sweep, and promote it if the gate lets it; or move on from Staging to Production."""
    with importing():
        from wine_sweep.cli.promote import PromoteRequest, promote_command

    promote_command(
        PromoteRequest(
            sweep=sweep,
            run_id=run_id,
            stage=stage,
            name=name,
            force=force,
            dry_run=dry_run,
            trusted=tuple(trust or ()),
            tracking_uri=tracking_uri,
            experiment=experiment,
            as_json=as_json,
        )
    )


ModelName = Annotated[str, typer.Argument(metavar="NAME", help="The registered model.", show_default=False)]
Reason = Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Why, for the ledger.")]


@app.command()
def history(
    name: ModelName,
    as_of: Annotated[
        str | None, typer.Option("--as-of", metavar="DATE", help="What it held then: a day (its end) or a moment, in UTC.")
    ] = None,
    tracking_uri: TrackingUri = None,
    as_json: AsJson = False,
) -> None:
    """Show what was in a registered model's stages, since when, by whom, and why."""
    with importing():
        from wine_sweep.cli.inspect import history_command

    history_command(name, as_of=as_of, tracking_uri=tracking_uri, as_json=as_json)


@app.command()
def rollback(
    name: ModelName,
    stage: Annotated[str | None, typer.Option("--stage", metavar="STAGE", help="Staging (default) or Production.")] = None,
    why: Reason = None,
    trust: Trusted = None,
    tracking_uri: TrackingUri = None,
    as_json: AsJson = False,
) -> None:
    """Put the version back into a stage that was there before."""
    with importing():
        from wine_sweep.cli.promote import rollback_command

    rollback_command(name, stage=stage, why=why, trusted=trust or (), tracking_uri=tracking_uri, as_json=as_json)


@app.command()
def check(
    name: ModelName,
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
    trust: Trusted = None,
    tracking_uri: TrackingUri = None,
    experiment: Experiment = None,
    as_json: AsJson = False,
) -> None:
    """Check whether a registered model has decayed on new rows: what has moved, and what it loses."""
    with importing():
        from wine_sweep.cli.check import CheckRequest, check_command

    raise typer.Exit(
        check_command(
            CheckRequest(
                name=name,
                data=data,
                stage=stage,
                version=version,
                confidence=confidence,
                min_loss=min_loss,
                max_size=max_size,
                trusted=tuple(trust or ()),
                tracking_uri=tracking_uri,
                experiment=experiment,
                as_json=as_json,
            )
        )
    )


@app.command()
def reproduce(
    run_id: Annotated[
        str, typer.Argument(metavar="RUN_ID", help="A trial's run, or its first 6 or more characters.", show_default=False)
    ],
    trust: Trusted = None,
    tracking_uri: TrackingUri = None,
    experiment: Experiment = None,
    as_json: AsJson = False,
) -> None:
    """Run one trial again from what its run records, and say whether every metric agrees; writes nothing."""
    with importing():
        from wine_sweep.cli.check import reproduce_command

    raise typer.Exit(
        reproduce_command(run_id, trusted=trust or (), tracking_uri=tracking_uri, experiment=experiment, as_json=as_json)
    )


@app.command()
def refresh(
    config: ConfigFile,
    data: Annotated[str, typer.Option("--data", metavar="NEW", help="New rows: a table as in data.source.", show_default=False)],
    force: Annotated[bool, typer.Option("--force", help="Sweep whatever the check says, and however short ago.")] = False,
    at_most_every: Annotated[
        str | None,
        typer.Option("--at-most-every", metavar="TIME", help="Sweep no sooner than this after the last time: 7d, 12h."),
    ] = None,
    workers: Workers = None,
    trials: Trials = None,
    overrides: Overrides = None,
    trust: Trusted = None,
    tracking_uri: TrackingUri = None,
    experiment: Experiment = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Check the model in the stage on new rows; when it has decayed, sweep on old and new ones, and promote what is better."""
    with importing():
        from wine_sweep.cli.sweeps import RefreshRequest, refresh_command

    refresh_command(
        RefreshRequest(
            config=config,
            data=data,
            force=force,
            at_most_every=at_most_every,
            overrides=(*(overrides or ()), *_short(workers, trials)),
            trusted=tuple(trust or ()),
            tracking_uri=tracking_uri,
            experiment=experiment,
            quiet=quiet,
            as_json=as_json,
        )
    )


@app.command()
def ui(
    tracking_uri: TrackingUri = None,
    host: Annotated[str, typer.Option("--host", help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="The port to listen on.")] = 5000,
) -> None:
    """Open MLflow's UI on the store that sweeps are tracked in."""
    with importing():
        from wine_sweep.cli.inspect import ui_command

    ui_command(tracking_uri=tracking_uri, host=host, port=port)


@app.command("import-wandb")
def import_wandb(
    sweep: Annotated[Path, typer.Argument(metavar="FILE", help="A W&B sweep's YAML file.", show_default=False)],
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


def _short(workers: int | None, trials: int | None) -> list[str]:
    """Spell short options as changes to the config."""
    return [f"{key}={value}" for key, value in (("execution.workers", workers), ("search.trials", trials)) if value]


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
