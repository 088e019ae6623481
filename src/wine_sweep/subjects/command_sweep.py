"""Sweeps of a command of the user's own: each trial is a process, and its child run is handed over to it."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wine_sweep.objective.command import Command
from wine_sweep.objective.process import CommandTask
from wine_sweep.subjects.own_code import OwnCodeSweep
from wine_sweep.subjects.prepared import FitCount
from wine_sweep.trial import Trial


@dataclass(frozen=True)
class CommandSweep(OwnCodeSweep):
    """A sweep of a command.

    Args:
        command: What is run.
    """

    command: Command

    @property
    def kind(self) -> str:
        """See `SweepPlan`."""
        return "command"

    @property
    def subject(self) -> str:
        """The command as it would be typed, with its placeholders."""
        return " ".join(word if "{" in word else shlex.quote(word) for word in self.command.words)

    @property
    def program(self) -> str:
        """The file that is run, as a run of it by hand would name it; the program where no file is named."""
        return self._file or self.command.words[0]

    @property
    def digest(self) -> str:
        """Digest the words, and the content of the first file that they name: the program's own, as a rule.

        What that file reads or imports is not known; and a later word may name a file that the program writes.
        """
        found = hashlib.sha256("\0".join(self.command.words).encode())
        if self._file is not None:
            with (self.command.folder / self._file).open("rb") as file:
                found.update(hashlib.file_digest(file, "sha256").digest())
        return found.hexdigest()

    @property
    def fits(self) -> FitCount:
        """One process a trial; the winner's has logged its model already."""
        return FitCount(1, 1, winner=0)

    @property
    def hands_over_runs(self) -> bool:
        """Whether a trial's process may write into its child run: yes."""
        return True

    def task(self) -> CommandTask:
        """See `SweepPlan`."""
        model = self.config.model
        stepwise = self.config.search.pruner is not None
        return CommandTask(self.command, model.stdout if model else None, self.of, stepwise=stepwise)

    @property
    def is_refitted(self) -> bool:
        """No; see `refit`."""
        return False

    def refit(self, trial: Trial, common: Path | None = None) -> None:  # noqa: ARG002  # the interface's signature
        """Fit nothing: what the program has logged in the winner's run is the model."""
        return

    def why_no_model(self, trial: Trial) -> str:
        """See `SweepPlan`."""
        return (
            f"the command logged no model in the run of trial {trial.number}, so there is nothing to promote:"
            " have it call mlflow's log_model, or leave `registry` out"
        )

    def why_changed(self, rows: int, columns: Sequence[str]) -> str:  # noqa: ARG002  # the interface's signature
        """See `SweepPlan`."""
        return f"the content of {self._file}" if self._file is not None else "its words"

    @property
    def _file(self) -> str | None:
        """The first word that names a file."""
        plain = (word for word in self.command.words if "{" not in word and (self.command.folder / word).is_file())
        return next(plain, None)
