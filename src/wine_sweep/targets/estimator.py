"""Sweeps of scikit-learn's estimators: check config, metrics and data, and build the estimators of each family."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from wine_sweep.config import (
    FAMILY,
    BudgetConfig,
    Choices,
    CrossValidation,
    EarlyStoppingConfig,
    EstimatorConfig,
    EvaluationConfig,
    NotKnown,
    StepConfig,
    SweepConfig,
    known,
)
from wine_sweep.data.given import number_times
from wine_sweep.data.splits import TrainingData, resolved_data
from wine_sweep.errors import ConfigPath, Problem
from wine_sweep.evaluation.capture import foreign_output_shown
from wine_sweep.evaluation.cross_validation import CrossValidationTask, FoldMemory, recall
from wine_sweep.evaluation.early_stopping import RowsAside, as_chosen, refusal_beside, refusal_to_stop, rows_at
from wine_sweep.evaluation.estimator_params import (
    Covers,
    ModelFactory,
    Searched,
    check_fixed,
    check_searched,
    find_in_value,
    find_refused,
    first_value,
)
from wine_sweep.evaluation.estimators import (
    TRUSTED_PACKAGES,
    EstimatorError,
    build_model,
    chosen_states,
    copy_of,
    describe_needs,
    part_of,
    refusal,
    set_params,
)
from wine_sweep.evaluation.estimators import refusal_of_weights as weights_refused_by
from wine_sweep.evaluation.library_inputs import TableInputs
from wine_sweep.evaluation.metrics import Metric, check_classes, check_values, is_defined_for_one_row, takes_weights
from wine_sweep.evaluation.nested import dotted_paths
from wine_sweep.evaluation.preprocessing import describe_columns, preprocessed
from wine_sweep.evaluation.row_losses import Predictions
from wine_sweep.messages import first_line
from wine_sweep.search.space import Dimension, Space
from wine_sweep.targets.base import Findings, FitCount, SweepPlan, present
from wine_sweep.targets.objectives import Goals, TableParts, check_cheapest, check_search, settle
from wine_sweep.targets.refit import Winner, fold_predictions, refit
from wine_sweep.targets.structures import FewRowsModel, find_structures, fit_samples
from wine_sweep.trial import BEST_ITERATION, MODEL_SIZE, DataRequirements, Task, Trial

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

    def find_metric(self, name: str) -> Metric | None:
        """Return a metric by the name that it has in this sweep."""
        return next((metric for metric in self.metrics if metric.name == name), None)

    @property
    def measured(self) -> Sequence[str]:
        """See `SweepPlan`."""
        more = [*([MODEL_SIZE] if self.objective.weighs_models else []), *([BEST_ITERATION] if self.factory.stopping else [])]
        return [*(metric.name for metric in self.metrics), *more]

    @property
    def packages(self) -> list[str]:
        """The top-level modules that the estimators come from, those among parameters too."""
        named = {path.partition(".")[0] for path in dotted_paths(self.config.model_dump(include={"model", "models", "search"}))}
        prepares = {"skrub"} if self.factory.preprocessed else set()
        return sorted({*self.factory.trusted, *named.intersection(TRUSTED_PACKAGES), *prepares})

    def columns(self) -> Mapping[str, Sequence[str]]:
        """Tell what preprocessing takes each column of the training rows for; see `describe_columns`."""
        if not self.factory.preprocessed:
            return {}
        return describe_columns(self.material.dataset.features.iloc[self.material.split.train].reset_index(drop=True))

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
            aside=rows_aside(self.material, self.needs.task, self.config.evaluation.cv) if self.factory.stopping else None,
        )

    def refit(self, trial: Trial, common: Path | None = None) -> Winner:
        """See `SweepPlan`."""
        with foreign_output_shown():
            return refit(
                self._final_model(trial),
                self.material,
                self.metrics,
                bootstrap=self.config.evaluation.bootstrap,
                objective=self.objective.metric,
                seed=self.config.search.seed,
                folds=self._folds(trial, common),
            )

    def _final_model(self, trial: Trial) -> Any:
        """Make the model of a trial; one that stopped early has the median of the iterations that its folds found."""
        found = trial.scores.get(BEST_ITERATION)
        if found is None or self.factory.stopping_of(trial.params) is None:
            return self.factory.make(trial.params)
        dataset, train = self.material.dataset, self.material.split.train
        rows = rows_at(dataset.features, dataset.target.to_numpy(), dataset.weights, train)
        model = self.factory.make(trial.params, iterations=round(found.mean))
        return as_chosen(model, self.factory.make(trial.params), rows)

    def _folds(self, trial: Trial, common: Path | None) -> Iterable[Predictions]:
        """Return what the trial's models predicted, as a worker has kept it, or by fitting them once more where that is quick."""
        kept = recall(common, trial) if common is not None else None
        if kept is not None:
            return [predicted.among(self.material.split.train) for predicted in kept]
        if trial.fit_seconds * len(self.material.folds) > MOST_FOLD_SECONDS:
            return ()
        return fold_predictions(self._final_model(trial), self.material, self.objective.metric)

    def _memory(self) -> FoldMemory | None:
        """Have workers on this machine keep what later checks need of the winner, where one of its metrics decides."""
        goal = self.objective.goals[0]
        is_measured = goal.metric in {metric.name for metric in self.metrics}
        is_here = self.config.execution.backend.traits.shares_this_disk
        return FoldMemory(goal.metric, goal.direction, self.needs.task) if is_measured and is_here else None

    @property
    def is_rehearsed(self) -> bool:
        """See `SweepPlan`."""
        return True

    def samples(self) -> Iterator[FewRowsModel | Problem]:
        """See `SweepPlan`."""
        return fit_samples(find_structures(self.config.search, self.space), self.material, self.factory)

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
    return " > ".join(_step_names(model.pipeline or {}))


