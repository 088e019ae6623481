"""Metrics: ours, scikit-learn's by name, the size of a model, functions; and the predictions that several metrics share."""

from __future__ import annotations

import functools
import inspect
import json
import re
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from wine_sweep.config import Direction, MetricConfig
from wine_sweep.errors import Code, ConfigPath
from wine_sweep.evaluation.scorers import POSITIVE, WEIGHTS, LibraryFunction, OwnFunction, freeze
from wine_sweep.messages import did_you_mean, one_of
from wine_sweep.trial import FIT_SECONDS, MODEL_SIZE, Task

METHODS = frozenset({"predict", "predict_proba", "decision_function"})


class PredictionRecorder:
    """Stands in for a fitted model: passes on what it is asked, and remembers the answers.

    The model is asked with scikit-learn's parameter validation as it was when this was made: it is not the metrics' to switch
    off. What scikit-learn says of the model names the model: make it with `listen`.

    Args:
        model: Fitted.

    Attributes:
        heard: The last answer of each method that was asked, a copy.
    """

    def __init__(self, model: Any) -> None:
        from sklearn import get_config

        self._model = model
        self._validates = not get_config()["skip_parameter_validation"]
        self.heard: dict[str, np.ndarray] = {}

    def __getattr__(self, name: str) -> Any:
        """Return what the model has; its answers are kept in `heard`."""
        if name.startswith("__"):  # a protocol that the model may have and this does not claim
            raise AttributeError(name)
        found = getattr(self._model, name)
        if name not in METHODS:
            return found

        def ask(*arguments: Any, **keywords: Any) -> Any:
            from sklearn import config_context

            with config_context(skip_parameter_validation=not self._validates):
                answer = found(*arguments, **keywords)
            with suppress(ValueError):  # no array, as of rows with different lengths: it is the metric's to refuse
                self.heard[name] = np.array(answer)
            return answer

        ask.__name__ = name  # scorers treat probabilities and decisions differently, and go by the name
        return ask

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import get_tags

        return get_tags(self._model)

    @property
    def fitted(self) -> Any:
        """The model itself, for code that may ask it for more than predictions."""
        return self._model


def listen(model: Any) -> PredictionRecorder:
    """Stand between a fitted model and those who ask it, under its class's name."""
    return _class_named(type(model).__name__)(model)


@functools.cache
def _class_named(name: str) -> type[PredictionRecorder]:
    return type(name, (PredictionRecorder,), {"__doc__": PredictionRecorder.__doc__})


LONGEST = 200
"""Characters; MLflow takes 250, and ``report_`` and ``_std`` are still to be added."""

LARGEST_STEP = 2**63 - 1
_ALLOWED = re.compile(r"[\w.\- :/]+")


def refusal_of_name(name: str) -> str | None:
    """Describe why MLflow would not take a metric of this name, or None."""
    if len(name) > LONGEST:
        return f"the metric '{name[:40]}…' has {len(name)} characters; {LONGEST} are allowed"
    parts = name.split("/")
    if not _ALLOWED.fullmatch(name) or any(part in ("", ".", "..") for part in parts):
        return f"a metric cannot be called '{name}'; it is made of letters, digits, spaces and _ - . : in parts between slashes"
    return None


def refusal_of_step(step: object) -> str | None:
    """Describe why something is no step, or None."""
    if isinstance(step, bool) or not isinstance(step, int) or not 0 <= step <= LARGEST_STEP:
        return f"a step is a whole number of 0 or more, below 2**63; got {step!r:.40}"
    return None


