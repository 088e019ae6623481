"""Optuna's terminator: is anything left to be gained that the noise of the folds would not hide?"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from statistics import pvariance

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from wine_sweep.config import Direction, Method, RegretConfig
from wine_sweep.errors import SearchError
from wine_sweep.search.codec import Codec
from wine_sweep.search.space import Space
from wine_sweep.trial import Params


class RegretBound:
    """Bounds from above by how much the best trial could still be beaten, and holds that against the noise of its folds.

    A. Makarova et al., "Automatic Termination for Hyperparameter Optimization", AutoML 2022, as
    `optuna.terminator.RegretBoundEvaluator` has it; the noise is the corrected variance over the folds given there.

    Args:
        config: The key `regret`.
        space: What is searched.
        direction: Which way the objective is better.
        seed: For the bound's own random numbers.
    """

    def __init__(self, config: RegretConfig, space: Space, *, direction: Direction, seed: int) -> None:
        from optuna.terminator import RegretBoundEvaluator

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Optuna 5 says that version 6 will drop it
            self._bound = RegretBoundEvaluator(min_n_trials=config.min_trials, seed=seed)
        self._config = config
        self._space = space
        self._codecs = {each.key: Codec(each, Method.GP) for each in space.dimensions}
        self._direction = direction
        self._trials: list[FrozenTrial] = []
        self._noise: list[float] = []

    def add(self, params: Params, folds: Sequence[float]) -> bool:
        """Take a finished trial, and say whether the best so far is good enough.

        Args:
            params: Its parameters.
            folds: The objective in each fold, two or more.

        Raises:
            SearchError: The bound cannot be computed.
        """
        self._trials.append(self._frozen(params, sum(folds) / len(folds)))
        self._noise.append(_noise(folds))
        if len(self._trials) < self._config.min_trials:
            return False
        better = min if self._direction is Direction.MINIMIZE else max
        best = better(range(len(self._trials)), key=lambda index: self._trials[index].value or 0.0)
        direction = StudyDirection.MINIMIZE if self._direction is Direction.MINIMIZE else StudyDirection.MAXIMIZE
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return self._bound.evaluate(self._trials, direction) < self._noise[best]
        except (ValueError, RuntimeError) as error:
            raise SearchError(f"the regret bound cannot be computed: {error}") from error

    def _frozen(self, params: Params, value: float) -> FrozenTrial:
        active = [each for each in self._space.dimensions if each.name in params and each.is_active(params)]
        trial = optuna.trial.create_trial(
            params={each.key: self._codecs[each.key].encode(params[each.name]) for each in active},
            distributions={each.key: self._codecs[each.key].distribution for each in active},
            value=value,
        )
        trial.number = len(self._trials)
        return trial


def _noise(folds: Sequence[float]) -> float:
    """Estimate the standard error of a cross-validated mean, with the correction of Nadeau and Bengio (2003)."""
    k = len(folds)
    return math.sqrt((1 / k + 1 / (k - 1)) * pvariance(folds))
