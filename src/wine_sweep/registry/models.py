"""Moving a version of a registered model to a stage, so that whoever dies over it leaves no doubt.

A stage is moved in steps that may be done again, and the one that counts is a single transaction of MLflow's:

1. the ledger says what is about to be done;
2. MLflow moves the stage, and archives what was in it;
3. the alias follows;
4. the ledger says that it is done.

Who dies before the second step leaves the old version in place, who dies after it the new one; `settle` does the rest, before
anything else is moved. An error in the third step is undone.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from wine_sweep.config import Stage
from wine_sweep.errors import OvertakenError, TrackingError
from wine_sweep.registry.hold import alone
from wine_sweep.registry.ledger import PREFIX, Entry, Progress
from wine_sweep.registry.versions import RegisteredModels, Resident

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
        """Give what is kept in MLflow as ``promotion.json``."""
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

    def move(self, resident: Resident, stage: Stage, entry: Entry) -> Promotion:
        """Put a version into a stage, and write that into the ledger; older versions there are archived.

        Doing it again for a version that is there changes nothing.

        Args:
            resident: The version.
            stage: Where to.
            entry: What the ledger is to say; its `before` is the version that somebody has seen in the stage.

        Raises:
            OvertakenError: Another version is in the stage by now.
            OwnershipError: Another process on this machine is promoting, and takes too long.
            TrackingError: The registry failed. The version that was in the stage is then still there.
        """
        name, version = resident.name, resident.version
        with alone(name):
            self.settle(name, stage)
            here = [each.version for each in self.all_in_stage(name, stage)]
            if here == [version]:
                self.agree(name, stage, version)
                return Promotion(name, version, stage, resident.run_id, already_there=True)
            if entry.before not in here if here else entry.before is not None:
                there = f"version {here[-1]} of {name} is" if here else f"no version of {name} is"
                raise OvertakenError(f"{there} in {stage.value} by now: somebody changed that meanwhile")
            self._write(name, entry.ended(Progress.BEGUN))
            try:
                self._move(resident, stage, here)
            except TrackingError as error:
                if not error.is_outage:  # while the store is away nothing can be written; `settle` does it later
                    self._write(name, entry.ended(Progress.FAILED, str(error)))
                raise
            self._check_not_overtaken(resident, stage, entry)
            self._write(name, entry.ended(Progress.DONE))
        return Promotion(name, version, stage, resident.run_id, tuple(each for each in here if each != version))

    def settle(self, name: str, stage: Stage) -> None:
        """Finish what a process has begun that died over it: the alias follows the stage, and the ledger says what became of it.

        Raises:
            TrackingError: The registry failed.
        """
        begun = [each for each in self.ledger(name) if each.stage == stage.value and each.progress is Progress.BEGUN]
        if not begun:
            return
        here = [each.version for each in self.all_in_stage(name, stage)]
        if len(here) == 1:
            self.agree(name, stage, here[0])
        for entry in begun:
            done = entry is begun[-1] and here == [entry.after]
            self._write(name, entry.ended(Progress.DONE) if done else entry.ended(Progress.FAILED, "It was never finished."))

    def note(self, name: str, entry: Entry) -> None:
        """Write into the ledger that nothing was moved: on the version that was kept, or else on the registered model."""
        self._write(name, entry)

    def ledger(self, name: str) -> Sequence[Entry]:
        """Read all entries, in the order of time; what this version of wine_sweep cannot read is left out with a warning.

        Raises:
            TrackingError: The registry failed.
        """
        found = self.tags_of(name)
        for resident in self.versions(name):
            found |= resident.tags
        entries = []
        for key in sorted(key for key in found if key.startswith(PREFIX)):
            try:
                entries.append(Entry.of(key, found[key]))
            except ValueError as error:
                _logger.warning("an entry of the ledger of %s cannot be read: %s", name, error)
        return entries

    def _move(self, resident: Resident, stage: Stage, here: Sequence[str]) -> None:
        name, version = resident.name, resident.version
        self.transition(name, version, stage.value)
        try:
            self.agree(name, stage, version)
        except TrackingError as error:
            if not error.is_outage:
                self.transition(name, version, resident.stage)
                for each in here:
                    self.transition(name, each, stage.value)
            raise

    def _check_not_overtaken(self, resident: Resident, stage: Stage, entry: Entry) -> None:
        """Look whether a process on another machine moved the stage at the same time: the last one has it.

        Raises:
            OvertakenError: It did.
        """
        name, here = resident.name, [each.version for each in self.all_in_stage(resident.name, stage)]
        if here and resident.version not in here:
            self.agree(name, stage, here[-1])
            message = f"version {here[-1]} of {name} was put into {stage.value} at the same time, and is there now"
            self._write(name, entry.ended(Progress.FAILED, message))
            raise OvertakenError(message)
        self.agree(name, stage, resident.version)

    def _write(self, name: str, entry: Entry) -> None:
        self.set_tag(name, entry.after, entry.key, entry.text())
