"""The seam to MLflow's tracking store: opening it, and turning its errors into ours."""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import mlflow
import requests
from alembic.util import CommandError
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.environment_variables import (
    MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR,
    MLFLOW_HTTP_REQUEST_MAX_RETRIES,
    MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT,
)
from mlflow.exceptions import MlflowException
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from wine_sweep.errors import NotFoundError, TrackingError
from wine_sweep.garbage import uncollected
from wine_sweep.tracking.blank import BlankStore
from wine_sweep.tracking.causes import is_outage
from wine_sweep.wording import mask

_logger = logging.getLogger(__name__)

LOCK_SECONDS = 120
"""How long another process may take to make a store's tables."""

PAGE = 1000
"""The most runs that MLflow gives at once."""

REACH_SECONDS = 10
"""How long a tracking server may take to answer before it counts as not there."""

RETRIES = 4
"""How often MLflow's HTTP client tries again, half a minute in all; its own default takes minutes."""

_UNKNOWN = "the server does not know these credentials; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
_FORBIDDEN = "the server does not permit it to this user; who manages the experiment or the model there can grant it"
REFUSALS: Mapping[object, str] = {
    "UNAUTHENTICATED": _UNKNOWN,
    "CUSTOMER_UNAUTHORIZED": _UNKNOWN,
    401: _UNKNOWN,
    "PERMISSION_DENIED": _FORBIDDEN,
    403: _FORBIDDEN,
}
"""What a server that refuses means, by MLflow's name for it or by HTTP's number."""


def open_store(tracking_uri: str | None, *, create: bool = False) -> MlflowClient:
    """Open the store and make it MLflow's current one.

    Args:
        tracking_uri: Where it is; None for what MLFLOW_TRACKING_URI or MLflow's own default says.
        create: Whether a SQLite file that is missing is made.

    Raises:
        NotFoundError: There is no such SQLite file, and it is not to be made.
        TrackingError: It cannot be reached or opened.
    """
    _quieten()
    with translated_errors("open the store"):
        if tracking_uri is not None:
            mlflow.set_tracking_uri(tracking_uri)
        uri = mlflow.get_tracking_uri()
    if uri.startswith(("http://", "https://")):
        _reach(uri)
    if not create and not store_exists(uri):
        raise NotFoundError(f"there is no store at {mask(uri)} yet; `wine-sweep run CONFIG` makes one")
    _logger.debug("tracking store: %s", mask(uri))
    with translated_errors("open the store"), _one_at_a_time(uri):
        return _opened(uri)


def _opened(uri: str) -> MlflowClient:
    """Open a store that may be made; a SQLite file that is new gets its tables, copied where they were made before."""
    path = _file_of(uri)
    blank = BlankStore.of_this_mlflow() if path is not None and not path.exists() else None
    is_copied = blank is not None and path is not None and blank.copy_to(path)
    client = MlflowClient()
    client.search_experiments(max_results=1)
    if blank is not None and path is not None and not is_copied:
        blank.keep(path)
    return client


def _quieten() -> None:
    """Have MLflow print nothing, and not wait for minutes for a server that is gone; the user's own settings stand."""
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("mlflow.store.db.utils").setLevel(
        logging.CRITICAL
    )  # prints the traceback of an error that it raises as well
    MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR.set("false")
    MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT.set("true")
    if not MLFLOW_HTTP_REQUEST_MAX_RETRIES.is_set():
        MLFLOW_HTTP_REQUEST_MAX_RETRIES.set(str(RETRIES))


def leave_retries_to_policy() -> None:
    """Have MLflow's HTTP client try once, since an `OutagePolicy` does the rest.

    The client would repeat a request whose answer got lost without looking whether it was done, and make two runs of one.
    """
    MLFLOW_HTTP_REQUEST_MAX_RETRIES.set("0")


@contextmanager
def retries_left_to_policy() -> Iterator[None]:
    """Leave retries to a policy within this context, as `leave_retries_to_policy` does; and as before after it."""
    before = MLFLOW_HTTP_REQUEST_MAX_RETRIES.get()
    leave_retries_to_policy()
    try:
        yield
    finally:
        MLFLOW_HTTP_REQUEST_MAX_RETRIES.set(str(before))


def _one_at_a_time(uri: str) -> AbstractContextManager[object]:
    """Keep other sweeps from making the tables of the same SQLite file at the same time, which would spoil it."""
    if not uri.startswith("sqlite:"):
        return nullcontext()
    name = hashlib.sha256(os.path.abspath(uri).encode()).hexdigest()[:16]
    return FileLock(Path(tempfile.gettempdir()) / f"wine-sweep-{name}.lock", timeout=LOCK_SECONDS)


def resolve_uri(tracking_uri: str | None) -> str:
    """Give the store's URI: the one given, or what MLFLOW_TRACKING_URI or MLflow's own default says."""
    return tracking_uri or str(mlflow.get_tracking_uri())


def store_exists(uri: str) -> bool:
    """Whether there is a store already; opening a SQLite file that is missing would make one."""
    path = _file_of(uri)
    try:
        return path is None or path.exists()
    except OSError:  # such as a name that is too long for a file
        return False


def _file_of(uri: str) -> Path | None:
    """Give the SQLite file behind a URI; None for any other store, one in memory too."""
    if not uri.startswith("sqlite:///"):
        return None
    database = make_url(uri).database or ""
    return Path(database) if database and not database.startswith((":memory:", "file:")) else None


@contextmanager
def translated_errors(action: str) -> Iterator[None]:
    """Turn what MLflow, its database and its HTTP client raise into a `TrackingError` that says what could not be done."""
    try:
        yield
    except (MlflowException, SQLAlchemyError, CommandError, requests.RequestException, OSError, ImportError) as error:
        raise TrackingError(f"MLflow could not {action}: {_reason(error)}", is_outage=is_outage(error)) from error


def _reason(error: Exception) -> str:
    """Give one line that says why: what a server means that refuses, in words, else what the error says first."""
    response = getattr(error, "response", None)
    code = getattr(error, "error_code", None) or getattr(response, "status_code", None)
    if code in REFUSALS:
        return REFUSALS[code]
    lines = mask(str(error)).strip().splitlines() or [type(error).__name__]
    return lines[0][:500]


def _reach(uri: str) -> None:
    """Fail soon when nobody listens; MLflow's own client would try again for minutes."""
    try:
        requests.get(uri, timeout=REACH_SECONDS, stream=True).close()
    except requests.exceptions.SSLError:
        return  # somebody answers; whose certificates count is for MLflow's own settings to say
    except (requests.RequestException, ValueError) as error:  # ValueError: urllib3 finds that it is no address
        raise TrackingError(f"no tracking server answers at {mask(uri)}; is it running, and is the address right?") from error


def search_all(
    client: MlflowClient, experiments: list[str], query: str, *, order_by: list[str] | None = None, page: int | None = None
) -> Iterator[Run]:
    """Yield all runs that fit, page by page: MLflow gives 1,000 at most.

    A page is tens of thousands of objects that stay: without looking for garbage, 10,000 trials on SQLite took 3.9 s of processor
    time instead of 8.6.

    Raises:
        TrackingError: The store failed.
    """
    token = None
    while experiments:
        with translated_errors("search runs"), uncollected():
            found = client.search_runs(experiments, query, max_results=page or PAGE, order_by=order_by, page_token=token)
        yield from found
        token = found.token
        if not token:
            return
