"""Search by Optuna's samplers through ask and tell, and prune by its pruners. The studies live in memory."""

from __future__ import annotations

import random
import sys
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from statistics import fmean
from typing import Any

import optuna
from optuna.samplers import BaseSampler
from optuna.storages import InMemoryStorage
from optuna.trial import Trial as OptunaTrial

from wine_sweep.config import Direction, ExpressionError, PrunerType, SearchConfig
from wine_sweep.errors import SearchError
from wine_sweep.search.optuna_options import (
    STUDY_NAME,
    Codec,
    counts_in_resources,
    make_pruner,
    make_sampler,
    one_thread,
    quieten,
    resource,
)
from wine_sweep.search.searcher import Outcome, Suggestion
from wine_sweep.search.space import DRAWS, Space
from wine_sweep.trial import Params, TrialState

KEPT = 500
"""So many trials the study of a method that does not learn holds before it goes on in a new one."""


class RollingStudy:
    """A study in memory that begins anew with the same sampler every so many trials, and suggests what the whole one would.

    Args:
        sampler: What suggests; it depends on no older trial, but for the first that finished: that tells ``qmc`` its space.
        directions: Which way each objective is better.
        kept: How many trials it holds.
    """

    def __init__(self, sampler: BaseSampler, directions: Sequence[Direction], *, kept: int = KEPT) -> None:
        self._sampler = sampler
        self._directions = directions
        self._kept = kept
        self._asked = 0
        self._storage, self._study = self._make()

    def next(self) -> optuna.Study:
        """Return the study to ask for the next trial. What is still being tried is told to the one that suggested it."""
        self._asked += 1
        if self._asked > self._kept:
            self._begin_anew()
        return self._study

    def _begin_anew(self) -> None:
        first = next((each for each in self._study.get_trials(deepcopy=False) if _has_result(each.state)), None)
        if first is None:  # there is nothing yet that tells what the sampler has to know
            return
        before = self._storage
        self._storage, self._study = self._make()
        identifier = self._storage.get_study_id_from_name(STUDY_NAME)
        for name, value in before.get_study_system_attrs(before.get_study_id_from_name(STUDY_NAME)).items():
            self._storage.set_study_system_attr(identifier, name, value)  # how far the sequence of `qmc` is
        self._study.add_trial(first)
        self._asked = 1

    def _make(self) -> tuple[InMemoryStorage, optuna.Study]:
        storage = InMemoryStorage()
        study = optuna.create_study(
            storage=storage, sampler=self._sampler, directions=[each.value for each in self._directions], study_name=STUDY_NAME
        )
        return storage, study


def _has_result(state: optuna.trial.TrialState) -> bool:
    return state in (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)


