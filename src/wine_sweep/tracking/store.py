"""Open MLflow's tracking store, and translate its errors, its server's foreign answers, and deleted runs.

A login or maintenance page would be stored as an artifact, nothing at all would count as a run that was written, and other JSON
as a run without an id. All of these mean that somebody else than MLflow answered: that the server is away.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import sys
import traceback
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar
from urllib.parse import urlsplit

import mlflow
import requests
from alembic.util import CommandError
from filelock import Timeout
from google.protobuf.json_format import ParseError
from mlflow import MlflowClient, environment_variables
from mlflow.entities import LifecycleStage, Run, ViewType
from mlflow.environment_variables import (
    MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR,
    MLFLOW_HTTP_REQUEST_MAX_RETRIES,
    MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT,
)
from mlflow.exceptions import MlflowException
from mlflow.store.entities import PagedList
from mlflow.utils import rest_utils
from sqlalchemy.exc import SQLAlchemyError

from wine_sweep.errors import ConfigError, DeletedError, NotFoundError, Problem, SourceLocation, TrackingError
from wine_sweep.importing import gc_paused
from wine_sweep.messages import mask, shell_word, show, visible
from wine_sweep.tracking.causes import chain, is_missing, is_outage, needs_login
from wine_sweep.tracking.local_state import alone_on_machine
from wine_sweep.tracking.sqlite_file import (
    BlankStore,
    file_of,
    forget,
    real_path,
    refuse_impossible,
    watch,
    what_became_of,
    why_no_store,
)

_logger = logging.getLogger(__name__)
_HOOK = "_get_http_response_with_retries"
_OURS = re.compile(r"/(?:ajax-)?api/\d\.\d/mlflow(?P<artifacts>-artifacts)?/(?P<call>.*)")
_FILES = "artifacts/"
_HTML = re.compile(r"\s*(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL)
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_HEAD = 65536
_SHOWN = 80
_NO_JSON = object()

_NEEDED = {
    "runs/create": ("run", "info", "run_id"),
    "runs/get": ("run", "info", "run_id"),
    "runs/update": ("run_info",),
    "experiments/create": ("experiment_id",),
    "experiments/get": ("experiment",),
    "experiments/get-by-name": ("experiment",),
    "registered-models/create": ("registered_model",),
    "model-versions/create": ("model_version",),
    "logged-models": ("model",),
}
"""What MLflow's answer to a call always has, as keys one within the other; a call by POST where it has two forms."""

_OF_OTHERS = frozenset({"error", "errors", "error_code", "detail", "message"})
"""What JSON has that says why something could not be done; no answer of MLflow's with status 200 has these."""


class ForeignAnswerError(requests.ConnectionError):
    """Something answered with status 200 that is not MLflow; the words say what came back."""


def watch_answers() -> None:
    """Have every answer with status 200 looked at in this process; again does no harm."""
    original = getattr(rest_utils, _HOOK, None)
    if original is None:
        _logger.warning("this version of MLflow has no %s: a login page would pass for an answer of its server", _HOOK)
    elif not hasattr(original, "is_watched"):
        setattr(rest_utils, _HOOK, _watched(original))


def _watched(original: Callable[..., requests.Response]) -> Callable[..., requests.Response]:
    def get(method: str, url: str, *arguments: Any, **keys: Any) -> requests.Response:
        response = original(method, url, *arguments, **keys)
        what = None if response.status_code != requests.codes.ok else _foreign(method, url, response)
        if what is not None:
            parts = urlsplit(url)
            raise ForeignAnswerError(f"the server at {mask(f'{parts.scheme}://{parts.netloc}')} answered with {what}")
        return response

    get.is_watched = True  # type: ignore[attr-defined]  # so that nobody watches twice
    return get


def _foreign(method: str, url: str, response: requests.Response) -> str | None:
    """Describe what came back in place of an answer of MLflow's; None for one of its own, and for what is not asked of MLflow."""
    asked = _OURS.search(urlsplit(url).path)
    if asked is None or "traces" in asked["call"]:
        return None
    is_file = method == "GET" and asked["artifacts"] is not None and asked["call"].startswith(_FILES)
    if is_file and "Content-Disposition" in response.headers:
        return None
    text = response.text
    if method == "PUT" and asked["artifacts"] is not None and not text:
        return None  # MLflow's own answer to an upload; a proxy that gives the same is noticed at the next call
    if is_file and text.strip() and not _HTML.match(text[:_HEAD]):
        return None
    document = _NO_JSON if is_file else _parsed(text)
    if isinstance(document, dict) and _is_mlflows(method, asked["call"], document):
        return None
    return _what_came(text, is_json=document is not _NO_JSON) + _redirected(response)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return _NO_JSON


