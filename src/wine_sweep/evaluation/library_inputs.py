"""What boosting libraries do not take as a table has it, told to them or replaced around the model by classes of scikit-learn.

XGBoost refuses columns with brackets or ``<`` in their names, LightGBM those with characters of JSON; and XGBoost's classifiers
learn only classes that are numbered from 0. CatBoost has to be told which columns are categories, and takes no gap in them.
Models are changed once their parameters are set, so that these keep their names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from wine_sweep.evaluation.library_params import FEATURE_LISTS, library_of, owners

_REFUSED = {"lightgbm": frozenset('",:[]{}'), "xgboost": frozenset("[]<")}
"""Characters that a library takes in no column's name."""

HANDING_ON = (
    *("CalibratedClassifierCV", "SearchCV", "ThresholdClassifier", "ThresholdClassifierCV", "TransformedTargetRegressor"),
    *("StackingClassifier", "StackingRegressor", "VotingClassifier", "VotingRegressor"),
)
"""How the names of estimators end that give the table to others as it came."""

_NUMBERING = ("BaggingClassifier", "OneVsOneClassifier", "OneVsRestClassifier", "StackingClassifier", "VotingClassifier")
"""How the names of classifiers end that number the classes for those within them."""

STEP = "names"
"""The name of the step that hands over columns under plain names."""


NUMBERS_STEP = "categories"
"""The step that numbers categories."""

GAPS_STEP = "gaps"
GAP = "(none)"
"""The step that fills gaps among categories, and what with."""


@dataclass(frozen=True)
class TableInputs:
    """What a table hands to a model.

    Args:
        columns: The names of its features.
        is_numbered: Whether its classes, if it has such, are the numbers from 0.
        categories: The names of those that hold text or categories.
        gaps: The names of those of them that have gaps.
    """

    columns: tuple[str, ...] = ()
    is_numbered: bool = True
    categories: tuple[str, ...] = ()
    gaps: tuple[str, ...] = ()

    @classmethod
    def from_table(cls, features: pd.DataFrame, classes: np.ndarray | None) -> TableInputs:
        """Describe a table.

        Args:
            features: As `data.columns.as_learned` gives them, of shape (rows, features).
            classes: The target of its rows, of shape (rows,); None where that is a number to predict.
        """
        found = None if classes is None else np.unique(classes)
        is_numbered = found is None or (found.dtype.kind in "biuf" and bool(np.all(found == np.arange(len(found)))))
        words = [str(name) for name, column in features.items() if not (is_numeric_dtype(column) or column.dtype.kind in "Mm")]
        gaps = tuple(name for name in words if features[name].isna().any())
        return cls(tuple(map(str, features.columns)), is_numbered, tuple(words), gaps)


def adapted(model: Any, inputs: TableInputs) -> Any:
    """Return a model that learns from a table, though a library within it takes neither its names nor its labels.

    Args:
        model: Unfitted, all its parameters set; it may be changed.
        inputs: What the table hands over.

    Returns:
        The model itself where there is nothing to replace.
    """
    if not inputs.is_numbered and "xgboost" in {library_of(owner) for _, owner in owners(model)}:
        model = _numbering(model)
    reached = list(_reached(model))
    refused = frozenset[str]().union(*(_REFUSED.get(library_of(each) or "", ()) for each, _ in reached))
    untold = [each for each, is_raw in reached if is_raw and library_of(each) == "catboost"]
    for each in untold:
        if inputs.categories and not FEATURE_LISTS.intersection(each.get_params()):
            each.set_params(cat_features=inputs.categories)
    if any(refused.intersection(name) for name in inputs.columns):
        model = _under_plain_names(model, inputs.columns, refused)
    if untold and inputs.gaps:
        model = _filled(model, inputs)
    numbered = [each for each, _ in reached if getattr(each, "enable_categorical", False) and library_of(each) == "xgboost"]
    if numbered and len(numbered) == len(reached) and inputs.categories and all(is_raw for _, is_raw in reached):
        model = _with_numbers(model, numbered, inputs)
    return model


def _numbering(model: Any) -> Any:
    """Have the classes numbered around each XGBoost classifier by a vote of one, which answers in the labels it was given."""
    from sklearn.base import is_classifier
    from sklearn.ensemble import VotingClassifier
    from sklearn.pipeline import Pipeline

    name = type(model).__name__
    if (library_of(model) == "xgboost" or name.endswith("SearchCV")) and is_classifier(model):
        return VotingClassifier([(name.lower(), model)], voting="soft")
    if name.endswith(_NUMBERING) or library_of(model):
        return model
    if isinstance(model, Pipeline):
        model.steps = [(step, _numbering(each) if hasattr(each, "fit") else each) for step, each in model.steps]
        return model
    for key, value in model.get_params(deep=False).items():
        if hasattr(value, "get_params") and not isinstance(value, type) and (changed := _numbering(value)) is not value:
            model.set_params(**{key: changed})
            if getattr(model, "importance_getter", None) == "auto":
                model.set_params(importance_getter=f"named_estimators_.{changed.estimators[0][0]}.feature_importances_")
    return model


