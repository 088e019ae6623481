"""The run of a check, and the reference of a model as artifacts of its run."""

from __future__ import annotations

import json
import logging
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Metric
from pandas.api.types import is_numeric_dtype, is_scalar

from wine_sweep.errors import TrackingError
from wine_sweep.evaluation.metrics import refusal_of_name
from wine_sweep.evaluation.row_losses import RowLoss
from wine_sweep.execution.base import POLL_SECONDS
from wine_sweep.messages import show
from wine_sweep.monitoring.reference import MEASURED, ColumnKind, ColumnProfile, Grouping, Reference, plain_table
from wine_sweep.tracking import artifacts, names
from wine_sweep.tracking.encoding import SweepData, log_data, log_in_batches
from wine_sweep.tracking.local_state import Owner
from wine_sweep.tracking.lock import LEASE_SECONDS, SweepLease, running_checks
from wine_sweep.tracking.retry import RetryPolicy
from wine_sweep.tracking.store import retries_left_to_policy, translated_errors
from wine_sweep.trial import Task

_logger = logging.getLogger(__name__)
Result = TypeVar("Result")

OUTAGE_SECONDS = 30.0
"""How long a store that is away is waited for."""

STALL_SECONDS = 10.0
"""How long a call that does not end is waited for, once the check is interrupted."""


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
    """Write a check as a run of its own, and end it, whatever happens meanwhile.

    A thread talks to the store, so that a signal breaks off no call of which nobody would know whether it was done.

    Returns:
        The run's id.

    Raises:
        TrackingError: The store failed; a run that was begun has ended as FAILED, where the store took that.
        KeyboardInterrupt: Somebody wants to stop; a run that was begun has ended as KILLED, where the store took that.
    """
    owner = Owner.here()
    claim = SweepLease(client, owner)
    claim.hold(owner.token)  # before there is a run, or another would take it for lost in between
    try:
        with retries_left_to_policy():
            return _Writing(client, record, claim.owner).result()
    finally:
        claim.release()


class _Writing:
    """A check that is being written, by this process."""

    def __init__(self, client: MlflowClient, record: CheckRecord, owner: Owner) -> None:
        self._client = client
        self._record = record
        self._owner = owner
        self._given_up = threading.Event()
        self._policy = RetryPolicy(OUTAGE_SECONDS, stop=self._given_up.is_set)
        self._error: BaseException | None = None
        self._run_id: str | None = None
        self._maybe_created = False
        self._done = threading.Event()

    def result(self) -> str:
        """Wait until it is written, and return the run's id; an interruption has the run ended first."""
        try:
            _start(self._run, self._done)
            while not self._done.wait(POLL_SECONDS):
                pass
        except BaseException:
            self._given_up.set()
            if not _wait(self._done, STALL_SECONDS):
                self._end_without_waiting()
            raise
        if self._error is not None:
            raise self._error
        return self._run_id or ""

    def _run(self) -> None:
        try:
            if self._given_up.is_set():
                return
            self._begin()
            for what, step in self._steps():
                if self._given_up.is_set():
                    break
                self._do(what, step)
            else:
                return
        except BaseException as error:  # noqa: BLE001  # kept for `result`: a thread has nobody to raise it to
            self._error = error
        self._end()

    def _begin(self) -> None:
        record = self._record
        tags = {**record.tags, names.OWNER: self._owner.text(), names.LEASE: f"{time.time() + LEASE_SECONDS:.0f}"}
        start = round(record.started * 1000)

        def make() -> str:
            found = self._made_before() if self._maybe_created else None
            self._maybe_created = True
            if found is not None:
                return found
            made = self._client.create_run(record.experiment_id, start_time=start, tags=tags, run_name=record.name)
            return str(made.info.run_id)

        self._run_id = self._do("begin the run of the check", make)

    def _made_before(self) -> str | None:
        """Find the run that was made although the answer got lost."""
        found = running_checks(self._client, [self._record.experiment_id])
        return next((run.info.run_id for run in found if Owner.from_tag(run.data.tags.get(names.OWNER)) == self._owner), None)

    def _steps(self) -> Iterator[tuple[str, Callable[[], object]]]:
        """Yield what is to be done once there is a run, one call or a few at a time; the last ends it."""
        client, run_id, record = self._client, self._run_id or "", self._record
        at, what = round(record.ended * 1000), f"write the check {self._run_id}"
        metrics = [Metric(name, value, at, 0) for name, value in record.metrics.items() if refusal_of_name(name) is None]
        yield what, lambda: log_in_batches(client, run_id, params=record.params, metrics=metrics)
        yield what, lambda: log_data(client, run_id, record.data, "checking")
        with tempfile.TemporaryDirectory() as folder:
            for name, content in record.files.items():
                path = Path(folder) / name
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(content)
                inside = path.parent.relative_to(folder).as_posix()
                folder_of = None if inside == "." else inside
                yield what, lambda: artifacts.write(client, run_id, path, folder_of)  # noqa: B023  # done at once
        yield what, lambda: client.set_terminated(run_id, "FINISHED", end_time=at)

    def _do(self, what: str, step: Callable[[], Result]) -> Result:
        return self._policy.run(translated_errors(what)(step))

    def _end(self) -> None:
        """End a run that is not written to its end; an error that is on its way says why, and a second would hide it."""
        is_interrupted = self._given_up.is_set()
        try:
            if self._run_id is None and self._maybe_created:
                self._run_id = self._made_before()
            if self._run_id is None:
                return
            with translated_errors(f"end the run {self._run_id}"):
                if is_interrupted:
                    self._client.set_tag(self._run_id, names.CLOSED, "the check was interrupted")
                self._client.set_terminated(self._run_id, "KILLED" if is_interrupted else "FAILED")
        except TrackingError as error:
            self._report_left_open(str(error))

    def _end_without_waiting(self) -> None:
        """End the run beside a call that does not end."""
        ended = threading.Event()
        _start(self._end, ended)
        if not _wait(ended, STALL_SECONDS):
            self._report_left_open("the tracking store does not answer")

    def _report_left_open(self, reason: str) -> None:
        which = f"the run {self._run_id} stays RUNNING" if self._run_id else "a run of the check may be left RUNNING"
        _logger.error("%s in MLflow: %s; `wine-sweep list --lost --close` ends it once the store answers", which, reason)


def _start(action: Callable[[], object], done: threading.Event) -> None:
    """Do something in a thread, and set an event then: `Thread.join` takes a thread for ended once a signal interrupts it."""

    def act() -> None:
        try:
            action()
        finally:
            done.set()

    threading.Thread(target=act, name="wine-sweep-check", daemon=True).start()


def _wait(done: threading.Event, seconds: float) -> bool:
    """Wait for an event, whoever interrupts, and return whether it has come."""
    deadline = time.monotonic() + seconds
    while not done.is_set() and time.monotonic() < deadline:
        with suppress(KeyboardInterrupt):
            done.wait(POLL_SECONDS)
    return done.is_set()


_FORMAT = 1
_REFERENCE = "reference.json"
_TRAIN, _TEST, _FOLDS, _ROWS = "train.parquet", "test.parquet", "folds.parquet", "rows.parquet"


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
        artifacts.write(client, run_id, made, names.REFERENCE_FOLDER)


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
    """Return a value of a record that is of its kind, or raise ValueError."""
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"{name} cannot be {show(value)}")
    return value


def _measured(path: Path) -> pd.DataFrame:
    """Read a table of rows that a model was measured on, or raise ValueError where it is none."""
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
