"""Read sweeps and trials back from MLflow."""

from __future__ import annotations

import json
import logging
import math
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from typing import TypeVar

from mlflow import MlflowClient
from mlflow.entities import Experiment, Run, ViewType

from wine_sweep.config import Direction
from wine_sweep.errors import NotFoundError, TrackingError
from wine_sweep.tracking import artifacts, names
from wine_sweep.tracking.encoding import TESTING, mapping, numbers_by_name, read_tag, steps_from_text, texts, whole_number
from wine_sweep.tracking.local_state import TakenOver, number_of
from wine_sweep.tracking.store import PAGE, all_pages, experiment_deleted, quoted, search_all, translated_errors, why_gone
from wine_sweep.trial import FIT_SECONDS, Failure, Score, Trial, TrialState

_logger = logging.getLogger(__name__)
Read = TypeVar("Read")

SHOWN = 5
"""So many sweeps are named where one cannot be found."""

LATEST = "latest"
SHORTEST_PREFIX = 6
RUN_ID_PREFIX = re.compile(rf"[0-9a-f]{{{SHORTEST_PREFIX},32}}")
_LOGGED_MODEL = re.compile(r"models:/m-[0-9a-f]{32}")
_STATES = {"FINISHED": TrialState.FINISHED, "FAILED": TrialState.FAILED, "KILLED": TrialState.KILLED}
_NEWEST_FIRST = ["attributes.start_time DESC"]
RESULTS = (TrialState.FINISHED, TrialState.FAILED, TrialState.PRUNED)


@dataclass(frozen=True)
class SweepRecord:
    """A sweep as its parent run tells of it.

    Args:
        run_id: The parent run's id.
        name: Its name.
        experiment_id: The experiment that it is in.
        experiment: That experiment's name.
        status: MLflow's status of the parent run.
        started: When it began, in seconds since the epoch.
        ended: When it ended; NaN while it has not.
        metric: The objective's metric.
        direction: Which way it is better.
        params: The parent run's parameters.
        metrics: The parent run's metrics, latest values.
        tags: The parent run's tags.
    """

    run_id: str
    name: str
    experiment_id: str
    experiment: str
    status: str
    started: float
    ended: float
    metric: str
    direction: Direction
    params: dict[str, str]
    metrics: dict[str, float]
    tags: dict[str, str]

    @property
    def trials(self) -> str:
        """How many trials it is to have: as it was begun with, or as it was extended to."""
        return self.tags.get(names.TRIALS) or self.params.get("trials", "?")

    @property
    def results(self) -> int:
        """How many trials had a result when it last ended."""
        return sum(self.count(state) or 0 for state in RESULTS)

    def count(self, state: TrialState) -> int | None:
        """Return how many trials of a state it had when it last ended; None where that is not known, or is no number of them."""
        value = self.metrics.get(f"trials_{state.value}", math.nan)
        return int(value) if 0 <= value < 2**53 else None


@dataclass(frozen=True)
class Attempt:
    """A child run: one time that a trial was measured. A trial that was killed and done again has several.

    Args:
        trial: The trial as this run tells of it, its `run_id` among the rest.
        is_open: Whether the run has not ended in MLflow, or not as what its trial came to. The trial may have ended: what it
            measured is written before the run is ended.
        owner: The number of the take-over by whose process it was made; 0 where that is not known.
    """

    trial: Trial
    is_open: bool
    owner: int = 0


