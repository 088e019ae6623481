"""The runs of one sweep: the only place that writes them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from statistics import fmean
from typing import Any, TypeVar

import pandas as pd
from mlflow import MlflowClient
from mlflow.data.dataset_source import DatasetSource
from mlflow.data.http_dataset_source import HTTPDatasetSource
from mlflow.data.sources import LocalArtifactDatasetSource
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.types import ColSpec, DataType, Schema

from wine_sweep.data import bundled
from wine_sweep.errors import TrackingError
from wine_sweep.tracking import names
from wine_sweep.tracking.store import translated_errors
from wine_sweep.trial import FIT_SECONDS, Step, Trial, TrialState, canonical_json

BATCH_METRICS = 800
BATCH_PARAMS = 100
BATCH_TAGS = 100
"""MLflow takes 1,000 entries in a batch, of which 100 parameters and 100 tags."""

MAX_TEXT = 6000
MAX_TAG = 8000
"""The longest value of a parameter, and of a tag."""

DIGEST_CHARACTERS = 8
"""As many as MLflow's own digests have; the whole one is in a tag."""

Item = TypeVar("Item")
_STATUS = {
    TrialState.FINISHED: "FINISHED",
    TrialState.FAILED: "FAILED",
    TrialState.KILLED: "KILLED",
    TrialState.PRUNED: "KILLED",
    TrialState.RUNNING: "RUNNING",
}


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
        table: The data set, the target among its columns.
        data_source: Where the table came from.
        data_name: Its short name.
        data_digest: Its digest.
    """

    name: str
    experiment: str
    started: float
    params: Mapping[str, str]
    tags: Mapping[str, str]
    files: Mapping[str, str]
    table: pd.DataFrame
    data_source: str
    data_name: str
    data_digest: str


class SweepRuns:
    """One parent run and its child runs. A trial costs three calls: create, one batch, end.

    Attributes:
        run_id: The parent run.
        experiment_id: Where it is.
        trial_run_ids: The child runs that were made here, by trial number.
    """

    def __init__(self, client: MlflowClient, experiment_id: str, run_id: str, origin: Mapping[str, str] | None = None) -> None:
        self.client = client
        self.experiment_id = experiment_id
        self.run_id = run_id
        self.trial_run_ids: dict[int, str] = {}
        self._open: set[int] = set()
        self._origin = dict(origin or {})

    @classmethod
    def begin(cls, client: MlflowClient, header: SweepHeader) -> SweepRuns:
        """Make the parent run.

        Raises:
            TrackingError: The store refused, or failed.
        """
        with translated_errors(f"begin the sweep in experiment '{header.experiment}'"):
            experiment_id = _experiment(client, header.experiment)
            run = client.create_run(
                experiment_id, start_time=_milliseconds(header.started), tags={**header.tags}, run_name=header.name
            )
        origin = {name: header.tags[name] for name in names.ORIGIN if name in header.tags}
        runs = cls(client, experiment_id, run.info.run_id, origin)
        try:
            runs._describe(header)
        except BaseException:
            runs.end("FAILED", at=header.started)
            raise
        return runs

    def _describe(self, header: SweepHeader) -> None:
        """Write what stands on the parent run from the beginning."""
        context = [InputTag("mlflow.data.context", "training")]
        with translated_errors("describe the sweep"):
            self._log(self.run_id, params=header.params)
            self.client.log_inputs(self.run_id, datasets=[DatasetInput(_dataset(header), context)])
        for name, text in header.files.items():
            self.write_file(name, text)

    def start_trial(self, trial: Trial, started: float) -> None:
        """Make a trial's child run, RUNNING since `started`, in seconds since the epoch."""
        tags = {
            **self._origin,
            names.PARENT_RUN_ID: self.run_id,
            names.KIND: names.Kind.TRIAL,
            names.TRIAL: str(trial.number),
            names.KEY: trial.key,
            names.STATE: TrialState.RUNNING,
        }
        exact = json.dumps(dict(trial.params))
        if len(exact) <= MAX_TAG:
            tags[names.PARAMS] = exact
        with translated_errors(f"begin trial {trial.number}"):
            run = self.client.create_run(
                self.experiment_id,
                start_time=_milliseconds(started),
                tags=tags,
                run_name=names.trial_run_name(trial.number),
            )
        self.trial_run_ids[trial.number] = run.info.run_id
        self._open.add(trial.number)

    def finish_trial(self, trial: Trial) -> None:
        """Write what a trial measured and end its run with the status that is true."""
        run_id = self.trial_run_ids[trial.number]
        ended = _milliseconds(trial.ended)
        tags = {names.STATE: str(trial.state)}
        if trial.failure is not None:
            tags[names.ERROR] = str(trial.failure)[:MAX_TEXT]
        if trial.retries:
            tags[names.RETRIES] = str(trial.retries)
        if trial.state is TrialState.PRUNED:
            tags[names.PRUNED] = str(len(trial.steps))
        if trial.violations:
            tags[names.INFEASIBLE] = json.dumps(dict(trial.violations))
        with translated_errors(f"write trial {trial.number}"):
            if trial.failure is not None and trial.failure.traceback:
                self.client.log_text(run_id, trial.failure.traceback, names.ERROR_FILE)
            self._log(run_id, params=trial.params, metrics=list(_metrics(trial, ended)), tags=tags)
            self.client.set_terminated(run_id, _STATUS[trial.state], end_time=ended)
        self._open.discard(trial.number)

    def log_metrics(self, run_id: str, values: Mapping[str, float], *, at: float, step: int = 0) -> None:
        """Log metrics to any run of the sweep."""
        with translated_errors("log metrics"):
            self._log(run_id, metrics=[Metric(key, value, _milliseconds(at), step) for key, value in values.items()])

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags on any run of the sweep."""
        with translated_errors("set tags"):
            self._log(run_id, tags=tags)

    def write_file(self, name: str, text: str) -> None:
        """Write an artifact of the parent run."""
        with translated_errors(f"write the artifact {name}"):
            self.client.log_text(self.run_id, text, name)

    def write_json(self, name: str, record: Mapping[str, Any]) -> None:
        """Write an artifact of the parent run as indented JSON."""
        self.write_file(name, json.dumps(record, indent=2, ensure_ascii=False) + "\n")

    def end(self, status: str, *, at: float) -> None:
        """End the parent run, and every child run that is still open, as killed."""
        with translated_errors("end the sweep"):
            for number in sorted(self._open):
                self.client.set_tag(self.trial_run_ids[number], names.STATE, TrialState.KILLED)
                self.client.set_terminated(self.trial_run_ids[number], "KILLED", end_time=_milliseconds(at))
            self._open.clear()
            self.client.set_terminated(self.run_id, status, end_time=_milliseconds(at))

    def _log(
        self,
        run_id: str,
        *,
        metrics: list[Metric] | None = None,
        params: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Log in one call, or in as many as MLflow's limits for a batch ask for."""
        batches = zip_longest(
            batched(metrics or [], BATCH_METRICS),
            batched([Param(key, _shown(value)) for key, value in (params or {}).items()], BATCH_PARAMS),
            batched([RunTag(key, str(value)) for key, value in (tags or {}).items()], BATCH_TAGS),
            fillvalue=(),
        )
        for some_metrics, some_params, some_tags in batches:
            self.client.log_batch(run_id, list(some_metrics), list(some_params), list(some_tags), synchronous=True)


