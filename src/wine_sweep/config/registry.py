"""The section `registry`: where the winner goes, and what it has to be better than to get there."""

from __future__ import annotations

import math
import re
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from wine_sweep.config.fields import Model, Seed, Text
from wine_sweep.config.problems import config_error
from wine_sweep.errors import ConfigError, Problem, SourceLocation
from wine_sweep.wording import one_of, show

GATE_RESAMPLES = 10_000
"""How often the rows are drawn anew for the gate's interval."""


class Stage(StrEnum):
    """A stage of MLflow's Model Registry; its lower-case name is the alias that is kept beside it."""

    STAGING = "Staging"
    PRODUCTION = "Production"

    @property
    def alias(self) -> str:
        """The alias that goes with the stage: ``staging``, ``production``."""
        return self.value.lower()


def find_stage(text: str | None, source: str) -> Stage | None:
    """Find a stage by its name in any case; None for none.

    Args:
        text: The name.
        source: What the user gave it as, for the error.

    Raises:
        ConfigError: There is no such stage.
    """
    if text is None:
        return None
    for stage in Stage:
        if text.lower() == stage.alias:
            return stage
    raise ConfigError(
        [Problem(f"no stage '{text}'; {one_of(text, [stage.value for stage in Stage])}", place=SourceLocation(source))]
    )


def _distinct(names: list[str]) -> list[str]:
    twice = next((index for index, name in enumerate(names) if name in names[:index]), None)
    if twice is not None:
        raise config_error(f"'{names[twice]}' is given twice")
    return names


Margin = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
"""A difference of two values of the metric, in its own units."""


class GateConfig(Model):
    """What the winner must show on rows that neither model was trained on, to take the place of the one in the stage.

    Args:
        min_improvement: The improvement has to be above this with `confidence`, in units of the metric.
        confidence: Of the interval of the improvement, above 0.5 and below 1.
        min_rows: With fewer rows than this nothing is promoted, and a slice with fewer is not judged.
        slices: Columns; in no slice of the rows by one of them may the winner be worse.
        slice_margin: By how much it may be worse in a slice all the same, in units of the metric.
        seed: Decides which rows are drawn.
    """

    min_improvement: Margin = 0.0
    confidence: Annotated[float, Field(strict=True, gt=0.5, lt=1, allow_inf_nan=False)] = 0.95
    min_rows: Annotated[int, Field(strict=True, ge=2)] = 30
    slices: Annotated[list[Text], Field(max_length=20), AfterValidator(_distinct)] = Field(default_factory=list)
    slice_margin: Margin = 0.0
    seed: Seed = 0

    @model_validator(mode="after")
    def _reaches_into_the_tails(self) -> Self:
        needed = math.ceil(round(2 / (1 - self.confidence), 6))
        if needed > GATE_RESAMPLES:
            most = 1 - 2 / GATE_RESAMPLES
            raise config_error(f"must be at most {most:g}, since the rows are drawn anew {GATE_RESAMPLES:,} times", "confidence")
        return self


def _gate(value: Any) -> Any:
    if isinstance(value, bool):
        return {} if value else None
    if value is None or isinstance(value, dict | GateConfig):
        return value
    raise config_error(f"expected a mapping of keys, or false for no gate; got {show(value)}")


def _model_name(value: str) -> str:
    if re.search(r"[/:.@%\"'\n]", value):
        raise config_error(f"a registered model's name holds none of / : . @ % or quotes; got {value!r}")
    return value


class RegistryConfig(Model):
    """The registered model that the winner becomes a version of, and the stage that it is moved to.

    Args:
        name: The registered model.
        stage: The stage.
        gate: What the winner must show first; None, in YAML ``false``, for nothing. One that is not given is not dumped,
            so that it stays known which sweeps ask for one.
    """

    name: Annotated[Text, AfterValidator(_model_name)]
    stage: Stage = Stage.STAGING
    gate: Annotated[GateConfig | None, BeforeValidator(_gate, json_schema_input_type=bool | GateConfig | None)] = GateConfig()

    @property
    def asks_for_gate(self) -> bool:
        """Whether a gate was given, and not ``false``."""
        return "gate" in self.model_fields_set and self.gate is not None

    @model_serializer(mode="wrap")
    def _as_written(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        tree: dict[str, Any] = dump(self)
        if "gate" not in self.model_fields_set:
            tree.pop("gate", None)
        elif self.gate is None and "gate" in tree:
            tree["gate"] = False
        return tree