@dataclass(frozen=True)
class Metric:
    """How one metric is measured, and its traits.

    Args:
        name: As the config and MLflow call it.
        scorer: As scikit-learn calls its scorer; scorers are better when greater. Empty for what is no score of predictions.
        task: What it is for; None for clustering and several labels, which no sweep is about.
        direction: Which way the metric is better; an error is its scorer's negative.
        is_common: Whether it is offered where another is not known, and its direction known where a program reports it.
        is_default: Whether it is measured where a config names none.
        needs_probabilities: Whether it is measured on `predict_proba`.
        for_more: Of one that is for two classes alone: what to use for more.
        needs_positive: Whether it has to know which of two classes is the positive one.
        takes_pairs: Whether it compares classes in pairs, for which its function takes no weights.
        made: The function that it is computed by, where no scorer of scikit-learn has a name for that.
    """

    name: str
    scorer: str
    task: Task | None = Task.CLASSIFICATION
    direction: Direction = Direction.MAXIMIZE
    is_common: bool = False
    is_default: bool = False
    needs_probabilities: bool = False
    for_more: str = ""
    needs_positive: bool = False
    takes_pairs: bool = False
    made: LibraryFunction | OwnFunction | None = None

    @property
    def takes_model(self) -> bool:
        """Return whether it is computed by calling a function with the model and the rows."""
        return isinstance(self.made, OwnFunction) and self.made.takes_model

    @property
    def sign(self) -> int:
        """-1 when the metric is the scorer's negative."""
        return -1 if self.direction is Direction.MINIMIZE else 1


def _error(name: str, scorer: str, task: Task = Task.REGRESSION, **traits: Any) -> Metric:
    return Metric(name, scorer, task, Direction.MINIMIZE, is_common=True, **traits)


def _score(scorer: str, task: Task | None = Task.CLASSIFICATION, **traits: Any) -> Metric:
    return Metric(scorer, scorer, task, **traits)


def _two_classes(scorer: str, for_more: str, *, needs_positive: bool = True, **traits: Any) -> Metric:
    return _score(scorer, for_more=for_more, needs_positive=needs_positive, **traits)


_ROWS = (
    _error("rmse", "neg_root_mean_squared_error", is_default=True),
    _error("mae", "neg_mean_absolute_error", is_default=True),
    _error("mape", "neg_mean_absolute_percentage_error"),
    _error("median_ae", "neg_median_absolute_error"),
    _error("max_error", "neg_max_error"),
    _error("log_loss", "neg_log_loss", Task.CLASSIFICATION, needs_probabilities=True),
    Metric(FIT_SECONDS, "", None, Direction.MINIMIZE),
    Metric(MODEL_SIZE, "", None, Direction.MINIMIZE),
    _score("r2", Task.REGRESSION, is_common=True, is_default=True),
    *(
        _score(name, Task.REGRESSION)
        for name in (
            "explained_variance", "d2_absolute_error_score", "neg_mean_gamma_deviance", "neg_mean_poisson_deviance",
            "neg_mean_squared_error", "neg_mean_squared_log_error", "neg_root_mean_squared_log_error",
        )
    ),
    _score("accuracy", is_common=True, is_default=True),
    _score("balanced_accuracy", is_common=True, is_default=True),
    _two_classes("f1", "f1_macro", is_common=True),
    _score("f1_macro", is_common=True, is_default=True),
    _score("f1_micro", is_common=True),
    _score("f1_weighted", is_common=True),
    _two_classes("precision", "precision_macro", is_common=True),
    _two_classes("recall", "recall_macro", is_common=True),
    _two_classes("roc_auc", "roc_auc_ovr", needs_positive=False, is_common=True),
    _two_classes("jaccard", "jaccard_macro"),
    _two_classes("average_precision", "f1_macro"),
    _two_classes("neg_brier_score", "log_loss", needs_probabilities=True),
    _two_classes("positive_likelihood_ratio", "f1_macro"),
    _two_classes("neg_negative_likelihood_ratio", "f1_macro"),
    *(
        _score(name, needs_probabilities=True)
        for name in ("d2_log_loss_score", "d2_brier_score", "roc_auc_ovr", "roc_auc_ovr_weighted")
    ),
    *(_score(name, needs_probabilities=True, takes_pairs=True) for name in ("roc_auc_ovo", "roc_auc_ovo_weighted")),
    *(
        _score(name, None)
        for name in (
            "adjusted_mutual_info_score", "adjusted_rand_score", "completeness_score", "fowlkes_mallows_score",
            "homogeneity_score", "mutual_info_score", "normalized_mutual_info_score", "rand_score", "v_measure_score",
            "f1_samples", "jaccard_samples", "precision_samples", "recall_samples",
        )
    ),
)  # fmt: skip
METRICS = {row.name: row for row in _ROWS}
"""Every metric that has a trait, by name; an error is there under its scorer's name too, with scikit-learn's sign."""
METRICS |= {
    row.scorer: replace(row, name=row.scorer, direction=Direction.MAXIMIZE, is_common=False, is_default=False)
    for row in _ROWS
    if row.scorer not in ("", row.name)
}