class SweepReader:
    """Finds and reads sweeps.

    Args:
        client: The open store.
        experiment: The only experiment to look in; None for all.
    """

    def __init__(self, client: MlflowClient, experiment: str | None = None) -> None:
        self.client = client
        found: list[Experiment] = list(
            all_pages(
                lambda token: self.client.search_experiments(view_type=ViewType.ACTIVE_ONLY, page_token=token),
                lambda each: each.experiment_id,
                "list the experiments",
            )
        )
        self._experiments: dict[str, str] = {each.experiment_id: each.name for each in found if experiment in (None, each.name)}
        if experiment is not None and not self._experiments:
            for each in self._deleted_experiments():
                if each.name == experiment:
                    raise experiment_deleted(client, each.name, each.experiment_id)
            raise NotFoundError(
                f"there is no experiment '{experiment}'; there are: {', '.join(sorted(each.name for each in found)) or 'none'}"
            )

    @property
    def experiment_ids(self) -> list[str]:
        """The experiments that are looked in."""
        return list(self._experiments)

    def experiment_name(self, experiment_id: str) -> str:
        """Return the name of an experiment that is looked in; of another its id."""
        return self._experiments.get(experiment_id, experiment_id)

    def sweeps(self) -> list[SweepRecord]:
        """List all sweeps, the newest first."""
        return list(self._all(""))

    def running(self) -> list[SweepRecord]:
        """List the sweeps that are RUNNING, the newest first."""
        return list(self._all(" AND attributes.status = 'RUNNING'"))

    def find(self, reference: str) -> SweepRecord:
        """Find a sweep by its run id, a unique prefix of it (6 characters or more), its name (the newest), or ``latest``.

        Raises:
            NotFoundError: None fits, or more than one does.
            DeletedError: Only one fits that was deleted.
        """
        newest = self._newest("")
        if not newest:
            self._refuse_deleted(reference, names.Kind.SWEEP)
            raise NotFoundError("there is no sweep here yet; `wine-sweep run CONFIG` makes one")
        if reference == LATEST:
            return newest[0]
        if RUN_ID_PREFIX.fullmatch(reference):
            fitting = self._newest(f" AND attributes.run_id LIKE '{reference}%'")
            if len(fitting) == 1:
                return fitting[0]
            if fitting:
                few = f"{len(fitting)} sweeps" if len(fitting) < SHOWN else f"{SHOWN} sweeps or more"
                raise NotFoundError(f"{few} begin with '{reference}': {', '.join(sweep.run_id for sweep in fitting)}")
        named = next((sweep for sweep in self.sweeps() if sweep.name == reference), None)
        if named is not None:
            return named
        self._refuse_deleted(reference, names.Kind.SWEEP)
        shown = ", ".join(f"{sweep.run_id[:8]} ({sweep.name})" for sweep in newest)
        raise NotFoundError(f"there is no sweep '{reference}'; the newest are: {shown}")

    def refuse_deleted_trial(self, reference: str) -> None:
        """Raise when a trial's run was deleted.

        Args:
            reference: Its id, or a prefix of it.

        Raises:
            DeletedError: It was.
        """
        self._refuse_deleted(reference, names.Kind.TRIAL)

    def what_is_left(self, sweeps: Sequence[SweepRecord]) -> list[SweepRecord]:
        """Return sweeps with the counts and the best value of what is left of them, where child runs have been deleted.

        Sweeps that have not ended have no counts. To look for deleted runs takes a call; only sweeps that have some are read. Of
        runs that were deleted for good (``mlflow gc``) nothing is known.
        """
        query = f"tags.`{names.KIND}` = '{names.Kind.TRIAL}'"
        found = list(islice(search_all(self.client, self.experiment_ids, query, view=ViewType.DELETED_ONLY), PAGE + 1))
        parents = {run.data.tags.get(names.PARENT_RUN_ID) for run in found}
        if len(found) > PAGE:  # sweeps of old whose parents are deleted too
            parents = {sweep.run_id for sweep in sweeps if self._lacks_some(sweep)}
        return [self.recounted(sweep) if sweep.run_id in parents and sweep.results else sweep for sweep in sweeps]

    def recounted(self, sweep: SweepRecord) -> SweepRecord:
        """Return a sweep with the counts and the best value that its child runs come to now."""
        trials = self.trials(sweep)
        counts = {f"trials_{state.value}": float(sum(trial.state is state for trial in trials)) for state in RESULTS}
        finished = [trial for trial in trials if trial.can_win]
        known = [each.scores[sweep.metric].mean for each in finished if sweep.metric in each.scores]
        best = names.best_metric(sweep.metric)
        metrics = {name: value for name, value in sweep.metrics.items() if name != best} | counts
        if known:
            metrics[best] = min(known) if sweep.direction is Direction.MINIMIZE else max(known)
        return replace(sweep, metrics=metrics)

    def _lacks_some(self, sweep: SweepRecord) -> bool:
        query = f"tags.`{names.PARENT_RUN_ID}` = {quoted(sweep.run_id)}"
        deleted = search_all(self.client, [sweep.experiment_id], query, page=1, view=ViewType.DELETED_ONLY)
        return next(deleted, None) is not None

    def _deleted_experiments(self) -> list[Experiment]:
        with translated_errors("list the deleted experiments"):
            return list(self.client.search_experiments(view_type=ViewType.DELETED_ONLY))

    def _refuse_deleted(self, reference: str, kind: names.Kind) -> None:
        """Raise when a sweep or a trial was deleted, or the experiment that it was in.

        Raises:
            DeletedError: It was.
        """
        experiments = [*self.experiment_ids, *(each.experiment_id for each in self._deleted_experiments())]
        is_prefix = RUN_ID_PREFIX.fullmatch(reference)
        query = f"tags.`{names.KIND}` = '{kind}'" + (f" AND attributes.run_id LIKE '{reference}%'" if is_prefix else "")
        for run in search_all(self.client, experiments, query, order_by=_NEWEST_FIRST, view=ViewType.DELETED_ONLY):
            if is_prefix or reference in (LATEST, run.info.run_name):
                what = "the sweep" if kind is names.Kind.SWEEP else "the run"
                deleted = why_gone(self.client, run, f"{what} '{run.info.run_name}'")
                if deleted is not None:
                    raise deleted

    def newest(self, tags: Mapping[str, str], *, name: str | None = None, status: str | None = None) -> SweepRecord | None:
        """Find the newest sweep with these tags, and of this name and status where they are given; None when there is none."""
        conditions = [f"tags.`{key}` = {quoted(value)}" for key, value in tags.items()]
        conditions += [f"attributes.status = '{status}'"] if status is not None else []
        fitting = self._all("".join(f" AND {each}" for each in conditions))
        return next((sweep for sweep in fitting if name in (None, sweep.name)), None)

    def trials(self, sweep: SweepRecord) -> list[Trial]:
        """Read all trials of a sweep, by number, each once; see `latest_results` and `attempts`."""
        return latest_results(self.attempts(sweep))

    def attempts(self, sweep: SweepRecord) -> list[Attempt]:
        """Read all child runs of a sweep, in no order. Scores hold mean and spread; `folds` reads the folds' own values.

        A run with a tag that cannot be read is left out with a warning: its trial has no result that could be relied on. What a
        process wrote after it had lost the sweep is no result: its run counts as killed.
        """
        query = f"tags.`{names.PARENT_RUN_ID}` = {quoted(sweep.run_id)} AND tags.`{names.KIND}` = '{names.Kind.TRIAL}'"
        found = search_all(self.client, [sweep.experiment_id], query)
        taken_over = TakenOver.from_tags(sweep.tags)
        return list(_readable(found, lambda run: _attempt(run, taken_over)))

    def folds(self, run_id: str, metric: str) -> tuple[float, ...]:
        """Read a metric's value in each fold of a trial that has finished, in the order of the folds; one call a trial."""
        with translated_errors(f"read the folds of the run {run_id}"):
            history = self.client.get_metric_history(run_id, names.fold_metric(metric))
        return tuple(each.value for each in sorted(history, key=lambda each: each.step))

    def table(self, sweep: SweepRecord) -> tuple[int, list[str]]:
        """Describe the table of a sweep: its rows, and the names of its columns, both as its data set input has them.

        A table of test rows does not count. Where there is no such input, or one that cannot be read, the table has no rows
        and no columns.
        """
        with translated_errors(f"read the data set of the sweep '{sweep.name}'"):
            inputs = self.client.get_run(sweep.run_id).inputs.dataset_inputs
        learned = [each for each in inputs if not any(tag.value == TESTING for tag in each.tags)]
        if not learned:
            return 0, []
        try:
            columns = json.loads(learned[0].dataset.schema)["mlflow_colspec"]
            return int(json.loads(learned[0].dataset.profile)["num_rows"]), [str(column["name"]) for column in columns]
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            return 0, []

    def steps(self, sweep: SweepRecord, metric: str) -> frozenset[int]:
        """Return the steps at which a metric of a sweep's parent run was logged."""
        with translated_errors(f"read {metric} of the sweep '{sweep.name}'"):
            return frozenset(each.step for each in self.client.get_metric_history(sweep.run_id, metric))

    def file(self, sweep: SweepRecord, name: str) -> str:
        """Read an artifact of a sweep's parent run.

        Raises:
            TrackingError: It is not there, or cannot be fetched.
        """
        with tempfile.TemporaryDirectory() as folder, translated_errors(f"fetch {name} of the sweep '{sweep.name}'"):
            found = artifacts.fetch(self.client, sweep.run_id, name, folder)
            try:
                return found.read_text(encoding="utf-8")
            except UnicodeDecodeError as error:
                raise TrackingError(f"{name} of the sweep '{sweep.name}' (run {sweep.run_id}) is no text: {error}") from error

    def model_uri(self, run_id: str) -> str | None:
        """Return the URI of the model that was logged under a trial's run and has loaded, or None.

        Raises:
            TrackingError: The run's tag names something else, which would be fetched from wherever that is.
        """
        with translated_errors(f"read the run {run_id}"):
            uri: str | None = self.client.get_run(run_id).data.tags.get(names.MODEL)
        if uri is not None and _LOGGED_MODEL.fullmatch(uri) is None:
            what = f"the tag {names.MODEL} of the run {run_id} is {uri[:200]!r}, which is no logged model (models:/m-…)"
            raise TrackingError(f"{what}; somebody has changed it, and its model is not taken from there")
        return uri

    def _all(self, condition: str) -> Iterator[SweepRecord]:
        """Yield the sweeps that fulfil a condition beside being sweeps, the newest first."""
        query = f"tags.`{names.KIND}` = '{names.Kind.SWEEP}'{condition}"
        return _readable(search_all(self.client, list(self._experiments), query, order_by=_NEWEST_FIRST), self._record)

    def _newest(self, condition: str) -> list[SweepRecord]:
        """List the newest sweeps, a few, that fulfil a condition beside being sweeps."""
        query = f"tags.`{names.KIND}` = '{names.Kind.SWEEP}'{condition}"
        found = search_all(self.client, list(self._experiments), query, order_by=_NEWEST_FIRST, page=SHOWN)
        return list(islice(_readable(found, self._record), SHOWN))

    def _record(self, run: Run) -> SweepRecord:
        """Read a sweep from its parent run.

        Raises:
            TrackingError: One of its tags cannot be read.
        """
        tags = dict(run.data.tags)
        with _named(run):
            direction = read_tag(tags, names.DIRECTION, Direction, Direction.MINIMIZE)
        return SweepRecord(
            run_id=run.info.run_id,
            name=run.info.run_name or run.info.run_id,
            experiment_id=run.info.experiment_id,
            experiment=self._experiments.get(run.info.experiment_id, run.info.experiment_id),
            status=run.info.status,
            started=_seconds(run.info.start_time),
            ended=_seconds(run.info.end_time),
            metric=tags.get(names.OBJECTIVE, ""),
            direction=direction,
            params=dict(run.data.params),
            metrics=dict(run.data.metrics),
            tags=tags,
        )


