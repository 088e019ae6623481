"""A command's words and variables for one trial: placeholders filled, nothing run."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wine_sweep.config.words import ENVIRONMENT, WHOLE_WORDS, parts
from wine_sweep.import_path import users_own
from wine_sweep.trial import Params, Trial, canonical_json

METRICS_FILE = "metrics.json"
PARAMS_FILE = "params.json"
METRICS_VARIABLE = "WINE_SWEEP_METRICS"
_NO_NAME = re.compile(r"[^A-Z0-9_]")
RETRIES_VARIABLE = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
_UNWANTED = ("MLFLOW_EXPERIMENT_NAME", RETRIES_VARIABLE)
"""Variables that would have MLflow look for another experiment than that of the run that is handed over, or have it try
once alone, which is what wine_sweep sets for itself."""


@dataclass(frozen=True)
class Command:
    """A program of the user's own, with placeholders for parameters.

    Args:
        words: The program and its arguments.
        folder: Where it runs.
        params: Parameters that stay fixed.
        seed: What ``{seed}`` stands for.
        variables: Environment variables that replace those of the worker.
    """

    words: tuple[str, ...]
    folder: Path
    params: Mapping[str, Any]
    seed: int
    variables: Mapping[str, str] = field(default_factory=dict)

    def parameters(self, trial: Trial) -> Params:
        """Give the fixed and the searched parameters."""
        return {**self.params, **trial.params}

    def render(self, trial: Trial, scratch: Path) -> list[str]:
        """Fill the placeholders.

        Args:
            trial: Has the searched parameters.
            scratch: The folder of `PARAMS_FILE`.

        Raises:
            KeyError: A parameter has no value in this trial, or an environment variable is not set.
        """
        return [filled for word in self.words for filled in self._fill(word, trial, scratch)]

    def environment(self, trial: Trial, scratch: Path) -> dict[str, str]:
        """Give all variables of the trial's process.

        Args:
            trial: Has the searched parameters, and the run that is handed over.
            scratch: The folder of `METRICS_FILE`.
        """
        params = self.parameters(trial)
        inherited = {name: value for name, value in users_own(os.environ).items() if name not in _UNWANTED}
        return {
            **inherited,
            "PATH": path_with_this_python(inherited.get("PATH", os.defpath)),
            "PYTHONUNBUFFERED": "1",
            **self.variables,
            **{f"WINE_SWEEP_PARAM_{_NO_NAME.sub('_', name.upper())}": spell(value) for name, value in params.items()},
            "WINE_SWEEP_PARAMS": canonical_json(dict(params)),
            "WINE_SWEEP_TRIAL": str(trial.number),
            "WINE_SWEEP_SEED": str(self.seed),
            METRICS_VARIABLE: str(scratch / METRICS_FILE),
            **trial.environment,
        }

    def _fill(self, word: str, trial: Trial, scratch: Path) -> Iterator[str]:
        params = self.parameters(trial)
        name = word.strip("{}")
        if name in WHOLE_WORDS and word == f"{{{name}}}":
            yield from _listed(name, params)
            return
        filled = []
        for text, placeholder in parts(word):
            filled += [text, "" if placeholder is None else self._value(placeholder, params, trial, scratch)]
        yield "".join(filled)

    def _value(self, name: str, params: Params, trial: Trial, scratch: Path) -> str:
        if name in params:
            return spell(params[name])
        if name.startswith(ENVIRONMENT):
            return os.environ[name.removeprefix(ENVIRONMENT)]
        if name == "params_file":
            path = scratch / PARAMS_FILE
            path.write_text(json.dumps(dict(params)), encoding="utf-8")
            return str(path)
        known = {"params_json": canonical_json(dict(params)), "trial": str(trial.number), "seed": str(self.seed)}
        return {**known, "python": sys.executable}[name]


def spell(value: Any) -> str:
    """Spell a parameter's value as a word: text as it is, all else as JSON does."""
    return value if isinstance(value, str) else canonical_json(value)


def _listed(how: str, params: Params) -> Iterator[str]:
    """Yield a word for each parameter."""
    for name, value in params.items():
        if how == "args_no_boolean_flags" and isinstance(value, bool):
            if value:
                yield f"--{name}"
        else:
            yield f"{'' if how == 'args_no_hyphens' else '--'}{name}={spell(value)}"


def path_with_this_python(path: str) -> str:
    """Look for programs beside this interpreter first, as an activated virtual environment does."""
    beside = os.path.dirname(sys.executable)
    return path if sys.prefix == sys.base_prefix else f"{beside}{os.pathsep}{path}"
