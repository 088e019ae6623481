"""Scorers that have no name in scikit-learn: functions of `sklearn.metrics` with parameters, and functions of the user's own."""

from __future__ import annotations

import functools
import importlib
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wine_sweep.config import Direction
from wine_sweep.importing import import_file, start_scripts_as_usual
from wine_sweep.trial import Task

Params = tuple[tuple[str, Any], ...]
"""Keyword arguments that can be hashed: pairs, with tuples in place of lists."""

WEIGHTS = "sample_weight"
POSITIVE = "pos_label"

_GREATER = re.compile(r".*_score|matthews_corrcoef")
_SMALLER = re.compile(r".*(_error|_loss|_deviance)")
_OF_NUMBERS = re.compile(r"(r2|explained_variance)_score|max_error|.*(squared|absolute|pinball|tweedie|deviance).*")
_SEVERAL_LABELS = re.compile(r"(coverage_error|n?dcg_score|label_ranking.*)")
_TRUTH = ("y_true", "y1")
_RESPONSES: Mapping[str, str | tuple[str, ...]] = {
    "y_proba": "predict_proba",
    "y_prob": "predict_proba",
    "y_score": ("decision_function", "predict_proba"),
    "pred_decision": ("decision_function",),
}
"""Which method of a model gives a function's second argument, by that argument's name; `predict` for any other."""


def freeze(value: Any) -> Any:
    """Return a parameter's value with tuples in place of lists.

    Raises:
        TypeError: It is or holds a mapping.
    """
    if isinstance(value, dict):
        raise TypeError("a metric's parameters are numbers, text, true, false, null and lists of these")
    return tuple(map(freeze, value)) if isinstance(value, list | tuple) else value


@dataclass(frozen=True)
class LibraryFunction:
    """A function of `sklearn.metrics` that gives one number for truth and predictions of one column.

    Args:
        name: The function.
        params: What it is called with beside truth, predictions and weights.
    """

    name: str
    params: Params = ()

    @classmethod
    def find(cls, name: str) -> LibraryFunction | None:
        """Return a function by its name, ``fbeta_score`` or ``sklearn.metrics.fbeta_score``; None where there is no such."""
        from sklearn import metrics

        short = name.removeprefix("sklearn.metrics.")
        found = getattr(metrics, short, None) if short in metrics.__all__ else None
        if not inspect.isfunction(found) or not (_GREATER.fullmatch(short) or _SMALLER.fullmatch(short)):
            return None
        is_for_one_column = not _SEVERAL_LABELS.fullmatch(short) and next(iter(inspect.signature(found).parameters)) in _TRUTH
        return cls(short) if is_for_one_column else None

    @classmethod
    def all(cls) -> list[LibraryFunction]:
        """Return every such function."""
        from sklearn import metrics

        return [each for each in map(cls.find, sorted(metrics.__all__)) if each is not None]

    @classmethod
    def of_scorer(cls, scorer: str) -> LibraryFunction | None:
        """Return what a scorer of scikit-learn calls, with the parameters that it has; None where that is no public function."""
        from sklearn.metrics import get_scorer

        found = get_scorer(scorer)
        made = cls.find(found._score_func.__name__)
        return made.with_params({name: value for name, value in found._kwargs.items() if value is not None}) if made else None

    def with_params(self, params: Mapping[str, Any]) -> LibraryFunction:
        """Return the same with more parameters, which take the place of those of the same name."""
        return LibraryFunction(self.name, tuple({**dict(self.params), **params}.items()))

    @property
    def direction(self) -> Direction:
        """Which way it is better, by scikit-learn's own convention of names (see `sklearn.metrics.make_scorer`)."""
        return Direction.MAXIMIZE if _GREATER.fullmatch(self.name) else Direction.MINIMIZE

    @property
    def task(self) -> Task:
        """What it is for."""
        return Task.REGRESSION if _OF_NUMBERS.fullmatch(self.name) else Task.CLASSIFICATION

    @property
    def response(self) -> str | tuple[str, ...]:
        """Which of a model's methods it is computed from; of several the first that the model has."""
        from sklearn.metrics import get_scorer, get_scorer_names

        if self.name == "roc_auc_score" and dict(self.params).get("multi_class", "raise") != "raise":
            return "predict_proba"
        known = (get_scorer(each) for each in get_scorer_names())
        found = next((each._response_method for each in known if each._score_func.__name__ == self.name), None)
        return found or _RESPONSES.get(list(self._signature)[1], "predict")

    @property
    def takes_weights(self) -> bool:
        """Return whether rows can count differently."""
        return WEIGHTS in self._signature and dict(self.params).get("multi_class") != "ovo"

    @property
    def settable(self) -> list[str]:
        """The names of the parameters that can be set."""
        return [name for name in list(self._signature)[2:] if name not in (WEIGHTS, "y_pred")]

    @property
    def missing(self) -> list[str]:
        """The names of the parameters that have to be set and are not."""
        required = [name for name, each in self._signature.items() if each.default is inspect.Parameter.empty][2:]
        return [name for name in required if name not in dict(self.params)]

    @property
    def knows_positive(self) -> bool:
        """Return whether one of two classes is the positive one to it, which `pos_label` names."""
        return POSITIVE in self._signature and dict(self.params).get("average", "binary") == "binary"

    @property
    def needs_two_classes(self) -> bool:
        """Return whether it averages over no classes, and so takes two alone."""
        average = self._signature.get("average")
        return average is not None and dict(self.params).get("average", average.default) == "binary"

    @property
    def _signature(self) -> Mapping[str, inspect.Parameter]:
        return inspect.signature(self._function).parameters

    @property
    def _function(self) -> Callable[..., Any]:
        from sklearn import metrics

        found: Callable[..., Any] = getattr(metrics, self.name)
        return found

    def scorer(self, direction: Direction) -> Any:
        """Return scikit-learn's scorer of it, the negative where smaller is better."""
        from sklearn.metrics import make_scorer

        is_greater = direction is Direction.MAXIMIZE
        params = {name: list(value) if isinstance(value, tuple) else value for name, value in self.params}
        if POSITIVE in self._signature and not self.knows_positive:
            params.setdefault(POSITIVE, None)  # else the scorer looks for the default's class, 1, among the classes
        return make_scorer(self._function, response_method=self.response, greater_is_better=is_greater, **params)


