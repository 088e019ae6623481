"""A sweep's config: frozen, typed, unknown keys refused. Reading one runs no code and imports no estimator."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import ConfigDict, Field, model_validator

from wine_sweep.config.evaluation import EvaluationConfig, Objectives
from wine_sweep.config.execution import ExecutionConfig
from wine_sweep.config.fields import Bytes, Location, Model, Seed, Share, Text
from wine_sweep.config.model import EstimatorConfig, FamilyConfig, ModelConfig, ModelForm
from wine_sweep.config.parameters import ParameterConfig
from wine_sweep.config.problems import config_error
from wine_sweep.config.registry import RegistryConfig
from wine_sweep.config.search import NEEDS_POINTS, Method, SearchConfig, check_choices
from wine_sweep.config.selection import SelectionConfig, SelectRule


class Duplicates(StrEnum):
    """What is done with rows whose features are equal."""

    GROUP = "group"
    DROP = "drop"
    KEEP = "keep"


MAX_TABLE = 2_000_000_000
"""The most bytes of a table where nothing else is said."""


class DataConfig(Model):
    """The table, and the rows of it that no trial sees.

    Args:
        source: ``wine-quality-red``, ``wine-quality-white``, ``wine-quality``, or the path of a .csv, .csv.gz or .parquet.
        target: The column to predict; ``quality`` for the bundled tables.
        test_size: The share of the rows that is set aside before anything else, between 0 and 1.
        seed: Decides which rows those are.
        duplicates: ``group`` keeps rows with equal features on one side of every split; ``drop`` first drops rows that
            repeat another in every column; ``keep`` lets equal rows fall where they may.
        groups: A column that is no feature: rows with the same value in it stay on one side of every split. Beside
            `duplicates`, rows that are joined by either, or by a chain of both, stay together.
        weights: A column that is no feature: how much each row counts, in fitting and in measuring.
        max_size: How many bytes the table may have, unfolded where it is compressed; the rows of `new` too.
        new: Rows that came later, with the same columns: they are put below those of `source`, and the test rows are drawn
            from them alone, so that a model is measured on what it is going to meet.
    """

    source: Location
    target: Text | None = None
    test_size: Share = 0.25
    seed: Seed = 0
    duplicates: Duplicates = Duplicates.GROUP
    groups: Text | None = None
    weights: Text | None = None
    max_size: Bytes = MAX_TABLE
    new: Location | None = None


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
            raise config_error(NO_MODEL, "model")
        if self.model is not None and self.models is not None:
            raise config_error("give `model` or `models`, not both", "models")
        if self.model is not None and not self.search.parameters:
            raise config_error(NO_PARAMETERS, "search", "parameters")
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
    def _what_goes_with_the_model(self) -> Self:
        form = self.form
        if form.is_estimator:
            if self.data is None:
                raise config_error(NO_DATA, "data")
            if any(each.of is not None for each in self.objective or ()):
                raise config_error("`of` is for functions and commands, which report histories; folds are averaged", "objective")
            return self
        if not self.objective:
            raise config_error(NO_OBJECTIVE.format(form=form.value), "objective")
        if self.search.budget is not None:
            raise config_error(f"a {form.value} reports its own steps; leave `budget` out", "search", "budget")
        if self.registry is not None and self.registry.asks_for_gate and self.data is None:
            raise config_error(NO_GATE[form], "registry", "gate")
        if form is ModelForm.COMMAND:
            for name, plain in (("data", None), ("evaluation", EvaluationConfig())):
                if getattr(self, name) != plain:
                    raise config_error(f"a command reads its data and measures by itself; leave `{name}` out", name)
            return self
        plain = EvaluationConfig()
        for name in ("metrics", "bootstrap", *(("cv",) if self.data is None else ())):
            if getattr(self.evaluation, name) != getattr(plain, name):
                why = "there is no `data` to split" if name == "cv" else "a function measures by itself"
                raise config_error(f"{why}; leave `{name}` out", "evaluation", name)
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
                raise config_error(f"method {method.value} {NEEDS_POINTS}", "models", family, "parameters", endless)
            for where, names in ((("models", family), model.parameters), (("search",), self.search.parameters)):
                if FAMILY in names:
                    raise config_error(
                        f"with `models`, `{FAMILY}` is the parameter that names the family", *where, "parameters", FAMILY
                    )
        return self

    @model_validator(mode="after")
    def _one_objective(self) -> Self:
        several = len(self.objective or ()) > 1
        for name in ("target", "regret"):
            if several and getattr(self.search, name) is not None:
                raise config_error(f"`{name}` goes with one objective; there are {len(self.objective or ())}", "search", name)
        if several and self.search.method is Method.CMAES:
            raise config_error("cmaes has one objective; use tpe, gp, nsga2 or nsga3", "search", "method")
        if several and self.selection.select is not SelectRule.BEST:
            message = f"one_standard_error goes with one objective; there are {len(self.objective or ())}, and `pick` chooses"
            raise config_error(message, "selection", "select")
        if not several and self.selection.pick is not None:
            raise config_error("`pick` chooses among several objectives; there is one", "selection", "pick")
        if self.selection.constraints and self.search.method is Method.CMAES:
            raise config_error("cmaes cannot learn limits on metrics; use tpe, gp, nsga2 or nsga3", "search", "method")
        return self
