"""Promotes from a sweep that ran earlier: reads it back, selects, refits if need be, and moves the model to its stage."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from dataclasses import dataclass

from wine_sweep.config import Stage, parse_config
from wine_sweep.errors import ConfigError, DataError, NotFoundError, Problem
from wine_sweep.registry import Promotion
from wine_sweep.runner.preflight import Prepared, prepare
from wine_sweep.runner.winner import keep, promote, refit
from wine_sweep.selection import Selection, choose, select
from wine_sweep.tracking import names
from wine_sweep.tracking.reader import SweepReader, SweepRecord
from wine_sweep.tracking.sweep_runs import SweepRuns
from wine_sweep.trial import Trial, TrialState


@dataclass(frozen=True)
class Candidate:
    """What would be promoted, and where to."""

    sweep: SweepRecord
    prepared: Prepared
    selection: Selection
    name: str
    stage: Stage
    model_uri: str | None


def find_candidate(
    reader: SweepReader,
    sweep: SweepRecord,
    *,
    run_id: str | None,
    name: str | None,
    stage: Stage | None,
    force: bool,
    trusted: Sequence[str],
) -> Candidate:
    """Select from a sweep's finished trials.

    Args:
        reader: Reads the store.
        sweep: The sweep.
        run_id: A trial to take in place of the best.
        name: The registered model; by default the config's.
        stage: The stage; by default the config's.
        force: Whether to take a sweep that did not end well.
        trusted: Packages that estimators may come from, beside the usual ones.

    Raises:
        NotFoundError: No trial finished, or the run is none of them.
        ConfigError: The sweep did not end well, or nobody says which registered model it is for.
        DataError: The data has changed since the sweep.
    """
    if sweep.status != "FINISHED" and not force:
        raise ConfigError(
            [Problem(f"the sweep '{sweep.name}' is {sweep.status}, not FINISHED; --force promotes from it all the same")]
        )
    resolved = reader.file(sweep, names.RESOLVED_FILE)
    draft = parse_config(
        resolved.encode(), source=f"{names.RESOLVED_FILE} of {sweep.run_id}", folder=pathlib.Path.cwd(), default_name=sweep.name
    )
    prepared = prepare(draft, trusted=trusted)
    if prepared.material.dataset.digest != sweep.tags.get(names.DATA):
        raise DataError(f"{prepared.material.dataset.source} has changed since the sweep '{sweep.name}'; run a new one")
    registry = prepared.config.registry
    if name is None and registry is None:
        raise ConfigError([Problem("the sweep's config names no registered model; give one with --name")])
    selection = _select(reader.trials(sweep), prepared, run_id)
    return Candidate(
        sweep,
        prepared,
        selection,
        name or (registry.name if registry else ""),
        stage or (registry.stage if registry else Stage.STAGING),
        reader.model_uri(selection.trial.run_id or ""),
    )


def promote_candidate(reader: SweepReader, candidate: Candidate) -> Promotion:
    """Promote what `find_candidate` found; its model is fitted and logged first when its run has none.

    Raises:
        ModelError: It cannot be fitted or saved.
        TrackingError: The store failed.
    """
    sweep, trial = candidate.sweep, candidate.selection.trial
    runs = SweepRuns(reader.client, sweep.experiment_id, sweep.run_id)
    uri = candidate.model_uri
    if uri is None:
        winner = refit(candidate.prepared, trial.params)
        uri = keep(winner, runs, trial.run_id or "", trusted=candidate.prepared.factory.trusted)
    runs.write_json(names.SELECTION_FILE, candidate.selection.record())
    return promote(candidate.prepared, runs, candidate.selection, name=candidate.name, stage=candidate.stage, model_uri=uri)


def _select(trials: Sequence[Trial], prepared: Prepared, run_id: str | None) -> Selection:
    best = select(trials, prepared.objective)
    if best is None:
        raise NotFoundError("no trial of this sweep finished; there is nothing to promote")
    if run_id is None:
        return best
    found = [trial for trial in trials if trial.run_id is not None and trial.run_id.startswith(run_id)]
    if len(found) != 1:
        raise NotFoundError(f"{len(found) or 'no'} trials of this sweep have a run id that begins with '{run_id}'")
    if found[0].state is not TrialState.FINISHED:
        raise NotFoundError(f"trial {found[0].number} is {found[0].state}, not finished; it cannot be promoted")
    return choose(found[0], trials, prepared.objective, by="--run")