class OptunaSearcher:
    """What Optuna's samplers suggest, kept within conditions and constraints.

    Random search; quasi-Monte Carlo; the tree-structured Parzen estimator (Bergstra et al., "Algorithms for
    Hyper-Parameter Optimization", NIPS 2011); Gaussian processes; CMA-ES (Hansen, "The CMA evolution strategy", 2016);
    NSGA-II and NSGA-III (Deb et al., 2002; Deb and Jain, 2014): each as `optuna.samplers` has it.

    A suggestion that breaks a constraint between parameters counts as failed for the sampler, and another is asked for.

    Args:
        config: The section `search`.
        space: What to search.
        directions: Which way each objective is better.
        steps: How many steps a trial has, for a pruner.

    Raises:
        OptionError: An option of the sampler or of the pruner is unknown or wrong.
    """

    def __init__(self, config: SearchConfig, space: Space, *, directions: Sequence[Direction], steps: int) -> None:
        quieten()
        if config.method.package == "torch":
            one_thread()
        self.adaptive = config.method.learns
        self._method = config.method
        self._space = space
        self._codecs = {each.key: Codec(each, config.method) for each in space.dimensions}
        self._rng = random.Random(config.seed)  # noqa: S311  # draws parameters, not secrets
        reporter = StepReporter(config, steps) if config.pruner is not None else None
        self._pruning = PruningStudy(reporter, directions[0]) if reporter is not None and len(directions) > 1 else None
        self._reporter = reporter if self._pruning is None else None
        sampler = make_sampler(config, conditional=space.is_conditional)
        self._study = optuna.create_study(
            sampler=sampler,
            pruner=self._reporter.optuna_pruner if self._reporter is not None else optuna.pruners.NopPruner(),
            directions=[each.value for each in directions],
            study_name=STUDY_NAME,
        )
        forgets = not (config.method.learns or config.method.source or config.pruner)
        self._short = RollingStudy(sampler, directions) if forgets else None
        self._initial = deque(space.point(point) for point in config.initial)

    def ask(self) -> Suggestion | None:
        """Suggest parameters; see `Searcher`."""
        given = self._initial.popleft() if self._initial else {}
        with self._translated_errors():
            for _ in range(self._method.attempts):
                trial, point = self._suggest(given)
                if self._space.keeps_constraints(point):
                    return self._suggestion(trial, point)
                trial.study.tell(trial, state=optuna.trial.TrialState.FAIL)
            return self._suggestion(*self._suggest(self._draw(given)))

    def tell(self, suggestion: Suggestion, outcome: Outcome) -> None:
        """Take what came of a suggestion; see `Searcher`."""
        trial, shadow = suggestion.handle
        with self._translated_errors():
            self._tell(trial, outcome)
            if self._pruning is not None:
                self._pruning.end(shadow, outcome)

    def prune(self, suggestion: Suggestion, steps: Sequence[float], at: Sequence[int] = ()) -> bool:
        """Return whether a trial is not worth finishing; see `Searcher`."""
        trial, shadow = suggestion.handle
        with self._translated_errors():
            if self._pruning is not None:
                return self._pruning.should_prune(shadow, steps, at)
            return self._reporter is not None and self._reporter.should_prune(trial, steps, at)

    def learn(self, params: Params, outcome: Outcome) -> None:
        """Take a finished trial of an earlier sweep; see `Searcher`."""
        encoded = self._encode(params)
        with self._translated_errors():
            if self._method.generational:
                self._tell(self._suggest(params)[0], outcome)
                return
            if self._method.fixed_space:
                idle = [each for each in self._space.dimensions if each.key not in encoded]
                encoded |= {each.key: self._codecs[each.key].encode(each.draw(self._rng)) for each in idle}
            known = optuna.trial.create_trial(
                params=encoded,
                distributions={key: self._codecs[key].distribution for key in encoded},
                values=list(outcome.values),
            )
            for name, value in outcome.violations.items():
                known.set_constraint(name, value)
            self._study.add_trial(known)

    def _suggestion(self, trial: OptunaTrial, point: Params) -> Suggestion:
        return Suggestion(point, (trial, self._pruning.begin() if self._pruning is not None else None))

    def _suggest(self, given: Params) -> tuple[OptunaTrial, Params]:
        """Have the sampler suggest what is not given."""
        study = self._short.next() if self._short is not None else self._study
        if given:
            study.enqueue_trial(self._encode(given))
        whole = self._method.fixed_space
        trial = study.ask({key: each.distribution for key, each in self._codecs.items()} if whole else None)
        point: dict[str, Any] = {}
        for each in self._space.dimensions:
            if each.is_active(point):
                codec = self._codecs[each.key]
                point[each.name] = codec.decode(trial.params[each.key] if whole else codec.suggest(trial))
        if self._method.generational:
            _ = trial.relative_params  # Optuna puts a trial into a generation here, and would not where all is given
        return trial, point

    def _tell(self, trial: OptunaTrial, outcome: Outcome) -> None:
        if outcome.state is TrialState.FINISHED:
            for name, value in outcome.violations.items():
                trial.set_constraint(name, value)
            trial.study.tell(trial, list(outcome.values))
        else:
            pruned = outcome.state is TrialState.PRUNED
            trial.study.tell(trial, state=optuna.trial.TrialState.PRUNED if pruned else optuna.trial.TrialState.FAIL)

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        """Turn what samplers raise into a `SearchError`; what they warn of is for their developers."""
        is_own = bool(self._method.source)
        foreseen = (Exception,) if is_own else (ValueError, RuntimeError, ArithmeticError, ExpressionError)
        try:
            with warnings.catch_warnings(), redirect_stdout(sys.stderr) if is_own else nullcontext():
                warnings.simplefilter("ignore")
                yield
        except SearchError:
            raise
        except foreseen as error:
            raise SearchError(f"the sampler failed: {type(error).__name__}: {error}") from error

    def _draw(self, given: Params) -> Params:
        """Draw a point at random with what is given that keeps the constraints."""
        for _ in range(DRAWS):
            point = self._space.draw(self._rng, given)
            if self._space.keeps_constraints(point):
                return point
        raise SearchError(f"none of {DRAWS:,} points drawn at random keeps the constraints")

    def _encode(self, point: Params) -> dict[str, Any]:
        found = {name: self._space.named(name, point) for name in point}
        return {each.key: self._codecs[each.key].encode(point[name]) for name, each in found.items() if each is not None}


