"""The section `search`: methods, budgets, pruners, and the forms that a searched parameter can take."""

from __future__ import annotations

import math
import pathlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Annotated, Any, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PlainSerializer,
    PlainValidator,
    Tag,
    WithJsonSchema,
    model_validator,
)

from wine_sweep.config.expressions import Expression, ExpressionError
from wine_sweep.config.validation import Count, Duration, Model, Seed, Share, Text, Values, checked_path, config_error
from wine_sweep.messages import one_of, show
from wine_sweep.trial import canonical_json

LARGEST_INT = 2**53
"""Whole numbers beyond it are not exact as floats, which is how samplers handle them."""

MOST_POINTS = 1_000_000_000


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise config_error(f"expected a number, got {show(value)}", code="wrong-type")
    if not math.isfinite(value) if isinstance(value, float) else abs(value) > LARGEST_INT:
        raise config_error(f"expected a number between -2**53 and 2**53, got {show(value)}", code="out-of-range")
    return value


Number = Annotated[int | float, BeforeValidator(_number)]


class NumberType(StrEnum):
    """What the values of a range are."""

    INT = "int"
    FLOAT = "float"


def exact_key(value: Any) -> str:
    """Return the text under which values count as the same: ``1``, ``1.0`` and ``true`` differ, the order of steps counts."""
    return canonical_json(value)


def _distinct(values: list[Any]) -> list[Any]:
    if not values:
        raise config_error("an empty list leaves nothing to try", code="out-of-range")
    seen: set[str] = set()
    for value in values:
        key = exact_key(value)
        if key in seen:
            raise config_error(f"the value {key} is given twice", code="duplicate")
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
        """Return whether a grid cannot list the values: never."""
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
        """Return whether the values of the range are whole numbers."""
        if self.type is not None:
            return self.type is NumberType.INT
        return all(isinstance(value, int) for value in (self.low, self.high, self.step) if value is not None)

    @property
    def is_endless(self) -> bool:
        """Return whether a grid cannot list the values: floats without `num` and `step`."""
        return not self.is_int and self.num is None and self.step is None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.low >= self.high:
            raise config_error(f"`low` must be below `high`; got low {self.low}, high {self.high}", code="out-of-range")
        if self.log and self.low <= 0:
            raise config_error(f"with `log: true`, `low` must be above 0; got {self.low}", "low", code="out-of-range")
        if self.step is not None and (self.log or self.num is not None):
            raise config_error("`step` cannot be combined with `log` or `num`; give one of them", "step", code="conflict")
        if self.step is not None and not 0 < self.step <= self.high - self.low:
            raise config_error(f"`step` must be above 0 and at most high - low; got {self.step}", "step", code="out-of-range")
        if self.step is not None and (self.high - self.low) / self.step > MOST_POINTS:
            raise config_error(
                f"`step` makes more than {MOST_POINTS:,} points; a larger step, or no step", "step", code="out-of-range"
            )
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


Amount = TypeVar("Amount", int, float)


