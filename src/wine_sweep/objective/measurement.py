"""How one trial is measured: an estimator by cross-validation. This is what workers run."""

from __future__ import annotations

import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from wine_sweep.data import Fold
from wine_sweep.objective.estimators import set_params, set_seed
from wine_sweep.objective.metrics import Metric, evaluate
from wine_sweep.objective.weights import fit, part_of
from wine_sweep.trial import Failure, Params, Score, Trial, TrialState


@dataclass(frozen=True)
class ModelFactory:
    """Makes the estimator of a trial.

    Args:
        template: The unfitted estimator with its fixed parameters.
        seed: For every ``random_state`` that is None.
        chosen: Parameters that the config sets itself, which no seed replaces.
        trusted: Packages that nested estimators may come from, beside the usual ones.
    """

    template: Any
    seed: int
    chosen: frozenset[str]
    trusted: tuple[str, ...] = ()

    def make(self, params: Params) -> Any:
        """Make an unfitted estimator with these parameters."""
        from sklearn.base import clone

        model = set_params(clone(self.template), params, self.trusted, ("search", "parameters"))
        return set_seed(model, self.seed, except_for=self.chosen | set(params))


@dataclass(frozen=True)
class Measurement:
    """Measures trials on the same folds; called with a trial, it gives the trial back with its result.

    Args:
        factory: Makes the estimators.
        features: The training rows, of shape (rows, features).
        target: Their truth, of shape (rows,).
        folds: Row numbers to fit on and to measure on.
        metrics: What is measured.
        clock: Tells the time in seconds since the epoch.
        weights: How much each training row counts, of shape (rows,); None when all count the same.
    """

    factory: ModelFactory
    features: pd.DataFrame
    target: np.ndarray
    folds: Sequence[Fold]
    metrics: Sequence[Metric]
    clock: Callable[[], float] = time.time
    weights: np.ndarray | None = None

    def __call__(self, trial: Trial) -> Trial:
        """Measure a trial. Whatever its estimator raises becomes the trial's `failure`; nothing is raised."""
        started = self.clock()
        caught: list[warnings.WarningMessage] = []
        try:
            with _recorded_warnings() as caught:
                scores, fit_seconds = self._measure(trial.params)
            failure = _not_finite(scores)
        except Exception as error:  # noqa: BLE001  # whatever a user's estimator raises is this trial's result, not the sweep's end
            scores, fit_seconds, failure = {}, float("nan"), describe_error(error)
        return Trial(
            number=trial.number,
            params=trial.params,
            state=TrialState.FAILED if failure else TrialState.FINISHED,
            scores={} if failure else {name: Score.of(values) for name, values in scores.items()},
            fit_seconds=float("nan") if failure else fit_seconds,
            started=started,
            ended=self.clock(),
            failure=failure,
            warnings=_summary(caught),
            run_id=trial.run_id,
        )

    def _measure(self, params: Params) -> tuple[dict[str, list[float]], float]:
        scores: dict[str, list[float]] = {metric.name: [] for metric in self.metrics}
        spent = 0.0
        for fold in self.folds:
            # every fit gets rows of its own: an estimator with copy=False works in place
            features, target = self.features.iloc[fold.fit], self.target[fold.fit]
            model = self.factory.make(params)
            begin = time.perf_counter()
            fit(model, features, target, part_of(self.weights, fold.fit))
            spent += time.perf_counter() - begin
            truth, weights = self.target[fold.measure], part_of(self.weights, fold.measure)
            measured = evaluate(model, self.metrics, self.features.iloc[fold.measure], truth, weights)
            for name, value in measured.items():
                scores[name].append(value)
        return scores, spent / len(self.folds)


def describe_error(error: BaseException) -> Failure:
    """Turn an exception into a trial's failure: its type, the first line of its message, and the traceback."""
    message = str(error).strip()
    first_line = message.splitlines()[0][:500] if message else ""
    return Failure(type(error).__name__, first_line, "".join(traceback.format_exception(error)))


def _not_finite(scores: dict[str, list[float]]) -> Failure | None:
    for name, values in scores.items():
        for fold, value in enumerate(values):
            if not np.isfinite(value):
                return Failure("NonFiniteMetric", f"{name} is {value} in fold {fold}")
    return None


@contextmanager
def _recorded_warnings() -> Iterator[list[warnings.WarningMessage]]:
    """Catch what estimators warn their users of, such as missing convergence; leave out what is meant for developers."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        for category in (UserWarning, RuntimeWarning):
            warnings.simplefilter("always", category)
        yield caught


def _summary(caught: Sequence[warnings.WarningMessage]) -> tuple[str, ...]:
    """Keep the first warning of each category, in one line: the numbers in them differ from fold to fold."""
    first: dict[str, str] = {}
    for warning in caught:
        message = " ".join(str(warning.message).split())
        first.setdefault(warning.category.__name__, message[:200])
    return tuple(f"{category}: {message}" for category, message in first.items())
