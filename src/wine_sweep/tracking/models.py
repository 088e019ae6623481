"""Log the winner as an MLflow model, load it back, and predict with models as their users do."""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.metadata
import importlib.util
import json
import shutil
import sys
import tempfile
import warnings
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import mlflow
import mlflow.pyfunc
import mlflow.sklearn
import numpy as np
import pandas as pd
import skops.io
import yaml
from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput, LoggedModelStatus, Metric
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from mlflow.pyfunc import PyFuncModel, PythonModel
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.store.artifact.models_artifact_repo import ModelsArtifactRepository
from mlflow.store.artifact.runs_artifact_repo import RunsArtifactRepository
from mlflow.utils.file_utils import local_file_uri_to_path
from mlflow.utils.uri import is_local_uri

from wine_sweep.errors import ModelError, TrackingError, UntrustedModelError
from wine_sweep.evaluation.capture import foreign_output_shown
from wine_sweep.evaluation.estimator_params import classes_of
from wine_sweep.evaluation.estimators import TRUSTED_PACKAGES
from wine_sweep.evaluation.functions import FUNCTIONS
from wine_sweep.execution.base import describe_error
from wine_sweep.messages import MODEL_PREFIX, mask, shell_word
from wine_sweep.tracking import names
from wine_sweep.tracking.artifacts import Files, is_elsewhere, split_location
from wine_sweep.tracking.encoding import log_in_batches
from wine_sweep.tracking.model_inputs import as_declared, raw_rows, restoring, signature_of
from wine_sweep.tracking.model_policy import MLMODEL, ModelTrust, judge, read_mlmodel
from wine_sweep.tracking.skops_policy import CALLED_TYPES, DATA_TYPES
from wine_sweep.tracking.store import quoted, translated_errors

_MOST_STEPS = 4
"""How often the store may answer with another URI before files are found."""

_WRITTEN_LATER = frozenset({MLMODEL, "environment_variables.txt", "registered_model_meta"})
"""What MLflow changes or adds once a model is saved; only the first is ever loaded from."""


class LoadedModel:
    """A model that was loaded from MLflow.

    It has `predict_proba`, `decision_function` and `classes_` where the model that was saved has them.
    """

    def __init__(self, loaded: PyFuncModel) -> None:
        self._loaded = loaded
        try:
            raw = loaded.get_raw_model()
        except NotImplementedError:  # a Python model of somebody's own
            return
        if not hasattr(raw, "classes_"):
            return
        self.classes_ = raw.classes_
        for name in ("predict_proba", "decision_function"):
            if hasattr(raw, name):
                setattr(self, name, functools.partial(self._asked, getattr(raw, name)))

    def predict(self, features: pd.DataFrame) -> np.ndarray:
        """Predict rows, of shape (rows, features); more columns than the model knows do no harm.

        Returns:
            Of shape (rows,) for most models.

        Raises:
            Exception: Whatever MLflow or the model raises, as where a column is missing.
        """
        with foreign_output_shown():
            return np.asarray(self._loaded.predict(self._own(features)))

    def _asked(self, method: Callable[[pd.DataFrame], Any], features: pd.DataFrame) -> np.ndarray:
        with foreign_output_shown():
            return np.asarray(method(self._own(features)))

    def _own(self, features: pd.DataFrame) -> pd.DataFrame:
        """Return the columns that the model knows; see `as_declared`."""
        schema = self._loaded.metadata.get_input_schema()
        if schema is None or not schema.has_input_names():
            return features
        return as_declared(features, schema)


