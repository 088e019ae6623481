"""What a trial measured, as MLflow's metrics."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import fmean

from mlflow.entities import Metric

from wine_sweep.tracking import names
from wine_sweep.trial import FIT_SECONDS, Step, Trial, TrialState


def metrics_of(trial: Trial, at: int) -> Iterator[Metric]:
    """Yield all that a trial measured, at a time in milliseconds since the epoch.

    What a pruned trial has are its steps or reports: a mean over some folds would look like a result.
    """
    for name, score in trial.scores.items():
        yield Metric(name, score.mean, at, 0)
        if score.has_spread:
            yield Metric(names.spread_metric(name), score.std, at, 0)
        for fold, value in enumerate(score.folds):
            yield Metric(names.fold_metric(name), value, at, fold)
    if trial.state is TrialState.FINISHED:
        yield Metric(FIT_SECONDS, trial.fit_seconds, at, 0)
    for number, step in enumerate(trial.steps):
        yield from _metrics_of_step(step, number, at)
    for report in trial.reports:
        yield from (Metric(names.report_metric(name), value, at, report.step) for name, value in report.values.items())


def _metrics_of_step(step: Step, number: int, at: int) -> Iterator[Metric]:
    """Yield a fold's values, one step for each fit, or the means at a budget."""
    for name, values in step.values.items():
        if step.budget is None:
            first = number * len(values)
            yield from (Metric(names.fold_metric(name), value, at, first + index) for index, value in enumerate(values))
        else:
            yield Metric(names.budget_metric(name), fmean(values), at, _budget_step(step.budget))


def _budget_step(budget: int | float) -> int:
    """Give the step of a budget in MLflow, a whole number: the parameter's value, or per mille of the rows."""
    return budget if isinstance(budget, int) else round(budget * 1000)
