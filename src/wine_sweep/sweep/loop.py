"""The loop of a sweep: ask for trials, have them measured, tell the results, and stop in time.

Knows nothing of MLflow or Optuna.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field, replace
from enum import StrEnum
from statistics import fmean
from typing import Protocol

from wine_sweep.config import RetriesConfig, SearchConfig
from wine_sweep.errors import TrackingError
from wine_sweep.execution import Workers, make_workers
from wine_sweep.execution.base import POLL_SECONDS
from wine_sweep.search.methods import count_points, count_trials, make_searcher
from wine_sweep.search.searcher import Searcher
from wine_sweep.search.space import Space
from wine_sweep.selection import Objective
from wine_sweep.sweep.program_workers import ProgramWorkers
from wine_sweep.sweep.recorder import Observer, Persistence, SweepRecorder
from wine_sweep.sweep.replay import ReplayableSearch, outcome_of
from wine_sweep.targets.base import SweepPlan
from wine_sweep.targets.objectives import needed_metrics
from wine_sweep.tracking import names
from wine_sweep.tracking.journal import masked
from wine_sweep.trial import FIT_SECONDS, FailureCause, Step, Trial, TrialState


class StopReason(StrEnum):
    """Why a sweep asked for no more trials."""

    TRIALS = "every trial was run"
    TIMEOUT = "the time was up"
    EXHAUSTED = "there was nothing new left to try"
    TARGET = "the target was reached"
    PATIENCE = "nothing better came for as many trials as `patience` says"
    FAILURES = "as many trials failed as `max_failures` allows"
    INTERRUPTED = "it was interrupted"

    @property
    def ended_early(self) -> bool:
        """Return whether there may have been more to try."""
        return self is not StopReason.TRIALS


class Stopper(Protocol):
    """Says when results are reason enough to stop.

    Attributes:
        reason: What it stops for.
    """

    reason: StopReason

    def add(self, trial: Trial) -> bool:
        """Take a trial that has ended, in the order of numbers, and say whether to stop."""


@dataclass(frozen=True)
class Budget:
    """When to stop asking.

    Args:
        trials: The most trials to run; None for no limit.
        seconds: The time after which none is started any more; None for no limit.
        points: The number of different points of the space; None when it has no end.
    """

    trials: int | None = None
    seconds: float | None = None
    points: int | None = None

    @property
    def repeats(self) -> int:
        """How many repeated suggestions in a row mean that nothing new will come."""
        return min(max(100, 10 * (self.points or 0)), 1000)


def make_stoppers(config: SearchConfig, objective: Objective) -> list[Stopper]:
    """Make what the keys `target` and `patience` ask for."""
    stoppers: list[Stopper] = []
    if config.target is not None:
        stoppers.append(Target(objective, float(config.target)))
    if config.patience is not None:
        stoppers.append(Patience(objective, config.patience))
    return stoppers


class Target:
    """Stops when a trial that could win reaches a value."""

    reason = StopReason.TARGET

    def __init__(self, objective: Objective, value: float) -> None:
        self._objective = objective
        self._value = value

    def add(self, trial: Trial) -> bool:
        """Take a trial; see `Stopper`."""
        return trial.can_win and not self._objective.better(self._value, trial.score(self._objective.metric).mean)


class Patience:
    """Stops when a number of trials in a row were no better than the best before; with several goals, than the front.

    Trials that failed, were pruned or broke a limit are no better. It begins to count at the first that could win.
    """

    reason = StopReason.PATIENCE

    def __init__(self, objective: Objective, trials: int) -> None:
        self._objective = objective
        self._trials = trials
        self._front: list[tuple[float, ...]] = []
        self._in_vain = 0

    def add(self, trial: Trial) -> bool:
        """Take a trial; see `Stopper`."""
        if trial.can_win and self._advances(self._objective.losses(trial)):
            self._in_vain = 0
        elif self._front:
            self._in_vain += 1
        return self._in_vain >= self._trials

    def _advances(self, losses: tuple[float, ...]) -> bool:
        """Add a point to the front unless one of it is at least as good everywhere."""
        if any(all(old <= new for old, new in zip(point, losses, strict=True)) for point in self._front):
            return False
        self._front = [point for point in self._front if any(old < new for old, new in zip(point, losses, strict=True))]
        self._front.append(losses)
        return True


_logger = logging.getLogger(__name__)


class Recorder(Protocol):
    """Keeps what happens to trials; returns at once."""

    def trial_started(self, trial: Trial) -> None:
        """Take note that a trial is being measured."""

    def trial_ended(self, trial: Trial) -> None:
        """Take note of what came of a trial."""

    def trial_restored(self, trial: Trial) -> None:
        """Take note of a trial that ended before the sweep was resumed."""

    def check(self) -> None:
        """Raise what went wrong with the keeping, so that the sweep ends instead of running unrecorded."""

    def is_behind(self) -> bool:
        """Return whether so much waits to be kept that no trial should be begun for now."""


@dataclass(frozen=True)
class LoopResult:
    """What the loop leaves: all trials by number, why it stopped, and how many suggestions repeated earlier parameters."""

    trials: list[Trial]
    stopped_by: StopReason
    repeats: int


@dataclass
class TrialLoop:
    """Runs trials until the budget is used up or somebody says stop; `ReplayableSearch` says which.

    Args:
        searcher: Decides what to try.
        workers: Measure trials.
        recorder: Keeps them.
        objective: What decides, and what the searcher is told.
        budget: When to stop.
        stoppers: Who may stop the sweep for its results.
        retries: How often a failed trial is measured again.
        max_failures: The number of failed trials that ends the sweep, in whatever order they fail; None for no limit. One
            that takes long would otherwise hold back the count of all that fail after it.
        prunes: Whether trials that report are pruned.
        lag_workers: The number of workers that the searcher's lag is for; by default as many as there are at the start.
        stop: Whether somebody wants the sweep to stop.
        grace: How long trials may go on running then, in seconds.
        past: Trials that ended before the sweep was resumed, by number.
        relearn: Gives a searcher that goes on from trials that it did not suggest; needed where there is a past.
        monotonic: Tells the time in seconds, for the budget.
        clock: Tells the time in seconds since the epoch, for trials that end without telling.
    """

    searcher: Searcher
    workers: Workers
    recorder: Recorder
    objective: Objective
    budget: Budget
    stoppers: Sequence[Stopper] = ()
    stop: Callable[[], bool] = lambda: False
    grace: float = 0.0
    past: Mapping[int, Trial] = field(default_factory=dict)
    relearn: Callable[[Iterable[Trial]], Searcher] | None = None
    monotonic: Callable[[], float] = time.monotonic
    clock: Callable[[], float] = time.time
    retries: RetriesConfig = field(default_factory=lambda: RetriesConfig(worker=0))
    max_failures: int | None = None
    prunes: bool = False
    lag_workers: int | None = None
    _failed: int = 0
    _retried: Counter[tuple[int, FailureCause]] = field(default_factory=Counter)
    _judged: int = 0
    _running: dict[Future[Trial], Trial] = field(default_factory=dict)
    _stopped_by: StopReason | None = None
    _deadline: float | None = None
    _search: ReplayableSearch = field(init=False)

    def __post_init__(self) -> None:
        workers = self.lag_workers or self.workers.size
        self._search = ReplayableSearch(self.searcher, self.objective, workers, self.past, self.relearn, self._recall)

    def run(self) -> LoopResult:
        """Run the sweep's trials. When it returns or raises, no trial is running and every one is in the recorder.

        Raises:
            ExecutionError: The workers as a whole are gone.
            SearchError: The searcher failed.
            TrackingError: The recorder failed.
        """
        began = self.monotonic()
        ended = False
        try:
            while True:
                self.recorder.check()
                self._fill(began)
                if self._running:
                    self._collect()
                elif self._stopped_by is None and self.recorder.is_behind():
                    time.sleep(POLL_SECONDS)
                else:
                    break
            ended = True
        except TrackingError as error:
            if error.is_outage:
                self._let_finish()
            raise
        finally:
            if not ended or self._stopped_by is StopReason.INTERRUPTED:
                self._kill()
        if self._stopped_by is not StopReason.INTERRUPTED:
            self._search.tell_the_rest()
        self._search.recall_the_rest()
        trials = [trial for _, trial in sorted(self._search.trials.items())]
        return LoopResult(trials, self._stopped_by or StopReason.TRIALS, self._search.repeats)

    def _fill(self, began: float) -> None:
        """Return work to every worker that has none, as far as budget and order allow."""
        while self._stopped_by is None and len(self._running) < self.workers.size:
            self._stopped_by = self._reason_to_stop(began)
            if self._stopped_by is not None or self.recorder.is_behind() or not self._search.may_ask():
                return
            trial = self._search.ask()
            if trial is not None:
                self.recorder.trial_started(trial)
                self._running[self.workers.submit(trial)] = trial
            elif self._search.is_over:
                self._stopped_by = StopReason.TRIALS

    def _reason_to_stop(self, began: float) -> StopReason | None:
        if self.stop():
            return StopReason.INTERRUPTED
        if self.budget.trials is not None and len(self._search.trials) >= self.budget.trials:
            return StopReason.TRIALS
        if self.budget.seconds is not None and self.monotonic() - began >= self.budget.seconds:
            return StopReason.TIMEOUT
        if self.budget.points is not None and len(self._search.trials) >= self.budget.points:
            return StopReason.EXHAUSTED
        return StopReason.EXHAUSTED if self._search.repeats_in_a_row >= self.budget.repeats else None

    def _recall(self, past: Trial) -> None:
        """Take note of a trial of the past."""
        self.recorder.trial_restored(past)
        self._count_failure(past)
        self._judge()

    def _collect(self) -> None:
        """Wait a little for results and take those that are there."""
        done, _ = wait(self._running, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
        if self.stop() and self._deadline is None:  # asked first: the same signal may have ended workers
            self._stopped_by = StopReason.INTERRUPTED
            self._deadline = self.monotonic() + self.grace
        for future in sorted(done, key=lambda each: self._running[each].number):
            before = self._running.pop(future)
            after = self._outcome(future, before)
            if after.state is TrialState.RUNNING:
                self._go_on(after)
            elif self._may_retry(after):
                self._retry(before)
            else:
                self._end(after)
        if self._deadline is not None and self.monotonic() >= self._deadline:
            self._kill()

    def _go_on(self, trial: Trial) -> None:
        """Have a trial go on after a step or a report, unless the searcher says that it is not worth it."""
        trial = self._with_reported(trial)
        if self._has_news(trial) and self._search.prune(trial):
            self.workers.drop(trial)
            self._end(replace(trial, state=TrialState.PRUNED, ended=self.clock() if trial.reports else trial.ended))
        else:
            self._running[self.workers.submit(trial)] = trial

    def _with_reported(self, trial: Trial) -> Trial:
        """Fill in what a pruner is told: the first objective in each step, or in each report that has it."""
        if not trial.reports:
            return replace(trial, reported=tuple(fmean(self._of_step(step)) for step in trial.steps))
        metric = self.objective.metric
        told = [(each.step, each.values[metric]) for each in trial.reports if metric in each.values]
        return replace(trial, reported=tuple(value for _, value in told), reported_at=tuple(step for step, _ in told))

    def _with_last_reports(self, trial: Trial) -> Trial:
        """Show the searcher what a trial reported when nobody asked any more: later ones are compared with that too."""
        if not (self.prunes and trial.reports):
            return trial
        trial = self._with_reported(trial)
        if trial.reported_at:
            self._search.prune(trial)  # it has finished, whatever the answer
        return trial

    def _has_news(self, trial: Trial) -> bool:
        """Return whether there is anything new to ask a pruner about."""
        return not trial.reports or self.objective.metric in trial.reports[-1].values

    def _may_retry(self, trial: Trial) -> bool:
        """Return whether a failed trial is measured again, and count it; what runs when the sweep stops is not."""
        if trial.failure is None or self._stopped_by is StopReason.INTERRUPTED:
            return False
        cause = trial.failure.cause
        allowed: int = getattr(self.retries, cause.value)
        if self._retried[trial.number, cause] >= allowed:
            return False
        self._retried[trial.number, cause] += 1
        _logger.warning(
            "trial %d is measured again (%d of %d): %s", trial.number, self._retried[trial.number, cause], allowed, trial.failure
        )
        return True

    def _retry(self, trial: Trial) -> None:
        """Have a trial measured again, from the last step that it has behind it; one that only reports begins afresh."""
        told = trial.reported if trial.steps else ()
        again = replace(trial, retries=trial.retries + 1, spent=0.0, reports=(), reported=told, reported_at=())
        self._running[self.workers.submit(again)] = again

    def _of_step(self, step: Step) -> Sequence[float]:
        """Return the first objective's values in a step."""
        metric = self.objective.metric
        return [step.fit_seconds] if metric == FIT_SECONDS else step.values[metric]

    def _outcome(self, future: Future[Trial], trial: Trial) -> Trial:
        if future.cancelled():
            return replace(trial, state=TrialState.KILLED, ended=self.clock())
        error = future.exception()
        if error is None:  # a task that reports knows only the trial that it began with
            return masked(replace(future.result(), reported=trial.reported, reported_at=trial.reported_at))
        if self._deadline is not None:  # whoever stops the sweep may have stopped its workers too
            return replace(trial, state=TrialState.KILLED, ended=self.clock())
        return masked(replace(trial, state=TrialState.FAILED, failure=self.workers.explain(error), ended=self.clock()))

    def _end(self, trial: Trial) -> None:
        if trial.state is TrialState.FINISHED:
            trial = self._with_last_reports(replace(trial, violations=self.objective.violations(trial)))
        self._search.end(trial)
        _logger.info("trial %d %s%s", trial.number, trial.state, f": {trial.failure}" if trial.failure else "")
        self.recorder.trial_ended(trial)
        self._count_failure(trial)
        self._judge()

    def _count_failure(self, trial: Trial) -> None:
        self._failed += trial.state is TrialState.FAILED
        if self.max_failures is not None and self._failed >= self.max_failures and self._stopped_by is None:
            self._stopped_by = StopReason.FAILURES

    def _judge(self) -> None:
        """Show the stoppers every trial up to the first that has not ended."""
        while (trial := self._search.trials.get(self._judged)) is not None and trial.state.has_ended:
            for stopper in self.stoppers:
                if stopper.add(trial) and self._stopped_by is None:
                    self._stopped_by = stopper.reason
            self._judged += 1

    def _let_finish(self) -> None:
        """Give what runs the time of grace although the store is away: what it measures waits for `resume`."""
        self._stopped_by = StopReason.INTERRUPTED
        self._deadline = self.monotonic() + self.grace
        if self._running:
            _logger.warning("the store stays away: what runs may take %gs more.", self.grace)
        while self._running:
            self._collect()

    def _kill(self) -> None:
        """Keep what has finished, end the rest."""
        for future in list(self._running):
            if future.done() and not future.cancelled() and future.exception() is None and future.result().state.has_ended:
                self._end(self._outcome(future, self._running.pop(future)))
        if self._running:
            self.workers.stop()
        self._running.clear()
        for trial in list(self._search.trials.values()):
            if not trial.state.has_ended:
                self._end(replace(trial, state=TrialState.KILLED, ended=self.clock()))


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
    rehearse: Callable[[], object] = lambda: None,
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
        rehearse: Is called once the workers are starting, before the first trial.
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
        stoppers = make_stoppers(search, objective)
        rehearse()
        if execution.backend.traits.runs_in_this_process or search.from_ is not None:
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
    """Describe when to stop asking: what tries each point once is done then, what draws may draw all of them before it is."""
    seconds = None if search.timeout is None else max(search.timeout - spent, 0.0)
    if search.method.is_exhaustive:
        return Budget(count_trials(search, space), seconds, None)
    return Budget(search.trials, seconds, count_points(search, space))
