"""Log a sweep's winner as a model, gate it against the version in the stage, and promote it."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from wine_sweep.config import Direction, GateConfig, Stage
from wine_sweep.data.splits import TrainingData
from wine_sweep.errors import ModelError, OvertakenError
from wine_sweep.evaluation.bootstrap import Sample
from wine_sweep.evaluation.capture import foreign_output_shown
from wine_sweep.evaluation.estimators import part_of
from wine_sweep.evaluation.row_losses import RowLoss, row_loss_of
from wine_sweep.gate import (
    Contest,
    Decision,
    LossContest,
    Reason,
    ScoreContest,
    Verdict,
    champion_columns,
    champion_fails,
    champion_unloadable,
    describe_dummy,
    fit_dummy,
    forced,
    judge_against_champion,
    judge_against_dummy,
    no_gate,
    other_target,
    other_task,
    overtaken,
    same_model,
    sliceable,
    unknown_rows,
)
from wine_sweep.messages import markdown
from wine_sweep.monitoring.reference import Reference
from wine_sweep.registry import STAGES, Action, Entry, ModelRegistry, Promotion, RegisteredVersion, exclusive, new_token
from wine_sweep.selection import Selection
from wine_sweep.targets.base import SweepPlan
from wine_sweep.targets.refit import Winner, reference_of
from wine_sweep.targets.trust import trusts_model
from wine_sweep.tracking import names
from wine_sweep.tracking.local_state import user_name
from wine_sweep.tracking.model_policy import ModelTrust
from wine_sweep.tracking.models import LoadedModel, ModelToLog, SavedModel, check_loads_back, is_alike, load_model, log_model
from wine_sweep.tracking.monitoring_runs import read_reference, write_reference
from wine_sweep.tracking.retry import RetryPolicy
from wine_sweep.tracking.runs import SweepRuns
from wine_sweep.trial import Task, Trial, canonical_json

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Challenger:
    """The winner, as it is to be promoted.

    Args:
        prepared: What was swept.
        trial: The trial that won.
        winner: Its model in memory; None where only MLflow has it.
        saved: Its logged model.
        runs: The sweep's runs.
        name: The registered model that it is to become a version of.
    """

    prepared: SweepPlan
    trial: Trial
    winner: Winner | None
    saved: SavedModel
    runs: SweepRuns
    name: str

    @property
    def model_uri(self) -> str:
        """The URI of its logged model."""
        return self.saved.uri

    @property
    def trust(self) -> ModelTrust:
        """Whose word counts when a version of the registered model is loaded."""
        return ModelTrust(self.name, trusts_model(self.prepared.trusted, self.name))

    @cached_property
    def model(self) -> Any:
        """The fitted model.

        Raises:
            ModelError: It cannot be loaded.
        """
        kept = self.winner.model if self.winner is not None else None
        return kept if hasattr(kept, "get_params") else self.loaded

    @cached_property
    def loaded(self) -> LoadedModel:
        """The model as its users load it.

        Raises:
            ModelError: It cannot be loaded.
        """
        return load_model(self.model_uri, replace(self.trust, written=self.saved.written))

    @cached_property
    def reference(self) -> Reference | None:
        """What it was trained and tested on; where there is no such record yet it is made, and None where that cannot be."""
        if self.winner is not None and self.winner.reference is not None:
            return self.winner.reference
        run_id = self.trial.run_id or ""
        return read_reference(self.runs.client, run_id) or self._take_down(run_id)

    def _take_down(self, run_id: str) -> Reference | None:
        """Make the record of a model that was logged without one, such as a Python model of somebody's own."""
        prepared, material = self.prepared, self.prepared.material
        if material is None:
            return None
        try:
            predictions = self.loaded.predict(test_features(material))
        except ModelError:
            raise
        except Exception as error:  # noqa: BLE001  # whatever somebody's model raises; without a record it is not promoted
            _logger.warning("the model does not predict the test rows: %s: %s", type(error).__name__, error)
            return None
        objective, seed = prepared.objective.metric, prepared.config.search.seed
        made = reference_of(self.loaded, material, predictions, objective=objective, seed=seed)
        if made is not None:
            write_reference(self.runs.client, run_id, made)
        return made

    def check_loads(self) -> None:
        """Load the model as its users will, and see that it predicts the test rows as it did when it was kept.

        Raises:
            ModelError: It does not.
        """
        model, material, reference = self.loaded, self.prepared.material, self.reference
        if material is None or reference is None or len(reference.test) != len(material.split.test):
            return
        now, then = np.asarray(model.predict(test_features(material))).reshape(-1), reference.test["prediction"].to_numpy()
        if not is_alike(now, then):
            raise ModelError(f"{self.model_uri} predicts otherwise than when it was kept")

    @property
    def key(self) -> str:
        """A digest, in hex, of what makes the model: its kind, its parameters, its seed, and the rows that it was trained on.

        Empty for a command, which reads rows that only it knows, and where chance decides what comes of a fit.
        """
        material, config = self.prepared.material, self.prepared.config
        if material is None or self.prepared.unseeded_parameters(self.trial):
            return ""
        models = {name: model.model_dump(mode="json", exclude={"parameters"}) for name, model in config.families.items()}
        if config.model is not None and config.model.function is not None:
            models = {}  # where its file lies is not what it is: its content is in the sweep's digest
        parts = [models, self.trial.key, self.prepared.digest, config.search.seed]
        ordered = canonical_json(models)
        if ordered != json.dumps(models, sort_keys=True, separators=(",", ":"), ensure_ascii=False):
            parts.append(ordered)  # steps that run in another order are another model
        found = hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode())
        found.update(np.ascontiguousarray(material.split.train, dtype="<i8").tobytes())
        return found.hexdigest()


