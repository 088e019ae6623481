"""Which objects a skops file may hold for anybody to load it: those that are data alone, however they are put together.

A skops file is a tree of nodes. Each names a type or a function, and a loader that says what is done with it: `ObjectNode`
makes an instance without `__init__` and sets its state, `ConstructorFromReduceNode` calls the type with arguments of the
file's choice, `FunctionNode` gives a function to whatever object holds it, which may call it on predicting. A package as a
whole is therefore never harmless: ``scipy.stats`` has distributions that run text of their state by `exec`, ``numpy`` and
``pandas`` have functions that read and write files, and each module also has what it imports from others. So there is a list
for each loader, of names known to be nothing but data or arithmetic, and what is on none of them is refused.

What skops trusts by itself counts as well where it is on a list here, and nowhere else. This module loads and imports
nothing that a file names.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import numpy as np

_SCHEMA = "schema.json"
_OLDEST_PROTOCOL = 1
"""Files of protocol 0 name functions elsewhere than all later ones."""

_LONGEST = 200
"""How much of a name is shown."""

_SCIPY_UFUNCS = ("scipy.special", "scipy.special._ufuncs", "scipy.special._special_ufuncs")
_CONTAINERS = frozenset({"builtins.list", "builtins.tuple", "builtins.set"})
_SCALARS = frozenset({"builtins.int", "builtins.float", "builtins.str", "builtins.bool", "builtins.complex", "builtins.bytes"})
_DTYPES = frozenset(f"numpy.{each.__name__}" for each in np.sctypeDict.values())
_CONSTRUCTED = frozenset(
    {"builtins.frozenset", "builtins.complex", "builtins.range"}
    | {f"datetime.{name}" for name in ("date", "datetime", "time", "timedelta", "timezone")}
)


def _names(module: str, names: str) -> frozenset[str]:
    return frozenset(f"{module}.{name}" for name in names.split())


_OBJECTS: frozenset[str] = frozenset().union(
    _names("scipy.interpolate._bsplines", "BSpline"),
    _names("sklearn._loss.link", "HalfLogitLink IdentityLink Interval LogLink LogitLink MultinomialLogit"),
    _names(
        "sklearn._loss.loss",
        "AbsoluteError ExponentialLoss HalfBinomialLoss HalfGammaLoss HalfMultinomialLoss HalfPoissonLoss HalfSquaredError"
        " HalfTweedieLoss HalfTweedieLossIdentity HuberLoss PinballLoss",
    ),
    _names("sklearn.calibration", "_CalibratedClassifier _SigmoidCalibration _TemperatureScaling"),
    _names("sklearn.cluster._bisect_k_means", "_BisectingTree"),
    _names("sklearn.ensemble._hist_gradient_boosting.binning", "_BinMapper"),
    _names("sklearn.ensemble._hist_gradient_boosting.predictor", "TreePredictor"),
    _names("sklearn.gaussian_process._gpc", "_BinaryGaussianProcessClassifierLaplace"),
    _names(
        "sklearn.gaussian_process.kernels",
        "CompoundKernel ConstantKernel DotProduct ExpSineSquared Exponentiation Hyperparameter Matern PairwiseKernel Product"
        " RBF RationalQuadratic Sum WhiteKernel",
    ),
    _names("sklearn.metrics._scorer", "_CurveScorer _MultimetricScorer _PassthroughScorer _Scorer"),
    _names("sklearn.model_selection._search", "ParameterGrid"),
    _names("sklearn.model_selection._search_successive_halving", "HalvingGridSearchCV HalvingRandomSearchCV"),
    _names(
        "sklearn.model_selection._split",
        "GroupKFold GroupShuffleSplit KFold LeaveOneGroupOut LeaveOneOut LeavePGroupsOut LeavePOut PredefinedSplit RepeatedKFold"
        " RepeatedStratifiedKFold ShuffleSplit StratifiedGroupKFold StratifiedKFold StratifiedShuffleSplit TimeSeriesSplit",
    ),
    _names("sklearn.multiclass", "_ConstantPredictor"),
    _names("sklearn.neighbors._ball_tree", "BallTree BallTree32 BallTree64"),
    _names("sklearn.neighbors._kd_tree", "KDTree KDTree32 KDTree64"),
    _names("sklearn.neural_network._stochastic_optimizers", "AdamOptimizer SGDOptimizer"),
    _names("sklearn.utils._metadata_requests", "MetadataRequest MethodMetadataRequest MethodMapping MetadataRouter"),
    _names("xgboost.sklearn", "XGBModel XGBClassifier XGBRanker XGBRegressor XGBRFClassifier XGBRFRegressor"),
    _names("xgboost.core", "Booster"),
    _names("lightgbm.sklearn", "LGBMModel LGBMClassifier LGBMRanker LGBMRegressor"),
    _names("lightgbm.basic", "Booster"),
    _names("catboost.core", "CatBoost CatBoostClassifier CatBoostRanker CatBoostRegressor"),
)
"""Beside scikit-learn's estimators."""

