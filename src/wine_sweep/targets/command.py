"""Sweeps of a command: check its config, and run each trial as a process that its child run is handed over to."""

from __future__ import annotations

import hashlib
import os
import pathlib
import re
import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from wine_sweep.config import ExecutionConfig, ModelConfig
from wine_sweep.config.model import ENVIRONMENT, PLACEHOLDERS, WHOLE_WORDS, placeholders
from wine_sweep.errors import Problem
from wine_sweep.evaluation.command import RETRIES_VARIABLE, Command, CommandTask, path_with_this_python
from wine_sweep.execution import count_workers
from wine_sweep.messages import one_of
from wine_sweep.search.space import Space
from wine_sweep.targets.base import Findings, FitCount, present
from wine_sweep.targets.objectives import OwnCodeSweep, settle_own_code
from wine_sweep.targets.trust import how_to_trust
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
        """Return whether a trial's process may write into its child run: yes."""
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


THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_PYTHON = re.compile(r"python[\d.]*|\{python\}")
"""A Python of the PATH or of this process; one that is named by a path may be any program."""


def plan_command(found: Findings) -> CommandSweep:
    """Plan a sweep of a command.

    Args:
        found: What is wrong; its draft's `model` is a command.

    Raises:
        ConfigError: With every problem found.
    """
    config, draft = found.draft.known, found.draft
    model = found.part(lambda: present(config.model))
    folder = found.part(lambda: _folder(model(), draft.folder))
    found.look(lambda: _check_trust(model(), folder(), found))
    found.look(lambda: _check_program(model(), folder()) if config.execution.address is None else ())
    found.look(lambda: _check_placeholders(model(), Space.of(config.search)))
    goals, settled = settle_own_code(found, "command", over=lambda: "", values=lambda: 1)
    found.finish()
    plan = settled()
    variables = {**_threads(config.execution), **_retries()}
    command = Command(tuple(present(model().command)), folder(), model().params, config.search.seed, variables)
    changed = {"model": model().model_copy(update={"folder": str(folder())}), "search": plan.search}
    made = config.model_copy(update=changed), draft, plan.space, plan.reason, plan.objective, found.trust.given
    return CommandSweep(*made, None, goals().of, command)


def _folder(model: ModelConfig, here: pathlib.Path) -> pathlib.Path:
    return (here / pathlib.Path(model.folder or ".").expanduser()).resolve()


def _check_trust(model: ModelConfig, folder: pathlib.Path, found: Findings) -> Iterator[Problem]:
    """A command can do anything: where it runs and where it is written has to be trusted, or the one file that is run.

    That file runs in its own folder then, or in the working folder: what it reads by a relative path is not a stranger's.
    """
    covers, draft = found.trust.covers, found.draft
    if covers(folder) and (covers(draft.folder) or not draft.is_file):
        return
    script = _script(model, folder)
    if script is not None and is_file(script) and covers(script):
        if covers(folder) or folder in (script.resolve().parent, pathlib.Path.cwd()):
            return
        message = f"a trusted file runs in another folder than its own; {how_to_trust(folder)}"
        yield Problem(message, ("model", "folder"), code="untrusted")
        return
    elsewhere = draft.folder if covers(folder) else folder
    what = script if script is not None and is_file(script) else elsewhere
    yield Problem(f"runs code of your own; {how_to_trust(what)}", ("model", "command"), code="untrusted")


def _check_program(model: ModelConfig, folder: pathlib.Path) -> Iterator[Problem]:
    """Look for the folder, the program, and the script of a Python."""
    if not folder.is_dir():
        yield Problem(f"there is no folder {folder}", ("model", "folder"), code="missing-file")
        return
    program = (model.command or [""])[0]
    search = path_with_this_python(os.environ.get("PATH", os.defpath))
    if "{" not in program:
        found = is_file(folder / program) if os.sep in program else shutil.which(program, path=search)
        if not found:
            where = f"in {folder}" if os.sep in program else "on the PATH"
            yield Problem(f"there is no program '{program}' {where}", ("model", "command", 0), code="missing-file")
    script = _script(model, folder)
    if script is not None and os.sep not in program and not is_file(script):
        yield Problem(f"there is no file {script}", ("model", "command", 1), code="missing-file")


def is_file(path: pathlib.Path) -> bool:
    """Return whether there is such a file; a word that cannot be a path, or is too long for one, names none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _check_placeholders(model: ModelConfig, space: Space) -> Iterator[Problem]:
    known = [*dict.fromkeys([*model.params, *space.names]), *PLACEHOLDERS, *WHOLE_WORDS]
    sometimes = {each.name for each in space.dimensions if each.when}
    for index, word in enumerate(model.command or ()):
        for name in placeholders(word):
            path = ("model", "command", index)
            if name.startswith(ENVIRONMENT):
                if name.removeprefix(ENVIRONMENT) not in os.environ:
                    yield Problem(f"the environment variable {name.removeprefix(ENVIRONMENT)} is not set", path)
            elif name not in known:
                message = f"{{{name}}} is no parameter; {one_of(name, known)}; a literal brace is doubled"
                yield Problem(message, path, code="unknown-name")
            elif name in sometimes:
                yield Problem(f"{{{name}}} is searched only sometimes; {{args}} lists what a trial has", path)


def _script(model: ModelConfig, folder: pathlib.Path) -> pathlib.Path | None:
    """Return the file that a command runs and that a user may trust alone: a Python's second word, or a path as the first.

    None where the words leave it open what is run: an option of Python's, a placeholder, a path that goes up.
    """
    words = model.command or []
    by_python = len(words) > 1 and (_PYTHON.fullmatch(words[0]) or words[0] == sys.executable)
    word = words[1] if by_python else words[0]
    is_plain = not word.startswith("-") and "{" not in word and ".." not in pathlib.PurePath(word).parts
    if not is_plain or not (word.endswith(".py") if by_python else os.sep in word):
        return None
    return folder / word


def _threads(execution: ExecutionConfig) -> dict[str, str]:
    """Divide the cores among the processes, unless the user has said how many threads there are to be."""
    share = max(1, (os.cpu_count() or 1) // (count_workers(execution) or os.cpu_count() or 1))
    return {name: os.environ.get(name, str(share)) for name in THREADS}


def _retries() -> dict[str, str]:
    """Return MLflow's retries as the user has set them, if they are set; 0 is what wine_sweep sets, for itself alone."""
    given = os.environ.get(RETRIES_VARIABLE, "0")
    return {RETRIES_VARIABLE: given} if given != "0" else {}