def test_features(material: TrainingData) -> pd.DataFrame:
    """Return the features of the test rows, numbered from 0."""
    return material.dataset.features.iloc[material.split.test].reset_index(drop=True)


def log_winning_model(
    winner: Winner | None,
    runs: SweepRuns,
    run_id: str,
    *,
    trusted: tuple[str, ...],
    policy: RetryPolicy,
    note: Callable[[str, Mapping[str, str] | None], object] = lambda _uri, _written: None,
    clock: Callable[[], float] = time.time,
) -> SavedModel | None:
    """Log the winner as a model under its trial's run, load it back, and log its test metrics.

    What it was trained and tested on is written before the tag that says that there is a model.

    Where it was not fitted anew, the model is the one that the trial's own process has logged.

    Args:
        winner: The refitted model; None where the trial's run is to hold one.
        runs: The sweep's runs.
        run_id: The trial's run.
        trusted: Packages that the person at the keyboard trusts.
        policy: Tries each step again while the store is away.
        note: Keeps what has been saved, by its URI and the digests of its files, before the run's tag names it.
        clock: Tells the time in seconds since the epoch.

    Returns:
        The model; None when there is none.

    Raises:
        ModelError: It cannot be saved, or does not load back as it was.
        TrackingError: The store failed.
    """
    if winner is None:
        adopted = policy.run(lambda: runs.adopt_model(run_id))
        return SavedModel(adopted) if adopted is not None else None
    saved: SavedModel | None = None
    if winner.model is not None:
        saved = _keep(winner, runs, run_id, trusted, policy)
        note(saved.uri, saved.written)
    now, metrics = clock(), test_metrics(winner)
    policy.run(lambda: runs.log_metrics(run_id, metrics, at=now))
    if saved is not None:
        tags = {names.MODEL: saved.uri}
        policy.run(lambda: runs.set_tags(run_id, tags))
    return saved


def test_metrics(winner: Winner) -> dict[str, float]:
    """Return what the winner measures on the test rows, under the names that it has in MLflow."""
    metrics = {names.test_metric(name): value for name, value in winner.test_scores.items()}
    if winner.interval is not None:
        metrics[names.test_low_metric(winner.interval.metric)] = winner.interval.low
        metrics[names.test_high_metric(winner.interval.metric)] = winner.interval.high
    return metrics


def _keep(winner: Winner, runs: SweepRuns, run_id: str, trusted: tuple[str, ...], policy: RetryPolicy) -> SavedModel:
    to_log = ModelToLog(winner.model, winner.train, trusted)
    saved = policy.run(lambda: log_model(runs.client, to_log, experiment_id=runs.experiment_id, run_id=run_id))
    if winner.test is not None and winner.predictions is not None:
        test, predictions = winner.test, winner.predictions
        policy.run(lambda: check_loads_back(saved.uri, test, predictions, saved.written))
    if saved.reasons:
        why = "; ".join(saved.reasons)
        _logger.warning("the winner's model will be loaded only with --trust model:NAME, since it could run code (%s)", why)
    if winner.reference is not None:
        reference = winner.reference
        policy.run(lambda: write_reference(runs.client, run_id, reference))
    return saved


_logger = logging.getLogger(__name__)


