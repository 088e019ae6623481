"""Are the parameters right for the estimator? Asked before anything runs, of scikit-learn's own constraints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from wine_sweep.config import Choices, EstimatorConfig, Range
from wine_sweep.errors import ConfigPath, Problem
from wine_sweep.objective.constraints import refusal
from wine_sweep.objective.estimators import EstimatorError, copy_of, materialize, set_params

Spec = Choices | Range
Searched = tuple[Spec, ConfigPath]
"""A searched parameter's values, and where they stand in the config."""


def check_fixed(model: Any, config: EstimatorConfig, at: ConfigPath = ("model",)) -> list[Problem]:
    """Hold the fixed parameters of a built model, whose section stands `at`, against its constraints."""
    fixed: list[tuple[ConfigPath, str]] = [((*at, "params", name), name) for name in config.params]
    for step, each in (config.pipeline or {}).items():
        fixed += [((*at, "pipeline", step, "params", name), f"{step}__{name}") for name in each.params]
    values = model.get_params(deep=True)
    refused = [(path, refusal(model, name, values[name])) for path, name in fixed if name in values]
    return [Problem(message, path) for path, message in refused if message]


def check_searched(model: Any, parameters: Mapping[str, Searched], trusted: Iterable[str]) -> list[Problem]:
    """Hold the searched parameters against the estimator.

    Args:
        model: The unfitted estimator, with the fixed parameters set.
        parameters: What is searched for it, by name.
        trusted: Packages that may be imported beside the usual ones.

    Returns:
        A problem for each unknown parameter and for each value that the estimator's constraints refuse.
    """
    return [problem for name in parameters for problem in _check_one(model, name, parameters, trusted)]


def _check_one(model: Any, name: str, parameters: Mapping[str, Searched], trusted: Iterable[str]) -> list[Problem]:
    problems: list[Problem] = []
    outer = {each: first_value(spec) for each, (spec, _) in parameters.items() if name.startswith(f"{each}__")}
    spec, at = parameters[name]
    for where, value in _candidates(spec):
        path = (*at, *where)
        try:
            candidate = materialize(value, trusted, path)
            changed = set_params(copy_of(model), {**outer, name: candidate}, trusted, at[:-1])
        except EstimatorError as error:
            return [*problems, error.problem]
        message = refusal(changed, name, candidate)
        if message:
            problems.append(Problem(message, path))
    return problems


def first_value(spec: Spec) -> Any:
    """Give a value that a parameter may take: the first choice, or a range's lower end."""
    return spec.choices[0] if isinstance(spec, Choices) else (int(spec.low) if spec.is_int else float(spec.low))


def _candidates(spec: Spec) -> list[tuple[ConfigPath, Any]]:
    """List the values to hold against the constraints: every choice; of a range both ends, since constraints are intervals."""
    if isinstance(spec, Choices):
        return [(("choices", index), value) for index, value in enumerate(spec.choices)]
    kind = int if spec.is_int else float
    return [(("low",), kind(spec.low)), (("high",), kind(spec.high))]
