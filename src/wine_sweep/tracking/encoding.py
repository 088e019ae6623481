"""Trials, metrics and tables as MLflow's entities, written in as few calls as its limits allow, and tags read back.

A tag is data of whoever can write to the store.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from statistics import fmean
from typing import Any, TypeVar

import pandas as pd
from mlflow import MlflowClient
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.data.dataset_source import DatasetSource
from mlflow.data.http_dataset_source import HTTPDatasetSource
from mlflow.data.sources import LocalArtifactDatasetSource
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.types import ColSpec, DataType, Schema

from wine_sweep.tracking import names
from wine_sweep.tracking.causes import came_second
from wine_sweep.trial import FIT_SECONDS, Step, Trial, TrialState, canonical_json


def metrics_of(trial: Trial, at: int) -> Iterator[Metric]:
    """Yield all that a trial measured, at a time in milliseconds since the epoch.

    What a pruned trial has are its steps or reports: a mean over some folds would look like a result.
    """
    for name, score in trial.scores.items():
        yield Metric(name, score.mean, at, 0)
        if score.has_spread:
            yield Metric(names.spread_metric(name), score.std, at, 0)
        for fold, value in enumerate(score.folds):
            yield Metric(names.fold_metric(name), value, at, fold)
    if trial.state is TrialState.FINISHED:
        yield Metric(FIT_SECONDS, trial.fit_seconds, at, 0)
    for number, step in enumerate(trial.steps):
        yield from _metrics_of_step(step, number, at)
    for report in trial.reports:
        yield from (Metric(names.report_metric(name), value, at, report.step) for name, value in report.values.items())


def _metrics_of_step(step: Step, number: int, at: int) -> Iterator[Metric]:
    """Yield a fold's values, one step for each fit, or the means at a budget."""
    for name, values in step.values.items():
        if step.budget is None:
            first = number * len(values)
            yield from (Metric(names.fold_metric(name), value, at, first + index) for index, value in enumerate(values))
        else:
            yield Metric(names.budget_metric(name), fmean(values), at, _budget_step(step.budget))


def _budget_step(budget: int | float) -> int:
    """Return the step of a budget in MLflow, a whole number: the parameter's value, or per mille of the rows."""
    return budget if isinstance(budget, int) else round(budget * 1000)


BATCH_METRICS = 800
BATCH_PARAMS = 100
BATCH_TAGS = 100
"""MLflow takes 1,000 entries in a batch, of which 100 parameters and 100 tags."""

MAX_TEXT = 6000
"""The longest value of a parameter, and the longest text of an error that is kept."""

Item = TypeVar("Item")


def log_in_batches(
    client: MlflowClient,
    run_id: str,
    *,
    metrics: Sequence[Metric] = (),
    params: Mapping[str, Any] | None = None,
    tags: Mapping[str, str] | None = None,
) -> None:
    """Log in one call, or in as many as MLflow's limits for a batch ask for; tags last, so that they vouch for the rest.

    Args:
        client: The open store.
        run_id: The run.
        metrics: What was measured.
        params: Parameters by name, their values as they are.
        tags: Tags by name.
    """
    batches = zip_longest(
        *(
            reversed(list(pieces))
            for pieces in (
                batched(metrics, BATCH_METRICS),
                batched([Param(key, _shown(value)) for key, value in (params or {}).items()], BATCH_PARAMS),
                batched([RunTag(key, str(value)) for key, value in (tags or {}).items()], BATCH_TAGS),
            )
        ),
        fillvalue=(),
    )
    for some_metrics, some_params, some_tags in reversed(list(batches)):
        client.log_batch(run_id, list(some_metrics), list(some_params), list(some_tags), synchronous=True)


def batched(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """Cut a sequence into pieces of at most `size` items."""
    return (items[first : first + size] for first in range(0, len(items), size))


def _shown(value: Any) -> str:
    text = canonical_json(value) if isinstance(value, list | dict) else str(value)
    return text[:MAX_TEXT]


Value = TypeVar("Value")
_WHOLE = re.compile(r"[0-9]{1,9}")


def tags_of(trial: Trial) -> dict[str, str]:
    """Return the tags of a child run whose trial has ended."""
    tags = {names.STATE: str(trial.state)}
    if trial.failure is not None:
        tags[names.ERROR] = str(trial.failure)[:MAX_TEXT]
    if trial.retries:
        tags[names.RETRIES] = str(trial.retries)
    if trial.state is TrialState.PRUNED:
        tags[names.PRUNED] = str(len(trial.steps or trial.reports))
    are_means = bool(trial.scores) and all(score.has_spread for score in trial.scores.values())
    if trial.state is TrialState.FINISHED and not are_means:
        values = {name: score.mean for name, score in trial.scores.items() if not score.has_spread}
        tags[names.SCORES] = _mapped({FIT_SECONDS: trial.fit_seconds, **values})
    if trial.violations:
        tags[names.INFEASIBLE] = json.dumps(dict(trial.violations))
    if trial.reported:
        tags[names.STEPS] = steps_to_text(trial.reported, trial.reported_at)
    if trial.warnings:
        tags[names.WARNINGS] = _listed(trial.warnings)
    return tags


def _mapped(values: Mapping[str, float]) -> str:
    """Write a mapping as JSON, as many of its first entries as fit into a tag."""
    text, kept = json.dumps(dict(values)), dict(values)
    while len(text) > names.MAX_TAG:
        kept.popitem()
        text = json.dumps(kept)
    return text


def steps_to_text(reported: Sequence[float], at: Sequence[int]) -> str:
    """Write what a pruner was told: a list of values, or of pairs of step and value where the trial counts its steps."""
    return _listed([[step, value] for step, value in zip(at, reported, strict=True)] if at else reported)


def steps_from_text(text: str) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """Read both forms back: the values, and the numbers of their steps, or none where they count from 0.

    Raises:
        ValueError: It is no JSON, or a pair has more or fewer parts.
        TypeError: It is something else.
    """
    items = _list(json.loads(text))
    if not all(isinstance(each, list) for each in items):
        return tuple(map(_number, items)), ()
    return tuple(_number(value) for _, value in items), tuple(_step(step) for step, _ in items)


def read_tag(tags: Mapping[str, str], name: str, read: Callable[[str], Value], default: str) -> Value:
    """Read a tag; one that is missing is read as if it held the default.

    Raises:
        ValueError: It holds something else; the message names the tag.
    """
    text = tags.get(name, default)
    try:
        return read(text)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"the tag {name} cannot be read: {text[:60]!r}") from error


