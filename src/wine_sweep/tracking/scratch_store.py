"""A tracking store that nobody keeps: for a program that logs to MLflow and is to leave no trace."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlflow import MlflowClient

from wine_sweep.tracking.shared_runs import SharedRuns
from wine_sweep.tracking.store import translated_errors


class ScratchRuns(SharedRuns):
    """The runs of a store that nobody keeps."""

    def program_variables(self, number: int) -> dict[str, str]:
        """Give the variables by which MLflow, in a trial's process, takes up the trial's run; models are registered here too."""
        variables = super().program_variables(number)
        return {**variables, "MLFLOW_REGISTRY_URI": variables["MLFLOW_TRACKING_URI"]}


@contextmanager
def scratch_runs(experiment: str, name: str) -> Iterator[ScratchRuns]:
    """Make a SQLite store in a temporary folder, with a parent run in it; all of it goes when the context is left.

    Args:
        experiment: The experiment's name, which a program may name itself.
        name: The parent run's name.

    Raises:
        TrackingError: It cannot be made.
    """
    with tempfile.TemporaryDirectory(prefix="wine-sweep-", ignore_cleanup_errors=True) as folder:
        with translated_errors("make a store for the trial"):
            client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
            experiment_id = client.create_experiment(experiment, artifact_location=(Path(folder) / "artifacts").as_uri())
            parent = client.create_run(experiment_id, run_name=name)
        yield ScratchRuns(client, experiment_id, parent.info.run_id)
