"""Find functions of numpy, scipy and scikit-learn by dotted name, for parameters that take a function.

A module's name says little about what its functions do: ``numpy`` has arithmetic beside `load`, `savetxt` and `vectorize`. So
those that a config may name are listed by where they are defined: ufuncs, reductions, distances, kernels, scores. Each computes
numbers of arrays, and neither reads nor writes a file nor calls what it is given. Saved models may hold the same ones, see
`tracking.skops_policy`. Functions of any other package have to be trusted by the person at the keyboard.
"""

from __future__ import annotations

import functools
import importlib
import re
from collections.abc import Callable, Iterable
from typing import Any

from wine_sweep.errors import Code
from wine_sweep.importing import start_scripts_as_usual
from wine_sweep.messages import did_you_mean, shell_word

PACKAGES = ("numpy", "scipy", "sklearn")
"""Packages whose functions need no trust."""

PARAMETERS = frozenset(
    {
        "affinity",
        "fun",
        "func",
        "inverse_func",
        "kernel",
        "metric",
        "oob_score",
        "pooling_func",
        "score_func",
        "strategy",
        "weights",
    }
)
"""Parameters that take a function of these packages, and whose functions a saved model may hold."""

_SHORT = {"np": "numpy", "sp": "scipy"}
"""How scripts call packages."""


def _names(module: str, names: str) -> frozenset[str]:
    return frozenset(f"{module}.{name}" for name in names.split())


FUNCTIONS: frozenset[str] = frozenset().union(
    _names(
        "numpy",
        "amax amin argmax argmin around clip cumprod cumsum max mean median min nan_to_num nanmax nanmean nanmedian nanmin nanstd"
        " nansum nanvar prod ptp ravel round squeeze std sum var",
    ),
    _names("scipy._lib.array_api_compat.numpy._aliases", "asarray"),
    _names(
        "scipy.spatial.distance",
        "braycurtis canberra chebyshev cityblock correlation cosine dice euclidean hamming jaccard jensenshannon minkowski"
        " rogerstanimoto russellrao sokalsneath sqeuclidean yule",
    ),
    _names("sklearn.cluster._kmeans", "_kmeans_single_elkan _kmeans_single_lloyd"),
    _names("sklearn.feature_selection._mutual_info", "mutual_info_classif mutual_info_regression"),
    _names("sklearn.feature_selection._univariate_selection", "chi2 f_classif f_oneway f_regression r_regression"),
    _names(
        "sklearn.metrics.pairwise",
        "additive_chi2_kernel chi2_kernel cosine_distances cosine_similarity euclidean_distances haversine_distances"
        " laplacian_kernel linear_kernel manhattan_distances nan_euclidean_distances polynomial_kernel rbf_kernel sigmoid_kernel",
    ),
    _names("sklearn.preprocessing._data", "binarize maxabs_scale minmax_scale normalize robust_scale scale"),
)
"""Where they are defined, which is also how skops writes them."""

SCORES = re.compile(
    r"sklearn\.metrics\.(_classification|_ranking|_regression|cluster\._supervised)"
    r"\.[a-z0-9_]+_(score|error|loss|deviance|coef|coefficient)"
)


class FunctionError(ValueError):
    """A dotted name leads to no function that a config may name.

    Args:
        message: Why, for the reader of the config.
        code: What kind of mistake it is.
    """

    def __init__(self, message: str, code: Code = "invalid") -> None:
        super().__init__(message)
        self.code = code


def find_function(dotted: str, trusted: Iterable[str]) -> Callable[..., Any]:
    """Return the function behind a dotted name.

    Args:
        dotted: Such as ``numpy.log1p`` or ``sklearn.feature_selection.f_classif``.
        trusted: Top-level packages any of whose functions may be taken, beside the listed ones of `PACKAGES`.

    Raises:
        FunctionError: The package is not trusted or not installed, it has no such function, or the function is not one that
            only computes.
    """
    package, (module_name, _, name) = dotted.partition(".")[0], dotted.rpartition(".")
    if package in trusted:
        found = _imported(module_name, name)
        if not callable(found):
            raise FunctionError(f"{dotted} is not a function")
        return found  # type: ignore[no-any-return]  # whatever it is, it can be called
    if package not in PACKAGES:
        meant = f"; did you mean '{_SHORT[package]}'?" if package in _SHORT else ""
        trust = meant or f"; run with --trust {shell_word(package)} if you trust its code"
        raise FunctionError(f"functions are taken from {', '.join(PACKAGES)}, and '{package}' is not trusted{trust}", "untrusted")
    found = _listed().get(dotted)
    if found is None:
        near = did_you_mean(dotted, _listed())
        raise FunctionError(f"{dotted} is none of the functions that a config may name: those that only compute numbers{near}")
    return found


def full_name(short: str) -> str | None:
    """Return the dotted name of a listed function that is called by its last part, such as ``f_classif``; None where none is."""
    return next((dotted for dotted in _listed() if dotted.endswith(f".{short}")), None)


def _imported(module_name: str, name: str) -> Any:
    start_scripts_as_usual()
    try:
        return getattr(importlib.import_module(module_name), name)
    except KeyboardInterrupt:
        raise
    except AttributeError as error:
        raise FunctionError(f"there is no '{name}' in {module_name}", "unknown-estimator") from error
    except BaseException as error:  # a module may call sys.exit, or raise what is no Exception
        raise FunctionError(f"the module '{module_name}' cannot be imported: {type(error).__name__}: {error}") from error


_MODULES = (
    "numpy",
    "scipy.spatial.distance",
    "scipy.special",
    "sklearn.feature_selection",
    "sklearn.metrics",
    "sklearn.metrics.pairwise",
    "sklearn.preprocessing",
)
"""Where people import them from; no other module is imported because of what a config says."""


@functools.cache
def _listed() -> dict[str, Callable[..., Any]]:
    """Return the functions by the names under which they are imported; aliases of each other have each its own."""
    import numpy as np

    found = {}
    for module_name in _MODULES:
        for name, value in vars(importlib.import_module(module_name)).items():
            if name.startswith("_") or not callable(value) or isinstance(value, type):
                continue
            defined = f"{getattr(value, '__module__', None)}.{getattr(value, '__qualname__', None)}"
            if isinstance(value, np.ufunc) or defined in FUNCTIONS or SCORES.fullmatch(defined):
                found[f"{module_name}.{name}"] = value
    return found