def whole_number(text: str) -> int:
    """Read a whole number of at most nine digits.

    Raises:
        ValueError: It is none.
    """
    if not _WHOLE.fullmatch(text):
        raise ValueError("no whole number of at most nine digits")
    return int(text)


def numbers_by_name(text: str) -> dict[str, float]:
    """Read a JSON mapping of numbers.

    Raises:
        ValueError: It is no JSON.
        TypeError: It is something else.
    """
    return {name: _number(value) for name, value in mapping(text).items()}


def mapping(text: str) -> dict[str, Any]:
    """Read a JSON mapping.

    Raises:
        ValueError: It is no JSON.
        TypeError: It is something else.
    """
    found = json.loads(text)
    if not isinstance(found, dict):
        raise TypeError("no mapping")
    return found


def texts(text: str) -> tuple[str, ...]:
    """Read a JSON list of texts.

    Raises:
        ValueError: It is no JSON.
        TypeError: It is something else.
    """
    found = _list(json.loads(text))
    if not all(isinstance(each, str) for each in found):
        raise TypeError("no texts")
    return tuple(found)


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError("no list")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("no number")
    return float(value)


def _step(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise TypeError("no step")
    return value


def _listed(items: Sequence[str | float | list[float]]) -> str:
    """Write a list as JSON, as many of its first entries as fit into a tag: hundreds of numbers, dozens of warnings."""
    text, kept = json.dumps(list(items)), list(items)
    while len(text) > names.MAX_TAG:
        kept.pop()
        text = json.dumps(kept)
    return text


DIGEST_CHARACTERS = 8
"""As many as MLflow's own digests have; the whole one is in a tag."""


@dataclass(frozen=True)
class SweepData:
    """The table of a sweep.

    Args:
        table: The target among its columns.
        source: Where it came from.
        name: Its short name.
        digest: Its digest.
    """

    table: pd.DataFrame
    source: str
    name: str
    digest: str


@dataclass(frozen=True)
class SweepHeader:
    """What stands on a parent run from the beginning.

    Args:
        name: The run's name.
        experiment: The experiment's name; made if missing.
        started: When the sweep began, in seconds since the epoch.
        params: The parent run's parameters.
        tags: Its tags.
        files: Artifacts by name.
        data: The table; None where there is none.
        test_data: The table that the test rows are from, where that is one of its own.
    """

    name: str
    experiment: str
    started: float
    params: Mapping[str, str]
    tags: Mapping[str, str]
    files: Mapping[str, str]
    data: SweepData | None = None
    test_data: SweepData | None = None


TRAINING = "training"
TESTING = "testing"
"""What a table was used for in a sweep, as MLflow's tag says it."""


def log_data(client: MlflowClient, run_id: str, data: SweepData, context: str) -> None:
    """Log the table as an input of a run, as what it was used for, such as ``training``; again does no harm."""
    inputs = [DatasetInput(_dataset_of(data), [InputTag("mlflow.data.context", context)])]
    try:
        client.log_inputs(run_id, datasets=inputs)
    except MlflowException as error:
        if not came_second(error):
            raise
        client.log_inputs(run_id, datasets=inputs)  # the other's is found now


def _dataset_of(data: SweepData) -> Dataset:
    """Describe the table as MLflow does: where it is from, its digest, its columns and their types, its size."""
    source = _dataset_source(data.source)
    columns = [ColSpec(_column_type(column), name) for name, column in data.table.items()]
    rows, width = data.table.shape
    return Dataset(
        name=data.name,
        digest=data.digest[:DIGEST_CHARACTERS],
        source_type=source._get_source_type(),
        source=source.to_json(),
        schema=json.dumps({"mlflow_colspec": Schema(columns).to_dict()}),
        profile=json.dumps({"num_rows": rows, "num_elements": rows * width}),
    )


def _column_type(column: pd.Series) -> DataType:
    kinds = {"f": DataType.double, "i": DataType.long, "u": DataType.long, "b": DataType.boolean}
    return kinds.get(column.dtype.kind, DataType.string)


def _dataset_source(source: str) -> DatasetSource:
    from wine_sweep.data.frames import FRAME
    from wine_sweep.data.table import DOI, NAMES  # with scikit-learn, which commands that only read do without

    if source in NAMES:
        return HTTPDatasetSource(DOI)
    if source == FRAME:
        return CodeDatasetSource({"mlflow.source.name": source.strip("<>")})
    return LocalArtifactDatasetSource(source)
