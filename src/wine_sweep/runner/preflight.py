"""Everything that can be known before anything runs: a config held against its estimator, its metrics and its data."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from wine_sweep.config import (
    CrossValidation,
    DataConfig,
    Direction,
    Draft,
    EvaluationConfig,
    ModelConfig,
    ObjectiveConfig,
    SearchConfig,
    SweepConfig,
)
from wine_sweep.data import Dataset, Fold, Split, load_table, make_dataset, make_folds, split_rows
from wine_sweep.data.table import resolve_source
from wine_sweep.errors import ConfigError, DataError, Path, Problem
from wine_sweep.objective.checks import check_fixed, check_searched, first_value
from wine_sweep.objective.estimators import EstimatorError, build_model, chosen_states, copy_of, describe_needs, set_params
from wine_sweep.objective.measurement import Measurement, ModelFactory
from wine_sweep.objective.metrics import DEFAULTS, NEED_PROBABILITIES, Metric, check_classes, find_metric, takes_weights
from wine_sweep.objective.weights import part_of
from wine_sweep.objective.weights import refusal as weights_refused_by
from wine_sweep.search.initial import check_initial
from wine_sweep.selection import Objective
from wine_sweep.task import Needs, Task


@dataclass(frozen=True)
class Material:
    """The rows of a sweep: the whole table, what is set aside, and the folds of the rest."""

    dataset: Dataset
    split: Split
    folds: Sequence[Fold]


@dataclass(frozen=True)
class Prepared:
    """A sweep that can run.

    Args:
        config: The config, its data source as an absolute path or a bundled name.
        text: The config file as written.
        folder: The folder that the file is in.
        material: The rows.
        factory: Makes the estimator of a trial.
        metrics: What is measured, the objective's metric first.
        objective: What decides.
        needs: What the model does, and what it needs of a table.
    """

    config: SweepConfig
    text: str
    folder: pathlib.Path
    material: Material
    factory: ModelFactory
    metrics: Sequence[Metric]
    objective: Objective
    needs: Needs

    @property
    def name(self) -> str:
        """The sweep's name."""
        return self.config.name or "sweep"

    def measurement(self) -> Measurement:
        """Make what workers measure trials with."""
        dataset, train = self.material.dataset, self.material.split.train
        features, target = dataset.features.iloc[train].reset_index(drop=True), dataset.target.to_numpy()[train]
        weights = part_of(dataset.weights, train)
        return Measurement(self.factory, features, target, self.material.folds, self.metrics, weights=weights)


def prepare(draft: Draft, *, trusted: Sequence[str] = ()) -> Prepared:
    """Check everything about a sweep that can be checked without running it, and load its data.

    Args:
        draft: The config as read.
        trusted: Packages that estimators may come from, beside the usual ones.

    Raises:
        ConfigError: With every problem found, each at its place.
    """
    check = _Check(draft, tuple(trusted))
    check.run()
    problems = draft.document.locate([*draft.problems, *check.problems])
    if problems:
        raise ConfigError(problems)
    return check.prepared()


