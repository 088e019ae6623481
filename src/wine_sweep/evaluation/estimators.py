"""Find estimator classes by dotted path, build estimators, and pass sample weights to them.

A config is data: it names classes of scikit-learn, xgboost, lightgbm or catboost. Any other package has to be trusted
by the person at the keyboard.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

from wine_sweep.config import EstimatorConfig
from wine_sweep.errors import Code, ConfigPath, Problem
from wine_sweep.evaluation import library_params
from wine_sweep.importing import start_scripts_as_usual
from wine_sweep.messages import did_you_mean, shell_word, show
from wine_sweep.trial import DataRequirements, Task


def refusal(model: Any, name: str, value: Any) -> str | None:
    """Describe why an estimator's declared constraints refuse a value, or None. Estimators that declare none refuse nothing.

    Args:
        model: The estimator, its nested estimators set.
        name: The parameter, as `set_params` takes it: ``alpha``, ``svr__C``.
        value: The value, nested estimators already made.
    """
    from sklearn.utils._param_validation import InvalidParameterError, validate_parameter_constraints

    owner, _, last = name.rpartition("__")
    if owner:
        model = model.get_params(deep=True).get(owner)
    if message := library_params.refusal_of_stopping(model, last, value):
        return message
    constraints = getattr(model, "_parameter_constraints", {})
    if last not in constraints:
        return None
    try:
        validate_parameter_constraints({last: constraints[last]}, {last: value}, caller_name=type(model).__name__)
    except InvalidParameterError as error:
        return str(error)
    return None


TRUSTED_PACKAGES = ("sklearn", "xgboost", "lightgbm", "catboost")
_NO_ESTIMATORS = frozenset(
    {"conftest", "estimator_checks", "_mocking", "_build_utils", "datasets", "externals", "dask", "spark", "widget"}
)
"""Modules of these packages that bring no estimators for a sweep, or import other packages, such as a cluster's client."""

_TEXT_READERS = ("ColumnTransformer", "FunctionTransformer", "FeatureUnion")


