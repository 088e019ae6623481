"""Metrics by name: ours, scikit-learn's scorers, the size of a model; and the predictions that several metrics share."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from wine_sweep.config import Direction
from wine_sweep.messages import did_you_mean
from wine_sweep.trial import Task

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
        """Return what the model has; of its answers hear them."""
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


DEFAULTS = {Task.REGRESSION: ("rmse", "mae", "r2"), Task.CLASSIFICATION: ("accuracy", "balanced_accuracy", "f1_macro")}


@dataclass(frozen=True)
class Metric:
    """How one metric is measured.

    Args:
        name: As the config and MLflow call it.
        scorer: As scikit-learn calls its scorer; scorers are better when greater.
        sign: -1 when the metric is the scorer's negative, as an error is.
        direction: Which way the metric is better.
    """

    name: str
    scorer: str
    sign: int
    direction: Direction


ERRORS = {
    "rmse": "neg_root_mean_squared_error",
    "mae": "neg_mean_absolute_error",
    "mape": "neg_mean_absolute_percentage_error",
    "median_ae": "neg_median_absolute_error",
    "max_error": "neg_max_error",
    "log_loss": "neg_log_loss",
}
_REGRESSION = frozenset(
    {
        "explained_variance", "r2", "d2_absolute_error_score", "neg_max_error", "neg_mean_absolute_error",
        "neg_mean_absolute_percentage_error", "neg_mean_gamma_deviance", "neg_mean_poisson_deviance",
        "neg_mean_squared_error", "neg_mean_squared_log_error", "neg_median_absolute_error",
        "neg_root_mean_squared_error", "neg_root_mean_squared_log_error",
    }
)  # fmt: skip
_CLUSTERING = frozenset(
    {
        "adjusted_mutual_info_score", "adjusted_rand_score", "completeness_score", "fowlkes_mallows_score",
        "homogeneity_score", "mutual_info_score", "normalized_mutual_info_score", "rand_score", "v_measure_score",
    }
)  # fmt: skip
_MULTILABEL = frozenset({"f1_samples", "jaccard_samples", "precision_samples", "recall_samples"})
_TWO_CLASSES = {
    "f1": "f1_macro", "precision": "precision_macro", "recall": "recall_macro", "jaccard": "jaccard_macro",
    "roc_auc": "roc_auc_ovr", "average_precision": "f1_macro", "neg_brier_score": "log_loss",
    "positive_likelihood_ratio": "f1_macro", "neg_negative_likelihood_ratio": "f1_macro",
}  # fmt: skip
NEED_PROBABILITIES = frozenset(
    {
        "neg_log_loss", "neg_brier_score", "d2_log_loss_score", "d2_brier_score",
        "roc_auc_ovr", "roc_auc_ovo", "roc_auc_ovr_weighted", "roc_auc_ovo_weighted",
    }
)  # fmt: skip
_ONE_VERSUS_ONE = frozenset({"roc_auc_ovo", "roc_auc_ovo_weighted"})
"""Their function takes weights, but not together with comparing the classes in pairs."""
_NEEDS_POSITIVE = frozenset(_TWO_CLASSES) - {"roc_auc"}


def task_of(scorer: str) -> Task | None:
    """Tell which task a scikit-learn scorer is for; None for clustering and multi-label scorers, which fit neither."""
    if scorer in _CLUSTERING or scorer in _MULTILABEL:
        return None
    return Task.REGRESSION if scorer in _REGRESSION else Task.CLASSIFICATION


def find_metric(name: str, task: Task | None) -> Metric:
    """Look a metric up.

    Args:
        name: A short name (``rmse``) or a scikit-learn scorer's (``neg_mean_gamma_deviance``).
        task: What the model does; None where that is not known.

    Raises:
        ValueError: There is no such metric, or it does not fit the task; the message says what does.
    """
    from sklearn.metrics import get_scorer_names

    known = get_scorer_names()
    scorer = ERRORS.get(name, name)
    tasks = [task] if task is not None else list(Task)
    fitting = [each for each in (*ERRORS, *known) if task_of(ERRORS.get(each, each)) in tasks]
    if scorer not in known:
        raise ValueError(f"there is no metric '{name}'{did_you_mean(name, fitting) or '.'} {' '.join(map(_offer, tasks))}")
    if task is not None and task_of(scorer) is not task:
        raise ValueError(f"{name} does not fit a {task.value} model. {_offer(task)}")
    sign = -1 if name in ERRORS else 1
    return Metric(name, scorer, sign, Direction.MINIMIZE if sign < 0 else Direction.MAXIMIZE)


def check_classes(metric: Metric, target: pd.Series) -> str | None:
    """Describe why a metric cannot be computed for these classes, or None when it can."""
    if metric.scorer not in _TWO_CLASSES:
        return None
    classes = sorted(target.unique(), key=str)
    if len(classes) != 2:
        return f"{metric.name} needs two classes, column '{target.name}' has {len(classes)}; use {_TWO_CLASSES[metric.scorer]}"
    if metric.scorer in _NEEDS_POSITIVE and (1 not in classes or isinstance(classes[0], str)):
        return (
            f"{metric.name} needs to know which class is the positive one: column '{target.name}' holds"
            f" {classes[0]} and {classes[1]}; write the positive one as 1, or use {_TWO_CLASSES[metric.scorer]}"
        )
    return None


def takes_weights(metric: Metric) -> bool:
    """Return whether a metric can count some rows more than others, as far as its function's signature tells."""
    from sklearn.metrics import get_scorer

    score = get_scorer(metric.scorer)._score_func
    return metric.scorer not in _ONE_VERSUS_ONE and "sample_weight" in inspect.signature(score).parameters


@functools.cache
def _multimetric_scorer(scorers: tuple[str, ...]) -> Any:
    from sklearn.metrics import check_scoring

    return check_scoring(estimator=None, scoring=list(scorers))


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
    weighting = {} if weights is None else {"sample_weight": weights}
    scorer = _multimetric_scorer(tuple(metric.scorer for metric in metrics))
    asked = (
        estimator if isinstance(estimator, PredictionRecorder) else listen(estimator)
    )  # its own parameters are validated as before
    with config_context(skip_parameter_validation=True):  # the metrics' parameters are ours; a sixth of a quick trial's time
        scores = scorer(asked, features, target, **weighting)
    return {metric.name: metric.sign * float(scores[metric.scorer]) for metric in metrics}


def _offer(task: Task) -> str:
    short = [*ERRORS, "r2", "accuracy", "balanced_accuracy", "f1", "f1_macro", "precision", "recall", "roc_auc"]
    fitting = [name for name in short if task_of(ERRORS.get(name, name)) is task]
    return f"For {task.value}: {', '.join(fitting)}, or a scikit-learn scorer's name"


def size_of(model: Any) -> float:
    """Return the length of a model's pickle in bytes.

    A class that is not importable elsewhere, as a notebook's, is pickled with its code.
    """
    import cloudpickle  # only this needs it

    return float(len(cloudpickle.dumps(model)))
