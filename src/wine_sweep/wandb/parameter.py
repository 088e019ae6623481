"""One parameter of a W&B sweep: its distribution, and the keys that go with it.

The keys and their defaults are those of W&B's documentation (https://docs.wandb.ai/models/sweeps/sweep-config-keys) and
of the JSON schema in its package `sweeps` (https://github.com/wandb/sweeps).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from wine_sweep.config.fields import Text
from wine_sweep.config.parameters import Number
from wine_sweep.config.problems import config_error
from wine_sweep.wording import did_you_mean, show

LARGEST_EXPONENT = 700
"""Beyond it, ``exp`` leaves what a float can hold."""

Values = Annotated[list[Any], Field(min_length=1)]
Sigma = Annotated[Number, Field(ge=0)]
Positive = Annotated[Number, Field(gt=0)]


class Distribution(StrEnum):
    """How W&B draws a parameter."""

    CONSTANT = "constant"
    CATEGORICAL = "categorical"
    CATEGORICAL_W_PROBABILITIES = "categorical_w_probabilities"
    INT_UNIFORM = "int_uniform"
    UNIFORM = "uniform"
    Q_UNIFORM = "q_uniform"
    LOG_UNIFORM = "log_uniform"
    LOG_UNIFORM_VALUES = "log_uniform_values"
    Q_LOG_UNIFORM = "q_log_uniform"
    Q_LOG_UNIFORM_VALUES = "q_log_uniform_values"
    INV_LOG_UNIFORM = "inv_log_uniform"
    INV_LOG_UNIFORM_VALUES = "inv_log_uniform_values"
    NORMAL = "normal"
    Q_NORMAL = "q_normal"
    LOG_NORMAL = "log_normal"
    Q_LOG_NORMAL = "q_log_normal"
    BETA = "beta"
    Q_BETA = "q_beta"

    @property
    def needs(self) -> tuple[str, ...]:
        """The keys that it cannot be without."""
        return _NEEDS.get(self, ("min", "max") if "uniform" in self.value else ())

    @property
    def takes(self) -> tuple[str, ...]:
        """All keys that it has a use for."""
        shape = ("mu", "sigma") if "normal" in self.value else ("a", "b") if "beta" in self.value else ()
        return ("distribution", *self.needs, *shape, *(("q",) if self.is_quantized else ()))

    @property
    def is_quantized(self) -> bool:
        """Whether what is drawn is rounded to a multiple of `q`."""
        return self.value.startswith("q_")

    @property
    def is_logarithmic(self) -> bool:
        """Whether it is the logarithm that is spread, so that all values are above 0."""
        return "log_" in self.value

    @property
    def has_exponents(self) -> bool:
        """Whether `min` and `max` are exponents of e and not values."""
        return self.value.endswith("log_uniform")

    @property
    def is_inverse(self) -> bool:
        """Whether `min` and `max` are those of ``log(1/x)``."""
        return self is Distribution.INV_LOG_UNIFORM

    @property
    def fits_a_grid(self) -> bool:
        """Whether W&B takes it in a grid."""
        return self in (
            Distribution.CONSTANT,
            Distribution.CATEGORICAL,
            Distribution.INT_UNIFORM,
            Distribution.Q_UNIFORM,
        )


_NEEDS: dict[Distribution, tuple[str, ...]] = {
    Distribution.CONSTANT: ("value",),
    Distribution.CATEGORICAL: ("values",),
    Distribution.CATEGORICAL_W_PROBABILITIES: ("values", "probabilities"),
}


def _mapping(value: Any) -> Any:
    if isinstance(value, Mapping | BaseModel):
        return value
    raise config_error(
        f"W&B takes a mapping here, such as {{value: 1}}, {{values: [1, 2]}} or {{min: 0, max: 1}}; got {show(value)}"
    )


class Parameter(BaseModel):
    """A parameter as W&B's file gives it; keys that W&B does not have are kept aside, in `model_extra`.

    Args:
        value: The one value.
        values: The values to choose from.
        probabilities: How likely each of these is.
        distribution: How it is drawn; by default what `value`, `values`, or `min` and `max` imply.
        min: The lowest value, or the lowest exponent of e.
        max: The highest.
        mu: The mean of a normal distribution, or of the logarithm; 0 by default.
        sigma: Its standard deviation; 1 by default.
        q: What is drawn is rounded to a multiple of it; 1 by default.
        a: The first shape of a beta distribution; 1 by default.
        b: The second; 1 by default.
        parameters: Parameters within this one.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    value: Any = None
    values: Values | None = None
    probabilities: list[Sigma] | None = None
    distribution: Distribution | None = None
    min: Number | None = None
    max: Number | None = None
    mu: Number | None = None
    sigma: Sigma | None = None
    q: Positive | None = None
    a: Sigma | None = None
    b: Sigma | None = None
    parameters: Annotated[dict[Text, ParameterConfig], Field(min_length=1)] | None = None

    @property
    def given(self) -> set[str]:
        """The keys of W&B's that the file gives it, null ones left out but for `value`."""
        known = {name for name in Parameter.model_fields if getattr(self, name) is not None}
        return known | ({"value"} & self.model_fields_set)

    @property
    def kind(self) -> Distribution:
        """How it is drawn, as W&B infers it where the file does not say.

        Raises:
            ValueError: The keys imply nothing.
        """
        given = self.given
        if self.distribution is not None:
            both = self.distribution is Distribution.CATEGORICAL and self.probabilities is not None
            return Distribution.CATEGORICAL_W_PROBABILITIES if both else self.distribution
        if "values" in given:
            return Distribution.CATEGORICAL_W_PROBABILITIES if "probabilities" in given else Distribution.CATEGORICAL
        if "value" in given:
            return Distribution.CONSTANT
        if {"min", "max"} & given:
            whole = isinstance(self.min, int) and isinstance(self.max, int)
            return Distribution.INT_UNIFORM if whole else Distribution.UNIFORM
        raise ValueError("nothing says how it is drawn")

    @property
    def mean(self) -> float:
        """`mu` or its default."""
        return 0.0 if self.mu is None else self.mu

    @property
    def deviation(self) -> float:
        """`sigma` or its default."""
        return 1.0 if self.sigma is None else self.sigma

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.parameters is not None:
            return self
        try:
            kind = self.kind
        except ValueError:
            forms = "`value`, `values`, `min` and `max`, a `distribution`, or `parameters`"
            raise config_error(f"nothing says what to try; W&B takes {forms}{self._typo()}") from None
        missing = [name for name in kind.needs if name not in self.given]
        if missing:
            raise config_error(f"{kind.value} needs `{missing[0]}`{self._typo()}")
        self._check_bounds(kind)
        return self

    def _typo(self) -> str:
        """Ask whether a key that W&B does not have was meant as one that it has."""
        return next((hint for name in self.model_extra or {} if (hint := did_you_mean(name, Parameter.model_fields))), "")

    def _check_bounds(self, kind: Distribution) -> None:
        if kind is Distribution.CATEGORICAL_W_PROBABILITIES and len(self.probabilities or ()) != len(self.values or ()):
            raise config_error(
                f"{len(self.probabilities or ())} probabilities for {len(self.values or ())} values", "probabilities"
            )
        if "min" in kind.needs and self.min is not None and self.max is not None:
            self._check_range(kind, self.min, self.max)
        if "normal" in kind.value:
            reach = abs(self.mean) + 3 * self.deviation
            if reach > LARGEST_EXPONENT if kind.is_logarithmic else not math.isfinite(reach):
                raise config_error("`mu` and `sigma` lead beyond the largest number", "mu" if self.mu is not None else "sigma")

    def _check_range(self, kind: Distribution, low: float, high: float) -> None:
        if low > high:
            raise config_error(f"`min` must not be above `max`; got min {low}, max {high}", "min")
        if kind is Distribution.INT_UNIFORM:
            for name, value in (("min", low), ("max", high)):
                if not isinstance(value, int):
                    raise config_error(f"int_uniform takes whole numbers, got {value}; uniform takes others", name)
        if kind.has_exponents:
            for name, value in (("min", low), ("max", high)):
                if abs(value) > LARGEST_EXPONENT:
                    what = f"an exponent of e, at most {LARGEST_EXPONENT}"
                    raise config_error(f"{kind.value} takes {what}, got {value}; {kind.value}_values takes values", name)
        elif kind.is_logarithmic and low <= 0:
            raise config_error(f"{kind.value} takes values above 0, got {low}", "min")


ParameterConfig = Annotated[Parameter, BeforeValidator(_mapping)]
Parameter.model_rebuild()
