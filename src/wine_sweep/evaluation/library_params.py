"""Parameters that boosting libraries know and `get_params` does not list.

LightGBM and XGBoost take them as ``**kwargs``, by names and aliases of their own; CatBoost lists only what was set.
"""

from __future__ import annotations

import copy
import functools
import inspect
import warnings
from collections.abc import Callable, Mapping
from typing import Any

_CATBOOST_PRINTS = frozenset({"verbose", "verbose_eval", "logging_level", "silent"})
"""CatBoost takes one of them at a time."""

FEATURE_LISTS = frozenset({"cat_features", "embedding_features", "text_features"})
"""CatBoost's columns that are no numbers."""

SEEDS = frozenset({"random_state", "random_seed", "seed"})
"""The names of a seed in these libraries."""


_THREADS = {
    "catboost": ("thread_count",),
    "lightgbm": ("n_jobs", "num_threads", "num_thread", "nthread", "nthreads"),
}
"""The names of the number of threads, first the one to set."""

_ITERATIONS = ("iterations", "n_estimators", "num_boost_round", "num_trees")
"""CatBoost takes one of them at a time."""

_STOPPING = frozenset(
    {"early_stopping", "early_stopping_round", "early_stopping_rounds", "n_iter_no_change", "od_pval", "od_type", "od_wait"}
)
"""Parameters that do nothing, or fail, without rows to validate on."""


def library_of(model: Any) -> str | None:
    """Return the boosting library whose class an estimator is, or derives from; None for any other."""
    packages = (base.__module__.partition(".")[0] for base in type(model).__mro__)
    return next((name for name in packages if name in _KNOWS), None)


def takes(model: Any, name: str) -> bool:
    """Return whether the library of an estimator knows a parameter that `get_params` need not list.

    Args:
        model: The unfitted estimator, its nested estimators set.
        name: The parameter, as `set_params` takes it: ``max_bin``, ``lgbm__max_bin``.
    """
    owner, _, last = name.rpartition("__")
    found = model.get_params(deep=True).get(owner) if owner else model
    library = library_of(found)
    return library is not None and _KNOWS[library](found, last)


def library_names(model: Any) -> frozenset[str]:
    """List the further parameters that the library itself lists; empty for XGBoost, which has no such list."""
    library = library_of(model)
    if library == "lightgbm":
        return _lightgbm_names()
    return _catboost_names() if library == "catboost" else frozenset()


def refusal_of_stopping(model: Any, name: str, value: Any) -> str | None:
    """Describe why an estimator cannot stop early, or None where it can or is not asked to.

    Args:
        model: The unfitted estimator that has the parameter.
        name: The parameter's own name: ``early_stopping_rounds``.
        value: Its value.
    """
    if name not in _STOPPING or not value or library_of(model) is None or model.get_params().get("eval_fraction"):
        return None
    rounds = value if isinstance(value, int) and value > 1 else 50
    return (
        f"{type(model).__name__} stops early by rows to validate on, and a sweep hands over none unless told to; "
        f"leave it out, and write `early_stopping: {{rounds: {rounds}}}` beside `params`, as `model.early_stopping`"
    )


def iteration_names(model: Any) -> list[str]:
    """List the parameters that say how many iterations a boosted estimator makes, of those that it has or that are set."""
    library, present = library_of(model), model.get_params()
    if library is None:
        return ["max_iter"]
    if library == "catboost":
        return [name for name in _ITERATIONS if name in present] or ["iterations"]
    aliases = _lightgbm_aliases("num_iterations") if library == "lightgbm" else frozenset()
    return ["n_estimators", *sorted(aliases.intersection(present) - {"n_estimators"})]


