"""The structures that a sweep of estimators may give a model, and a fit of each on a few rows, before anything is tried."""

from __future__ import annotations

import itertools
import random
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from wine_sweep.config import FAMILY, Choices, SearchConfig
from wine_sweep.data.splits import TrainingData
from wine_sweep.errors import ConfigPath, Problem
from wine_sweep.evaluation.estimator_params import ModelFactory, first_value
from wine_sweep.evaluation.estimators import EstimatorError, fit, part_of
from wine_sweep.execution.base import describe_error
from wine_sweep.search.space import Dimension, Space, same
from wine_sweep.trial import Params, Task

FEW_ROWS = 50
FEW_ITERATIONS = 10
"""A model that stops early makes so many: how many it may make is no measure of what it needs."""

MOST_STRUCTURES = 32
"""Of more, only so many are fitted that each estimator, step and function among the searched values is in one of them."""

_OF_A_CLASS = 3
_DRAWS = 200
_POINTS = 5
"""Of a structure, so many trials' parameters are tried until a model of it can be fitted."""

_MADE_OF = ("estimator", "pipeline", "function", "columns")


@dataclass(frozen=True)
class Structure:
    """What a model is made of, apart from numbers and options.

    Args:
        points: The parameters of trials with it, the first trial's first: some that do not go together are no mistake.
        path: The config key that decides for it.
    """

    points: tuple[Params, ...]
    path: ConfigPath


@dataclass(frozen=True)
class FewRowsModel:
    """A model of a structure that was fitted on a few rows.

    Args:
        structure: What it is made of.
        model: The model.
        features: The rows, of shape (rows, features).
        predictions: What it predicts for them, of shape (rows,).
    """

    structure: Structure
    model: Any
    features: pd.DataFrame
    predictions: np.ndarray


def find_structures(search: SearchConfig, space: Space) -> list[Structure]:
    """List the structures that a sweep may try, with parameters of trials that have each: of the first, as far as it is known."""
    found = list(itertools.islice(_choices(space), MOST_STRUCTURES + 1))
    if len(found) > MOST_STRUCTURES:
        most = max(len(_values(each)) for each in space.dimensions if _is_structural(each))
        found = [point for index in range(most) for point in _choices(space, index)]
    points = ((given, tuple(_points(search, space, given))) for given in found)
    return [Structure(those, _path_of(space, given)) for given, those in points if those]


def _values(dimension: Dimension) -> Sequence[Any]:
    return dimension.spec.choices if isinstance(dimension.spec, Choices) else ()


def _is_structural(dimension: Dimension) -> bool:
    """Return whether a dimension chooses between families, estimators, steps or functions."""
    return dimension.path == ("models",) or any(map(_makes_something, _values(dimension)))


def _makes_something(value: Any) -> bool:
    if isinstance(value, dict):
        return any(key in value for key in _MADE_OF) or any(map(_makes_something, value.values()))
    return isinstance(value, list) and any(map(_makes_something, value))


def _choices(space: Space, index: int | None = None) -> Iterator[Params]:
    """Yield the choices of each structure: all there are, or one with the value of that index in each dimension, or near it."""

    def extend(chosen: Params, dimensions: Sequence[Dimension]) -> Iterator[Params]:
        if not dimensions:
            yield chosen
            return
        first, *others = dimensions
        values = _values(first) if all(same_of(chosen, name, allowed) for name, allowed in first.when.items()) else ()
        if index is not None and values:
            values = [values[index % len(values)]]
        for value in values or [None]:
            yield from extend({**chosen, first.name: value} if values else chosen, others)

    def same_of(chosen: Params, name: str, allowed: Sequence[Any]) -> bool:
        return name not in chosen or any(same(chosen[name], value) for value in allowed)

    return extend({}, [each for each in space.dimensions if _is_structural(each)])


