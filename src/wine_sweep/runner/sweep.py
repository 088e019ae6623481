"""A sweep from its config to the registry."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from wine_sweep.config import Backend, SearchConfig
from wine_sweep.errors import SweepFailed, SweepInterrupted, TrackingError
from wine_sweep.execution import make_workers
from wine_sweep.runner.closing import Closing
from wine_sweep.runner.header import experiment_name, sweep_files, sweep_params, sweep_tags
from wine_sweep.runner.loop import LoopResult, TrialLoop
from wine_sweep.runner.preflight import Prepared
from wine_sweep.runner.recorder import Observer, SweepRecorder
from wine_sweep.runner.stopping import Budget, StopReason, make_stoppers
from wine_sweep.search.methods import count_points, count_trials, make_searcher
from wine_sweep.search.space import Space
from wine_sweep.selection import Selection, select
from wine_sweep.tracking import names
from wine_sweep.tracking.writer import BackgroundWriter
from wine_sweep.trial import Trial

if TYPE_CHECKING:  # these import MLflow, which takes seconds that the first trials should not wait for
    from wine_sweep.registry import Promotion
    from wine_sweep.runner.winner import Winner
    from wine_sweep.tracking.sweep_runs import SweepRuns

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunOptions:
    """How a sweep is run, beside what its config says.

    Args:
        tracking_uri: MLflow's store; None for MLflow's own default.
        experiment: The experiment, in place of the config's.
        promote: Whether the winner is promoted, if the config names a registered model.
        command: What the user typed, for MLflow's column "source".
    """

    tracking_uri: str | None = None
    experiment: str | None = None
    promote: bool = True
    command: str = "wine_sweep"


@dataclass(frozen=True)
class SweepResult:
    """What came of a sweep.

    Args:
        closing: All trials, the runs they are in, and why there are no more.
        selection: The winner and the reasons.
        winner: The refitted model.
        promotion: Where it was promoted to; None when nothing was to be promoted.
    """

    closing: Closing
    selection: Selection
    winner: Winner
    promotion: Promotion | None

    @property
    def run_id(self) -> str:
        """The parent run's id."""
        return self.closing.runs.run_id

    @property
    def trials(self) -> Sequence[Trial]:
        """All trials by number, with their runs' ids."""
        return self.closing.trials


def run_sweep(
    prepared: Prepared,
    options: RunOptions,
    *,
    observer: Observer,
    stop: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.time,
) -> SweepResult:
    """Run a sweep: its trials, the winner, the promotion. Whatever happens, every run of it in MLflow is ended.

    Args:
        prepared: The checked config and its data.
        options: Where it is tracked, and whether it promotes.
        observer: Is told what happens.
        stop: Whether somebody wants it to stop.
        clock: Tells the time in seconds since the epoch.

    Raises:
        SweepFailed: No trial finished, or too many failed.
        ExecutionError: The workers as a whole are gone.
        SweepInterrupted: `stop` said so; parent and running trials are KILLED.
        TrackingError: The store failed.
        ModelError: The winner cannot be saved.
    """
    header_time = clock()
    older: list[Trial] = []
    writer = BackgroundWriter(lambda: _begin(prepared, options, header_time, older))
    status = "FAILED"
    try:
        result = _run_trials(prepared, writer, older, observer=observer, stop=stop, clock=clock)
        runs = writer.join()
        closing = Closing(prepared, runs, _with_run_ids(result.trials, runs), result.stopped_by, result.repeats)
        closing.write_trials()
        finished = _conclude(closing, options, observer, stop)
        status = "FINISHED"
        return finished
    except (KeyboardInterrupt, SweepInterrupted) as error:
        status = "KILLED"
        writer.close()
        raise SweepInterrupted("the sweep was interrupted", run_id=writer.target.run_id if writer.target else "") from error
    finally:
        _end(writer, status, clock)


def _begin(prepared: Prepared, options: RunOptions, started: float, older: list[Trial]) -> SweepRuns:
    """Open the store and make the parent run; called in the writer's thread, since importing MLflow takes seconds.

    The trials that `search.from` names are put into `older`, before anything is written.
    """
    from wine_sweep.tracking.store import open_store
    from wine_sweep.tracking.sweep_runs import SweepHeader, SweepRuns

    client = open_store(options.tracking_uri, create=True)
    tags = sweep_tags(prepared, command=options.command)
    if prepared.config.search.from_ is not None:
        from wine_sweep.runner.warm_start import find_older
        from wine_sweep.tracking.reader import SweepReader

        found = find_older(prepared, SweepReader(client))
        older += found.trials
        tags[names.FROM] = found.run_id
    dataset = prepared.material.dataset
    header = SweepHeader(
        name=prepared.name,
        experiment=experiment_name(prepared, options.experiment),
        started=started,
        params=sweep_params(prepared),
        tags=tags,
        files=sweep_files(prepared),
        table=dataset.table,
        data_source=dataset.source,
        data_name=dataset.name,
        data_digest=dataset.digest,
    )
    return SweepRuns.begin(client, header)


