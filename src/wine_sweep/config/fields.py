"""The kinds of values that sections share: names, counts, seeds, shares, durations, sizes."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from wine_sweep.config.problems import wrong

Text = Annotated[str, Field(strict=True, min_length=1, max_length=250)]
"""As long as MLflow lets a name be."""

Location = Annotated[str, Field(strict=True, min_length=1, max_length=4096)]
Count = Annotated[int, Field(strict=True, ge=1)]
Seed = Annotated[int, Field(strict=True, ge=0, lt=2**32)]
Share = Annotated[float, Field(strict=True, gt=0, lt=1, allow_inf_nan=False)]
Values = dict[Text, Any]

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
        return sum(float(n) * _UNITS[unit] for n, unit in re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", value))
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    raise wrong(f"a duration is a number of seconds or such as 90s, 10m, 1h30m, 2d; got {value!r}")


Duration = Annotated[float, BeforeValidator(parse_duration, json_schema_input_type=float | str), Field(gt=0, allow_inf_nan=False)]


def parse_bytes(value: Any) -> Any:
    """Turn ``4GB``, ``512MiB`` or a number of bytes into bytes."""
    if isinstance(value, str) and (found := _SIZE.fullmatch(value)):
        return round(float(found[1]) * _SIZES[found[2]])
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise wrong(f"a size is a number of bytes or such as 4GB, 512MiB; got {value!r}")


Bytes = Annotated[int, BeforeValidator(parse_bytes, json_schema_input_type=int | str), Field(ge=1)]
