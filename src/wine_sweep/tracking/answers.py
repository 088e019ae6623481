"""Looks at what a tracking server answers, since MLflow's client takes any page with status 200 for an answer.

A login or maintenance page would be stored as an artifact, nothing at all would count as a run that was written, and other JSON
as a run without an id. All of these mean that somebody else than MLflow answered: that the server is away.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import requests
from mlflow.utils import rest_utils

from wine_sweep.wording import mask, visible

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
    """Say what came back in place of an answer of MLflow's; None for one of its own, and for what is not asked of MLflow."""
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