def _run_trials(
    prepared: Prepared,
    writer: BackgroundWriter[SweepRuns],
    older: list[Trial],
    *,
    observer: Observer,
    stop: Callable[[], bool],
    clock: Callable[[], float],
) -> LoopResult:
    search, space, objective = prepared.config.search, prepared.space, prepared.objective
    execution = prepared.config.execution
    workers = make_workers(execution, prepared.measurement(), packages=prepared.packages)  # they start while Optuna is imported
    try:
        searcher = make_searcher(search, space, directions=[goal.direction for goal in objective.goals], steps=prepared.steps)
        stoppers = make_stoppers(search, space, objective)
        if execution.backend is Backend.SERIAL or search.from_ is not None:
            writer.wait_until_made()  # serial trials record warnings of this very process, where MLflow's import warns too
            writer.check()
        if older:
            from wine_sweep.runner.warm_start import teach

            teach(searcher, older, objective)
        observer.sweep_started(prepared.name, count_trials(search, space), workers.size)
        loop = TrialLoop(
            searcher=searcher,
            workers=workers,
            recorder=SweepRecorder(writer, objective, observer, clock=clock),
            objective=objective,
            budget=_budget(search, space),
            stoppers=stoppers,
            stop=stop,
            clock=clock,
            retries=execution.retries,
            max_failures=execution.max_failures,
            lag_workers=execution.workers,
        )
        return loop.run()
    finally:
        workers.stop()


def _budget(search: SearchConfig, space: Space) -> Budget:
    """Say when to stop asking: what tries each point once is done then, what draws may draw all of them before it is."""
    if search.method.is_exhaustive:
        return Budget(count_trials(search, space), search.timeout, None)
    return Budget(search.trials, search.timeout, count_points(search, space))


def _with_run_ids(trials: Sequence[Trial], runs: SweepRuns) -> list[Trial]:
    return [replace(trial, run_id=runs.trial_run_ids[trial.number]) for trial in trials]


def _conclude(closing: Closing, options: RunOptions, observer: Observer, stop: Callable[[], bool]) -> SweepResult:
    """Select, refit, keep, promote, and sum up; before each of them somebody may have said stop."""
    from wine_sweep.runner.winner import keep, promote, promotion_in_words, refit

    def go_on_with(what: str) -> None:
        if stop() or closing.stopped_by is StopReason.INTERRUPTED:
            raise SweepInterrupted("the sweep was interrupted", run_id=runs.run_id)
        observer.phase(what)

    prepared, runs = closing.prepared, closing.runs
    go_on_with("choosing the winner")
    if closing.has_too_many_failures:
        raise SweepFailed(closing.why_too_many_failed())
    selection = select(closing.trials, prepared.objective)
    if selection is None or selection.trial.run_id is None:
        raise SweepFailed(closing.why_none_finished())
    closing.write_selection(selection)
    go_on_with("fitting the winner")
    winner = refit(prepared, selection.trial.params)
    go_on_with("saving the winner")
    uri = keep(winner, runs, selection.trial.run_id, trusted=prepared.factory.trusted)
    registry, promotion = prepared.config.registry, None
    if registry is not None and options.promote:
        go_on_with(f"promoting it to {registry.stage.value}")
        promotion = promote(prepared, runs, selection, name=registry.name, stage=registry.stage, model_uri=uri)
    closing.write_winner(selection, winner, promotion_in_words(promotion))
    return SweepResult(closing, selection, winner, promotion)


def _end(writer: BackgroundWriter[SweepRuns], status: str, clock: Callable[[], float]) -> None:
    """End the parent run and what is still open under it; an error here is logged, since it must not hide the first one."""
    writer.close()
    if writer.target is None:
        return
    try:
        writer.target.end(status, at=clock())
    except TrackingError as error:
        if status == "FINISHED":
            raise
        _logger.error("the run %s and runs below it stay RUNNING in MLflow: %s", writer.target.run_id, error)
