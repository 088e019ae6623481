"""Move a version of a registered model to a stage so that a crash leaves no doubt; the history of the stages.

A stage is moved in steps that may be done again, and the one that counts is a single transaction of MLflow's:

1. the ledger says what is about to be done;
2. MLflow moves the stage, and archives what was in it;
3. the alias follows;
4. the ledger says that it is done.

Who dies before the second step leaves the old version in place, who dies after it the new one; `settle` does the rest, before
anything else is moved. An error in the third step is undone.

On one machine a lock keeps two from doing that at once. Between machines there is none, and MLflow reads a stage before it
moves it, so that two moves at once may leave two versions there. Hence everybody looks again after the third step and after the
fourth: of all that have been moved meanwhile the last by the ledger has the stage, whoever finds it otherwise puts that right,
and who is not the last is told. All have written into the ledger before they moved anything, so whoever looks last sees all
others, and no two of them take another for the last.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time

from wine_sweep.config import Stage
from wine_sweep.errors import ConfigError, NotFoundError, OvertakenError, TrackingError
from wine_sweep.messages import shell_argument
from wine_sweep.registry.audit_log import Action, Entry, Progress, in_stage, read_entries
from wine_sweep.registry.client import RegisteredModels, RegisteredVersion, exclusive

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Promotion:
    """A version that has been moved to a stage.

    Args:
        name: The registered model.
        version: Its version.
        stage: Where it is now.
        run_id: The trial's run that it comes from.
        archived: The versions that it took the place of.
        already_there: Whether it was there before and nothing had to be done.
    """

    name: str
    version: str
    stage: Stage
    run_id: str
    archived: tuple[str, ...] = ()
    already_there: bool = False

    def record(self) -> dict[str, object]:
        """Return what is kept in MLflow as ``promotion.json``."""
        return {
            "model": self.name,
            "version": self.version,
            "stage": self.stage.value,
            "alias": self.stage.alias,
            "run_id": self.run_id,
            "archived_versions": list(self.archived),
            "already_there": self.already_there,
        }


class ModelRegistry(RegisteredModels):
    """Moves versions between stages, and keeps the ledger.

    Stages are deprecated in MLflow and people still use them, so stage and alias are kept the same: the version in
    ``Staging`` is the one with the alias ``staging``.
    """

    def move(self, registered: RegisteredVersion, stage: Stage, entry: Entry) -> Promotion:
        """Put a version into a stage, and write that into the ledger; older versions there are archived.

        Doing it again for a version that is there changes nothing.

        Args:
            registered: The version.
            stage: Where to.
            entry: What the ledger is to say; its `before` is the version that somebody has seen in the stage.

        Raises:
            OvertakenError: Another version is in the stage by now.
            OwnershipError: Another process on this machine is promoting, and takes too long.
            TrackingError: The registry failed. The version that was in the stage is then still there; only where the store
                went away after the stage was moved it is the new one, and `settle` finishes that.
        """
        name, version = registered.name, registered.version
        with exclusive(name):
            self._settle(name)
            known, there = self.ledger(name), self.all_in_stage(name, stage)
            here = [each.version for each in there]
            if here == [version] and (there[0].stage == stage.value or not self.has_stages):
                self._align(name, stage)
                return Promotion(name, version, stage, registered.run_id, already_there=True)
            if entry.before not in here if here else entry.before is not None:
                now = f"version {here[-1]} of {name} is" if here else f"no version of {name} is"
                raise OvertakenError(f"{now} in {stage.value} by now: somebody changed that meanwhile")
            try:
                self._carry_out(registered, stage, entry.following(known), known, here=here)
            except TrackingError as error:
                if error.is_outage:
                    raise TrackingError(f"{error}; {_half_done(registered, stage)}", is_outage=True) from error
                raise
        return Promotion(name, version, stage, registered.run_id, tuple(each for each in here if each != version))

    def settle(self, name: str) -> Sequence[Entry]:
        """Finish what a process has begun that died over it: the alias follows the stage, and the ledger says what became of it.

        Returns:
            What turned out to be done.

        Raises:
            OwnershipError: Another process on this machine is promoting, and takes too long.
            TrackingError: The registry failed.
        """
        with exclusive(name):
            return self._settle(name)

    def note(self, name: str, entry: Entry) -> None:
        """Write into the ledger that nothing was moved: on the version that was kept, or else on the registered model."""
        self._write(name, entry)

    def ledger(self, name: str) -> Sequence[Entry]:
        """Read all entries, in the order of time; what this version of wine_sweep cannot read is left out with a warning.

        Raises:
            TrackingError: The registry failed.
        """
        places = [(None, self.tags_of(name)), *((each.version, each.tags) for each in self.versions(name))]
        found: list[Entry] = []
        for version, tags in places:
            entries, unreadable = read_entries(tags, version)
            found += entries
            for problem in unreadable:
                _logger.warning("an entry of the ledger of %s cannot be read: %s", name, problem)
        return sorted(found, key=lambda each: each.key)

    def _carry_out(
        self, registered: RegisteredVersion, stage: Stage, entry: Entry, known: Sequence[Entry], *, here: Sequence[str]
    ) -> None:
        name = registered.name
        self._write(name, entry.ended(Progress.BEGUN))
        try:
            self._move(registered, stage, here)
        except TrackingError as error:
            if not error.is_outage:  # while the store is away nothing can be written; `settle` does it later
                self._write(name, entry.ended(Progress.FAILED, str(error)))
            raise
        self._hold(registered, stage, entry, known)
        self._write(name, entry.ended(Progress.DONE))
        self._hold(registered, stage, entry, known)

    def _move(self, registered: RegisteredVersion, stage: Stage, here: Sequence[str]) -> None:
        name, version = registered.name, registered.version
        self.transition(name, version, stage.value)
        try:
            self.agree(name, stage, version)
        except TrackingError as error:
            if not error.is_outage:
                self._revert(registered, stage, here)
            raise

    def _revert(self, registered: RegisteredVersion, stage: Stage, here: Sequence[str]) -> None:
        """Put back what was in a stage, unless somebody has moved it meanwhile; at no moment it is empty."""
        if [each.version for each in self.all_in_stage(registered.name, stage)] != [registered.version]:
            return
        for each in here:
            self.transition(registered.name, each, stage.value)
        self.transition(registered.name, registered.version, registered.stage)

    def _align(self, name: str, stage: Stage) -> None:
        """Have the alias follow the stage, until nobody has moved that meanwhile."""
        before: Sequence[str] = ()
        while len(here := [each.version for each in self.all_in_stage(name, stage)]) == 1 and here != before:
            self.agree(name, stage, here[0])
            before = here

    def _hold(self, registered: RegisteredVersion, stage: Stage, entry: Entry, known: Sequence[Entry]) -> None:
        """See that a version that was put into a stage has it, or else the one that has been put there last.

        Args:
            registered: The version; the alias is on it.
            stage: The stage.
            entry: What the ledger says of it.
            known: What the ledger said before.

        Raises:
            OvertakenError: It is another.
        """
        name, held = registered.name, registered.version
        ended = {each.key for each in known if each.progress is Progress.DONE}
        while True:
            versions = self.versions(name)
            here = [each.version for each in self.all_in_stage(name, stage, among=versions)]
            if not here:
                return  # it was there, and somebody has moved it on
            last = _last_put(versions, here, entry, ended)
            if here == [last] == [held]:
                break
            if here != [last]:
                self.transition(name, last, stage.value)
            self.agree(name, stage, last)
            held = last
        if last != registered.version:
            message = f"version {last} of {name} was put into {stage.value} at the same time, and is there now"
            self._write(name, entry.ended(Progress.FAILED, message))
            raise OvertakenError(message)

    def _settle(self, name: str) -> Sequence[Entry]:
        begun = [each for each in self.ledger(name) if each.progress is Progress.BEGUN and each.action is not Action.KEPT]
        return [done for stage in Stage for done in self._settle_stage(name, stage, [e for e in begun if e.stage == stage.value])]

    def _settle_stage(self, name: str, stage: Stage, begun: Sequence[Entry]) -> Sequence[Entry]:
        """Finish what has begun; it is looked at again once that is written, since who began it on another machine may live."""
        written: dict[str, Progress] = {}
        before: Sequence[str] | None = None
        while begun:
            versions = self.all_in_stage(name, stage)
            here = [each.version for each in versions]
            moved = [each for each in begun if each.after in here]
            if len(here) > 1 and moved:  # who died had moved the stage at the same time as somebody else
                last = [*moved, *(each for each in _moves(versions, stage.value) if each.progress is not Progress.FAILED)][-1]
                self.transition(name, last.after or "", stage.value)
                continue
            if len(here) == 1:
                self.agree(name, stage, here[0])
            due = {each.key: Progress.DONE if each in moved[-1:] else Progress.FAILED for each in begun}
            changed = [each for each in begun if written.get(each.key) not in (Progress.DONE, due[each.key])]
            if not changed and here == before:
                break
            for each in changed:
                done = due[each.key] is Progress.DONE
                self._write(name, each.ended(due[each.key], "" if done else "It was never finished."))
            written |= {each.key: due[each.key] for each in changed}
            before = here
        return [each for each in begun if written[each.key] is Progress.DONE]

    def _write(self, name: str, entry: Entry) -> None:
        self.set_tag(name, entry.after, entry.key, entry.text())


def _half_done(registered: RegisteredVersion, stage: Stage) -> str:
    where = f"version {registered.version} of {registered.name} was being put into {stage.value}"
    see = f"see `wine-sweep history {shell_argument(registered.name)}` once the store is back"
    return f"{where}, which holds either that or what was there: {see}"


def _last_put(versions: Sequence[RegisteredVersion], here: Sequence[str], entry: Entry, ended: Collection[str]) -> str:
    """Return which version was put into a stage last, of those that were put there at the same time.

    Args:
        versions: All versions, with what the ledger says on them.
        here: Those in the stage.
        entry: What has put one of them there.
        ended: The keys of entries that were done before it.
    """
    moves = [each for each in _moves(versions, entry.stage) if each.key not in ended]
    rivals = [each for each in moves if each.progress is Progress.DONE or each.after in here or each.key == entry.key]
    foreign = [each for each in here if each not in {rival.after for rival in rivals}]
    if foreign:
        return foreign[-1]  # somebody without a ledger
    return rivals[-1].after or ""


def _moves(versions: Sequence[RegisteredVersion], stage: str) -> Sequence[Entry]:
    """Return what the ledger says, on versions, of moves to a stage, in the order of time."""
    entries = [each for registered in versions for each in read_entries(registered.tags, registered.version)[0]]
    moves = [each for each in entries if each.stage == stage and each.action is not Action.KEPT]
    return sorted(moves, key=lambda each: each.key)


@dataclass(frozen=True)
class StageContent:
    """What a stage holds, or held at a moment.

    Args:
        stage: The stage.
        version: The version; None when there is none.
        entry: The entry that put it there; None where the ledger does not say.
    """

    stage: Stage
    version: str | None
    entry: Entry | None


@dataclass(frozen=True)
class History:
    """A registered model's ledger.

    Args:
        name: The registered model.
        held: What each stage holds.
        entries: All entries up to the moment, in the order of time.
        at: The moment; None for now.
    """

    name: str
    held: Sequence[StageContent]
    entries: Sequence[Entry]
    at: datetime | None


def read_history(registry: ModelRegistry, name: str, *, at: datetime | None = None) -> History:
    """Read a registered model's ledger, and what its stages hold, at a moment; None for now.

    Raises:
        NotFoundError: There is no such registered model.
        TrackingError: The store failed.
    """
    entries = [each for each in registry.ledger(name) if at is None or each.when <= at]
    versions = registry.versions(name)
    if not versions and not registry.ledger(name):
        raise NotFoundError(registry.no_model(name))
    held = []
    for stage in Stage:
        entry = in_stage(entries, stage.value)
        version = entry.after if entry is not None else None
        if at is None:
            now = registry.in_stage(name, stage)
            version = now.version if now is not None else None
            entry = entry if entry is not None and entry.after == version else _begun(entries, stage, version)
        held.append(StageContent(stage, version, entry))
    return History(name, held, entries, at)


def _begun(entries: Sequence[Entry], stage: Stage, version: str | None) -> Entry | None:
    """Find what has put a version into a stage and was not finished; the next promotion settles it."""
    found = (each for each in reversed(entries) if each.progress is Progress.BEGUN and each.stage == stage.value)
    return next((each for each in found if each.after == version), None)


def parse_moment(text: str, source: str) -> datetime:
    """Read a day or a moment, in UTC where no zone is given; of a day, its end.

    Args:
        text: As ISO 8601 writes it: ``2026-11-25``, ``2026-11-25T14:30``, ``2026-11-25T14:30+01:00``.
        source: What the user gave it as, for the error.

    Raises:
        ConfigError: It is neither.
    """
    try:
        with suppress(ValueError):
            day = date.fromisoformat(text)
            return datetime.combine(day, time.max, UTC)
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        message = f"'{text}' is no date; expected one like 2026-11-25, or 2026-11-25T14:30"
        raise ConfigError.at(source, message) from error
