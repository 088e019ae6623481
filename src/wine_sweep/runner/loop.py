"""The loop: asks for trials, has them measured, tells the results. Knows nothing of MLflow or Optuna."""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Protocol

from wine_sweep.config import RetriesConfig
from wine_sweep.execution import Workers
from wine_sweep.runner.stopping import Budget, Stopper, StopReason
from wine_sweep.search.searcher import Outcome, Searcher, Suggestion
from wine_sweep.selection import Objective
from wine_sweep.trial import FIT_SECONDS, FailureCause, Step, Trial, TrialState

_logger = logging.getLogger(__name__)

POLL_SECONDS = 0.2
"""How long the loop waits for a result before it looks whether somebody wants it to stop."""


class Recorder(Protocol):
    """Keeps what happens to trials; returns at once."""

    def trial_started(self, trial: Trial) -> None:
        """Take note that a trial is being measured."""

    def trial_ended(self, trial: Trial) -> None:
        """Take note of what came of a trial."""

    def trial_recalled(self, trial: Trial) -> None:
        """Take note of a trial that ended before the sweep was resumed."""

    def check(self) -> None:
        """Raise what went wrong with the keeping, so that the sweep ends instead of running unrecorded."""

    def is_behind(self) -> bool:
        """Whether so much waits to be kept that no trial should be begun for now."""


@dataclass(frozen=True)
class LoopResult:
    """What the loop leaves: all trials by number, why it stopped, and how many suggestions repeated earlier parameters."""

    trials: list[Trial]
    stopped_by: StopReason
    repeats: int


