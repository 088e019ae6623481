"""Whether a saved model may be loaded: only if that runs no code of its own, unless the person at the keyboard trusts it.

An MLmodel is a stranger's word. It names the module that loads the model and a folder to import from, says in which format
the model is, and lists the types that skops is to trust. What is believed of it is what is on the lists here; the rest is
either left out of what MLflow gets to see, or a reason to load nothing.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from wine_sweep.tracking.skops_policy import read_skops

MLMODEL = "MLmodel"
MOST_BYTES = 16 * 2**20
"""A longer MLmodel is not read."""

_PYFUNC = "python_function"
_PREDICTS = frozenset({"predict", "predict_proba", "predict_log_proba", "predict_joint_log_proba", "score"})
_KEPT = ("inputs", "outputs", "params")
"""What of a signature MLflow gets to see: texts in JSON."""

_XGBOOST = re.compile(r"xgboost\.core\.Booster|xgboost\.sklearn\.XGB(Model|Classifier|Ranker|Regressor|RFClassifier|RFRegressor)")
_LIGHTGBM = re.compile(r"lightgbm\.sklearn\.LGBM(Model|Classifier|Ranker|Regressor)")
_LIGHTGBM_BOOSTER = "lightgbm.basic.Booster"
_CATBOOST = frozenset({"CatBoost", "CatBoostClassifier", "CatBoostRanker", "CatBoostRegressor"})
_CATBOOST_FORMATS = frozenset({"cbm", "json"})


@dataclass(frozen=True)
class ModelTrust:
    """Whose word counts when a model is loaded.

    Args:
        name: The registered model that it is, or is to become, a version of.
        is_trusted: Whether the person at the keyboard trusts whoever registers versions of that name.
        written: What this process has just saved, by `fingerprint`; a model with the same content is its own.
    """

    name: str
    is_trusted: bool = False
    written: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Judgement:
    """What came of looking at a model.

    Args:
        mlmodel: What MLflow gets to see in place of the MLmodel.
        reasons: Why it may not be loaded, in words; empty where it may.
    """

    mlmodel: Mapping[str, Any] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()


_OF_YAML = (ValueError, OverflowError, LookupError, AttributeError, TypeError, RecursionError)
"""What PyYAML raises, beside its own errors, at values that are not what their tags say, and at escapes of no character."""


class _PlainLoader(yaml.SafeLoader):
    """Reads YAML without anchors, aliases and merges: MLflow writes none, and some of them unfold without end."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]  # PyYAML's parser has no types
        if getattr(event, "anchor", None) is not None:
            raise yaml.composer.ComposerError(problem="an anchor or an alias", problem_mark=event.start_mark)
        return super().compose_node(parent, index)

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        if any(key.tag == "tag:yaml.org,2002:merge" for key, _ in node.value):
            raise yaml.constructor.ConstructorError(problem="a merge", problem_mark=node.start_mark)
        super().flatten_mapping(node)


class _RefusedError(Exception):
    """A reason not to load a model."""


def judge(folder: Path, mlmodel: Mapping[str, Any]) -> Judgement:
    """Return whether a model may be loaded by somebody who does not know who made it.

    Args:
        folder: The model's files, where nobody else can change them.
        mlmodel: Its description, by `read_mlmodel`.
    """
    flavors = mlmodel["flavors"]
    pyfunc = flavors.get(_PYFUNC)
    if not isinstance(pyfunc, Mapping):
        return Judgement(reasons=("it has no flavor python_function",))
    reasons = [f"it brings code of its own, in {_shown(code)}" for code in _code_of(flavors)]
    loader = pyfunc.get("loader_module")
    data_only = _LOADERS.get(loader) if isinstance(loader, str) else None
    if data_only is None:
        known = ", ".join(sorted(_LOADERS))
        reasons.append(f"its loader module is {_shown(loader)}, and those that read nothing but data are {known}")
    elif not reasons:
        try:
            return Judgement({**_kept(mlmodel), "flavors": data_only(folder, pyfunc, flavors)})
        except _RefusedError as error:
            reasons.append(str(error))
    return Judgement(reasons=tuple(reasons))


def read_mlmodel(folder: Path) -> Mapping[str, Any]:
    """Read a model's description; its `flavors` are a mapping.

    Raises:
        ValueError: It is missing, too long, or nothing that describes a model.
    """
    path = folder / MLMODEL
    if not path.is_file():
        raise ValueError(f"it has no file {MLMODEL}")
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"its {MLMODEL} has more than {MOST_BYTES // 2**20} MiB")
    try:
        found = yaml.load(path.read_text(encoding="utf-8"), _PlainLoader)  # noqa: S506  # a SafeLoader that does less
    except (yaml.YAMLError, *_OF_YAML) as error:
        raise ValueError(f"its {MLMODEL} cannot be read: {type(error).__name__}") from error
    if not isinstance(found, dict) or not isinstance(found.get("flavors"), dict):
        raise ValueError(f"its {MLMODEL} names no flavors")
    return found


def _kept(mlmodel: Mapping[str, Any]) -> dict[str, Any]:
    """Return what describes the model and is never run: its signature."""
    signature = mlmodel.get("signature")
    if not isinstance(signature, Mapping):
        return {}
    texts = {key: signature[key] for key in _KEPT if isinstance(signature.get(key), str)}
    return {"signature": texts} if texts else {}