def ask_gate(challenger: Challenger, champion: RegisteredVersion | None) -> Verdict:
    """Return whether the challenger takes the champion's place.

    Args:
        challenger: The winner of a sweep.
        champion: The version that is in the stage; None when there is none.

    Raises:
        ModelError: The challenger's own model cannot be loaded, or does not predict.
        TrackingError: The store failed.
    """
    if champion is not None and is_same(challenger, champion):
        why = _why_unloadable(champion, challenger)
        return same_model(champion.version) if why is None else champion_unloadable(champion.version, why)
    gate, material = challenger.prepared.gate, challenger.prepared.material
    if gate is None or material is None:
        return no_gate()
    reference = challenger.reference
    if reference is None:
        return unknown_rows(None)
    if champion is None:
        return _against_dummy(gate, challenger, reference, material)
    return _against_champion(gate, challenger, reference, material, champion)


def is_same(challenger: Challenger, champion: RegisteredVersion) -> bool:
    """Return whether both are the same logged model, or made of the same parameters and rows."""
    if champion.source == challenger.model_uri:
        return True
    return bool(challenger.key) and champion.tags.get(names.MODEL_KEY) == challenger.key


def _against_dummy(gate: GateConfig, challenger: Challenger, reference: Reference, material: TrainingData) -> Verdict:
    dataset, train = material.dataset, material.split.train
    loss, target = reference.metric, dataset.target.to_numpy()
    rows = _Rows.of(material, ~reference.was_trained_on(test_features(material)))
    features = dataset.features.iloc[train]
    dummy = fit_dummy(reference.task, loss, features, target[train], part_of(dataset.weights, train))
    losses = loss.losses(dummy, rows.features, rows.target), _losses_of_winner(challenger, loss, rows)
    by_loss = LossContest(loss, *losses, rows.target, rows.groups, rows.weights)
    contest, why = _contest(challenger, dummy, by_loss, rows.features, reference.task)
    return _saying(judge_against_dummy(gate, contest, dummy=describe_dummy(loss)), why)


def _against_champion(
    gate: GateConfig, challenger: Challenger, reference: Reference, material: TrainingData, champion: RegisteredVersion
) -> Verdict:
    version = champion.version
    before = read_reference(challenger.runs.client, champion.run_id) if champion.run_id else None
    if before is None:
        return unknown_rows(version)
    if before.target != reference.target:
        return other_target(version, before.target, reference.target)
    if before.task is not reference.task:
        return other_task(version, before.task, reference.task)
    gone = [name for name in before.names if name not in material.dataset.features]
    if gone:
        return champion_columns(version, gone=gone, new=[name for name in reference.names if name not in before.names])
    return _on_same_rows(gate, challenger, _Pair(before, reference), material, champion)


@dataclass(frozen=True)
class _Pair:
    """What the champion and the challenger were trained and tested on."""

    before: Reference
    after: Reference


def _on_same_rows(
    gate: GateConfig, challenger: Challenger, pair: _Pair, material: TrainingData, champion: RegisteredVersion
) -> Verdict:
    version, own, features = champion.version, challenger.model, test_features(material)
    try:
        model = load_model(champion.uri, challenger.trust)
    except ModelError as error:
        return champion_unloadable(version, str(error))
    both = all(hasattr(each, "predict_proba") for each in (model, own))
    loss = row_loss_of(challenger.prepared.judging_metric, pair.after.task, probabilities=both)
    try:
        trained = pair.before.was_trained_on(features)
        rows = _Rows.of(material, ~trained & ~pair.after.was_trained_on(features))
        losses = loss.losses(model, rows.features, rows.target) if len(rows.target) else np.empty(0)
    except Exception as error:  # noqa: BLE001  # whatever somebody's model or other values raise; it is said, and the model is kept
        return champion_fails(version, f"{type(error).__name__}: {error}")
    own_losses = _losses_of_winner(challenger, loss, rows) if len(rows.target) else np.empty(0)
    if len(losses) >= gate.min_rows and loss.direction is Direction.MINIMIZE and np.array_equal(losses, own_losses):
        return same_model(version, rows=len(losses))
    by_loss = LossContest(loss, losses, own_losses, rows.target, rows.groups, rows.weights)
    contest, why = _contest(challenger, model, by_loss, rows.features, pair.after.task)
    table, excluded = rows.table[gate.slices], int(trained.sum())
    return _saying(judge_against_champion(gate, contest, slices_table=table, version=version, excluded=excluded), why)


