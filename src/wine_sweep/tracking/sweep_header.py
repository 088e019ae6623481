"""What stands on a parent run from the beginning, its data set as MLflow describes one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
from mlflow.data.dataset_source import DatasetSource
from mlflow.data.http_dataset_source import HTTPDatasetSource
from mlflow.data.sources import LocalArtifactDatasetSource
from mlflow.entities import Dataset
from mlflow.types import ColSpec, DataType, Schema

from wine_sweep.data import bundled

DIGEST_CHARACTERS = 8
"""As many as MLflow's own digests have; the whole one is in a tag."""


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


def dataset_of(header: SweepHeader) -> Dataset:
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
