"""The seam to MLflow's tracking store: opening it, and turning its errors into ours."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

import mlflow
import requests
from mlflow import MlflowClient
from mlflow.environment_variables import MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from wine_sweep.errors import TrackingError

_logger = logging.getLogger(__name__)

REACH_SECONDS = 10
"""How long a tracking server may take to answer before it counts as not there."""

_CREDENTIALS = re.compile(r"(?<=//)[^/@\s]+@")


def open_store(tracking_uri: str | None) -> MlflowClient:
    """Open the store and make it MLflow's current one.

    Args:
        tracking_uri: Where it is; None for what MLFLOW_TRACKING_URI or MLflow's own default says.

    Raises:
        TrackingError: It cannot be reached or opened.
    """
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR.set("false")
    with translated_errors("open the store"):
        if tracking_uri is not None:
            mlflow.set_tracking_uri(tracking_uri)
        uri = mlflow.get_tracking_uri()
        if uri.startswith(("http://", "https://")):
            _reach(uri)
        _logger.debug("tracking store: %s", mask(uri))
        client = MlflowClient()
        client.search_experiments(max_results=1)
    return client


def resolve_uri(tracking_uri: str | None) -> str:
    """Give the store's URI: the one given, or what MLFLOW_TRACKING_URI or MLflow's own default says."""
    return tracking_uri or str(mlflow.get_tracking_uri())


def store_exists(uri: str) -> bool:
    """Whether there is a store already; opening a SQLite file that is missing would make one."""
    return not uri.startswith("sqlite:///") or os.path.exists(uri.removeprefix("sqlite:///"))


@contextmanager
def translated_errors(action: str) -> Iterator[None]:
    """Turn what MLflow, its database and its HTTP client raise into a `TrackingError` that says what could not be done."""
    try:
        yield
    except (MlflowException, SQLAlchemyError, requests.RequestException, OSError) as error:
        lines = mask(str(error)).strip().splitlines() or [type(error).__name__]
        raise TrackingError(f"MLflow could not {action}: {lines[0][:500]}") from error


def mask(text: str) -> str:
    """Hide the user and password of every URL in a text."""
    return _CREDENTIALS.sub("***@", text)


def _reach(uri: str) -> None:
    """Fail soon when nobody listens; MLflow's own client would try again for minutes."""
    try:
        requests.get(uri, timeout=REACH_SECONDS, stream=True).close()
    except (requests.ConnectionError, requests.Timeout) as error:
        raise TrackingError(f"no tracking server answers at {mask(uri)}; is it running, and is the address right?") from error