def default_metrics(task: Task) -> list[str]:
    """Name what is measured where a config names no metric."""
    return [metric.name for metric in METRICS.values() if metric.is_default and metric.task is task]


def usual_direction(name: str) -> Direction | None:
    """Return which way a metric of this name is better, whoever measures it; None where that is not known."""
    metric = METRICS.get(name)
    return metric.direction if metric is not None and (metric.is_common or not metric.scorer) else None


def look_up(name: str) -> Metric | None:
    """Return a metric by its short name (``rmse``) or a scikit-learn scorer's (``neg_mean_gamma_deviance``), or None."""
    from sklearn.metrics import get_scorer_names

    metric = METRICS.get(name, Metric(name, name))
    return metric if metric.scorer in get_scorer_names() else None


def find_metric(name: str, task: Task | None) -> Metric:
    """Look a metric up.

    Args:
        name: A short name, or a scikit-learn scorer's.
        task: What the model does; None where that is not known.

    Raises:
        ValueError: There is no such metric, or it does not fit the task; the message says what does.
    """
    from sklearn.metrics import get_scorer_names

    metric = look_up(name) or _of_function(name)
    tasks = [task] if task is not None else list(Task)
    offer = " ".join(map(_offer, tasks))
    if metric is None:
        known = (look_up(each) for each in (*METRICS, *get_scorer_names()))
        fitting = [each.name for each in known if each is not None and each.task in tasks]
        fitting += [each.name for each in LibraryFunction.all() if each.task in tasks]
        raise ValueError(f"there is no metric '{name}'{did_you_mean(name, fitting) or '.'} {offer}")
    if task is not None and metric.task is not task:
        raise ValueError(f"{name} does not fit a {task.value} model. {offer}")
    return metric


def _of_function(name: str) -> Metric | None:
    """Return the metric that a function of `sklearn.metrics` is; None where there is no such function."""
    made = LibraryFunction.find(name)
    return None if made is None else _made(made.name, made, made.direction)


def _made(name: str, made: LibraryFunction, direction: Direction) -> Metric:
    return Metric(
        name,
        "",
        made.task,
        direction,
        needs_probabilities=made.response == "predict_proba",
        for_more="`params: {average: macro}`" if made.needs_two_classes else "",
        needs_positive=made.knows_positive,
        made=made,
    )


class MetricError(ValueError):
    """A metric of a config is wrong.

    Args:
        message: What is wrong.
        path: The keys within the metric's own entry.
        code: The kind of mistake.
    """

    def __init__(self, message: str, *path: str | int, code: Code = "invalid") -> None:
        super().__init__(message)
        self.path: ConfigPath = path
        self.code: Code = code


def metric_of(config: MetricConfig, task: Task | None) -> Metric:
    """Return the metric that an entry of a config asks scikit-learn for.

    Args:
        config: Of one of scikit-learn's metrics.
        task: What the model does; None where that is not known.

    Raises:
        MetricError: There is no such metric, it does not fit the task, or does not take what the entry says.
    """
    try:
        found = find_metric(config.metric, task)
    except ValueError as error:
        raise MetricError(str(error), code="unknown-metric") from error
    if config.direction not in (None, found.direction):
        better = "lower" if found.direction is Direction.MINIMIZE else "higher"
        message = f"{config.metric} is better when {better}: leave `direction` out, or say {found.direction.value}"
        raise MetricError(message, "direction")
    made = _with_params(config, found)
    if made is None:
        found = replace(found, name=config.plain_name)
    else:
        known = replace(_made(config.plain_name, made, found.direction), task=found.task)
        # a scorer that is asked for with parameters is a function's; what is said of it by name stays
        found = replace(known, for_more=found.for_more) if known.for_more and found.for_more else known
    return found


