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
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile

import numpy as np

from wine_sweep.evaluation.estimators import TRUSTED_PACKAGES
from wine_sweep.evaluation.functions import FUNCTIONS, SCORES
from wine_sweep.tracking.skops_places import COLUMN_SELECTOR, misplaced
from wine_sweep.tracking.skops_places import dotted as _dotted

_SCHEMA = "schema.json"
_OLDEST_PROTOCOL = 1
"""Files of protocol 0 name functions elsewhere than all later ones."""

_LONGEST = 200
"""How much of a name is shown."""

MOST_SCHEMA_BYTES = 128 * 2**20
"""A longer `schema.json` is not unfolded."""

MOST_BYTES = 2**30
MOST_UNFOLDING = 10
"""Nor are data of more than both `MOST_BYTES` and this many times the length of the file."""

_NPY = b"\x93NUMPY"

_SCIPY_UFUNCS = ("scipy.special", "scipy.special._ufuncs", "scipy.special._special_ufuncs")
_CONTAINERS = frozenset({"builtins.list", "builtins.tuple", "builtins.set"})
_SCALARS = frozenset({"builtins.int", "builtins.float", "builtins.str", "builtins.bool", "builtins.complex", "builtins.bytes"})
_DTYPES = frozenset(f"numpy.{each.__name__}" for each in np.sctypeDict.values())
_CONSTRUCTED = frozenset(
    {"builtins.frozenset", "builtins.complex", "builtins.range"}
    | {f"datetime.{name}" for name in ("date", "datetime", "time", "timedelta", "timezone")}
    | {"zoneinfo.ZoneInfo"}
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
    {COLUMN_SELECTOR},
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
    _names("pandas", "DatetimeTZDtype"),
    _names("skrub._apply_to_each_col", "ApplyToEachCol"),
    _names("skrub._check_input", "CheckInputDataFrame"),
    _names("skrub._clean_categories", "CleanCategories"),
    _names("skrub._clean_null_strings", "CleanNullStrings"),
    _names("skrub._datetime_encoder", "DatetimeEncoder _SplineEncoder"),
    _names("skrub._drop_uninformative", "DropUninformative"),
    _names("skrub._duration_to_float", "DurationToFloat"),
    _names("skrub._squashing_scaler", "SquashingScaler _MinMaxScaler"),
    _names("skrub._string_encoder", "StringEncoder"),
    _names("skrub._table_vectorizer", "PassThrough ShortReprDict TableVectorizer"),
    _names("skrub._to_categorical", "ToCategorical"),
    _names("skrub._to_datetime", "ToDatetime"),
    _names("skrub._to_float", "ToFloat"),
    _names("skrub._to_str", "ToStr"),
    _names("skrub.selectors._base", "All And Cols Filter Sub"),
)
"""Beside scikit-learn's estimators."""

_PREDICTORS: frozenset[str] = frozenset().union(
    _names("sklearn.calibration", "_CalibratedClassifier _SigmoidCalibration _TemperatureScaling"),
    _names("sklearn.gaussian_process._gpc", "_BinaryGaussianProcessClassifierLaplace"),
    _names("sklearn.model_selection._search_successive_halving", "HalvingGridSearchCV HalvingRandomSearchCV"),
    _names("sklearn.multiclass", "_ConstantPredictor"),
    {name for name in _OBJECTS if name.startswith(tuple(f"{package}." for package in (*TRUSTED_PACKAGES[1:], "skrub")))},
)
"""Those of them that stand where an estimator is expected."""

_DISTANCES = re.compile(r"sklearn\.metrics\._dist_metrics\.[A-Z]\w*Distance(32|64)?")
_LOSSES = re.compile(
    r"sklearn\._loss\._loss\.Cy[A-Z]\w*"
    r"|sklearn\.linear_model\._sgd_fast\.(EpsilonInsensitive|Hinge|Huber|Log|ModifiedHuber|Squared\w+)"
)
_SPARSE = re.compile(r"scipy\.sparse\._[a-z]+\.[a-z]+_(array|matrix)")

_HELD: frozenset[str] = frozenset().union(
    _names("sklearn.utils.validation", "check_array"),
    _names("skrub._dataframe._common", "is_any_date is_categorical is_numeric"),
    _names("skrub._table_vectorizer", "_created_by_predicate"),
    _names("skrub.selectors._selectors", "_cardinality_below"),
)
"""Functions that fitted models hold and no config names."""

_BY_LOADER: Mapping[str, frozenset[str] | re.Pattern[str]] = {
    "BytearrayNode": frozenset({"builtins.bytearray"}),
    "BytesNode": frozenset({"builtins.bytes"}),
    "ConstructorFromReduceNode": _CONSTRUCTED,
    "DTypeNode": frozenset({"numpy.dtype"}),
    "DefaultDictNode": frozenset({"collections.defaultdict"}),
    "DictNode": frozenset({"builtins.dict", "collections.Counter", "collections.OrderedDict", "sklearn.utils._bunch.Bunch"}),
    "ListNode": frozenset({"builtins.list"}),
    "LossNode": _LOSSES,
    "MaskedArrayNode": frozenset({"numpy.ma.MaskedArray", "numpy.ma.core.MaskedArray"}),
    "NdArrayNode": _DTYPES | {"numpy.ndarray"},
    "OperatorFuncNode": frozenset({"operator.itemgetter", "operator.methodcaller"}),
    "PartialNode": frozenset({"functools.partial"}),
    "RandomGeneratorNode": frozenset({"numpy.random.Generator", "numpy.random._generator.Generator"}),
    "RandomStateNode": frozenset({"numpy.random.RandomState", "numpy.random.mtrand.RandomState"}),
    "SetNode": frozenset({"builtins.set"}),
    "SliceNode": frozenset({"builtins.slice"}),
    "SparseMatrixNode": _SPARSE,
    "TreeNode": frozenset({"sklearn.tree._tree.Tree"}),
    "TupleNode": frozenset({"builtins.tuple"}),
    "TypeNode": _SCALARS | _CONTAINERS | _DTYPES | {"builtins.dict", "collections.OrderedDict"},
}
"""Loaders whose names are known without asking skops; `JsonNode` names nothing that is used, and skops writes no `CachedNode`."""