def _contest(
    challenger: Challenger, other: Any, by_loss: LossContest, features: pd.DataFrame, task: Task
) -> tuple[Contest, str | None]:
    """Have the metric that decides judge; where it is no mean over rows and cannot be measured anew, the nearest that is.

    Args:
        challenger: The winner.
        other: The model that it is held against.
        by_loss: Both by a mean over rows.
        features: The rows, of shape (rows, features).
        task: What the models do.

    Returns:
        The contest, and where another metric stands in, that it does, in a sentence.
    """
    name = challenger.prepared.judging_metric
    metric = challenger.prepared.find_metric(name)
    if name == by_loss.metric or not len(features):
        return by_loss, None
    stands_in = f"{by_loss.metric} stands in for {name or 'what decides'}"
    if metric is None or metric.task is not task:
        return by_loss, f"{stands_in}: models are compared row by row."
    sample = Sample(features, by_loss.target, by_loss.groups, by_loss.weights)
    try:
        with foreign_output_shown():
            return ScoreContest(metric, other, challenger.model, sample, task), None
    except Exception as error:  # noqa: BLE001  # whatever a metric raises of such predictions; it is said
        return by_loss, f"{stands_in}, which cannot be measured for both models: {type(error).__name__}: {error}"


@dataclass(frozen=True)
class _Rows:
    """The test rows that are compared on."""

    features: pd.DataFrame
    target: np.ndarray
    groups: np.ndarray
    weights: np.ndarray | None
    table: pd.DataFrame

    @classmethod
    def of(cls, material: TrainingData, kept: np.ndarray) -> _Rows:
        """Take those of the test rows that are kept, a bool for each."""
        dataset, rows = material.dataset, material.split.test[kept]
        return cls(
            dataset.features.iloc[rows].reset_index(drop=True),
            dataset.target.to_numpy()[rows],
            dataset.groups[rows],
            part_of(dataset.weights, rows),
            sliceable(dataset).iloc[rows].reset_index(drop=True),
        )


def _saying(verdict: Verdict, why: str | None) -> Verdict:
    """Add by what models were compared, where that is not the metric that decides."""
    return verdict if why is None or verdict.comparison is None else replace(verdict, reasons=(*verdict.reasons, why))


def _why_unloadable(champion: RegisteredVersion, challenger: Challenger) -> str | None:
    is_its_own = champion.source == challenger.model_uri  # promoted by a process that was killed before the sweep ended
    written = challenger.saved.written if is_its_own else None
    try:
        load_model(champion.uri, replace(challenger.trust, written=written))
    except ModelError as error:
        return str(error)
    return None


def _losses_of_winner(challenger: Challenger, loss: RowLoss, rows: _Rows) -> np.ndarray:
    try:
        with foreign_output_shown():
            return loss.losses(challenger.model, rows.features, rows.target)
    except ModelError:
        raise
    except Exception as error:  # whatever somebody's model raises
        message = f"the winner, trial {challenger.trial.number}, does not predict the test rows: {type(error).__name__}: {error}"
        raise ModelError(message) from error


def evidence_of(verdict: Verdict) -> Mapping[str, Any]:
    """Return the numbers of a verdict, for the ledger."""
    return {key: value for key, value in verdict.record().items() if key not in ("reasons", "ground", "decision")}


NOT_PROMOTED = "Not promoted."
"""What is said where nothing was to be promoted."""


@dataclass(frozen=True)
class StagingResult:
    """What became of a winner.

    Args:
        name: The registered model.
        stage: The stage.
        verdict: What the gate says.
        champion: The version that was in the stage before; None when there was none.
        promotion: Where the winner is now; None where it was not promoted.
    """

    name: str
    stage: Stage
    verdict: Verdict
    champion: str | None
    promotion: Promotion | None

    @property
    def is_refused(self) -> bool:
        """Return whether the gate said no; that the same model is there already is no refusal."""
        return self.promotion is None

    def describe(self) -> list[str]:
        """Describe in sentences what became of it, the gate's reasons first."""
        return [*self.verdict.reasons, self.describe_end()]

    def describe_end(self) -> str:
        """Describe in a sentence what became of it."""
        promotion = self.promotion
        if promotion is None:
            kept = f"version {self.champion} of {self.name} stays" if self.champion else f"nothing of {self.name} is"
            return f"Not promoted: {kept} in {self.stage.value}."
        if promotion.already_there:
            return f"It is there already: version {promotion.version} of {self.name} in {self.stage.value}."
        instead = f", in place of version {', '.join(promotion.archived)}" if promotion.archived else ""
        where = f"{self.stage.value} (alias `{self.stage.alias}`)"
        return f"Now version {promotion.version} of {self.name} in {where}{instead}."

    def record(self) -> dict[str, Any]:
        """Return what is kept in MLflow as ``promotion.json``, but for who and when."""
        what = {"model": self.name, "stage": self.stage.value, "alias": self.stage.alias, "promoted": not self.is_refused}
        promotion = self.promotion.record() if self.promotion is not None else {"version": None}
        return {**what, **promotion, "champion": self.champion, "gate": self.verdict.record()}