@dataclass(frozen=True)
class Method:
    """How trials are chosen: its traits, from which everything that depends on the method follows.

    Args:
        name: As a config has it.
        sampler: The class of `optuna.samplers` that suggests; empty where Optuna does not.
        learns: Whether results change what is tried next; `auto`, whose meaning is not known here, counts as learning.
        is_exhaustive: Whether it tries every point of a finite space, each once, in the order written.
        picks: Whether it stands for another method, picked by space, budget and number of objectives.
        objectives: The most objectives that it takes; None for any number.
        learns_limits: Whether it can learn limits on metrics.
        fixed_space: Whether it searches a space of fixed size: parameters that a condition turns off are suggested too, and left
            out.
        generational: Whether it has generations, and learns only from trials that it suggested itself: older ones are asked for
            once more.
        as_numbers: Whether it fills a space of numbers, so that choices are whole numbers to it.
        package: What it needs beside Optuna; the extra of the method's own name brings it.
        attempts: How often it is asked for a point that keeps the constraints, before one is drawn at random for it.
        source: The file, or the module, that has the class of a sampler of the user's own; its traits are not known before that
            is imported.
        is_seeded: Whether the sampler takes a seed.
    """

    name: str
    sampler: str = ""
    learns: bool = True
    is_exhaustive: bool = False
    picks: bool = False
    objectives: int | None = None
    learns_limits: bool = True
    fixed_space: bool = False
    generational: bool = False
    as_numbers: bool = False
    package: str = ""
    attempts: int = 20
    source: str = ""
    is_seeded: bool = True

    def __str__(self) -> str:
        return self.name if self.file is None else f"{self.file.name}:{self.sampler}"

    @property
    def file(self) -> pathlib.Path | None:
        """The file of a sampler of the user's own; None where it is a module's, or Optuna's."""
        return pathlib.Path(self.source) if self.source.endswith(".py") else None

    def moved(self, file: pathlib.Path) -> Method:
        """Return the same method with its file elsewhere, as under an absolute path."""
        return replace(self, name=f"{file}:{self.sampler}", source=str(file))

    def refusal(self, *, objectives: int, limits: bool) -> str | None:
        """Describe why the method does not go with so many objectives, or with limits on metrics, or None when it does."""
        if self.objectives is not None and objectives > self.objectives:
            able = _learners(method for method in METHODS.values() if method.objectives is None)
            return f"{self} has {_counted(self.objectives)}; {self._declare('objectives = None')}use {able}"
        if limits and not self.learns_limits:
            able = _learners(method for method in METHODS.values() if method.learns_limits)
            return f"{self} cannot learn limits on metrics; {self._declare('learns_limits = True')}use {able}"
        return None

    def _declare(self, trait: str) -> str:
        return f"have its class say `{trait}`, or " if self.source else ""


METHODS = {
    method.name: method
    for method in (
        Method("grid", learns=False, is_exhaustive=True),
        Method("random", "RandomSampler", learns=False),
        Method("tpe", "TPESampler"),
        Method("gp", "GPSampler", fixed_space=True, package="torch", attempts=3),  # it computes long, and learns nothing of these
        Method("cmaes", "CmaEsSampler", objectives=1, learns_limits=False, fixed_space=True, generational=True),
        Method("qmc", "QMCSampler", learns=False, fixed_space=True, as_numbers=True),
        Method("nsga2", "NSGAIISampler", fixed_space=True, generational=True),
        Method("nsga3", "NSGAIIISampler", fixed_space=True, generational=True),
        Method("auto", picks=True),
    )
}
"""All search methods, a row each."""


def _counted(objectives: int) -> str:
    return "one objective" if objectives == 1 else f"{objectives} objectives at most"


def _learners(methods: Iterable[Method]) -> str:
    """Name the samplers that learn, as in ``tpe, gp or nsga2``."""
    *most, last = [method.name for method in methods if method.sampler and method.learns]
    return f"{', '.join(most)} or {last}"


class PrunerType(StrEnum):
    """How a trial that is not worth finishing is recognised, after each of its steps."""

    MEDIAN = "median"
    PERCENTILE = "percentile"
    HYPERBAND = "hyperband"
    SUCCESSIVE_HALVING = "successive_halving"
    THRESHOLD = "threshold"
    PATIENT = "patient"
    WILCOXON = "wilcoxon"


class PrunerConfig(Model):
    """A pruner of Optuna's by name; every other key is an option that Optuna's own class has.

    Args:
        type: Which one.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    type: PrunerType

    @property
    def options(self) -> dict[str, Any]:
        """What is handed through to Optuna's class."""
        return dict(self.model_extra or {})


