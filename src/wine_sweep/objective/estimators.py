"""Dotted paths to estimators, and only to those of packages that are trusted.

A config is data: it names classes of scikit-learn, xgboost, lightgbm or catboost. Any other package has to be trusted
by the person at the keyboard.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from wine_sweep.config import ModelConfig
from wine_sweep.errors import Path, Problem
from wine_sweep.task import Needs, Task
from wine_sweep.wording import did_you_mean

TRUSTED_PACKAGES = ("sklearn", "xgboost", "lightgbm", "catboost")
_TEXT_READERS = ("ColumnTransformer", "FunctionTransformer", "FeatureUnion")


class EstimatorError(ValueError):
    """A part of the config names no usable estimator; `problem` says which and why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


def find_class(dotted: str, trusted: Iterable[str], path: Path) -> type:
    """Import the class behind a dotted path.

    Args:
        dotted: Such as ``sklearn.linear_model.ElasticNet``.
        trusted: Top-level packages that may be imported, beside `TRUSTED_PACKAGES`.
        path: The config key that names it, for errors.

    Raises:
        EstimatorError: The package is not trusted or not installed, or there is no such class in it.
    """
    package = dotted.partition(".")[0]
    allowed = (*TRUSTED_PACKAGES, *trusted)
    if "." not in dotted:
        raise _bad(path, f"expected a dotted path such as sklearn.linear_model.ElasticNet, got '{dotted}'")
    if package not in allowed:
        near = did_you_mean(package, allowed)
        raise _bad(path, f"the package '{package}' is not trusted{near or f'; run with --trust {package} if you trust its code'}")
    module_name, _, class_name = dotted.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name == package:
            raise _bad(path, f"'{package}' is not installed: pip install {package}") from error
        raise _bad(path, f"there is no module '{module_name}'{_near_module(package, module_name)}") from error
    except Exception as error:
        raise _bad(path, f"the module '{module_name}' cannot be imported: {type(error).__name__}: {error}") from error
    found = getattr(module, class_name, None)
    if found is None:
        raise _bad(path, f"there is no '{class_name}' in {module_name}{did_you_mean(class_name, _classes(module))}")
    if not (inspect.isclass(found) and hasattr(found, "fit") and hasattr(found, "get_params")):
        raise _bad(path, f"{dotted} is not an estimator: it needs `fit`, `get_params` and `set_params`")
    return found


@dataclass(frozen=True)
class Built:
    """An unfitted estimator, and what was wrong with the fixed parameters that it was to have."""

    model: Any
    problems: list[Problem]


def build_model(config: ModelConfig, trusted: Iterable[str]) -> Built:
    """Build the unfitted estimator that a config describes, with its fixed parameters.

    Raises:
        EstimatorError: A path names no usable estimator.
    """
    if config.estimator is not None:
        path: Path = ("model", "estimator")
        model = _construct(find_class(config.estimator, trusted, path), config.params, trusted, path)
        return Built(model, _apply(model, config.params, trusted, ("model", "params")))

    from sklearn.pipeline import Pipeline

    steps, problems = [], []
    for name, step in (config.pipeline or {}).items():
        path = ("model", "pipeline", name)
        each = _construct(find_class(step.estimator, trusted, path), step.params, trusted, path)
        problems += _apply(each, step.params, trusted, (*path, "params"))
        steps.append((name, each))
    for name, each in steps[:-1]:
        if not hasattr(each, "transform"):
            raise _bad(
                ("model", "pipeline", name), f"only the last step may be a model; {type(each).__name__} does not transform"
            )
    model = Pipeline(steps)
    return Built(model, problems + _apply(model, config.params, trusted, ("model", "params")))


def _apply(model: Any, params: Mapping[str, Any], trusted: Iterable[str], path: Path) -> list[Problem]:
    """Set parameters one by one, outer ones first, and collect what is wrong with them."""
    problems = []
    for name in sorted(params, key=lambda each: each.count("__")):
        try:
            set_params(model, {name: params[name]}, trusted, path)
        except EstimatorError as error:
            problems.append(error.problem)
    return problems


def set_params(model: Any, params: Mapping[str, Any], trusted: Iterable[str], path: Path) -> Any:
    """Set parameters on an estimator and give it back; ``{estimator, params}`` values become estimators.

    Raises:
        EstimatorError: The estimator has no such parameter, or a nested estimator is not usable.
    """
    known = model.get_params(deep=True)
    for name in params:
        if name not in known and not _reachable(model, name):
            raise _bad(
                (*path, name), f"{type(model).__name__} has no parameter '{name}'{_near_parameter(name, known)}", at_key=True
            )
    try:
        return model.set_params(**{name: materialize(value, trusted, (*path, name)) for name, value in params.items()})
    except (ValueError, TypeError) as error:
        if isinstance(error, EstimatorError):
            raise
        raise _bad(path, str(error)) from error


