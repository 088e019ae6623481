"""The trials of a sweep: workers, searcher and loop put together, for a new sweep and for one that is resumed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from wine_sweep.config import Backend, SearchConfig
from wine_sweep.execution import make_workers
from wine_sweep.runner.ask_and_tell import outcome_of
from wine_sweep.runner.handover import ProgramWorkers
from wine_sweep.runner.keeping import Persistence
from wine_sweep.runner.loop import LoopResult, TrialLoop
from wine_sweep.runner.recorder import Observer, SweepRecorder
from wine_sweep.runner.stopping import Budget, make_stoppers
from wine_sweep.search.methods import count_points, count_trials, make_searcher
from wine_sweep.search.searcher import Searcher
from wine_sweep.search.space import Space
from wine_sweep.selection import Objective
from wine_sweep.subjects.own_goals import needed_metrics
from wine_sweep.subjects.prepared import SweepPlan
from wine_sweep.tracking import names
from wine_sweep.trial import Trial, TrialState


@dataclass(frozen=True)
class Past:
    """What a sweep that is resumed has behind it.

    Args:
        trials: The trials that ended, by number.
        seconds: How long trials were measured.
        workers: How many workers the order of telling counted with; None where that is not known.
        best_steps: For each metric of ``best_…`` the numbers of the trials at which it stands in MLflow already.
    """

    trials: Mapping[int, Trial] = field(default_factory=dict)
    seconds: float = 0.0
    workers: int | None = None
    best_steps: Mapping[str, frozenset[int]] = field(default_factory=dict)


def run_trials(
    prepared: SweepPlan,
    persistence: Persistence,
    older: Sequence[Trial],
    past: Past,
    *,
    observer: Observer,
    stop: Callable[[], bool],
    clock: Callable[[], float] = time.time,
) -> LoopResult:
    """Run what is missing of a sweep's trials.

    Args:
        prepared: The checked config and its data.
        persistence: Writes to MLflow, and keeps what is not written yet.
        older: What an older sweep found; filled by the writer, and read once that has made its target.
        past: What is not missing.
        observer: Is told what happens.
        stop: Whether somebody wants the sweep to stop.
        clock: Tells the time in seconds since the epoch.

    Raises:
        ExecutionError: The workers as a whole are gone.
        SearchError: The sampler failed.
        TrackingError: The store failed.
    """
    search, space, objective = prepared.config.search, prepared.space, prepared.objective
    writer = persistence.writer
    execution = prepared.config.execution
    workers = make_workers(  # they start while Optuna is imported
        execution, prepared.task(), packages=prepared.packages, trial_dirs=persistence.journal.trial_dirs.root
    )
    if prepared.hands_over_runs:
        watched = objective.metric if search.pruner is not None else None
        needed, of = needed_metrics(objective), prepared.of
        workers = ProgramWorkers(workers, writer, needed=needed, of=of, watched=watched, clock=clock)
    try:
        searcher = _searcher(prepared, search)
        stoppers = make_stoppers(search, space, objective)
        if execution.backend is Backend.SERIAL or search.from_ is not None:
            writer.wait_until_made()  # serial trials record warnings of this very process, where MLflow's import warns too
            writer.check()
        teach(searcher, older, objective)
        lag = execution.workers or past.workers or workers.size
        writer.do(lambda runs: runs.set_tags(runs.run_id, {names.WORKERS: str(lag)}))
        observer.sweep_started(prepared.name, count_trials(search, space), workers.size)
        recorder = SweepRecorder(
            writer, persistence.journal, objective, observer, best_steps=past.best_steps, verbose=persistence.verbose, clock=clock
        )
        loop = TrialLoop(
            searcher=searcher,
            workers=workers,
            recorder=recorder,
            objective=objective,
            budget=_budget(search, space, spent=past.seconds),
            stoppers=stoppers,
            stop=stop,
            retries=execution.retries,
            max_failures=execution.max_failures,
            prunes=search.pruner is not None,
            lag_workers=lag,
            grace=execution.grace,
            past=past.trials,
            relearn=lambda trials: _relearned(prepared, older, list(trials)),
            clock=clock,
        )
        try:
            return loop.run()
        finally:
            recorder.close()
    finally:
        workers.stop()


def teach(searcher: Searcher, trials: Iterable[Trial], objective: Objective) -> None:
    """Have a searcher learn from finished trials that it did not suggest, in the order of their numbers.

    Raises:
        SearchError: The sampler failed.
    """
    for trial in trials:
        if trial.state is TrialState.FINISHED and searcher.adaptive:
            searcher.learn(trial.params, outcome_of(trial, objective))


def _searcher(prepared: SweepPlan, search: SearchConfig) -> Searcher:
    directions = [goal.direction for goal in prepared.objective.goals]
    return make_searcher(search, prepared.space, directions=directions, steps=prepared.steps)


def _relearned(prepared: SweepPlan, older: Sequence[Trial], trials: Sequence[Trial]) -> Searcher:
    """Make a searcher that has learned from trials; another seed keeps it from suggesting the first of them again."""
    search = prepared.config.search
    searcher = _searcher(prepared, search.model_copy(update={"seed": (search.seed + len(trials)) % 2**32}))
    teach(searcher, [*older, *trials], prepared.objective)
    return searcher


def _budget(search: SearchConfig, space: Space, *, spent: float) -> Budget:
    """Say when to stop asking: what tries each point once is done then, what draws may draw all of them before it is."""
    seconds = None if search.timeout is None else max(search.timeout - spent, 0.0)
    if search.method.is_exhaustive:
        return Budget(count_trials(search, space), seconds, None)
    return Budget(search.trials, seconds, count_points(search, space))
