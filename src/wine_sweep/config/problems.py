"""What pydantic finds wrong, in words that name what is allowed."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from wine_sweep.errors import Path, Problem

_WRONG = "wrong"
_EXPECTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "text",
    "bool_type": "true or false",
    "dict_type": "a mapping of keys",
    "model_type": "a mapping of keys",
    "list_type": "a list",
}
_LIMITS = {
    "greater_than": ("above", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("below", "lt"),
    "less_than_equal": ("at most", "le"),
}


def wrong(message: str, *at: str) -> PydanticCustomError:
    """Make the error that a validator raises; `at` leads from the validated object to the key that is to blame."""
    return PydanticCustomError(_WRONG, "{message}", {"message": message, "at": at})


def did_you_mean(name: object, allowed: Iterable[str]) -> str:
    """Give ``; did you mean 'x'?`` for the nearest allowed name, or nothing when none is near."""
    near = difflib.get_close_matches(str(name), list(allowed), n=1, cutoff=0.6)
    return f"; did you mean '{near[0]}'?" if near else ""


def one_of(name: object, allowed: Iterable[str], *, most: int = 12) -> str:
    """Say that `name` is none of the allowed ones, which is nearest, and what they are (at most `most` of them)."""
    names = list(allowed)
    shown = ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
    near = did_you_mean(name, names)
    return f"{near.removeprefix('; ')} Allowed: {shown}" if near else f"allowed: {shown}"


def explain(error: ValidationError, model: type[BaseModel], *, union_tags: Iterable[str]) -> list[Problem]:
    """Translate everything that pydantic found, once per place.

    Args:
        error: What pydantic raised when `model` was validated.
        model: The model at the top of the config.
        union_tags: Names that pydantic puts into an error's location and the config does not have.
    """
    tags = set(union_tags)
    found: dict[tuple[Path, bool], list[str]] = {}
    for detail in error.errors(include_url=False):
        path = tuple(part for index, part in enumerate(detail["loc"]) if not (part in tags and _is_tag(detail["loc"], index)))
        message, more, at_key = _translate(detail, path, model)
        found.setdefault(((*path, *more), at_key), []).append(message)
    return [Problem(_merge(messages), path, at_key=at_key) for (path, at_key), messages in found.items()]


def _is_tag(location: tuple[int | str, ...], index: int) -> bool:
    """A union's tag follows the parameter's name: ``search.parameters.alpha.range.low``."""
    return index == 3 and location[:2] == ("search", "parameters")


def _merge(messages: list[str]) -> str:
    """A union reports each of its members: ``expected a whole number``, ``expected a number`` become one sentence."""
    distinct = list(dict.fromkeys(messages))
    if len(distinct) > 1 and all(message.startswith("expected ") for message in distinct):
        return distinct[-1]
    return "; ".join(distinct)


def _translate(detail: ErrorDetails, path: Path, model: type[BaseModel]) -> tuple[str, Path, bool]:
    kind, value, context = detail["type"], detail.get("input"), detail.get("ctx", {})
    if kind == _WRONG:
        return str(context["message"]), tuple(context["at"]), False
    if kind == "extra_forbidden":
        return f"unknown key; {one_of(path[-1], _keys_at(model, path[:-1]), most=20)}", (), True
    if kind == "missing":
        return "is missing", (), False
    if kind == "invalid_key" or path[-1:] == ("[key]",):
        return "a key must be text; put it in quotes", (), True
    if kind == "enum":
        allowed = str(context["expected"]).replace("'", "").replace(" or ", ", ").split(", ")
        return f"got {show(value)}; {one_of(value, allowed)}", (), False
    if kind in _EXPECTED or kind.endswith("_type") and kind in _EXPECTED:
        return f"expected {_EXPECTED[kind]}, got {show(value)}", (), False
    if kind in _LIMITS:
        word, key = _LIMITS[kind]
        return f"must be {word} {context[key]}, got {show(value)}", (), False
    if kind in ("too_short", "string_too_short"):
        return "must not be empty", (), False
    return f"{detail['msg']}, got {show(value)}", (), False


def show(value: object) -> str:
    """Show a value as short text that tells its type: ``'5' (text)``, ``a list``."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"'{value[:60]}' (text)"
    if isinstance(value, dict):
        return "a mapping"
    return "a list" if isinstance(value, list) else str(value)[:60]


def _keys_at(model: type[BaseModel], path: Path) -> list[str]:
    """List the keys that the model at `path` knows; where a key's form is open, of every form it can take."""
    models = [model]
    for part in path:
        models = [inner for outer in models for inner in _models_in(_field(outer, part))] or models
    return list(dict.fromkeys(name for each in models for name in each.model_fields))


def _field(model: type[BaseModel], part: str | int) -> Any:
    info = model.model_fields.get(str(part))
    return (info.annotation, *info.metadata) if info else ()


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """Find the models inside an annotation, through unions, lists, dicts and `Annotated`."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias) and issubclass(annotation, BaseModel):
        return [annotation]
    inner = annotation if isinstance(annotation, tuple) else typing.get_args(annotation)
    return [model for part in inner for model in _models_in(part)]
