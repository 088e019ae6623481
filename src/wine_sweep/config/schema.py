"""The config as a whole, with the sections `evaluation`, `objective` and `execution`: frozen, typed, unknown keys refused.

Reading a config runs no code and imports no estimator.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from wine_sweep.config.model import EstimatorConfig, FamilyConfig, ModelConfig, ModelForm
from wine_sweep.config.search import NEEDS_POINTS, ParameterConfig, SearchConfig, check_choices
from wine_sweep.config.selection import RegistryConfig, SelectionConfig, SelectRule
from wine_sweep.config.splits import CrossValidation, CrossValidationForms, HeldOutRows, as_cross_validation, as_held_out_rows
from wine_sweep.config.validation import Bytes, Count, Duration, Location, Model, Seed, Share, Text, Values, config_error
from wine_sweep.messages import show


class Direction(StrEnum):
    """Which way the objective is better."""

    MINIMIZE = "minimize"
    MAXIMIZE = "maximize"


class BootstrapConfig(Model):
    """The bootstrap percentile interval of the winner's test score.

    Args:
        resamples: How often the test rows are drawn anew; 0 for no interval.
        confidence: How often such intervals hold the true value, between 0 and 1.
    """

    resamples: Annotated[int, Field(strict=True, ge=0, le=1_000_000)] = 1000
    confidence: Share = 0.95

    @model_validator(mode="after")
    def _reaches_into_the_tails(self) -> Self:
        least = math.ceil(round(2 / (1 - self.confidence), 6))
        if 0 < self.resamples < least:
            raise config_error(
                f"an interval of confidence {self.confidence:g} needs {least} resamples at least, or its ends are the"
                f" lowest and the highest of them; got {self.resamples} (0 turns it off)",
                "resamples",
            )
        return self


def _resamples(value: Any) -> Any:
    return {"resamples": value} if isinstance(value, int) and not isinstance(value, bool) else value


def _one_class(value: Any) -> Any:
    if value is not None and not isinstance(value, str | bool | int | float):
        raise config_error(f"names one class: text, a number, true or false; got {show(value)}")
    return value


class MetricConfig(Model):
    """A metric that is measured; its name alone is the short form, and is dumped as such.

    Args:
        metric: A short name, a scikit-learn scorer, a function of sklearn.metrics, or a function of one's own as
            ``file.py:function`` or a dotted path.
        params: What the function is called with beside truth, predictions and weights.
        name: As the objective and MLflow call it; by default the function's name, with parameters where two would be the same.
        positive: Which of two classes is the positive one; by default 1.
        direction: Which way a function of one's own is better; the objective may say so instead.
    """

    metric: Location
    params: Values = Field(default_factory=dict)
    name: Text | None = None
    positive: Annotated[Any, AfterValidator(_one_class)] = None
    direction: Direction | None = None

    @model_serializer(mode="wrap")
    def _as_written(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any] | str:
        tree: dict[str, Any] = dump(self)
        given = {name: value for name, value in tree.items() if value not in (None, {})}
        return self.metric if list(given) == ["metric"] else given

    @property
    def own_parts(self) -> tuple[str, str] | None:
        """The file or module and the name of a function of one's own; None for one of scikit-learn."""
        path, colon, name = self.metric.rpartition(":")
        if colon and path.endswith(".py"):
            return path, name
        module, _, name = self.metric.rpartition(".")
        return (module, name) if module and module != "sklearn.metrics" else None

    @property
    def plain_name(self) -> str:
        """What it is called where no other is called so."""
        own = self.own_parts
        return self.name or (own[1] if own is not None else self.metric.removeprefix("sklearn.metrics."))

    @property
    def long_name(self) -> str:
        """What it is called where another has the same function: the parameters stand in the name."""
        positive = {} if self.positive is None else {"": self.positive}
        told = [f"{name}_{value}" if name else str(value) for name, value in {**self.params, **positive}.items()]
        return self.name or re.sub(r"[^\w.-]+", "_", "_".join([self.plain_name, *told]))


def _metric(value: Any) -> Any:
    return {"metric": value} if isinstance(value, str) else value


def _named_apart(metrics: list[MetricConfig]) -> list[MetricConfig]:
    plain = [each.plain_name for each in metrics]
    named = [each.long_name if plain.count(each.plain_name) > 1 else each.plain_name for each in metrics]
    return [
        each if name == each.plain_name or each.name is not None else each.model_copy(update={"name": name})
        for each, name in zip(metrics, named, strict=True)
    ]


