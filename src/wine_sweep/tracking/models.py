"""The winner as an MLflow model: logged once under its trial's run, and loaded back before anybody relies on it."""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import mlflow.pyfunc
import mlflow.sklearn
import numpy as np
import pandas as pd
import skops.io
from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput, LoggedModelStatus, Metric
from mlflow.exceptions import MlflowException
from mlflow.models import Model, infer_signature
from mlflow.pyfunc import PythonModel

from wine_sweep.errors import ModelError
from wine_sweep.foreign_output import foreign_output_shown
from wine_sweep.objective.estimators import TRUSTED_PACKAGES
from wine_sweep.tracking import names
from wine_sweep.tracking.artifacts import Files
from wine_sweep.tracking.batches import log_in_batches
from wine_sweep.tracking.loading import fingerprint, load_model
from wine_sweep.tracking.model_policy import ModelTrust, judge, read_mlmodel
from wine_sweep.tracking.skops_policy import DATA_TYPES
from wine_sweep.tracking.store import quoted, translated_errors
from wine_sweep.wording import shell_word

TRUSTED_TYPES = frozenset({*TRUSTED_PACKAGES, "numpy", "scipy", "pandas"})
"""Packages whose types a saved model may hold: those that estimators come from, and what these are made of."""

_DISTRIBUTIONS = {"sklearn": "scikit-learn"} | {
    name: name for name in ("numpy", "scipy", "pandas", "skops", "cloudpickle", "xgboost", "lightgbm", "catboost")
}
"""What installs the modules that models usually come from and are made of."""

EXAMPLE_ROWS = 3


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
    flavor, own, code = _flavor(to_log)
    example = to_log.features.head(EXAMPLE_ROWS) if to_log.features is not None else None
    with translated_errors("log the model"), warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")
        _delete_half_logged(client, experiment_id, run_id)
        tags = {names.KIND: names.Kind.MODEL}
        logged = client.create_logged_model(experiment_id, name=names.MODEL_NAME, source_run_id=run_id, tags=tags)
        model_id = logged.model_id
        place = Files.at(client, logged.artifact_location, f"model {model_id}", model_id)
        saved = Path(folder) / "model"
        with _finalized(client, model_id):
            client.log_outputs(run_id, [LoggedModelOutput(model_id, step=0)])
            _log_metrics(client, model_id, run_id)
            flavor.save_model(
                path=str(saved),
                mlflow_model=Model(artifact_path=place.location, model_uuid=model_id, run_id=run_id, model_id=model_id),
                input_example=example,
                pip_requirements=_requirements(to_log),
                **own,
                code_paths=_code_paths(code, Path(folder)) or None,
            )
            for cache in saved.rglob("__pycache__"):
                shutil.rmtree(cache)
            written = fingerprint(saved)
            reasons = () if code or isinstance(to_log.model, PythonModel) else judge(saved, read_mlmodel(saved)).reasons
            place.write(saved)
    return SavedModel(f"models:/{model_id}", written, reasons)


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
    """Say how MLflow saves a model: as scikit-learn's by skops, or as a Python model of the user's own.

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
    example = None if features is None else features.head(EXAMPLE_ROWS)
    types = _trusted_types(to_log)
    own = {
        "sk_model": model,
        "signature": infer_signature(example, model.predict(example.copy())) if example is not None else None,
        "serialization_format": mlflow.sklearn.SERIALIZATION_FORMAT_SKOPS,
        "skops_trusted_types": types,
    }
    return mlflow.sklearn, own, [name for name in to_log.trusted if name in {each.partition(".")[0] for each in types}]


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
        features: Rows to predict, of shape (rows, features).
        expected: What the model in memory predicts for them, of shape (rows,).
        written: What this process has saved, by `fingerprint`; code of its own is run where the store gives that back.

    Raises:
        ModelError: It does not load, or predicts something else.
    """
    with translated_errors("fetch the model"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            predicted = load_model(uri, ModelTrust(names.MODEL_NAME, written=written)).predict(features.copy())
        except ModelError as error:
            raise ModelError(f"the saved model does not load back: {error}") from error
        except (TypeError, ValueError, AttributeError, ImportError) as error:
            raise ModelError(f"the saved model does not load back: {type(error).__name__}: {error}") from error
    if not is_alike(predicted, expected):
        raise ModelError(
            f"the saved model predicts otherwise than the one in memory for {np.sum(predicted != expected)} of {len(expected)}"
        )


def is_alike(predicted: np.ndarray, expected: np.ndarray) -> bool:
    """Whether two predictions of the same rows are the same, but for what rounding does to numbers."""
    if expected.dtype.kind == "f":
        return bool(np.allclose(predicted, expected, rtol=1e-9, atol=1e-12, equal_nan=True))
    return bool(np.array_equal(predicted, expected))


def _trusted_types(to_log: ModelToLog) -> list[str]:
    try:
        found = skops.io.get_untrusted_types(data=skops.io.dumps(to_log.model))
    except Exception as error:  # skops raises whatever an object's own reduction raises
        raise ModelError(f"{type(to_log.model).__name__} cannot be saved: {type(error).__name__}: {error}") from error
    allowed = TRUSTED_TYPES | set(to_log.trusted)
    refused = [name for name in found if name not in DATA_TYPES and name.partition(".")[0] not in allowed]
    if refused:
        raise ModelError(f"the model holds objects of types that nobody trusts: {', '.join(refused)}{_how_to_trust(refused)}")
    return list(found)


def _how_to_trust(refused: Iterable[str]) -> str:
    """Say which packages to trust, but for Python's own: whoever trusts one of these trusts all that is in it."""
    packages = sorted({name.partition(".")[0] for name in refused})
    foreign = [name for name in packages if name not in sys.stdlib_module_names]
    own = [name for name in packages if name in sys.stdlib_module_names]
    options = " ".join(f"--trust {shell_word(name)}" for name in foreign)
    said = f"; those of Python's own modules ({', '.join(own)}) have no place in a model that others load" if own else ""
    return said + (f"; {options} allows {'the others' if own else 'them'}" if foreign else "")


def _requirements(to_log: ModelToLog) -> list[str]:
    """Pin what the model needs to load: MLflow would start Python again, for many seconds, to find that out."""
    packages = {
        "sklearn",
        "numpy",
        "scipy",
        "pandas",
        "skops",
        "cloudpickle",
        *_packages(to_log.model, {*TRUSTED_PACKAGES, *to_log.trusted}),
    }
    distributions = {name for package in packages for name in _distributions_of(package)}
    return [f"{name}=={importlib.metadata.version(name)}" for name in sorted(distributions)]


def _distributions_of(package: str) -> Sequence[str]:
    """Give the distributions that a top-level module comes from; none for one that nothing has installed.

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


def _packages(model: Any, allowed: Iterable[str]) -> set[str]:
    inner = model.get_params(deep=True).values() if hasattr(model, "get_params") else ()
    parts = [model, *(value for value in inner if hasattr(value, "fit"))]
    return {type(part).__module__.partition(".")[0] for part in parts} & set(allowed)