def _is_mlflows(method: str, call: str, document: dict[str, Any]) -> bool:
    needed = _NEEDED.get(call) if method == "POST" or "/" in call else None
    if needed is None:
        return not document.keys() & _OF_OTHERS and isinstance(document.get("files", []), list)
    found: Any = document
    for key in needed:
        found = found.get(key) if isinstance(found, dict) else None
    return bool(found)


def _what_came(text: str, *, is_json: bool) -> str:
    if not text.strip():
        return "nothing instead of JSON: is there a proxy in front of it, or maintenance?"
    if _HTML.match(text[:_HEAD]):
        title = _TITLE.search(text[:_HEAD])
        named = f" (title: {_shown(title[1])})" if title is not None and title[1].strip() else ""
        return f"a page of HTML instead of JSON{named}: a login or maintenance page?"
    kind = "JSON that is not MLflow's" if is_json else "something else than JSON"
    return f"{kind}: {_shown(text)}"


def _redirected(response: requests.Response) -> str:
    if not response.history:
        return ""
    parts = urlsplit(response.url)
    return f" It came from {_shown(f'{parts.scheme}://{parts.hostname}{parts.path}')}, where the request was sent on to"


def _shown(text: str) -> str:
    """Show the beginning of a text of somebody else's, on one line, and without what a terminal would obey."""
    line = " ".join(text.split())
    line = line if len(line) <= _SHOWN else f"{line[:_SHOWN]}…"
    return visible(line)


Item = TypeVar("Item")

LOCK_SECONDS = 120
"""How long another process may take to make a store's tables."""

PAGE = 1000
"""The most runs that MLflow gives at once."""

IDLE_PAGES = 20
"""So many pages in a row may hold nothing new before a server counts as one whose pages have no end."""

REACH_SECONDS = 10
"""How long a tracking server may take to answer before it counts as not there."""

RETRIES = 4
"""How often MLflow's HTTP client tries again, half a minute in all; its own default takes minutes."""

_UNKNOWN = "the server does not know these credentials; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
_FORBIDDEN = "the server does not permit it to this user; who manages the experiment or the model there can grant it"
_HEADING = "#####"
"""What MLflow begins the line with that names a file, before the line that says why it could not be had."""

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
        ConfigError: The URI cannot be a SQLite store's, or a variable of MLflow's has a value that it cannot have.
        NotFoundError: There is no such SQLite file, and it is not to be made.
        TrackingError: It cannot be reached or opened.
    """
    _refuse_strange_variables()
    _quieten()
    watch_answers()
    with translated_errors("open the store"):
        if tracking_uri is not None:
            mlflow.set_tracking_uri(tracking_uri)
        uri = mlflow.get_tracking_uri()
    if uri.startswith(("http://", "https://")):
        _reach(uri)
    if create:
        refuse_impossible(uri)
    else:
        require_store(uri)
    _logger.debug("tracking store: %s", mask(uri))
    with translated_errors("open the store"), _one_at_a_time(uri):
        return _opened(uri)


def _opened(uri: str) -> MlflowClient:
    """Open a store that may be made; a SQLite file that is new is put in place with its tables, at once."""
    path = file_of(uri)
    if path is not None and not path.exists():
        forget(path)
        BlankStore.of_this_mlflow().put(path)
    if path is not None and path.exists():
        watch(path)
    client = MlflowClient()
    client.search_experiments(max_results=1)
    if path is not None and path.exists():
        watch(path)  # where it could not be put in place, MLflow has made it just now
    return client


def _refuse_strange_variables() -> None:
    """Refuse values of MLflow's environment variables that it would fail on once it reads them, as in the middle of a sweep.

    Raises:
        ConfigError: One of them is to be a number, or true or false, and is not.
    """
    problems = []
    for variable in vars(environment_variables).values():
        if isinstance(variable, environment_variables._EnvironmentVariable) and variable.is_set():
            try:
                variable.get()
            except ValueError:
                allowed = "true, false, 1 or 0" if variable.type is bool else f"a value of the type {variable.type.__name__}"
                message = f"MLflow takes {allowed} in this environment variable; got {show(variable.get_raw())}"
                problems.append(Problem(message, place=SourceLocation(variable.name)))
    if problems:
        raise ConfigError(problems)


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
    """Have MLflow's HTTP client try once, since an `RetryPolicy` does the rest.

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


