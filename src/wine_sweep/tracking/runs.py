"""The runs of one sweep: the only place that writes them."""

from __future__ import annotations

import json
import logging
import math
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import LoggedModelStatus, Metric, Run
from mlflow.exceptions import MlflowException

from wine_sweep.errors import DeletedError, OwnershipError, TrackingError
from wine_sweep.evaluation.capture import STDERR_FILE, STDOUT_FILE
from wine_sweep.tracking import artifacts, names
from wine_sweep.tracking.causes import came_second, is_missing
from wine_sweep.tracking.encoding import TESTING, TRAINING, SweepHeader, log_data, log_in_batches, metrics_of, tags_of
from wine_sweep.tracking.journal import mask_output
from wine_sweep.tracking.local_state import Owner, TakenOver, number_of
from wine_sweep.tracking.lock import SweepLease
from wine_sweep.tracking.reader import SweepRecord
from wine_sweep.tracking.retry import RetryPolicy
from wine_sweep.tracking.store import experiment_deleted, is_gone, quoted, search_all, translated_errors, why_gone
from wine_sweep.trial import Trial, TrialState

_logger = logging.getLogger(__name__)

_STATUS = {
    TrialState.FINISHED: "FINISHED",
    TrialState.FAILED: "FAILED",
    TrialState.KILLED: "KILLED",
    TrialState.PRUNED: "KILLED",
    TrialState.RUNNING: "RUNNING",
}