def load_model(uri: str, trust: ModelTrust) -> LoadedModel:
    """Load a model, if that runs no code of its own or the person at the keyboard trusts it.

    It is fetched once, into a folder that nobody else can write to, judged there, and loaded from there.

    Args:
        uri: A logged model, ``models:/m-…``, or a version of a registered model, ``models:/NAME/VERSION``.
        trust: Whose word counts.

    Raises:
        UntrustedModelError: Loading it would run code of its own, and nobody at the keyboard trusts it.
        ModelError: It cannot be loaded: it is not there any more, or not what this environment can read.
        TrackingError: The store does not answer.
    """
    folder = Path(tempfile.mkdtemp(prefix="wine-sweep-model-"))
    try:
        loaded = _load(uri, trust, folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    weakref.finalize(loaded, shutil.rmtree, folder, ignore_errors=True)  # code of a trusted model may read on from there
    return LoadedModel(loaded)


def _load(uri: str, trust: ModelTrust, folder: Path) -> PyFuncModel:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow compares versions of packages, and says so at length
        try:
            with translated_errors(f"load {uri}"):
                found = _fetch(uri, folder, trust)
                return _load_folder(uri, found, trust)
        except ModelError:
            raise
        except TrackingError as error:
            if error.is_outage:
                raise
            raise ModelError(f"{uri} cannot be loaded: {error}") from error
        except Exception as error:  # whatever reading somebody's model raises
            raise ModelError(f"{uri} cannot be loaded: {describe_error(error)}") from error


def _load_folder(uri: str, folder: Path, trust: ModelTrust) -> PyFuncModel:
    if not _is_trusted(folder, trust):
        _make_harmless(uri, folder, trust)
    with foreign_output_shown():
        return mlflow.pyfunc.load_model(str(folder), suppress_warnings=True)


def _is_trusted(folder: Path, trust: ModelTrust) -> bool:
    return trust.is_trusted or (trust.written is not None and fingerprint(folder) == trust.written)


def _make_harmless(uri: str, folder: Path, trust: ModelTrust) -> None:
    """Write an MLmodel with nothing in it but what was judged.

    Raises:
        UntrustedModelError: It would run code of its own.
        ModelError: It has no MLmodel that can be read.
    """
    try:
        judgement = judge(folder, read_mlmodel(folder))
    except ValueError as error:
        raise ModelError(f"{uri} cannot be loaded: {error}") from error
    if judgement.reasons:
        raise _untrusted(uri, f"that could run code of its own ({'; '.join(judgement.reasons)})", trust)
    path = folder / MLMODEL
    path.unlink()
    path.write_text(yaml.safe_dump(dict(judgement.mlmodel)), encoding="utf-8")


def _untrusted(uri: str, why: str, trust: ModelTrust) -> UntrustedModelError:
    if trust.written is not None:
        return UntrustedModelError(f"{uri} is not loaded: {why}; its files are not those that this process has saved")
    how = f"run with --trust {shell_word(MODEL_PREFIX + trust.name)} if you trust whoever registers its versions"
    return UntrustedModelError(f"{uri} is not loaded: {why}; {how}")


def _fetch(uri: str, folder: Path, trust: ModelTrust) -> Path:
    """Download a model's files into a folder.

    Raises:
        UntrustedModelError: They lie on a server that is not the store's, which would be sent the credentials for the store.
        MlflowException: They are not there.
    """
    where = _location(uri)
    if split_location(where) is None:
        raise ModelError(
            f"{uri} cannot be loaded: its files lie at {mask(where)[:200]!r}, which is no address that all programs read alike"
        )
    if is_elsewhere(where) and not trust.is_trusted and trust.written is None:
        why = f"its files lie at {mask(where)[:200]!r}, a server that is not the store's and would be sent the credentials for it"
        raise _untrusted(uri, why, trust)
    if is_local_uri(where) and not (Path(local_file_uri_to_path(where)) / MLMODEL).is_file():
        raise ModelError(f"{uri} cannot be loaded: there is no model at {where[:200]!r}")  # and no folder is copied for that
    get_artifact_repository(where).download_artifacts("", str(folder))
    for compiled in list(folder.rglob("__pycache__")):  # whoever wrote the source may not have written these
        shutil.rmtree(compiled)
    return folder


def _location(uri: str) -> str:
    """Describe where a model's files lie, as the store has it; a registry of Databricks's alone knows how they are fetched."""
    if mlflow.get_registry_uri().startswith(("databricks", "uc:")):
        return uri
    for _ in range(_MOST_STEPS):
        if uri.startswith("models:"):
            uri = ModelsArtifactRepository.get_underlying_uri(uri)
        elif uri.startswith("runs:"):
            uri = RunsArtifactRepository.get_underlying_uri(uri)
        else:
            return uri
    raise ModelError(f"{uri} cannot be loaded: the store does not say where its files lie")


def fingerprint(folder: Path) -> Mapping[str, str]:
    """Return a digest, in hex, of each file of a saved model, by its path; of the MLmodel only what is loaded counts.

    Raises:
        ValueError: It has no MLmodel that can be read.
    """
    names = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    lasting = {name: path for name, path in names.items() if name not in _WRITTEN_LATER and "__pycache__" not in path.parts}
    found = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in lasting.items()}
    flavors = json.dumps(read_mlmodel(folder)["flavors"], sort_keys=True, default=str)
    return {**found, MLMODEL: hashlib.sha256(flavors.encode()).hexdigest()}


