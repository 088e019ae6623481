"""Sweeps of scikit-learn style estimators: measured fold by fold, the winner fitted on all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from wine_sweep.config import Backend, EstimatorConfig
from wine_sweep.foreign_output import foreign_output_shown
from wine_sweep.objective.factory import ModelFactory
from wine_sweep.objective.fold_memory import FoldMemory, recall
from wine_sweep.objective.measurement import CrossValidationTask
from wine_sweep.objective.metrics import Metric
from wine_sweep.objective.predicted import Predictions
from wine_sweep.objective.weights import part_of
from wine_sweep.subjects.material import TrainingData
from wine_sweep.subjects.prepared import FitCount, SweepPlan
from wine_sweep.subjects.refit import Winner, fold_predictions, refit
from wine_sweep.task import DataRequirements
from wine_sweep.trial import MODEL_SIZE, Trial

MOST_FOLD_SECONDS = 60.0
"""A winner whose trial's predictions nobody has kept is fitted for each fold once more where all these fits took no longer."""


@dataclass(frozen=True)
class EstimatorSweep(SweepPlan):
    """A sweep of an estimator, a pipeline, or families of them.

    Args:
        material: The rows.
        factory: Makes the estimator of a trial.
        metrics: What is measured, the objective's metric first.
        needs: What the model does, and what it needs of a table.
    """

    material: TrainingData
    factory: ModelFactory
    metrics: Sequence[Metric]
    needs: DataRequirements

    @property
    def kind(self) -> str:
        """See `SweepPlan`."""
        return "estimator"

    @property
    def subject(self) -> str:
        """Name the estimator: its dotted path, a pipeline's classes joined by ``>``, or the families."""
        if self.config.models:
            return ", ".join(self.config.models)
        return next(map(_model_name, self.config.families.values()))

    @property
    def digest(self) -> str:
        """The table's; see `SweepPlan`."""
        return self.material.dataset.digest

    @property
    def steps(self) -> int:
        """How many steps a trial has that a pruner looks at."""
        budget = self.config.search.budget
        return len(self.material.folds) if budget is None else len(budget.steps())

    @property
    def fits(self) -> FitCount:
        """See `SweepPlan`."""
        budget = self.config.search.budget
        full = len(self.material.folds) * self.config.evaluation.seeds
        return FitCount(full * (1 if budget is None else len(budget.steps())), full, winner=1)

    @property
    def measured(self) -> Sequence[str]:
        """See `SweepPlan`."""
        return [*(metric.name for metric in self.metrics), *([MODEL_SIZE] if self.objective.weighs_models else [])]

    @property
    def packages(self) -> list[str]:
        """The top-level modules that the estimators come from, those among parameters too."""
        found = {*self.factory.trusted}
        parts: list[object] = [self.config.model_dump(include={"model", "models", "search"})]
        while parts:
            part = parts.pop()
            if isinstance(part, Mapping):
                estimator = part.get("estimator")
                found |= {estimator.partition(".")[0]} if isinstance(estimator, str) else set()
                parts += part.values()
            elif isinstance(part, list | tuple):
                parts += part
        return sorted(found)

    def task(self) -> CrossValidationTask:
        """See `SweepPlan`."""
        dataset, train = self.material.dataset, self.material.split.train
        return CrossValidationTask(
            self.factory,
            dataset.features.iloc[train].reset_index(drop=True),
            dataset.target.to_numpy()[train],
            self.material.folds,
            self.metrics,
            weights=part_of(dataset.weights, train),
            seeds=self.config.evaluation.seeds,
            budget=self.config.search.budget,
            stepwise=self.config.search.pruner is not None,
            weighs=self.objective.weighs_models,
            memory=self._memory(),
        )

    def refit(self, trial: Trial, common: Path | None = None) -> Winner:
        """See `SweepPlan`."""
        with foreign_output_shown():
            return self._refit(trial, common)

    def _refit(self, trial: Trial, common: Path | None) -> Winner:
        evaluation, seed = self.config.evaluation, self.config.search.seed
        return refit(
            self.factory.make(trial.params),
            self.material,
            self.metrics,
            bootstrap=evaluation.bootstrap,
            objective=self.objective.metric,
            seed=seed,
            folds=self._folds(trial, common),
        )

    def _folds(self, trial: Trial, common: Path | None) -> Iterable[Predictions]:
        """Give what the trial's models predicted, as a worker has kept it, or by fitting them once more where that is quick."""
        kept = recall(common, trial) if common is not None else None
        if kept is not None:
            return [predicted.among(self.material.split.train) for predicted in kept]
        if trial.fit_seconds * len(self.material.folds) > MOST_FOLD_SECONDS:
            return ()
        return fold_predictions(self.factory.make(trial.params), self.material, self.objective.metric)

    def _memory(self) -> FoldMemory | None:
        """Have workers on this machine keep what later checks need of the winner, where one of its metrics decides."""
        goal = self.objective.goals[0]
        is_measured = goal.metric in {metric.name for metric in self.metrics}
        is_here = self.config.execution.backend is not Backend.DASK
        return FoldMemory(goal.metric, goal.direction, self.needs.task) if is_measured and is_here else None

    def unseeded_parameters(self, trial: Trial) -> list[str]:
        """Name each ``random_state`` that the config itself sets to null; every other has a seed. See `SweepPlan`."""
        found = self.factory.make(trial.params).get_params(deep=True)
        return [name for name, value in found.items() if value is None and name.rpartition("__")[2] == "random_state"]

    def why_changed(self, rows: int, columns: Sequence[str]) -> str:
        """See `SweepPlan`."""
        return self.material.why_changed(rows, columns)


def _model_name(model: EstimatorConfig) -> str:
    if model.estimator is not None:
        return model.estimator
    return " > ".join(step.estimator.rpartition(".")[2] for step in (model.pipeline or {}).values())
