"""A config held against its estimators, its metrics and its data, before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from wine_sweep.config import (
    CrossValidation,
    DataConfig,
    EvaluationConfig,
    FamilyConfig,
    Method,
    ParsedConfig,
    SearchConfig,
    SelectionConfig,
)
from wine_sweep.errors import DataError, Problem
from wine_sweep.execution import check_backend
from wine_sweep.objective.factory import ModelFactory
from wine_sweep.objective.metrics import check_classes, takes_weights
from wine_sweep.search.checks import check_space
from wine_sweep.search.space import Space
from wine_sweep.subjects.estimator_sweep import EstimatorSweep
from wine_sweep.subjects.gate_check import check_gate
from wine_sweep.subjects.goals import Goals
from wine_sweep.subjects.material import TrainingData, load_material, resolved_data
from wine_sweep.subjects.method import settle_method
from wine_sweep.subjects.models import ALONE, Models
from wine_sweep.subjects.thrift import check_cheapest, check_spread, one_standard_error_of
from wine_sweep.subjects.trust import Trust
from wine_sweep.task import DataRequirements, Task


class EstimatorCheck:
    """Goes through the sections of a draft that are right by themselves; what depends on a broken one is left out.

    Args:
        draft: The config as read.
        trusted: The values of ``--trust``, of which packages count.
    """

    def __init__(self, draft: ParsedConfig, trusted: tuple[str, ...]) -> None:
        self.draft = draft
        self.trust = Trust(trusted)
        self.trusted = self.trust.packages
        self.problems: list[Problem] = []
        self.models: Models | None = None
        self.space: Space | None = None
        self.goals: Goals | None = None
        self.material: TrainingData | None = None
        self.method: tuple[Method, str] | None = None

    def run(self) -> None:
        """Find what is wrong."""
        sections = self.draft.sections
        families = sections.get("models") or ({ALONE: sections["model"]} if sections.get("model") else {})
        self.models = Models(families, self.trusted)
        self.problems += self.models.problems
        if "execution" in sections:
            self.problems += check_backend(sections["execution"])
        needs, search, evaluation = self.models.needs, sections.get("search"), sections.get("evaluation")
        if search is not None and "models" in sections:
            self._check_search(search, sections["models"])
        self.problems += self.models.check_files(self.space, self.trust.covers)
        if needs is not None and evaluation is not None:
            self.problems += self.models.check_seeds(evaluation)
            if "objective" in sections:
                self.goals = Goals(evaluation, sections["objective"], self._selection, needs.task)
                self.problems += self.goals.problems
        if self.space is not None:
            self.problems += check_cheapest(self._selection, self.space)
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

    def prepared(self) -> EstimatorSweep:
        """Give the sweep; nothing is wrong with the draft."""
        config, models, goals, material = self.draft.config, self.models, self.goals, self.material
        if not (config and config.data and models and models.needs and goals and goals.objective and material and self.space):
            raise RuntimeError("a draft without problems lacks a part")
        if self.method is None:
            raise RuntimeError("a draft without problems has no method")
        one_standard_error = one_standard_error_of(
            self._selection, self.space, values=len(material.folds) * config.evaluation.seeds
        )
        method, reason = self.method
        changed = {
            "data": resolved_data(config.data, material.dataset, self.draft.folder),
            "search": config.search.model_copy(update={"method": method}),
        }
        return EstimatorSweep(
            config.model_copy(update=changed),
            self.draft,
            self.space,
            reason,
            replace(goals.objective, one_standard_error=one_standard_error),
            self.trust.given,
            material,
            ModelFactory(models.templates, config.search.seed, models.chosen, self.trusted, tuple(self.trust.paths)),
            goals.metrics,
            models.needs,
        )

    def _check_search(self, search: SearchConfig, families: Mapping[str, FamilyConfig] | None) -> None:
        assert self.models is not None  # made before
        space = Space.of(search, families)
        problems = [*check_space(search, space), *self.models.check_searched(space, search.budget)]
        self.problems += problems
        if not problems:
            self.space = space

    def _check_data(self, config: DataConfig, evaluation: EvaluationConfig | None, needs: DataRequirements) -> None:
        try:
            material = load_material(config, self.draft.folder, (evaluation or EvaluationConfig()).cv, needs)
        except DataError as error:
            self.problems.append(Problem(str(error), error.path))
            return
        self.material = material
        self.problems += check_gate(self.draft.sections.get("registry"), material.dataset)
        if self.goals is not None:
            refused = ((metric, check_classes(metric, material.dataset.target)) for metric in self.goals.metrics)
            self.problems += [Problem(message, self.goals.path_of(metric.name)) for metric, message in refused if message]

    def _check_weights(self, models: Models) -> None:
        """Refuse weights that a model or a metric would not take."""
        goals = self.goals
        self.problems += [Problem(message, ("data", "weights")) for message in models.without_weights()]
        for metric in goals.metrics if goals else ():
            if goals is not None and not takes_weights(metric):
                message = f"{metric.name} takes no weights, and data.weights gives some; leave one of the two out"
                self.problems.append(Problem(message, goals.path_of(metric.name)))

    def _check_stratified(self, cv: CrossValidation, needs: DataRequirements) -> None:
        if cv.stratified and needs.task is Task.REGRESSION:
            message = f"{needs.model} predicts numbers, and only classes can be stratified; leave `stratified` out"
            self.problems.append(Problem(message, ("evaluation", "cv", "stratified")))

    def _settle_method(self, search: SearchConfig) -> None:
        """Pick the method that `auto` stands for, and check what it needs and the options that it is given."""
        if not (self.space and self.goals and self.goals.objective and self.material):
            raise RuntimeError("a draft without problems lacks a part")
        objective, folds = self.goals.objective, len(self.material.folds)
        steps = folds if search.budget is None else len(search.budget.steps())
        values = folds * self.draft.sections["evaluation"].seeds
        self.method, problems = settle_method(search, self.space, objective, steps=steps, values=values)
        self.problems += [*problems, *check_spread(self._selection, objective, values=values)]

    @property
    def _selection(self) -> SelectionConfig:
        selection: SelectionConfig = self.draft.sections.get("selection", SelectionConfig())
        return selection
