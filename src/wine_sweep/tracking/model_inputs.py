"""What a saved model takes: the types of its columns, which of them it needs, and how new rows get those that it learned from.

MLflow's own types refuse rows that a model can predict: a column of whole numbers where others were read, a gap among them, a
category. So a column has one of them only where no row can look otherwise, else `Any`; and what the model then gets is turned
into the types that it knows by steps of the saved pipeline, which are scikit-learn's.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import DataType
from mlflow.types.schema import AnyType, ColSpec, Schema

from wine_sweep.data.columns import is_plain_number, may_look_whole, restoring_calls

STEP = "types"
"""The name of the first step that restores types; a second one has a number behind it."""


def needed_columns(model: Any, features: pd.DataFrame) -> list[str]:
    """List the columns without which a fitted model does not predict: all of them, unless its first step names those it takes."""
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline

    first = model
    while isinstance(first, Pipeline) and first.steps:
        first = first.steps[0][1]
    names = [str(name) for name in features.columns]
    if not isinstance(first, ColumnTransformer) or not hasattr(first, "transformers_"):
        return names
    kept = [columns for _, transformer, columns in first.transformers_ if not _is_drop(transformer)]
    taken = [name for columns in kept for name in _listed(columns)]
    by_position = not all(isinstance(name, str) for name in taken)
    return names if by_position else [name for name in names if name in taken]


def _listed(columns: Any) -> Iterable[object]:
    return [columns] if isinstance(columns, str | slice) else columns


def _is_drop(transformer: Any) -> bool:
    return isinstance(transformer, str) and transformer == "drop"


def restoring(model: Any, features: pd.DataFrame) -> Any:
    """Return a fitted model that turns raw rows into rows of the types that it learned from, before it predicts them.

    Args:
        model: A scikit-learn style estimator, fitted on `features`. It is not changed.
        features: Rows as `data.columns.as_learned` gives them.

    Returns:
        A pipeline with the steps of `model` behind those that restore; `model` itself where all columns are numbers without gaps,
        which need none.
    """
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import FunctionTransformer

    needed = features[needed_columns(model, features)]
    if all(is_plain_number(column) for _, column in needed.items()):
        return model
    steps = model.steps if isinstance(model, Pipeline) else [(type(model).__name__.lower(), model)]
    free = (name for name in _names() if name not in dict(steps))
    restorers = [FunctionTransformer(operator.methodcaller(*call)) for call in restoring_calls(needed)]
    return Pipeline([*zip(free, restorers, strict=False), *steps])


def _names() -> Iterator[str]:
    yield STEP
    number = 2
    while True:
        yield f"{STEP}_{number}"
        number += 1


def signature_of(model: Any, features: pd.DataFrame, predicted: np.ndarray) -> ModelSignature:
    """Describe what a model takes and gives.

    Args:
        model: Fitted on `features`.
        features: Rows as `data.columns.as_learned` gives them.
        predicted: What it predicts for some of them.
    """
    from mlflow.models import infer_signature

    needed = set(needed_columns(model, features))
    columns = [_column(name, features[name], is_needed=name in needed) for name in map(str, features.columns)]
    return ModelSignature(inputs=Schema(columns), outputs=infer_signature(None, predicted).outputs)


def _column(name: str, column: pd.Series, *, is_needed: bool) -> ColSpec:
    is_double = is_plain_number(column) and not may_look_whole(column)
    return ColSpec(DataType.double if is_double else AnyType(), name, required=is_needed)


def as_declared(features: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Return the columns that a model knows, in its own order; numbers as float64 where it was saved to take nothing else."""
    known = [each for each in schema.inputs if each.name in features.columns]
    taken = features[[each.name for each in known]]
    doubles = [each.name for each in known if each.type == DataType.double and taken[each.name].dtype.kind in "iub"]
    return taken.astype(dict.fromkeys(doubles, "float64")) if doubles else taken


def raw_rows(features: pd.DataFrame, most: int) -> pd.DataFrame:
    """Return rows as a program gives them that has read no table: Python's objects, None for a gap, dates and categories as text.

    Args:
        features: Rows as `data.columns.as_learned` gives them.
        most: How many of them at most; those with gaps come first.
    """
    order = np.argsort(~features.isna().any(axis=1).to_numpy(), kind="stable")[:most]
    rows = features.iloc[order]
    dates = rows.select_dtypes(include=["datetime", "datetimetz"]).map(lambda each: each.isoformat(), na_action="ignore")
    plain = rows.astype(object).assign(**{str(name): column.astype(object) for name, column in dates.items()})
    return plain.where(rows.notna(), None)