@contextmanager
def _one_at_a_time(uri: str) -> Iterator[None]:
    """Keep other processes of this user from making the tables of the same SQLite file at the same time.

    Where that is not possible it costs nothing but their work: a file that is new is put in place with all of its tables, by
    whoever is first, and that is what keeps two users apart.

    Raises:
        TrackingError: Another process makes them, and does not end.
    """
    path = file_of(uri)
    if path is None:
        yield
        return
    name = hashlib.sha256(os.fsencode(real_path(path))).hexdigest()[:32]
    with ExitStack() as held:
        try:
            held.enter_context(alone_on_machine("stores", name, patience=LOCK_SECONDS, without=logging.DEBUG))
        except Timeout as error:
            raise TrackingError(f"another process has been making the store at {mask(uri)} for {LOCK_SECONDS} s") from error
        yield


def resolve_uri(tracking_uri: str | None) -> str:
    """Return the store's URI: the one given, or what MLFLOW_TRACKING_URI or MLflow's own default says."""
    return tracking_uri or str(mlflow.get_tracking_uri())


def require_store(uri: str) -> None:
    """See that there is a store already: opening a SQLite file that is missing or empty would make one.

    Raises:
        ConfigError: The URI cannot be a SQLite store's.
        NotFoundError: There is none.
    """
    refuse_impossible(uri)
    path = file_of(uri)
    if path is not None and (why := why_no_store(path)) is not None:
        advice = "put a copy of it back there, or `wine-sweep run CONFIG` makes a new one"
        raise NotFoundError(f"there is no store at {mask(uri)}: {why}; {advice}")


_OF_MLFLOW = (MlflowException, SQLAlchemyError, CommandError, requests.RequestException, ParseError, OSError, ImportError)
_OF_PARSING = (ValueError, TypeError, LookupError, AttributeError, RecursionError)
"""What MLflow raises, beside its own errors, where a store holds something else than it expects."""

_PACKAGES = frozenset({"mlflow", "urllib3", "requests", "sqlalchemy", "google", "yaml"}) | sys.stdlib_module_names


def _is_of_mlflow(error: BaseException) -> bool:
    """Return whether an error comes from a call into MLflow, and from nothing of somebody else's that this has called."""
    frames = [str(frame.f_globals.get("__name__", "")).partition(".")[0] for frame, _ in traceback.walk_tb(error.__traceback__)]
    ours = max((at for at, package in enumerate(frames) if package == "wine_sweep"), default=-1)
    beyond = frames[ours + 1 :]
    return "mlflow" in beyond[:2] and _PACKAGES.issuperset(beyond)


@contextmanager
def translated_errors(action: str) -> Iterator[None]:
    """Turn what MLflow, its database and its HTTP client raise into a `TrackingError` that says what could not be done."""
    try:
        yield
    except (*_OF_MLFLOW, *_OF_PARSING) as error:
        if not isinstance(error, _OF_MLFLOW) and not _is_of_mlflow(error):
            raise
        happened = what_became_of(str(mlflow.get_tracking_uri()))
        if happened is not None:
            raise TrackingError(f"MLflow could not {action}: {happened[0]}", is_outage=happened[1]) from error
        message = f"MLflow could not {action}: {_reason(error)}"
        raise TrackingError(message, is_outage=is_outage(error), needs_login=needs_login(error)) from error


def _reason(error: Exception) -> str:
    """Return one line that says why: what a server means that refuses, in words, else what the error says first."""
    foreign = next((each for each in chain(error) if isinstance(each, ForeignAnswerError)), None)
    if foreign is not None:
        return str(foreign)
    response = getattr(error, "response", None)
    code = getattr(error, "error_code", None) or getattr(response, "status_code", None)
    if code in REFUSALS:
        return REFUSALS[code]
    first, *more = mask(str(error)).strip().splitlines() or [type(error).__name__]
    if not first.endswith(":"):
        return first[:500]
    failure = next((line for line in more if line.strip() and not line.startswith(_HEADING)), "no reason is given")
    return f"{first[:300]} {failure.strip()[:300]}"


def _reach(uri: str) -> None:
    """Fail soon when nobody listens; MLflow's own client would try again for minutes."""
    try:
        requests.get(uri, timeout=REACH_SECONDS, stream=True).close()
    except requests.exceptions.SSLError:
        return  # somebody answers; whose certificates count is for MLflow's own settings to say
    except (requests.RequestException, ValueError) as error:  # ValueError: urllib3 finds that it is no address
        raise TrackingError(f"no tracking server answers at {mask(uri)}; is it running, and is the address right?") from error


