"""The estimators of a sweep, one for each family: built, and held against what the config does with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wine_sweep.config import FAMILY, BudgetConfig, Choices, EstimatorConfig, EvaluationConfig
from wine_sweep.errors import ConfigPath, Problem
from wine_sweep.objective.checks import Searched, check_fixed, check_searched, first_value
from wine_sweep.objective.constraints import refusal
from wine_sweep.objective.estimators import EstimatorError, build_model, chosen_states, copy_of, describe_needs, set_params
from wine_sweep.objective.file_parameters import Covers, find_refused
from wine_sweep.objective.metrics import NEED_PROBABILITIES, Metric
from wine_sweep.objective.weights import refusal as weights_refused_by
from wine_sweep.search.space import Space
from wine_sweep.task import DataRequirements

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
        needs: What they do, and what all of them need of a table; None when that cannot be said.
        problems: What is wrong with the sections.
    """

    def __init__(self, configs: Mapping[str | None, EstimatorConfig], trusted: tuple[str, ...]) -> None:
        self._configs = configs
        self._trusted = trusted
        self.templates: dict[str | None, Any] = {}
        self.chosen = {family: frozenset(chosen_states(config)) for family, config in configs.items()}
        self.needs: DataRequirements | None = None
        self.problems: list[Problem] = []
        needs: dict[str | None, DataRequirements] = {}
        for family, config in configs.items():
            at: ConfigPath = ("model",) if family is ALONE else ("models", family)
            try:
                built = build_model(config, trusted, at)
                self.templates[family] = built.model
                self.problems += built.problems or check_fixed(built.model, config, at)
                needs[family] = describe_needs(built.model, at)
            except EstimatorError as error:
                self.problems.append(error.problem)
        if needs and len(needs) == len(configs):
            self._merge(needs)

    def _merge(self, needs: Mapping[str | None, DataRequirements]) -> None:
        tasks = {family: each.task for family, each in needs.items()}
        first = next(iter(tasks.values()))
        other = next((family for family, task in tasks.items() if task is not first), None)
        if other is not None:
            message = f"does {tasks[other].value}, and the families before it do {first.value}; one sweep does one of them"
            self.problems.append(Problem(message, ("models", other)))
            return
        picky = next((each for each in needs.values() if each.numbers), next(iter(needs.values())))
        takes_missing = all(each.takes_missing for each in needs.values())
        name = picky.model if takes_missing else next(each.model for each in needs.values() if not each.takes_missing)
        self.needs = DataRequirements(first, any(each.numbers for each in needs.values()), takes_missing, name)

    def check_searched(self, space: Space, budget: BudgetConfig | None) -> list[Problem]:
        """Hold the searched parameters, and the one that grows, against the estimators that they are for."""
        problems: list[Problem] = []
        for family, template in self.templates.items():
            problems += check_searched(template, _searched(space, family), self._trusted)
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
                path = (*at, "pipeline", step, "params")
                problems += find_refused(model.named_steps[step], each.params, covers, self._trusted, path)
            searched = _searched(space, family) if space is not None else {}
            outer = {name: spec.choices for name, (spec, _) in searched.items() if isinstance(spec, Choices)}
            for name, value in config.params.items():
                problems += find_refused(model, {name: value}, covers, self._trusted, (*at, "params"), outer=outer)
            for name, choices in outer.items():
                for index, value in enumerate(choices):
                    found = find_refused(model, {name: value}, covers, self._trusted, (), outer=outer)
                    problems += [Problem(each.message, (*searched[name][1], "choices", index, *each.path[1:])) for each in found]
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

    def without_weights(self) -> list[str]:
        """Say which of the models cannot be fitted with weights, and why."""
        return [message for template in self.templates.values() if (message := weights_refused_by(template))]

    def without_probabilities(self, space: Space, metrics: Sequence[Metric]) -> list[tuple[str, str]]:
        """List metrics that need probabilities of a model that gives none, with any of the first values searched, and why."""
        refused = []
        for family, template in self.templates.items():
            first = {name: first_value(spec) for name, (spec, _) in _searched(space, family).items()}
            model = set_params(copy_of(template), first, self._trusted, ("search", "parameters"))
            of = "the model" if family is ALONE else f"the model of {family}"
            refused += [
                (metric.name, f"{metric.name} needs probabilities, and {of} has no `predict_proba` as it is set")
                for metric in metrics
                if metric.scorer in NEED_PROBABILITIES and not hasattr(model, "predict_proba")
            ]
        return refused


def _searched(space: Space, family: str | None) -> dict[str, Searched]:
    """List what is searched for a family: its own parameters, and those of all families that do not leave it out."""
    return {
        each.name: (each.spec, each.path)
        for each in space.dimensions
        if each.family in (None, family)
        and each.path != ("models",)
        and (family is ALONE or family in each.when.get(FAMILY, [family]))
    }
