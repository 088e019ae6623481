"""The sections `model` and `models`: an estimator or a pipeline, families of these, or code of the user's own."""

from __future__ import annotations

import re
import warnings
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from wine_sweep.config.fields import Location, Model, Text, Values
from wine_sweep.config.parameters import ParameterConfig
from wine_sweep.config.problems import config_error
from wine_sweep.config.words import Words

_PIPELINE_WORDS = "steps, memory, transform_input, verbose"
"""What scikit-learn's Pipeline calls its own parameters."""


def _step(value: Any) -> Any:
    return {"estimator": value} if isinstance(value, str) else value


class StepConfig(Model):
    """One named step of a pipeline: a dotted path, or that and parameters."""

    estimator: Text
    params: Values = Field(default_factory=dict)


class ModelForm(StrEnum):
    """What a section `model` names; each is the key that it stands under."""

    ESTIMATOR = "estimator"
    PIPELINE = "pipeline"
    FUNCTION = "function"
    COMMAND = "command"

    @property
    def is_estimator(self) -> bool:
        """Whether it is measured as scikit-learn's estimators are: fitted and scored, fold by fold."""
        return self in (ModelForm.ESTIMATOR, ModelForm.PIPELINE)


_FUNCTION = re.compile(r"(?P<file>.+\.py):(?P<name>[^\W\d]\w*)")


def _function(value: str) -> str:
    if _FUNCTION.fullmatch(value) is None:
        raise config_error(f"a function is written as FILE.py:NAME, such as train.py:train; got {value!r}")
    return value


LONGEST_PATTERN = 4096
"""Characters."""


def _pattern(value: str) -> str:
    if len(value) > LONGEST_PATTERN:
        raise config_error(f"a pattern has {LONGEST_PATTERN} characters at most, got {len(value)}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # about brackets that a later Python may read otherwise
            groups = set(re.compile(value).groupindex)
    except (re.error, OverflowError) as error:
        raise config_error(f"is no regular expression: {error}") from error
    except (RecursionError, MemoryError) as error:
        raise config_error("is nested too deeply for a regular expression") from error
    if not groups:
        raise config_error(
            "has no named group; name each by its metric, as in 'rmse=(?P<rmse>[-+.e0-9]+)', or have `name` and `value`"
        )
    if len({"name", "value"} & groups) == 1:
        raise config_error("`name` and `value` are named together: one is a metric's name, the other its value")
    return value


class EstimatorConfig(Model):
    """An estimator by its dotted path, or a pipeline of them, and the parameters that stay fixed."""

    estimator: Text | None = None
    pipeline: dict[Text, Annotated[StepConfig, BeforeValidator(_step, json_schema_input_type=Text | StepConfig)]] | None = None
    params: Values = Field(default_factory=dict)

    @classmethod
    def forms(cls) -> list[ModelForm]:
        """List the keys of which exactly one names the model."""
        return [form for form in ModelForm if form.value in cls.model_fields]

    @property
    def form(self) -> ModelForm:
        """Which of the keys names the model."""
        return next(form for form in self.forms() if getattr(self, form.value) is not None)

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if sum(getattr(self, form.value) is not None for form in self.forms()) != 1:
            *most, last = (f"`{form.value}`" for form in self.forms())
            raise config_error(f"give {'either' if len(most) == 1 else 'one of'} {', '.join(most)} or {last}")
        if self.pipeline is not None:
            if not self.pipeline:
                raise config_error("a pipeline has one step or more", "pipeline")
            bad = next((name for name in self.pipeline if "__" in name or name in _PIPELINE_WORDS.split(", ")), None)
            if bad is not None:
                raise config_error(
                    f"a step cannot be called '{bad}': no name holds `__` or is one of {_PIPELINE_WORDS}", "pipeline", bad
                )
        return self


class ModelConfig(EstimatorConfig):
    """What is tuned: an estimator, a pipeline of them, a function or a command, and the parameters that stay fixed.

    Args:
        estimator: An estimator's dotted path.
        pipeline: Named steps, each an estimator.
        params: Parameters that stay fixed.
        function: A function of the user's own, ``FILE.py:NAME``, the file relative to the config.
        command: A program of the user's own and its arguments, run without a shell, with placeholders for parameters.
        folder: Where the command runs, relative to the config; the config's own folder by default.
        stdout: A regular expression that finds metrics in what the command prints: named groups are metrics, or `name` and
            `value`; a group `step` numbers them.
    """

    function: Annotated[Location, AfterValidator(_function)] | None = None
    command: Words | None = None
    folder: Location | None = None
    stdout: Annotated[str, Field(strict=True, min_length=1), AfterValidator(_pattern)] | None = None

    @property
    def function_parts(self) -> tuple[str, str]:
        """The function's file and its name in it.

        Raises:
            ValueError: The model is no function.
        """
        found = _FUNCTION.fullmatch(self.function or "")
        if found is None:
            raise ValueError("the model is no function")
        return found["file"], found["name"]

    @model_validator(mode="after")
    def _options_of_commands(self) -> Self:
        for name in ("folder", "stdout"):
            if getattr(self, name) is not None and self.command is None:
                raise config_error(f"`{name}` goes with `command`", name)
        return self


class FamilyConfig(EstimatorConfig):
    """One of several models to choose between, with searched parameters of its own."""

    parameters: dict[Text, ParameterConfig] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _fixed_or_searched(self) -> Self:
        both = [name for name in self.parameters if name in self.params]
        if both:
            raise config_error("fixed in `params` and searched here; keep one of the two", "parameters", both[0])
        return self
