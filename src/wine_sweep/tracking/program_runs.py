"""Child runs that a trial's own process logs to, or a scratch store that nobody keeps."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from mlflow import MlflowClient

from wine_sweep.tracking import names
from wine_sweep.tracking.encoding import log_in_batches, metrics_of, tags_of
from wine_sweep.tracking.runs import SweepRuns
from wine_sweep.tracking.store import quoted, search_all, translated_errors
from wine_sweep.trial import FIT_SECONDS, Trial, TrialState

_SQLITE = "sqlite:///"
_OF_THE_SYSTEM = "system/"
"""What MLflow's own metrics of processor and memory begin with."""


@dataclass(frozen=True)
class Logged:
    """What a process has logged in its run: the latest value of each metric, and the parameters."""

    metrics: Mapping[str, float]
    params: Mapping[str, str]


class SharedRuns(SweepRuns):
    """The runs of a sweep whose trials' processes may write into their child runs.

    A child run is then what a run of the program by hand would have logged, and beside it tags of ours, those parameters
    that the program has not logged itself, and what it said in other ways.
    """

    def program_variables(self, number: int) -> dict[str, str]:
        """Return the variables by which MLflow, in a trial's process, takes up the trial's run.

        A user and a password are handed over beside the URI: MLflow prints that one.
        """
        uri, login = _without_login(_from_anywhere(str(self.client.tracking_uri)))
        return {
            "MLFLOW_TRACKING_URI": uri,
            **login,
            "MLFLOW_EXPERIMENT_ID": self.experiment_id,
            "MLFLOW_RUN_ID": self.trial_run_ids[number],
        }

    def begin_again(self, trial: Trial, *, at: float) -> None:
        """Close the run of a trial that is measured again, and make another: what is logged cannot be taken back.

        Args:
            trial: The trial.
            at: When, in seconds since the epoch.
        """
        self.close_left_open(self.trial_run_ids[trial.number], TrialState.KILLED, at=at)
        self.start_trial(trial, at)

    def close_left_open(self, run_id: str, state: TrialState, *, at: float) -> None:
        """End a child run, and before it the runs that its trial's process began below it and cannot end any more."""
        self._close_below(run_id, at=at)
        super().close_left_open(run_id, state, at=at)

    def finish_trial(self, trial: Trial, files: Path | None = None) -> None:
        """Write what a trial came to and end its run; below the run of one that did not finish nothing is left open."""
        if trial.state is not TrialState.FINISHED:
            self._close_below(self.trial_run_ids[trial.number], at=trial.ended)
        super().finish_trial(trial, files)

    def _close_below(self, run_id: str, *, at: float) -> None:
        """End the runs nested within a run that are still RUNNING, as killed."""
        waiting, closed = [run_id], set[str]()
        while waiting:
            parent = waiting.pop()
            query = f"tags.`{names.PARENT_RUN_ID}` = {quoted(parent)} AND attributes.status = 'RUNNING'"
            for run in search_all(self.client, [self.experiment_id], query):
                nested = run.info.run_id
                if nested not in closed:
                    closed.add(nested)
                    waiting.append(nested)
                    with translated_errors(f"end the run {nested}"):
                        self.client.set_terminated(nested, "KILLED", end_time=round(at * 1000))

    def logged(self, number: int) -> Logged:
        """Read what a trial's process has logged."""
        run_id = self.trial_run_ids[number]
        with translated_errors(f"read the run {run_id}"):
            data = self.client.get_run(run_id).data
        metrics = {name: value for name, value in data.metrics.items() if not name.startswith(_OF_THE_SYSTEM)}
        return Logged(metrics, dict(data.params))

    def history(self, number: int, metric: str) -> list[tuple[int, float]]:
        """Read a metric's history in a trial's run: (step, value), in the order of steps."""
        run_id = self.trial_run_ids[number]
        with translated_errors(f"read {metric} of the run {run_id}"):
            found = self.client.get_metric_history(run_id, metric)
        return [(each.step, each.value) for each in sorted(found, key=lambda each: (each.step, each.timestamp))]

    def _log_result(self, run_id: str, trial: Trial, at: int) -> None:
        """Add what the trial's process has not logged itself."""
        there = self.logged(trial.number)
        params = {name: value for name, value in trial.params.items() if name not in there.params}
        known = {*there.metrics, *map(names.report_metric, there.metrics), *([FIT_SECONDS] if there.metrics else [])}
        metrics = [metric for metric in metrics_of(trial, at) if metric.key not in known]
        log_in_batches(self.client, run_id, params=params, metrics=metrics, tags=tags_of(trial))


def _without_login(uri: str) -> tuple[str, dict[str, str]]:
    """Take user and password out of a server's URI, and give them as the variables that MLflow reads."""
    parts = urlsplit(uri)
    if not parts.scheme.startswith("http") or parts.username is None:
        return uri, {}
    names_and_values = {"MLFLOW_TRACKING_USERNAME": parts.username, "MLFLOW_TRACKING_PASSWORD": parts.password or ""}
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2])
    return urlunsplit(bare), {name: unquote(value) for name, value in names_and_values.items()}


def _from_anywhere(uri: str) -> str:
    """Return a store's URI that means the same in another working folder."""
    path = uri.removeprefix(_SQLITE)
    if path == uri or os.path.isabs(path):
        return uri
    return f"{_SQLITE}{os.path.abspath(path)}"


class ScratchRuns(SharedRuns):
    """The runs of a store that nobody keeps."""

    def program_variables(self, number: int) -> dict[str, str]:
        """Return the variables by which MLflow takes up the trial's run in its process; models are registered here too."""
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
