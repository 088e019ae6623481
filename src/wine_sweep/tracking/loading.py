"""Models as their users load them, with what a metric may ask of them."""

from __future__ import annotations

import warnings

import mlflow.pyfunc
import numpy as np
import pandas as pd
from mlflow.pyfunc import PyFuncModel

from wine_sweep.errors import ModelError, TrackingError
from wine_sweep.tracking.store import translated_errors


class LoadedModel:
    """A model that was loaded from MLflow.

    It has `predict_proba` and `classes_` where the model that was saved has them.

    Args:
        loaded: As MLflow has loaded it.
    """

    def __init__(self, loaded: PyFuncModel) -> None:
        self._loaded = loaded
        try:
            raw = loaded.get_raw_model()
        except NotImplementedError:  # a Python model of somebody's own
            return
        if hasattr(raw, "predict_proba") and hasattr(raw, "classes_"):
            self.classes_ = raw.classes_
            self.predict_proba = lambda features: np.asarray(raw.predict_proba(self._own(features)))

    def predict(self, features: pd.DataFrame) -> np.ndarray:
        """Predict rows, of shape (rows, features); more columns than the model knows do no harm.

        Returns:
            Of shape (rows,) for most models.

        Raises:
            Exception: Whatever MLflow or the model raises, as where a column is missing.
        """
        return np.asarray(self._loaded.predict(self._own(features)))

    def _own(self, features: pd.DataFrame) -> pd.DataFrame:
        """Give the columns that the model knows, in its own order."""
        schema = self._loaded.metadata.get_input_schema()
        if schema is None or not schema.has_input_names():
            return features
        return features[[name for name in schema.input_names() if name in features.columns]]


def load_model(uri: str) -> LoadedModel:
    """Load a model; that runs the code that was saved with it.

    Raises:
        ModelError: It cannot be loaded: it is not there any more, or not what this environment can read.
        TrackingError: The store does not answer.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow compares versions of packages, and says so at length
        try:
            with translated_errors(f"load {uri}"):
                return LoadedModel(mlflow.pyfunc.load_model(uri))
        except TrackingError as error:
            if error.is_outage:
                raise
            raise ModelError(f"{uri} cannot be loaded: {error}") from error
        except Exception as error:  # whatever reading somebody's model raises
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ModelError(f"{uri} cannot be loaded: {type(error).__name__}: {reason[:500]}") from error
