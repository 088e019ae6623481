"""The section `selection`: which of the finished trials may win, and which of those does."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from wine_sweep.config.expressions import Expression, ExpressionError
from wine_sweep.config.fields import Model, Text
from wine_sweep.config.parameters import exact_key
from wine_sweep.config.problems import config_error
from wine_sweep.wording import one_of, show


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
