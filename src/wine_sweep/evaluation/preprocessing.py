"""Preprocessing that nobody has to write: skrub's pipeline for an estimator, and what it makes of each column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

_WORDS = {
    "numeric": "numbers",
    "datetime": "dates, as their parts",
    "low_cardinality": "categories",
    "high_cardinality": "text, as a few numbers",
}
"""What a reader calls skrub's kinds of columns."""

LEFT_OUT = "left out: empty"


def preprocessed(model: Any) -> Any:
    """Return a pipeline that prepares the columns of any table for an estimator, and ends with it: `skrub.tabular_pipeline`.

    Args:
        model: Unfitted; it is not copied.

    Raises:
        TypeError: skrub cannot make one for it.
    """
    from sklearn.base import is_classifier, is_regressor
    from sklearn.linear_model import LogisticRegression, Ridge
    from skrub import tabular_pipeline

    if hasattr(model, "predict") or not (is_classifier(model) or is_regressor(model)):
        return tabular_pipeline(model)
    # a stack predicts once it is fitted, and skrub asks before; what goes for linear models goes for anything
    pipeline = tabular_pipeline(LogisticRegression() if is_classifier(model) else Ridge())
    pipeline.steps[-1] = (type(model).__name__.lower(), model)
    return pipeline


def last_step(pipeline: Any) -> str:
    """Return the name of a pipeline's last step."""
    return str(pipeline.steps[-1][0])


def describe_columns(features: pd.DataFrame) -> Mapping[str, Sequence[str]]:
    """Tell what the preprocessing takes each column for, in words.

    Args:
        features: The rows that it is fitted on, of shape (rows, features).
    """
    from skrub import TableVectorizer

    whole = dict.fromkeys(("numeric", "datetime", "low_cardinality", "high_cardinality"), "passthrough")
    kinds = TableVectorizer(**whole).fit(features).kind_to_columns_
    found = {words: list(kinds.get(kind, ())) for kind, words in _WORDS.items()}
    known = {name for names in found.values() for name in names}
    found[LEFT_OUT] = [name for name in map(str, features.columns) if name not in known]
    return {words: names for words, names in found.items() if names}
