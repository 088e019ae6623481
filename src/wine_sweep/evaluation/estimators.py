"""Find estimator classes by dotted path, build estimators, and pass sample weights to them.

A config is data: it names classes of scikit-learn, xgboost, lightgbm or catboost. Any other package has to be trusted
by the person at the keyboard.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

from wine_sweep.config import EstimatorConfig, StepConfig, wrong_step
from wine_sweep.errors import Code, ConfigPath, Problem
from wine_sweep.evaluation import library_params
from wine_sweep.evaluation.functions import PARAMETERS, FunctionError, find_function, full_name
from wine_sweep.evaluation.library_inputs import HANDING_ON
from wine_sweep.evaluation.nested import is_dotted, is_estimator, is_pipeline, names_set, names_within, selected_dtypes
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
    hint = "; did you mean null?" if isinstance(value, str) and value == "None" else ""
    if last not in constraints:
        return f"'None' is text, and no {last}{hint}" if hint else None
    try:
        validate_parameter_constraints({last: constraints[last]}, {last: value}, caller_name=type(model).__name__)
    except InvalidParameterError as error:
        return f"{error}{hint}"
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
        raise _bad(path, "a pipeline is written as {pipeline: {step: …}}, with named steps")
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
            each, wrong = _made_step(step, trusted, path)
        except EstimatorError as error:
            problems.append(error.problem)
            continue
        problems += wrong
        steps.append((name, each))
    if len(steps) < len(config.pipeline or {}):
        return Built(None, problems)
    _check_steps(steps, (*at, "pipeline"))
    model = Pipeline(steps)
    params = {name: value for name, value in config.params.items() if name != "steps"}
    if "steps" in config.params:
        problems.append(Problem("the steps are those of `model.pipeline`", (*at, "params", "steps"), at_key=True))
    return Built(model, problems + _apply(model, params, trusted, (*at, "params")))


def _made_step(step: StepConfig, trusted: Iterable[str], path: ConfigPath) -> tuple[Any, list[Problem]]:
    """Make a step of `model.pipeline`, and collect what is wrong with its parameters."""
    if step.estimator is None or step.value == _PASSTHROUGH:
        return _step(step.value, trusted, path), []
    made = _construct(find_class(step.estimator, trusted, path), step.params, trusted, path)
    return made, _apply(made, step.params, trusted, (*path, "params"))


def _check_steps(steps: list[tuple[str, Any]], path: ConfigPath) -> None:
    for name, each in steps[:-1]:
        if not (hasattr(each, "transform") or each == _PASSTHROUGH):
            raise _bad((*path, name), f"only the last step may be a model; {type(each).__name__} does not transform")


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
    """Set parameters on an estimator, outer ones first, and give it back.

    What a config cannot write becomes what the estimator takes: ``{estimator: …}`` and ``{pipeline: …}`` become estimators; see
    `_argument` for tuples, functions and columns.

    Raises:
        EstimatorError: The estimator has no such parameter, or a nested estimator or a function is not usable.
    """
    for _, group in groupby(sorted(params, key=_order), key=_order):
        names, known = list(group), _params_of(model, path)
        for name in names:
            if name not in known and not _reachable(model, name) and not library_params.takes(model, name):
                raise _unknown_parameter(model, name, known, path)
        values = {name: _argument(model, name, params[name], trusted, (*path, name)) for name in names}
        try:
            model = model.set_params(**values)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # estimators raise what they like when a part of them is no estimator
            raise _bad((*path, *names[:1]), f"{type(model).__name__} does not take it: {_describe(error)}") from error
    return model


def _order(name: str) -> tuple[int, bool]:
    return name.count("__"), name.rpartition("__")[2] not in MEMBERS


def _unknown_parameter(model: Any, name: str, known: Mapping[str, Any], path: ConfigPath) -> EstimatorError:
    head = next((each for each in _heads(name) if each in known and not hasattr(known[each], "get_params")), None)
    if head is not None:
        message = f"'{head}' is {show(known[head])}, which has no parameters; name by `when` its values that have this one"
        return _bad((*path, name), message, code="unknown-parameter")
    near = _near_parameter(name, [*known, *library_params.library_names(model)])
    message = f"{type(model).__name__} has no parameter '{name}'{near}"
    return _bad((*path, name), message, at_key=True, code="unknown-parameter")


def _heads(name: str) -> Iterator[str]:
    """Yield what leads to a parameter: ``a``, then ``a__b``, of ``a__b__c``."""
    parts = name.split("__")
    yield from ("__".join(parts[:length]) for length in range(1, len(parts)))


_PASSTHROUGH = "passthrough"
_STAND_INS = (_PASSTHROUGH, "drop")
"""What may stand in place of an estimator."""

MEMBERS = frozenset({"estimators", "steps", "transformer_list", "transformers"})
"""Parameters that list estimators with their names."""


def _argument(model: Any, name: str, value: Any, trusted: Iterable[str], path: ConfigPath) -> Any:
    """Return what an estimator takes for a parameter, of what a config can write.

    A list is a tuple where only a tuple is taken. A dotted path is an estimator or a function where such is taken and the text
    itself is not. Estimators with names are tuples, and the columns of a ColumnTransformer may be told by their type.

    Raises:
        EstimatorError: A class or function is not usable, or the columns are not told as they should be.
    """
    value = materialize(value, trusted, path)
    head, _, last = name.rpartition("__")
    owner = model.get_params(deep=True).get(head) if head else model
    if last in MEMBERS and isinstance(value, list):
        return [_member(item, trusted, (*path, index)) for index, item in enumerate(value)]
    if isinstance(value, list) and library_params.is_compared(owner, last):
        return tuple(value)
    if isinstance(value, list) and refusal(owner, last, value) and not refusal(owner, last, tuple(value)):
        return tuple(value)
    return _named(owner, last, value, trusted, path) if isinstance(value, str) else value


def _named(owner: Any, name: str, dotted: str, trusted: Iterable[str], path: ConfigPath) -> Any:
    """Return the estimator or the function that a text names where such is taken and the text is not; else the text."""
    from sklearn.utils._param_validation import HasMethods

    taken = getattr(owner, "_parameter_constraints", {}).get(name)
    if taken is None:
        present = owner.get_params(deep=True).get(name) if hasattr(owner, "get_params") else None
        is_place = hasattr(present, "fit") or (isinstance(present, str) and present in _STAND_INS)
        return _step(dotted, trusted, path) if is_place and dotted not in _STAND_INS else dotted
    if not isinstance(taken, list) or (refused := refusal(owner, name, dotted)) is None:
        return dotted
    if not is_dotted(dotted):
        full = full_name(dotted) if callable in taken and name in PARAMETERS else None
        if full is None:
            return dotted
        raise _bad(path, f"{refused}; did you mean '{full}'?", code="refused-value")
    if any(isinstance(each, HasMethods) for each in taken):
        return _step(dotted, trusted, path)
    if callable in taken and (name in PARAMETERS or dotted.partition(".")[0] in trusted):
        try:
            return find_function(dotted, trusted)
        except FunctionError as error:
            raise _bad(path, str(error), code=error.code) from error
    return dotted


def _member(item: Any, trusted: Iterable[str], path: ConfigPath) -> Any:
    """Return one of the named estimators of a composition: its name, itself, and of a ColumnTransformer's its columns."""
    if not isinstance(item, list) or len(item) not in (2, 3):
        return item
    name, each, *columns = item
    made = _step(each, trusted, (*path, 1)) if is_dotted(each) else each
    return (name, made, *(_columns(value, (*path, 2)) for value in columns))


