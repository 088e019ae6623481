"""Tells runs and experiments that somebody has deleted from those that never were, and says how to get them back."""

from __future__ import annotations

from mlflow import MlflowClient
from mlflow.entities import LifecycleStage, Run
from mlflow.exceptions import MlflowException

from wine_sweep.errors import DeletedError
from wine_sweep.tracking.causes import is_missing
from wine_sweep.tracking.store import translated_errors
from wine_sweep.wording import mask, shell_word


def is_gone(client: MlflowClient, run_id: str) -> bool:
    """Whether a run was deleted, be it for good.

    Raises:
        TrackingError: The store failed.
    """
    with translated_errors(f"read the run {run_id}"):
        try:
            return bool(client.get_run(run_id).info.lifecycle_stage != LifecycleStage.ACTIVE)
        except MlflowException as error:
            if not is_missing(error):
                raise
            return True


def why_gone(client: MlflowClient, run: Run, what: str) -> DeletedError | None:
    """Give the error that says that a run, or the experiment that it is in, was deleted; None where neither was.

    Args:
        client: The open store.
        run: The run.
        what: What it is: ``the sweep 'wine'``.

    Raises:
        TrackingError: The store failed.
    """
    with translated_errors(f"read the experiment of {what}"):
        experiment = client.get_experiment(run.info.experiment_id)
    if experiment.lifecycle_stage != LifecycleStage.ACTIVE:
        return experiment_deleted(client, experiment.name, experiment.experiment_id, whose=f" of {what}")
    if run.info.lifecycle_stage == LifecycleStage.ACTIVE:
        return None
    command = _command(client, f"runs restore --run-id {shell_word(run.info.run_id)}")
    return DeletedError(f"{what} was deleted in MLflow; `{command}` brings it back")


def experiment_deleted(client: MlflowClient, name: str, identifier: str, *, whose: str = "") -> DeletedError:
    """Give the error that says that an experiment was deleted."""
    command = _command(client, f"experiments restore --experiment-id {shell_word(identifier)}")
    return DeletedError(f"the experiment '{name}'{whose} was deleted in MLflow; `{command}` brings it back with all of its runs")


def _command(client: MlflowClient, arguments: str) -> str:
    """Write a command of MLflow's on this store; a password in its URI is left out."""
    return f"MLFLOW_TRACKING_URI={shell_word(mask(str(client.tracking_uri)))} mlflow {arguments}"