_DISTANCES = re.compile(r"sklearn\.metrics\._dist_metrics\.[A-Z]\w*Distance(32|64)?")
_LOSSES = re.compile(
    r"sklearn\._loss\._loss\.Cy[A-Z]\w*"
    r"|sklearn\.linear_model\._sgd_fast\.(EpsilonInsensitive|Hinge|Huber|Log|ModifiedHuber|Squared\w+)"
)
_SPARSE = re.compile(r"scipy\.sparse\._[a-z]+\.[a-z]+_(array|matrix)")

_FUNCTIONS: frozenset[str] = frozenset().union(
    _names(
        "numpy",
        "amax amin argmax argmin around clip cumprod cumsum max mean median min nan_to_num nanmax nanmean nanmedian nanmin nanstd"
        " nansum nanvar prod ptp ravel round squeeze std sum var",
    ),
    _names("scipy._lib.array_api_compat.numpy._aliases", "asarray"),
    _names("sklearn.cluster._kmeans", "_kmeans_single_elkan _kmeans_single_lloyd"),
    _names("sklearn.feature_selection._mutual_info", "mutual_info_classif mutual_info_regression"),
    _names("sklearn.feature_selection._univariate_selection", "chi2 f_classif f_oneway f_regression r_regression"),
    _names(
        "sklearn.metrics.pairwise",
        "additive_chi2_kernel chi2_kernel cosine_distances cosine_similarity euclidean_distances haversine_distances"
        " laplacian_kernel linear_kernel manhattan_distances nan_euclidean_distances polynomial_kernel rbf_kernel sigmoid_kernel",
    ),
)
_SCORES = re.compile(
    r"sklearn\.metrics\.(_classification|_ranking|_regression|cluster\._supervised)"
    r"\.[a-z0-9_]+_(score|error|loss|deviance|coef|coefficient)"
)

_BY_LOADER: Mapping[str, frozenset[str] | re.Pattern[str]] = {
    "BytearrayNode": frozenset({"builtins.bytearray"}),
    "BytesNode": frozenset({"builtins.bytes"}),
    "ConstructorFromReduceNode": _CONSTRUCTED,
    "DTypeNode": frozenset({"numpy.dtype"}),
    "DefaultDictNode": frozenset({"collections.defaultdict"}),
    "DictNode": frozenset({"builtins.dict", "collections.OrderedDict", "sklearn.utils._bunch.Bunch"}),
    "ListNode": _CONTAINERS,
    "LossNode": _LOSSES,
    "MaskedArrayNode": frozenset({"numpy.ma.MaskedArray", "numpy.ma.core.MaskedArray"}),
    "NdArrayNode": _DTYPES | {"numpy.ndarray"},
    "OperatorFuncNode": frozenset({"operator.itemgetter"}),
    "PartialNode": frozenset({"functools.partial"}),
    "RandomGeneratorNode": frozenset({"numpy.random.Generator", "numpy.random._generator.Generator"}),
    "RandomStateNode": frozenset({"numpy.random.RandomState", "numpy.random.mtrand.RandomState"}),
    "SetNode": _CONTAINERS,
    "SliceNode": frozenset({"builtins.slice"}),
    "SparseMatrixNode": _SPARSE,
    "TreeNode": frozenset({"sklearn.tree._tree.Tree"}),
    "TupleNode": _CONTAINERS,
    "TypeNode": _SCALARS | _CONTAINERS | _DTYPES | {"builtins.dict", "collections.OrderedDict"},
}
"""Loaders whose names are known without asking skops; `JsonNode` and `CachedNode` name nothing that is used."""

_VECTORIZERS = re.compile(r"sklearn\.feature_extraction\.text\.\w+Vectorizer")
"""They open the files that their rows name where `input` is not ``content``."""


@dataclass(frozen=True)
class SkopsContent:
    """What a skops file is made of.

    Args:
        types: All types and functions that its nodes name, for skops to trust; to be used only where nothing is refused.
        refused: Those that may not be loaded, by name, each with what is done with it where that matters.
    """

    types: tuple[str, ...]
    refused: tuple[str, ...]


