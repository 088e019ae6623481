"""What stands on a parent run from the beginning, its data set as MLflow describes one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
from mlflow import MlflowClient
from mlflow.data.dataset_source import DatasetSource
from mlflow.data.http_dataset_source import HTTPDatasetSource
from mlflow.data.sources import LocalArtifactDatasetSource
from mlflow.entities import Dataset, DatasetInput, InputTag
from mlflow.exceptions import MlflowException
from mlflow.types import ColSpec, DataType, Schema

from wine_sweep.data import bundled
from wine_sweep.tracking.causes import came_second

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
    """

    name: str
    experiment: str
    started: float
    params: Mapping[str, str]
    tags: Mapping[str, str]
    files: Mapping[str, str]
    data: SweepData | None = None


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
    if source in bundled.NAMES:
        return HTTPDatasetSource(bundled.DOI)
    return LocalArtifactDatasetSource(source)
