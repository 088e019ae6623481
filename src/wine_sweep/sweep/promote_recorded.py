"""Promotes from a sweep that ran earlier: reads it back, selects, refits if need be, and moves the model to its stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pydantic import ValidationError

from wine_sweep.config import RegistryConfig, Stage, find_stage
from wine_sweep.config.validation import explain
from wine_sweep.errors import ConfigError, ModelError, NotFoundError, Problem
from wine_sweep.promotion.promote import Challenger, StagingResult, log_winning_model, put_in_stage
from wine_sweep.registry import ModelRegistry
from wine_sweep.selection import Selection, choose, select
from wine_sweep.sweep.metadata import winner_tags
from wine_sweep.sweep.resume import StoredConfig, is_point, prepare_recorded, restored
from wine_sweep.targets.base import SweepPlan
from wine_sweep.tracking import names
from wine_sweep.tracking.models import SavedModel
from wine_sweep.tracking.reader import SweepReader, SweepRecord
from wine_sweep.tracking.retry import RetryPolicy
from wine_sweep.tracking.runs import SweepRuns
from wine_sweep.tracking.store import leave_retries_to_policy
from wine_sweep.trial import Trial, TrialState

PATIENCE_SECONDS = 30.0
"""How long a store that is away is waited for; somebody sits and waits for the outcome."""


@dataclass(frozen=True)
class Candidate:
    """What would be promoted, and where to."""

    sweep: SweepRecord
    prepared: SweepPlan
    selection: Selection
    name: str
    stage: Stage
    saved: SavedModel | None


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
        force: Whether to take a sweep that did not end well, or a model out of Production.
        trusted: Packages that estimators may come from, beside the usual ones.

    Raises:
        NotFoundError: No trial finished, or the run is none of them.
        ConfigError: The sweep did not end well, the model is in Production, or nobody says which registered model it is for.
        DataError: The data has changed since the sweep.
    """
    if sweep.status != "FINISHED" and not force:
        raise ConfigError(
            [Problem(f"the sweep '{sweep.name}' is {sweep.status}, not FINISHED; --force promotes from it all the same")]
        )
    prepared = prepare_recorded(reader, sweep, StoredConfig.of(reader, sweep).draft(), trusted=trusted)
    trials = [restored(prepared, trial) for trial in reader.trials(sweep) if is_point(prepared, trial)]
    if run_id:
        _refuse_deleted(reader, trials, run_id)
    selection = _select(trials, prepared, run_id)
    if run_id is None:
        selection = _among_those_left(selection, sweep, trials)
    target = _target(prepared.config.registry, name, stage)
    uri = reader.model_uri(selection.trial.run_id or "")
    saved = SavedModel(uri) if uri is not None else None
    candidate = Candidate(sweep, prepared, selection, target.name, target.stage, saved)
    if not force:
        _refuse_to_empty_production(reader, candidate)
    return candidate


def _refuse_deleted(reader: SweepReader, trials: Sequence[Trial], run_id: str) -> None:
    """Raise when a run that somebody wants is none of the trials' because it was deleted.

    Raises:
        DeletedError: It was.
    """
    if not any((trial.run_id or "").startswith(run_id) for trial in trials):
        reader.refuse_deleted_trial(run_id)


def _among_those_left(selection: Selection, sweep: SweepRecord, trials: Sequence[Trial]) -> Selection:
    """Say so where the run of the trial that won when the sweep ended has been deleted since."""
    winner, number = sweep.tags.get(names.WINNER), sweep.tags.get(names.BEST_TRIAL)
    if not winner or any(trial.run_id == winner for trial in trials):
        return selection
    finished = sum(trial.state is TrialState.FINISHED for trial in trials)
    note = f"Trial {number} won when the sweep ended, and its run was deleted; this is the best of the {finished} that are left."
    return replace(selection, reasons=(*selection.reasons, note))


