"""Everything that can be known before anything runs: a config held against its estimators, its metrics and its data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wine_sweep.config import (
    CrossValidation,
    DataConfig,
    Draft,
    EvaluationConfig,
    FamilyConfig,
    Method,
    SearchConfig,
    SelectionConfig,
    SweepConfig,
)
from wine_sweep.data import Dataset, Fold, Split, load_table, make_dataset, make_folds, split_rows
from wine_sweep.data.table import resolve_source
from wine_sweep.errors import ConfigError, DataError, Problem
from wine_sweep.execution import check_backend
from wine_sweep.objective.factory import ModelFactory
from wine_sweep.objective.measurement import Measurement
from wine_sweep.objective.metrics import Metric, check_classes, takes_weights
from wine_sweep.objective.weights import part_of
from wine_sweep.runner.goals import Goals, check_stopping
from wine_sweep.runner.models import ALONE, Models
from wine_sweep.search.auto import pick_method
from wine_sweep.search.checks import check_space
from wine_sweep.search.methods import check_method
from wine_sweep.search.space import Space
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
        config: The config, its data source as an absolute path or a bundled name, its method never ``auto``.
        draft: The config file as read, with the places of its keys.
        material: The rows.
        space: What is searched.
        method_reason: Why ``auto`` picked the method; empty when the config names one.
        factory: Makes the estimator of a trial.
        metrics: What is measured, the objective's metric first.
        objective: What decides.
        needs: What the model does, and what it needs of a table.
    """

    config: SweepConfig
    draft: Draft
    material: Material
    space: Space
    method_reason: str
    factory: ModelFactory
    metrics: Sequence[Metric]
    objective: Objective
    needs: Needs

    @property
    def name(self) -> str:
        """The sweep's name."""
        return self.config.name or "sweep"

    @property
    def steps(self) -> int:
        """How many steps a trial has that a pruner looks at."""
        budget = self.config.search.budget
        return len(self.material.folds) if budget is None else len(budget.steps())

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

    def measurement(self) -> Measurement:
        """Make what workers measure trials with."""
        dataset, train = self.material.dataset, self.material.split.train
        return Measurement(
            self.factory,
            dataset.features.iloc[train].reset_index(drop=True),
            dataset.target.to_numpy()[train],
            self.material.folds,
            self.metrics,
            weights=part_of(dataset.weights, train),
            seeds=self.config.evaluation.seeds,
            budget=self.config.search.budget,
            stepwise=self.config.search.pruner is not None,
        )


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
        self.models: Models | None = None
        self.space: Space | None = None
        self.goals: Goals | None = None
        self.material: Material | None = None
        self.method: tuple[Method, str] | None = None

    def run(self) -> None:
        sections = self.draft.sections
        families = sections.get("models") or ({ALONE: sections["model"]} if sections.get("model") else {})
        self.models = Models(families, self.trusted)
        self.problems += self.models.problems
        if "execution" in sections:
            self.problems += check_backend(sections["execution"])
        needs, search, evaluation = self.models.needs, sections.get("search"), sections.get("evaluation")
        if search is not None and "models" in sections:
            self._check_search(search, sections["models"])
        if needs is not None and evaluation is not None:
            self.problems += self.models.check_seeds(evaluation)
            if "objective" in sections:
                self.goals = Goals(evaluation, sections["objective"], sections.get("selection", SelectionConfig()), needs.task)
                self.problems += self.goals.problems
        if self.goals is not None and self.space is not None and not self.problems:
            refused = self.models.without_probabilities(self.space, self.goals.metrics)
            self.problems += [Problem(message, self.goals.path_of(name)) for name, message in refused]
        if needs is not None and sections.get("data") is not None:
            self._check_data(sections["data"], evaluation, needs)
            if sections["data"].weights is not None:
                self._check_weights(self.models)
        if needs is not None and evaluation is not None:
            self._check_stratified(evaluation.cv, needs)
        if search is not None and not self.problems and not self.draft.problems:
            self._settle_method(search)

    def prepared(self) -> Prepared:
        config, models, goals, material = self.draft.config, self.models, self.goals, self.material
        if not (config and models and models.needs and goals and goals.objective and material and self.space and self.method):
            raise RuntimeError("a draft without problems lacks a part")
        data = {"source": material.dataset.source, "target": str(material.dataset.target.name)}
        method, reason = self.method
        changed = {
            "data": config.data.model_copy(update=data),
            "search": config.search.model_copy(update={"method": method}),
        }
        return Prepared(
            config.model_copy(update=changed),
            self.draft,
            material,
            self.space,
            reason,
            ModelFactory(models.templates, config.search.seed, models.chosen, self.trusted),
            goals.metrics,
            goals.objective,
            models.needs,
        )

    def _check_search(self, search: SearchConfig, families: Mapping[str, FamilyConfig] | None) -> None:
        assert self.models is not None  # made before
        space = Space.of(search, families)
        problems = [*check_space(search, space), *self.models.check_searched(space, search.budget)]
        self.problems += problems
        if not problems:
            self.space = space

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
        if self.goals is not None:
            refused = ((metric, check_classes(metric, dataset.target)) for metric in self.goals.metrics)
            self.problems += [Problem(message, self.goals.path_of(metric.name)) for metric, message in refused if message]

    def _check_weights(self, models: Models) -> None:
        """Refuse weights that a model or a metric would not take."""
        goals = self.goals
        self.problems += [Problem(message, ("data", "weights")) for message in models.without_weights()]
        for metric in goals.metrics if goals else ():
            if goals is not None and not takes_weights(metric):
                message = f"{metric.name} takes no weights, and data.weights gives some; leave one of the two out"
                self.problems.append(Problem(message, goals.path_of(metric.name)))

    def _check_stratified(self, cv: CrossValidation, needs: Needs) -> None:
        if cv.stratified and needs.task is Task.REGRESSION:
            message = f"{needs.model} predicts numbers, and only classes can be stratified; leave `stratified` out"
            self.problems.append(Problem(message, ("evaluation", "cv", "stratified")))

    def _settle_method(self, search: SearchConfig) -> None:
        """Pick the method that `auto` stands for, and check what it needs and the options that it is given."""
        if not (self.space and self.goals and self.goals.objective and self.material):
            raise RuntimeError("a draft without problems lacks a part")
        objective, folds = self.goals.objective, len(self.material.folds)
        self.method = (search.method, "")
        if search.method is Method.AUTO:
            self.method = pick_method(search, self.space, objectives=len(objective.goals), limits=bool(objective.limits))
        steps = folds if search.budget is None else len(search.budget.steps())
        evaluation = self.draft.sections["evaluation"]
        self.problems += check_stopping(search, objective, values=folds * evaluation.seeds)
        self.problems += check_method(search.model_copy(update={"method": self.method[0]}), steps=steps)