def _columns(value: Any, path: ConfigPath) -> Any:
    """Return the columns of a transformer: names as they are, and ``{dtype: number}`` as scikit-learn's own selector."""
    if isinstance(value, dict) and set(value) == {"columns"}:
        value, path = value["columns"], (*path, "columns")
    if not isinstance(value, dict):
        return value
    from sklearn.compose import make_column_selector

    try:
        return make_column_selector(dtype_include=selected_dtypes(value))
    except ValueError as error:
        raise _bad(path, str(error)) from error


def copy_of(model: Any) -> Any:
    """Copy an unfitted estimator."""
    return library_params.copy_unfitted(model)


def materialize(value: Any, trusted: Iterable[str], path: ConfigPath = ()) -> Any:
    """Turn every ``{estimator: dotted.path, params: {…}}`` and ``{pipeline: {step: …}}`` within a value into an estimator.

    The rest stays as it is.

    Raises:
        EstimatorError: A path names no usable estimator, or its parameters are not right for it.
    """
    if isinstance(value, list):
        return [materialize(item, trusted, (*path, index)) for index, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    if is_estimator(value):
        return _nested(value, trusted, path)
    if is_pipeline(value):
        return _nested_pipeline(value, trusted, path)
    return {key: materialize(item, trusted, (*path, key)) for key, item in value.items()}


def _nested(value: Mapping[str, Any], trusted: Iterable[str], path: ConfigPath) -> Any:
    params = value.get("params") or {}
    if not isinstance(value["estimator"], str) or not isinstance(params, dict) or not set(value) <= {"estimator", "params"}:
        raise _bad(path, "a nested estimator is {estimator: dotted.path, params: {…}}, and nothing else")
    _check_names(params, path)
    found = find_class(value["estimator"], trusted, (*path, "estimator"))
    return _checked(_construct(found, params, trusted, path), params, trusted, path)


def _nested_pipeline(value: Mapping[str, Any], trusted: Iterable[str], path: ConfigPath) -> Any:
    from sklearn.pipeline import Pipeline

    steps, params, at = value["pipeline"], value.get("params") or {}, (*path, "pipeline")
    is_formed = isinstance(steps, dict) and steps and all(isinstance(name, str) for name in steps) and isinstance(params, dict)
    if not is_formed or not set(value) <= {"pipeline", "params"}:
        raise _bad(path, "a nested pipeline is {pipeline: {name: step, …}, params: {…}}, and nothing else")
    if (wrong := wrong_step(steps)) is not None:
        raise _bad((*at, wrong[0]), wrong[1])
    _check_names(params, path)
    made = [(name, _step(step, trusted, (*at, name))) for name, step in steps.items()]
    _check_steps(made, at)
    if "steps" in params:
        raise _bad((*path, "params", "steps"), "the steps are those of `pipeline`", at_key=True)
    return _checked(Pipeline(made), params, trusted, path)


def _step(value: Any, trusted: Iterable[str], path: ConfigPath) -> Any:
    """Make what stands where an estimator is expected: a dotted path, an estimator or a pipeline, or ``passthrough``."""
    if value == _PASSTHROUGH:
        return value
    if isinstance(value, str):
        return _construct(find_class(value, trusted, path), {}, trusted, path)
    if is_estimator(value) or is_pipeline(value):
        return materialize(value, trusted, path)
    raise _bad(path, f"a step is a dotted path, {{estimator: …, params: {{…}}}} or {{pipeline: {{…}}}}, got {show(value)}")


def _check_names(params: Mapping[Any, Any], path: ConfigPath) -> None:
    if not all(isinstance(name, str) for name in params):
        raise _bad((*path, "params"), "a parameter's name is text")


def _checked(model: Any, params: Mapping[str, Any], trusted: Iterable[str], path: ConfigPath) -> Any:
    """Set the parameters of a nested estimator, and hold them against its constraints."""
    model = set_params(model, params, trusted, (*path, "params"))
    values = model.get_params(deep=True)
    for name in params:
        message = refusal(model, name, values[name]) if name in values else None
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
    steps = {f"{step}__{name}" for step, each in (config.pipeline or {}).items() for name in names_within(each.value)}
    return {*names_set(config.params), *steps}


def describe_needs(model: Any, at: ConfigPath = ("model",)) -> DataRequirements:
    """Find out what a model does and what it can learn from, by scikit-learn's estimator tags.

    Raises:
        EstimatorError: It is neither a regressor nor a classifier.
    """
    from sklearn.base import is_classifier, is_regressor
    from sklearn.pipeline import Pipeline

    steps = list(_flat_steps(model))
    path: ConfigPath = (*at, "pipeline" if isinstance(model, Pipeline) else "estimator")
    name = type(steps[-1] if steps else model).__name__
    for step, each in model.steps if isinstance(model, Pipeline) else ():
        if not (hasattr(each, "fit") or each is None or each == "passthrough"):
            raise _bad((*path, step), f"a step is an estimator or `passthrough`, got {show(each)}")
    try:
        task = Task.CLASSIFICATION if is_classifier(model) else Task.REGRESSION if is_regressor(model) else None
        reads_text = _reads_text(steps[0])
        takes_missing = _takes_missing(steps)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        message = f"{name} cannot be used as it stands ({_describe(error)}); does it lack an `estimator` in its params?"
        raise _bad(path, message) from error
    if task is None:
        raise _bad(path, f"{name} is neither a regressor nor a classifier")
    takes_missing = reads_text or takes_missing
    return DataRequirements(task, not reads_text, takes_missing, name, categories=_takes_categories(steps[0]))


def _takes_categories(model: Any) -> bool:
    """Return whether a model learns from columns of pandas' categories as such, as it is set."""
    if type(model).__module__.startswith("lightgbm."):
        return True
    params = model.get_params(deep=False)
    return params.get("categorical_features") == "from_dtype" or params.get("enable_categorical") is True


def _flat_steps(model: Any) -> Iterator[Any]:
    """Yield the steps of a pipeline that are estimators, those of pipelines in it too; of any other model itself."""
    from sklearn.pipeline import Pipeline

    if not isinstance(model, Pipeline):
        yield model
        return
    for _, step in model.steps:
        if hasattr(step, "fit"):
            yield from _flat_steps(step)


def _reads_text(model: Any) -> bool:
    """Return whether columns of text may come in: it reads them itself, or hands the table on to estimators that all do."""
    tags = _input_tags(model)
    if type(model).__name__ in _TEXT_READERS or tags.string or tags.categorical:
        return True
    if not type(model).__name__.endswith(HANDING_ON):
        return False
    inner = [model.get_params(deep=False).get(name) for name in ("estimator", "regressor")]
    inner += [each for _, each in getattr(model, "estimators", None) or []]
    first = [next(_flat_steps(each)) for each in inner if hasattr(each, "fit")]
    return bool(first) and all(map(_reads_text, first))


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
        return found(**given, **library_params.own_defaults(found, params))
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
    keyword, learner = _destination(last)
    return f"{name}__{keyword}", learner
