"""What stands on a parent run from the beginning: parameters, tags, files, and where the code came from."""

from __future__ import annotations

import importlib.metadata
import json
import os
import pathlib
import platform
import subprocess
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from wine_sweep.config import dump_config
from wine_sweep.config.validation import check_experiment
from wine_sweep.evaluation.estimators import TRUSTED_PACKAGES
from wine_sweep.search.methods import count_trials
from wine_sweep.selection import Selection
from wine_sweep.targets.base import SweepPlan
from wine_sweep.targets.trust import code_among
from wine_sweep.tracking import names
from wine_sweep.tracking.local_state import user_name

if TYPE_CHECKING:  # it imports MLflow, which takes seconds
    from wine_sweep.tracking.encoding import SweepData, SweepHeader
    from wine_sweep.tracking.runs import SweepRuns

PACKAGES = ("wine-sweep", "mlflow", "scikit-learn", "optuna", "numpy", "pandas", "scipy", "skops", *TRUSTED_PACKAGES[1:])
GIT_SECONDS = 5
_OPTION = "--experiment"
_VARIABLE = "MLFLOW_EXPERIMENT_NAME"


def experiment_name(prepared: SweepPlan, given: str | None) -> str:
    """Return which experiment a sweep goes to: the command line's, the config's, MLFLOW_EXPERIMENT_NAME, or its own name.

    Raises:
        ConfigError: It is longer than MLflow takes.
    """
    if given:
        return check_experiment(given, _OPTION)
    return prepared.config.experiment or check_experiment(os.environ.get(_VARIABLE, ""), _VARIABLE) or prepared.name


def sweep_header(prepared: SweepPlan, *, experiment: str, started: float, tags: Mapping[str, str]) -> SweepHeader:
    """Return all that stands on a parent run from the beginning.

    Args:
        prepared: The checked config and its data.
        experiment: The experiment's name.
        started: When the sweep began, in seconds since the epoch.
        tags: The parent run's tags.
    """
    from wine_sweep.tracking.encoding import SweepHeader

    return SweepHeader(
        name=prepared.name,
        experiment=experiment,
        started=started,
        params=sweep_params(prepared),
        tags=tags,
        files=sweep_files(prepared),
        data=_sweep_data(prepared),
        test_data=_test_data(prepared),
    )


def _sweep_data(prepared: SweepPlan) -> SweepData | None:
    from wine_sweep.tracking.encoding import SweepData

    dataset = prepared.material.dataset if prepared.material is not None else None
    return None if dataset is None else SweepData(dataset.own_table, dataset.source, dataset.name, dataset.digest)


def _test_data(prepared: SweepPlan) -> SweepData | None:
    """Return the table of test rows, where that is one of its own."""
    from wine_sweep.data.dataset import short_name, table_digest
    from wine_sweep.tracking.encoding import SweepData

    dataset = prepared.material.dataset if prepared.material is not None else None
    if dataset is None or dataset.test_table is None or dataset.is_test is None:
        return None
    table, source = dataset.table.loc[dataset.is_test], dataset.test_table.source
    return SweepData(table, source, short_name(source), table_digest(table))


def runs_of(prepared: SweepPlan) -> type[SweepRuns]:
    """Describe how the runs of a sweep are written: by this process alone, or by its trials' processes too."""
    from wine_sweep.tracking.program_runs import SharedRuns
    from wine_sweep.tracking.runs import SweepRuns

    return SharedRuns if prepared.hands_over_runs else SweepRuns


def sweep_params(prepared: SweepPlan) -> dict[str, str]:
    """Return the parent run's parameters."""
    config = prepared.config
    params = {
        "method": str(config.search.method),
        "trials": planned_trials(prepared),
        "seed": str(config.search.seed),
        prepared.kind: prepared.subject,
        "objective": prepared.objective.describe(),
    }
    if prepared.objective.evaluation:
        params["evaluation"] = prepared.objective.evaluation
    return params | (prepared.material.variables if prepared.material is not None else {})


def planned_trials(prepared: SweepPlan) -> str:
    """Describe how many trials a sweep is to have, or that only the time ends it."""
    count = count_trials(prepared.config.search, prepared.space)
    return str(count) if count is not None else "until the timeout"


def sweep_tags(prepared: SweepPlan, *, command: str) -> dict[str, str]:
    """Return the parent run's tags."""
    tags = {
        names.KIND: names.Kind.SWEEP.value,
        names.VERSION: importlib.metadata.version("wine-sweep"),
        names.OBJECTIVE: prepared.objective.metric,
        names.DIRECTION: prepared.objective.direction.value,
        names.SPACE: prepared.space.fingerprint(),
        names.DATA: prepared.digest,
        names.SUBJECT: prepared.kind,
        names.SOURCE_NAME: command,
        names.SOURCE_TYPE: "LOCAL",
        names.USER: user_name(),
    }
    if not prepared.objective.is_plain:
        tags[names.OBJECTIVES] = json.dumps(prepared.objective.record())
    if prepared.program is not None:
        tags[names.PROGRAM] = prepared.program
    if prepared.sampler_digest is not None:
        tags[names.SAMPLER] = prepared.sampler_digest
    if prepared.method_reason:
        tags[names.METHOD_REASON] = prepared.method_reason
    commit = git_commit(prepared.draft.folder)
    return tags | ({names.GIT_COMMIT: commit} if commit else {})


def sweep_files(prepared: SweepPlan) -> dict[str, str]:
    """Return the parent run's first artifacts: the config as written and as resolved, and the environment."""
    return {
        names.CONFIG_FILE: prepared.draft.text,
        names.RESOLVED_FILE: dump_config(prepared.config),
        names.ENVIRONMENT_FILE: json.dumps(environment(prepared.trusted), indent=2) + "\n",
    }


def environment(trusted: Sequence[str] = ()) -> Mapping[str, object]:
    """Describe what the sweep ran on: Python, platform, versions of packages, and whom the user trusted."""
    versions = {}
    for package in (*PACKAGES, *code_among(trusted)):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "packages": versions,
        "trusted": list(trusted),
    }


def git_commit(folder: pathlib.Path) -> str | None:
    """Return the commit that is checked out around a folder; None outside of git, or without git."""
    try:
        found = subprocess.run(  # noqa: S603  # a fixed command and a folder, without a shell
            ["git", "-C", str(folder), "rev-parse", "HEAD"],  # noqa: S607  # the git that the user has on the path
            capture_output=True,
            text=True,
            timeout=GIT_SECONDS,
            check=True,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip() or None


def winner_tags(selection: Selection) -> dict[str, str]:
    """Return the tags that name the winner on the parent run."""
    return {names.BEST_TRIAL: str(selection.trial.number), names.WINNER: selection.trial.run_id or ""}