def _dataset(header: SweepHeader) -> Dataset:
    """Describe the table as MLflow does: where it is from, its digest, its columns and their types, its size."""
    source = _dataset_source(header.data_source)
    columns = [ColSpec(_column_type(column), name) for name, column in header.table.items()]
    rows, width = header.table.shape
    return Dataset(
        name=header.data_name,
        digest=header.data_digest[:DIGEST_CHARACTERS],
        source_type=source._get_source_type(),
        source=source.to_json(),
        schema=json.dumps({"mlflow_colspec": Schema(columns).to_dict()}),
        profile=json.dumps({"num_rows": rows, "num_elements": rows * width}),
    )


def _column_type(column: pd.Series) -> DataType:
    kinds = {"f": DataType.double, "i": DataType.long, "u": DataType.long, "b": DataType.boolean}
    return kinds.get(column.dtype.kind, DataType.string)


def _dataset_source(source: str) -> DatasetSource:
    if source in bundled.NAMES:
        return HTTPDatasetSource(bundled.DOI)
    return LocalArtifactDatasetSource(source)


def _metrics(trial: Trial, at: int) -> Iterator[Metric]:
    """Yield all that a trial measured. What a pruned trial has are its steps: a mean over some folds would look like a result."""
    for name, score in trial.scores.items():
        yield Metric(name, score.mean, at, 0)
        yield Metric(names.spread_metric(name), score.std, at, 0)
        for fold, value in enumerate(score.folds):
            yield Metric(names.fold_metric(name), value, at, fold)
    if trial.state is TrialState.FINISHED:
        yield Metric(FIT_SECONDS, trial.fit_seconds, at, 0)
    for number, step in enumerate(trial.steps):
        yield from _metrics_of_step(step, number, at)


def _metrics_of_step(step: Step, number: int, at: int) -> Iterator[Metric]:
    """Yield a fold's values, one step for each fit, or the means at a budget."""
    for name, values in step.values.items():
        if step.budget is None:
            first = number * len(values)
            yield from (Metric(names.fold_metric(name), value, at, first + index) for index, value in enumerate(values))
        else:
            yield Metric(names.budget_metric(name), fmean(values), at, _budget_step(step.budget))


def _budget_step(budget: int | float) -> int:
    """Give the step of a budget in MLflow, a whole number: the parameter's value, or per mille of the rows."""
    return budget if isinstance(budget, int) else round(budget * 1000)


def _experiment(client: MlflowClient, name: str) -> str:
    found = client.get_experiment_by_name(name)
    if found is None:
        created: str = client.create_experiment(name, tags={names.EXPERIMENT_KIND: names.MODEL_TRAINING})
        return created
    if found.lifecycle_stage != "active":
        raise TrackingError(
            f"the experiment '{name}' is deleted; `mlflow experiments restore -x {found.experiment_id}` brings it back"
        )
    identifier: str = found.experiment_id
    return identifier


def _shown(value: Any) -> str:
    text = canonical_json(value) if isinstance(value, list | dict) else str(value)
    return text[:MAX_TEXT]


def batched(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """Cut a sequence into pieces of at most `size` items."""
    return (items[first : first + size] for first in range(0, len(items), size))


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
