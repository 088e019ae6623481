"""Where a trial is measured, as its task sees it: room for files, and somebody to ask."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from wine_sweep.trial import Trial


class TrialIO(Protocol):
    """What a task is given beside the trial that it measures."""

    @property
    def folder(self) -> Path:
        """A folder for files that are kept with the trial as its artifacts; made when it is first asked for."""

    @property
    def scratch(self) -> Path:
        """A folder for files that nobody keeps; made when it is first asked for, deleted when the trial has ended."""

    @property
    def common(self) -> Path:
        """A folder that all trials on this machine share, deleted when the sweep has ended; made when it is first asked for."""

    def report(self, trial: Trial) -> bool:
        """Show what a trial has said so far, its state RUNNING, and wait for the answer whether it is to go on."""


Task = Callable[[Trial, TrialIO], Trial]
"""What measures a trial: picklable, and it imports neither MLflow nor Optuna."""
