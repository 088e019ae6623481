"""The write-ahead journal: trials that have ended, on this disk until all of them are in MLflow; credentials masked."""

from __future__ import annotations

import dataclasses
import functools
import json
import logging
import os
import shutil
import uuid
from collections.abc import Mapping
from io import FileIO
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from wine_sweep.errors import TrackingError
from wine_sweep.evaluation.capture import STDERR_FILE, STDOUT_FILE
from wine_sweep.execution.base import TrialDirs
from wine_sweep.messages import first_line, mask, mask_bytes
from wine_sweep.tracking.local_state import is_own_folder, is_token, open_own, own_folder, state_folder, state_folders
from wine_sweep.trial import Trial


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
            if b"://" in content and (hidden := mask_bytes(content)) != content:
                path.write_bytes(hidden)


_logger = logging.getLogger(__name__)
_FOLDER = "journals"
_ITEMS = "__items__"
_LONGEST_ID = 1000


class Journal:
    """One sweep's trials that have ended, a line of JSON for each, in the order in which they ended.

    A line is handed to the operating system before `add` returns, so a killed process loses none. Where the disk is full,
    lines wait in memory and are tried again with the next one: a journal never ends a sweep.

    A journal is read, written and deleted only where it is this user's own, and its folders are. A file beside it says which
    parent run it belongs to, once there is one: whoever can write to the store may name this journal on another run.

    Args:
        path: The file; it is made, readable for its owner only, when the first trial is added.
        within: The folder that holds the file's; None where only the file's own folder has to be this user's.
    """

    def __init__(self, path: Path, within: Path | None = None) -> None:
        self.path = path
        self._folders = [path.parent] if within is None else [within, path.parent]
        self._file: FileIO | None = None
        self._end = 0
        self._waiting: list[bytes] = []
        self._unbound: str | None = None

    @classmethod
    def of(cls, token: str) -> Journal:
        """Return the journal of the sweep whose parent run has this token as its tag ``wine_sweep.journal``.

        Raises:
            ValueError: It is no token: what stands in a tracking store may be a path that somebody else has written there.
        """
        if not is_token(token):
            raise ValueError(f"{token[:60]!r} names no journal: that takes 32 hexadecimal digits")
        made = [cls(folder / _FOLDER / f"{token}.jsonl", folder) for folder in state_folders()]
        found = next((journal for journal in made if os.path.lexists(journal.path) and journal._is_ours()), None)
        if found is not None:
            return found
        try:
            folder = state_folder()
        except OSError:
            return made[0]  # nothing can be written there, and what ends waits in memory
        return cls(folder / _FOLDER / f"{token}.jsonl", folder)

    @property
    def trial_dirs(self) -> TrialDirs:
        """Where the files of its trials are, beside it, until they too are in MLflow."""
        return TrialDirs(self.path.with_suffix(".files"))

    def bind(self, run_id: str) -> None:
        """Write beside it which parent run it belongs to; where that cannot be written it is tried again with the next trial."""
        self._unbound = run_id
        try:
            if self._bound_to() is None:
                self._write_binding(run_id)
        except OSError as error:
            _logger.debug("the journal %s is not bound to its run yet: %s", self.path, error)
        else:
            self._unbound = None

    def may_belong_to(self, run_id: str) -> bool:
        """Return whether it may belong to a parent run: an older version, or a killed process, has not written to which."""
        try:
            return self._bound_to() in (None, run_id)
        except OSError as error:
            _logger.warning("which run the journal %s belongs to cannot be read: %s", self.path, error)
            return False

    def belongs_to(self, run_id: str) -> bool:
        """Return whether it is written down that it belongs to a parent run."""
        return self._binding.exists() and self.may_belong_to(run_id)

    def note_model(self, uri: str, written: Mapping[str, str] | None) -> None:
        """Write beside it what this user's process has saved as the winner's model: a resume knows it as its own then."""
        if written is None:
            return
        try:
            for folder in self._folders:
                own_folder(folder)
            self._model.unlink(missing_ok=True)
            with FileIO(self._model, "x", opener=open_own) as file:
                file.write(json.dumps({"uri": uri, "written": dict(written)}).encode())
        except OSError as error:
            _logger.debug("it cannot be written that %s is this process's own: %s", uri, error)

    def model_written(self, uri: str) -> dict[str, str] | None:
        """Return the digests of a model that `note_model` was told of; None for any other."""
        if not os.path.lexists(self._model) or not self._is_ours():
            return None
        try:
            with FileIO(self._model, opener=lambda path, _flags: open_own(path, os.O_RDONLY)) as file:
                found = json.loads(file.readall())
        except (OSError, ValueError) as error:
            _logger.debug("what stands in %s is left out: %s", self._model, error)
            return None
        is_its = isinstance(found, dict) and found.get("uri") == uri and isinstance(found.get("written"), dict)
        return {str(name): str(digest) for name, digest in found["written"].items()} if is_its else None

    @property
    def only_in_memory(self) -> int:
        """How many trials could not be written to the file yet."""
        return len(self._waiting)

    @property
    def held(self) -> int:
        """How many trials the file holds, as far as it can be read."""
        try:
            return len(self.trials())
        except TrackingError as error:
            _logger.warning("%s", error)
            return 0

    def add(self, trial: Trial) -> None:
        """Write a trial that has ended, and those that could not be written before."""
        if self._unbound is not None:
            self.bind(self._unbound)
        could_write = not self._waiting
        self._waiting.append(_line(trial))
        try:
            self._write(b"".join(self._waiting))
        except OSError as error:
            if could_write:
                _logger.warning("trials that end are kept in memory only, since %s cannot be written: %s", self.path, error)
            return
        if not could_write:
            _logger.warning("%s can be written again and holds every trial that has ended", self.path)
        self._waiting.clear()

    def trials(self) -> list[Trial]:
        """Read all trials that the file holds, by number; of a number that is there twice the later line counts.

        A last line that a killed process left unfinished is ignored, and so is a file in somebody else's folder.

        Raises:
            TrackingError: The file cannot be read, or another line is no trial.
        """
        if os.path.lexists(self.path) and not self._is_ours():
            return []
        try:
            with FileIO(self.path, opener=lambda path, _flags: open_own(path, os.O_RDONLY)) as file:
                *lines, _ = file.readall().split(b"\n")
        except FileNotFoundError:
            return []
        except OSError as error:
            raise TrackingError(f"the journal cannot be read: {error}") from error
        found = [_trial(line, f"{self.path}:{number}") for number, line in enumerate(lines, start=1)]
        return sorted({trial.number: trial for trial in found}.values(), key=lambda trial: trial.number)

    def close(self) -> None:
        """Close the file and leave it where it is."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def discard(self, *, keep_model: bool = False) -> None:
        """Delete the file: everything in it stands in MLflow.

        Args:
            keep_model: Whether what `note_model` has written stays, for a sweep that may be resumed.
        """
        self.close()
        self._waiting.clear()
        if not all(map(is_own_folder, self._folders)):
            return  # nothing of this sweep's is there
        try:
            if is_own_folder(self.trial_dirs.root):
                shutil.rmtree(self.trial_dirs.root, ignore_errors=True)
            self.path.unlink(missing_ok=True)
            if not keep_model:
                self._model.unlink(missing_ok=True)
            self._binding.unlink(missing_ok=True)  # last: a journal that is half deleted is still bound
        except OSError as error:
            _logger.warning("the journal %s is not needed any more and could not be deleted: %s", self.path, error)

    @property
    def _binding(self) -> Path:
        return self.path.with_suffix(".run")

    @property
    def _model(self) -> Path:
        return self.path.with_suffix(".model")

    def _bound_to(self) -> str | None:
        """Read which run it belongs to; None where nobody has written that."""
        try:
            with FileIO(self._binding, opener=lambda path, _flags: open_own(path, os.O_RDONLY)) as file:
                return file.read(_LONGEST_ID).decode(errors="replace")
        except FileNotFoundError:
            return None

    def _write_binding(self, run_id: str) -> None:
        for folder in self._folders:
            own_folder(folder)
        written = self.path.with_suffix(f".run-{uuid.uuid4().hex}")
        try:
            with FileIO(written, "x", opener=open_own) as file:
                file.write(run_id.encode())
            written.replace(self._binding)  # whole or not at all
        finally:
            written.unlink(missing_ok=True)

    def _is_ours(self) -> bool:
        """Return whether its folders are this user's own; where they are not, that is logged, since it is left out."""
        try:
            for folder in self._folders:
                own_folder(folder)
        except OSError as error:
            _logger.warning("the journal %s is left out: %s", self.path, error)
            return False
        return True

    def _write(self, data: bytes) -> None:
        """Write at the end of the last whole line; what a full disk took only a part of is written over the next time."""
        file = self._open()
        file.seek(self._end)
        done = 0
        while done < len(data):
            done += file.write(data[done:])
        self._end += done

    def _open(self) -> FileIO:
        """Open the file, without the line that a killed process left unfinished at its end."""
        if self._file is None:
            for folder in self._folders:
                own_folder(folder)
            opened = FileIO(self.path, "r+", opener=lambda path, flags: open_own(path, flags | os.O_CREAT))
            self._end = opened.readall().rfind(b"\n") + 1
            opened.truncate(self._end)
            self._file = opened
        return self._file


def _line(trial: Trial) -> bytes:
    """Write a trial, without the environment of its process: that holds credentials."""
    kept = dataclasses.replace(masked(trial), environment={})
    return json.dumps(_plain(kept), separators=(",", ":")).encode() + b"\n"


def _plain(value: Any) -> Any:
    """Turn into what JSON has; a mapping with keys that are no text becomes a list of its items."""
    if dataclasses.is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        if all(isinstance(key, str) and key != _ITEMS for key in value):
            return {key: _plain(item) for key, item in value.items()}
        return {_ITEMS: [[key, _plain(item)] for key, item in value.items()]}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _trial(line: bytes, place: str) -> Trial:
    """Read what `_line` wrote; see `_plain` for mappings."""
    try:
        return _adapter().validate_python(json.loads(line, object_hook=lambda found: dict(found.get(_ITEMS, found))))
    except (ValueError, TypeError) as error:
        raise TrackingError(f"{place}: the journal holds something that is no trial: {first_line(error)}") from error


@functools.cache
def _adapter() -> TypeAdapter[Trial]:
    return TypeAdapter(Trial)