def read_skops(path: Path) -> SkopsContent:
    """Read what a skops file is made of; nothing of it is loaded.

    Raises:
        ValueError: It is no skops file, or one that this version cannot judge.
    """
    try:
        with ZipFile(path) as archive:
            schema = json.loads(archive.read(_SCHEMA))
    except (BadZipFile, KeyError, NotImplementedError, RecursionError, RuntimeError, ValueError) as error:
        raise ValueError(f"it is no skops file: {type(error).__name__}: {str(error)[:200]}") from error
    protocol = schema.get("protocol") if isinstance(schema, dict) else None
    if type(protocol) is not int or protocol < _OLDEST_PROTOCOL:
        raise ValueError(f"it is a skops file of protocol {str(protocol)[:20]}, which names functions in a way of its own")
    nodes = list(_nodes(schema))
    named = [node for node in nodes if node["__loader__"] not in ("JsonNode", "CachedNode")]
    refused = {why for node in named if (why := _why_refused(node))}
    refused |= {f"{_dotted(node)!r} with an `input` that is not 'content'" for node in _opening_files(nodes)}
    return SkopsContent(tuple(sorted({_dotted(node) for node in named})), tuple(sorted(refused)))


def _dotted(node: Mapping[str, Any]) -> str:
    return f"{node.get('__module__')}.{node.get('__class__')}"


def _why_refused(node: Mapping[str, Any]) -> str | None:
    """Name what a node may not load; None where it may."""
    loader, dotted = str(node["__loader__"]), _dotted(node)
    if _may(loader, dotted):
        return None
    return repr(dotted[:_LONGEST]) + ("" if loader == "ObjectNode" else f" ({loader[:_LONGEST]!r})")


def _nodes(schema: Any) -> Iterator[dict[str, Any]]:
    """Yield every node of a file, wherever it stands: more than skops looks at, never fewer."""
    rest = [schema]
    while rest:
        found = rest.pop()
        if isinstance(found, dict):
            if "__loader__" in found:
                yield found
            rest.extend(found.values())
        elif isinstance(found, list):
            rest.extend(found)


def _may(loader: str, dotted: str) -> bool:
    """Whether a loader may use a name."""
    if loader == "ObjectNode":
        return dotted in _OBJECTS or _DISTANCES.fullmatch(dotted) is not None or dotted in _estimators()
    if loader == "FunctionNode":
        return dotted in _FUNCTIONS or _SCORES.fullmatch(dotted) is not None or dotted in _ufuncs()
    known = _BY_LOADER.get(loader, frozenset())
    return dotted in known if isinstance(known, frozenset) else known.fullmatch(dotted) is not None


def _opening_files(nodes: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Find the vectorizers that open files.

    Where two nodes have one id, skops takes the first that it meets for both; so all that have it must be alike.
    """
    vectorizers = [node for node in nodes if _VECTORIZERS.fullmatch(_dotted(node)) and node["__loader__"] == "ObjectNode"]
    if not vectorizers:
        return []
    alike: dict[Any, list[Any]] = {}
    for node in nodes:
        if not isinstance(node.get("__id__"), dict | list):
            alike.setdefault(node.get("__id__"), []).append(node)

    def is_itself(node: Any, loader: str) -> bool:
        known = isinstance(node, dict) and node.get("__loader__") == loader and isinstance(node.get("content"), dict | str)
        if not known or isinstance(node.get("__id__"), dict | list):
            return False
        return "__id__" not in node or all(twin == node for twin in alike[node["__id__"]])

    def reads_rows(vectorizer: dict[str, Any]) -> bool:
        attributes = vectorizer.get("content")
        if not is_itself(attributes, "DictNode") or not isinstance(attributes, dict):
            return False
        given = attributes["content"].get("input")
        return is_itself(given, "JsonNode") and given["content"] == '"content"'

    return [node for node in vectorizers if not reads_rows(node)]


@functools.cache
def _estimators() -> frozenset[str]:
    from sklearn.utils import all_estimators

    return frozenset(f"{found.__module__}.{found.__qualname__}" for _, found in all_estimators())


@functools.cache
def _ufuncs() -> frozenset[str]:
    """Name numpy's and scipy's ufuncs; where scipy keeps one is found out by looking for it, and depends on what is imported."""
    from skops.io import _trusted_types

    bare = [name.rpartition(".")[2] for name in _trusted_types.SCIPY_UFUNC_TYPE_NAMES]
    scipy = {f"{module}.{name}" for module in _SCIPY_UFUNCS for name in bare}
    return frozenset({*_trusted_types.NUMPY_UFUNC_TYPE_NAMES, *_trusted_types.SCIPY_UFUNC_TYPE_NAMES, *scipy})