def _readable(runs: Iterable[Run], read: Callable[[Run], Read]) -> Iterator[Read]:
    """Yield what is read of runs; one that cannot be read is left out with a warning."""
    for run in runs:
        try:
            found = read(run)
        except TrackingError as error:
            _logger.warning("left out: %s", error)
        else:
            yield found


@contextmanager
def _named(run: Run) -> Iterator[None]:
    """Have an error that a tag cannot be read name the run.

    Raises:
        TrackingError: One cannot be.
    """
    try:
        yield
    except ValueError as error:
        raise TrackingError(f"the run {run.info.run_id} ('{run.info.run_name}'): {error}") from error


def latest_results(attempts: Iterable[Attempt]) -> list[Trial]:
    """Return each trial once, by number: as the attempt with a result has it, or else the newest attempt.

    A result is what finished, failed or was pruned; of several the one counts that was made after the last take-over, then the
    newest.
    """
    found: dict[int, Trial] = {}
    for each in sorted(attempts, key=lambda each: (each.trial.state in RESULTS, each.owner, each.trial.started)):
        found[each.trial.number] = each.trial
    return [found[number] for number in sorted(found)]


def _attempt(run: Run, taken_over: TakenOver | None) -> Attempt:
    """Read a child run, one that does not count as killed."""
    trial, made_by = trial_of(run), run.data.tags.get(names.MADE_BY)
    if taken_over is not None and trial.state in RESULTS and not taken_over.counts(trial.number, made_by):
        trial = replace(trial, state=TrialState.KILLED, scores={}, failure=None)
    return Attempt(trial, _is_open(run, trial.state), number_of(made_by or ""))


