"""Stop boosting early by rows that are set aside: hand them to the library, and read how many iterations it found."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from wine_sweep.data.splits import set_aside
from wine_sweep.evaluation.library_params import iteration_names, library_of

_HISTOGRAM = "histogram boosting"
_OWN_PARTS = frozenset({"early_stopping", "eval_fraction", "n_iter_no_change", "validation_fraction"})
"""Parameters by which an estimator sets rows aside itself, or that are set here."""


@dataclass(frozen=True)
class FitRows:
    """Rows to fit on, or to stop by.

    Args:
        features: Of shape (rows, features).
        target: Of shape (rows,).
        weights: How much each row counts, of shape (rows,); None when all count the same.
    """

    features: Any
    target: np.ndarray
    weights: np.ndarray | None = None


@dataclass(frozen=True)
class RowsAside:
    """How rows are set aside to stop by: whole groups, of each class its share, or the last in time.

    Args:
        target: The training rows' truth, of shape (rows,).
        groups: Their groups, of shape (rows,).
        times: The number of each row's time, ascending, of shape (rows,); None where rows are in no order of time.
        stratified: Whether the target is a class, of which each is to have its share.
    """

    target: np.ndarray
    groups: np.ndarray
    times: np.ndarray | None
    stratified: bool

    def divide(self, rows: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Divide row numbers into those to fit on and those to stop by.

        Args:
            rows: The training rows' numbers that a model is to be fitted on, ascending.
            share: Which part is to be set aside, above 0 and below 1.
            seed: Decides which, but for rows in time.

        Raises:
            ValueError: They cannot be divided so.
        """
        if self.times is not None:
            kept = _before_the_last(self.times[rows], share)
            return rows[kept], rows[~kept]
        fitted, aside = set_aside(self.target[rows], self.groups[rows], share, seed, stratified=self.stratified)
        return rows[fitted], rows[aside]


def _before_the_last(times: np.ndarray, share: float) -> np.ndarray:
    begins = np.flatnonzero(np.diff(times)) + 1
    if not len(begins):
        raise ValueError(f"{len(times)} rows of one time cannot be cut")
    wanted = len(times) - max(1, round(len(times) * share))
    kept: np.ndarray = np.arange(len(times)) < begins[np.abs(begins - wanted).argmin()]
    return kept


def refusal_to_stop(model: Any) -> str | None:
    """Describe why an unfitted model cannot stop early by rows that are handed to it, or None where it can."""
    learner = _learner(model)
    kind = _kind(learner)
    if kind is None:
        return (
            f"{type(learner).__name__} cannot stop early by rows that are set aside; the boosting of xgboost, lightgbm and "
            "catboost and scikit-learn's HistGradientBoosting can, alone or as the last step of a pipeline"
        )
    if kind == _HISTOGRAM and "X_val" not in inspect.signature(learner.fit).parameters:
        return f"{type(learner).__name__} takes rows to stop by from scikit-learn 1.7 on"
    own = sorted(name for name in _OWN_PARTS & set(learner.get_params()) if kind != _HISTOGRAM and learner.get_params()[name])
    return f"{type(learner).__name__} sets rows aside itself by {own[0]}; leave one of the two out" if own else None


def refusal_beside(name: str) -> str | None:
    """Describe why a parameter cannot be set where `early_stopping` is; None where it can."""
    last = name.rpartition("__")[2]
    return f"{last} is set by `early_stopping`; leave it out" if last in _OWN_PARTS else None


def set_iterations(model: Any, iterations: int) -> Any:
    """Set how many iterations an unfitted model has, without stopping early, and give it back."""
    learner = _learner(model)
    more = {"early_stopping": False} if _kind(learner) == _HISTOGRAM else {}
    learner.set_params(**dict.fromkeys(iteration_names(learner), iterations), **more)
    return model


def fit_until_best(model: Any, fitted: FitRows, aside: FitRows, rounds: int) -> int:
    """Fit a model in place, and stop once so many iterations have not made it better on the rows set aside.

    A pipeline's earlier steps are fitted on the rows to fit on alone, and prepare those set aside.

    Args:
        model: Unfitted, as `ModelFactory.make` makes it.
        fitted: The rows to fit on.
        aside: The rows to stop by.
        rounds: How many iterations without improvement end it.

    Returns:
        How many iterations the model predicts with.

    Raises:
        Exception: Whatever the library raises.
    """
    from sklearn.ensemble import VotingClassifier
    from sklearn.frozen import FrozenEstimator
    from sklearn.pipeline import Pipeline

    if isinstance(model, Pipeline):
        before = model[:-1]
        if before.steps:
            fitted, aside = _prepared(before, fitted, aside)
            model.steps[:-1] = before.steps
        return fit_until_best(model[-1], fitted, aside, rounds)
    if isinstance(model, VotingClassifier):
        (name, learner), labels = model.estimators[0], np.unique(fitted.target)
        found = fit_until_best(learner, _numbered(fitted, labels), _numbered(aside, labels), rounds)
        model.set_params(**{name: FrozenEstimator(learner)}).fit(fitted.features, fitted.target)
        return found
    kind = _kind(model)
    if kind is None:
        raise TypeError(refusal_to_stop(model))
    return _FITS[kind](model, fitted, aside, rounds)


