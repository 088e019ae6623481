"""The kinds of values that sections share: names, counts, seeds, shares, durations, sizes."""

from __future__ import annotations

import os
import pathlib
import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from wine_sweep.config.problems import config_error
from wine_sweep.errors import ConfigError, Problem, SourceLocation
from wine_sweep.wording import show

Text = Annotated[str, Field(strict=True, min_length=1, max_length=250)]
"""As long as MLflow lets a name be."""

LONGEST_NAME = 255
"""Bytes of a file's or folder's name, on the file systems that are in use."""


LONGEST_EXPERIMENT = 500
"""Characters of an experiment's name, as MLflow has it."""


def check_experiment(name: str, source: str) -> str:
    """Give an experiment's name back that no config has checked; MLflow would refuse it when a sweep has begun.

    Args:
        name: The name.
        source: The option or the variable that it comes from.

    Raises:
        ConfigError: It is longer than MLflow takes.
    """
    if len(name) > LONGEST_EXPERIMENT:
        wrong_name = f"an experiment's name has {LONGEST_EXPERIMENT} characters at most; this has {len(name):,}"
        raise ConfigError([Problem(wrong_name, place=SourceLocation(source))])
    return name


def _path(value: str) -> str:
    if "\0" in value:
        raise config_error("a path cannot hold a NUL character")
    if any(len(os.fsencode(part)) > LONGEST_NAME for part in value.split("/")):
        raise config_error(f"no file or folder has a name of more than {LONGEST_NAME} bytes; got {value!r:.80}")
    try:
        pathlib.Path(value).expanduser()
    except RuntimeError as error:
        raise config_error(f"there is no such home folder: {show(value)}") from error
    return value


Location = Annotated[str, Field(strict=True, min_length=1, max_length=2048), AfterValidator(_path)]
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


class Model(BaseModel):
    """What all sections share: frozen, and a key that they do not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


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