def _step_names(steps: Mapping[str, StepConfig]) -> Iterator[str]:
    """Name the classes of a pipeline's steps, those of pipelines in it too."""
    for step in steps.values():
        yield from [(step.estimator or "").rpartition(".")[2]] if step.pipeline is None else _step_names(step.pipeline)


ALONE: None = None
"""The family of the only model, where a config has no families."""


class Models:
    """The unfitted estimators of a sweep, with their fixed parameters.

    Args:
        configs: The sections `models`, or the section `model` under None.
        trusted: Packages that estimators may come from, beside the usual ones.

    Attributes:
        templates: The estimators by family, as far as they could be built.
        chosen: The parameters that the config fixes, by family.
        task: What those that could be built do; None when there are none, or they do not do the same.
        needs: What they do, and what all of them need of a table; None when that cannot be said.
        preprocessed: The families whose columns are prepared.
        stopping: When those stop that are to stop early, by family.
        problems: What is wrong with the sections.
    """

    def __init__(self, configs: Mapping[str | None, EstimatorConfig], trusted: tuple[str, ...]) -> None:
        self._configs = configs
        self._trusted = trusted
        self.templates: dict[str | None, Any] = {}
        self.chosen: dict[str | None, frozenset[str]] = {}
        self.needs: DataRequirements | None = None
        self.problems: list[Problem] = []
        self.task: Task | None = None
        self.preprocessed: frozenset[str | None] = frozenset()
        self.stopping: dict[str | None, EarlyStoppingConfig] = {}
        needs: dict[str | None, DataRequirements] = {}
        for family, config in configs.items():
            at: ConfigPath = ("model",) if family is ALONE else ("models", family)
            try:
                _ = config.form
                self.chosen[family] = frozenset(chosen_states(config))
                built = build_model(config, trusted, at)
                self.problems += built.problems
                if built.model is None:
                    continue
                self.templates[family] = built.model
                self.problems += check_fixed(built.model, config, at) if not built.problems else []
                needs[family] = describe_needs(built.model, at)
                if known(lambda: config.preprocess, None) is not None:  # noqa: B023  # called at once
                    self.preprocessed |= {family}
                    needs[family] = replace(needs[family], numbers=False, takes_missing=True)
                    self.problems += _check_preprocessed(built.model, (*at, "preprocess"))
                if (stopping := known(lambda: config.early_stopping, None)) is not None:  # noqa: B023  # called at once
                    self.stopping[family] = stopping
                    self.problems += _check_stopping(built.model, config, at)
            except EstimatorError as error:
                self.problems.append(error.problem)
            except NotKnown:
                continue
        if needs:
            self._merge(needs, are_all=len(needs) == len(configs))

    def _merge(self, needs: Mapping[str | None, DataRequirements], *, are_all: bool) -> None:
        tasks = {family: each.task for family, each in needs.items()}
        first = next(iter(tasks.values()))
        other = next((family for family, task in tasks.items() if task is not first), None)
        if other is not None:
            message = f"does {tasks[other].value}, and the families before it do {first.value}; one sweep does one of them"
            self.problems.append(Problem(message, ("models", other)))
            return
        self.task = first
        if not are_all:
            return
        picky = next((each for each in needs.values() if each.numbers), next(iter(needs.values())))
        takes_missing = all(each.takes_missing for each in needs.values())
        name = picky.model if takes_missing else next(each.model for each in needs.values() if not each.takes_missing)
        numbers = any(each.numbers for each in needs.values())
        categories = all(each.categories or not each.numbers for each in needs.values())
        self.needs = DataRequirements(first, numbers, takes_missing, name, categories)

    def check_searched(self, space: Space, budget: BudgetConfig | None) -> list[Problem]:
        """Hold the searched parameters, and the one that grows, against the estimators that they are for."""
        problems: list[Problem] = []
        for family, template in self.templates.items():
            all_meet = not space.constraints
            problems += check_searched(template, _searched(space, family), self._trusted, all_meet=all_meet)
            if budget is not None and budget.parameter is not None:
                problems += self._check_budget(budget, budget.parameter, space, family)
        return problems

    def check_files(self, space: Space | None, covers: Covers) -> list[Problem]:
        """Find the parameters, fixed or searched, that would read or write files that nobody trusts.

        Args:
            space: What is searched; None where that is not known.
            covers: Whether a path is trusted.
        """
        problems: list[Problem] = []
        for family, model in self.templates.items():
            config, at = self._configs[family], ("model",) if family is ALONE else ("models", family)
            for step, each in (config.pipeline or {}).items():
                path = (*at, "pipeline", step)
                if each.pipeline is None:
                    made = model.named_steps[step]
                    problems += find_refused(made, each.params, covers, self._trusted, (*path, "params"))
                else:
                    problems += find_in_value(each.value, covers, self._trusted, path)
            searched = _searched(space, family) if space is not None else {}
            outer = {name: each.spec.choices for name, each in searched.items() if isinstance(each.spec, Choices)}
            for name, value in config.params.items():
                problems += find_refused(model, {name: value}, covers, self._trusted, (*at, "params"), outer=outer)
            for name, choices in outer.items():
                for index, value in enumerate(choices):
                    found = find_refused(model, {name: value}, covers, self._trusted, (), outer=outer)
                    problems += [replace(each, path=(*searched[name].path, "choices", index, *each.path[1:])) for each in found]
        return problems

    def _check_budget(self, budget: BudgetConfig, name: str, space: Space, family: str | None) -> list[Problem]:
        """Check the parameter that grows, and set it to its last value, with which the winner is fitted."""
        path = ("search", "budget", "parameter")
        if name in _searched(space, family) or name in self.chosen[family]:
            return [Problem(f"{name} grows as the budget; it cannot be searched or fixed too", path)]
        template = self.templates[family]
        try:
            set_params(template, {name: int(budget.max or 1)}, self._trusted, path[:-1])
        except EstimatorError as error:
            return [Problem(error.problem.message, path)]
        message = refusal(template, name, int(budget.min or 1))
        return [Problem(message, ("search", "budget", "min"))] if message else []

    def check_seeds(self, evaluation: EvaluationConfig) -> list[Problem]:
        """Refuse to repeat fits with other seeds where no seed makes a difference, in none of the families."""
        if evaluation.seeds == 1 or not self.templates or any(map(self._has_open_state, self.templates)):
            return []
        message = f"no random_state of the model is left open: {evaluation.seeds} seeds would measure the same thing"
        return [Problem(message, ("evaluation", "seeds"))]

    def _has_open_state(self, family: str | None) -> bool:
        parameters = self.templates[family].get_params(deep=True)
        return any(
            name.rpartition("__")[2] == "random_state" and value is None and name not in self.chosen[family]
            for name, value in parameters.items()
        )

    def check_weights(self) -> Iterator[Problem]:
        """Find the models that cannot be fitted with weights."""
        for template in self.templates.values():
            if (message := weights_refused_by(template)) is not None:
                yield Problem(message, ("data", "weights"))

    def without_probabilities(self, space: Space, metrics: Sequence[Metric]) -> list[tuple[str, str]]:
        """List metrics that need probabilities of a model that gives none, with any of the first values searched, and why."""
        refused = []
        for family, template in self.templates.items():
            first = _first_point(space, family)
            model = set_params(copy_of(template), first, self._trusted, ("search", "parameters"))
            of = "the model" if family is ALONE else f"the model of {family}"
            refused += [
                (metric.name, f"{metric.name} needs probabilities, and {of} has no `predict_proba` as it is set")
                for metric in metrics
                if metric.needs_probabilities and not hasattr(model, "predict_proba")
            ]
        return refused


