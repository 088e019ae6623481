"""From the trials to the registry: the winner is chosen, fitted, kept, promoted, and everything summed up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from wine_sweep.errors import ModelError, SweepFailed, SweepInterrupted
from wine_sweep.objective.bootstrap import Interval
from wine_sweep.registry import Promotion
from wine_sweep.runner.challenger import Challenger
from wine_sweep.runner.closing import FinishedSweep, in_kept_runs
from wine_sweep.runner.keeping import Persistence
from wine_sweep.runner.recorder import Observer
from wine_sweep.runner.staging import NOT_PROMOTED, StagingResult, put_in_stage
from wine_sweep.runner.stopping import StopReason
from wine_sweep.runner.winner import log_winning_model
from wine_sweep.selection import Selection, select
from wine_sweep.subjects.refit import Winner
from wine_sweep.tracking.models import SavedModel
from wine_sweep.tracking.reader import SweepReader
from wine_sweep.trial import Trial


@dataclass(frozen=True)
class SweepResult:
    """What came of a sweep.

    Args:
        closing: All trials, the runs they are in, and why there are no more.
        selection: The winner and the reasons.
        winner: The refitted model; None where its run held one already.
        outcome: What became of it in the registry; None when nothing was to be promoted.
        saved: Its logged model; None where there is none.
    """

    closing: FinishedSweep
    selection: Selection
    winner: Winner | None
    outcome: StagingResult | None
    saved: SavedModel | None = None

    @property
    def promotion(self) -> Promotion | None:
        """Where the winner is now; None where it was not promoted."""
        return self.outcome.promotion if self.outcome is not None else None

    @property
    def run_id(self) -> str:
        """The parent run's id."""
        return self.closing.runs.run_id

    @property
    def test_scores(self) -> Mapping[str, float]:
        """The winner's metrics on the test rows; empty where there are none."""
        return self.winner.test_scores if self.winner is not None else {}

    @property
    def test_interval(self) -> Interval | None:
        """How sure the objective's value among them is; None where that is not known."""
        return self.winner.interval if self.winner is not None else None

    @property
    def trials(self) -> Sequence[Trial]:
        """All trials by number, with their runs' ids."""
        return self.closing.trials


def conclude(
    closing: FinishedSweep, persistence: Persistence, observer: Observer, stop: Callable[[], bool], *, may_promote: bool
) -> SweepResult:
    """Select, refit, keep, promote, and sum up; before each of them somebody may have said stop.

    Each step is tried again while the store is away.

    What was done before a sweep was resumed is not done again: a winner's model that was logged stays the one.

    Raises:
        SweepFailed: No trial finished, or too many failed.
        SweepInterrupted: `stop` said so.
        TrackingError: The store failed.
        ModelError: The winner cannot be fitted or saved, or has no model to promote.
    """

    def go_on_with(what: str) -> None:
        if stop() or closing.stopped_by is StopReason.INTERRUPTED:
            raise SweepInterrupted("the sweep was interrupted", run_id=runs.run_id)
        persistence.writer.check()
        observer.phase(what)

    prepared, runs, policy = closing.prepared, closing.runs, persistence.policy
    go_on_with("choosing the winner")
    if closing.has_too_many_failures:
        raise SweepFailed(closing.why_too_many_failed())
    chosen = select(closing.trials, prepared.objective)
    if chosen is None:
        raise SweepFailed(closing.why_none_finished())
    selection = policy.run(lambda: in_kept_runs(chosen, runs))
    policy.run(lambda: closing.write_selection(selection))
    winner = None
    if prepared.is_refitted:
        go_on_with("fitting the winner")
        winner = prepared.refit(selection.trial, persistence.journal.trial_dirs.common)
        go_on_with("saving the winner")
    run_id = selection.trial.run_id or ""
    uri = policy.run(lambda: SweepReader(runs.client).model_uri(run_id))
    is_checked = uri is None and winner is not None and winner.predictions is not None
    journal = persistence.journal
    if uri:
        saved: SavedModel | None = SavedModel(uri, journal.model_written(uri))  # as a process that was killed left it
    else:
        saved = log_winning_model(winner, runs, run_id, trusted=prepared.trusted_packages, policy=policy, note=journal.note_model)
    registry, outcome = prepared.config.registry, None
    if registry is not None and may_promote:
        if saved is None:
            raise ModelError(prepared.why_no_model(selection.trial))
        go_on_with(f"promoting it to {registry.stage.value}")
        challenger = Challenger(prepared, selection.trial, winner, saved, runs, registry.name)
        outcome = put_in_stage(
            challenger, selection, name=registry.name, stage=registry.stage, policy=policy, is_checked=is_checked
        )
    describe = " ".join(outcome.describe()) if outcome is not None else NOT_PROMOTED
    policy.run(lambda: closing.write_winner(selection, winner, describe))
    return SweepResult(closing, selection, winner, outcome, saved)
