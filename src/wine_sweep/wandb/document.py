"""A W&B sweep file as typed objects, or all that is wrong with it, with places."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from wine_sweep.config.search import Number
from wine_sweep.config.validation import Count, Location, Text, config_error, explain
from wine_sweep.config.yaml_io import read_yaml
from wine_sweep.errors import ConfigError, Problem
from wine_sweep.messages import did_you_mean, show
from wine_sweep.wandb.parameters import ParameterConfig, check_names, leaves


class Strategy(StrEnum):
    """How W&B chooses runs: its `method`."""

    GRID = "grid"
    RANDOM = "random"
    BAYES = "bayes"
    CUSTOM = "custom"


class WandbGoal(StrEnum):
    """Which way a metric is better."""

    MINIMIZE = "minimize"
    MAXIMIZE = "maximize"


def _word(value: Any) -> str:
    if isinstance(value, str | int | float) and "\0" not in str(value):
        return str(value)
    raise config_error(f"a word of a command is text or a number, got {show(value)}")


class _Open(BaseModel):
    """What all sections share: frozen; keys that they do not know are kept aside, since W&B passes over them too."""

    model_config = ConfigDict(frozen=True, extra="allow")

    @property
    def unknown(self) -> list[str]:
        """The keys that are kept aside, in the order of the file."""
        return list(self.model_extra or {})


class WandbMetric(_Open):
    """What is optimized."""

    name: Text
    goal: WandbGoal = WandbGoal.MINIMIZE
    target: Number | None = None
    impute: Any = None
    impute_while_running: Any = None


class EarlyTermination(_Open):
    """When poor runs are ended: rungs at `min_iter` times powers of `eta`, or down from `max_iter` by `s` such powers."""

    type: Annotated[str, Field(strict=True)]
    min_iter: Count | None = None
    max_iter: Count | None = None
    s: Annotated[Number, Field(ge=0)] | None = None
    eta: Annotated[Number, Field(gt=1)] | None = None
    strict: Any = None

    @model_validator(mode="after")
    def _has_rungs(self) -> Self:
        if self.type != "hyperband":
            raise config_error(f"W&B knows `hyperband` alone, got '{self.type[:60]}'", "type")
        if self.min_iter is None and (self.max_iter is None or self.s is None):
            raise config_error("hyperband needs `min_iter`, or `max_iter` with `s`")
        if self.min_iter is not None and self.max_iter is not None and self.min_iter > self.max_iter:
            raise config_error(f"`min_iter` must not be above `max_iter` {self.max_iter}; got {self.min_iter}", "min_iter")
        return self


class WandbSweep(_Open):
    """A sweep as W&B's file has it; the keys that wine_sweep has no use for are not looked into.

    Args:
        method: How runs are chosen.
        parameters: What is searched.
        name: The sweep's name.
        project: Where W&B keeps it.
        description: What it is for.
        program: The training script.
        command: The words that start it, macros among them.
        metric: What is optimized; a grid or random search may have none.
        metrics: Several of them, in place of `metric`.
        early_terminate: When poor runs are ended.
        run_cap: How many runs at most.
    """

    method: Strategy
    parameters: Annotated[dict[Text, ParameterConfig], Field(min_length=1)]
    name: Text | None = None
    project: Text | None = None
    description: Annotated[str, Field(strict=True)] | None = None
    program: Annotated[Location, AfterValidator(_word)] | None = None
    command: list[Annotated[Any, AfterValidator(_word)]] | None = None
    metric: WandbMetric | None = None
    metrics: Annotated[list[WandbMetric], Field(min_length=1, max_length=6)] | None = None
    early_terminate: EarlyTermination | None = None
    run_cap: Count | None = None

    @property
    def objectives(self) -> list[WandbMetric]:
        """The metrics that decide; none where the file names none."""
        return [self.metric] if self.metric is not None else list(self.metrics or ())

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if self.metric is not None and self.metrics is not None:
            raise config_error("give `metric` or `metrics`, not both", "metrics")
        names = [each.name for each in self.objectives]
        if len(set(names)) < len(names):
            raise config_error("the same metric is given twice", "metrics")
        if self.early_terminate is not None and not names:
            raise config_error("ending runs early needs a `metric` to go by", "early_terminate")
        return self


UNUSED = {
    "apiVersion": "says of what kind the file is",
    "kind": "says of what kind the file is",
    "entity": "MLflow's stores have no teams; who may write where is the tracking server's to say",
    "controller": "the sweep is controlled by the process that runs it",
    "parallel": "execution.workers says how many trials run at once",
    "job": "there are no launch jobs here; the program runs on this machine, or on a Dask cluster (execution.backend: dask)",
    "image_uri": "no container is started; put `docker run` into model.command where one is needed",
    "imageuri": "no container is started; put `docker run` into model.command where one is needed",
    "scheduler": "there is no scheduler to choose; search.method says who suggests trials",
    "launch": "there are no launch queues here; the sweep runs where it is started, or on a Dask cluster",
    "queue": "there are no launch queues here; the sweep runs where it is started, or on a Dask cluster",
    "resource": "there are no launch queues here; execution says where trials run and what they may take",
    "resource_args": "there are no launch queues here; execution says where trials run and what they may take",
    "template_variables": "there are no launch queues here, and so no templates of theirs",
    "settings": "they are settings of W&B's own client",
    "prior_runs": "runs of W&B's are not in MLflow; search.initial takes parameters to try first, search.from an older sweep",
}
"""The keys of W&B's that have no counterpart, and why."""

KEYS = (*WandbSweep.model_fields, *UNUSED)
"""All keys at the top of a W&B sweep."""


def read_sweep(content: bytes, source: str) -> WandbSweep:
    """Read a W&B sweep file.

    Args:
        content: The file.
        source: The name to show in errors.

    Raises:
        ConfigError: It is not YAML, or not a sweep that W&B would take.
    """
    document = read_yaml(content, source)
    if not isinstance(document.value, dict):
        problem = Problem("a W&B sweep is a mapping of keys such as `program`, `method` and `parameters`")
        raise ConfigError(document.locate([problem]))
    try:
        sweep = WandbSweep.model_validate(document.value)
    except ValidationError as error:
        problems = [*explain(error, WandbSweep, union_tags=()), *_typos(document.value)]
        raise ConfigError(document.locate(problems)) from error
    if clashes := list(check_names(leaves(sweep.parameters))):
        raise ConfigError(document.locate(clashes))
    return sweep


def _typos(keys: Iterable[Any]) -> Iterator[Problem]:
    """Name keys at the top that look like a key of W&B's; one may be what another problem misses."""
    for key in keys:
        if key not in KEYS and (near := did_you_mean(key, KEYS)):
            yield Problem(f"unknown key{near}", (str(key),), at_key=True)