class _Check:
    """Goes through the sections of a draft that are right by themselves; what depends on a broken one is left out."""

    def __init__(self, draft: Draft, trusted: tuple[str, ...]) -> None:
        self.draft = draft
        self.trusted = trusted
        self.problems: list[Problem] = []
        self.model: Any = None
        self.needs: Needs | None = None
        self.metrics: list[Metric] = []
        self.objective: Objective | None = None
        self.material: Material | None = None

    def run(self) -> None:
        sections = self.draft.sections
        model, search = sections.get("model"), sections.get("search")
        if model is not None:
            self._check_model(model)
        if search is not None:
            self.problems += check_initial(search)
            if self.model is not None:
                self.problems += check_searched(self.model, search, self.trusted)
        if self.needs is not None and "evaluation" in sections and "objective" in sections:
            self._check_metrics(sections["evaluation"], sections["objective"], self.needs.task)
        if self.needs is not None and search is not None and not self.problems:
            self._check_probabilities(search)
        if self.needs is not None and "data" in sections:
            self._check_data(sections["data"], sections.get("evaluation"), self.needs)
            if sections["data"].weights is not None:
                self._check_weights()
        if self.needs is not None and "evaluation" in sections:
            self._check_stratified(sections["evaluation"].cv, self.needs)

    def prepared(self) -> Prepared:
        config = self.draft.config
        if config is None or self.needs is None or self.objective is None or self.material is None:
            raise RuntimeError("a draft without problems lacks a part")
        source = self.material.dataset.source
        data = config.data.model_copy(update={"source": source, "target": str(self.material.dataset.target.name)})
        factory = ModelFactory(self.model, config.search.seed, frozenset(chosen_states(config.model)), self.trusted)
        return Prepared(
            config.model_copy(update={"data": data}),
            self.draft.text,
            self.draft.folder,
            self.material,
            factory,
            self.metrics,
            self.objective,
            self.needs,
        )

    def _check_model(self, config: ModelConfig) -> None:
        try:
            built = build_model(config, self.trusted)
            self.model = built.model
            self.problems += built.problems or check_fixed(self.model, config)
            self.needs = describe_needs(self.model)
        except EstimatorError as error:
            self.problems.append(error.problem)

    def _check_metrics(self, evaluation: EvaluationConfig, objective: ObjectiveConfig | None, task: Task) -> None:
        named: list[tuple[Path, str]] = [
            (("evaluation", "metrics", index), name) for index, name in enumerate(evaluation.metrics or DEFAULTS[task])
        ]
        if objective is not None:
            named = [(("objective", "metric"), objective.metric), *(pair for pair in named if pair[1] != objective.metric)]
        for path, name in named:
            try:
                metric = find_metric(name, task)
            except ValueError as error:
                self.problems.append(Problem(str(error), path))
                continue
            if metric in self.metrics:
                self.problems.append(Problem(f"{name} is given twice", path))
            self.metrics.append(metric)
        if self.metrics and not (objective is not None and self.metrics[0].name != objective.metric):
            self._check_direction(self.metrics[0], objective)
            self.objective = Objective(self.metrics[0].name, self.metrics[0].direction, evaluation.cv.describe())

    def _check_probabilities(self, search: SearchConfig) -> None:
        """Refuse metrics that need probabilities of a model that gives none, with any of the first values searched."""
        first = {name: first_value(spec) for name, spec in search.parameters.items()}
        model = set_params(copy_of(self.model), first, self.trusted, ("search", "parameters"))
        for metric in self.metrics:
            if metric.scorer in NEED_PROBABILITIES and not hasattr(model, "predict_proba"):
                message = f"{metric.name} needs probabilities, and the model has no `predict_proba` as it is set"
                self.problems.append(Problem(message, self._metric_path(metric.name)))

    def _check_direction(self, metric: Metric, objective: ObjectiveConfig | None) -> None:
        given = objective.direction if objective else None
        if given is not None and given is not metric.direction:
            better = "lower" if metric.direction is Direction.MINIMIZE else "higher"
            message = f"{metric.name} is better when {better}: leave `direction` out, or say {metric.direction.value}"
            self.problems.append(Problem(message, ("objective", "direction")))

    def _check_data(self, config: DataConfig, evaluation: EvaluationConfig | None, needs: Needs) -> None:
        try:
            source = resolve_source(config.source, self.draft.folder)
            dataset = make_dataset(load_table(source), config, source=source, needs=needs)
            cv = (evaluation or EvaluationConfig()).cv
            split = split_rows(dataset, config, task=needs.task, in_time=cv.time_series is not None)
            folds = make_folds(dataset, split, cv, task=needs.task, duplicates=config.duplicates)
        except DataError as error:
            self.problems.append(Problem(str(error), error.path))
            return
        self.material = Material(dataset, split, folds)
        refused = ((metric, check_classes(metric, dataset.target)) for metric in self.metrics)
        self.problems += [Problem(message, self._metric_path(metric.name)) for metric, message in refused if message]

    def _check_weights(self) -> None:
        """Refuse weights that the model or a metric would not take."""
        message = weights_refused_by(self.model)
        if message:
            self.problems.append(Problem(message, ("data", "weights")))
        for metric in self.metrics:
            if not takes_weights(metric):
                message = f"{metric.name} takes no weights, and data.weights gives some; leave one of the two out"
                self.problems.append(Problem(message, self._metric_path(metric.name)))

    def _check_stratified(self, cv: CrossValidation, needs: Needs) -> None:
        if cv.stratified and needs.task is Task.REGRESSION:
            message = f"{needs.model} predicts numbers, and only classes can be stratified; leave `stratified` out"
            self.problems.append(Problem(message, ("evaluation", "cv", "stratified")))

    def _metric_path(self, name: str) -> Path:
        evaluation = self.draft.sections.get("evaluation")
        listed = (evaluation.metrics if evaluation else None) or []
        return ("evaluation", "metrics", listed.index(name)) if name in listed else ("objective", "metric")
