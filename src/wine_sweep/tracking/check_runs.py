"""The run of a check: the only place that writes one."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import DatasetInput, InputTag, Metric

from wine_sweep.errors import TrackingError
from wine_sweep.objective.metric_names import refusal_of_name
from wine_sweep.tracking.batches import log_in_batches
from wine_sweep.tracking.store import translated_errors
from wine_sweep.tracking.sweep_header import SweepData, dataset_of

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CheckRecord:
    """What a check leaves in MLflow.

    Args:
        name: The run's name.
        experiment_id: The experiment that it is in.
        started: When it began, in seconds since the epoch.
        ended: When it ended.
        params: What was asked.
        metrics: What was found; those that MLflow would not take by that name are left out, and are in the files.
        tags: What the run is about and came to.
        data: The rows that were checked.
        files: Artifacts by path.
    """

    name: str
    experiment_id: str
    started: float
    ended: float
    params: Mapping[str, Any]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    data: SweepData
    files: Mapping[str, bytes] = field(default_factory=dict)


def write_check(client: MlflowClient, record: CheckRecord) -> str:
    """Write a check as a run of its own, and end it.

    Returns:
        The run's id.

    Raises:
        TrackingError: The store failed; a run that was begun has ended as FAILED, where the store took that.
    """
    with translated_errors("begin the run of the check"):
        start = round(record.started * 1000)
        run = client.create_run(record.experiment_id, start_time=start, tags=dict(record.tags), run_name=record.name)
    run_id: str = run.info.run_id
    try:
        with translated_errors(f"write the check {run_id}"):
            _write(client, run_id, record)
    except TrackingError:
        _end_as_failed(client, run_id)
        raise
    return run_id


def _write(client: MlflowClient, run_id: str, record: CheckRecord) -> None:
    at = round(record.ended * 1000)
    metrics = [Metric(name, value, at, 0) for name, value in record.metrics.items() if refusal_of_name(name) is None]
    log_in_batches(client, run_id, params=record.params, metrics=metrics)
    client.log_inputs(run_id, datasets=[DatasetInput(dataset_of(record.data), [InputTag("mlflow.data.context", "checking")])])
    with tempfile.TemporaryDirectory() as folder:
        for name, content in record.files.items():
            path = Path(folder) / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        client.log_artifacts(run_id, folder)
    client.set_terminated(run_id, "FINISHED", end_time=at)


def _end_as_failed(client: MlflowClient, run_id: str) -> None:
    """End a run that could not be written; the error that is on its way says why, and a second would hide it."""
    try:
        with translated_errors(f"end the run {run_id}"):
            client.set_terminated(run_id, "FAILED")
    except TrackingError as error:
        _logger.error("the run %s stays RUNNING in MLflow: %s", run_id, error)