TRUSTED_TYPES = frozenset({*TRUSTED_PACKAGES, "skrub", "numpy", "scipy", "pandas"})
"""Packages whose types a saved model may hold: those that estimators come from, and what these are made of."""

_DISTRIBUTIONS = {name: name for name in (*TRUSTED_TYPES, "skops", "cloudpickle")} | {"sklearn": "scikit-learn"}
"""What installs the modules that models usually come from and are made of."""

EXAMPLE_ROWS = 3

RAW_ROWS = 100
"""How many rows are predicted once more as they come without types; those with gaps first."""


@dataclass(frozen=True)
class ModelToLog:
    """A fitted model with what describes it.

    Args:
        model: Fitted.
        features: The rows it was fitted on, of shape (rows, features); None where they are not known.
        trusted: Packages that the person at the keyboard trusts, beside the usual ones.
    """

    model: Any
    features: pd.DataFrame | None
    trusted: tuple[str, ...] = ()


@dataclass(frozen=True)
class SavedModel:
    """A logged model.

    Args:
        uri: Its URI, ``models:/m-…``.
        written: The digests of its files, by `fingerprint`; None where another process has saved it.
        reasons: Why those who do not know who made it will not load it, in words, where nothing that was trusted explains that.
    """

    uri: str
    written: Mapping[str, str] | None = None
    reasons: tuple[str, ...] = ()


@foreign_output_shown()
def log_model(client: MlflowClient, to_log: ModelToLog, *, experiment_id: str, run_id: str) -> SavedModel:
    """Log a model with signature, input example and pinned requirements.

    It is judged as it will be wherever it is loaded later, since what would be refused there is better known here.

    MLflow is asked once where the model's files are to lie, and that is where they are written: a store may answer otherwise the
    next time. It may be done again: what an outage or a process that died has left half made is deleted.

    Types that skops does not know are trusted when they come from packages that estimators may come from, and no others.

    Raises:
        ModelError: It cannot be saved: it holds objects of packages that nobody trusts, or such as skops cannot write.
        TrackingError: The store failed.
    """
    form = _flavor(to_log)
    with translated_errors("log the model"), warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")
        _delete_half_logged(client, experiment_id, run_id)
        tags = {names.KIND: names.Kind.MODEL}
        logged = client.create_logged_model(experiment_id, name=names.MODEL_NAME, source_run_id=run_id, tags=tags)
        model_id = logged.model_id
        place = Files.at(client, logged.artifact_location, f"model {model_id}", model_id)
        with _finalized(client, model_id):
            client.log_outputs(run_id, [LoggedModelOutput(model_id, step=0)])
            _log_metrics(client, model_id, run_id)
            described = Model(artifact_path=place.location, model_uuid=model_id, run_id=run_id, model_id=model_id)
            saved, written, reasons = _save(to_log, form, described, Path(folder))
            place.write(saved)
    return SavedModel(f"models:/{model_id}", written, reasons)