def put_in_stage(
    challenger: Challenger,
    selection: Selection,
    *,
    name: str,
    stage: Stage,
    policy: RetryPolicy,
    force: bool = False,
    is_checked: bool = False,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> StagingResult:
    """Ask the gate, do what it says, and keep a record of it on the parent run.

    Args:
        challenger: The winner with its logged model.
        selection: Why it is the winner.
        name: The registered model.
        stage: The stage.
        policy: Tries each step again while the store is away.
        force: Whether it is promoted whatever the gate says.
        is_checked: Whether the model has just been loaded back, and predicts as it should.
        now: Tells the time.

    Raises:
        ModelError: The winner's own model does not load, or does not predict.
        TrackingError: The registry failed; what was in the stage is still there.
    """
    runs = challenger.runs
    registry = ModelRegistry(runs.client, policy)
    registry.settle(name)
    production = registry.in_stage(name, Stage.PRODUCTION)
    if stage is not Stage.PRODUCTION and not force and production is not None and production.source == challenger.model_uri:
        there = Promotion(name, production.version, Stage.PRODUCTION, production.run_id, already_there=True)
        return StagingResult(name, Stage.PRODUCTION, same_model(production.version), production.version, there)
    champion = registry.in_stage(name, stage)
    verdict = policy.run(lambda: ask_gate(challenger, champion))
    is_itself = champion is not None and champion.source == challenger.model_uri
    if force and verdict.decision is Decision.KEEP and not is_itself:
        verdict = forced(verdict)
    entry = _entry(challenger, verdict, champion, stage, selection=selection, sweep=runs.run_id, when=now())
    outcome = StagingResult(name, stage, verdict, entry.before, None)
    if verdict.ground is Reason.SAME_MODEL and champion is not None:
        outcome = replace(outcome, promotion=registry.move(champion, stage, entry))  # the alias may have to follow
    elif verdict.decision is Decision.KEEP:
        registry.note(name, entry)
    else:
        if not is_checked:
            policy.run(challenger.check_loads)
        outcome = _promote(registry, challenger, outcome, entry)
    record = {**outcome.record(), "when": entry.when.isoformat(timespec="seconds"), "who": entry.who, "sweep": runs.run_id}
    policy.run(lambda: runs.write_json(names.PROMOTION_FILE, {**record, "reasons": list(selection.reasons)}))
    return outcome


def _promote(registry: ModelRegistry, challenger: Challenger, outcome: StagingResult, entry: Entry) -> StagingResult:
    """Make the winner a version and move it; where somebody was faster, that is the outcome."""
    tags = {
        names.SWEEP: entry.sweep,
        names.TRIAL: str(challenger.trial.number),
        names.DATA: challenger.prepared.digest,
        names.PARAMS: json.dumps(dict(challenger.trial.params)),
        **({names.MODEL_KEY: challenger.key} if challenger.key else {}),
    }
    why = "\n".join(f"- {markdown(reason)}" for reason in (*entry.reasons, *entry.evidence["selection"]))
    with exclusive(outcome.name):  # two at once would make two versions of one model
        registered = registry.register(
            outcome.name, model_uri=challenger.model_uri, run_id=entry.run_id, description=why, tags=tags
        )
    left = registered.stage if registered.stage in STAGES and registered.stage != entry.stage else None
    entry = replace(entry, after=registered.version, left=left)
    try:
        return replace(outcome, promotion=registry.move(registered, outcome.stage, entry))
    except OvertakenError as error:
        there = registry.in_stage(outcome.name, outcome.stage)
        champion = there.version if there is not None else None
        verdict = overtaken(outcome.verdict, str(error))
        kept = replace(entry, action=Action.KEPT, before=champion, after=champion, left=None, reasons=verdict.reasons)
        registry.note(outcome.name, replace(kept, ground=verdict.ground.value, token=new_token()))
        return replace(outcome, verdict=verdict, champion=champion)


def _entry(
    challenger: Challenger,
    verdict: Verdict,
    champion: RegisteredVersion | None,
    stage: Stage,
    *,
    selection: Selection,
    sweep: str,
    when: datetime,
) -> Entry:
    promotes = verdict.decision is Decision.PROMOTE
    before = champion.version if champion is not None else None
    return Entry(
        Action.PROMOTED if promotes else Action.KEPT,
        stage.value,
        user_name(),
        before,
        before,
        verdict.reasons,
        ground=verdict.ground.value,
        run_id=challenger.trial.run_id or "",
        sweep=sweep,
        evidence={**evidence_of(verdict), "selection": list(selection.reasons)},
        when=when,
    )
