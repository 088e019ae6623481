"""Sweeps whose process is gone and that MLflow calls RUNNING: finding them, and ending them as somebody else may resume them."""

from __future__ import annotations

import logging
import platform
import time
from collections.abc import Callable

from wine_sweep.errors import OwnershipError
from wine_sweep.tracking import names
from wine_sweep.tracking.local_state import Owner, machine_id
from wine_sweep.tracking.lock import LEASE_SECONDS, is_lost
from wine_sweep.tracking.reader import RESULTS, SweepReader, SweepRecord, latest_results

_logger = logging.getLogger(__name__)


def lost_sweeps(reader: SweepReader) -> list[SweepRecord]:
    """List the sweeps whose process on this machine is gone, the newest first; of other machines' nobody here can tell.

    Raises:
        TrackingError: The store failed.
    """
    return [sweep for sweep in reader.running() if is_lost(sweep.run_id, sweep.tags)]


def close_sweep(reader: SweepReader, sweep: SweepRecord) -> None:
    """End a lost sweep and what is open below it as KILLED; a trial that has a result ends as that. It can be resumed later.

    Results that wait in a journal on this machine stay there, until it is.

    Args:
        reader: Reads the store.
        sweep: The sweep.

    Raises:
        OwnershipError: A process runs it after all.
        TrackingError: The store failed.
    """
    # these import the search and scikit-learn, which who only lists does not need
    from wine_sweep.sweep.resume import close_left_open, last_seen
    from wine_sweep.tracking.runs import SweepRuns

    runs = SweepRuns.take_over(reader.client, sweep)
    at = sweep.started
    try:
        attempts = reader.attempts(sweep)
        at = last_seen(sweep, attempts)
        results = {trial.number: trial for trial in latest_results(attempts) if trial.state in RESULTS}
        close_left_open(runs, [attempt for attempt in attempts if attempt.is_open], results, at=at)
        runs.check_owner()
        runs.end("KILLED", at=at)
    except OwnershipError:
        raise
    except BaseException:
        runs.give_back(at=at)
        raise
    finally:
        runs.release()


def close_lost_refreshes(reader: SweepReader, model: str, *, clock: Callable[[], float] = time.time) -> None:
    """End the lost sweeps of earlier refreshes of a registered model, and log each.

    Those of another machine are looked at an hour after they began, since to see whether their process is alive takes half a
    minute.

    Args:
        reader: Reads the store.
        model: The registered model.
        clock: Tells the time in seconds since the epoch.

    Raises:
        TrackingError: The store failed.
    """
    for sweep in reader.running():
        if sweep.tags.get(names.REFRESH) != model or not _may_be_lost(sweep, clock()):
            continue
        try:
            close_sweep(reader, sweep)
        except OwnershipError as error:
            _logger.info("left alone: %s", error)
        else:
            _logger.warning("closed as KILLED: the sweep %s (%s), whose process is gone", sweep.name, sweep.run_id[:8])


def _may_be_lost(sweep: SweepRecord, now: float) -> bool:
    owner = Owner.from_tag(sweep.tags.get(names.OWNER))
    is_elsewhere = owner is not None and (owner.machine != machine_id() or owner.host != platform.node())
    return now > sweep.started + LEASE_SECONDS if is_elsewhere else is_lost(sweep.run_id, sweep.tags)
