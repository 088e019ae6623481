"""The lease of a sweep: at most one process runs it, on one machine or on several; runs whose process is lost.

The parent run carries a tag that its owner writes anew every few seconds. On the machine of the owner a lock on a file
tells at once whether it is alive; elsewhere the tag is watched for a while, so that no two clocks are ever compared.

An owner that has said nothing for more than two heartbeats, because it stood still, looks whether it still is the owner before it
writes anything. What it writes in the moment between such a look and a take-over does not count; see `tracking.local_state`.

On the machine of the process a lock tells at once that it is gone. Elsewhere its lease has to run out: the run says until when
it counts as alive. That is an hour, where writing a check takes seconds, so that clocks may differ by as much; and a check that
is alive all the same, and is ended here, still ends as FINISHED. Checks of versions before this one have no lease; theirs begins
with the run.
"""

from __future__ import annotations

import hashlib
import logging
import os
import platform
import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import FileLock, Timeout
from mlflow import MlflowClient
from mlflow.entities import LifecycleStage, Run, RunTag

from wine_sweep.errors import OwnershipError, TrackingError
from wine_sweep.messages import format_duration
from wine_sweep.tracking import names
from wine_sweep.tracking.local_state import BEAT_SECONDS, Owner, Stopwatch, is_token, machine_id, number_of, state_folder
from wine_sweep.tracking.store import search_all, translated_errors, why_gone

_logger = logging.getLogger(__name__)

SILENCE_SECONDS = 3.5 * BEAT_SECONDS
"""How long nothing is heard of an owner on another machine before it counts as dead: three beats, and some delay."""

LATE_SECONDS = 2 * BEAT_SECONDS
"""After how long without a heartbeat an owner looks whether it still is the owner before it writes anything."""

SETTLE_SECONDS = 1.0
"""How long a process that takes over waits before it looks whether another did the same."""