class SweepRuns:
    """One parent run and its child runs. A trial costs three calls: create, one batch, end.

    Everything here may be done again after an outage, when nobody knows whether it was done: no run is made twice.

    Args:
        client: The open store.
        experiment_id: Where the parent run is.
        run_id: The parent run.
        origin: The tags that child runs share with it.
        claim: This process's hold on the sweep, let go when it ends; None for somebody who adds to a sweep that has ended.

    Attributes:
        run_id: The parent run.
        experiment_id: Where it is.
        trial_run_ids: The child runs that were made here, by trial number.
        origin: The tags that child runs share with the parent run.
    """

    def __init__(
        self,
        client: MlflowClient,
        experiment_id: str,
        run_id: str,
        origin: Mapping[str, str] | None = None,
        claim: SweepLease | None = None,
    ) -> None:
        self.client = client
        self.experiment_id = experiment_id
        self.run_id = run_id
        self.trial_run_ids: dict[int, str] = {}
        self._open: set[int] = set()
        self._maybe_created: set[int] = set()
        self._unconfirmed: set[int] = set()
        self._undescribed: SweepHeader | None = None
        self.origin = dict(origin or {})
        self._claim = claim

    @classmethod
    def begin(cls, client: MlflowClient, header: SweepHeader, *, policy: RetryPolicy | None = None) -> SweepRuns:
        """Make the parent run with its name and tags; `describe` writes the rest.

        Until it has, the config is among the tags: from its first moment on, a sweep can be resumed from MLflow alone.

        Where an outage leaves open whether it was made, it is looked for by its tag ``wine_sweep.journal``.

        Args:
            client: The open store.
            header: What stands on the parent run.
            policy: How long an outage is waited for; by default not at all.

        Raises:
            TrackingError: The store refused, or failed.
        """
        claim = SweepLease(client, Owner.here().numbered(1))
        tags = {**header.tags, names.OWNER: claim.owner.text(), names.OWNERSHIP: claim.owner.token}
        config = header.files.get(names.RESOLVED_FILE, "")
        if 0 < len(config) <= names.MAX_TAG:
            tags[names.CONFIG] = config
        unsure = False

        def make() -> Run:
            nonlocal unsure
            with translated_errors(f"begin the sweep in experiment '{header.experiment}'"):
                experiment_id = experiment_of(client, header.experiment)
                found = _by_journal(client, experiment_id, header) if unsure else None
                unsure = True
                start = _milliseconds(header.started)
                return found or client.create_run(experiment_id, start_time=start, tags=tags, run_name=header.name)

        info = (policy or RetryPolicy(0)).run(make).info
        claim.hold(info.run_id)
        runs = cls(client, info.experiment_id, info.run_id, _origin(header.tags), claim)
        runs._undescribed = header
        return runs

    @classmethod
    def take_over(cls, client: MlflowClient, sweep: SweepRecord, header: SweepHeader | None = None) -> SweepRuns:
        """Take a sweep that stopped into this process's hands, RUNNING again.

        Args:
            client: The open store.
            sweep: The sweep.
            header: What `describe` has to write still, of a sweep that stopped before it was described.

        Raises:
            OwnershipError: Another process has it.
            TrackingError: The store failed.
        """
        claim = SweepLease(client, Owner.here())
        claim.take(sweep.run_id)
        runs = cls(client, sweep.experiment_id, sweep.run_id, _origin(sweep.tags), claim)
        runs._undescribed = header
        try:
            with translated_errors(f"reopen the sweep '{sweep.name}'"):
                client.update_run(sweep.run_id, status="RUNNING")
        except TrackingError:
            runs.release()
            raise
        return runs

    def adopt(self, trials: Iterable[Trial]) -> None:
        """Take note of the child runs that trials have already, be they open or ended."""
        for trial in trials:
            if trial.run_id is not None:
                self.trial_run_ids[trial.number] = trial.run_id

    def close_left_open(self, run_id: str, state: TrialState, *, at: float) -> None:
        """End a child run that nobody writes to any more, as what became of its trial, at a time in seconds since the epoch.

        That it was closed is marked: should its owner only have stood still, what it writes later does not count.
        """
        mark = {names.CLOSED_BY: self._token, names.CLOSED_AS: state} if self._token else {}
        try:
            with translated_errors(f"end the run {run_id}"):
                log_in_batches(self.client, run_id, tags={names.STATE: state, **mark})
                self.client.set_terminated(run_id, _STATUS[state], end_time=_milliseconds(at))
        except TrackingError as error:
            if error.is_outage or not is_gone(self.client, run_id):
                raise
            _logger.debug("the run %s was deleted before it was ended", run_id)

    @property
    def _token(self) -> str:
        """The token of this process's ownership; empty for somebody who adds to a sweep that has ended."""
        return self._claim.owner.token if self._claim is not None else ""

    def note_results(self, numbers: Iterable[int]) -> None:
        """Write down which trials had a result when this process took the sweep over: of its forerunners only these count."""
        self.set_tags(self.run_id, {names.TAKEN_OVER: TakenOver.from_results(self._token, numbers).text()})

    def beat(self) -> None:
        """Report that this process is alive.

        Raises:
            OwnershipError: Another has taken the sweep over.
            TrackingError: The store failed.
        """
        if self._claim is not None:
            written = set(self._unconfirmed)
            self._claim.beat()
            self._unconfirmed -= written  # when these were written, the sweep was still this process's

    def ensure_owner(self) -> None:
        """See that the sweep is still in this process's hands, before something is written.

        That costs no call while the heartbeats succeed; after an outage, or where this process stood still, it may not be.

        Raises:
            OwnershipError: Another has taken the sweep over.
            TrackingError: The store failed.
        """
        if self._claim is not None:
            self._claim.ensure()

    def check_owner(self) -> None:
        """Look whether the sweep is still in this process's hands: after an outage it may not be.

        Raises:
            OwnershipError: Another has taken the sweep over.
            TrackingError: The store failed.
        """
        if self._claim is not None:
            self._claim.check()

    def describe(self) -> None:
        """Write what stands on a new parent run beside its name and tags; nothing where that is done."""
        header = self._undescribed
        if header is None:
            return
        with translated_errors("describe the sweep"):
            log_in_batches(self.client, self.run_id, params=header.params)
            if header.data is not None:
                log_data(self.client, self.run_id, header.data, TRAINING)
            if header.test_data is not None:
                log_data(self.client, self.run_id, header.test_data, TESTING)
        for name, text in header.files.items():
            self.write_file(name, text)
        with translated_errors("describe the sweep"):
            if names.CONFIG in self.client.get_run(self.run_id).data.tags:
                self._delete_tag(names.CONFIG)
        self._undescribed = None

    def _delete_tag(self, name: str) -> None:
        """Delete a tag of the parent run, be it that another process, which has taken the sweep over, has just done it."""
        try:
            self.client.delete_tag(self.run_id, name)
        except MlflowException as error:
            if not is_missing(error):
                raise

    def start_trial(self, trial: Trial, started: float) -> None:
        """Make a trial's child run, RUNNING since `started`, in seconds since the epoch.

        Where an outage leaves open whether it was made, it is looked for first.
        """
        tags = {
            **self.origin,
            names.PARENT_RUN_ID: self.run_id,
            names.KIND: names.Kind.TRIAL,
            names.TRIAL: str(trial.number),
            names.KEY: trial.key,
            names.STATE: TrialState.RUNNING,
            **({names.MADE_BY: self._token} if self._token else {}),
        }
        exact = json.dumps(dict(trial.params))
        if len(exact) <= names.MAX_TAG:
            tags[names.PARAMS] = exact
        with translated_errors(f"begin trial {trial.number}"):
            run_id = self._made_before(trial.number) if trial.number in self._maybe_created else None
            self._maybe_created.add(trial.number)
            if run_id is None:
                run_id = self.client.create_run(
                    self.experiment_id,
                    start_time=_milliseconds(started),
                    tags=tags,
                    run_name=names.trial_run_name(trial.number),
                ).info.run_id
        self._maybe_created.discard(trial.number)
        self.trial_run_ids[trial.number] = run_id
        self._open.add(trial.number)
        self._unconfirmed.add(trial.number)

    def _made_before(self, number: int) -> str | None:
        """Find the child run of a trial that was made although the answer got lost."""
        return next(iter(self._unknown_running_runs(f" AND tags.`{names.TRIAL}` = '{number}'")), None)

    def _unknown_running_runs(self, condition: str = "") -> Iterator[str]:
        """Yield the RUNNING child runs that are not known here."""
        known = set(self.trial_run_ids.values())
        query = f"tags.`{names.PARENT_RUN_ID}` = {quoted(self.run_id)} AND attributes.status = 'RUNNING'{condition}"
        found = search_all(self.client, [self.experiment_id], query)
        yield from (run.info.run_id for run in found if run.info.run_id not in known)

    def finish_trial(self, trial: Trial, files: Path | None = None) -> None:
        """Write what a trial measured and end its run with the status that is true; in a new run where somebody has deleted it.

        Args:
            trial: The trial, which has ended.
            files: A folder whose content becomes the run's artifacts; it need not be there, and is deleted once they are kept.
        """
        run_id = self.trial_run_ids[trial.number]
        self._unconfirmed.add(trial.number)
        try:
            self._finish_in(run_id, trial, files)
        except TrackingError as error:
            if error.is_outage or not is_gone(self.client, run_id):
                raise
            if trial.state is not TrialState.KILLED:
                self._finish_in(self._made_anew(trial), trial, files)
        self._open.discard(trial.number)
        if files is not None:
            shutil.rmtree(files, ignore_errors=True)

    def kept_run(self, trial: Trial) -> str:
        """Return the run of a trial that has a result, a new one with that result where somebody has deleted it."""
        run_id = trial.run_id or self.trial_run_ids[trial.number]
        if is_gone(self.client, run_id):
            run_id = self._made_anew(trial)
            self._finish_in(run_id, trial, None)
            self._open.discard(trial.number)
        return run_id

    def _made_anew(self, trial: Trial) -> str:
        """Make another run for a trial that has ended."""
        _logger.warning("the run of trial %d was deleted in MLflow; its result goes into a new one", trial.number)
        self.start_trial(trial, trial.ended if math.isnan(trial.started) else trial.started)
        return self.trial_run_ids[trial.number]

    def _finish_in(self, run_id: str, trial: Trial, files: Path | None) -> None:
        ended = _milliseconds(trial.ended)
        with translated_errors(f"write trial {trial.number}"):
            if trial.failure is not None and trial.failure.traceback:
                artifacts.write_text(self.client, run_id, trial.failure.traceback, names.ERROR_FILE)
            if files is not None and files.is_dir():
                self._keep_files(run_id, files)
                self.ensure_owner()  # to store them may take long
            self._log_result(run_id, trial, ended)
            self.client.set_terminated(run_id, _STATUS[trial.state], end_time=ended)

    def _keep_files(self, run_id: str, folder: Path) -> None:
        """Make files a run's artifacts; what was printed only where something was, and without credentials."""
        for path in [path for name in (STDOUT_FILE, STDERR_FILE) for path in folder.rglob(name)]:
            if path.stat().st_size == 0:
                path.unlink()
        mask_output(folder)
        if any(path.is_file() for path in folder.rglob("*")):
            artifacts.write(self.client, run_id, folder)

    def _log_result(self, run_id: str, trial: Trial, at: int) -> None:
        """Log all that a trial was and measured, at a time in milliseconds since the epoch."""
        log_in_batches(self.client, run_id, params=trial.params, metrics=list(metrics_of(trial, at)), tags=tags_of(trial))

    def log_metrics(self, run_id: str, values: Mapping[str, float], *, at: float) -> None:
        """Log metrics to any run of the sweep."""
        self.log_history(run_id, [(name, value, at, 0) for name, value in values.items()])

    def log_history(self, run_id: str, values: Iterable[tuple[str, float, float, int]]) -> None:
        """Log values of metrics to any run of the sweep: the name, the value, when in seconds since the epoch, and the step."""
        with translated_errors("log metrics"):
            metrics = [Metric(name, value, _milliseconds(at), step) for name, value, at, step in values]
            log_in_batches(self.client, run_id, metrics=metrics)

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags on any run of the sweep."""
        with translated_errors("set tags"):
            log_in_batches(self.client, run_id, tags=tags)

    def write_file(self, name: str, text: str) -> None:
        """Write an artifact of the parent run."""
        with translated_errors(f"write the artifact {name}"):
            artifacts.write_text(self.client, self.run_id, text, name)

    def write_json(self, name: str, record: Mapping[str, Any]) -> None:
        """Write an artifact of the parent run as indented JSON."""
        self.write_file(name, json.dumps(record, indent=2, ensure_ascii=False) + "\n")

    def adopt_model(self, run_id: str) -> str | None:
        """Return the URI of the newest model that a trial's own process has logged under its run; None if there is none."""
        query = f"source_run_id = {quoted(run_id)}"
        with translated_errors(f"look for a model of the run {run_id}"):
            found = self.client.search_logged_models([self.experiment_id], filter_string=query)
        ready = [each for each in found if each.status == LoggedModelStatus.READY]
        if not ready:
            return None
        uri: str = max(ready, key=lambda each: each.creation_timestamp).model_uri
        self.set_tags(run_id, {names.MODEL: uri})
        return uri

    def end(self, status: str, *, at: float) -> None:
        """End every child run that is still RUNNING as killed, known here or not, and the parent run.

        Args:
            status: MLflow's status of the parent run.
            at: When, in seconds since the epoch.
        """
        for number in sorted(self._open):
            self.close_left_open(self.trial_run_ids[number], TrialState.KILLED, at=at)
            self._open.discard(number)
        for run_id in [*self._unknown_running_runs(), *self._written_late()]:
            self.close_left_open(run_id, TrialState.KILLED, at=at)
        with translated_errors("end the sweep"):
            self.client.set_terminated(self.run_id, status, end_time=_milliseconds(at))

    def _written_late(self) -> Iterator[str]:
        """Yield the child runs that were closed as killed and say something else now: their owner had only stood still."""
        if number_of(self._token) > 1:
            closed = f"tags.`{names.CLOSED_AS}` = '{TrialState.KILLED}' AND attributes.status != 'KILLED'"
            query = f"tags.`{names.PARENT_RUN_ID}` = '{self.run_id}' AND {closed}"
            yield from (run.info.run_id for run in search_all(self.client, [self.experiment_id], query))

    def why_gone(self) -> DeletedError | None:
        """Return the error that says that the parent run or its experiment was deleted; None where neither was.

        Raises:
            TrackingError: The store failed.
        """
        with translated_errors(f"read the run {self.run_id}"):
            run = self.client.get_run(self.run_id)
        return why_gone(self.client, run, f"the sweep '{run.info.run_name}'")

    def leave(self, *, at: float) -> None:
        """Leave a sweep that another process has taken over, as that has it.

        What this process wrote in the moment before it heard of that is taken back: a run that the other has closed becomes what
        it was closed as, and one that is open still, since the other does not know of it, is ended as killed.

        Args:
            at: When, in seconds since the epoch.
        """
        for number in sorted(self._open | self._unconfirmed):
            run_id = self.trial_run_ids[number]
            with translated_errors(f"end the run {run_id}"):
                run = self.client.get_run(run_id)
                state = _left_as(run)
                if state is not None and run.info.lifecycle_stage == "active":
                    log_in_batches(self.client, run_id, tags={names.STATE: state})
                    self.client.set_terminated(run_id, _STATUS[state], end_time=_milliseconds(at))
        self._open.clear()
        self._unconfirmed.clear()

    def give_back(self, *, at: float) -> None:
        """Leave a sweep as somebody else may resume it: the parent run KILLED, what is below it as it is.

        Args:
            at: When, in seconds since the epoch.
        """
        try:
            self.ensure_owner()
            with translated_errors("let go of the sweep"):
                self.client.set_terminated(self.run_id, "KILLED", end_time=_milliseconds(at))
        except OwnershipError as error:
            _logger.error("%s", error)
        except TrackingError as error:
            _logger.error("the run %s stays RUNNING in MLflow: %s", self.run_id, error)
        finally:
            self.release()

    def release(self) -> None:
        """Let go of the sweep; again does no harm."""
        if self._claim is not None:
            self._claim.release()


