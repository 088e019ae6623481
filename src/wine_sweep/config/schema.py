"""A sweep's config: frozen, typed, unknown keys refused. Reading one runs no code and imports no estimator."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from wine_sweep.config.parameters import ParameterConfig, Range, exact_key
from wine_sweep.config.problems import wrong

Text = Annotated[str, Field(strict=True, min_length=1, max_length=250)]
"""As long as MLflow lets a name be."""

Location = Annotated[str, Field(strict=True, min_length=1, max_length=4096)]
Count = Annotated[int, Field(strict=True, ge=1)]
Seed = Annotated[int, Field(strict=True, ge=0, lt=2**32)]
Share = Annotated[float, Field(strict=True, gt=0, lt=1, allow_inf_nan=False)]
Values = dict[Text, Any]

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+")


class Model(BaseModel):
    """What all sections share: frozen, and a key that they do not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Duplicates(StrEnum):
    """What is done with rows whose features are equal."""

    GROUP = "group"
    DROP = "drop"
    KEEP = "keep"


class Method(StrEnum):
    """How trials are chosen."""

    GRID = "grid"
    RANDOM = "random"
    TPE = "tpe"


class Direction(StrEnum):
    """Which way the objective is better."""

    MINIMIZE = "minimize"
    MAXIMIZE = "maximize"


class Backend(StrEnum):
    """Where trials are measured."""

    SERIAL = "serial"
    PROCESSES = "processes"


class Stage(StrEnum):
    """A stage of MLflow's Model Registry; its lower-case name is the alias that is kept beside it."""

    STAGING = "Staging"
    PRODUCTION = "Production"

    @property
    def alias(self) -> str:
        """The alias that goes with the stage: ``staging``, ``production``."""
        return self.value.lower()