def _state(status: str, tags: Mapping[str, str]) -> TrialState:
    """Describe what became of a trial.

    Where somebody closed a run whose owner was dead, it is that, whatever a late write says: the owner only stood still.

    The tag is written with the measurements, and the run ended after that: the tag knows more, not only while the run is
    open. A trial's own process, to which its run was handed over, may end that run before anybody has said what came of the
    trial, and in its own way.
    """
    closed_as = tags.get(names.CLOSED_AS)
    if closed_as in set(TrialState):
        return TrialState(closed_as)
    if names.PRUNED in tags:
        return TrialState.PRUNED
    return read_tag(tags, names.STATE, TrialState, _STATES.get(status, TrialState.RUNNING))


def _is_open(run: Run, state: TrialState) -> bool:
    """Return whether a child run has not ended as what its trial came to: not at all, or as the trial's own process saw it."""
    return _STATES.get(run.info.status) is not (TrialState.KILLED if state is TrialState.PRUNED else state)


def trial_of(run: Run) -> Trial:
    """Read a trial from its child run; see `SweepReader.attempts`.

    Raises:
        TrackingError: One of its tags cannot be read; the message names run and tag.
    """
    with _named(run):
        return _trial_of(run)


def _trial_of(run: Run) -> Trial:
    tags, metrics = run.data.tags, run.data.metrics
    state = _state(run.info.status, tags)
    error = tags.get(names.ERROR)
    kind, _, message = (error or "").partition(": ")
    once = read_tag(tags, names.SCORES, numbers_by_name, "{}")
    reported, reported_at = read_tag(tags, names.STEPS, steps_from_text, "[]")
    return Trial(
        number=read_tag(tags, names.TRIAL, whole_number, ""),
        params=read_tag(tags, names.PARAMS, mapping, "") if names.PARAMS in tags else dict(run.data.params),
        state=state,
        scores=_scores(metrics, once) if state is TrialState.FINISHED else {},
        reported=reported,
        reported_at=reported_at,
        fit_seconds=once.get(FIT_SECONDS, metrics.get(FIT_SECONDS, math.nan)),
        started=_seconds(run.info.start_time),
        ended=_seconds(run.info.end_time),
        failure=Failure(kind, message) if error else None,
        warnings=read_tag(tags, names.WARNINGS, texts, "[]"),
        run_id=run.info.run_id,
        violations=read_tag(tags, names.INFEASIBLE, numbers_by_name, "{}"),
        retries=read_tag(tags, names.RETRIES, whole_number, "0"),
    )


