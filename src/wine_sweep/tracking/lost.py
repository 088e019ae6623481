"""Checks whose process ended without closing their run: finding them, and ending them.

On the machine of the process a lock tells at once that it is gone. Elsewhere its lease has to run out: the run says until when
it counts as alive. That is an hour, where writing a check takes seconds, so that clocks may differ by as much; and a check that
is alive all the same, and is ended here, still ends as FINISHED. Checks of versions before this one have no lease; theirs begins
with the run.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from mlflow import MlflowClient
from mlflow.entities import Run

from wine_sweep.errors import TrackingError
from wine_sweep.tracking import names
from wine_sweep.tracking.claim import is_free, is_known_dead
from wine_sweep.tracking.owner import Owner
from wine_sweep.tracking.store import search_all, translated_errors

_logger = logging.getLogger(__name__)

LEASE_SECONDS = 3600.0
"""How long a check may take to write its run before it counts as lost on another machine."""

_TOKEN = re.compile(r"[0-9a-f]{32}")
_SECONDS = re.compile(r"[0-9]{1,11}")


@dataclass(frozen=True)
class LostCheck:
    """A check that is RUNNING in MLflow, and that nobody ends any more.

    Args:
        run_id: Its run.
        name: The run's name.
        experiment_id: The experiment that it is in.
        started: When it began, in seconds since the epoch.
        params: What was asked.
        alive_at: When its process was last known to be alive, in seconds since the epoch.
        owner: Its process, in words.
    """

    run_id: str
    name: str
    experiment_id: str
    started: float
    params: Mapping[str, str]
    alive_at: float
    owner: str


def running_checks(client: MlflowClient, experiment_ids: Sequence[str]) -> Iterator[Run]:
    """Yield the runs of checks that are RUNNING, the newest first.

    Raises:
        TrackingError: The store failed.
    """
    query = f"tags.`{names.KIND}` = '{names.Kind.CHECK}' AND attributes.status = 'RUNNING'"
    return search_all(client, list(experiment_ids), query, order_by=["attributes.start_time DESC"])


def lost_checks(
    client: MlflowClient, experiment_ids: Sequence[str], *, model: str | None = None, clock: Callable[[], float] = time.time
) -> list[LostCheck]:
    """List the checks that nobody ends any more, the newest first.

    Args:
        client: The open store.
        experiment_ids: The experiments to look in.
        model: The registered model that was checked; None for any.
        clock: Tells the time in seconds since the epoch.

    Raises:
        TrackingError: The store failed.
    """
    found = running_checks(client, experiment_ids)
    ours = [run for run in found if model in (None, run.data.tags.get(names.REGISTERED_MODEL))]
    return [_lost_check(run) for run in ours if _is_lost(run, clock())]


def close_check(client: MlflowClient, check: LostCheck) -> bool:
    """End the run of a lost check as KILLED, with a tag that says why.

    Returns:
        Whether it was still RUNNING.

    Raises:
        TrackingError: The store failed.
    """
    with translated_errors(f"end the run {check.run_id}"):
        if client.get_run(check.run_id).info.status != "RUNNING":
            return False
        client.set_tag(check.run_id, names.CLOSED, f"{check.owner} ended without closing it")
        client.set_terminated(check.run_id, "KILLED", end_time=round(check.alive_at * 1000))
    return True


def close_lost_checks(client: MlflowClient, experiment_ids: Sequence[str], model: str) -> None:
    """End the lost checks of a registered model, and log each; a store that fails is logged too, since others can do it later."""
    try:
        for check in lost_checks(client, experiment_ids, model=model):
            if close_check(client, check):
                _logger.warning("closed as KILLED: %s (%s), since %s is gone", check.name, check.run_id[:8], check.owner)
    except TrackingError as error:
        _logger.warning("checks of %s that nobody ends any more cannot be closed now: %s", model, error)


def _is_lost(run: Run, now: float) -> bool:
    owner = Owner.of(run.data.tags)
    if owner is not None and _TOKEN.fullmatch(owner.token) and is_known_dead(owner.token, owner):
        return is_free(owner.token)
    return now > _lease_began(run) + LEASE_SECONDS


def _lease_began(run: Run) -> float:
    """Return when the lease of a check began: when the run was made, or, where it does not say so, when the check began."""
    until = run.data.tags.get(names.LEASE, "")
    if _SECONDS.fullmatch(until):
        return float(until) - LEASE_SECONDS
    started: int = run.info.start_time or 0
    return started / 1000


def _lost_check(run: Run) -> LostCheck:
    owner = Owner.of(run.data.tags)
    return LostCheck(
        run_id=run.info.run_id,
        name=run.info.run_name,
        experiment_id=run.info.experiment_id,
        started=(run.info.start_time or 0) / 1000,
        params=dict(run.data.params),
        alive_at=_lease_began(run),
        owner=str(owner) if owner is not None else "its process",
    )