class EvaluationConfig(Model):
    """How a trial is measured.

    Args:
        cv: The splits.
        metrics: What is measured; by default the usual metrics of the task.
        bootstrap: How the interval of the winner's test score is drawn.
        seeds: How often each fit is repeated, with the seeds ``search.seed``, ``search.seed + 1`` ….
    """

    cv: Annotated[
        CrossValidation,
        BeforeValidator(as_cross_validation, json_schema_input_type=CrossValidationForms),
    ] = CrossValidation(folds=5)
    metrics: (
        Annotated[
            list[Annotated[MetricConfig, BeforeValidator(_metric, json_schema_input_type=Text | MetricConfig)]],
            Field(min_length=1),
            AfterValidator(_named_apart),
        ]
        | None
    ) = None
    bootstrap: Annotated[
        BootstrapConfig,
        BeforeValidator(_resamples, json_schema_input_type=Annotated[int, Field(ge=0)] | BootstrapConfig),
    ] = BootstrapConfig()
    seeds: Annotated[int, Field(strict=True, ge=1, le=1000)] = 1

    def describe(self) -> str:
        """Describe what a mean over this evaluation is a mean over: ``5 folds × 3 seeds``."""
        return self.cv.describe() + (f" × {self.seeds} seeds" if self.seeds > 1 else "")


class HistoryReducer(StrEnum):
    """Which value of a metric's history counts, where a function or a command reports several."""

    LAST = "last"
    MIN = "min"
    MAX = "max"


class ObjectiveConfig(Model):
    """A metric that decides, or ``fit_seconds``. Its direction follows from the metric, where that is a known one.

    Args:
        metric: Its name.
        direction: Which way it is better.
        of: Which value of its history counts, for functions and commands; the last by default.
    """

    metric: Text
    direction: Direction | None = None
    of: HistoryReducer | None = None


def _objectives(value: Any) -> Any:
    """Turn the short forms into the long one, a list of mappings."""
    if value is None:
        return None
    values = value if isinstance(value, list) else [value]
    return [{"metric": each} if isinstance(each, str) else each for each in values]


def _distinct_metrics(objectives: list[ObjectiveConfig]) -> list[ObjectiveConfig]:
    names = [each.metric for each in objectives]
    if len(set(names)) < len(names):
        raise config_error("the same metric is given twice")
    return objectives


Objectives = Annotated[
    list[ObjectiveConfig],
    Field(min_length=1, max_length=6),
    AfterValidator(_distinct_metrics),
    BeforeValidator(_objectives, json_schema_input_type=Text | ObjectiveConfig | list[Text | ObjectiveConfig]),
]
"""One objective or several: a metric's name, ``{metric, direction}``, or a list of them."""


LEAST_MEMORY = 64 * 1024**2
"""The smallest limit, in bytes; Python with the libraries alone takes more."""

_ADDRESS = re.compile(r"(tcp|tls)://(\[[0-9a-fA-F:]+\]|[\w.-]+):(\d{1,5})")
Again = Annotated[int, Field(strict=True, ge=0, le=100)]


@dataclass(frozen=True)
class BackendTraits:
    """What follows from where trials are measured.

    Args:
        runs_in_this_process: Whether trials run in the process of the sweep itself, one at a time.
        can_kill: Whether a trial runs in a process of its own, which can be ended from outside.
        shares_this_disk: Whether what a trial writes to a file can be read here.
        takes_address: Whether it may be a cluster that has an address.
        package: What has to be installed for it; the extra of the backend's own name brings it.
    """

    runs_in_this_process: bool = False
    can_kill: bool = True
    shares_this_disk: bool = True
    takes_address: bool = False
    package: str = ""


class Backend(StrEnum):
    """Where trials are measured, a row each.

    Attributes:
        traits: What follows from it.
    """

    traits: BackendTraits

    SERIAL = "serial", BackendTraits(runs_in_this_process=True, can_kill=False)
    PROCESSES = "processes", BackendTraits()
    DASK = "dask", BackendTraits(shares_this_disk=False, takes_address=True, package="distributed")

    def __new__(cls, value: str, traits: BackendTraits) -> Self:
        """Make a row, known by its value alone."""
        row = str.__new__(cls, value)
        row._value_ = value
        row.traits = traits
        return row


