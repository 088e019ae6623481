"""The sections `model` and `models`: an estimator or a pipeline of them, or families of these to choose between."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from wine_sweep.config.fields import Model, Text, Values
from wine_sweep.config.parameters import ParameterConfig
from wine_sweep.config.problems import wrong

_PIPELINE_WORDS = "steps, memory, transform_input, verbose"
"""What scikit-learn's Pipeline calls its own parameters."""


def _step(value: Any) -> Any:
    return {"estimator": value} if isinstance(value, str) else value


class StepConfig(Model):
    """One named step of a pipeline: a dotted path, or that and parameters."""

    estimator: Text
    params: Values = Field(default_factory=dict)


class ModelConfig(Model):
    """An estimator by its dotted path, or a pipeline of them, and the parameters that stay fixed."""

    estimator: Text | None = None
    pipeline: dict[Text, Annotated[StepConfig, BeforeValidator(_step, json_schema_input_type=Text | StepConfig)]] | None = None
    params: Values = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if (self.estimator is None) == (self.pipeline is None):
            raise wrong("give either `estimator` or `pipeline`")
        if self.pipeline is not None:
            if not self.pipeline:
                raise wrong("a pipeline has one step or more", "pipeline")
            bad = next((name for name in self.pipeline if "__" in name or name in _PIPELINE_WORDS.split(", ")), None)
            if bad is not None:
                raise wrong(
                    f"a step cannot be called '{bad}': no name holds `__` or is one of {_PIPELINE_WORDS}", "pipeline", bad
                )
        return self


class FamilyConfig(ModelConfig):
    """One of several models to choose between, with searched parameters of its own."""

    parameters: dict[Text, ParameterConfig] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _fixed_or_searched(self) -> Self:
        both = [name for name in self.parameters if name in self.params]
        if both:
            raise wrong("fixed in `params` and searched here; keep one of the two", "parameters", both[0])
        return self