class EstimatorError(ValueError):
    """A part of the config names no usable estimator; `problem` says which and why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


def find_class(dotted: str, trusted: Iterable[str], path: ConfigPath) -> type:
    """Import the class behind a dotted path.

    Args:
        dotted: Such as ``sklearn.linear_model.ElasticNet``.
        trusted: Top-level packages that may be imported, beside `TRUSTED_PACKAGES`.
        path: The config key that names it, for errors.

    Raises:
        EstimatorError: The package is not trusted or not installed, or there is no such class in it; or it is a library's
            module of tests or of other packages, which is not imported.
    """
    package = dotted.partition(".")[0]
    allowed = (*TRUSTED_PACKAGES, *trusted)
    if "." not in dotted:
        raise _bad(path, f"expected a dotted path such as sklearn.linear_model.ElasticNet, got '{dotted}'")
    if package not in allowed:
        near = did_you_mean(package, allowed)
        raise _bad(
            path,
            f"the package '{package}' is not trusted{near or f'; run with --trust {shell_word(package)} if you trust its code'}",
            code="untrusted",
        )
    module_name, _, class_name = dotted.rpartition(".")
    module = _import(module_name, path)
    found = getattr(module, class_name, None)
    if found is None:
        origin = "" if package in TRUSTED_PACKAGES else f" ({getattr(module, '__file__', None) or 'built in'})"
        raise _bad(
            path,
            f"there is no '{class_name}' in {module_name}{origin}{did_you_mean(class_name, _classes(module))}",
            code="unknown-estimator",
        )
    if dotted == "sklearn.pipeline.Pipeline":
        raise _bad(path, "a pipeline is written as `model.pipeline`, with named steps")
    if not (inspect.isclass(found) and hasattr(found, "fit") and hasattr(found, "get_params")):
        raise _bad(path, f"{dotted} is not an estimator: it needs `fit`, `get_params` and `set_params`")
    if package in TRUSTED_PACKAGES and (owner := found.__module__.partition(".")[0]) not in allowed:
        raise _bad(path, f"{dotted} is a class of '{owner}', which is not trusted", code="untrusted")
    return found


def _import(module_name: str, path: ConfigPath) -> ModuleType:
    """Import a module of a package that is trusted.

    Raises:
        EstimatorError: It cannot be imported, or is not, since it brings no estimators.
    """
    package, *inner = module_name.split(".")
    if package in TRUSTED_PACKAGES and (refused := next(filter(_brings_no_estimators, inner), None)):
        raise _bad(path, f"{module_name} is not imported: '{refused}' is a part of {package} that has no estimators for a sweep")
    if package not in TRUSTED_PACKAGES:
        start_scripts_as_usual()
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name == package:
            raise _bad(path, f"'{package}' is not installed: pip install {shell_word(package)}", code="not-installed") from error
        if error.name != module_name and not module_name.startswith(f"{error.name}."):
            raise _bad(
                path, f"the module '{module_name}' needs '{error.name}', which is not installed", code="not-installed"
            ) from error
        raise _bad(
            path, f"there is no module '{module_name}'{_near_module(package, module_name)}", code="unknown-estimator"
        ) from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a module may call sys.exit, or raise what is no Exception, as pytest's skip is not
        raise _bad(path, f"the module '{module_name}' cannot be imported: {_describe(error)}") from error


def _brings_no_estimators(part: str) -> bool:
    """Return whether a part of a dotted path names tests, or another module that no estimator is taken from."""
    return part.lstrip("_").startswith("test") or part in _NO_ESTIMATORS


@dataclass(frozen=True)
class Built:
    """An unfitted estimator, and what was wrong with its steps, where there is none, or with its fixed parameters."""

    model: Any
    problems: list[Problem]


def build_model(config: EstimatorConfig, trusted: Iterable[str], at: ConfigPath = ("model",)) -> Built:
    """Build the unfitted estimator that a config describes, with its fixed parameters.

    Args:
        config: The section `model`, or one of `models`.
        trusted: Top-level packages that may be imported, beside `TRUSTED_PACKAGES`.
        at: Where the section stands, for errors.

    Raises:
        EstimatorError: A path names no usable estimator.
    """
    if config.estimator is not None:
        path: ConfigPath = (*at, "estimator")
        model = _construct(find_class(config.estimator, trusted, path), config.params, trusted, path)
        return Built(model, _apply(model, config.params, trusted, (*at, "params")))

    from sklearn.pipeline import Pipeline

    steps, problems = [], []
    for name, step in (config.pipeline or {}).items():
        path = (*at, "pipeline", name)
        try:
            each = _construct(find_class(step.estimator, trusted, path), step.params, trusted, path)
        except EstimatorError as error:
            problems.append(error.problem)
            continue
        problems += _apply(each, step.params, trusted, (*path, "params"))
        steps.append((name, each))
    if len(steps) < len(config.pipeline or {}):
        return Built(None, problems)
    for name, each in steps[:-1]:
        if not hasattr(each, "transform"):
            raise _bad((*at, "pipeline", name), f"only the last step may be a model; {type(each).__name__} does not transform")
    model = Pipeline(steps)
    params = {name: value for name, value in config.params.items() if name != "steps"}
    if "steps" in config.params:
        problems.append(Problem("the steps are those of `model.pipeline`", (*at, "params", "steps"), at_key=True))
    return Built(model, problems + _apply(model, params, trusted, (*at, "params")))


def _apply(model: Any, params: Mapping[str, Any], trusted: Iterable[str], path: ConfigPath) -> list[Problem]:
    """Set parameters one by one, outer ones first, and collect what is wrong with them."""
    problems = []
    for name in sorted(params, key=lambda each: each.count("__")):
        try:
            set_params(model, {name: params[name]}, trusted, path)
        except EstimatorError as error:
            problems.append(error.problem)
    return problems


def set_params(model: Any, params: Mapping[str, Any], trusted: Iterable[str], path: ConfigPath) -> Any:
    """Set parameters on an estimator and give it back; ``{estimator, params}`` values become estimators.

    Raises:
        EstimatorError: The estimator has no such parameter, or a nested estimator is not usable.
    """
    known = _params_of(model, path)
    for name in params:
        if name not in known and not _reachable(model, name) and not library_params.takes(model, name):
            near = _near_parameter(name, [*known, *library_params.library_names(model)])
            message = f"{type(model).__name__} has no parameter '{name}'{near}"
            raise _bad((*path, name), message, at_key=True, code="unknown-parameter")
    values = {name: materialize(value, trusted, (*path, name)) for name, value in params.items()}
    try:
        return model.set_params(**values)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # estimators raise what they like when a part of them is no estimator
        raise _bad((*path, *list(params)[:1]), f"{type(model).__name__} does not take it: {_describe(error)}") from error


def copy_of(model: Any) -> Any:
    """Copy an unfitted estimator."""
    return library_params.copy_unfitted(model)


def materialize(value: Any, trusted: Iterable[str], path: ConfigPath = ()) -> Any:
    """Turn every ``{estimator: dotted.path, params: {…}}`` within a value into an estimator; the rest stays as it is.

    Raises:
        EstimatorError: The path names no usable estimator, or its parameters are not right for it.
    """
    if isinstance(value, list):
        return [materialize(item, trusted, (*path, index)) for index, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    if "estimator" not in value:
        return {key: materialize(item, trusted, (*path, key)) for key, item in value.items()}
    return _nested(value, trusted, path)


def _nested(value: Mapping[str, Any], trusted: Iterable[str], path: ConfigPath) -> Any:
    params = value.get("params") or {}
    if not isinstance(value["estimator"], str) or not isinstance(params, dict) or not set(value) <= {"estimator", "params"}:
        raise _bad(path, "a nested estimator is {estimator: dotted.path, params: {…}}, and nothing else")
    if not all(isinstance(name, str) for name in params):
        raise _bad((*path, "params"), "a parameter's name is text")
    found = find_class(value["estimator"], trusted, (*path, "estimator"))
    model = set_params(_construct(found, params, trusted, path), params, trusted, (*path, "params"))
    for name, each in model.get_params(deep=False).items():
        message = refusal(model, name, each) if name in params else None
        if message:
            raise _bad((*path, "params", name), message, code="refused-value")
    return model


def set_seed(model: Any, seed: int, *, except_for: Iterable[str] = ()) -> Any:
    """Seed every ``random_state`` within an estimator that is None, but for those that the config sets itself."""
    chosen = set(except_for)
    params = model.get_params(deep=True)
    states = [name for name, value in params.items() if value is None and name.rpartition("__")[2] == "random_state"]
    open_states = {
        name: seed
        for name in (*states, *library_params.open_seeds(model))
        if not chosen.union(params).intersection(
            f"{name.removesuffix('random_state')}{other}" for other in ("seed", "random_seed")
        )
        and name not in chosen
    }
    return model.set_params(**open_states) if open_states else model


def chosen_states(config: EstimatorConfig) -> set[str]:
    """List the parameters that a config sets itself, by the names under which `get_params` knows them."""
    steps = {f"{step}__{name}" for step, each in (config.pipeline or {}).items() for name in each.params}
    return {*config.params, *steps}


def describe_needs(model: Any, at: ConfigPath = ("model",)) -> DataRequirements:
    """Find out what a model does and what it can learn from, by scikit-learn's estimator tags.

    Raises:
        EstimatorError: It is neither a regressor nor a classifier.
    """
    from sklearn.base import is_classifier, is_regressor
    from sklearn.pipeline import Pipeline

    steps = [step for _, step in model.steps if hasattr(step, "fit")] if isinstance(model, Pipeline) else [model]
    path: ConfigPath = (*at, "pipeline" if isinstance(model, Pipeline) else "estimator")
    name = type(steps[-1] if steps else model).__name__
    for step, each in model.steps if isinstance(model, Pipeline) else ():
        if not (hasattr(each, "fit") or each is None or each == "passthrough"):
            raise _bad((*path, step), f"a step is an estimator or `passthrough`, got {show(each)}")
    try:
        task = Task.CLASSIFICATION if is_classifier(model) else Task.REGRESSION if is_regressor(model) else None
        tags = _input_tags(steps[0])
        takes_missing = _takes_missing(steps)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        message = f"{name} cannot be used as it stands ({_describe(error)}); does it lack an `estimator` in its params?"
        raise _bad(path, message) from error
    if task is None:
        raise _bad(path, f"{name} is neither a regressor nor a classifier")
    reads_text = type(steps[0]).__name__ in _TEXT_READERS or tags.string or tags.categorical
    return DataRequirements(task, numbers=not reads_text, takes_missing=reads_text or takes_missing, model=name)


def _takes_missing(steps: list[Any]) -> bool:
    """Return whether gaps get through: every step takes them, as far as the first imputer."""
    for step in steps:
        if not _input_tags(step).allow_nan:
            return False
        if type(step).__name__.endswith("Imputer"):
            return True
    return True


def _input_tags(model: Any) -> Any:
    from sklearn.utils import get_tags

    return get_tags(model).input_tags


def _construct(found: type, params: Mapping[str, Any], trusted: Iterable[str], path: ConfigPath) -> Any:
    """Make an estimator with its defaults; what it cannot do without is taken from `params`, or is None for now."""
    required = [
        name
        for name, parameter in inspect.signature(found).parameters.items()
        if parameter.default is parameter.empty and parameter.kind in {parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY}
    ]
    given = {name: materialize(params.get(name), trusted, (*path, name)) for name in required}
    try:
        return found(**given, **library_params.quiet_defaults(found, params))
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise _bad(path, f"{found.__name__} cannot be made: {_describe(error)}") from error


def _params_of(model: Any, path: ConfigPath) -> dict[str, Any]:
    try:
        params: dict[str, Any] = model.get_params(deep=True)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise _bad(path, f"{type(model).__name__} cannot tell its parameters: {_describe(error)}") from error
    return params


def _describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _reachable(model: Any, name: str) -> bool:
    """Return whether ``step__name`` leads into a parameter whose own estimator is only set together with it."""
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

    names = [f"{package}.{each.name}" for each in pkgutil.iter_modules(getattr(importlib.import_module(package), "__path__", []))]
    return did_you_mean(module_name, names)


def _classes(module: Any) -> list[str]:
    return [name for name, value in vars(module).items() if inspect.isclass(value) and hasattr(value, "get_params")]


def _bad(path: ConfigPath, message: str, *, at_key: bool = False, code: Code = "invalid") -> EstimatorError:
    return EstimatorError(Problem(message, path, at_key=at_key, code=code))


_WEIGHTS = "sample_weight"


def fit(model: Any, features: pd.DataFrame, target: np.ndarray, weights: np.ndarray | None) -> None:
    """Fit a model; of a pipeline, weights go to the last step.

    Args:
        model: Unfitted.
        features: Of shape (rows, features).
        target: The truth, of shape (rows,).
        weights: How much each row counts, of shape (rows,); None when all count the same.
    """
    keyword, _ = _destination(model)
    model.fit(features, target, **({} if weights is None else {keyword: weights}))


def part_of(weights: np.ndarray | None, rows: np.ndarray) -> np.ndarray | None:
    """Return the weights of some rows, where there are weights."""
    return None if weights is None else weights[rows]


def refusal_of_weights(model: Any) -> str | None:
    """Describe why a model cannot be fitted with weights, or None when it can."""
    from sklearn.utils.validation import has_fit_parameter

    _, learner = _destination(model)
    if has_fit_parameter(learner, _WEIGHTS):
        return None
    return f"{type(learner).__name__} takes no weights: its `fit` has no `{_WEIGHTS}`; leave `weights` out, or use another model"


def _destination(model: Any) -> tuple[str, Any]:
    """Find the estimator that takes the weights, and what they are called on the way there."""
    from sklearn.pipeline import Pipeline

    if not isinstance(model, Pipeline):
        return _WEIGHTS, model
    name, last = model.steps[-1]
    return f"{name}__{_WEIGHTS}", last
