"""The winner: kept as a model, and promoted."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime

from wine_sweep.config import Stage
from wine_sweep.errors import ModelError
from wine_sweep.registry import ModelRegistry, Promotion
from wine_sweep.runner.header import user_name
from wine_sweep.selection import Selection
from wine_sweep.subjects.prepared import Prepared
from wine_sweep.subjects.refit import Winner
from wine_sweep.tracking import names
from wine_sweep.tracking.models import ModelToLog, check_loads_back, log_model
from wine_sweep.tracking.outage import OutagePolicy
from wine_sweep.tracking.sweep_runs import SweepRuns


def crown(
    winner: Winner | None,
    runs: SweepRuns,
    run_id: str,
    *,
    trusted: tuple[str, ...],
    policy: OutagePolicy,
    clock: Callable[[], float] = time.time,
) -> str | None:
    """Log the winner as a model under its trial's run, load it back, and log its test metrics.

    Where it was not fitted anew, the model is the one that the trial's own process has logged.

    Args:
        winner: The refitted model; None where the trial's run is to hold one.
        runs: The sweep's runs.
        run_id: The trial's run.
        trusted: Packages that the person at the keyboard trusts.
        policy: Tries each step again while the store is away.
        clock: Tells the time in seconds since the epoch.

    Returns:
        The model's URI; None when there is none.

    Raises:
        ModelError: It cannot be saved, or does not load back as it was.
        TrackingError: The store failed.
    """
    if winner is None:
        return policy.run(lambda: runs.adopt_model(run_id))
    uri: str | None = None
    if winner.model is not None:
        uri = _keep(winner, runs, run_id, trusted, policy)
    now, metrics = clock(), test_metrics(winner)
    policy.run(lambda: runs.log_metrics(run_id, metrics, at=now))
    if uri is not None:
        tags = {names.MODEL: uri}
        policy.run(lambda: runs.set_tags(run_id, tags))
    return uri


def test_metrics(winner: Winner) -> dict[str, float]:
    """Give what the winner measures on the test rows, under the names that it has in MLflow."""
    metrics = {names.test_metric(name): value for name, value in winner.test_scores.items()}
    if winner.interval is not None:
        metrics[names.test_low_metric(winner.interval.metric)] = winner.interval.low
        metrics[names.test_high_metric(winner.interval.metric)] = winner.interval.high
    return metrics


def _keep(winner: Winner, runs: SweepRuns, run_id: str, trusted: tuple[str, ...], policy: OutagePolicy) -> str:
    to_log = ModelToLog(winner.model, winner.train, trusted)
    uri = policy.run(lambda: log_model(runs.client, to_log, experiment_id=runs.experiment_id, run_id=run_id))
    if winner.test is not None and winner.predictions is not None:
        test, predictions = winner.test, winner.predictions
        policy.run(lambda: check_loads_back(uri, test, predictions))
    return uri


def promote(
    prepared: Prepared,
    runs: SweepRuns,
    selection: Selection,
    *,
    name: str,
    stage: Stage,
    model_uri: str,
    policy: OutagePolicy,
    clock: Callable[[], float] = time.time,
) -> Promotion:
    """Move the winner to its stage in the Model Registry, and keep a record of it on the parent run.

    Args:
        prepared: What was swept.
        runs: The sweep's runs.
        selection: The winner and the reasons.
        name: The registered model.
        stage: The stage.
        model_uri: The winner's logged model.
        policy: Tries each step again while the store is away.
        clock: Tells the time in seconds since the epoch.

    Raises:
        TrackingError: The registry failed; what was in the stage is still there.
    """
    run_id = selection.trial.run_id
    if run_id is None:
        raise ModelError(f"trial {selection.trial.number} has no run in MLflow")
    tags = {
        names.SWEEP: runs.run_id,
        names.TRIAL: str(selection.trial.number),
        names.DATA: prepared.digest,
        names.PARAMS: json.dumps(dict(selection.trial.params)),
    }
    promotion = ModelRegistry(runs.client, policy).promote(
        name,
        stage,
        model_uri=model_uri,
        run_id=run_id,
        description="\n".join(f"- {reason}" for reason in selection.reasons),
        tags=tags,
    )
    when = datetime.fromtimestamp(clock(), UTC).isoformat(timespec="seconds")
    record = {**promotion.record(), "when": when, "who": user_name(), "sweep": runs.run_id, "reasons": list(selection.reasons)}
    policy.run(lambda: runs.write_json(names.PROMOTION_FILE, record))
    return promotion


def promotion_in_words(promotion: Promotion | None) -> str:
    """Say in a sentence what became of the winner."""
    if promotion is None:
        return "Not promoted."
    if promotion.already_there:
        return f"Version {promotion.version} of {promotion.name} is it already, in {promotion.stage.value}."
    instead = f", in place of version {', '.join(promotion.archived)}" if promotion.archived else ""
    where = f"{promotion.stage.value} (alias `{promotion.stage.alias}`)"
    return f"Now version {promotion.version} of {promotion.name} in {where}{instead}."
