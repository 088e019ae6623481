"""The forms that a searched parameter can take in a config: a list, a range, choices, or one constant."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, model_validator

from wine_sweep.config.problems import config_error
from wine_sweep.trial import canonical_json
from wine_sweep.wording import show

LARGEST_INT = 2**53
"""Whole numbers beyond it are not exact as floats, which is how samplers handle them."""

MOST_POINTS = 1_000_000_000


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise config_error(f"expected a number, got {show(value)}")
    if not math.isfinite(value) if isinstance(value, float) else abs(value) > LARGEST_INT:
        raise config_error(f"expected a number between -2**53 and 2**53, got {show(value)}")
    return value


Number = Annotated[int | float, BeforeValidator(_number)]


class NumberType(StrEnum):
    """What a range yields."""

    INT = "int"
    FLOAT = "float"


def exact_key(value: Any) -> str:
    """Give the text under which two values count as the same: ``1``, ``1.0`` and ``true`` differ, key order does not matter."""
    return canonical_json(value)


def _distinct(values: list[Any]) -> list[Any]:
    if not values:
        raise config_error("an empty list leaves nothing to try")
    seen: set[str] = set()
    for value in values:
        key = exact_key(value)
        if key in seen:
            raise config_error(f"the value {key} is given twice")
        seen.add(key)
    return values


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


When = dict[
    Annotated[str, Field(strict=True, min_length=1)],
    Annotated[list[Any], AfterValidator(_distinct), BeforeValidator(_as_list, json_schema_input_type=Any)],
]
"""Other parameters by name, and the values of them for which this one is searched; all must fit."""


class Choices(BaseModel):
    """Values to choose from: any scalars, lists, or ``{estimator, params}`` for a nested estimator.

    Args:
        choices: The values, in the order of a grid.
        when: The parameter is searched only where other parameters have these values.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    choices: Annotated[list[Any], AfterValidator(_distinct)]
    when: When | None = None

    @property
    def is_endless(self) -> bool:
        """Whether a grid cannot list the values: never."""
        return False


class Range(BaseModel):
    """Numbers from `low` to `high`, both included.

    Args:
        low: The smallest value.
        high: The largest value.
        log: Whether to search on a logarithmic scale; `low` must then be positive.
        step: The distance between neighbours, counted from `low`.
        num: The number of points of a grid, both ends included; other methods draw from the whole range.
        type: ``int`` or ``float``; by default ``int`` when both bounds (and the step) are whole numbers.
        when: The parameter is searched only where other parameters have these values.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    low: Number
    high: Number
    log: Annotated[bool, Field(strict=True)] = False
    step: Number | None = None
    num: Annotated[int, Field(strict=True, ge=2, le=1_000_000)] | None = None
    type: NumberType | None = None
    when: When | None = None

    @property
    def is_int(self) -> bool:
        """Whether the range yields whole numbers."""
        if self.type is not None:
            return self.type is NumberType.INT
        return all(isinstance(value, int) for value in (self.low, self.high, self.step) if value is not None)

    @property
    def is_endless(self) -> bool:
        """Whether a grid cannot list the values: floats without `num` and `step`."""
        return not self.is_int and self.num is None and self.step is None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.low >= self.high:
            raise config_error(f"`low` must be below `high`; got low {self.low}, high {self.high}")
        if self.log and self.low <= 0:
            raise config_error(f"with `log: true`, `low` must be above 0; got {self.low}", "low")
        if self.step is not None and (self.log or self.num is not None):
            raise config_error("`step` cannot be combined with `log` or `num`; give one of them", "step")
        if self.step is not None and not 0 < self.step <= self.high - self.low:
            raise config_error(f"`step` must be above 0 and at most high - low; got {self.step}", "step")
        if self.step is not None and (self.high - self.low) / self.step > MOST_POINTS:
            raise config_error(f"`step` makes more than {MOST_POINTS:,} points; a larger step, or no step", "step")
        if self.type is NumberType.INT and not all(
            isinstance(value, int) for value in (self.low, self.high, self.step) if value is not None
        ):
            raise config_error("with `type: int`, `low`, `high` and `step` must be whole numbers", "type")
        return self


def _as_mapping(value: Any) -> Any:
    """Turn the short forms, a list and a constant, into the long one."""
    if isinstance(value, dict) and not value.keys() & {"choices", "low", "high"}:
        raise config_error("give a list of values, or `low` and `high`, or `choices`, or one value")
    if isinstance(value, dict | Choices | Range):
        return value
    return {"choices": value if isinstance(value, list) else [value]}


def _form(value: Any) -> str:
    return "choices" if isinstance(value, Choices) or (isinstance(value, dict) and "choices" in value) else "range"


FORMS = ("choices", "range")
"""The tags that pydantic puts into the location of an error within a parameter."""

ParameterConfig = Annotated[
    Annotated[Choices, Tag("choices")] | Annotated[Range, Tag("range")],
    Discriminator(_form),
    BeforeValidator(_as_mapping, json_schema_input_type=list[Any] | Choices | Range | str | int | float | bool | None),
]