class SweepLease:
    """This process's hold on a sweep.

    Args:
        client: The open store.
        owner: This process.
        sleep: Waits for a number of seconds.
    """

    def __init__(self, client: MlflowClient, owner: Owner, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._client = client
        self._sleep = sleep
        self._lock: FileLock | None = None
        self._since_beat = Stopwatch()
        self._lost: OwnershipError | None = None
        self.owner = owner
        self.run_id = ""

    def hold(self, run_id: str) -> None:
        """Hold a sweep that this process has just begun, with `owner` as its tag.

        Raises:
            OwnershipError: Another process holds it.
        """
        self.run_id = run_id
        try:
            lock = FileLock(_lock_file(run_id))
            lock.acquire(blocking=False)
        except Timeout as error:
            raise OwnershipError(f"the sweep {run_id} is being run by another process on this machine") from error
        except OSError as error:
            _logger.warning("no lock can be kept on this machine, so others watch for signs of life: %s", error)
            self.owner = replace(self.owner, machine=uuid.uuid4().hex)
            return
        self._lock = lock

    def take(self, run_id: str) -> None:
        """Take over a sweep from an owner that is dead, or that has let go of it.

        Raises:
            OwnershipError: It is alive, or another process takes over at the same time.
            TrackingError: The store failed.
        """
        before = self._read(run_id)
        owner = Owner.from_tag(before.data.tags.get(names.OWNER))
        try:
            self.hold(run_id)
        except OwnershipError as error:
            raise OwnershipError(_refusal(before, owner)) from error
        try:
            if before.info.status == "RUNNING" and owner is not None and not is_known_dead(run_id, owner):
                self._wait_for_silence(before, owner)
            held = before.data.tags.get(names.OWNERSHIP, "")
            self.owner = self.owner.numbered(max(number_of(held), owner.number if owner is not None else 0) + 1)
            self._since_beat = Stopwatch()
            self._write(names.OWNERSHIP)
            self._sleep(SETTLE_SECONDS)
            self.check()
        except BaseException:
            self.release()
            raise

    def beat(self) -> None:
        """Report that this process is alive.

        Raises:
            OwnershipError: Another process has taken over: it heard nothing of this one for too long.
            TrackingError: The store failed.
        """
        since, was_late = Stopwatch(), self._is_late
        self.check()
        self.owner = replace(self.owner, beat=self.owner.beat + 1)
        self._write()
        if was_late:
            self.check()  # who watched may have taken over before this heartbeat was written
        self._since_beat = since

    def ensure(self) -> None:
        """See that the sweep is still this process's, before something is written; no call while its heartbeats succeed.

        Raises:
            OwnershipError: It is not.
            TrackingError: The store failed.
        """
        if self._lost is not None:
            raise self._lost
        if self._is_late:
            self.beat()

    @property
    def _is_late(self) -> bool:
        """Return whether others may have heard nothing of this process for so long that one of them has taken over."""
        return bool(self.run_id) and self._since_beat.seconds > LATE_SECONDS

    def check(self) -> None:
        """Look whether the sweep is still this process's.

        Raises:
            OwnershipError: It is not.
            DeletedError: Somebody has deleted it.
            TrackingError: The store failed.
        """
        run = self._read(self.run_id)
        if run.info.lifecycle_stage != LifecycleStage.ACTIVE:
            deleted = why_gone(self._client, run, f"the sweep '{run.info.run_name}'")
            if deleted is not None:
                raise deleted
        written = Owner.from_tag(run.data.tags.get(names.OWNER))
        if not _is_held_by(self.owner, written, run.data.tags.get(names.OWNERSHIP)):
            is_own = written is not None and written.token == self.owner.token  # a heartbeat of this process that came late
            self._lost = OwnershipError(_refusal(run, None if is_own else written, silent=self._since_beat.seconds))
            raise self._lost

    def release(self) -> None:
        """Let go; again does no harm."""
        if self._lock is not None:
            lock, self._lock = self._lock, None
            with suppress(OSError):
                os.unlink(lock.lock_file)  # before the lock is gone: whoever made the file anew afterwards holds another
            lock.release()

    def _wait_for_silence(self, run: Run, owner: Owner) -> None:
        """Watch the tag of an owner on another machine.

        Raises:
            OwnershipError: It changes.
        """
        waited = 0.0
        while waited < SILENCE_SECONDS:
            self._sleep(SETTLE_SECONDS)
            waited += SETTLE_SECONDS
            now = self._read(run.info.run_id)
            if now.info.status != "RUNNING":
                return
            if Owner.from_tag(now.data.tags.get(names.OWNER)) != owner:
                raise OwnershipError(_refusal(now, Owner.from_tag(now.data.tags.get(names.OWNER))))

    def _read(self, run_id: str) -> Run:
        with translated_errors("see who runs the sweep"):
            return self._client.get_run(run_id)

    def _write(self, *more: str) -> None:
        """Write the heartbeat, and under further tags the owner's token, in one call."""
        tags = [RunTag(names.OWNER, self.owner.text()), *(RunTag(name, self.owner.token) for name in more)]
        with translated_errors("say who runs the sweep"):
            self._client.log_batch(self.run_id, tags=tags, synchronous=True)


def is_lost(run_id: str, tags: Mapping[str, str]) -> bool:
    """Return whether a RUNNING sweep has no process any more: its owner was on this machine and is dead.

    Args:
        run_id: The parent run.
        tags: Its tags.
    """
    owner = Owner.from_tag(tags.get(names.OWNER))
    if owner is None or _may_be_beginning(owner):
        return False
    return is_known_dead(run_id, owner) and is_free(run_id)


def is_free(name: str) -> bool:
    """Return whether no process on this machine holds the lock of a name; delete the file that a dead process left."""
    path = _lock_file(name)
    try:
        if path.exists():
            with FileLock(path, blocking=False):
                path.unlink()  # while it is held: whoever makes the file anew afterwards holds another
    except OSError:  # it is held, or cannot be had
        return False
    return True


def is_known_dead(run_id: str, owner: Owner) -> bool:
    """Return whether an owner whose lock is free is dead for certain, so that nobody has to watch for its heartbeat.

    It ran on this machine, under the same name: copies of a machine share its id. And it does not hold the lock's file after
    somebody has deleted that, as far as the system can tell.
    """
    if owner.machine != machine_id() or owner.host != platform.node():
        return False
    try:
        held = {os.path.realpath(os.readlink(link)) for link in Path(f"/proc/{owner.pid}/fd").iterdir()}
        return f"{os.path.realpath(_lock_file(run_id))} (deleted)" not in held
    except OSError:  # there is no such process, it is somebody else's, or the system has no such list
        return True


def _may_be_beginning(owner: Owner) -> bool:
    """Return whether a process on this machine may have made its run and not hold it yet: there was no heartbeat yet."""
    if owner.beat > 0 or not hasattr(os, "getuid"):  # elsewhere, asking for a process by signal 0 would end it
        return False
    try:
        os.kill(owner.pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is somebody else's
        return True
    return True


def _lock_file(run_id: str) -> Path:
    """Name the file that is locked for a sweep; an id that MLflow has not drawn itself may be a path, and becomes a digest.

    Raises:
        OSError: There is no folder for it.
    """
    name = run_id if is_token(run_id) else f"run-{hashlib.sha256(run_id.encode(errors='replace')).hexdigest()[:32]}"
    return state_folder("locks") / f"{name}.lock"


def _is_held_by(owner: Owner, written: Owner | None, holder: str | None) -> bool:
    """Return whether a sweep is an owner's.

    A heartbeat that arrives after its sender was taken over does not give it the sweep back. A version that writes no token of
    ownership takes over by a heartbeat alone.
    """
    if holder is None:
        return written is not None and written.token == owner.token
    is_late_or_own = written is None or written.token == owner.token or 0 < written.number < owner.number
    return holder == owner.token and is_late_or_own


def _refusal(run: Run, owner: Owner | None, *, silent: float = 0.0) -> str:
    """Describe who has a sweep; to who had it before, that it was silent for so many seconds."""
    who = owner if owner is not None else "another process"
    if silent <= LATE_SECONDS:
        return f"the sweep '{run.info.run_name}' is being run by {who}; it can be resumed once that has ended"
    still = f"nothing was heard of this process for {format_duration(round(silent))}"
    return f"the sweep '{run.info.run_name}' was taken over by {who}, since {still}; it is {run.info.status} there"


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
    owner = Owner.from_tag(run.data.tags.get(names.OWNER))
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
    owner = Owner.from_tag(run.data.tags.get(names.OWNER))
    return LostCheck(
        run_id=run.info.run_id,
        name=run.info.run_name,
        experiment_id=run.info.experiment_id,
        started=(run.info.start_time or 0) / 1000,
        params=dict(run.data.params),
        alive_at=_lease_began(run),
        owner=str(owner) if owner is not None else "its process",
    )