def _scores(metrics: Mapping[str, float], once: Mapping[str, float]) -> dict[str, Score]:
    """Return the metrics that are means with a spread, and those that were measured once."""
    means = {
        name: Score(mean, metrics[names.spread_metric(name)])
        for name, mean in metrics.items()
        if names.spread_metric(name) in metrics and name not in once
    }
    return means | {name: Score(value) for name, value in once.items() if name != FIT_SECONDS}


def _seconds(milliseconds: int | None) -> float:
    return math.nan if milliseconds is None else milliseconds / 1000


@dataclass(frozen=True)
class TrialRecord:
    """A trial that has finished, as its run tells of it.

    Args:
        sweep: The sweep that it belongs to.
        trial: The trial; its parameters as they were written down.
        metrics: Every metric of its run, the latest value of each.
    """

    sweep: SweepRecord
    trial: Trial
    metrics: Mapping[str, float]

    @property
    def run_id(self) -> str:
        """The id of its run."""
        return self.trial.run_id or ""

    @property
    def test_metrics(self) -> dict[str, float]:
        """What it has measured on the test rows, as a winner that was fitted anew has."""
        own = {*self.trial.scores, *map(names.spread_metric, self.trial.scores)}
        prefix = names.test_metric("")
        return {name: value for name, value in self.metrics.items() if name.startswith(prefix) and name not in own}