def _save(
    to_log: ModelToLog, form: tuple[ModuleType, dict[str, Any], Sequence[str]], described: Model, folder: Path
) -> tuple[Path, Mapping[str, str], tuple[str, ...]]:
    """Save a model within a folder, and judge it as it will be wherever it is loaded.

    Args:
        to_log: The model.
        form: How MLflow saves it, by `_flavor`.
        described: What MLflow is to write of it.
        folder: Where.

    Returns:
        Where its files are, their digests by `fingerprint`, and why those who do not know who made it will not load it.
    """
    flavor, own, code = form
    saved = folder / "model"
    flavor.save_model(
        path=str(saved),
        mlflow_model=described,
        input_example=to_log.features.head(EXAMPLE_ROWS) if to_log.features is not None else None,
        pip_requirements=_requirements(to_log),
        **own,
        code_paths=_code_paths(code, folder) or None,
    )
    for cache in saved.rglob("__pycache__"):
        shutil.rmtree(cache)
    reasons = () if code or isinstance(to_log.model, PythonModel) else judge(saved, read_mlmodel(saved)).reasons
    return saved, fingerprint(saved), reasons


def check_can_be_kept(to_log: ModelToLog, features: pd.DataFrame, expected: np.ndarray) -> None:
    """Save a model to a folder as `log_model` does and load it back, without a store.

    Args:
        to_log: The model.
        features: Rows to predict, of shape (rows, features).
        expected: What the model in memory predicts for them, of shape (rows,).

    Raises:
        ModelError: It cannot be saved, does not load, or predicts something else.
    """
    form = _flavor(to_log)
    with tempfile.TemporaryDirectory(prefix="wine-sweep-model-") as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            saved, written, _ = _save(to_log, form, Model(), Path(folder))
        except Exception as error:  # whatever the model's own reduction raises
            raise ModelError(f"{type(to_log.model).__name__} cannot be saved: {describe_error(error)}") from error
        _compare(lambda: LoadedModel(_load_saved(saved, written)), features, expected)


def _load_saved(folder: Path, written: Mapping[str, str]) -> PyFuncModel:
    try:
        return _load_folder("the model", folder, ModelTrust(names.MODEL_NAME, written=written))
    except ModelError:
        raise
    except Exception as error:  # whatever reading the model raises
        raise ModelError(str(describe_error(error))) from error


@contextmanager
def _finalized(client: MlflowClient, model_id: str) -> Iterator[None]:
    """Have a logged model READY after this context, or FAILED where that raises."""
    try:
        yield
    except Exception:
        with suppress(MlflowException):  # what went wrong first is raised
            client.finalize_logged_model(model_id, LoggedModelStatus.FAILED)
        raise
    client.finalize_logged_model(model_id, LoggedModelStatus.READY)


def _log_metrics(client: MlflowClient, model_id: str, run_id: str) -> None:
    """Log the metrics of a model's run as the model's, as MLflow's own logging of a model does."""
    metrics = [
        Metric(each.key, each.value, each.timestamp, each.step, model_id=model_id, run_id=run_id)
        for name in client.get_run(run_id).data.metrics
        for each in client.get_metric_history(run_id, name)
        if each.step == 0 and each.model_id is None
    ]
    log_in_batches(client, run_id, metrics=metrics)