@dataclass
class TrialLoop:
    """Runs trials until the budget is used up or somebody says stop.

    The same parameters are never measured twice: a repeated suggestion is told the earlier result. A searcher that
    learns from results is told them in the order of asking, and always the same number of asks later (none with one
    worker, twice the workers otherwise), so that what it suggests depends neither on which trial finishes first nor on
    how many workers join or leave.

    A sweep that is resumed is replayed: the searcher is asked and told as it was before, and a trial of the past is
    recalled instead of measured. That brings the searcher into the very state in which it was when the sweep stopped.
    Should it suggest something else than before (another version of Optuna, say), then `relearn` gives another.

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
    lag_workers: int | None = None
    _failed: int = 0
    _retried: Counter[tuple[int, FailureCause]] = field(default_factory=Counter)
    _trials: dict[int, Trial] = field(default_factory=dict)
    _next: int = 0
    _numbers: dict[str, int] = field(default_factory=dict)
    _suggestions: dict[int, Suggestion] = field(default_factory=dict)
    _judged: int = 0
    _running: dict[Future[Trial], Trial] = field(default_factory=dict)
    _untold: deque[tuple[Suggestion, int]] = field(default_factory=deque)
    _repeats: int = 0
    _repeats_in_a_row: int = 0
    _replays: bool = True
    _stopped_by: StopReason | None = None
    _deadline: float | None = None

    def run(self) -> LoopResult:
        """Run the sweep's trials. When it returns or raises, no trial is running and every one is in the recorder.

        Raises:
            ExecutionError: The workers as a whole are gone.
            SearchError: The searcher failed.
            TrackingError: The recorder failed.
        """
        began = self.monotonic()
        self.lag_workers = self.lag_workers or self.workers.size
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
        finally:
            if not ended or self._stopped_by is StopReason.INTERRUPTED:
                self._kill()
        while self._untold and self._stopped_by is not StopReason.INTERRUPTED:
            self._tell_next()
        self._recall_the_rest()
        trials = [self._trials[number] for number in sorted(self._trials)]
        return LoopResult(trials, self._stopped_by or StopReason.TRIALS, self._repeats)

    def _fill(self, began: float) -> None:
        """Give work to every worker that has none, as far as budget and order allow."""
        while self._stopped_by is None and len(self._running) < self.workers.size:
            self._stopped_by = self._reason_to_stop(began)
            if self._stopped_by is not None or self.recorder.is_behind() or not self._may_ask():
                return
            suggestion = self.searcher.ask()
            if suggestion is None:
                self._stopped_by = StopReason.TRIALS
            else:
                self._take(suggestion)

    def _reason_to_stop(self, began: float) -> StopReason | None:
        if self.stop():
            return StopReason.INTERRUPTED
        if self.budget.trials is not None and len(self._trials) >= self.budget.trials:
            return StopReason.TRIALS
        if self.budget.seconds is not None and self.monotonic() - began >= self.budget.seconds:
            return StopReason.TIMEOUT
        if self.budget.points is not None and len(self._trials) >= self.budget.points:
            return StopReason.EXHAUSTED
        return StopReason.EXHAUSTED if self._repeats_in_a_row >= self.budget.repeats else None

    def _may_ask(self) -> bool:
        """Tell what has to be told before the next ask; False while that is still being measured."""
        lag = 1 if self.lag_workers in (None, 1) else 2 * self.lag_workers
        while self._untold and (len(self._untold) >= lag or not self.searcher.adaptive):
            if not self._trials[self._untold[0][1]].state.has_ended:
                return not self.searcher.adaptive
            self._tell_next()
        return True

    def _tell_next(self) -> None:
        suggestion, number = self._untold.popleft()
        self.searcher.tell(suggestion, outcome_of(self._trials[number], self.objective))

    def _take(self, suggestion: Suggestion) -> None:
        trial = Trial(self._next, suggestion.params)
        known = self._numbers.get(trial.key)
        if known is not None:
            self._untold.append((suggestion, known))
            self._count_repeat(known)
            return
        past = self.past.get(trial.number) if self._replays else None
        if past is not None and past.key != trial.key:
            self._leave_the_replay()
            return
        self._untold.append((suggestion, trial.number))
        self._numbers[trial.key] = trial.number
        self._repeats_in_a_row = 0
        self._suggestions[trial.number] = suggestion
        if past is not None:
            self._recall(past)
        else:
            self._trials[trial.number] = trial
            self.recorder.trial_started(trial)
            self._running[self.workers.submit(trial)] = trial
        self._count_on()

    def _count_on(self) -> None:
        """Find the next number that no trial has."""
        while self._next in self._trials:
            self._next += 1

    def _count_repeat(self, known: int) -> None:
        if not self._replays and known in self.past and not self.searcher.adaptive:
            return  # it runs through what was tried before, and comes to an end or to something new
        self._repeats += 1
        self._repeats_in_a_row += 1

    def _recall(self, past: Trial) -> None:
        """Take a trial of the past as it is; the pruner sees its steps again."""
        suggestion = self._suggestions.pop(past.number)
        for steps in range(1, len(past.reported) + 1):
            self.searcher.prune(suggestion, past.reported[:steps])
        self._remember(past)

    def _remember(self, past: Trial) -> None:
        self._trials[past.number] = past
        self._numbers.setdefault(past.key, past.number)
        self.recorder.trial_recalled(past)
        self._count_failure(past)
        self._judge()

    def _recall_the_rest(self) -> None:
        """Take what is left of the past: the replay may have stopped before, and its trials were measured all the same."""
        for number in sorted(self.past.keys() - self._trials.keys()):
            self._remember(self.past[number])
        self._count_on()

    def _leave_the_replay(self) -> None:
        """Go on from what the trials of the past tell, since the searcher no longer suggests what it did."""
        if self.relearn is None:
            raise RuntimeError("there is a past, and no way to learn from it")
        _logger.warning(
            "trial %d cannot be replayed: the search now suggests other parameters; it goes on from what the trials tell",
            self._next,
        )
        self._replays = False
        self._recall_the_rest()
        self._untold.clear()
        self._suggestions.clear()
        self.searcher = self.relearn(trial for _, trial in sorted(self._trials.items()) if trial.state.has_ended)

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
        """Have a trial's next step measured, unless the searcher says that it is not worth it."""
        trial = replace(trial, reported=tuple(fmean(self._of_step(step)) for step in trial.steps))
        suggestion = self._suggestions.get(trial.number)
        if suggestion is not None and self.searcher.prune(suggestion, trial.reported):
            self._end(replace(trial, state=TrialState.PRUNED))
        else:
            self._running[self.workers.submit(trial)] = trial

    def _may_retry(self, trial: Trial) -> bool:
        """Say whether a failed trial is measured again, and count it; what runs when the sweep stops is not."""
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
        """Have a trial measured again, from the last step that it has behind it."""
        again = replace(trial, retries=trial.retries + 1, spent=0.0)
        self._running[self.workers.submit(again)] = again

    def _of_step(self, step: Step) -> Sequence[float]:
        """Give the first objective's values in a step."""
        metric = self.objective.metric
        return [step.fit_seconds] if metric == FIT_SECONDS else step.values[metric]

    def _outcome(self, future: Future[Trial], trial: Trial) -> Trial:
        if future.cancelled():
            return replace(trial, state=TrialState.KILLED, ended=self.clock())
        error = future.exception()
        if error is None:
            return future.result()
        if self._deadline is not None:  # whoever stops the sweep may have stopped its workers too
            return replace(trial, state=TrialState.KILLED, ended=self.clock())
        return replace(trial, state=TrialState.FAILED, failure=self.workers.explain(error), ended=self.clock())

    def _end(self, trial: Trial) -> None:
        if trial.state is TrialState.FINISHED:
            trial = replace(trial, violations=self.objective.violations(trial))
        self._trials[trial.number] = trial
        if self._suggestions.pop(trial.number, None) is None and trial.state is TrialState.FINISHED and self.searcher.adaptive:
            self.searcher.learn(trial.params, outcome_of(trial, self.objective))  # suggested by the one before
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
        while (trial := self._trials.get(self._judged)) is not None and trial.state.has_ended:
            for stopper in self.stoppers:
                if stopper.add(trial) and self._stopped_by is None:
                    self._stopped_by = stopper.reason
            self._judged += 1

    def _kill(self) -> None:
        """Keep what has finished, end the rest."""
        for future in list(self._running):
            if future.done() and not future.cancelled() and future.exception() is None and future.result().state.has_ended:
                self._end(future.result())
                del self._running[future]
        if self._running:
            self.workers.stop()
        self._running.clear()
        for trial in list(self._trials.values()):
            if not trial.state.has_ended:
                self._end(replace(trial, state=TrialState.KILLED, ended=self.clock()))


def outcome_of(trial: Trial, objective: Objective) -> Outcome:
    """Say what a searcher learns of a trial that has ended."""
    if trial.state is not TrialState.FINISHED:
        return Outcome(trial.state)
    return Outcome(trial.state, objective.values(trial), objective.amounts(trial))