def _code_of(flavors: Mapping[str, Any]) -> list[Any]:
    """List the folders of code that flavors name, each once."""
    named = [each["code"] for each in flavors.values() if isinstance(each, Mapping) and each.get("code")]
    return list({_shown(code): code for code in named}.values())


def _sklearn(folder: Path, pyfunc: Mapping[str, Any], flavors: Mapping[str, Any]) -> dict[str, Any]:
    flavor = _flavor(flavors, "sklearn")
    name = _file(folder, pyfunc.get("model_path", flavor.get("pickled_model")))
    predict = pyfunc.get("predict_fn", "predict")
    if not isinstance(predict, str) or predict not in _PREDICTS:
        raise _RefusedError(f"it predicts by {_shown(predict)}, which is none of {', '.join(sorted(_PREDICTS))}")
    described = {"pickled_model": name, **_skops(folder / name, flavor.get("serialization_format", "pickle"))}
    return {_PYFUNC: {"loader_module": "mlflow.sklearn", "model_path": name, "predict_fn": predict}, "sklearn": described}


def _xgboost(folder: Path, pyfunc: Mapping[str, Any], flavors: Mapping[str, Any]) -> dict[str, Any]:
    flavor = _flavor(flavors, "xgboost")
    name = _file(folder, flavor.get("data", pyfunc.get("data")))
    made = flavor.get("model_class", "xgboost.core.Booster")
    if not isinstance(made, str) or _XGBOOST.fullmatch(made) is None:
        raise _RefusedError(f"it is to be made as {_shown(made)}, which is no class of xgboost's models")
    return _native("xgboost", name, {"data": name, "model_class": made})


def _lightgbm(folder: Path, pyfunc: Mapping[str, Any], flavors: Mapping[str, Any]) -> dict[str, Any]:
    flavor = _flavor(flavors, "lightgbm")
    name = _file(folder, flavor.get("data", pyfunc.get("data")))
    made = flavor.get("model_class", _LIGHTGBM_BOOSTER)
    if made == _LIGHTGBM_BOOSTER:
        return _native("lightgbm", name, {"data": name, "model_class": made})
    if not isinstance(made, str) or _LIGHTGBM.fullmatch(made) is None:
        raise _RefusedError(f"it is to be made as {_shown(made)}, which is no class of lightgbm's models")
    described = {"data": name, "model_class": made}
    return _native("lightgbm", name, {**described, **_skops(folder / name, flavor.get("serialization_format", "cloudpickle"))})


def _catboost(folder: Path, pyfunc: Mapping[str, Any], flavors: Mapping[str, Any]) -> dict[str, Any]:
    flavor = _flavor(flavors, "catboost")
    name = _file(folder, flavor.get("data", pyfunc.get("data")))
    made, stored = flavor.get("model_type"), flavor.get("save_format")
    is_known = isinstance(made, str) and made in _CATBOOST and isinstance(stored, str) and stored in _CATBOOST_FORMATS
    if not is_known:
        raise _RefusedError(f"it is {_shown(made)} saved as {_shown(stored)}, and not one of catboost's models as cbm or json")
    return _native("catboost", name, {"data": name, "model_type": made, "save_format": stored})


_LOADERS: Mapping[str, Callable[[Path, Mapping[str, Any], Mapping[str, Any]], dict[str, Any]]] = {
    "mlflow.catboost": _catboost,
    "mlflow.lightgbm": _lightgbm,
    "mlflow.sklearn": _sklearn,
    "mlflow.xgboost": _xgboost,
}
"""MLflow's own loader modules that can read a format which is data alone, with what has to be seen to."""


def _native(library: str, name: str, described: dict[str, Any]) -> dict[str, Any]:
    return {_PYFUNC: {"loader_module": f"mlflow.{library}", "data": name}, library: described}


def _skops(path: Path, stored: object) -> dict[str, Any]:
    """Describe a skops file for MLflow, with the types that are in it.

    Raises:
        _RefusedError: It is in another format, or holds what may not be loaded.
    """
    if stored != "skops":
        raise _RefusedError(f"it is pickled (serialization_format {_shown(stored)}), and a pickle runs whatever is in it")
    try:
        content = read_skops(path)
    except ValueError as error:
        raise _RefusedError(str(error)) from error
    if content.refused:
        more = f" and {len(content.refused) - 5} more" if len(content.refused) > 5 else ""
        raise _RefusedError(f"its skops file holds {', '.join(content.refused[:5])}{more}, which can run code or is not known")
    return {"serialization_format": "skops", "skops_trusted_types": list(content.types)}


def _flavor(flavors: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = flavors.get(name)
    if not isinstance(found, Mapping):
        raise _RefusedError(f"it is loaded by mlflow.{name} and has no flavor {name}, so it may be in any format")
    return found


def _file(folder: Path, name: object) -> str:
    """Return the name of a file of the model's, as it is given.

    Raises:
        _RefusedError: It is no file of the model's.
    """
    if not isinstance(name, str) or not name or "\0" in name or Path(name).is_absolute():
        raise _RefusedError(f"its model is in {_shown(name)}, which is no file of its own")
    whole = (folder / name).resolve()
    if not whole.is_relative_to(folder.resolve()) or not whole.is_file():
        raise _RefusedError(f"its model is in {_shown(name)}, which is no file of its own")
    return name


def _shown(value: object) -> str:
    return reprlib.repr(value)