def _flavor(to_log: ModelToLog) -> tuple[ModuleType, dict[str, Any], Sequence[str]]:
    """Describe how MLflow saves a model: in its library's own format, by skops, or as a Python model of the user's own.

    Returns:
        MLflow's module, its arguments, and the trusted packages that the model cannot be loaded without, as far as is known.

    Raises:
        ModelError: It is neither.
    """
    model, features = to_log.model, to_log.features
    if isinstance(model, PythonModel):
        return mlflow.pyfunc, {"python_model": model}, to_log.trusted
    if not (hasattr(model, "predict") and hasattr(model, "get_params")):
        name = type(model).__name__
        raise ModelError(f"a {name} cannot be kept: a model is a scikit-learn style estimator or an mlflow.pyfunc.PythonModel")
    signature = None
    if features is not None:
        signature = signature_of(model, features, np.asarray(model.predict(features.head(EXAMPLE_ROWS).copy())))
        model = restoring(model, features)
    if (native := _native(model)) is not None:
        flavor, argument = native
        return flavor, {argument: model, "signature": signature}, ()
    types = _trusted_types(replace(to_log, model=model))
    own = {
        "sk_model": model,
        "signature": signature,
        "serialization_format": mlflow.sklearn.SERIALIZATION_FORMAT_SKOPS,
        "skops_trusted_types": types,
    }
    return mlflow.sklearn, own, [name for name in to_log.trusted if name in {each.partition(".")[0] for each in types}]


def _native(model: Any) -> tuple[ModuleType, str] | None:
    """Return MLflow's flavor for a bare model of XGBoost or CatBoost, and the name that its argument has; None for any other.

    Both write the library's own format, which is data alone. LightGBM's flavor writes skops or a pickle of the same object.
    """
    library = type(model).__module__.partition(".")[0]
    if library == "xgboost":
        return importlib.import_module("mlflow.xgboost"), "xgb_model"
    return (importlib.import_module("mlflow.catboost"), "cb_model") if library == "catboost" else None


def _delete_half_logged(client: MlflowClient, experiment_id: str, run_id: str) -> None:
    """Delete what earlier attempts made under a run: nobody relies on it, since the run has no tag that names its model yet.

    MLflow cannot take such a model up again: it links run and model at the beginning, and refuses to do that twice.
    """
    query = f"source_run_id = {quoted(run_id)} AND tags.`{names.KIND}` = '{names.Kind.MODEL}'"
    for each in client.search_logged_models([experiment_id], filter_string=query):
        client.delete_logged_model(each.model_id)