def materialize(value: Any, trusted: Iterable[str], path: Path = ()) -> Any:
    """Turn every ``{estimator: dotted.path, params: {…}}`` within a value into an estimator; the rest stays as it is."""
    if isinstance(value, list):
        return [materialize(item, trusted, (*path, index)) for index, item in enumerate(value)]
    if isinstance(value, dict) and isinstance(value.get("estimator"), str) and set(value) <= {"estimator", "params"}:
        found = find_class(value["estimator"], trusted, (*path, "estimator"))
        params = value.get("params") or {}
        return set_params(_construct(found, params, trusted, path), params, trusted, (*path, "params"))
    if isinstance(value, dict):
        return {key: materialize(item, trusted, (*path, key)) for key, item in value.items()}
    return value


def set_seed(model: Any, seed: int, *, except_for: Iterable[str] = ()) -> Any:
    """Seed every ``random_state`` within an estimator that is None, but for those that the config sets itself."""
    chosen = set(except_for)
    open_states = {
        name: seed
        for name, value in model.get_params(deep=True).items()
        if value is None and (name == "random_state" or name.endswith("__random_state")) and name not in chosen
    }
    return model.set_params(**open_states) if open_states else model


def chosen_states(config: ModelConfig) -> set[str]:
    """List the parameters that a config sets itself, by the names under which `get_params` knows them."""
    steps = {f"{step}__{name}" for step, each in (config.pipeline or {}).items() for name in each.params}
    return {*config.params, *steps}


def describe_needs(model: Any) -> Needs:
    """Find out what a model does and what it can learn from, by scikit-learn's estimator tags.

    Raises:
        EstimatorError: It is neither a regressor nor a classifier.
    """
    from sklearn.base import is_classifier, is_regressor
    from sklearn.pipeline import Pipeline

    name = type(model.steps[-1][1] if isinstance(model, Pipeline) else model).__name__
    path: Path = ("model", "pipeline") if isinstance(model, Pipeline) else ("model", "estimator")
    if is_classifier(model):
        task = Task.CLASSIFICATION
    elif is_regressor(model):
        task = Task.REGRESSION
    else:
        raise _bad(path, f"{name} is neither a regressor nor a classifier")
    steps = [step for _, step in model.steps] if isinstance(model, Pipeline) else [model]
    tags = _input_tags(steps[0])
    reads_text = type(steps[0]).__name__ in _TEXT_READERS or tags.string or tags.categorical
    return Needs(task, numbers=not reads_text, takes_missing=reads_text or _takes_missing(steps), model=name)


def _takes_missing(steps: list[Any]) -> bool:
    """Whether gaps get through: every step takes them, as far as the first imputer."""
    for step in steps:
        if not _input_tags(step).allow_nan:
            return False
        if type(step).__name__.endswith("Imputer"):
            return True
    return True


def _input_tags(model: Any) -> Any:
    from sklearn.utils import get_tags

    return get_tags(model).input_tags


def _construct(found: type, params: Mapping[str, Any], trusted: Iterable[str], path: Path) -> Any:
    """Make an estimator with its defaults; what it cannot do without is taken from `params`, or is None for now."""
    required = [
        name
        for name, parameter in inspect.signature(found).parameters.items()
        if parameter.default is parameter.empty and parameter.kind in {parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY}
    ]
    given = {name: materialize(params.get(name), trusted, (*path, name)) for name in required}
    try:
        return found(**given)
    except Exception as error:
        raise _bad(path, f"{found.__name__} cannot be made: {type(error).__name__}: {error}") from error


def _reachable(model: Any, name: str) -> bool:
    """Whether ``step__name`` leads into a parameter whose own estimator is only set together with it."""
    head, deeper, _ = name.partition("__")
    return bool(deeper) and head in model.get_params(deep=False) and model.get_params(deep=False)[head] is None


def _near_parameter(name: str, known: Iterable[str]) -> str:
    names = list(known)
    tail = [each for each in names if each.endswith(f"__{name}")]
    if tail:
        return f"; did you mean '{tail[0]}'?"
    return did_you_mean(name, names) or f"; it has: {', '.join(sorted(each for each in names if '__' not in each))}"


def _near_module(package: str, module_name: str) -> str:
    import pkgutil

    names = [f"{package}.{each.name}" for each in pkgutil.iter_modules(importlib.import_module(package).__path__)]
    return did_you_mean(module_name, names)


def _classes(module: Any) -> list[str]:
    return [name for name, value in vars(module).items() if inspect.isclass(value) and hasattr(value, "get_params")]


def _bad(path: Path, message: str, *, at_key: bool = False) -> EstimatorError:
    return EstimatorError(Problem(message, path, at_key=at_key))