def _reached(model: Any, *, is_raw: bool = True) -> Iterator[tuple[Any, bool]]:
    """Yield the boosting estimators that get the table under the names of its columns, and whether its columns as they are."""
    from sklearn.pipeline import Pipeline

    if library_of(model) is not None:
        yield model, is_raw
    elif isinstance(model, Pipeline):
        *before, (_, last) = model.steps
        if all(_keeps_names(each) for _, each in before):
            yield from _reached(last, is_raw=is_raw and not any(_is_skrub(each) for _, each in before))
    elif type(model).__name__.endswith(HANDING_ON):
        for each in _inner(model):
            yield from _reached(each, is_raw=is_raw)


def _keeps_names(step: Any) -> bool:
    """Return whether a step of a pipeline hands on a table whose columns are called after those that it got."""
    is_frame = type(step).__name__ == "FunctionTransformer" and not step.validate
    return step in (None, "passthrough") or is_frame or _is_skrub(step)


def _is_skrub(step: Any) -> bool:
    return type(step).__module__.startswith("skrub.")


def _inner(model: Any) -> Iterator[Any]:
    given: Mapping[str, Any] = model.get_params(deep=False)
    yield from (given[name] for name in ("estimator", "regressor") if hasattr(given.get(name), "fit"))
    yield from (each for _, each in given.get("estimators") or () if hasattr(each, "fit"))


def _under_plain_names(model: Any, columns: Sequence[str], refused: Iterable[str]) -> Any:
    """Return a pipeline that hands each column on as it is, under a name that the libraries take."""
    from sklearn.compose import ColumnTransformer

    taken = set(ColumnTransformer([]).get_params(deep=False))
    named = [(name, "passthrough", [column]) for name, column in zip(_plain(columns, refused, taken), columns, strict=True)]
    renamed = ColumnTransformer(named, verbose_feature_names_out="{transformer_name}").set_output(transform="pandas")
    return _behind(STEP, renamed, model)


def _filled(model: Any, inputs: TableInputs) -> Any:
    """Return a pipeline in which a gap among categories is a category of its own; the columns stay in their order."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer

    fill = SimpleImputer(strategy="constant", fill_value=GAP)
    parts = [
        (f"column_{number}", fill if column in inputs.gaps else "passthrough", [column])
        for number, column in enumerate(inputs.columns)
    ]
    return _behind(GAPS_STEP, ColumnTransformer(parts, verbose_feature_names_out=False).set_output(transform="pandas"), model)


def _with_numbers(model: Any, learners: Iterable[Any], inputs: TableInputs) -> Any:
    """Return a pipeline that numbers categories for XGBoost, which knows neither a later row's new one nor a row with none."""
    from sklearn.compose import ColumnTransformer
    from sklearn.preprocessing import OrdinalEncoder

    for each in learners:
        if each.feature_types is None:
            each.set_params(feature_types=["c" if column in inputs.categories else "q" for column in inputs.columns])
    number = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan)  # a gap is NaN by itself
    parts = [
        (f"column_{index}", number if column in inputs.categories else "passthrough", [column])
        for index, column in enumerate(inputs.columns)
    ]
    return _behind(NUMBERS_STEP, ColumnTransformer(parts, verbose_feature_names_out=False).set_output(transform="pandas"), model)


def _behind(name: str, transformer: Any, model: Any) -> Any:
    from sklearn.pipeline import Pipeline

    steps = model.steps if isinstance(model, Pipeline) else [(type(model).__name__.lower(), model)]
    free = name if name not in dict(steps) else f"{name}_of_columns"
    return Pipeline([(free, transformer), *steps])


def _plain(columns: Iterable[str], refused: Iterable[str], taken: set[str]) -> Iterator[str]:
    """Yield a name for each column: its own, without characters that are refused and without ``__``, and none twice."""
    table = str.maketrans(dict.fromkeys(refused, "_"))
    for column in columns:
        plain = column.translate(table)
        while "__" in plain:
            plain = plain.replace("__", "_")
        name, number = plain or "column", 2
        while name in taken:
            name, number = f"{plain}_{number}", number + 1
        taken.add(name)
        yield name