def _dimensions(space: Space, family: str | None) -> list[Dimension]:
    """List what is searched for a family: its own parameters, and those of all families that do not leave it out."""
    return [
        each
        for each in space.dimensions
        if each.family in (None, family)
        and each.path != ("models",)
        and (family is ALONE or family in each.when.get(FAMILY, [family]))
    ]


def _searched(space: Space, family: str | None) -> dict[str, Searched]:
    """Describe what is searched for a family, by name; conditions include those of what they depend on."""
    found: dict[str, Searched] = {}
    for each in _dimensions(space, family):  # which come after those that their conditions name
        when = dict(each.when)
        for name in each.when:
            when = {**(found[name].when if name in found else {}), **when}
        found[each.name] = Searched(each.spec, each.path, when)
    return found


def _first_point(space: Space, family: str | None) -> dict[str, Any]:
    """Return the first value of every parameter that is searched where those before it have their first."""
    point: dict[str, Any] = {} if family is ALONE else {FAMILY: family}
    for each in _dimensions(space, family):
        if each.is_active(point):
            point[each.name] = first_value(each.spec)
    return {name: value for name, value in point.items() if family is ALONE or name != FAMILY}


def plan_estimator(found: Findings) -> EstimatorSweep:
    """Plan a sweep of an estimator, a pipeline or families, and load its table.

    Raises:
        ConfigError: With every problem found.
    """
    config, trust = found.draft.known, found.trust
    models = Models(known(lambda: config.families, {}), trust.packages)
    found.problems += models.problems
    space = found.part(lambda: Space.of(config.search, known(lambda: config.models, None)))
    is_sound = found.look(lambda: check_search(config.search, space()))
    is_sound &= found.look(lambda: models.check_searched(space(), known(lambda: config.search.budget, None)))
    found.look(lambda: models.check_files(known(space, None), trust.covers))
    found.look(lambda: models.check_seeds(config.evaluation))
    found.look(lambda: check_cheapest(config.selection, space()))
    found.look(lambda: _check_stratified(config.evaluation.cv, present(models.needs)))

    is_known = known(lambda: config.form.is_estimator, otherwise=False)
    goals = Goals(config, models.task, folder=found.draft.folder, trust=trust, is_known=is_known)
    found.problems += goals.problems
    is_sound = is_sound and not models.problems and not found.draft.problems
    if is_sound:
        refused = models.without_probabilities(space(), goals.metrics)
        found.problems += [Problem(message, goals.path_of(name)) for name, message in refused]

    table = TableParts(found, lambda _: present(models.needs))
    for metric in goals.metrics:
        found.look(partial(_check_metric, metric, goals.path_of(metric.name), config, table))
    if _has_weights(config):
        found.look(models.check_weights)

    for family, stopping in models.stopping.items():
        at = ("model",) if family is ALONE else ("models", family)
        found.look(partial(_check_rows_aside, stopping, (*at, "early_stopping", "share"), config, table, models))

    def steps() -> int:
        budget = config.search.budget
        return table.count_splits() if budget is None else len(budget.steps())

    settled = settle(
        found,
        lambda: present(space() if is_sound else None),
        lambda: present(goals.objective),
        steps=steps,
        values=lambda: table.count_splits() * config.evaluation.seeds,
    )
    found.finish()
    plan, material = settled(), table.material()
    changed = {
        "data": resolved_data(present(config.data), material.dataset, found.draft.folder),
        "search": plan.search,
        "evaluation": goals.resolved(config.evaluation),
    }
    made_of = models.templates, config.search.seed, models.chosen, trust.packages, tuple(trust.paths), models.preprocessed
    target = material.dataset.target.to_numpy() if material.dataset.task is Task.CLASSIFICATION else None
    factory = ModelFactory(*made_of, inputs=TableInputs.from_table(material.dataset.features, target), stopping=models.stopping)
    made = config.model_copy(update=changed), found.draft, plan.space, plan.reason, plan.objective, trust.given
    return EstimatorSweep(*made, material, factory, goals.metrics, present(models.needs))


