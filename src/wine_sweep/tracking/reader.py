"""Reads sweeps back from MLflow: finding one by what a user calls it, its trials, its files."""

from __future__ import annotations

import json
import math
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run, ViewType

from wine_sweep.config import Direction
from wine_sweep.errors import NotFoundError
from wine_sweep.tracking import names
from wine_sweep.tracking.store import translated_errors
from wine_sweep.trial import FIT_SECONDS, Failure, Score, Trial, TrialState

PAGE = 1000
LATEST = "latest"
SHORTEST_PREFIX = 6
_RUN_ID_PREFIX = re.compile(rf"[0-9a-f]{{{SHORTEST_PREFIX},32}}")
_STATES = {"FINISHED": TrialState.FINISHED, "FAILED": TrialState.FAILED, "KILLED": TrialState.KILLED}


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


class SweepReader:
    """Finds and reads sweeps.

    Args:
        client: The open store.
        experiment: The only experiment to look in; None for all.
    """

    def __init__(self, client: MlflowClient, experiment: str | None = None) -> None:
        self.client = client
        with translated_errors("list the experiments"):
            found = self.client.search_experiments(view_type=ViewType.ACTIVE_ONLY)
            while found.token:
                more = self.client.search_experiments(view_type=ViewType.ACTIVE_ONLY, page_token=found.token)
                more[:0] = found
                found = more
        self._experiments = {each.experiment_id: each.name for each in found if experiment in (None, each.name)}
        if experiment is not None and not self._experiments:
            raise NotFoundError(
                f"there is no experiment '{experiment}'; there are: {', '.join(sorted(each.name for each in found)) or 'none'}"
            )

    def sweeps(self) -> list[SweepRecord]:
        """List all sweeps, the newest first."""
        query = f"tags.`{names.KIND}` = '{names.Kind.SWEEP}'"
        return [self._record(run) for run in self._search(query, order_by=["attributes.start_time DESC"])]

    def find(self, reference: str) -> SweepRecord:
        """Find a sweep by its run id, a unique prefix of it (6 characters or more), its name (the newest), or ``latest``.

        Raises:
            NotFoundError: None fits, or more than one does.
        """
        sweeps = self.sweeps()
        if not sweeps:
            raise NotFoundError("there is no sweep here yet; `wine-sweep run CONFIG` makes one")
        if reference == LATEST:
            return sweeps[0]
        if _RUN_ID_PREFIX.fullmatch(reference):
            fitting = [sweep for sweep in sweeps if sweep.run_id.startswith(reference)]
            if len(fitting) == 1:
                return fitting[0]
            if fitting:
                raise NotFoundError(
                    f"{len(fitting)} sweeps begin with '{reference}': {', '.join(sweep.run_id for sweep in fitting[:5])}"
                )
        named = [sweep for sweep in sweeps if sweep.name == reference]
        if named:
            return named[0]
        shown = ", ".join(f"{sweep.run_id[:8]} ({sweep.name})" for sweep in sweeps[:5])
        raise NotFoundError(f"there is no sweep '{reference}'; the newest are: {shown}")

    def trials(self, sweep: SweepRecord) -> list[Trial]:
        """Read all trials of a sweep, by number. Scores hold mean and spread; the folds' own values stay in MLflow."""
        query = f"tags.`{names.PARENT_RUN_ID}` = '{sweep.run_id}' AND tags.`{names.KIND}` = '{names.Kind.TRIAL}'"
        found = [_trial(run) for run in self._search(query, experiments=[sweep.experiment_id])]
        return sorted(found, key=lambda trial: trial.number)

    def file(self, sweep: SweepRecord, name: str) -> str:
        """Read an artifact of a sweep's parent run.

        Raises:
            TrackingError: It is not there, or cannot be fetched.
        """
        with tempfile.TemporaryDirectory() as folder, translated_errors(f"fetch {name} of the sweep '{sweep.name}'"):
            return Path(self.client.download_artifacts(sweep.run_id, name, folder)).read_text(encoding="utf-8")

    def model_uri(self, run_id: str) -> str | None:
        """Give the URI of the model that was logged under a trial's run and has loaded back, or None."""
        with translated_errors(f"read the run {run_id}"):
            uri: str | None = self.client.get_run(run_id).data.tags.get(names.MODEL)
        return uri

    def _search(self, query: str, *, experiments: list[str] | None = None, order_by: list[str] | None = None) -> Iterator[Run]:
        """Yield all runs that fit, page by page: MLflow gives 1,000 at most."""
        token = None
        where = experiments or list(self._experiments)
        while where:
            with translated_errors("search runs"):
                page = self.client.search_runs(where, query, max_results=PAGE, order_by=order_by, page_token=token)
            yield from page
            token = page.token
            if not token:
                return

    def _record(self, run: Run) -> SweepRecord:
        tags = dict(run.data.tags)
        return SweepRecord(
            run_id=run.info.run_id,
            name=run.info.run_name,
            experiment_id=run.info.experiment_id,
            experiment=self._experiments[run.info.experiment_id],
            status=run.info.status,
            started=_seconds(run.info.start_time),
            ended=_seconds(run.info.end_time),
            metric=tags.get(names.OBJECTIVE, ""),
            direction=Direction(tags.get(names.DIRECTION, Direction.MINIMIZE)),
            params=dict(run.data.params),
            metrics=dict(run.data.metrics),
            tags=tags,
        )


def _trial(run: Run) -> Trial:
    tags, metrics = run.data.tags, run.data.metrics
    state = TrialState.PRUNED if names.PRUNED in tags else _STATES.get(run.info.status, TrialState.RUNNING)
    error = tags.get(names.ERROR)
    kind, _, message = (error or "").partition(": ")
    return Trial(
        number=int(tags[names.TRIAL]),
        params=json.loads(tags[names.PARAMS]) if names.PARAMS in tags else dict(run.data.params),
        state=state,
        scores=_scores(metrics) if state is TrialState.FINISHED else {},
        fit_seconds=metrics.get(FIT_SECONDS, math.nan),
        started=_seconds(run.info.start_time),
        ended=_seconds(run.info.end_time),
        failure=Failure(kind, message) if error else None,
        run_id=run.info.run_id,
        violations=json.loads(tags.get(names.INFEASIBLE, "{}")),
        retries=int(tags.get(names.RETRIES, 0)),
    )


def _scores(metrics: dict[str, Any]) -> dict[str, Score]:
    return {
        name: Score(mean, metrics[names.spread_metric(name)])
        for name, mean in metrics.items()
        if names.spread_metric(name) in metrics
    }


def _seconds(milliseconds: int | None) -> float:
    return math.nan if milliseconds is None else milliseconds / 1000
