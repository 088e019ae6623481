"""A sweep from its config to the registry: a new one, or one that goes on where it stopped."""

from __future__ import annotations

import importlib
import logging
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from wine_sweep.errors import (
    ExecutionError,
    ModelError,
    OvertakenError,
    OwnershipError,
    SearchError,
    SweepInterrupted,
    TrackingError,
    WineSweepError,
)
from wine_sweep.importing import importing
from wine_sweep.search.methods import import_searcher
from wine_sweep.sweep.loop import LoopResult, Past, run_trials
from wine_sweep.sweep.metadata import experiment_name, runs_of, sweep_header, sweep_tags
from wine_sweep.sweep.recorder import FINISHED, Observer, Persistence, WaitingResults
from wine_sweep.sweep.rehearsal import Rehearsal
from wine_sweep.targets.base import SweepPlan
from wine_sweep.tracking import names
from wine_sweep.tracking.journal import Journal
from wine_sweep.tracking.local_state import BEAT_SECONDS
from wine_sweep.tracking.retry import RetryPolicy
from wine_sweep.trial import Trial

if TYPE_CHECKING:  # these import MLflow, which takes seconds that the first trials should not wait for
    from wine_sweep.sweep.finish import SweepOutcome
    from wine_sweep.sweep.resume import Resumption
    from wine_sweep.tracking.runs import SweepRuns

Failed = TypeVar("Failed", bound=WineSweepError)


_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunOptions:
    """How a sweep is run, beside what its config says.

    Args:
        tracking_uri: MLflow's store; None for MLflow's own default.
        experiment: The experiment, in place of the config's.
        promote: Whether the winner is promoted, if the config names a registered model.
        command: What the user typed, for MLflow's column "source".
        verbose: Whether the observer is told what trials print.
        refreshes: The registered model that the sweep is to replace since it has decayed; the tag ``wine_sweep.refresh``.
        token: Names the journal on this machine; the parent run's tag ``wine_sweep.journal``.
    """

    tracking_uri: str | None = None
    experiment: str | None = None
    promote: bool = True
    command: str = "wine_sweep"
    verbose: bool = False
    refreshes: str | None = None
    token: str = field(default_factory=lambda: uuid.uuid4().hex)


def run_sweep(
    prepared: SweepPlan,
    options: RunOptions,
    *,
    observer: Observer,
    stop: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.time,
) -> SweepOutcome:
    """Run a sweep: its trials, the winner, the promotion. Whatever happens, every run of it in MLflow is ended.

    Args:
        prepared: The checked config and its data.
        options: Where it is tracked, and whether it promotes.
        observer: Is told what happens.
        stop: Whether somebody wants it to stop.
        clock: Tells the time in seconds since the epoch.

    Raises:
        ConfigError: The experiment's name is longer than MLflow takes; or a model with the first trial's parameters cannot be
            fitted, saved or loaded, which is found while the store is opened, before anything is written.
        SweepFailed: No trial finished, or too many failed.
        ExecutionError: The workers as a whole are gone.
        SweepInterrupted: `stop` said so; parent and running trials are KILLED.
        OutageError: The store was away for longer than `execution.tracking_timeout`; what it did not get is in the journal.
        TrackingError: The store failed.
        ModelError: The winner cannot be saved.
    """
    started = clock()
    for text in prepared.material.overlaps if prepared.material is not None else ():
        _logger.warning("%s", text)
    experiment = experiment_name(prepared, options.experiment)  # now, or it would be refused once trials run
    older: list[Trial] = []
    policy = RetryPolicy(prepared.config.execution.tracking_timeout, stop=stop)
    journal = Journal.of(options.token)
    rehearsal = Rehearsal(prepared, stop) if prepared.is_rehearsed else None
    make = partial(
        _begin,
        prepared,
        options,
        started,
        older,
        policy,
        experiment=experiment,
        rehearsal=rehearsal,
    )
    persistence = Persistence.begin(lambda: _bound(journal, make()), policy, journal, stop=stop, verbose=options.verbose)
    persistence.writer.do(lambda runs: runs.describe())
    if not prepared.config.execution.backend.traits.runs_in_this_process:  # serial trials would record what these imports warn of
        persistence.writer.when_idle(partial(_import_what_concludes, prepared))
    sweep = _Sweep(prepared, persistence, observer=observer, stop=stop, rehearsal=rehearsal, clock=clock)
    return sweep.carry_out(older, Past(), may_promote=options.promote)


def resume_sweep(
    resumption: Resumption,
    *,
    observer: Observer,
    may_promote: bool = True,
    verbose: bool = False,
    stop: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.time,
) -> SweepOutcome:
    """Go on where a sweep stopped; see `run_sweep` for what else is given and raised."""
    policy = RetryPolicy(resumption.prepared.config.execution.tracking_timeout, stop=stop, has_worked=True)
    persistence = Persistence.begin(lambda: _go_on(resumption), policy, resumption.journal, stop=stop, verbose=verbose)
    rehearsal = Rehearsal(resumption.prepared, stop) if resumption.prepared.is_rehearsed and not resumption.past.trials else None
    persistence.writer.do(lambda runs: runs.describe())
    sweep = _Sweep(resumption.prepared, persistence, observer=observer, stop=stop, rehearsal=rehearsal, clock=clock)
    return sweep.carry_out(resumption.older, resumption.past, may_promote=may_promote)