class RetriesConfig(Model):
    """How often a trial is measured again, by what went wrong; each cause is counted by itself.

    Args:
        worker: Its worker process died, or the machine that it was on left the cluster.
        timeout: It took longer than `trial_timeout`.
        memory: It used more than `memory_limit`.
        error: The estimator raised, or a metric was not finite.
    """

    worker: Again = 1
    timeout: Again = 0
    memory: Again = 0
    error: Again = 0


def _for_a_lost_worker(value: Any) -> Any:
    return {"worker": value} if isinstance(value, int) and not isinstance(value, bool) else value


def _enough(value: int) -> int:
    if value < LEAST_MEMORY:
        raise config_error(f"must be at least 64MiB ({LEAST_MEMORY} bytes), got {value} bytes")
    return value


def _scheduler(value: str) -> str:
    found = _ADDRESS.fullmatch(value)
    if found is None or not 0 < int(found[3]) < 2**16:
        raise config_error(f"a scheduler's address is tcp://HOST:PORT or tls://HOST:PORT, got {value!r}")
    return value


class ExecutionConfig(Model):
    """Where trials run.

    Args:
        backend: ``processes`` on this machine, ``serial`` in this process, or a ``dask`` cluster.
        workers: How many trials run at a time: all cores by default, on a cluster as many as it has threads.
        address: The Dask scheduler; by default a cluster is started on this machine.
        trial_timeout: How long a trial may take, in seconds, all its steps together.
        memory_limit: How much memory a trial's processes may use together, in bytes.
        retries: How often a trial is measured again; a number is meant for lost workers.
        max_failures: The number of failed trials that ends the sweep.
        grace: How long what runs may take after somebody asked the sweep to stop, in seconds.
        tracking_timeout: How long the tracking store may be gone, in seconds.
    """

    backend: Backend = Backend.PROCESSES
    workers: Annotated[int, Field(strict=True, ge=1, le=1024)] | None = None
    address: Annotated[Text, AfterValidator(_scheduler)] | None = None
    trial_timeout: Duration | None = None
    memory_limit: Annotated[Bytes, AfterValidator(_enough)] | None = None
    retries: Annotated[
        RetriesConfig,
        BeforeValidator(_for_a_lost_worker, json_schema_input_type=Annotated[int, Field(ge=0, le=100)] | RetriesConfig),
    ] = RetriesConfig()
    max_failures: Count | None = None
    grace: Duration = 20.0
    tracking_timeout: Duration = 600.0

    @property
    def alone(self) -> ExecutionConfig:
        """The same limits for one trial, in a worker process on this machine."""
        return self.model_copy(update={"backend": Backend.PROCESSES, "workers": 1, "address": None})

    @model_validator(mode="after")
    def _serial_is_one(self) -> Self:
        if self.backend.traits.runs_in_this_process and self.workers not in (None, 1):
            raise config_error(f"backend {self.backend} has one worker; use `backend: processes` for {self.workers}", "workers")
        return self

    @model_validator(mode="after")
    def _only_processes_can_be_ended(self) -> Self:
        for name in ("trial_timeout", "memory_limit"):
            if getattr(self, name) is not None and not self.backend.traits.can_kill:
                raise config_error(f"backend {self.backend} cannot end a trial; use `backend: processes`", name)
        return self

    @model_validator(mode="after")
    def _address_of_a_cluster(self) -> Self:
        if self.address is not None and not self.backend.traits.takes_address:
            raise config_error("is a Dask scheduler's; add `backend: dask`", "address")
        return self


class Duplicates(StrEnum):
    """What is done with rows whose features are equal."""

    GROUP = "group"
    DROP = "drop"
    KEEP = "keep"


MAX_TABLE = 2_000_000_000
"""The most bytes of a table where nothing else is said."""


class ColumnType(StrEnum):
    """What the values of a column are read as, where that cannot be seen from them: ``01000`` may be a number or a zip code."""

    NUMBER = "number"
    TEXT = "text"
    CATEGORY = "category"
    DATE = "date"


def _character(value: str) -> str:
    if len(value) != 1 or value in '"\r\n':
        raise config_error(f"is one character, and neither a quote nor the end of a line; got {show(value)}")
    return value