def _with_params(config: MetricConfig, found: Metric) -> LibraryFunction | None:
    """Return the function with the parameters that an entry sets; None where a scorer's name says it all."""
    if found.made is None and not config.params and config.positive is None:
        return None
    made = found.made if isinstance(found.made, LibraryFunction) else LibraryFunction.of_scorer(found.scorer)
    if made is None:
        raise MetricError(f"{config.metric} takes no parameters", *_first_key(config))
    params = {}
    for name, value in config.params.items():
        if name not in made.settable:
            message = f"{config.metric} has no parameter '{name}'; {one_of(name, made.settable)}"
            raise MetricError(message, "params", name, code="unknown-parameter")
        try:
            params[name] = freeze(value)
        except TypeError as error:
            raise MetricError(str(error), "params", name) from error
    made = made.with_params(params)
    if config.positive is not None:
        if POSITIVE in params or not made.knows_positive:
            why = "`params` gives pos_label" if POSITIVE in params else f"{config.metric} treats both classes alike"
            raise MetricError(f"{why}; leave `positive` out", "positive")
        made = made.with_params({POSITIVE: config.positive})
    if made.missing:
        raise MetricError(f"{config.metric} needs `params: {{{', '.join(f'{name}: …' for name in made.missing)}}}`")
    return made


def _first_key(config: MetricConfig) -> tuple[str, ...]:
    return ("params", next(iter(config.params))) if config.params else ("positive",)


def _offer(task: Task) -> str:
    common = [metric.name for metric in METRICS.values() if metric.is_common and metric.task is task]
    return f"For {task.value}: {', '.join(common)}, or a scikit-learn scorer's name"


def check_classes(metric: Metric, target: pd.Series) -> str | None:
    """Describe why a metric cannot be computed for these classes, or None when it can."""
    positive = dict(metric.made.params).get(POSITIVE) if isinstance(metric.made, LibraryFunction) else None
    if not metric.for_more and not metric.needs_positive:
        return None
    classes = sorted(target.unique(), key=str)
    if metric.for_more and len(classes) != 2:
        return f"{metric.name} needs two classes, column '{target.name}' has {len(classes)}; use {metric.for_more}"
    if positive is not None:
        is_there = any(each == positive and _is_truth(each) == _is_truth(positive) for each in classes)
        shown = " and ".join(map(_in_yaml, classes))
        return None if is_there else f"{_in_yaml(positive)} is no class of column '{target.name}', which holds {shown}"
    if metric.needs_positive and len(classes) == 2 and (1 not in classes or isinstance(classes[0], str)):
        return (
            f"{metric.name} needs to know which class is the positive one: column '{target.name}' holds"
            f" {classes[0]} and {classes[1]}; {_how_to_name_one(metric, target)}"
        )
    return None


def is_defined_for_one_row(metric: Metric, target: pd.Series) -> bool:
    """Return whether a metric can be computed of one row's prediction, as it has to be where each row is a fold."""
    from sklearn.dummy import DummyClassifier, DummyRegressor

    model = DummyRegressor() if metric.task is Task.REGRESSION else DummyClassifier()
    values = target.to_numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            model.fit(np.zeros((len(values), 1)), values)
            return bool(np.isfinite(evaluate(model, [metric], np.zeros((1, 1)), values[:1])[metric.name]))
        except ValueError:
            return False


def _is_truth(value: object) -> bool:
    return isinstance(value, bool | np.bool_)


def _in_yaml(value: Any) -> str:
    """Write a class as a config has to."""
    plain = value.item() if isinstance(value, np.generic) else value
    if isinstance(plain, str):
        is_bare = re.fullmatch(r"[^\W\d][\w ]*", plain) and plain.lower() not in ("true", "false", "null", "nan", "inf")
        return plain if is_bare else json.dumps(plain, ensure_ascii=False)
    return str(plain).lower() if isinstance(plain, bool) else str(plain)


