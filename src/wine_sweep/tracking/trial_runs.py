"""One trial as its own run tells of it, in full: found by the run's id, every value that it measured read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice

from mlflow.entities import Run

from wine_sweep.errors import NotFoundError
from wine_sweep.tracking import names
from wine_sweep.tracking.reader import RUN_ID_PREFIX, SHORTEST_PREFIX, SHOWN, SweepReader, SweepRecord, trial_of
from wine_sweep.tracking.store import search_all
from wine_sweep.trial import Trial, TrialState


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