def _encoding(value: str) -> str:
    try:
        "".encode(value)
    except (LookupError, ValueError) as error:
        raise config_error(f"is an encoding that Python knows, such as utf-8, latin-1, cp1252; got {show(value)}") from error
    return value


Character = Annotated[str, Field(strict=True), AfterValidator(_character)]


class Reading(Model):
    """How a table's file becomes values.

    Args:
        separator: What separates the columns of text; by default tab in a .tsv, else whichever of comma, semicolon, tab and bar
            the header has most of.
        decimal: The decimal point of numbers in text.
        thousands: What separates thousands in text, if anything does.
        comment: What begins a comment in text, if anything does: the rest of the line does not count.
        encoding: The encoding of text; by default UTF-8, with or without a byte order mark.
        sheet: The sheet of an .xlsx; by default the only one that holds something.
        na_values: Text that is a gap, beside what is one anyway.
        keep_default_na: Whether an empty field, NA, NaN, null, None, n/a and the like are gaps too.
        dtypes: What columns are read as where their values do not show it: ``number``, ``text``, ``category``, ``date``.
        max_size: How many bytes the table may have, unfolded where it is compressed; the rows of `new` too.
    """

    separator: Character | None = None
    decimal: Character = "."
    thousands: Character | None = None
    comment: Character | None = None
    encoding: Annotated[Text, AfterValidator(_encoding)] | None = None
    sheet: Text | None = None
    na_values: list[Text] = Field(default_factory=list)
    keep_default_na: Annotated[bool, Field(strict=True)] = True
    dtypes: dict[Text, ColumnType] = Field(default_factory=dict)
    max_size: Bytes = MAX_TABLE

    @model_validator(mode="after")
    def _different_characters(self) -> Self:
        used: dict[str, str] = {}
        for key in ("separator", "decimal", "thousands", "comment"):
            character = getattr(self, key)
            if character in used:
                raise config_error(f"is the same as `{used[character]}`; they have to differ", key, code="conflict")
            used |= {character: key} if character is not None else {}
        return self


_LATER = ("time", "test")
"""Keys of `data` that are dumped only where they are given, so that recorded configs stay the same text."""


