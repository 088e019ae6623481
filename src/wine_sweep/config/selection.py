"""The sections `selection` and `registry`: which trial may win, where the winner goes, and what it has to beat."""

from __future__ import annotations

import json
import math
import re
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from wine_sweep.config.expressions import Expression, ExpressionError
from wine_sweep.config.search import exact_key
from wine_sweep.config.validation import Model, Seed, Text, config_error
from wine_sweep.errors import ConfigError, Problem, SourceLocation
from wine_sweep.messages import one_of, show

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
        metric: By which of the sweep's metrics models are judged; by default by the one that decides. Not dumped if not given.
    """

    min_improvement: Margin = 0.0
    confidence: Annotated[float, Field(strict=True, gt=0.5, lt=1, allow_inf_nan=False)] = 0.95
    min_rows: Annotated[int, Field(strict=True, ge=2)] = 30
    slices: Annotated[list[Text], Field(max_length=20), AfterValidator(_distinct)] = Field(default_factory=list)
    slice_margin: Margin = 0.0
    seed: Seed = 0
    metric: Text | None = None

    @model_serializer(mode="wrap")
    def _without_what_is_not_given(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        tree: dict[str, Any] = dump(self)
        return {name: value for name, value in tree.items() if name != "metric" or value is not None}

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
        """Return whether a gate was given, and not ``false``."""
        return "gate" in self.model_fields_set and self.gate is not None

    @model_serializer(mode="wrap")
    def _as_written(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        tree: dict[str, Any] = dump(self)
        if "gate" not in self.model_fields_set:
            tree.pop("gate", None)
        elif self.gate is None and "gate" in tree:
            tree["gate"] = False
        return tree


class PickRule(StrEnum):
    """How one trial is chosen from a Pareto front."""

    KNEE = "knee"
    FIRST = "first"
    WEIGHTS = "weights"


Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class PickConfig(Model):
    """How the winner is chosen when there are several objectives: by a rule, or by the weights of the objectives."""

    rule: PickRule = PickRule.KNEE
    weights: Annotated[dict[Text, Weight], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _weights_with_their_rule(self) -> Self:
        if (self.rule is PickRule.WEIGHTS) != (self.weights is not None):
            raise config_error("`pick` is knee, first, or {weights: {metric: weight, …}}")
        if self.weights is not None and not any(self.weights.values()):
            raise config_error("one weight at least must be above 0", "weights")
        return self


def _pick(value: Any) -> Any:
    if isinstance(value, str):
        return {"rule": value}
    return {"rule": "weights", **value} if isinstance(value, dict) and "weights" in value else value


LONGEST_LIMIT = 200
"""Characters: the limits that a trial breaks stand together in one tag of MLflow."""


def _limit(value: Any) -> Any:
    try:
        expression = Expression(value) if isinstance(value, str) else None
    except ExpressionError as error:
        raise config_error(str(error)) from error
    if expression is None or not expression.is_limit:
        raise config_error("a constraint on metrics is one limit, such as 'rmse <= 0.7' or 'fit_seconds <= 2'")
    if len(value) > LONGEST_LIMIT:
        raise config_error(f"a limit has {LONGEST_LIMIT} characters at most")
    return value


class SelectRule(StrEnum):
    """Which of the trials that may win does, where there is one objective."""

    BEST = "best"
    ONE_STANDARD_ERROR = "one_standard_error"


class Cost(StrEnum):
    """What is measured of a trial that says how cheap it is."""

    FIT_SECONDS = "fit_seconds"
    MODEL_SIZE = "model_size"


class End(StrEnum):
    """Which end of a parameter's numbers is the cheap one."""

    HIGHEST = "highest"
    LOWEST = "lowest"


LONGEST_ORDER = 2000
"""Characters: an order of parameters stands in a tag of MLflow, beside the limits."""

_ORDER = "[{alpha: highest}, {max_depth: lowest}, {kernel: [linear, rbf]}]"


def _cheapest(value: Any) -> Any:
    """Look at what `cheapest` is given, so that one message says what it may be."""
    if value is None or isinstance(value, Cost):
        return value
    if isinstance(value, str):
        if value not in list(Cost):
            raise config_error(f"got {show(value)}; {one_of(value, Cost)}, or a list of parameters: {_ORDER}")
        return Cost(value)
    if not isinstance(value, list) or not value:
        raise config_error(f"expected fit_seconds, model_size, or a list of parameters: {_ORDER}; got {_shown(value)}")
    for index, entry in enumerate(value):
        _check_entry(entry, index)
    names = [next(iter(entry)) for entry in value]
    again = next((index for index, name in enumerate(names) if name in names[:index]), None)
    if again is not None:
        raise config_error(f"the parameter {names[again]} is given twice", again)
    if len(json.dumps(value)) > LONGEST_ORDER:
        raise config_error(f"an order of parameters has {LONGEST_ORDER} characters at most")
    return value


def _check_entry(entry: Any, index: int) -> None:
    if not isinstance(entry, dict) or len(entry) != 1 or not isinstance(next(iter(entry)), str):
        raise config_error(f"each entry is one parameter, as in {_ORDER}; got {show(entry)}", index)
    (name, order), *_ = entry.items()
    if isinstance(order, str) and order not in list(End):
        raise config_error(
            f"got {show(order)}; {one_of(order, End)}, or a list of values from the cheapest to the dearest", index, name
        )
    if not isinstance(order, str | list) or not order:
        message = "expected highest, lowest, or a list of values from the cheapest to the dearest; got "
        raise config_error(message + _shown(order), index, name)
    if isinstance(order, list) and len({exact_key(each) for each in order}) < len(order):
        raise config_error("a value is given twice", index, name)


def _shown(value: Any) -> str:
    return "an empty list" if value == [] else show(value)


Order = dict[Text, End | list[Any]]
"""One parameter, and which of its values are cheap: an end of its numbers, or its values from the cheapest to the dearest."""


class SelectionConfig(Model):
    """Which of the finished trials may win, and which of those does.

    Args:
        select: The trial with the best mean, or the cheapest of those within one standard error of it; for one objective.
        cheapest: What makes a trial cheap: the time of a fit (default), the size of the model, or parameters, the first of
            which decides before the second.
        pick: How the winner is chosen from the Pareto front of several objectives; the knee by default.
        constraints: Limits on metrics; a trial that breaks one is infeasible and cannot win.
    """

    select: SelectRule = SelectRule.BEST
    cheapest: Annotated[
        Cost | list[Order] | None, BeforeValidator(_cheapest, json_schema_input_type=Cost | list[Order] | None)
    ] = None
    pick: Annotated[PickConfig | None, BeforeValidator(_pick, json_schema_input_type=PickRule | PickConfig)] = None
    constraints: Annotated[list[Annotated[str, BeforeValidator(_limit)]], Field(max_length=20)] = Field(default_factory=list)

    @model_validator(mode="after")
    def _cheapest_with_its_rule(self) -> Self:
        if self.cheapest is not None and self.select is not SelectRule.ONE_STANDARD_ERROR:
            raise config_error("goes with `select: one_standard_error`; the best mean wins as it stands", "cheapest")
        return self