CALLED_TYPES = frozenset({"functools.partial", "operator.itemgetter", "operator.methodcaller"})
"""Python's own that call something: whether what they call is harmless shows in the whole file alone."""

DATA_TYPES: frozenset[str] = (
    frozenset(name for names in _BY_LOADER.values() if isinstance(names, frozenset) for name in names) - CALLED_TYPES
)
"""Types of Python's and numpy's own that hold data and do nothing with it, whatever estimator holds them."""

_VECTORIZERS = re.compile(r"sklearn\.feature_extraction\.text\.\w+Vectorizer")
"""They open the files that their rows name where `input` is not ``content``."""


@dataclass(frozen=True)
class SkopsContent:
    """What a skops file is made of.

    Args:
        types: All types and functions that its nodes name, for skops to trust; to be used only where nothing is refused.
        refused: Those that may not be loaded, by name, each with what is done with it where that matters; and then what is known
            and stands where it may not, or in another form than skops writes.
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
            if any(each.compress_type not in (ZIP_STORED, ZIP_DEFLATED) for each in archive.infolist()):
                raise ValueError("a compression that skops files do not have by default")
            declared = archive.getinfo(_SCHEMA).file_size
            if declared > MOST_SCHEMA_BYTES:
                raise ValueError(f"its {_SCHEMA} has {declared:,} bytes; at most {MOST_SCHEMA_BYTES:,} are read")
            schema = json.loads(archive.read(_SCHEMA), object_pairs_hook=_without_twins)
            protocol = schema.get("protocol") if isinstance(schema, dict) else None
            if type(protocol) is not int or protocol < _OLDEST_PROTOCOL:
                raise _OtherProtocolError(protocol)
            nodes = list(_nodes(schema))
            refused = set(_wrong_data(archive, nodes, max(MOST_BYTES, MOST_UNFOLDING * path.stat().st_size)))
            refused.update(misplaced(schema, _predicts))
    except _OtherProtocolError as error:
        shown = str(error.args[0])[:20]
        raise ValueError(f"it is a skops file of protocol {shown}, which names functions in a way of its own") from error
    except (BadZipFile, EOFError, KeyError, NotImplementedError, RecursionError, RuntimeError, ValueError, zlib.error) as error:
        raise ValueError(f"it is no skops file: {type(error).__name__}: {str(error)[:200]}") from error
    named = [node for node in nodes if node["__loader__"] != "JsonNode"]
    unknown = {why for node in named if (why := _why_refused(node))}
    refused |= {f"{_dotted(node)!r} with an `input` that is not 'content'" for node in nodes if _opens_files(node)}
    return SkopsContent(tuple(sorted({_dotted(node) for node in named})), (*sorted(unknown), *sorted(refused)))


class _OtherProtocolError(Exception):
    """The file is of a protocol that is not judged."""


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key that stands twice")
    return made


def _wrong_data(archive: ZipFile, nodes: Sequence[Mapping[str, Any]], most: int) -> Iterator[str]:
    """Describe what is wrong with the data beside the schema; skops unfolds them once for each node that names them."""
    unfolded = 0
    for node in nodes:
        if not isinstance(node.get("file"), str):
            continue
        member = archive.getinfo(node["file"])
        unfolded += member.file_size
        if unfolded > most:
            raise ValueError(f"its data have more than {most:,} bytes when they are unfolded")
        if node["__loader__"] == "NdArrayNode":
            with archive.open(member) as data:
                if data.read(len(_NPY)) != _NPY:
                    yield f"{_dotted(node)!r} that is no array"
        elif node["__loader__"] == "SparseMatrixNode":
            with archive.open(member) as data, ZipFile(data) as inner:
                unfolded += sum(each.file_size for each in inner.infolist())


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
    """Return whether a loader may use a name."""
    if loader == "ObjectNode":
        return dotted in _OBJECTS or _DISTANCES.fullmatch(dotted) is not None or dotted in _estimators()
    if loader == "FunctionNode":
        return dotted in FUNCTIONS | _HELD or SCORES.fullmatch(dotted) is not None or dotted in _ufuncs()
    known = _BY_LOADER.get(loader, frozenset())
    return dotted in known if isinstance(known, frozenset) else known.fullmatch(dotted) is not None


def _opens_files(node: Mapping[str, Any]) -> bool:
    """Return whether a node is a vectorizer that opens the files that its rows name."""
    if node["__loader__"] != "ObjectNode" or not _VECTORIZERS.fullmatch(_dotted(node)):
        return False
    attributes = node.get("content")
    attributes = attributes.get("content") if isinstance(attributes, dict) else None
    given = attributes.get("input") if isinstance(attributes, dict) else None
    return not (isinstance(given, dict) and given.get("__loader__") == "JsonNode" and given.get("content") == '"content"')


def _predicts(name: str) -> bool:
    """Return whether a class may stand where an estimator is expected."""
    return name in _PREDICTORS or name in _estimators()


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