def find_trial(reader: SweepReader, reference: str) -> TrialRecord:
    """Find a trial that has finished by its run's id, or a unique prefix of it (6 characters or more).

    Raises:
        NotFoundError: No run fits, more than one does, it is no trial's, or the trial has no result.
        TrackingError: The store failed.
    """
    run = _find_run(reader, reference)
    kind, run_id = run.data.tags.get(names.KIND), run.info.run_id
    if kind == names.Kind.SWEEP:
        raise NotFoundError(_why_no_sweep(run))
    if kind != names.Kind.TRIAL:
        raise NotFoundError(f"the run {run_id} ('{run.info.run_name}') is no trial of a sweep")
    trial = trial_of(run)
    if trial.state is not TrialState.FINISHED:
        why = f" ({trial.failure})" if trial.failure is not None else ""
        raise NotFoundError(f"trial {trial.number} (run {run_id}) is {trial.state}{why}; only one that has finished has a result")
    return TrialRecord(reader.find(run.data.tags.get(names.PARENT_RUN_ID, "")), trial, dict(run.data.metrics))


def _find_run(reader: SweepReader, reference: str) -> Run:
    if not RUN_ID_PREFIX.fullmatch(reference):
        message = f"'{reference}' is no run's id: 32 hex digits, of which the first {SHORTEST_PREFIX} or more are enough"
        raise NotFoundError(f"{message}; `wine-sweep compare SWEEP --format csv` lists them")
    query = f"attributes.run_id LIKE '{reference}%'"
    found = list(islice(search_all(reader.client, reader.experiment_ids, query, page=SHOWN), SHOWN))
    if not found:
        reader.refuse_deleted_trial(reference)
        raise NotFoundError(f"there is no run '{reference}'; `wine-sweep compare SWEEP --format csv` lists those of a sweep")
    if len(found) > 1:
        few = f"{len(found)} runs" if len(found) < SHOWN else f"{SHOWN} runs or more"
        raise NotFoundError(f"{few} begin with '{reference}': {', '.join(run.info.run_id for run in found)}")
    return found[0]


def _why_no_sweep(run: Run) -> str:
    winner = run.data.tags.get(names.WINNER)
    which = f", such as its winner's: {winner}" if winner else ""
    return f"the run {run.info.run_id} is that of the sweep '{run.info.run_name}'; give the run of one of its trials{which}"
