"""A registered model checked on new rows, and the check kept as a run."""

from __future__ import annotations

import importlib.metadata
import json
import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from wine_sweep.config import MAX_TABLE, NotKnown, Reading, Stage
from wine_sweep.data import load_table
from wine_sweep.data.dataset import table_digest
from wine_sweep.data.table import of_types, resolve_source
from wine_sweep.errors import ConfigError, NotFoundError, TrackingError
from wine_sweep.messages import markdown, spreadsheet_cell
from wine_sweep.monitoring.check import Checked, CheckResult, Thresholds, check_rows
from wine_sweep.monitoring.drift import Aspect, Drift
from wine_sweep.monitoring.reference import Reference
from wine_sweep.registry import ModelRegistry, RegisteredVersion
from wine_sweep.sweep.resume import StoredConfig
from wine_sweep.targets.trust import trusts_model
from wine_sweep.tracking import names
from wine_sweep.tracking.encoding import SweepData
from wine_sweep.tracking.local_state import user_name
from wine_sweep.tracking.lock import close_lost_checks
from wine_sweep.tracking.model_policy import ModelTrust
from wine_sweep.tracking.models import load_model
from wine_sweep.tracking.monitoring_runs import CheckRecord, read_reference, write_check
from wine_sweep.tracking.reader import SweepReader, find_trial
from wine_sweep.tracking.runs import experiment_of
from wine_sweep.tracking.store import translated_errors

_logger = logging.getLogger(__name__)

_DRIFT_COLUMNS = ("column", "aspect", "test", "statistic", "p_value", "adjusted", "effect", "moved")


@dataclass(frozen=True)
class Check:
    """What is to be checked.

    Args:
        name: The registered model.
        source: The new rows: a bundled name, or the path of a table.
        stage: The stage whose version is checked, where none is named.
        version: The version; None for the stage's.
        experiment: The experiment that the check's run is in; None for that of the model's run.
        limits: What counts as decay.
        max_size: How many bytes the new rows' table may have, unfolded.
        raised_by: The key or option that allows more.
        trusted: The values of ``--trust``, of which registered models count.
    """

    name: str
    source: str
    stage: Stage = Stage.STAGING
    version: str | None = None
    experiment: str | None = None
    limits: Thresholds = field(default_factory=Thresholds)
    max_size: int = MAX_TABLE
    raised_by: str = "data.max_size"
    trusted: tuple[str, ...] = ()


@dataclass(frozen=True)
class CheckOutcome:
    """What came of a check.

    Args:
        model: The version that was checked.
        data: The short name of the new rows' table.
        run_id: The check's run.
        result: What was found.
    """

    model: RegisteredVersion
    data: str
    run_id: str
    result: CheckResult

    def record(self) -> dict[str, Any]:
        """Return what ``--json`` prints."""
        where = {"model": self.model.name, "version": self.model.version, "stage": self.model.stage, "data": self.data}
        return {"run_id": self.run_id, **where, **self.result.record()}


def check_model(reader: SweepReader, check: Check, *, folder: Path, clock: Callable[[], float] = time.time) -> CheckOutcome:
    """Check a version of a registered model on new rows, and write what was found as a run.

    Earlier checks of the model that nobody ends any more are closed first.

    Args:
        reader: Reads the store.
        check: What is to be checked.
        folder: What a relative source starts from.
        clock: Tells the time in seconds since the epoch.

    Raises:
        DataError: The rows cannot be read, or the model cannot predict such rows.
        NotFoundError: There is no such model or version, none is in the stage, or nothing is recorded of what it was trained on.
        ModelError: The model does not load, or fails on the rows.
        TrackingError: The store failed.
    """
    started = clock()
    source = resolve_source(check.source, folder)
    model = find_version(reader, check.name, check.stage, check.version)
    reference = _reference(reader, model)
    table = _new_rows(source, _reading(reader, model), check)
    trust = ModelTrust(model.name, trusts_model(check.trusted, model.name))
    checked = check_rows(reference, load_model(model.uri, trust), table, check.limits)
    data = SweepData(table, source, source.replace("\\", "/").rsplit("/", 1)[-1], table_digest(table))
    record = CheckRecord(
        name=names.check_run_name(model.name, model.version),
        experiment_id=_experiment(reader, check, model),
        started=started,
        ended=clock(),
        params=_params(check, model, data),
        metrics=dict(_metrics(checked.result)),
        tags=_tags(model, checked.result, data),
        data=data,
        files=dict(_files(reference, checked)),
    )
    close_lost_checks(reader.client, reader.experiment_ids, model.name)
    return CheckOutcome(model, data.name, write_check(reader.client, record), checked.result)


def _new_rows(source: str, reading: Reading, check: Check) -> pd.DataFrame:
    reading = reading.model_copy(update={"max_size": check.max_size})
    read = load_table(source, reading, raised_by=check.raised_by)
    dtypes = {name: kind for name, kind in reading.dtypes.items() if name in read}  # a time or a fold need not be there
    table, wrong = of_types(read, dtypes)
    if wrong:
        raise wrong[0]
    return table