def _check_preprocessed(model: Any, path: ConfigPath) -> Iterator[Problem]:
    try:
        preprocessed(copy_of(model))
    except TypeError as error:
        yield Problem(f"skrub prepares nothing for {type(model).__name__}: {first_line(error)}", path)


def _check_stopping(model: Any, config: EstimatorConfig, at: ConfigPath) -> Iterator[Problem]:
    """Find why a model cannot stop early, and fixed parameters that do not go with it."""
    if (message := refusal_to_stop(model)) is not None:
        yield Problem(message, (*at, "early_stopping"))
        return
    for name in config.params:
        if (message := refusal_beside(name)) is not None:
            yield Problem(message, (*at, "params", name))


def rows_aside(material: TrainingData, task: Task, cv: CrossValidation) -> RowsAside:
    """Describe how training rows are set aside to stop by: as test rows are."""
    dataset, train = material.dataset, material.split.train
    in_time = cv.time_series is not None or dataset.time is not None
    times = number_times(dataset.time, len(dataset.target))[train] if in_time else None
    return RowsAside(dataset.target.to_numpy()[train], dataset.groups[train], times, task is Task.CLASSIFICATION)


def _check_rows_aside(
    stopping: EarlyStoppingConfig, path: ConfigPath, config: SweepConfig, table: TableParts, models: Models
) -> Iterator[Problem]:
    material = table.material()
    aside = rows_aside(material, present(models.needs).task, config.evaluation.cv)
    for number, fold in enumerate(material.folds):
        try:
            aside.divide(fold.fit, stopping.share, config.search.seed + number)
        except ValueError as error:
            message = f"{stopping.share} of the {len(fold.fit)} rows that fold {number} is fitted on cannot be set aside: {error}"
            yield Problem(message, path)
            return


def _has_weights(config: SweepConfig) -> bool:
    return known(lambda: present(config.data).weights, None) is not None


def _check_metric(metric: Metric, path: ConfigPath, config: SweepConfig, table: TableParts) -> Iterator[Problem]:
    """Find why a metric cannot be computed for the rows, or with weights."""
    if _has_weights(config) and not takes_weights(metric):
        yield Problem(f"{metric.name} takes no weights, and data.weights gives some; leave one of the two out", path)
    target = table.dataset().target
    if (message := check_classes(metric, target) or check_values(metric, target)) is not None:
        yield Problem(message, path)
    if known(lambda: config.evaluation.cv.leave_one_out, None) and not is_defined_for_one_row(metric, table.dataset().target):
        yield Problem(f"{metric.name} cannot be computed of one row, and each row is a fold; name metrics that can", path)


def _check_stratified(cv: CrossValidation, needs: DataRequirements) -> Iterator[Problem]:
    if cv.stratified and needs.task is Task.REGRESSION:
        message = f"{needs.model} predicts numbers, and only classes can be stratified; leave `stratified` out"
        yield Problem(message, ("evaluation", "cv", "stratified"))
