"""The sections `evaluation` and `objective`: how a trial is measured, and what decides."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from wine_sweep.config.fields import Model, Seed, Share, Text
from wine_sweep.config.problems import config_error


class Direction(StrEnum):
    """Which way the objective is better."""

    MINIMIZE = "minimize"
    MAXIMIZE = "maximize"


class CrossValidation(Model):
    """How the rows that are not test rows are split for measuring a trial: exactly one of `folds`, `holdout`, `time_series`.

    Args:
        folds: k folds, shuffled.
        repeats: How often the k folds are drawn anew.
        seed: Seeds the shuffling; repeat number i uses seed + i.
        holdout: One split, with this share of the rows to measure on.
        time_series: Ever longer beginnings of the table, each measured on the rows that follow; the table is in order of time.
        stratified: Whether every class has its share in each part of `folds` or `holdout`; by default true for
            classifiers, and a regressor has no classes.
    """

    folds: Annotated[int, Field(strict=True, ge=2)] | None = None
    repeats: Annotated[int, Field(strict=True, ge=1, le=1000)] = 1
    seed: Seed = 0
    holdout: Share | None = None
    time_series: Annotated[int, Field(strict=True, ge=2)] | None = None
    stratified: Annotated[bool, Field(strict=True)] | None = None

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        given = [name for name in ("folds", "holdout", "time_series") if getattr(self, name) is not None]
        if len(given) != 1:
            raise config_error(f"give exactly one of `folds`, `holdout`, `time_series`; got {', '.join(given) or 'none'}")
        if self.repeats > 1 and self.folds is None:
            raise config_error("`repeats` goes with `folds`", "repeats")
        if self.stratified is not None and self.time_series is not None:
            raise config_error("`stratified` goes with `folds` and `holdout`", "stratified")
        return self

    def describe(self) -> str:
        """Say in words what a mean over this evaluation is a mean over: ``5 folds``."""
        if self.folds is not None:
            return f"{self.folds} folds" + (f" × {self.repeats}" if self.repeats > 1 else "")
        return "a hold-out split" if self.holdout is not None else f"{self.time_series} splits in time"


def _folds(value: Any) -> Any:
    return {"folds": value} if isinstance(value, int) and not isinstance(value, bool) else value


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


class EvaluationConfig(Model):
    """How a trial is measured.

    Args:
        cv: The splits.
        metrics: What is measured; by default the usual metrics of the task.
        bootstrap: How the interval of the winner's test score is drawn.
        seeds: How often each fit is repeated, with the seeds ``search.seed``, ``search.seed + 1`` ….
    """

    cv: Annotated[
        CrossValidation, BeforeValidator(_folds, json_schema_input_type=Annotated[int, Field(ge=2)] | CrossValidation)
    ] = CrossValidation(folds=5)
    metrics: Annotated[list[Text], Field(min_length=1)] | None = None
    bootstrap: Annotated[
        BootstrapConfig,
        BeforeValidator(_resamples, json_schema_input_type=Annotated[int, Field(ge=0)] | BootstrapConfig),
    ] = BootstrapConfig()
    seeds: Annotated[int, Field(strict=True, ge=1, le=1000)] = 1

    def describe(self) -> str:
        """Say in words what a mean over this evaluation is a mean over: ``5 folds × 3 seeds``."""
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
