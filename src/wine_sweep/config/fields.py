"""The kinds of values that sections share: names, counts, seeds, shares, durations."""

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
