"""Types of values that sections share, and pydantic's errors in plain words."""

from __future__ import annotations

import os
import pathlib
import re
import types
import typing
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticCustomError

from wine_sweep.errors import Code, ConfigError, ConfigPath, Problem
from wine_sweep.messages import one_of, show

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
_GONE = {("search", "regret"): "is gone, as is what Optuna had for it; stop by `trials`, `timeout`, `patience` or `target`"}
_CODES: dict[str, Code] = {
    "missing": "missing-key",
    "enum": "unknown-value",
    "too_long": "out-of-range",
    "too_short": "out-of-range",
    "string_too_long": "out-of-range",
    "string_too_short": "out-of-range",
}
_LIMITS = {
    "greater_than": ("above", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("below", "lt"),
    "less_than_equal": ("at most", "le"),
}


def config_error(message: str, *at: str | int, code: Code = "invalid") -> PydanticCustomError:
    """Make the error that a validator raises; `at` leads from the validated object to the key that is to blame."""
    return PydanticCustomError(_WRONG, "{message}", {"message": message, "at": at, "code": code})


def explain(error: ValidationError, model: type[BaseModel], *, union_tags: Iterable[str], at: ConfigPath = ()) -> list[Problem]:
    """Translate everything that pydantic found, once per place.

    Args:
        error: What pydantic raised when the value at `at` was validated.
        model: The model at the top of the config.
        union_tags: Names that pydantic puts into an error's location and the config does not have.
        at: Where the value stands.
    """
    tags = set(union_tags)
    problems = []
    for detail in error.errors(include_url=False):
        location = (*at, *detail["loc"])
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
        return Problem(str(context["message"]), (*path, *context["at"]), code=context["code"])
    if kind == "extra_forbidden":
        return unknown_key(path, _keys_at(model, path[:-1]))
    if kind == "invalid_key" or path[-1:] == ("[key]",):
        return not_text(path[:-1] if path[-1] == "[key]" else path)
    code: Code = "wrong-type" if kind in _EXPECTED else "out-of-range" if kind in _LIMITS else _CODES.get(kind, "invalid")
    return Problem(_describe(kind, value, context) or f"{detail['msg']}, got {show(value)}", path, code=code)


def unknown_key(path: ConfigPath, known: Sequence[str]) -> Problem:
    """Report a key that is none of those known there, or does not go with the others."""
    if path in _GONE:
        return Problem(_GONE[path], path, at_key=True, code="unknown-key")
    if path[-1] in known:
        return Problem("does not go with the other keys here", path, at_key=True, code="conflict")
    return Problem(f"unknown key; {one_of(path[-1], known, most=30)}", path, at_key=True, code="unknown-key")


def not_text(path: ConfigPath) -> Problem:
    """Report a key that is a number, say."""
    return Problem("a key must be text; put it in quotes", path, at_key=True, code="wrong-type")


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
    return list(dict.fromkeys(key for each in models for key in fields_of(each)))


def fields_of(model: type[BaseModel]) -> dict[str, tuple[str, FieldInfo]]:
    """Return a model's fields, each with its name, by the keys of a config: an alias where the name is a word of Python's."""
    return {info.alias or name: (name, info) for name, info in model.model_fields.items()}


def _field(model: type[BaseModel], part: str | int) -> Any:
    info = model.model_fields.get(str(part))
    return (info.annotation, *info.metadata) if info else ()


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """Find the models inside an annotation, through unions, lists, dicts and `Annotated`."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias) and issubclass(annotation, BaseModel):
        return [annotation]
    inner = annotation if isinstance(annotation, tuple) else typing.get_args(annotation)
    return [model for part in inner for model in _models_in(part)]


Text = Annotated[str, Field(strict=True, min_length=1, max_length=250)]
"""As long as MLflow lets a name be."""

LONGEST_NAME = 255
"""Bytes of a file's or folder's name, on the file systems that are in use."""


LONGEST_EXPERIMENT = 500
"""Characters of an experiment's name, as MLflow has it."""


def check_experiment(name: str, source: str) -> str:
    """Return an experiment's name that no config has checked; MLflow would refuse it when a sweep has begun.

    Args:
        name: The name.
        source: The option or the variable that it comes from.

    Raises:
        ConfigError: It is longer than MLflow takes.
    """
    if len(name) > LONGEST_EXPERIMENT:
        wrong_name = f"an experiment's name has {LONGEST_EXPERIMENT} characters at most; this has {len(name):,}"
        raise ConfigError.at(source, wrong_name)
    return name


def checked_path(value: str) -> str:
    """Return a path that some file could have.

    Raises:
        PydanticCustomError: None could.
    """
    if "\0" in value:
        raise config_error("a path cannot hold a NUL character")
    if any(len(os.fsencode(part)) > LONGEST_NAME for part in value.split("/")):
        raise config_error(f"no file or folder has a name of more than {LONGEST_NAME} bytes; got {value!r:.80}")
    try:
        pathlib.Path(value).expanduser()
    except RuntimeError as error:
        raise config_error(f"there is no such home folder: {show(value)}") from error
    return value


Location = Annotated[str, Field(strict=True, min_length=1, max_length=2048), AfterValidator(checked_path)]
Count = Annotated[int, Field(strict=True, ge=1)]
Seed = Annotated[int, Field(strict=True, ge=0, lt=2**32)]
Share = Annotated[float, Field(strict=True, gt=0, lt=1, allow_inf_nan=False)]
Values = dict[Text, Any]

MOST_SECONDS = 3650 * 86_400
"""Ten years: clocks and locks of the operating system count no further than a few hundred."""

MOST_BYTES = 2**60

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZES = {"B": 1, "KB": 1000, "MB": 1000**2, "GB": 1000**3, "TB": 1000**4}
_SIZES |= {"KiB": 1024, "MiB": 1024**2, "GiB": 1024**3, "TiB": 1024**4}
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([KMGT]i?B|B)")
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+")


class NotKnown(Exception):  # noqa: N818  # no error: what was asked for is reported already
    """A part of the config is asked for that is wrong: whatever depends on it cannot be said."""


Read = TypeVar("Read")
Other = TypeVar("Other")


def known(read: Callable[[], Read], otherwise: Other) -> Read | Other:
    """Return what is read of a config, or something else where that is wrong."""
    try:
        return read()
    except NotKnown:
        return otherwise


class Model(BaseModel):
    """What all sections share: frozen, and a key that they do not know is an error.

    Raises:
        NotKnown: A field is read whose value was wrong, of a section that was kept for what is right in it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    if not TYPE_CHECKING:  # or every attribute would count as one

        def __getattr__(self, name: str) -> Any:
            if name in type(self).model_fields:
                raise NotKnown(name)
            return super().__getattr__(name)


def parse_duration(value: Any) -> Any:
    """Turn ``90``, ``90s``, ``10m`` or ``1h30m`` into seconds."""
    if isinstance(value, str) and _DURATION.fullmatch(value):
        seconds = sum(float(n) * _UNITS[unit] for n, unit in re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", value))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value)
    else:
        raise config_error(f"a duration is a number of seconds or such as 90s, 10m, 1h30m, 2d; got {value!r:.80}")
    if seconds > MOST_SECONDS:
        raise config_error(f"a duration is 3650d at most; got {value!r:.80}")
    return seconds


Duration = Annotated[float, BeforeValidator(parse_duration, json_schema_input_type=float | str), Field(gt=0, allow_inf_nan=False)]


def parse_bytes(value: Any) -> Any:
    """Turn ``4GB``, ``512MiB`` or a number of bytes into bytes."""
    if isinstance(value, str) and (found := _SIZE.fullmatch(value)):
        size = float(found[1]) * _SIZES[found[2]]
    elif isinstance(value, int) and not isinstance(value, bool):
        size = value
    else:
        raise config_error(f"a size is a number of bytes or such as 4GB, 512MiB; got {value!r:.80}")
    if size > MOST_BYTES:
        raise config_error(f"a size is {MOST_BYTES} bytes at most; got {value!r:.80}")
    return round(size)


Bytes = Annotated[int, BeforeValidator(parse_bytes, json_schema_input_type=int | str), Field(ge=1)]
