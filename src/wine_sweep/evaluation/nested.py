"""Read what a config nests in the values of parameters: estimators, pipelines and columns, before they are made.

An estimator is ``{estimator: dotted.path, params: {…}}``, a pipeline ``{pipeline: {step: …}, params: {…}}``, where a step is a
dotted path, an estimator or a pipeline. Both may stand in lists, as in the `transformers` of a ColumnTransformer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from wine_sweep.config import ColumnType

_DOTTED = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")


def is_dotted(value: Any) -> bool:
    """Return whether a value is text such as ``numpy.log1p`` or ``sklearn.svm.SVC``: names joined by dots."""
    return isinstance(value, str) and _DOTTED.fullmatch(value) is not None


def is_estimator(value: Any) -> bool:
    """Return whether a value is written as a nested estimator, well or not."""
    return isinstance(value, Mapping) and "estimator" in value


def is_pipeline(value: Any) -> bool:
    """Return whether a value is written as a nested pipeline, well or not; a label called ``pipeline`` has a scalar."""
    return isinstance(value, Mapping) and isinstance(value.get("pipeline"), Mapping | list)


def steps_of(value: Any) -> dict[str, Any]:
    """Return the steps of a nested pipeline, as they are written; none of what is no pipeline."""
    steps = value["pipeline"] if is_pipeline(value) else None
    return dict(steps) if isinstance(steps, Mapping) else {}


def params_of(value: Any) -> dict[str, Any]:
    """Return the parameters of a nested estimator or pipeline, as they are written; none of anything else."""
    params = value.get("params") if is_estimator(value) or is_pipeline(value) else None
    return {name: each for name, each in params.items() if isinstance(name, str)} if isinstance(params, Mapping) else {}


def names_set(params: Mapping[str, Any]) -> Iterator[str]:
    """Yield the parameters that a config sets, those of nested estimators too, as `get_params` names them."""
    for name, value in params.items():
        yield name
        yield from (f"{name}__{inner}" for inner in names_within(value))
        yield from _names_of_members(name.rpartition("__")[0], value)


def _names_of_members(head: str, value: Any) -> Iterator[str]:
    """Yield what the estimators in a list set; they are named as if they were parameters of the composition itself."""
    for member in value if isinstance(value, list) else ():
        if isinstance(member, list) and len(member) > 1 and isinstance(member[0], str):
            prefix = f"{head}__{member[0]}" if head else member[0]
            yield from (f"{prefix}__{inner}" for inner in names_within(member[1]))


def names_within(value: Any) -> Iterator[str]:
    """Yield the parameters that a nested estimator or pipeline sets, by the names that they have in it."""
    for step, each in steps_of(value).items():
        yield from (f"{step}__{inner}" for inner in names_within(each))
    yield from names_set(params_of(value))


def dotted_paths(value: Any) -> Iterator[str]:
    """Yield every text within a value that may name a class or a function, at any depth."""
    if is_dotted(value):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from dotted_paths(item)


_DTYPES: Mapping[ColumnType, list[str]] = {
    ColumnType.NUMBER: ["number", "bool"],
    ColumnType.TEXT: ["object", "string"],
    ColumnType.CATEGORY: ["category"],
    ColumnType.DATE: ["datetime", "datetimetz"],
}


def selected_dtypes(value: Mapping[str, Any]) -> list[str]:
    """Return the dtypes of the columns that ``{dtype: number}``, or a list in it, selects, as pandas' `select_dtypes` calls them.

    Raises:
        ValueError: It is written in another way.
    """
    types = value.get("dtype")
    types = types if isinstance(types, list) else [types]
    if set(value) != {"dtype"} or not types or not set(map(str, types)) <= {*ColumnType}:
        allowed = ", ".join(ColumnType)
        raise ValueError(f"columns are a name, a list of names, or {{dtype: …}} with one of {allowed}, or a list of them")
    return [dtype for each in types for dtype in _DTYPES[ColumnType(each)]]