class StepReporter:
    """Reports a trial's steps to Optuna as its pruner wants them.

    Where a step is a fold, the mean of the folds so far is reported, and to Wilcoxon's test each fold's own value; where
    the budget grows, the mean at that budget. Steps count from 0, for Hyperband and successive halving in resources. What a
    trial reports at steps of its own count goes to each pruner as it is.

    Args:
        config: The section `search`, with a pruner.
        steps: How many steps a trial has; 0 where only the trial knows.
    """

    def __init__(self, config: SearchConfig, steps: int) -> None:
        if config.pruner is None:
            raise ValueError("there is no pruner to report to")
        quieten()
        self._pruner = config.pruner
        self._budget = config.budget
        self._told: dict[int, int] = {}
        self.optuna_pruner = make_pruner(config.pruner, config.budget, steps)

    def should_prune(self, trial: optuna.trial.Trial, steps: Sequence[float], at: Sequence[int] = ()) -> bool:
        """Report the last of a trial's steps, and ask.

        Args:
            trial: Optuna's trial.
            steps: The value at each step so far.
            at: The numbers of the steps where the trial counts them itself; several may be new then.
        """
        if at:
            self._report_new(trial, steps, at)
        else:
            whole = self._budget is not None or self._pruner.type is PrunerType.WILCOXON
            trial.report(steps[-1] if whole else fmean(steps), self._number(len(steps)))
        return trial.should_prune()

    def _report_new(self, trial: optuna.trial.Trial, steps: Sequence[float], at: Sequence[int]) -> None:
        """Report each step that Optuna has not been told of: it compares trials at steps of the same number."""
        last = self._told.get(trial.number, -1)
        for value, number in zip(steps, at, strict=True):
            if number > last:
                trial.report(value, number)
        self._told[trial.number] = max(last, at[-1])

    def _number(self, steps: int) -> int:
        """Number the last of so many steps as Optuna's pruner wants it."""
        return resource(steps, self._budget) if counts_in_resources(self._pruner) else steps - 1


class PruningStudy:
    """A study that only prunes, beside a search that is not Optuna's, or that has several objectives.

    Optuna prunes studies of one objective; with several, this one sees the first.
    """

    def __init__(self, reporter: StepReporter, direction: Direction) -> None:
        self._reporter = reporter
        self._study = optuna.create_study(
            sampler=optuna.samplers.RandomSampler(seed=0),
            pruner=reporter.optuna_pruner,
            direction=direction.value,
            study_name=STUDY_NAME,
        )

    def begin(self) -> optuna.trial.Trial:
        """Begin a trial."""
        return self._study.ask()

    def should_prune(self, trial: optuna.trial.Trial, steps: Sequence[float], at: Sequence[int] = ()) -> bool:
        """Report the last of a trial's steps, and ask; see `StepReporter`."""
        return self._reporter.should_prune(trial, steps, at)

    def end(self, trial: optuna.trial.Trial, outcome: Outcome) -> None:
        """End a trial."""
        if outcome.state is TrialState.FINISHED:
            self._study.tell(trial, outcome.values[0])
        else:
            pruned = outcome.state is TrialState.PRUNED
            self._study.tell(trial, state=optuna.trial.TrialState.PRUNED if pruned else optuna.trial.TrialState.FAIL)
