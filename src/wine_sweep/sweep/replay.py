"""What is asked of a searcher and told to it, in an order that no clock decides."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from wine_sweep.search.searcher import Outcome, Searcher, Suggestion
from wine_sweep.selection import Objective
from wine_sweep.trial import Trial, TrialState

_logger = logging.getLogger(__name__)


@dataclass
class ReplayableSearch:
    """Numbers the trials of a sweep, and sees to it that the searcher always goes through the same states.

    The same parameters are never measured twice: a repeated suggestion is told the earlier result. A searcher that
    learns from results is told them in the order of asking, and always the same number of asks later (none with one
    worker, twice the workers otherwise), so that what it suggests depends neither on which trial finishes first nor on
    how many workers join or leave.

    A sweep that is resumed is replayed: the searcher is asked and told as it was before, and a trial of the past is
    recalled instead of measured. That brings the searcher into the very state in which it was when the sweep stopped.
    Should it suggest something else than before (another version of Optuna, say), then `relearn` gives another.

    Args:
        searcher: Decides what to try.
        objective: What the searcher is told.
        workers: The number of workers that the lag is for.
        past: Trials that ended before the sweep was resumed, by number.
        relearn: Gives a searcher that goes on from trials that it did not suggest; needed where there is a past.
        recall: Is given each trial of the past once, when it is taken.

    Attributes:
        trials: All trials by number.
        is_over: Whether the searcher has nothing left to suggest.
        repeats: How many suggestions repeated earlier parameters.
        repeats_in_a_row: How many of them came one after the other, up to now.
    """

    searcher: Searcher
    objective: Objective
    workers: int
    past: Mapping[int, Trial]
    relearn: Callable[[Iterable[Trial]], Searcher] | None
    recall: Callable[[Trial], object]
    trials: dict[int, Trial] = field(default_factory=dict)
    is_over: bool = False
    repeats: int = 0
    repeats_in_a_row: int = 0
    _next: int = 0
    _numbers: dict[str, int] = field(default_factory=dict)
    _suggestions: dict[int, Suggestion] = field(default_factory=dict)
    _furthest: dict[int, int] = field(default_factory=dict)
    _untold: deque[tuple[Suggestion, int]] = field(default_factory=deque)
    _replays: bool = True

    def may_ask(self) -> bool:
        """Tell what has to be told before the next ask; False while that is still being measured."""
        lag = 1 if self.workers == 1 else 2 * self.workers
        while self._untold and (len(self._untold) >= lag or not self.searcher.adaptive):
            if not self.trials[self._untold[0][1]].state.has_ended:
                return not self.searcher.adaptive
            self._tell_next()
        return True

    def ask(self) -> Trial | None:
        """Return a new trial to be measured; None for a suggestion that asks for none, or when there is none left.

        Raises:
            SearchError: The searcher failed.
        """
        suggestion = self.searcher.ask()
        if suggestion is None:
            self.is_over = True
            return None
        trial = Trial(self._next, suggestion.params)
        known = self._numbers.get(trial.key)
        if known is not None:
            self._untold.append((suggestion, known))
            self._count_repeat(known)
            return None
        past = self.past.get(trial.number) if self._replays else None
        if past is not None and past.key != trial.key:
            self._leave_the_replay()
            return None
        self._untold.append((suggestion, trial.number))
        self._suggestions[trial.number] = suggestion
        self.repeats_in_a_row = 0
        if past is not None:
            self._replay(past)
            return None
        self._add(trial)
        return trial

    def prune(self, trial: Trial) -> bool:
        """Return whether a trial is not worth finishing, going by what it reported.

        One that counts its steps itself is asked about only when it is further than ever: measured again, it runs through
        the steps that it had behind it once more.
        """
        suggestion = self._suggestions.get(trial.number)
        if suggestion is None:
            return False
        if trial.reported_at:
            if trial.reported_at[-1] <= self._furthest.get(trial.number, -1):
                return False
            self._furthest[trial.number] = trial.reported_at[-1]
        return self.searcher.prune(suggestion, trial.reported, trial.reported_at)

    def end(self, trial: Trial) -> None:
        """Take a trial that has ended."""
        self.trials[trial.number] = trial
        self._furthest.pop(trial.number, None)
        was_suggested = self._suggestions.pop(trial.number, None) is not None
        if not was_suggested and trial.state is TrialState.FINISHED and self.searcher.adaptive:
            self.searcher.learn(trial.params, outcome_of(trial, self.objective))  # suggested by the one before

    def tell_the_rest(self) -> None:
        """Tell everything that has not been told yet; all trials have ended."""
        while self._untold:
            self._tell_next()

    def recall_the_rest(self) -> None:
        """Take what is left of the past: the replay may have stopped before, and its trials were measured all the same."""
        for number in sorted(self.past.keys() - self.trials.keys()):
            self._add(self.past[number])
            self.recall(self.past[number])

    def _add(self, trial: Trial) -> None:
        self.trials[trial.number] = trial
        self._numbers.setdefault(trial.key, trial.number)
        while self._next in self.trials:
            self._next += 1

    def _tell_next(self) -> None:
        suggestion, number = self._untold.popleft()
        self.searcher.tell(suggestion, outcome_of(self.trials[number], self.objective))

    def _count_repeat(self, known: int) -> None:
        if not self._replays and known in self.past and not self.searcher.adaptive:
            return  # it runs through what was tried before, and comes to an end or to something new
        self.repeats += 1
        self.repeats_in_a_row += 1

    def _replay(self, past: Trial) -> None:
        """Take a trial of the past as it is; the pruner sees its steps again."""
        for steps in range(1, len(past.reported) + 1):
            self.prune(replace(past, reported=past.reported[:steps], reported_at=past.reported_at[:steps]))
        self._furthest.pop(past.number, None)
        del self._suggestions[past.number]
        self._add(past)
        self.recall(past)

    def _leave_the_replay(self) -> None:
        """Go on from what the trials of the past tell, since the searcher no longer suggests what it did."""
        if self.relearn is None:
            raise RuntimeError("there is a past, and no way to learn from it")
        _logger.warning(
            "trial %d cannot be replayed: the search now suggests other parameters; it goes on from what the trials tell",
            self._next,
        )
        self._replays = False
        self.recall_the_rest()
        self._untold.clear()
        self._suggestions.clear()
        self.searcher = self.relearn(trial for _, trial in sorted(self.trials.items()) if trial.state.has_ended)


def outcome_of(trial: Trial, objective: Objective) -> Outcome:
    """Describe what a searcher learns of a trial that has ended."""
    if trial.state is not TrialState.FINISHED:
        return Outcome(trial.state)
    return Outcome(trial.state, objective.values(trial), objective.amounts(trial))
