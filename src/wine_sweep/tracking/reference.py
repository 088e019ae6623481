"""The reference of a kept model, as artifacts of its run: what it was trained and tested on."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow import MlflowClient

from wine_sweep.decay.columns import ColumnKind, ColumnProfile, plain_table
from wine_sweep.decay.reference import Grouping, Reference
from wine_sweep.errors import TrackingError
from wine_sweep.objective.row_losses import RowLoss
from wine_sweep.task import Task
from wine_sweep.tracking import names
from wine_sweep.tracking.store import translated_errors

_FORMAT = 1
_REFERENCE, _TRAIN, _TEST, _FOLDS, _ROWS = (
    "reference.json",
    "train.parquet",
    "test.parquet",
    "folds.parquet",
    "rows.parquet",
)


def write_reference(client: MlflowClient, run_id: str, reference: Reference) -> None:
    """Write a model's reference under its run, in the folder ``reference``; again does no harm.

    Raises:
        TrackingError: The store failed.
    """
    with tempfile.TemporaryDirectory() as folder, translated_errors("write what the model was trained on"):
        made = Path(folder)
        (made / _REFERENCE).write_text(json.dumps(_record(reference), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        reference.train.to_parquet(made / _TRAIN, index=False)
        reference.test.to_parquet(made / _TEST, index=False)
        reference.folds.to_parquet(made / _FOLDS, index=False)
        pd.DataFrame({"digest": reference.train_rows}).to_parquet(made / _ROWS, index=False)
        client.log_artifacts(run_id, folder, names.REFERENCE_FOLDER)


def read_reference(client: MlflowClient, run_id: str) -> Reference | None:
    """Read a model's reference back; None where it has none, as a command's model.

    Raises:
        TrackingError: The store failed, or holds what this version cannot read.
    """
    with tempfile.TemporaryDirectory() as folder, translated_errors(f"fetch what the model of the run {run_id} was trained on"):
        if not client.list_artifacts(run_id, names.REFERENCE_FOLDER):
            return None
        found = Path(client.download_artifacts(run_id, names.REFERENCE_FOLDER, folder))
        try:
            return _restored(found)
        except Exception as error:  # whatever reading tables and records of somebody else's raises
            reason = f"{type(error).__name__}: {error}"
            raise TrackingError(f"{names.REFERENCE_FOLDER} of the run {run_id} cannot be read: {reason}") from error


def _record(reference: Reference) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "task": reference.task.value,
        "metric": reference.metric.value,
        "target": reference.target,
        "data": {"name": reference.data, "digest": reference.digest},
        "grouping": asdict(reference.grouping),
        "weight_column": reference.weight_column,
        "train_independent": reference.train_independent,
        "rows": {"train": len(reference.train_rows), "train_kept": len(reference.train), "test": len(reference.test)},
        "columns": [asdict(column) for column in reference.columns],
    }


def _restored(folder: Path) -> Reference:
    record = json.loads((folder / _REFERENCE).read_text(encoding="utf-8"))
    if record["format"] != _FORMAT:
        raise ValueError(f"it has format {record['format']}, and this version of wine_sweep reads {_FORMAT}")
    columns = tuple(_profile(each) for each in record["columns"])
    return Reference(
        task=Task(record["task"]),
        metric=RowLoss(record["metric"]),
        target=record["target"],
        columns=columns,
        data=record["data"]["name"],
        digest=record["data"]["digest"],
        grouping=Grouping(**record["grouping"]),
        weight_column=record["weight_column"],
        train_rows=pd.read_parquet(folder / _ROWS)["digest"].to_numpy().astype(np.uint64),
        train=plain_table(pd.read_parquet(folder / _TRAIN), columns),
        train_independent=record["train_independent"],
        test=pd.read_parquet(folder / _TEST),
        folds=pd.read_parquet(folder / _FOLDS),
    )


def _profile(record: dict[str, Any]) -> ColumnProfile:
    categories = record.pop("categories")
    return ColumnProfile(
        **{**record, "kind": ColumnKind(record["kind"])}, categories=None if categories is None else tuple(categories)
    )