class BudgetConfig(Model):
    """A trial measured on ever larger budgets, so that poor ones can be pruned on small ones.

    Args:
        parameter: A whole number of the estimator's that grows: ``n_estimators``, ``max_iter``.
        min: Its first value.
        max: Its last value, with which the winner is fitted.
        rows: Instead of a parameter: the share of the training rows to begin with; the last step has them all.
        factor: How much larger each budget is than the one before.
    """

    parameter: Text | None = None
    min: Count | None = None
    max: Count | None = None
    rows: Share | None = None
    factor: Annotated[int, Field(strict=True, ge=2)] = 2

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if (self.parameter is None) == (self.rows is None):
            raise config_error("give either `parameter` with `min` and `max`, or `rows`")
        if self.rows is not None and (self.min is not None or self.max is not None):
            raise config_error("`min` and `max` go with `parameter`; `rows` is the share to begin with", "rows")
        if self.parameter is not None and (self.min is None or self.max is None or self.min >= self.max):
            raise config_error("`parameter` needs `min` and `max`, min below max")
        return self

    def steps(self) -> list[int] | list[float]:
        """List the budgets, the smallest first: whole numbers for a parameter, or shares of the rows."""
        if self.rows is not None:
            return _growing(self.rows, 1.0, self.factor)
        return _growing(self.min or 1, self.max or 1, self.factor)


def _growing(first: Amount, last: Amount, factor: int) -> list[Amount]:
    budgets: list[Amount] = []
    while first < last:
        budgets.append(first)
        first *= factor
    budgets.append(last)
    return budgets


def _named(value: Any) -> Any:
    return {"type": value} if isinstance(value, str) else value


def _condition(value: Any) -> Any:
    if not isinstance(value, str):
        raise config_error("a constraint is text, such as 'min_samples_leaf <= max_depth'", code="wrong-type")
    try:
        Expression(value)
    except ExpressionError as error:
        raise config_error(str(error)) from error
    return value


_OWN_SAMPLER = re.compile(r"(.+\.py|[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):([A-Za-z_]\w*)", re.ASCII)


def _method(value: Any) -> Method:
    if isinstance(value, Method):
        return value
    if value == "brute_force":
        raise config_error("brute_force is gone; grid tries the same points, in the order written", code="unknown-value")
    if isinstance(value, str) and (own := _OWN_SAMPLER.fullmatch(value)) is not None:
        return Method(value, own[2], source=checked_path(own[1]))
    if isinstance(value, str) and (":" in value or value.endswith(".py")):
        raise config_error(f"a sampler of one's own is written as FILE.py:CLASS or package.module:CLASS; got {show(value)}")
    if not isinstance(value, str) or value not in METHODS:
        raise config_error(f"got {show(value)}; {one_of(value, METHODS)}", code="unknown-value")
    return METHODS[value]


def _spelled(method: Method) -> str:
    return method.name


MethodName = Annotated[
    Method,
    PlainValidator(_method),
    PlainSerializer(_spelled),
    WithJsonSchema({"type": "string", "anyOf": [{"enum": list(METHODS)}, {"pattern": f"^{_OWN_SAMPLER.pattern}$"}]}),
]


MAX_CHOICES = 10_000


def too_many_choices(most: int) -> str:
    """Report that parameters list too many values, and how to allow more."""
    return f"more than {most:,} values are listed; give a range, or raise `search.max_choices`"


def check_choices(parameters: Mapping[tuple[str, ...], ParameterConfig], most: int) -> None:
    """Refuse parameters that list too many values, all together; the error is at the first that is too much."""
    listed = 0
    for path, parameter in parameters.items():
        listed += len(parameter.choices) if isinstance(parameter, Choices) else 0
        if listed > most:
            raise config_error(too_many_choices(most), *path, code="out-of-range")


NEEDS_POINTS = "needs `num` (how many points) or `step` in a range of floats"

Condition = Annotated[str, BeforeValidator(_condition)]