def parse_duration(value: Any) -> Any:
    """Turn ``90``, ``90s``, ``10m`` or ``1h30m`` into seconds."""
    if isinstance(value, str) and _DURATION.fullmatch(value):
        return sum(float(n) * _UNITS[unit] for n, unit in re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", value))
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    raise wrong(f"a duration is a number of seconds or such as 90s, 10m, 1h30m, 2d; got {value!r}")


Duration = Annotated[float, BeforeValidator(parse_duration, json_schema_input_type=float | str), Field(gt=0, allow_inf_nan=False)]


class DataConfig(Model):
    """The table, and the rows of it that no trial sees.

    Args:
        source: ``wine-quality-red``, ``wine-quality-white``, ``wine-quality``, or the path of a .csv, .csv.gz or .parquet.
        target: The column to predict; ``quality`` for the bundled tables.
        test_size: The share of the rows that is set aside before anything else, between 0 and 1.
        seed: Decides which rows those are.
        duplicates: ``group`` keeps rows with equal features on one side of every split; ``drop`` first drops rows that
            repeat another in every column; ``keep`` lets equal rows fall where they may.
    """

    source: Location
    target: Text | None = None
    test_size: Share = 0.25
    seed: Seed = 0
    duplicates: Duplicates = Duplicates.GROUP


_PIPELINE_WORDS = "steps, memory, transform_input, verbose"
"""What scikit-learn's Pipeline calls its own parameters."""


def _step(value: Any) -> Any:
    return {"estimator": value} if isinstance(value, str) else value


class StepConfig(Model):
    """One named step of a pipeline: a dotted path, or that and parameters."""

    estimator: Text
    params: Values = {}


class ModelConfig(Model):
    """An estimator by its dotted path, or a pipeline of them, and the parameters that stay fixed."""

    estimator: Text | None = None
    pipeline: dict[Text, Annotated[StepConfig, BeforeValidator(_step, json_schema_input_type=Text | StepConfig)]] | None = None
    params: Values = {}

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
    initial: list[dict[Text, Any]] = []

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


class CrossValidation(Model):
    """How the rows that are not test rows are split for measuring a trial: exactly one of `folds`, `holdout`, `time_series`.

    Args:
        folds: k folds, shuffled; stratified for classifiers.
        repeats: How often the k folds are drawn anew.
        seed: Seeds the shuffling; repeat number i uses seed + i.
        holdout: One split, with this share of the rows to measure on.
        time_series: Ever longer beginnings of the table, each measured on the rows that follow; the table is in order of time.
    """

    folds: Annotated[int, Field(strict=True, ge=2)] | None = None
    repeats: Annotated[int, Field(strict=True, ge=1, le=1000)] = 1
    seed: Seed = 0
    holdout: Share | None = None
    time_series: Annotated[int, Field(strict=True, ge=2)] | None = None

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        given = [name for name in ("folds", "holdout", "time_series") if getattr(self, name) is not None]
        if len(given) != 1:
            raise wrong(f"give exactly one of `folds`, `holdout`, `time_series`; got {', '.join(given) or 'none'}")
        if self.repeats > 1 and self.folds is None:
            raise wrong("`repeats` goes with `folds`", "repeats")
        return self

    def describe(self) -> str:
        """Say in words what a mean over this evaluation is a mean over: ``5 folds``."""
        if self.folds is not None:
            return f"{self.folds} folds" + (f" × {self.repeats}" if self.repeats > 1 else "")
        return "a hold-out split" if self.holdout is not None else f"{self.time_series} splits in time"


def _folds(value: Any) -> Any:
    return {"folds": value} if isinstance(value, int) and not isinstance(value, bool) else value


class EvaluationConfig(Model):
    """How a trial is measured: the splits, and the metrics (by default the usual ones of the task)."""

    cv: Annotated[
        CrossValidation, BeforeValidator(_folds, json_schema_input_type=Annotated[int, Field(ge=2)] | CrossValidation)
    ] = CrossValidation(folds=5)
    metrics: Annotated[list[Text], Field(min_length=1)] | None = None


class ObjectiveConfig(Model):
    """The metric that decides. Its direction follows from the metric."""

    metric: Text
    direction: Direction | None = None


class ExecutionConfig(Model):
    """Where trials run: in `workers` processes (all cores by default), or one after the other in this one."""

    backend: Backend = Backend.PROCESSES
    workers: Annotated[int, Field(strict=True, ge=1, le=1024)] | None = None

    @model_validator(mode="after")
    def _serial_is_one(self) -> Self:
        if self.backend is Backend.SERIAL and self.workers not in (None, 1):
            raise wrong(f"backend serial has one worker; use `backend: processes` for {self.workers}", "workers")
        return self


def _model_name(value: str) -> str:
    if re.search(r"[/:.@%\"'\n]", value):
        raise wrong(f"a registered model's name holds none of / : . @ % or quotes; got {value!r}")
    return value


class RegistryConfig(Model):
    """The registered model that the winner becomes a version of, and the stage that it is moved to."""

    name: Annotated[Text, AfterValidator(_model_name)]
    stage: Stage = Stage.STAGING


class SweepConfig(Model):
    """One sweep, as one YAML file says it.

    Args:
        name: The parent run's name; the file's stem by default.
        experiment: The MLflow experiment, made if missing; by default MLFLOW_EXPERIMENT_NAME, else the sweep's name.
    """

    name: Text | None = None
    experiment: Text | None = None
    data: DataConfig
    model: ModelConfig
    search: SearchConfig
    evaluation: EvaluationConfig = EvaluationConfig()
    objective: ObjectiveConfig | None = None
    execution: ExecutionConfig = ExecutionConfig()
    registry: RegistryConfig | None = None

    @model_validator(mode="after")
    def _fixed_or_searched(self) -> Self:
        both = [name for name in self.search.parameters if name in self.model.params]
        if both:
            raise wrong("fixed in `model.params` and searched here; keep one of the two", "search", "parameters", both[0])
        return self
