"""Optuna's samplers through ask and tell: the only module that imports Optuna."""

from __future__ import annotations

import logging
import warnings
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from wine_sweep.config import Choices, Method, SearchConfig
from wine_sweep.errors import SearchError
from wine_sweep.search.axis import Axis
from wine_sweep.search.searcher import Suggestion
from wine_sweep.search.space import Space, Spec
from wine_sweep.trial import Params


class OptunaSearcher:
    """Random search, or the tree-structured Parzen estimator.

    TPE: J. Bergstra, R. Bardenet, Y. Bengio, B. Kégl, "Algorithms for Hyper-Parameter Optimization", NIPS 2011, as
    `optuna.samplers.TPESampler` has it. The study lives in memory. Optuna sees the choices of a parameter by their
    positions, so that ``1``, ``1.0``, ``true`` and lists stay different choices.
    """

    def __init__(self, config: SearchConfig, *, minimize: bool) -> None:
        self.adaptive = config.method is Method.TPE
        self._space = Space.of(config)
        self._distributions = {name: _distribution(spec) for name, spec in self._space.parameters.items()}
        optuna.logging.get_logger("optuna").setLevel(logging.WARNING)
        self._study = optuna.create_study(sampler=_sampler(config), direction="minimize" if minimize else "maximize")
        for point in config.initial:
            self._study.enqueue_trial(self._encode(point))

    def ask(self) -> Suggestion | None:
        """Suggest parameters; a random or TPE search never runs out of them.

        Raises:
            SearchError: The sampler failed.
        """
        try:
            trial = self._study.ask(self._distributions)
        except (ValueError, RuntimeError) as error:
            raise SearchError(f"the sampler failed: {error}") from error
        return Suggestion(self._decode(trial.params), trial)

    def tell(self, suggestion: Suggestion, value: float | None) -> None:
        """Take the objective's value for a suggestion, or None when the trial failed."""
        if value is None:
            self._study.tell(suggestion.handle, state=optuna.trial.TrialState.FAIL)
        else:
            self._study.tell(suggestion.handle, value)

    def _encode(self, point: Params) -> dict[str, Any]:
        return {name: _to_optuna(self._space.parameters[name], value) for name, value in self._space.point(point).items()}

    def _decode(self, params: dict[str, Any]) -> Params:
        return {name: _from_optuna(spec, params[name]) for name, spec in self._space.parameters.items()}


def _to_optuna(spec: Spec, value: Any) -> Any:
    return Axis(spec).position(value) if _by_position(spec) else value


def _from_optuna(spec: Spec, value: Any) -> Any:
    return Axis(spec)[value] if _by_position(spec) else value


def _by_position(spec: Spec) -> bool:
    """Whether Optuna sees a parameter's values by their positions: choices, and floats in steps, which it would miss."""
    return isinstance(spec, Choices) or (spec.step is not None and not spec.is_int)


def _sampler(config: SearchConfig) -> optuna.samplers.BaseSampler:
    if config.method is Method.RANDOM:
        return optuna.samplers.RandomSampler(seed=config.seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(seed=config.seed, multivariate=True, constant_liar=True)


def _distribution(spec: Spec) -> BaseDistribution:
    if isinstance(spec, Choices):
        return CategoricalDistribution(range(len(spec.choices)))
    if spec.is_int:
        step = int(spec.step or 1)
        return IntDistribution(int(spec.low), int(spec.high - (spec.high - spec.low) % step), log=spec.log, step=step)
    if spec.step is not None:
        return IntDistribution(0, len(Axis(spec)) - 1)
    return FloatDistribution(float(spec.low), float(spec.high), log=spec.log)