class SearchConfig(Model):
    """What to try, how it is chosen, and when to stop.

    Args:
        method: ``grid`` in the order written; ``random``, ``qmc``; ``tpe``, ``gp``, ``cmaes``, ``nsga2``, ``nsga3`` learn
            from results; ``auto`` picks one of them; or a sampler of one's own, ``mysamplers.py:Annealing``.
        sampler: Options of the method's sampler.
        parameters: The searched parameters by name, ``step__name`` in a pipeline.
        constraints: Conditions between parameters that every trial keeps; one that names a parameter which is not
            searched in a trial (see `when`) does not apply to it.
        trials: How many trials at most. A grid has a number of its own; the other methods need this or `timeout`.
        timeout: After this many seconds no trial is started any more; those that run are finished.
        target: No trial is started any more once the objective is this good.
        patience: No trial is started any more when this many in a row were no better than the best before.
        pruner: Ends trials early that are not worth finishing.
        budget: What grows from step to step of a trial; without it a step is a fold.
        seed: Seeds the sampler, and every ``random_state`` that the config leaves open.
        initial: Parameters to try first.
        max_choices: How many values the parameters may list, all together; each is held against the estimator.
        from_: An earlier sweep of the same space whose finished trials the sampler learns from; ``from`` in YAML.
    """

    method: MethodName = Field(default="grid", validate_default=True)
    sampler: Values = Field(default_factory=dict)
    parameters: dict[Text, ParameterConfig] = Field(default_factory=dict)
    constraints: list[Condition] = Field(default_factory=list)
    trials: Count | None = None
    timeout: Duration | None = None
    target: Number | None = None
    patience: Count | None = None
    pruner: Annotated[PrunerConfig | None, BeforeValidator(_named, json_schema_input_type=PrunerType | PrunerConfig)] = None
    budget: BudgetConfig | None = None
    seed: Seed = 0
    initial: list[dict[Text, Any]] = Field(default_factory=list)
    max_choices: Count = MAX_CHOICES
    from_: Annotated[Text | None, Field(alias="from")] = None

    @model_validator(mode="before")
    @classmethod
    def _without_regret(cls, given: Any) -> Any:
        """Let `regret` be off: every config says so that a version which had it has resolved."""
        if isinstance(given, dict) and "regret" in given and (given["regret"] is None or given["regret"] is False):
            return {key: value for key, value in given.items() if key != "regret"}
        return given

    @model_validator(mode="after")
    def _few_choices(self) -> Self:
        check_choices({("parameters", name): each for name, each in self.parameters.items()}, self.max_choices)
        return self

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if not self.method.is_exhaustive and self.trials is None and self.timeout is None:
            raise config_error(
                f"method {self.method} needs `trials` or `timeout`, or it would never end", "method", code="missing-key"
            )
        return self

    @model_validator(mode="after")
    def _finite(self) -> Self:
        endless = next((name for name, each in self.parameters.items() if each.is_endless), None)
        if self.method.is_exhaustive and endless is not None:
            raise config_error(f"method {self.method} {NEEDS_POINTS}", "parameters", endless)
        return self

    @model_validator(mode="after")
    def _steps_need_a_pruner(self) -> Self:
        if self.budget is not None and self.pruner is None:
            raise config_error("a budget that grows is for a pruner to look at; add `pruner`", "budget", code="missing-key")
        if self.pruner is not None and self.pruner.type is PrunerType.WILCOXON and self.budget is not None:
            raise config_error("wilcoxon compares folds with folds; it does not go with `budget`", "pruner", code="conflict")
        return self

    @model_validator(mode="after")
    def _nothing_to_hand_on(self) -> Self:
        if self.sampler and self.method.picks:
            raise config_error(f"{self.method} picks the method; name one to set its options", "sampler", code="conflict")
        if self.sampler and not self.method.sampler:
            raise config_error(f"{self.method} has no sampler of Optuna's; leave `sampler` out", "sampler", code="conflict")
        if self.from_ is not None and not self.method.learns:
            others = _learners(METHODS.values())
            raise config_error(
                f"{self.method} learns nothing from older trials; leave `from` out, or use {others}", "from", code="conflict"
            )
        return self

    @model_validator(mode="after")
    def _distinct_initial(self) -> Self:
        keys = [exact_key(point) for point in self.initial]
        if len(set(keys)) < len(keys):
            raise config_error("the same parameters are given twice", "initial", code="duplicate")
        return self