def quoted(value: str) -> str:
    """Write a value as MLflow's filters take it.

    Raises:
        TrackingError: It would not end where it ends: it has both quotation marks, or a backslash.
    """
    mark = '"' if "'" in value else "'"
    if mark in value or "\\" in value:
        raise TrackingError(f"MLflow cannot be asked for {value[:60]!r}: it holds quotation marks or a backslash")
    return f"{mark}{value}{mark}"


def search_all(
    client: MlflowClient,
    experiments: list[str],
    query: str,
    *,
    order_by: list[str] | None = None,
    page: int | None = None,
    view: int = ViewType.ACTIVE_ONLY,
) -> Iterator[Run]:
    """Yield all runs that fit, page by page: MLflow gives 1,000 at most.

    A page is tens of thousands of objects that stay: without looking for garbage, 10,000 trials on SQLite took 3.9 s of processor
    time instead of 8.6.

    Raises:
        TrackingError: The store failed.
    """
    if not experiments:
        return

    def found(token: str | None) -> PagedList[Run]:
        with gc_paused():
            return client.search_runs(
                experiments, query, run_view_type=view, max_results=page or PAGE, order_by=order_by, page_token=token
            )

    yield from all_pages(found, lambda run: run.info.run_id, "search runs")


def all_pages(ask: Callable[[str | None], PagedList[Item]], key: Callable[[Item], Hashable], action: str) -> Iterator[Item]:
    """Yield what is on all pages of an answer, page by page.

    Args:
        ask: Gives the page of a token, which the page before has; the first page has none.
        key: What tells the items apart.
        action: What is done, for the message of an error.

    Raises:
        TrackingError: The store failed, or its pages have no end: a token comes again, or page after page has nothing new.
    """
    tokens: set[str] = set()
    seen: set[Hashable] = set()
    token, idle = None, 0
    while True:
        with translated_errors(action):
            found = ask(token)
            keys = {key(each) for each in found}
        yield from found
        token, idle = found.token, 0 if keys - seen else idle + 1
        if not token:
            return
        if token in tokens or idle > IDLE_PAGES:
            what = "gives the same page again" if token in tokens else f"has given {idle} pages with nothing new"
            raise TrackingError(f"MLflow could not {action}: the server {what}, and says that there are more")
        seen |= keys
        tokens.add(token)


def is_gone(client: MlflowClient, run_id: str) -> bool:
    """Return whether a run was deleted, be it for good.

    Raises:
        TrackingError: The store failed.
    """
    with translated_errors(f"read the run {run_id}"):
        try:
            return bool(client.get_run(run_id).info.lifecycle_stage != LifecycleStage.ACTIVE)
        except MlflowException as error:
            if not is_missing(error):
                raise
            return True


def why_gone(client: MlflowClient, run: Run, what: str) -> DeletedError | None:
    """Return the error that says that a run, or the experiment that it is in, was deleted; None where neither was.

    Args:
        client: The open store.
        run: The run.
        what: What it is: ``the sweep 'wine'``.

    Raises:
        TrackingError: The store failed.
    """
    with translated_errors(f"read the experiment of {what}"):
        experiment = client.get_experiment(run.info.experiment_id)
    if experiment.lifecycle_stage != LifecycleStage.ACTIVE:
        return experiment_deleted(client, experiment.name, experiment.experiment_id, whose=f" of {what}")
    if run.info.lifecycle_stage == LifecycleStage.ACTIVE:
        return None
    command = _command(client, f"runs restore --run-id {shell_word(run.info.run_id)}")
    return DeletedError(f"{what} was deleted in MLflow; `{command}` brings it back")


def experiment_deleted(client: MlflowClient, name: str, identifier: str, *, whose: str = "") -> DeletedError:
    """Return the error that says that an experiment was deleted."""
    command = _command(client, f"experiments restore --experiment-id {shell_word(identifier)}")
    return DeletedError(f"the experiment '{name}'{whose} was deleted in MLflow; `{command}` brings it back with all of its runs")


def _command(client: MlflowClient, arguments: str) -> str:
    """Write a command of MLflow's on this store; a password in its URI is left out."""
    return f"MLFLOW_TRACKING_URI={shell_word(mask(str(client.tracking_uri)))} mlflow {arguments}"