def _how_to_name_one(metric: Metric, target: pd.Series) -> str:
    """Describe what to write so that a metric knows the positive class: the rarer one, most likely."""
    counts = target.value_counts().sort_index(ascending=False, key=lambda index: index.map(str))
    rare = _in_yaml(counts.idxmin())
    if metric.made is not None:
        return f"add `positive: {rare}`"
    function = LibraryFunction.of_scorer(metric.scorer)
    what = f"{{metric: {metric.scorer}, positive: {rare}}}" if function and function.knows_positive else "the positive one as 1"
    return f"write {what}, or use {metric.for_more}"


def check_values(metric: Metric, target: pd.Series) -> str | None:
    """Compute a metric for these rows and a model that looks at no feature; describe why it fails, or return None.

    What the function says of its parameters, and of truths that it does not take, is known so before a model is fitted.
    """
    from sklearn.dummy import DummyClassifier, DummyRegressor

    if not isinstance(metric.made, LibraryFunction):
        return None
    model = DummyClassifier(strategy="prior") if metric.task is Task.CLASSIFICATION else DummyRegressor()
    rows, truth = np.zeros((len(target), 1)), target.to_numpy()
    if metric.made.response == ("decision_function",):
        classes = target.nunique()

        def decision_function(rows: np.ndarray) -> np.ndarray:
            return np.zeros(len(rows) if classes == 2 else (len(rows), classes))

        model.decision_function = decision_function  # scikit-learn asks the method for its name
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a metric that this model leaves undefined
        try:
            float(metric.made.scorer(metric.direction)(model.fit(rows, truth), rows, truth))
        except Exception as error:  # noqa: BLE001  # whatever scikit-learn raises for parameters or values
            return f"{metric.name} cannot be computed for column '{target.name}': {error}"
    return None


def takes_weights(metric: Metric) -> bool:
    """Return whether a metric can count some rows more than others, as far as its function's signature tells."""
    from sklearn.metrics import get_scorer

    if metric.made is not None:
        return metric.made.takes_weights
    score = get_scorer(metric.scorer)._score_func
    return not metric.takes_pairs and WEIGHTS in inspect.signature(score).parameters


@functools.lru_cache(maxsize=64)
def _multimetric_scorer(metrics: tuple[Metric, ...]) -> Any:
    from sklearn.metrics import check_scoring, get_scorer

    scorers = {each.name: each.made.scorer(each.direction) if each.made else get_scorer(each.scorer) for each in metrics}
    return check_scoring(estimator=None, scoring=scorers)


def evaluate(
    estimator: Any,
    metrics: Sequence[Metric],
    features: pd.DataFrame | np.ndarray,
    target: np.ndarray,
    weights: np.ndarray | None = None,
) -> Mapping[str, float]:
    """Measure a fitted estimator by every metric; predictions are computed once and shared.

    Args:
        estimator: Fitted, or somebody who listens to one that is.
        metrics: What to measure.
        features: The rows to predict, of shape (rows, features).
        target: The truth, of shape (rows,).
        weights: How much each row counts, of shape (rows,); None when all count the same.

    Raises:
        ValueError: All weights are 0, or a metric cannot be computed for these rows.
    """
    from sklearn import config_context

    if weights is not None and not weights.any():
        raise ValueError(f"none of the {len(weights)} rows to measure on has a weight above 0")
    weighting = {} if weights is None else {WEIGHTS: weights}
    asked = (
        estimator if isinstance(estimator, PredictionRecorder) else listen(estimator)
    )  # its own parameters are validated as before
    by_scorer = tuple(metric for metric in metrics if not metric.takes_model)
    with config_context(skip_parameter_validation=True):  # the metrics' parameters are ours; a sixth of a quick trial's time
        scores = _multimetric_scorer(by_scorer)(asked, features, target, **weighting) if by_scorer else {}
    found = {metric.name: metric.sign * float(scores[metric.name]) for metric in by_scorer}
    for metric in metrics:
        if isinstance(metric.made, OwnFunction) and metric.takes_model:
            found[metric.name] = metric.made.measure(asked.fitted, features, target, weights)
    return {metric.name: found[metric.name] for metric in metrics}


def size_of(model: Any) -> float:
    """Return the length of a model's pickle in bytes.

    A class that is not importable elsewhere, as a notebook's, is pickled with its code.
    """
    import cloudpickle  # only this needs it

    return float(len(cloudpickle.dumps(model)))