def own_defaults(found: type, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments with which CatBoost writes no files and prints no line an iteration, unless `params` says so.

    XGBoost takes categories as such, where it keeps for later rows which they were: since 3.1.
    """
    libraries = {base.__module__.partition(".")[0] for base in found.__mro__}
    if "xgboost" in libraries and "enable_categorical" not in params and _xgboost_keeps_categories():
        return {"enable_categorical": True}
    if "catboost" not in libraries:
        return {}
    own: dict[str, Any] = {"allow_writing_files": False}
    if not _CATBOOST_PRINTS.intersection(params):
        own["verbose"] = False
    own = {name: value for name, value in own.items() if name not in params}
    return own if "iterations" in inspect.signature(found).parameters else {"params": own}


def open_seeds(model: Any) -> list[str]:
    """List the ``random_state`` of CatBoost estimators within an estimator that have no seed, which `get_params` leaves out."""
    return [
        f"{prefix}random_state"
        for prefix, owner in owners(model)
        if library_of(owner) == "catboost" and not SEEDS.intersection(owner.get_params())
    ]


def open_threads(model: Any) -> dict[str, int]:
    """Return one thread for each estimator whose number is open, and whose library would take all cores in every worker.

    XGBoost goes by OpenMP's own number, which is 1 in a worker; LightGBM and CatBoost count the cores instead.
    """
    found = {}
    for prefix, owner in owners(model):
        named = _THREADS.get(library_of(owner) or "", ())
        params = owner.get_params(deep=False) if named else {}
        if named and all(params.get(name) is None for name in named):
            found[f"{prefix}{named[0]}"] = 1
    return found


def owners(model: Any) -> list[tuple[str, Any]]:
    """List an estimator and those nested in it, each after the prefix of its parameters."""
    nested = model.get_params(deep=True).items()
    return [
        ("", model),
        *((f"{name}__", value) for name, value in nested if hasattr(value, "get_params") and not isinstance(value, type)),
    ]


def is_compared(model: Any, name: str) -> bool:
    """Return whether a list would keep scikit-learn from copying an estimator: CatBoost copies it, and tuples are as good."""
    return library_of(model) == "catboost" and name in FEATURE_LISTS


def copy_unfitted(model: Any) -> Any:
    """Copy an unfitted estimator; scikit-learn's `clone` refuses CatBoost, which copies the lists that it is given."""
    from sklearn.base import clone

    return copy.deepcopy(model) if any(library_of(owner) == "catboost" for _, owner in owners(model)) else clone(model)


@functools.cache
def _lightgbm_names() -> frozenset[str]:
    from lightgbm.basic import _ConfigAliases

    return frozenset(alias for names in _ConfigAliases._get_all_param_aliases().values() for alias in names)


def _lightgbm_aliases(name: str) -> frozenset[str]:
    from lightgbm.basic import _ConfigAliases

    return frozenset(_ConfigAliases.get(name))


@functools.cache
def _catboost_names() -> frozenset[str]:
    import catboost

    found = (catboost.CatBoostClassifier, catboost.CatBoostRegressor, catboost.CatBoostRanker)
    return frozenset(name for each in found for name in inspect.signature(each).parameters)


def _xgboost_keeps_categories() -> bool:
    import xgboost

    return tuple(int(part) for part in xgboost.__version__.split(".")[:2]) >= (3, 1)


@functools.cache
def _xgboost_uses(name: str, booster: str) -> bool:
    """Return whether XGBoost uses a parameter, by its own warning from a fit of four rows."""
    import numpy as np
    import xgboost

    rows = xgboost.DMatrix(np.arange(4.0).reshape(4, 1), label=np.array([0.0, 1.0, 0.0, 1.0]), nthread=1)
    asked = {"booster": booster, "validate_parameters": True, "verbosity": 1, "nthread": 1, name: 1}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            xgboost.train(asked, rows, num_boost_round=1)
        except xgboost.core.XGBoostError:
            return True  # it refuses the value 1, so it knows the name
    return not any(f'"{name}"' in str(each.message) and "not used" in str(each.message) for each in caught)


_KNOWS: Mapping[str, Callable[[Any, str], bool]] = {
    "catboost": lambda _, name: name in _catboost_names(),
    "lightgbm": lambda _, name: name in _lightgbm_names(),
    "xgboost": lambda model, name: _xgboost_uses(name, model.get_params().get("booster") or "gbtree"),
}
"""Whether a library knows a parameter of an estimator of its own."""
