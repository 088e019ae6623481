"""Models as their users load them, with what a metric may ask of them."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import warnings
import weakref
from collections.abc import Mapping
from pathlib import Path

import mlflow
import mlflow.pyfunc
import numpy as np
import pandas as pd
import yaml
from mlflow.pyfunc import PyFuncModel
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.store.artifact.models_artifact_repo import ModelsArtifactRepository
from mlflow.store.artifact.runs_artifact_repo import RunsArtifactRepository
from mlflow.utils.file_utils import local_file_uri_to_path
from mlflow.utils.uri import is_local_uri

from wine_sweep.errors import ModelError, TrackingError, UntrustedModelError
from wine_sweep.foreign_output import foreign_output_shown
from wine_sweep.tracking.artifacts import is_elsewhere, split_location
from wine_sweep.tracking.model_policy import MLMODEL, ModelTrust, judge, read_mlmodel
from wine_sweep.tracking.store import translated_errors
from wine_sweep.wording import MODEL_PREFIX, mask, shell_word

_MOST_STEPS = 4
"""How often the store may answer with another URI before files are found."""

_WRITTEN_LATER = frozenset({MLMODEL, "environment_variables.txt", "registered_model_meta"})
"""What MLflow changes or adds once a model is saved; only the first is ever loaded from."""


class LoadedModel:
    """A model that was loaded from MLflow.

    It has `predict_proba` and `classes_` where the model that was saved has them.

    Args:
        loaded: As MLflow has loaded it.
    """

    def __init__(self, loaded: PyFuncModel) -> None:
        self._loaded = loaded
        try:
            raw = loaded.get_raw_model()
        except NotImplementedError:  # a Python model of somebody's own
            return
        if hasattr(raw, "predict_proba") and hasattr(raw, "classes_"):
            self.classes_ = raw.classes_
            self._raw = raw
            self.predict_proba = self._predict_proba

    def predict(self, features: pd.DataFrame) -> np.ndarray:
        """Predict rows, of shape (rows, features); more columns than the model knows do no harm.

        Returns:
            Of shape (rows,) for most models.

        Raises:
            Exception: Whatever MLflow or the model raises, as where a column is missing.
        """
        with foreign_output_shown():
            return np.asarray(self._loaded.predict(self._own(features)))

    def _predict_proba(self, features: pd.DataFrame) -> np.ndarray:
        with foreign_output_shown():
            return np.asarray(self._raw.predict_proba(self._own(features)))

    def _own(self, features: pd.DataFrame) -> pd.DataFrame:
        """Give the columns that the model knows, in its own order."""
        schema = self._loaded.metadata.get_input_schema()
        if schema is None or not schema.has_input_names():
            return features
        return features[[name for name in schema.input_names() if name in features.columns]]


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
                if not _is_trusted(found, trust):
                    _make_harmless(uri, found, trust)
                with foreign_output_shown():
                    return mlflow.pyfunc.load_model(str(found), suppress_warnings=True)
        except ModelError:
            raise
        except TrackingError as error:
            if error.is_outage:
                raise
            raise ModelError(f"{uri} cannot be loaded: {error}") from error
        except Exception as error:  # whatever reading somebody's model raises
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ModelError(f"{uri} cannot be loaded: {type(error).__name__}: {reason[:500]}") from error


def _is_trusted(folder: Path, trust: ModelTrust) -> bool:
    return trust.is_trusted or (trust.written is not None and fingerprint(folder) == trust.written)


def _make_harmless(uri: str, folder: Path, trust: ModelTrust) -> None:
    """Write an MLmodel with nothing in it but what was judged, or refuse the model.

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
    """Say where a model's files lie, as the store has it; a registry of Databricks's alone knows how they are fetched."""
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
    """Give a digest, in hex, of each file of a saved model, by its path; of the MLmodel only what is loaded counts.

    Raises:
        ValueError: It has no MLmodel that can be read.
    """
    names = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    lasting = {name: path for name, path in names.items() if name not in _WRITTEN_LATER and "__pycache__" not in path.parts}
    found = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in lasting.items()}
    flavors = json.dumps(read_mlmodel(folder)["flavors"], sort_keys=True, default=str)
    return {**found, MLMODEL: hashlib.sha256(flavors.encode()).hexdigest()}