def check_loads_back(uri: str, features: pd.DataFrame, expected: np.ndarray, written: Mapping[str, str] | None = None) -> None:
    """Load a logged model as its users will, and compare what it predicts.

    Args:
        uri: The model's URI.
        features: Rows to predict, of shape (rows, features), numbered from 0.
        expected: What the model in memory predicts for them, of shape (rows,).
        written: What this process has saved, by `fingerprint`; code of its own is run where the store gives that back.

    Raises:
        ModelError: It does not load, or predicts something else.
    """
    with translated_errors("fetch the model"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _compare(lambda: load_model(uri, ModelTrust(names.MODEL_NAME, written=written)), features, expected)


def _compare(load: Callable[[], LoadedModel], features: pd.DataFrame, expected: np.ndarray) -> None:
    """Load a model and compare what it predicts, for rows as they are and for some of them as they come without types.

    Raises:
        ModelError: It does not load, or predicts something else.
    """
    raw = raw_rows(features, RAW_ROWS)
    try:
        model = load()
        predicted, predicted_raw = model.predict(features.copy()), model.predict(raw)
        of_raw = model.predict(features.loc[raw.index])  # the same rows at a time: in single precision others make a difference
    except ModelError as error:
        raise ModelError(f"the saved model does not load back: {error}") from error
    except (TypeError, ValueError, AttributeError, ImportError) as error:
        raise ModelError(f"the saved model does not load back: {type(error).__name__}: {error}") from error
    if not is_alike(predicted, expected):
        raise ModelError(
            f"the saved model predicts otherwise than the one in memory for {np.sum(predicted != expected)} of {len(expected)}"
        )
    if not is_alike(predicted_raw, of_raw):
        message = f"predicts otherwise for {np.sum(predicted_raw != of_raw)} of {len(raw)} rows that come without types"
        raise ModelError(f"the saved model {message}: None for a gap, dates and categories as text")


def is_alike(predicted: np.ndarray, expected: np.ndarray) -> bool:
    """Return whether two predictions of the same rows are the same, but for what rounding does to numbers."""
    if expected.dtype.kind == "f":
        return bool(np.allclose(predicted, expected, rtol=1e-9, atol=1e-12, equal_nan=True))
    return bool(np.array_equal(predicted, expected))


def _trusted_types(to_log: ModelToLog) -> list[str]:
    try:
        found = skops.io.get_untrusted_types(data=skops.io.dumps(to_log.model))
    except Exception as error:  # skops raises whatever an object's own reduction raises
        raise ModelError(f"{type(to_log.model).__name__} cannot be saved: {type(error).__name__}: {error}") from error
    allowed = TRUSTED_TYPES | set(to_log.trusted)
    known = DATA_TYPES | CALLED_TYPES | FUNCTIONS
    refused = [name for name in found if name not in known and name.partition(".")[0] not in allowed]
    if refused:
        raise ModelError(f"the model holds objects of types that nobody trusts: {', '.join(refused)}{_how_to_trust(refused)}")
    return list(found)


def _how_to_trust(refused: Iterable[str]) -> str:
    """Return which packages to trust, but for Python's own: whoever trusts one of these trusts all that is in it."""
    packages = sorted({name.partition(".")[0] for name in refused})
    foreign = [name for name in packages if name not in sys.stdlib_module_names]
    own = [name for name in packages if name in sys.stdlib_module_names]
    options = " ".join(f"--trust {shell_word(name)}" for name in foreign)
    said = f"; those of Python's own modules ({', '.join(own)}) have no place in a model that others load" if own else ""
    return said + (f"; {options} allows {'the others' if own else 'them'}" if foreign else "")


def _requirements(to_log: ModelToLog) -> list[str]:
    """Pin what the model needs to load: MLflow would start Python again, for many seconds, to find that out."""
    used = {found.__module__.partition(".")[0] for found in classes_of(to_log.model)}
    packages = {"sklearn", "numpy", "scipy", "pandas", "skops", "cloudpickle"} | (used & {*TRUSTED_TYPES, *to_log.trusted})
    distributions = {name for package in packages for name in _distributions_of(package)}
    return [f"{name}=={importlib.metadata.version(name)}" for name in sorted(distributions)]


def _distributions_of(package: str) -> Sequence[str]:
    """Return the distributions that a top-level module comes from; none for one that nothing has installed.

    Those that models come from are known by name: to look for a module goes through all files of all distributions.
    """
    name = _DISTRIBUTIONS.get(package)
    if name is not None and importlib.util.find_spec(package) is not None:
        with suppress(importlib.metadata.PackageNotFoundError):  # then another brings it along, as xgboost-cpu does
            importlib.metadata.version(name)
            return [name]
    return _installed().get(package, ())


@functools.cache
def _installed() -> Mapping[str, Sequence[str]]:
    return importlib.metadata.packages_distributions()


def _code_paths(trusted: Iterable[str], folder: Path) -> list[str]:
    """Return the files of trusted modules that no distribution installs: nothing else could bring them along.

    A file that is imported under another name than its own, which something installed has, is copied to a folder under that
    name: MLflow puts the copies first on ``sys.path``, where the model is loaded.
    """
    paths: list[str] = []
    for package in trusted:
        spec = importlib.util.find_spec(package) if not _distributions_of(package) else None
        if spec is None or not spec.origin:
            continue
        found = Path(next(iter(spec.submodule_search_locations or ()), spec.origin))
        if found.suffix == ".py" and found.stem != package:
            found = Path(shutil.copyfile(found, folder / f"{package}.py"))
        paths.append(str(found))
    return paths