def _left_as(run: Run) -> TrialState | None:
    """Return as what a process that has lost its sweep ends a run that it has made; None to leave it as it is."""
    tags, status = run.data.tags, run.info.status
    closed_as = tags.get(names.CLOSED_AS)
    if closed_as in set(TrialState):
        state = TrialState(closed_as)
        return state if (status, tags.get(names.STATE)) != (_STATUS[state], state) else None
    return TrialState.KILLED if status == "RUNNING" and tags.get(names.STATE) == TrialState.RUNNING else None


def _by_journal(client: MlflowClient, experiment_id: str, header: SweepHeader) -> Run | None:
    """Find the parent run that was made although the answer got lost."""
    token = header.tags.get(names.JOURNAL)
    if token is None:
        return None
    return next(search_all(client, [experiment_id], f"tags.`{names.JOURNAL}` = '{token}'"), None)


def _origin(tags: Mapping[str, str]) -> dict[str, str]:
    """Return the tags that child runs share with the parent; the source of a trial that runs a program is that program."""
    origin = {name: tags[name] for name in names.ORIGIN if name in tags}
    return origin | ({names.SOURCE_NAME: tags[names.PROGRAM]} if names.PROGRAM in tags else {})


def experiment_of(client: MlflowClient, name: str) -> str:
    """Return an experiment's id, made if it is missing.

    Raises:
        DeletedError: It is deleted.
    """
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            created: str = client.create_experiment(name, tags={names.EXPERIMENT_KIND: names.MODEL_TRAINING})
        except MlflowException as error:
            found = client.get_experiment_by_name(name) if came_second(error) else None
            if found is None:
                raise
        else:
            return created
    if found.lifecycle_stage != "active":
        raise experiment_deleted(client, name, found.experiment_id)
    identifier: str = found.experiment_id
    return identifier


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
