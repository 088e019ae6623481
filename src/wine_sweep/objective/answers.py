"""A model's answers, heard by somebody who stands between it and the metrics."""

from __future__ import annotations

import functools
from contextlib import suppress
from typing import Any

import numpy as np

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
        """Give what the model has; of its answers hear them."""
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
