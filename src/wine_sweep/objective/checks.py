"""Are the parameters right for the estimator? Asked before anything runs, of scikit-learn's own constraints."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from wine_sweep.config import Choices, ModelConfig, Range, SearchConfig
from wine_sweep.errors import Path, Problem
from wine_sweep.objective.estimators import EstimatorError, materialize, set_params

_PARAMETERS: Path = ("search", "parameters")


def check_parameters(model: Any, config: ModelConfig, search: SearchConfig, trusted: Iterable[str]) -> list[Problem]:
    """Hold fixed and searched parameters against the estimator.

    Args:
        model: The unfitted estimator, with the fixed parameters set.
        config: The section `model` that it was built from.
        search: The section `search`.
        trusted: Packages that may be imported beside the usual ones.

    Returns:
        A problem for each unknown parameter and for each value that the estimator's constraints refuse.
    """
    problems = _check_fixed(model, config)
    for name, spec in search.parameters.items():
        problems += _check_searched(model, name, spec, trusted)
    return problems


def _check_fixed(model: Any, config: ModelConfig) -> list[Problem]:
    fixed: list[tuple[Path, str]] = [(("model", "params", name), name) for name in config.params]
    for step, each in (config.pipeline or {}).items():
        fixed += [(("model", "pipeline", step, "params", name), f"{step}__{name}") for name in each.params]
    values = model.get_params(deep=True)
    refused = [(path, _refusal(model, name, values[name])) for path, name in fixed if name in values]
    return [Problem(message, path) for path, message in refused if message]


def _check_searched(model: Any, name: str, spec: Choices | Range, trusted: Iterable[str]) -> list[Problem]:
    from sklearn.base import clone

    problems: list[Problem] = []
    for where, value in _candidates(spec):
        path = (*_PARAMETERS, name, *where)
        try:
            candidate = materialize(value, trusted, path)
            changed = set_params(clone(model), {name: candidate}, trusted, _PARAMETERS)
        except EstimatorError as error:
            return [*problems, error.problem]
        message = _refusal(changed, name, candidate)
        if message:
            problems.append(Problem(message, path))
    return problems


def _candidates(spec: Choices | Range) -> list[tuple[Path, Any]]:
    """List the values to hold against the constraints: every choice; of a range both ends, since constraints are intervals."""
    if isinstance(spec, Choices):
        return [(("choices", index), value) for index, value in enumerate(spec.choices)]
    kind = int if spec.is_int else float
    return [(("low",), kind(spec.low)), (("high",), kind(spec.high))]


def _refusal(model: Any, name: str, value: Any) -> str | None:
    """Say why an estimator's declared constraints refuse a value, or None. Estimators that declare none refuse nothing."""
    from sklearn.utils._param_validation import InvalidParameterError, validate_parameter_constraints

    *steps, last = name.split("__")
    for step in steps:
        model = model.get_params(deep=False).get(step)
        if not hasattr(model, "get_params"):
            return None
    constraints = getattr(model, "_parameter_constraints", {})
    if last not in constraints:
        return None
    try:
        validate_parameter_constraints({last: constraints[last]}, {last: value}, caller_name=type(model).__name__)
    except InvalidParameterError as error:
        return str(error)
    return None