def _reading(reader: SweepReader, model: RegisteredVersion) -> Reading:
    """Return how the table was read that the model was trained on; as it is where its sweep does not say any more."""
    try:
        config = StoredConfig.of(reader, find_trial(reader, model.run_id).sweep).draft().known
        data = config.data or Reading()
        return Reading(**{key: getattr(data, key) for key in Reading.model_fields})
    except (NotFoundError, NotKnown, ConfigError, TrackingError) as error:
        _logger.warning("the new rows are read as they are; how those of the model were read is not known any more: %s", error)
        return Reading()


def find_version(reader: SweepReader, name: str, stage: Stage, version: str | None) -> RegisteredVersion:
    """Find a version of a registered model by its number, or the one in a stage.

    Raises:
        NotFoundError: There is none; it says what there is.
    """
    registry = ModelRegistry(reader.client)
    if version is not None:
        return registry.find(name, version)
    found = registry.in_stage(name, stage)
    if found is not None:
        return found
    there = [f"{each.version} ({each.stage})" for each in registry.versions(name)]
    if not there:
        raise NotFoundError(registry.no_model(name))
    raise NotFoundError(f"no version of {name} is in {stage.value}; there are: {', '.join(there[-10:])}; --version names one")


def _reference(reader: SweepReader, model: RegisteredVersion) -> Reference:
    found = read_reference(reader.client, model.run_id) if model.run_id else None
    if found is None:
        raise NotFoundError(
            f"nothing is recorded of what version {model.version} of {model.name} was trained and tested on, so new rows"
            " cannot be held against it; models of sweeps with `data` have such a record, those of commands have none"
        )
    return found


def _experiment(reader: SweepReader, check: Check, model: RegisteredVersion) -> str:
    with translated_errors("find the experiment of the check"):
        if check.experiment is not None:
            return experiment_of(reader.client, check.experiment)
        experiment_id: str = reader.client.get_run(model.run_id).info.experiment_id
    return experiment_id


def _params(check: Check, model: RegisteredVersion, data: SweepData) -> dict[str, Any]:
    return {
        "model": model.name,
        "version": model.version,
        "data": data.name,
        "confidence": check.limits.confidence,
        "min_loss": check.limits.least_rise,
        "seed": check.limits.seed,
    }


def _tags(model: RegisteredVersion, result: CheckResult, data: SweepData) -> dict[str, str]:
    return {
        names.KIND: names.Kind.CHECK.value,
        names.STATE: result.state.value,
        names.REGISTERED_MODEL: model.name,
        names.MODEL_VERSION: model.version,
        names.STAGE: model.stage,
        names.DATA: data.digest,
        names.VERSION: importlib.metadata.version("wine-sweep"),
        names.SOURCE_NAME: "wine-sweep check",
        names.SOURCE_TYPE: "LOCAL",
        names.USER: user_name(),
        names.NOTE: "\n".join(f"- {reason}" for reason in [f"**{result.state.value}**", *map(markdown, result.reasons)]),
    }


def _metrics(result: CheckResult) -> Iterator[tuple[str, float]]:
    yield "rows", result.rows
    yield "excluded_rows", result.excluded
    yield "moved", len(result.moved)
    for drift in result.drifts:
        name = Aspect.PREDICTION.value if drift.aspect is Aspect.PREDICTION else drift.column
        name = f"{name} gaps" if drift.aspect is Aspect.GAPS else name
        yield names.drift_metric("p", name), drift.adjusted
        yield names.drift_metric("effect", name), drift.effect
    loss = result.loss
    if loss is not None:
        found = {"recorded": loss.recorded, "new": loss.new, "worse": loss.worse, "low": loss.low, "high": loss.high}
        for name, value in {f"{loss.metric}_{key}": value for key, value in found.items()}.items():
            if value is not None:
                yield name, value
        if math.isfinite(loss.rise):
            yield f"{loss.metric}_rise", loss.rise


def _files(reference: Reference, checked: Checked) -> Iterator[tuple[str, bytes]]:
    from wine_sweep.report.check_plots import check_plots

    yield names.CHECK_FILE, (json.dumps(checked.result.record(), indent=2, ensure_ascii=False) + "\n").encode()
    yield names.DRIFT_FILE, _drift_csv(checked.result.drifts).encode()
    for name, content in check_plots(reference, checked):
        yield f"{names.PLOTS_FOLDER}/{name}", content


def _drift_csv(drifts: Sequence[Drift]) -> str:
    records = [{key: spreadsheet_cell(value) for key, value in drift.record().items()} for drift in drifts]
    return pd.DataFrame(records, columns=list(_DRIFT_COLUMNS)).to_csv(index=False)
