"""The files of runs and models: the only place that decides where they may lie, and the way that reads and writes of them take.

Whoever may write to the store decides what it says of that place. So a run's files are taken to be where MLflow puts them: in a
folder ``artifacts`` within one that has the run's id for its name. No other folder of this machine is read or written over, and
no server but the store's is sent the credentials for the store.
"""

from __future__ import annotations

import errno
import functools
import os
import posixpath
import re
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath
from urllib.parse import SplitResult, urlsplit

import mlflow
from mlflow import MlflowClient
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.file_utils import local_file_uri_to_path
from mlflow.utils.uri import add_databricks_profile_info_to_artifact_uri
from requests.utils import get_netrc_auth
from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from wine_sweep.errors import TrackingError
from wine_sweep.messages import mask

_WITH_CREDENTIALS = frozenset({"http", "https", "mlflow-artifacts"})
_LOCAL = frozenset({"", "file"})
_LEADS_ON = frozenset({"runs", "models"})
"""What names another run or model, whose place is looked up in turn."""

_PORTS = {"http": 80, "https": 443}
_ID = re.compile(r"(m-)?[0-9a-f]{32}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_FOLDER = "artifacts"
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL


def write_text(client: MlflowClient, run_id: str, text: str, name: str) -> None:
    """Write a text as an artifact of a run.

    Raises:
        TrackingError: The run's files lie where they must not.
        Exception: Whatever MLflow raises.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / posixpath.basename(name)
        path.write_text(text, encoding="utf-8")
        write(client, run_id, path, posixpath.dirname(name) or None)


def write(client: MlflowClient, run_id: str, path: Path, folder: str | None = None) -> None:
    """Make a file, or all that is in a folder, artifacts of a run, in a folder of its artifacts; raises as `write_text`."""
    _files_of(client, run_id).write(path, folder)


def has_folder(client: MlflowClient, run_id: str, folder: str) -> bool:
    """Return whether a run has artifacts in a folder; raises as `write_text`."""
    return bool(_files_of(client, run_id).to_read().list_artifacts(folder))


def fetch(client: MlflowClient, run_id: str, name: str, into: str) -> Path:
    """Fetch an artifact of a run, a file or a folder, into a folder, and return where it is; raises as `write_text`."""
    return Path(_files_of(client, run_id).to_read().download_artifacts(name, into))


@functools.lru_cache(maxsize=64)
def _files_of(client: MlflowClient, run_id: str) -> Files:
    """Return access to a run's files; that is one call to the store, once, and what it answers is checked."""
    location = str(client.get_run(run_id).info.artifact_uri or "")
    return Files.at(client, location, f"run {run_id}", run_id)


@dataclass(frozen=True)
class Files:
    """The files of a run or of a logged model, in a place that was checked: it is not asked for again.

    Args:
        location: The place, as the store has it.
        repository: MLflow's access to them.
        root: The folder, where it is one of this machine's.
    """

    location: str
    repository: ArtifactRepository
    root: Path | None

    @classmethod
    def at(cls, client: MlflowClient, location: str, owner: str, identifier: str) -> Files:
        """Return access to files at a location; see `check_location` for the other arguments and what is raised."""
        check_location(location, owner, identifier)
        uri = client.tracking_uri
        repository = get_artifact_repository(add_databricks_profile_info_to_artifact_uri(location, uri), tracking_uri=uri)
        is_local = urlsplit(location).scheme in _LOCAL
        return cls(location, repository, Path(local_file_uri_to_path(location)) if is_local else None)

    def write(self, content: Path, folder: str | None = None) -> None:
        """Write a file, or all that is in a folder, into a folder among them; raises as `write_text`."""
        if self.root is not None and os.open in os.supports_dir_fd:
            _copy(content, self.root, folder)
        elif content.is_dir():
            self.repository.log_artifacts(str(content), folder)
        else:
            self.repository.log_artifact(str(content), folder)

    def to_read(self) -> ArtifactRepository:
        """Return MLflow's access for reading; raises as `write_text`."""
        if self.root is not None:
            for path in (self.root.parent, self.root):
                if path.is_symlink():
                    raise _is_a_link(path)
        return self.repository


def _copy(content: Path, root: Path, folder: str | None) -> None:
    """Copy a file, or all that is in a folder, to where a run's files lie.

    Where others may write to the folders of runs they may put a link there at any time. So nothing is opened by its whole path:
    each folder is opened from the one above it, from the experiment's on, and none of them is a link.
    """
    root.parent.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        within = stack.enter_context(_opened(os.open(root.parent.parent, os.O_RDONLY | os.O_DIRECTORY)))
        path = root.parent.parent
        for part in (root.parent.name, root.name, *PurePosixPath(folder or "").parts):
            path = path / part
            within = stack.enter_context(_opened(_enter(within, path)))
        for each in content.iterdir() if content.is_dir() else [content]:
            _copy_one(each, within, path / each.name)


def _copy_one(content: Path, within: int, path: Path) -> None:
    if content.is_dir():
        with _opened(_enter(within, path)) as folder:
            for each in content.iterdir():
                _copy_one(each, folder, path / each.name)
        return
    written = f".{uuid.uuid4().hex}"
    try:
        with content.open("rb") as source, os.fdopen(os.open(written, _NEW, 0o666, dir_fd=within), "wb") as target:
            shutil.copyfileobj(source, target)
        os.replace(written, path.name, src_dir_fd=within, dst_dir_fd=within)  # whole or not at all, and no link is followed
    except BaseException:
        with suppress(OSError):
            os.unlink(written, dir_fd=within)
        raise


def _enter(within: int, path: Path) -> int:
    """Open a folder within another, made if it is missing."""
    with suppress(FileExistsError):
        os.mkdir(path.name, dir_fd=within)
    try:
        return os.open(path.name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=within)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise _is_a_link(path) from error
        raise


@contextmanager
def _opened(folder: int) -> Iterator[int]:
    try:
        yield folder
    finally:
        os.close(folder)


def _is_a_link(path: Path) -> TrackingError:
    return TrackingError(f"{path} is a link or no folder; MLflow makes a folder there, and nothing is read or written elsewhere")


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
    """Describe why a location is none that MLflow gives to a run or a model; None where it may be."""
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
    """Return whether a location is on a server of MLflow's protocol that is another than the tracking server, or may be."""
    found, store = split_location(location), urlsplit(mlflow.get_tracking_uri())
    if found is None:
        return True
    usual = _PORTS.get(store.scheme)
    is_same = (found.hostname, found.port or _PORTS.get(found.scheme, usual)) == (store.hostname, store.port or usual)
    is_open = found.scheme == "http" and store.scheme == "https"  # the credentials could be read on the way
    return found.scheme in _WITH_CREDENTIALS and bool(found.netloc) and not (is_same and not is_open)


def _has_credentials(location: str) -> bool:
    """Return whether a server would be sent credentials: MLflow's go to any, and those of ``.netrc`` by host."""
    known, parts = get_default_host_creds(location), urlsplit(location)
    if get_netrc_auth(f"http://{parts.netloc}") is not None:
        return True
    return any((known.username, known.password, known.token, known.auth, known.aws_sigv4, known.client_cert_path))
