"""The winner, kept as a model under its trial's run."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping

from wine_sweep.subjects.refit import Winner
from wine_sweep.tracking import names
from wine_sweep.tracking.models import ModelToLog, SavedModel, check_loads_back, log_model
from wine_sweep.tracking.outage import RetryPolicy
from wine_sweep.tracking.reference import write_reference
from wine_sweep.tracking.sweep_runs import SweepRuns

_logger = logging.getLogger(__name__)


def log_winning_model(
    winner: Winner | None,
    runs: SweepRuns,
    run_id: str,
    *,
    trusted: tuple[str, ...],
    policy: RetryPolicy,
    note: Callable[[str, Mapping[str, str] | None], object] = lambda _uri, _written: None,
    clock: Callable[[], float] = time.time,
) -> SavedModel | None:
    """Log the winner as a model under its trial's run, load it back, and log its test metrics.

    What it was trained and tested on is written before the tag that says that there is a model.

    Where it was not fitted anew, the model is the one that the trial's own process has logged.

    Args:
        winner: The refitted model; None where the trial's run is to hold one.
        runs: The sweep's runs.
        run_id: The trial's run.
        trusted: Packages that the person at the keyboard trusts.
        policy: Tries each step again while the store is away.
        note: Keeps what has been saved, by its URI and the digests of its files, before the run's tag names it.
        clock: Tells the time in seconds since the epoch.

    Returns:
        The model; None when there is none.

    Raises:
        ModelError: It cannot be saved, or does not load back as it was.
        TrackingError: The store failed.
    """
    if winner is None:
        adopted = policy.run(lambda: runs.adopt_model(run_id))
        return SavedModel(adopted) if adopted is not None else None
    saved: SavedModel | None = None
    if winner.model is not None:
        saved = _keep(winner, runs, run_id, trusted, policy)
        note(saved.uri, saved.written)
    now, metrics = clock(), test_metrics(winner)
    policy.run(lambda: runs.log_metrics(run_id, metrics, at=now))
    if saved is not None:
        tags = {names.MODEL: saved.uri}
        policy.run(lambda: runs.set_tags(run_id, tags))
    return saved


def test_metrics(winner: Winner) -> dict[str, float]:
    """Give what the winner measures on the test rows, under the names that it has in MLflow."""
    metrics = {names.test_metric(name): value for name, value in winner.test_scores.items()}
    if winner.interval is not None:
        metrics[names.test_low_metric(winner.interval.metric)] = winner.interval.low
        metrics[names.test_high_metric(winner.interval.metric)] = winner.interval.high
    return metrics


def _keep(winner: Winner, runs: SweepRuns, run_id: str, trusted: tuple[str, ...], policy: RetryPolicy) -> SavedModel:
    to_log = ModelToLog(winner.model, winner.train, trusted)
    saved = policy.run(lambda: log_model(runs.client, to_log, experiment_id=runs.experiment_id, run_id=run_id))
    if winner.test is not None and winner.predictions is not None:
        test, predictions = winner.test, winner.predictions
        policy.run(lambda: check_loads_back(saved.uri, test, predictions, saved.written))
    if saved.reasons:
        why = "; ".join(saved.reasons)
        _logger.warning("the winner's model will be loaded only with --trust model:NAME, since it could run code (%s)", why)
    if winner.reference is not None:
        reference = winner.reference
        policy.run(lambda: write_reference(runs.client, run_id, reference))
    return saved