class TableConfig(Model):
    """The table, what its columns are for, and the rows of it that no trial sees.

    Args:
        source: ``wine-quality-red``, ``wine-quality-white``, ``wine-quality``, or the path of a file: .csv, .tsv, .txt or .jsonl,
            plain or with .gz, .bz2, .xz or .zip; .parquet, or a folder of such parts; .feather, .arrow or .xlsx.
        target: The column to predict; ``quality`` for the bundled tables.
        test_size: The share of the rows that is set aside before anything else, between 0 and 1.
        seed: Decides which rows those are.
        duplicates: ``group`` keeps rows with equal features on one side of every split; ``drop`` first drops rows that
            repeat another in every column; ``keep`` lets equal rows fall where they may.
        groups: A column that is no feature: rows with the same value in it stay on one side of every split. Beside
            `duplicates`, rows that are joined by either, or by a chain of both, stay together.
        weights: A column that is no feature: how much each row counts, in fitting and in measuring.
        features: The columns to learn from; by default all that are nothing else.
        drop: Columns that are not learned from; instead of `features`.
        new: Rows that came later, with the same columns: they are put below those of `source`, and the test rows are drawn
            from them alone, so that a model is measured on what it is going to meet.
        time: A column of dates or numbers that orders the rows, whatever their order in the file: the test rows are the last
            ones, rows of one time stay together, and splits in time go by it. A feature only if `features` names it.
        test: The test rows, in place of a share of the table: those of another table, those that a column marks, or those
            since a time. With `new` the test rows are drawn from the new rows all the same, and these are learned from.
    """

    source: Location
    target: Text | None = None
    test_size: Share = 0.25
    seed: Seed = 0
    duplicates: Duplicates = Duplicates.GROUP
    groups: Text | None = None
    weights: Text | None = None
    features: Annotated[list[Text], Field(min_length=1)] | None = None
    drop: list[Text] = Field(default_factory=list)
    new: Location | None = None
    time: Text | None = None
    test: Annotated[
        HeldOutRows | None, BeforeValidator(as_held_out_rows, json_schema_input_type=Location | HeldOutRows | None)
    ] = None

    @model_serializer(mode="wrap")
    def _without_later_keys(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        tree: dict[str, Any] = dump(self)
        return {key: value for key, value in tree.items() if key not in _LATER or value is not None}

    @model_validator(mode="after")
    def _features_or_drop(self) -> Self:
        if self.features is not None and self.drop:
            raise config_error("goes without `features`: what is not named there is not learned from", "drop", code="conflict")
        return self

    @model_validator(mode="after")
    def _test_rows_given_or_drawn(self) -> Self:
        if self.test is None:
            return self
        if self.test.since is not None and self.time is None:
            raise config_error("goes with `time`, the column that it is a time of", "test", "since")
        for name in ("test_size", "seed"):
            if self.new is None and getattr(self, name) != type(self).model_fields[name].default:
                raise config_error("is for test rows that are drawn, and `test` names them; leave it out", name, code="conflict")
        return self


class DataConfig(Reading, TableConfig):
    """The section `data`: the table as `TableConfig` has it, read as `Reading` says."""


FAMILY = "model"
"""The parameter that names a trial's family, where a config has `models`."""

NO_MODEL = "is missing; give `model`, or `models` for several to choose between"

NO_PARAMETERS = "is missing: what is to be searched"

NO_DATA = "is missing: the table that the estimator learns from"

NO_OBJECTIVE = "is missing: a {form} has no usual metric; name the one that decides, as in {{metric: rmse, direction: minimize}}"

NO_GATE = {
    ModelForm.COMMAND: "a command measures on rows that only it knows; leave `gate` out",
    ModelForm.FUNCTION: "there is no `data` with rows to compare models on; leave `gate` out",
}


class SweepConfig(Model):
    """One sweep, as one YAML file says it.

    Args:
        name: The parent run's name; the file's stem by default.
        experiment: The MLflow experiment, made if missing; by default MLFLOW_EXPERIMENT_NAME, else the sweep's name.
        data: The table; estimators need one, functions may have one, and a command reads its own.
        model: The estimator or pipeline, or the user's own function or command.
        models: Instead of `model`: several by name, each with parameters of its own; the name is the parameter `model`.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_extra={
            "oneOf": [{"required": ["model"]}, {"required": ["models"]}],
            "anyOf": [
                {"required": ["data"]},
                {"properties": {"model": {"anyOf": [{"required": ["function"]}, {"required": ["command"]}]}}},
            ],
        },
    )

    name: Text | None = None
    experiment: Text | None = None
    data: DataConfig | None = None
    model: ModelConfig | None = None
    models: Annotated[dict[Text, FamilyConfig], Field(min_length=1)] | None = None
    search: SearchConfig
    evaluation: EvaluationConfig = EvaluationConfig()
    objective: Objectives | None = None
    selection: SelectionConfig = SelectionConfig()
    execution: ExecutionConfig = ExecutionConfig()
    registry: RegistryConfig | None = None

    @property
    def form(self) -> ModelForm:
        """What is tuned; families are estimators."""
        return ModelForm.ESTIMATOR if self.model is None else self.model.form

    @property
    def families(self) -> dict[str | None, EstimatorConfig]:
        """The models by family; a config with one `model` has one, under None."""
        if self.models is not None:
            return {family: model for family, model in self.models.items()}  # noqa: C416  # a dict of wider types
        return {None: self.model} if self.model is not None else {}

    @model_validator(mode="after")
    def _one_model(self) -> Self:
        if self.model is None and self.models is None:
            raise config_error(NO_MODEL, "model", code="missing-key")
        if self.model is not None and self.models is not None:
            raise config_error("give `model` or `models`, not both", "models", code="conflict")
        return self

    @model_validator(mode="after")
    def _something_to_search(self) -> Self:
        if not self.search.parameters and self.models is None:
            if "parameters" in self.search.model_fields_set:
                raise config_error("must not be empty", "search", "parameters", code="out-of-range")
            raise config_error(NO_PARAMETERS, "search", "parameters", code="missing-key")
        return self

    @model_validator(mode="after")
    def _few_choices_in_all(self) -> Self:
        parameters: dict[tuple[str, ...], ParameterConfig] = {}
        for name, parameter in self.search.parameters.items():
            parameters["search", "parameters", name] = parameter
        for family, model in (self.models or {}).items():
            parameters |= {("models", family, "parameters", name): each for name, each in model.parameters.items()}
        check_choices(parameters, self.search.max_choices)
        return self

    @model_validator(mode="after")
    def _data_of_estimators(self) -> Self:
        if self.data is None and self.form.is_estimator:
            raise config_error(NO_DATA, "data", code="missing-key")
        return self

    @model_validator(mode="after")
    def _objective_of_the_form(self) -> Self:
        form = self.form
        if form.is_estimator and any(each.of is not None for each in self.objective or ()):
            message = "`of` is for functions and commands, which report histories; folds are averaged"
            raise config_error(message, "objective", code="conflict")
        if not form.is_estimator and not self.objective:
            raise config_error(NO_OBJECTIVE.format(form=form.value), "objective", code="missing-key")
        return self

    @model_validator(mode="after")
    def _budget_of_the_form(self) -> Self:
        if not self.form.is_estimator and self.search.budget is not None:
            message = f"a {self.form.value} reports its own steps; leave `budget` out"
            raise config_error(message, "search", "budget", code="conflict")
        return self

    @model_validator(mode="after")
    def _gate_of_the_form(self) -> Self:
        form, registry = self.form, self.registry
        if not form.is_estimator and registry is not None and registry.asks_for_gate and self.data is None:
            raise config_error(NO_GATE[form], "registry", "gate", code="conflict")
        return self

    @model_validator(mode="after")
    def _evaluation_of_the_form(self) -> Self:
        plain = EvaluationConfig()
        if self.form is ModelForm.COMMAND:
            for name, nothing in (("data", None), ("evaluation", plain)):
                if getattr(self, name) != nothing:
                    message = f"a command reads its data and measures by itself; leave `{name}` out"
                    raise config_error(message, name, code="conflict")
        elif self.form is ModelForm.FUNCTION:
            for name in ("metrics", "bootstrap", *(("cv",) if self.data is None else ())):
                if getattr(self.evaluation, name) != getattr(plain, name):
                    why = "there is no `data` to split" if name == "cv" else "a function measures by itself"
                    raise config_error(f"{why}; leave `{name}` out", "evaluation", name, code="conflict")
        return self

    @model_validator(mode="after")
    def _one_column_of_groups(self) -> Self:
        left_out, groups = self.evaluation.cv.leave_one_group_out, None if self.data is None else self.data.groups
        if left_out is not None and groups not in (None, left_out):
            message = f"`data.groups` is '{groups}', and the groups that are left out are the same; leave one of the two out"
            raise config_error(message, "evaluation", "cv", "leave_one_group_out", code="conflict")
        return self

    @model_validator(mode="after")
    def _fixed_or_searched(self) -> Self:
        for family, model in self.families.items():
            both = [name for name in self.search.parameters if name in model.params]
            if both:
                where = f"models.{family}.params" if family else "model.params"
                raise config_error(f"fixed in `{where}` and searched here; keep one of the two", "search", "parameters", both[0])
        return self

    @model_validator(mode="after")
    def _finite_families(self) -> Self:
        method = self.search.method
        for family, model in (self.models or {}).items():
            endless = next((name for name, each in model.parameters.items() if each.is_endless), None)
            if method.is_exhaustive and endless is not None:
                raise config_error(f"method {method} {NEEDS_POINTS}", "models", family, "parameters", endless)
            for where, names in ((("models", family), model.parameters), (("search",), self.search.parameters)):
                if FAMILY in names:
                    raise config_error(
                        f"with `models`, `{FAMILY}` is the parameter that names the family", *where, "parameters", FAMILY
                    )
        return self

    @model_validator(mode="after")
    def _one_objective(self) -> Self:
        several = len(self.objective or ()) > 1
        if several and self.search.target is not None:
            raise config_error(f"`target` goes with one objective; there are {len(self.objective or ())}", "search", "target")
        if several and self.selection.select is not SelectRule.BEST:
            message = f"one_standard_error goes with one objective; there are {len(self.objective or ())}, and `pick` chooses"
            raise config_error(message, "selection", "select")
        if not several and self.selection.pick is not None:
            raise config_error("`pick` chooses among several objectives; there is one", "selection", "pick")
        refused = self.search.method.refusal(objectives=len(self.objective or ()), limits=bool(self.selection.constraints))
        if refused is not None:
            raise config_error(refused, "search", "method")
        return self
