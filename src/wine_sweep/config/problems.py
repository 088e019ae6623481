"""What pydantic finds wrong, in words that name what is allowed."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticCustomError

from wine_sweep.errors import ConfigPath, Problem
from wine_sweep.wording import one_of, show

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
_PLAIN = {
    "missing": "is missing",
    "too_short": "must not be empty",
    "string_too_short": "must not be empty",
}
_LIMITS = {
    "greater_than": ("above", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("below", "lt"),
    "less_than_equal": ("at most", "le"),
}


def config_error(message: str, *at: str | int) -> PydanticCustomError:
    """Make the error that a validator raises; `at` leads from the validated object to the key that is to blame."""
    return PydanticCustomError(_WRONG, "{message}", {"message": message, "at": at})


def explain(error: ValidationError, model: type[BaseModel], *, union_tags: Iterable[str]) -> list[Problem]:
    """Translate everything that pydantic found, once per place.

    Args:
        error: What pydantic raised when `model` was validated.
        model: The model at the top of the config.
        union_tags: Names that pydantic puts into an error's location and the config does not have.
    """
    tags = set(union_tags)
    problems = []
    for detail in error.errors(include_url=False):
        location = detail["loc"]
        path = tuple(part for index, part in enumerate(location) if not (part in tags and _is_tag(location, index)))
        problems.append(_translate(detail, path, model))
    return list(dict.fromkeys(problems))


def _is_tag(location: tuple[int | str, ...], index: int) -> bool:
    """A union's tag follows the parameter's name: ``search.parameters.alpha.range.low``, ``models.svr.parameters.C.range``."""
    if location[:2] == ("search", "parameters"):
        return index == 3
    return index == 4 and location[0] == "models" and location[2] == "parameters"


def _translate(detail: ErrorDetails, path: ConfigPath, model: type[BaseModel]) -> Problem:
    """Put one of pydantic's errors into words; `path` is where it is, without pydantic's own parts."""
    kind, value, context = detail["type"], detail.get("input"), detail.get("ctx", {})
    if kind == _WRONG:
        return Problem(str(context["message"]), (*path, *context["at"]))
    if kind == "extra_forbidden":
        known = _keys_at(model, path[:-1])
        message = (
            "does not go with the other keys here" if path[-1] in known else f"unknown key; {one_of(path[-1], known, most=20)}"
        )
        return Problem(message, path, at_key=True)
    if kind == "invalid_key" or path[-1:] == ("[key]",):
        return Problem("a key must be text; put it in quotes", path[:-1] if path[-1] == "[key]" else path, at_key=True)
    return Problem(_describe(kind, value, context) or f"{detail['msg']}, got {show(value)}", path)


def _describe(kind: str, value: object, context: dict[str, Any]) -> str | None:
    if kind in _EXPECTED:
        return f"expected {_EXPECTED[kind]}, got {show(value)}"
    if kind == "enum":
        allowed = str(context["expected"]).replace("'", "").replace(" or ", ", ").split(", ")
        return f"got {show(value)}; {one_of(value, allowed)}"
    if kind == "too_long":
        return f"holds {context['max_length']} entries at most, got {context['actual_length']}"
    if kind in _LIMITS:
        word, key = _LIMITS[kind]
        return f"must be {word} {context[key]}, got {show(value)}"
    return _PLAIN.get(kind)


def _keys_at(model: type[BaseModel], path: ConfigPath) -> list[str]:
    """List the keys that the model at `path` knows; where a key's form is open, of every form it can take."""
    models = [model]
    for part in path:
        models = [inner for outer in models for inner in _models_in(_field(outer, part))] or models
    return list(dict.fromkeys(name for each in models for name in map(_key, each.model_fields.items())))


def _key(field: tuple[str, FieldInfo]) -> str:
    """Give the key that a config has for a field: its alias where its name is a word of Python's."""
    name, info = field
    return info.alias or name


def _field(model: type[BaseModel], part: str | int) -> Any:
    info = model.model_fields.get(str(part))
    return (info.annotation, *info.metadata) if info else ()


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """Find the models inside an annotation, through unions, lists, dicts and `Annotated`."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias) and issubclass(annotation, BaseModel):
        return [annotation]
    inner = annotation if isinstance(annotation, tuple) else typing.get_args(annotation)
    return [model for part in inner for model in _models_in(part)]