def _points(search: SearchConfig, space: Space, given: Params) -> Iterator[Params]:
    """Yield parameters of trials of a structure; none where no draw keeps the constraints."""
    rng = random.Random(search.seed)  # noqa: S311  # draws of parameters
    draws = (space.draw(rng, given) for _ in range(_DRAWS))
    tried = itertools.chain(
        map(space.point, search.initial), [_first(space, given)] if search.method.is_exhaustive else [], draws
    )
    kept = (point for point in tried if _has(point, space, given) and space.keeps_constraints(point))
    yield from itertools.islice(kept, _POINTS)


def _first(space: Space, given: Params) -> Params:
    point: dict[str, Any] = {}
    for each in space.dimensions:
        if each.is_active(point):
            point[each.name] = given[each.name] if each.name in given else first_value(each.spec)
    return point


def _has(point: Params, space: Space, given: Params) -> bool:
    """Return whether a point makes the choices of a structure, as far as they apply to it."""
    structural = {each.name for each in space.active(point) if _is_structural(each)}
    return all(name in given and same(point[name], given[name]) for name in structural)


def _path_of(space: Space, given: Params) -> ConfigPath:
    """Find the key that decides: the choice of a structure that is not the first of its parameter, or the model."""
    family = given.get(FAMILY) if any(each.path == ("models",) for each in space.dimensions) else None
    for each in space.dimensions:
        if _is_structural(each) and each.path != ("models",) and each.family in (None, family) and each.name in given:
            index = next((i for i, value in enumerate(_values(each)) if same(value, given[each.name])), 0)
            if index:
                return (*each.path, "choices", index)
    return ("model",) if family is None else ("models", family)


def fit_samples(
    structures: Iterable[Structure], material: TrainingData, factory: ModelFactory
) -> Iterator[FewRowsModel | Problem]:
    """Fit a model of each structure on a few rows; where that fails, on the training rows of a fold.

    Yields:
        The model, or what is wrong with the first trial's parameters, where with others too none can be fitted on a fold.
    """
    rows = material.split.train[material.folds[0].fit]
    few = _few(material, rows)
    for structure in structures:
        attempts = (
            _fitted_or_not(structure, partial(factory.make, point, iterations=FEW_ITERATIONS), material, few, rows)
            for point in structure.points
        )
        first = next(attempts)
        yield (
            first
            if isinstance(first, FewRowsModel)
            else next((each for each in attempts if isinstance(each, FewRowsModel)), first)
        )


def _fitted_or_not(
    structure: Structure, make: Callable[[], Any], material: TrainingData, few: np.ndarray, rows: np.ndarray
) -> FewRowsModel | Problem:
    try:
        try:
            return _fitted(structure, make(), material, few)
        except EstimatorError:
            raise
        except Exception:  # noqa: BLE001  # few rows may be too few for it
            return _fitted(structure, make(), material, rows)
    except EstimatorError as error:
        return error.problem
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001  # an estimator may raise anything
        return Problem(f"cannot be fitted on the {len(rows):,} rows of a fold: {describe_error(error)}", structure.path)


def _fitted(structure: Structure, model: Any, material: TrainingData, rows: np.ndarray) -> FewRowsModel:
    dataset = material.dataset
    features = dataset.features.iloc[rows].reset_index(drop=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a trial records what its estimator warns of
        fit(model, features.copy(), dataset.target.to_numpy()[rows], part_of(dataset.weights, rows))
        shown = features.head(FEW_ROWS)
        return FewRowsModel(structure, model, shown, np.asarray(model.predict(shown.copy())))


def _few(material: TrainingData, rows: np.ndarray) -> np.ndarray:
    """Choose some rows from all over the table, and some of each class."""
    few: np.ndarray = rows[np.linspace(0, len(rows) - 1, min(FEW_ROWS, len(rows))).astype(int)]
    if material.dataset.task is Task.REGRESSION:
        return few
    classes = pd.Series(material.dataset.target.to_numpy()[rows])
    of_each = rows[(classes.groupby(classes).cumcount() < _OF_A_CLASS).to_numpy()]
    both: np.ndarray = np.union1d(few, of_each)
    return both
