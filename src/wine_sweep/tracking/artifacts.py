"""The files of runs and models: the only place that decides where they may lie, and the way that reads and writes of them take.

Whoever may write to the store decides what it says of that place. So a run's files are taken to be where MLflow puts them: in a
folder ``artifacts`` within one that has the run's id for its name. No other folder of this machine is read or written over, and
no server but the store's is sent the credentials for the store.
"""

from __future__ import annotations

import functools
import posixpath
import re
import tempfile
from pathlib import Path, PurePath
from urllib.parse import SplitResult, urlsplit

import mlflow
from mlflow import MlflowClient
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.file_utils import local_file_uri_to_path
from mlflow.utils.uri import add_databricks_profile_info_to_artifact_uri
from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from wine_sweep.errors import TrackingError
from wine_sweep.wording import mask

_WITH_CREDENTIALS = frozenset({"http", "https", "mlflow-artifacts"})
_LOCAL = frozenset({"", "file"})
_LEADS_ON = frozenset({"runs", "models"})
"""What names another run or model, whose place is looked up in turn."""

_PORTS = {"http": 80, "https": 443}
_ID = re.compile(r"(m-)?[0-9a-f]{32}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_FOLDER = "artifacts"


def write_text(client: MlflowClient, run_id: str, text: str, name: str) -> None:
    """Write a text as an artifact of a run.

    Raises:
        TrackingError: The run's files lie where they must not.
        Exception: Whatever MLflow raises.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / posixpath.basename(name)
        path.write_text(text, encoding="utf-8")
        write_file(client, run_id, path, posixpath.dirname(name) or None)


def write_file(client: MlflowClient, run_id: str, path: Path, folder: str | None = None) -> None:
    """Make a file an artifact of a run, in a folder of its artifacts; raises as `write_text`."""
    _files_of(client, run_id).log_artifact(str(path), folder)


def write_folder(client: MlflowClient, run_id: str, content: Path, folder: str | None = None) -> None:
    """Make all that is in a folder artifacts of a run, in a folder of its artifacts; raises as `write_text`."""
    _files_of(client, run_id).log_artifacts(str(content), folder)


def has_folder(client: MlflowClient, run_id: str, folder: str) -> bool:
    """Whether a run has artifacts in a folder; raises as `write_text`."""
    return bool(_files_of(client, run_id).list_artifacts(folder))


def fetch(client: MlflowClient, run_id: str, name: str, into: str) -> Path:
    """Fetch an artifact of a run, a file or a folder, into a folder, and return where it is; raises as `write_text`."""
    return Path(_files_of(client, run_id).download_artifacts(name, into))


@functools.lru_cache(maxsize=64)
def _files_of(client: MlflowClient, run_id: str) -> ArtifactRepository:
    """Give MLflow's access to a run's files; that is one call to the store, once, and what it answers is checked."""
    location = str(client.get_run(run_id).info.artifact_uri or "")
    check_location(location, f"run {run_id}", run_id)
    uri = client.tracking_uri
    return get_artifact_repository(add_databricks_profile_info_to_artifact_uri(location, uri), tracking_uri=uri)


def check_location(location: str, owner: str, identifier: str) -> None:
    """See that the files of a run, or of a logged model, lie where MLflow puts them.

    Args:
        location: Where they lie, as the store has it.
        owner: Whose they are, for the message.
        identifier: The id of the run or of the model.

    Raises:
        TrackingError: They lie elsewhere.
    """
    why = _refusal(location, identifier)
    if why is not None:
        what = f"the files of the {owner} lie at {mask(location)[:200]!r}, {why}"
        raise TrackingError(f"{what}; somebody has changed that in the store, and nothing is read or written there")


def _refusal(location: str, identifier: str) -> str | None:
    """Say why a location is none that MLflow gives to a run or a model; None where it may be."""
    parts = split_location(location)
    if parts is None:
        return "which is no address that all programs read alike"
    if parts.scheme in _LEADS_ON:
        return "which leads on to another run or model"
    if is_elsewhere(location) and _has_credentials(location):
        return "a server that is not the store's and would be sent the credentials for it"
    is_local = parts.scheme in _LOCAL
    path = PurePath(local_file_uri_to_path(location) if is_local else parts.path)
    if path.parts[-2:] != (identifier, _FOLDER) or ".." in path.parts or (is_local and not _ID.fullmatch(identifier)):
        return f"which is not the folder {identifier}/{_FOLDER} that MLflow makes for it"
    return None


def split_location(location: str) -> SplitResult | None:
    """Split a location as Python does; None where that fails, or the client that connects would read it in another way."""
    if _CONTROL.search(location) or location != location.strip():
        return None
    try:
        found = urlsplit(location)
        if found.scheme not in _WITH_CREDENTIALS:
            return found
        other = parse_url(location)
        same = (found.hostname or None, found.port) == (_bare(other.host), other.port)
    except (ValueError, LocationParseError):
        return None
    is_plain = "\\" not in location and not re.search(r"\s", found.netloc)
    has_host = bool(found.hostname) or (found.scheme == "mlflow-artifacts" and not found.netloc)
    return found if same and is_plain and has_host else None


def _bare(host: str | None) -> str | None:
    return host.lower().strip("[]") if host else None


def is_elsewhere(location: str) -> bool:
    """Whether a location is on a server of MLflow's protocol that is another than the tracking server, or may be."""
    found, store = split_location(location), urlsplit(mlflow.get_tracking_uri())
    if found is None:
        return True
    usual = _PORTS.get(store.scheme)
    is_same = (found.hostname, found.port or _PORTS.get(found.scheme, usual)) == (store.hostname, store.port or usual)
    is_open = found.scheme == "http" and store.scheme == "https"  # the credentials could be read on the way
    return found.scheme in _WITH_CREDENTIALS and bool(found.netloc) and not (is_same and not is_open)


def _has_credentials(location: str) -> bool:
    """Whether MLflow knows credentials that it would send to any server."""
    known = get_default_host_creds(location)
    return any((known.username, known.password, known.token, known.auth, known.aws_sigv4, known.client_cert_path))
