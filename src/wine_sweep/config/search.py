"""The section `search`: what to try, how to choose it, and when to stop."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from wine_sweep.config.fields import Count, Duration, Model, Seed, Text
from wine_sweep.config.parameters import ParameterConfig, Range, exact_key
from wine_sweep.config.problems import wrong


class Method(StrEnum):
    """How trials are chosen."""

    GRID = "grid"
    RANDOM = "random"
    TPE = "tpe"


class SearchConfig(Model):
    """What to try.

    Args:
        method: ``grid`` in the order written, ``random`` or ``tpe`` through Optuna.
        parameters: The searched parameters by name, ``step__name`` in a pipeline.
        trials: How many trials at most. A grid has a number of its own; the other methods need this or `timeout`.
        timeout: After this many seconds no trial is started any more; those that run are finished.
        seed: Seeds the sampler, and every ``random_state`` that the config leaves open.
        initial: Parameters to try first.
    """

    method: Method = Method.GRID
    parameters: Annotated[dict[Text, ParameterConfig], Field(min_length=1)]
    trials: Count | None = None
    timeout: Duration | None = None
    seed: Seed = 0
    initial: list[dict[Text, Any]] = Field(default_factory=list)

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.method is not Method.GRID and self.trials is None and self.timeout is None:
            raise wrong(f"method {self.method.value} needs `trials` or `timeout`, or it would never end", "method")
        return self

    @model_validator(mode="after")
    def _grid_of_ranges(self) -> Self:
        open_ranges = [
            name
            for name, parameter in self.parameters.items()
            if isinstance(parameter, Range) and not parameter.is_int and parameter.num is None and parameter.step is None
        ]
        if self.method is Method.GRID and open_ranges:
            raise wrong("a grid needs `num` (how many points) or `step` in a range of floats", "parameters", open_ranges[0])
        return self

    @model_validator(mode="after")
    def _distinct_initial(self) -> Self:
        keys = [exact_key(point) for point in self.initial]
        if len(set(keys)) < len(keys):
            raise wrong("the same parameters are given twice", "initial")
        return self
