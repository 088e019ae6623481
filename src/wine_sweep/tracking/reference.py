"""The reference of a kept model, as artifacts of its run: what it was trained and tested on."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from types import UnionType
from typing import Any

import numpy as np
import pandas as pd
from mlflow import MlflowClient
from pandas.api.types import is_numeric_dtype, is_scalar

from wine_sweep.decay.columns import ColumnKind, ColumnProfile, plain_table
from wine_sweep.decay.reference import MEASURED, Grouping, Reference
from wine_sweep.errors import TrackingError
from wine_sweep.objective.row_losses import RowLoss
from wine_sweep.task import Task
from wine_sweep.tracking import artifacts, names
from wine_sweep.tracking.store import translated_errors
from wine_sweep.wording import show

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
        artifacts.write_folder(client, run_id, made, names.REFERENCE_FOLDER)


def read_reference(client: MlflowClient, run_id: str) -> Reference | None:
    """Read a model's reference back; None where it has none, as a command's model.

    Raises:
        TrackingError: The store failed, or holds what this version cannot read.
    """
    with tempfile.TemporaryDirectory() as folder, translated_errors(f"fetch what the model of the run {run_id} was trained on"):
        if not artifacts.has_folder(client, run_id, names.REFERENCE_FOLDER):
            return None
        found = artifacts.fetch(client, run_id, names.REFERENCE_FOLDER, folder)
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
    columns = tuple(_profile(_the(each, dict, "columns")) for each in _the(record["columns"], list, "columns"))
    data, grouping = _the(record["data"], dict, "data"), _the(record["grouping"], dict, "grouping")
    share = _the(record["train_independent"], int | float, "train_independent")
    if not 0 <= share <= 1:
        raise ValueError(f"train_independent is a share of 0 to 1; got {share}")
    return Reference(
        task=Task(record["task"]),
        metric=RowLoss(record["metric"]),
        target=_the(record["target"], str, "target"),
        columns=columns,
        data=_the(data["name"], str, "data.name"),
        digest=_the(data["digest"], str, "data.digest"),
        grouping=Grouping(
            _the(grouping["column"], str | None, "grouping.column"), _the(grouping["equal_rows"], bool, "grouping.equal_rows")
        ),
        weight_column=_the(record["weight_column"], str | None, "weight_column"),
        train_rows=pd.read_parquet(folder / _ROWS)["digest"].to_numpy().astype(np.uint64),
        train=plain_table(pd.read_parquet(folder / _TRAIN), columns),
        train_independent=float(share),
        test=_measured(folder / _TEST),
        folds=_measured(folder / _FOLDS),
    )


def _the(value: Any, kind: type | UnionType, name: str) -> Any:
    """Give a value of a record that is of its kind.

    Raises:
        ValueError: It is of another.
    """
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"{name} cannot be {show(value)}")
    return value


def _measured(path: Path) -> pd.DataFrame:
    """Read a table of rows that a model was measured on.

    Raises:
        ValueError: It lacks a column, or one that is calculated with holds something else than numbers.
    """
    table = pd.read_parquet(path)
    missing = [name for name in MEASURED if name not in table.columns]
    if missing:
        raise ValueError(f"{path.name} has no column {missing[0]}")
    if len(table):
        for name in ("loss", "weight", "group"):
            if not is_numeric_dtype(table[name]):
                raise ValueError(f"the column {name} of {path.name} holds something else than numbers")
        for name in ("target", "prediction"):
            if not table[name].map(is_scalar).all():
                raise ValueError(f"the column {name} of {path.name} holds something else than single values")
        if not (table["weight"] >= 0).all() or not table["weight"].sum() > 0:
            raise ValueError(f"the weights of {path.name} are no weights: each is 0 or more, and not all are 0")
    return table[MEASURED]


def _profile(record: dict[str, Any]) -> ColumnProfile:
    categories = _the(record["categories"], list | None, "a column's categories")
    return ColumnProfile(
        name=_the(record["name"], str, "a column's name"),
        kind=ColumnKind(record["kind"]),
        low=_the(record["low"], int | float | None, "a column's low"),
        high=_the(record["high"], int | float | None, "a column's high"),
        categories=None if categories is None else tuple(_the(each, str, "a category") for each in categories),
        gaps=_the(record["gaps"], bool, "a column's gaps"),
    )