@dataclass(frozen=True)
class OwnFunction:
    """A function of the user's own, which every process imports for itself.

    Args:
        source: The Python file, absolute, or the module's dotted path.
        name: The function's name in it.
        params: What it is called with beside its two or three positional arguments.
        digest: Of the file's content, in hex: another content is another function.
    """

    source: Path | str
    name: str
    params: Params = ()
    digest: str = ""

    def load(self) -> Callable[..., Any]:
        """Import the file or module, once in a process, and return the function.

        Raises:
            AttributeError: There is no such function in it.
            Exception: Whatever it raises when it is imported.
        """
        return _load(self)

    def refusal(self) -> str | None:
        """Import it and describe why it cannot be called as a metric, or return None.

        Raises:
            Exception: Whatever it raises when it is imported.
        """
        function = self.load()
        if not callable(function):
            return f"{self.name} is no function"
        known = inspect.signature(function).parameters
        is_open = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in known.values())
        strange = next((name for name, _ in self.params if name not in known and not is_open), None)
        if strange is not None:
            return f"{self.name} has no parameter '{strange}'"
        if len(_positional(function, self.params)) not in (2, 3):
            takes = ", ".join(known) or "nothing"
            return f"{self.name} is called with (y_true, y_pred) or (estimator, X, y), and takes {takes}"
        return None

    @property
    def takes_weights(self) -> bool:
        """Return whether rows can count differently: it has a parameter `sample_weight`."""
        return WEIGHTS in inspect.signature(self.load()).parameters

    @property
    def takes_model(self) -> bool:
        """Return whether it is called with a model and rows, not with truth and predictions."""
        return len(_positional(self.load(), self.params)) == 3

    @property
    def response(self) -> str | tuple[str, ...]:
        """Which of a model's methods gives the second argument of one that takes truth and predictions, by its name."""
        return "" if self.takes_model else _RESPONSES.get(_positional(self.load(), self.params)[1], "predict")

    def scorer(self, direction: Direction) -> Any:
        """Return scikit-learn's scorer of one that takes truth and predictions, the negative where smaller is better."""
        from sklearn.metrics import make_scorer

        is_greater = direction is Direction.MAXIMIZE
        function = _returning_a_number(self.load(), self.name)
        return make_scorer(function, response_method=self.response, greater_is_better=is_greater, **dict(self.params))

    def measure(self, model: Any, features: Any, target: np.ndarray, weights: np.ndarray | None) -> float:
        """Call one that takes a model and rows.

        Raises:
            TypeError: It returns no number.
            Exception: Whatever it raises.
        """
        weighting = {WEIGHTS: weights} if weights is not None and self.takes_weights else {}
        function = _returning_a_number(self.load(), self.name)
        return float(function(model, features, target, **dict(self.params), **weighting))


@functools.cache
def _load(own: OwnFunction) -> Callable[..., Any]:
    if isinstance(own.source, Path):
        module = import_file(own.source)
    else:
        start_scripts_as_usual()
        module = importlib.import_module(own.source)
    found: Callable[..., Any] = getattr(module, own.name)
    return found


def _positional(function: Callable[..., Any], params: Params) -> Sequence[str]:
    """Name the arguments that a function has to be given, beside those that are set."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    known = inspect.signature(function).parameters.values()
    free = [each for each in known if each.kind in kinds and each.name not in (WEIGHTS, *dict(params))]
    return [each.name for each in free if each.default is inspect.Parameter.empty]


def _returning_a_number(function: Callable[..., Any], name: str) -> Callable[..., float]:
    @functools.wraps(function)
    def call(*arguments: Any, **keywords: Any) -> float:
        found = function(*arguments, **keywords)
        try:
            return float(found)
        except (TypeError, ValueError) as error:
            raise TypeError(f"{name} returns {found!r:.80}, and a metric is one number") from error

    return call