def _begin(
    prepared: SweepPlan,
    options: RunOptions,
    started: float,
    older: list[Trial],
    policy: RetryPolicy,
    *,
    experiment: str,
    rehearsal: Rehearsal | None,
) -> SweepRuns:
    """Open the store and make the parent run; called in the writer's thread, since importing MLflow takes seconds.

    The trials that `search.from` names are put into `older`, before anything is written.
    """
    with _imports(prepared):
        import_searcher(prepared.config.search)
        from wine_sweep.tracking.store import leave_retries_to_policy, open_store

    if rehearsal is not None:
        rehearsal.wait()
    with _imports(prepared):
        client = open_store(options.tracking_uri, create=True)
    tags = {**sweep_tags(prepared, command=options.command), names.JOURNAL: options.token}
    if options.refreshes is not None:
        tags[names.REFRESH] = options.refreshes
    if prepared.config.search.from_ is not None:
        from wine_sweep.sweep.resume import find_older
        from wine_sweep.tracking.reader import SweepReader

        found = find_older(prepared, SweepReader(client))
        older += found.trials
        tags[names.FROM] = found.run_id
    header = sweep_header(prepared, experiment=experiment, started=started, tags=tags)
    leave_retries_to_policy()
    return runs_of(prepared).begin(client, header, policy=policy)


def _bound(journal: Journal, runs: SweepRuns) -> SweepRuns:
    journal.bind(runs.run_id)
    return runs


def _go_on(resumption: Resumption) -> SweepRuns:
    from wine_sweep.tracking.store import leave_retries_to_policy

    leave_retries_to_policy()
    return resumption.runs


def _imports(prepared: SweepPlan) -> AbstractContextManager[None]:
    """Return the context to import something in while trials run: where they run in this process, their garbage is looked for."""
    return nullcontext() if prepared.config.execution.backend.traits.runs_in_this_process else importing()


def _import_what_concludes(prepared: SweepPlan) -> None:
    """Import what comes after the trials: scikit-learn as a whole among it, for most of a second."""
    with _imports(prepared):
        importlib.import_module("wine_sweep.sweep.finish")


class _Sweep:
    """A sweep that is being carried out: its runs are ended whatever happens, unless another process has taken them over."""

    def __init__(
        self,
        prepared: SweepPlan,
        persistence: Persistence,
        *,
        observer: Observer,
        stop: Callable[[], bool],
        rehearsal: Rehearsal | None,
        clock: Callable[[], float],
    ) -> None:
        self._prepared = prepared
        self._persistence = persistence
        self._observer = observer
        self._stop = stop
        self._rehearsal = rehearsal
        self._clock = clock

    def _run_trials(self, older: Sequence[Trial], past: Past) -> LoopResult:
        rehearsal = self._rehearsal
        try:
            return run_trials(
                self._prepared,
                self._persistence,
                older,
                past,
                observer=self._observer,
                stop=self._stop,
                rehearse=rehearsal.hold if rehearsal is not None else lambda: None,
                clock=self._clock,
            )
        finally:
            if rehearsal is not None:
                rehearsal.abandon()

    def carry_out(self, older: Sequence[Trial], past: Past, *, may_promote: bool) -> SweepOutcome:
        """Run the trials that are missing, and conclude."""
        persistence, writer = self._persistence, self._persistence.writer
        status: str | None = "FAILED"
        writer.every(BEAT_SECONDS, lambda runs: runs.beat())
        try:
            result = self._run_trials(older, past)
            runs = writer.join(WaitingResults(writer, self._observer).tell)
            finished = self._conclude(result, runs, may_promote=may_promote)
            status = FINISHED
            return finished
        except OvertakenError:
            raise  # by another promotion; the sweep is this process's
        except OwnershipError as error:
            status = None
            writer.close()
            raise persistence.taken_over(error) from error
        except (KeyboardInterrupt, SweepInterrupted) as error:
            status = "KILLED"
            with suppress(KeyboardInterrupt):  # a second signal ends the waiting, not what closes the runs
                writer.close()
            raise persistence.interrupted() from error
        except TrackingError as error:
            if error.is_outage and self._stop():
                status = "KILLED"
                raise persistence.interrupted() from error
            explained = self._resumable(persistence.explain(error))
            if explained is error:
                raise
            raise explained from error
        except (ExecutionError, SearchError, ModelError) as error:
            raise self._resumable(error) from error.__cause__
        finally:
            self._end_runs(status, at=self._clock())

    def _end_runs(self, status: str | None, *, at: float) -> None:
        """End the runs, also if a second signal comes meanwhile: it stops the trials at once, and not what closes their runs."""
        try:
            self._persistence.end(status, at=at)
        except KeyboardInterrupt:  # raised once; later signals change nothing
            self._persistence.end(status, at=at)

    def _resumable(self, error: Failed) -> Failed:
        """Have an error name the sweep that goes on once its cause is mended."""
        error.run_id = self._persistence.run_id
        return error

    def _conclude(self, result: LoopResult, runs: SweepRuns, *, may_promote: bool) -> SweepOutcome:
        _import_what_concludes(self._prepared)  # not while the writer imports: each may get half of a package
        from wine_sweep.sweep.finish import FinishedSweep, conclude

        trials = [replace(trial, run_id=runs.trial_run_ids[trial.number]) for trial in result.trials]
        closing = FinishedSweep(self._prepared, runs, trials, result.stopped_by, result.repeats)
        self._persistence.policy.run(runs.check_owner)
        self._persistence.policy.run(closing.write_trials)
        return conclude(closing, self._persistence, self._observer, self._stop, may_promote=may_promote)