def _numbered(rows: FitRows, labels: np.ndarray) -> FitRows:
    return FitRows(rows.features, np.searchsorted(labels, rows.target), rows.weights)


def _prepared(before: Any, fitted: FitRows, aside: FitRows) -> tuple[FitRows, FitRows]:
    features = before.fit_transform(fitted.features, fitted.target)
    return (
        FitRows(features, fitted.target, fitted.weights),
        FitRows(before.transform(aside.features), aside.target, aside.weights),
    )


def _learner(model: Any) -> Any:
    """Return what is boosted: the last step of pipelines."""
    from sklearn.pipeline import Pipeline

    while isinstance(model, Pipeline) and model.steps:
        model = model.steps[-1][1]
    return model


def _kind(learner: Any) -> str | None:
    is_histogram = any(base.__name__ == "BaseHistGradientBoosting" for base in type(learner).__mro__)
    return _HISTOGRAM if is_histogram else library_of(learner)


def _fit_xgboost(model: Any, fitted: FitRows, aside: FitRows, rounds: int) -> int:
    model.set_params(early_stopping_rounds=rounds)
    weights = None if aside.weights is None else [aside.weights]
    model.fit(
        fitted.features,
        fitted.target,
        sample_weight=fitted.weights,
        eval_set=[(aside.features, aside.target)],
        sample_weight_eval_set=weights,
        verbose=False,
    )
    return int(model.best_iteration) + 1


def _fit_lightgbm(model: Any, fitted: FitRows, aside: FitRows, rounds: int) -> int:
    import lightgbm

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*eval_set")  # 4.7 has `eval_y` in its place, which takes no text
        model.fit(
            fitted.features,
            fitted.target,
            sample_weight=fitted.weights,
            eval_set=[(aside.features, aside.target)],
            eval_sample_weight=None if aside.weights is None else [aside.weights],
            callbacks=[lightgbm.early_stopping(rounds, verbose=False)],
        )
    return int(model.best_iteration_ or model.n_estimators_)


def _fit_catboost(model: Any, fitted: FitRows, aside: FitRows, rounds: int) -> int:
    import catboost

    told = {name: model.get_param(name) for name in ("cat_features", "text_features", "embedding_features")}
    held = catboost.Pool(aside.features, aside.target, weight=aside.weights, **told)
    model.fit(
        fitted.features,
        fitted.target,
        sample_weight=fitted.weights,
        eval_set=held,
        early_stopping_rounds=rounds,
        use_best_model=True,
    )
    return int(model.tree_count_)


_AUTOMATIC = ("learning_rate", "leaf_estimation_iterations")
"""What CatBoost chooses by the number of iterations that it may make."""


def as_chosen(model: Any, most: Any, rows: FitRows) -> Any:
    """Return a model of fewer iterations with what its library would choose for those that it may make; see `set_iterations`.

    Args:
        model: Unfitted, with its iterations set.
        most: The same model, with those that it may make; it is fitted.
        rows: The rows that the first is to be fitted on.
    """
    learner = _learner(model)
    if _kind(learner) != "catboost":
        return model
    features = rows.features
    for _, step in most.steps[:-1] if hasattr(most, "steps") else ():
        features = step.fit_transform(features, rows.target)
    found = _learner(most).fit(
        features,
        rows.target,
        sample_weight=rows.weights,
        eval_set=(features, rows.target),
        use_best_model=True,
        callbacks=[_AfterOne()],
    )
    chosen = found.get_all_params()
    given = learner.get_params()
    set_already = {*given, "learning_rate"} if "eta" in given else {*given}
    learner.set_params(**{name: chosen[name] for name in _AUTOMATIC if name in chosen and name not in set_already})
    return model


class _AfterOne:
    """Ends CatBoost's training after the first iteration."""

    def after_iteration(self, _info: Any) -> bool:
        return False


def _fit_histogram(model: Any, fitted: FitRows, aside: FitRows, rounds: int) -> int:
    """Fit scikit-learn's boosting, which keeps the iterations after the best one too: all of them are counted."""
    model.set_params(early_stopping=True, n_iter_no_change=rounds)
    model.fit(
        fitted.features,
        fitted.target,
        sample_weight=fitted.weights,
        X_val=aside.features,
        y_val=aside.target,
        sample_weight_val=aside.weights,
    )
    return int(model.n_iter_)


_FITS: Mapping[str, Callable[[Any, FitRows, FitRows, int], int]] = {
    "catboost": _fit_catboost,
    "lightgbm": _fit_lightgbm,
    "xgboost": _fit_xgboost,
    _HISTOGRAM: _fit_histogram,
}


def rows_at(features: pd.DataFrame, target: np.ndarray, weights: np.ndarray | None, rows: np.ndarray) -> FitRows:
    """Return some rows of a table, as a copy: an estimator may work in place."""
    return FitRows(features.iloc[rows], target[rows], None if weights is None else weights[rows])