def _target(registry: RegistryConfig | None, name: str | None, stage: Stage | None) -> RegistryConfig:
    """Describe where to: the config's registered model and stage, but for what the user gives."""
    if name is None and registry is None:
        raise ConfigError([Problem("the sweep's config names no registered model; give one with --name")])
    try:
        return RegistryConfig(
            name=registry.name if name is None and registry else name or "",
            stage=stage or (registry.stage if registry else Stage.STAGING),
        )
    except ValidationError as error:
        message = "; ".join(problem.message for problem in explain(error, RegistryConfig, union_tags=()))
        raise ConfigError.at("--name", message) from error


def _refuse_to_empty_production(reader: SweepReader, candidate: Candidate) -> None:
    if candidate.saved is None or candidate.stage is Stage.PRODUCTION:
        return
    production = ModelRegistry(reader.client).in_stage(candidate.name, Stage.PRODUCTION)
    if production is not None and production.source == candidate.saved.uri:
        message = (
            f"this model is in Production, and {candidate.stage.value} would take it out of there; --force does it all the same"
        )
        raise ConfigError([Problem(message)])


def promote_candidate(reader: SweepReader, candidate: Candidate, *, force: bool = False) -> StagingResult:
    """Promote what `find_candidate` found, if the gate lets it; its model is fitted and logged first when its run has none.

    Args:
        reader: Reads the store.
        candidate: What is to be promoted.
        force: Whether it is promoted whatever the gate says.

    Raises:
        ModelError: It cannot be fitted or saved.
        TrackingError: The store failed.
    """
    sweep, trial = candidate.sweep, candidate.selection.trial
    runs = SweepRuns(reader.client, sweep.experiment_id, sweep.run_id)
    policy, saved, winner = RetryPolicy(PATIENCE_SECONDS), candidate.saved, None
    leave_retries_to_policy()
    if saved is None:
        winner = candidate.prepared.refit(trial)
        saved = log_winning_model(winner, runs, trial.run_id or "", trusted=candidate.prepared.trusted_packages, policy=policy)
    if saved is None:
        raise ModelError(candidate.prepared.why_no_model(trial))
    policy.run(lambda: runs.write_json(names.SELECTION_FILE, candidate.selection.record()))
    challenger = Challenger(candidate.prepared, trial, winner, saved, runs, candidate.name)
    outcome = put_in_stage(
        challenger, candidate.selection, name=candidate.name, stage=candidate.stage, policy=policy, force=force
    )
    if not outcome.is_refused:
        policy.run(lambda: runs.set_tags(runs.run_id, winner_tags(candidate.selection)))
    return outcome


def promote_winner(
    runs: SweepRuns,
    prepared: SweepPlan,
    selection: Selection,
    saved: SavedModel | None,
    *,
    name: str | None,
    stage: str | None,
    force: bool,
) -> StagingResult:
    """Promote the winner of a sweep that this process has run; see `SweepOutcome.promote`."""
    reader, target = SweepReader(runs.client), _target(prepared.config.registry, name, find_stage(stage, "stage"))
    candidate = Candidate(reader.find(runs.run_id), prepared, selection, target.name, target.stage, saved)
    if not force:
        _refuse_to_empty_production(reader, candidate)
    return promote_candidate(reader, candidate, force=force)


def _select(trials: Sequence[Trial], prepared: SweepPlan, run_id: str | None) -> Selection:
    best = select(trials, prepared.objective)
    if best is None:
        raise NotFoundError("no trial of this sweep finished; there is nothing to promote")
    if run_id is None:
        return best
    found = [trial for trial in trials if run_id and trial.run_id is not None and trial.run_id.startswith(run_id)]
    if len(found) != 1:
        raise NotFoundError(f"{len(found) or 'no'} trials of this sweep have a run id that begins with '{run_id}'")
    if found[0].state is not TrialState.FINISHED:
        raise NotFoundError(f"trial {found[0].number} is {found[0].state}, not finished; it cannot be promoted")
    return choose(found[0], trials, prepared.objective, by="--run")
