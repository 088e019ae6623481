"""The sections `model` and `models`: estimators, pipelines, families of these, functions and commands."""

from __future__ import annotations

import re
import string
import warnings
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from wine_sweep.config.search import ParameterConfig
from wine_sweep.config.validation import Location, Model, NotKnown, Text, Values, config_error, known

ENVIRONMENT = "env:"
"""What a placeholder for an environment variable begins with: ``{env:HOME}``."""

PLACEHOLDERS = ("params_json", "params_file", "trial", "seed", "python")
"""What may stand within a word beside the names of parameters."""

WHOLE_WORDS = ("args", "args_no_hyphens", "args_no_boolean_flags")
"""What stands for a word of its own for each parameter, and so fills a word alone."""


def placeholders(word: str) -> Iterator[str]:
    """Yield the names of a word's placeholders, in order; a doubled brace is a brace.

    Raises:
        ValueError: A brace has no partner.
    """
    yield from (name for _, name in parts(word) if name is not None)


def parts(word: str) -> Iterator[tuple[str, str | None]]:
    """Yield a word's pieces: plain text, and the name of the placeholder that follows it, None after the last.

    Raises:
        ValueError: A brace has no partner.
    """
    for text, name, spec, conversion in string.Formatter().parse(word):
        whole = None if name is None else name + (f"!{conversion}" if conversion else "") + (f":{spec}" if spec else "")
        yield text, whole


def _as_text(value: Any) -> Any:
    """Take numbers as they would be typed; YAML reads ``--epochs 10`` as one."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _well_formed(word: str) -> str:
    if "\0" in word:
        raise config_error("a word of a command cannot hold a NUL character")
    try:
        names = list(placeholders(word))
    except ValueError as error:
        raise config_error(f"{error}; a brace that is meant as such is doubled: '{{{{'") from error
    for name in names:
        if not name:
            raise config_error("an empty placeholder; name a parameter, as in {alpha}, or double the braces")
        if name in WHOLE_WORDS and word != f"{{{name}}}":
            raise config_error(f"{{{name}}} stands for several words, and so is a word of its own")
    return word


Word = Annotated[
    str,
    Field(strict=True, max_length=32_768),
    AfterValidator(_well_formed),
    BeforeValidator(_as_text, json_schema_input_type=str | int | float),
]
Words = Annotated[list[Word], Field(min_length=1, max_length=1000)]
"""A program and its arguments, each a word, with placeholders in braces."""


_PIPELINE_WORDS = "steps, memory, transform_input, verbose"
"""What scikit-learn's Pipeline calls its own parameters."""


def _step(value: Any) -> Any:
    return {"estimator": value} if isinstance(value, str) else value


def wrong_step(names: Iterable[str]) -> tuple[str, str] | None:
    """Return the first name that no step of a pipeline can have, and why; None where all can."""
    bad = next((name for name in names if "__" in name or name in _PIPELINE_WORDS.split(", ")), None)
    return None if bad is None else (bad, f"a step cannot be called '{bad}': no name holds `__` or is one of {_PIPELINE_WORDS}")


class StepConfig(Model):
    """One named step of a pipeline: a dotted path or a pipeline of its own, and parameters.

    Args:
        estimator: An estimator's dotted path, or ``passthrough``.
        pipeline: Named steps, each like this one; not dumped where there are none.
        params: Parameters that stay fixed.
    """

    estimator: Text | None = None
    pipeline: Steps | None = None
    params: Values = Field(default_factory=dict)

    @property
    def value(self) -> Any:
        """The step as a parameter's value is written: a dotted path, or a mapping with `estimator` or `pipeline`."""
        if self.pipeline is None and not self.params:
            return self.estimator
        tree: dict[str, Any] = {"params": self.params} if self.params else {}
        if self.pipeline is None:
            return {"estimator": self.estimator, **tree}
        return {"pipeline": {name: step.value for name, step in self.pipeline.items()}, **tree}

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if (self.estimator is None) == (self.pipeline is None):
            raise config_error("give either `estimator` or `pipeline`")
        _check_steps(self.pipeline)
        return self

    @model_serializer(mode="wrap")
    def _as_written(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        unused = "estimator" if self.pipeline is not None else "pipeline"
        return {name: value for name, value in dump(self).items() if name != unused}


Steps = dict[Text, Annotated[StepConfig, BeforeValidator(_step, json_schema_input_type=Text | StepConfig)]]


def _check_steps(steps: Steps | None) -> None:
    if steps is not None and not steps:
        raise config_error("a pipeline has one step or more", "pipeline")
    if (wrong := wrong_step(steps or ())) is not None:
        raise config_error(wrong[1], "pipeline", wrong[0])


class ModelForm(StrEnum):
    """What a section `model` names; each is the key that it stands under."""

    ESTIMATOR = "estimator"
    PIPELINE = "pipeline"
    FUNCTION = "function"
    COMMAND = "command"

    @property
    def is_estimator(self) -> bool:
        """Return whether it is measured as scikit-learn's estimators are: fitted and scored, fold by fold."""
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


class Preprocess(StrEnum):
    """Who prepares the columns for an estimator."""

    AUTO = "auto"


class EarlyStoppingConfig(Model):
    """When a model that is boosted stops.

    Args:
        rounds: After so many iterations that make it no better on rows set aside.
        share: How much of each fold's training rows is set aside for that; the winner is refitted on all of them.
    """

    rounds: Annotated[int, Field(strict=True, ge=1)]
    share: Annotated[float, Field(gt=0, lt=1)] = 0.1


class EstimatorConfig(Model):
    """An estimator by its dotted path, or a pipeline of them, and the parameters that stay fixed."""

    estimator: Text | None = None
    pipeline: Steps | None = None
    params: Values = Field(default_factory=dict)
    preprocess: Preprocess | None = None
    early_stopping: EarlyStoppingConfig | None = None

    @model_serializer(mode="wrap")
    def _as_written(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        tree: dict[str, Any] = dump(self)
        unused = [name for name in ("preprocess", "early_stopping") if tree.get(name) is None]
        return {name: value for name, value in tree.items() if name not in unused}

    @classmethod
    def forms(cls) -> list[ModelForm]:
        """List the keys of which exactly one names the model."""
        return [form for form in ModelForm if form.value in cls.model_fields]

    @property
    def form(self) -> ModelForm:
        """Which of the keys names the model; one whose value is wrong does too."""
        given = [form for form in self.forms() if known(lambda: getattr(self, form.value), form) is not None]  # noqa: B023  # each is called at once
        if len(given) != 1:
            raise NotKnown("form")
        return given[0]

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if sum(getattr(self, form.value) is not None for form in self.forms()) != 1:
            *most, last = (f"`{form.value}`" for form in self.forms())
            raise config_error(f"give {'either' if len(most) == 1 else 'one of'} {', '.join(most)} or {last}")
        if self.preprocess is not None and self.estimator is None:
            raise config_error("goes with `estimator`; a pipeline has its own steps", "preprocess")
        if self.early_stopping is not None and self.estimator is None and self.pipeline is None:
            raise config_error("goes with `estimator` or `pipeline`; code of your own stops by itself", "early_stopping")
        _check_steps(self.pipeline)
        return self


class ModelConfig(EstimatorConfig):
    """What is tuned: an estimator, a pipeline of them, a function or a command, and the parameters that stay fixed.

    Args:
        estimator: An estimator's dotted path.
        pipeline: Named steps, each an estimator.
        params: Parameters that stay fixed.
        preprocess: ``auto`` has skrub prepare the columns of any table for the estimator.
        early_stopping: When boosting stops; without it all iterations are made.
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
