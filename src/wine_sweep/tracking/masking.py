"""Credentials hidden in what trials say: nobody keeps or shows the password of a URL."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from wine_sweep.objective.output import STDERR_FILE, STDOUT_FILE
from wine_sweep.trial import Trial
from wine_sweep.wording import mask

_CREDENTIALS = re.compile(rb"(?<=://)[^/\s]\S*@")


def masked(trial: Trial) -> Trial:
    """Hide credentials that an error's or a warning's text may quote."""
    if trial.failure is not None:
        before = trial.failure
        failure = dataclasses.replace(before, message=mask(before.message), traceback=mask(before.traceback))
        trial = dataclasses.replace(trial, failure=failure)
    return dataclasses.replace(trial, warnings=tuple(map(mask, trial.warnings))) if trial.warnings else trial


def mask_output(folder: Path) -> None:
    """Hide credentials in what a trial has printed, in the files below its folder."""
    for name in (STDOUT_FILE, STDERR_FILE):
        for path in folder.rglob(name):
            content = path.read_bytes()
            if b"://" in content and (hidden := _CREDENTIALS.sub(b"***@", content)) != content:
                path.write_bytes(hidden)
