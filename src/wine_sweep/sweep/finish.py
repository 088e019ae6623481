"""Finish a sweep: choose the winner, fit it, log it, promote it, and write table and summary."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from wine_sweep.config import Expression
from wine_sweep.errors import ModelError, SweepFailed, SweepInterrupted
from wine_sweep.evaluation.bootstrap import Interval
from wine_sweep.promotion.promote import NOT_PROMOTED, Challenger, StagingResult, log_winning_model, put_in_stage
from wine_sweep.registry import Promotion
from wine_sweep.report.trials import (
    Leaderboard,
    as_csv,
    as_records,
    count_states,
    describe_params,
    describe_trials,
    group_failures,
    make_leaderboard,
    markdown_summary,
)
from wine_sweep.selection import Selection, number, select
from wine_sweep.selection.objective import known_values
from wine_sweep.sweep.loop import StopReason
from wine_sweep.sweep.metadata import winner_tags
from wine_sweep.sweep.recorder import Observer, Persistence
from wine_sweep.targets.base import SweepPlan
from wine_sweep.targets.refit import Winner
from wine_sweep.tracking import names
from wine_sweep.tracking.models import SavedModel
from wine_sweep.tracking.reader import SweepReader
from wine_sweep.trial import Trial, TrialState

if TYPE_CHECKING:
    import pandas as pd

    from wine_sweep.gate import Verdict
    from wine_sweep.tracking.retry import RetryPolicy
    from wine_sweep.tracking.runs import SweepRuns


def in_kept_runs(selection: Selection, runs: SweepRuns, policy: RetryPolicy) -> Selection:
    """Return a selection whose trials all have a run: one that somebody has deleted since is made anew.

    Raises:
        TrackingError: The store failed.
    """
    chosen = {trial.number: trial for trial in (*selection.front, selection.trial)}
    run_ids = policy.run(lambda: {number: runs.kept_run(trial) for number, trial in chosen.items()})
    kept = {number: replace(trial, run_id=run_ids[number]) for number, trial in chosen.items()}
    return replace(selection, trial=kept[selection.trial.number], front=tuple(kept[each.number] for each in selection.front))


@dataclass(frozen=True)
class FinishedSweep:
    """A sweep whose trials have ended.

    Args:
        prepared: What was swept.
        runs: Its runs.
        trials: All trials by number, with their runs' ids.
        stopped_by: Why there are no more.
        repeats: How many suggestions repeated earlier parameters.
    """

    prepared: SweepPlan
    runs: SweepRuns
    trials: Sequence[Trial]
    stopped_by: StopReason
    repeats: int

    def leaderboard(self) -> Leaderboard:
        """Return all trials, the best first."""
        return make_leaderboard([(self.prepared.name, self.prepared.objective, self.trials)])

    def write_trials(self) -> None:
        """Write the table of trials, the counts and a first summary to the parent run.

        Raises:
            TrackingError: The store failed.
        """
        runs = self.runs
        runs.write_file(names.TRIALS_FILE, as_csv(self.leaderboard()))
        counts = {f"trials_{state.value}": float(n) for state, n in count_states(self.trials).items() if state.has_ended}
        runs.log_metrics(runs.run_id, counts, at=max((trial.ended for trial in self.trials), default=0.0))
        runs.set_tags(runs.run_id, {names.NOTE: self._note(None, None, ""), names.STOPPED_BY: self.stopped_by.value})

    def write_selection(self, selection: Selection) -> None:
        """Write the record of the choice to the parent run, and mark the trials on the Pareto front.

        Raises:
            TrackingError: The store failed.
        """
        self.runs.write_json(names.SELECTION_FILE, selection.record())
        for trial in selection.front:
            if trial.run_id is not None:
                self.runs.set_tags(trial.run_id, {names.PARETO: "true"})

    def write_winner(self, selection: Selection, winner: Winner | None, outcome: str) -> None:
        """Write the summary anew, with the winner.

        Args:
            selection: The winner and the reasons.
            winner: The refitted model, if it was fitted anew.
            outcome: What became of it, in a sentence.

        Raises:
            TrackingError: The store failed.
        """
        tags = {**winner_tags(selection), names.NOTE: self._note(selection, winner, outcome)}
        self.runs.set_tags(self.runs.run_id, tags)

    def _note(self, selection: Selection | None, winner: Winner | None, outcome: str) -> str:
        prepared = self.prepared
        return markdown_summary(
            f"{prepared.name}: {prepared.subject}"
            + (f" on {prepared.material.dataset.name}" if prepared.material is not None else ""),
            self.trials,
            prepared.objective,
            selection=selection,
            test_scores=winner.test_scores if winner else {},
            interval=winner.interval if winner else None,
            outcome=outcome,
        )

    def why_none_finished(self) -> str:
        """Describe why there is no winner: the failures, summed up, or the limits that every trial breaks."""
        if not self.trials:
            return "no trial was run: the time was up before the first"
        counts = count_states(self.trials)
        finished = [trial for trial in self.trials if trial.state is TrialState.FINISHED]
        if finished:
            nearest = min(finished, key=lambda trial: (len(trial.violations), sum(trial.violations.values())))
            values = known_values(nearest)
            limited = dict.fromkeys(name for limit in nearest.violations for name in Expression(limit).names)
            shown = ", ".join(f"{name} {number(values[name])}" for name in limited)
            limits = " and ".join(self.prepared.objective.limits)
            return f"none of {len(finished)} finished trials keeps {limits}; the nearest is trial {nearest.number} with {shown}"
        reasons = self._reasons()
        pruned = f", {counts[TrialState.PRUNED]} pruned" if counts[TrialState.PRUNED] else ""
        failed = f"{counts[TrialState.FAILED]} failed"
        return f"none of {len(self.trials)} trials finished, {failed}{pruned}{f': {reasons}' if reasons else ''}"

    @property
    def has_too_many_failures(self) -> bool:
        """Return whether as many trials failed as `max_failures` allows."""
        most = self.prepared.config.execution.max_failures
        return most is not None and count_states(self.trials)[TrialState.FAILED] >= most

    def why_too_many_failed(self) -> str:
        """Describe how many failed and why, and how many finished all the same."""
        counts = count_states(self.trials)
        failed, finished = counts[TrialState.FAILED], counts[TrialState.FINISHED]
        most = self.prepared.config.execution.max_failures
        kept = f"; {finished} finished and {'are' if finished > 1 else 'is'} kept" if finished else ""
        return f"{failed} of {len(self.trials)} trials failed, and max_failures is {most}: {self._reasons()}{kept}"

    def _reasons(self) -> str:
        """Sum up the failures, the three most frequent."""
        return "; ".join(f"{failure} ({describe_trials(numbers)})" for failure, numbers in group_failures(self.trials)[:3])


@dataclass(frozen=True, repr=False)
class SweepOutcome:
    """What came of a sweep: the winner as `best` and `best_…`, all `trials`, and what was promoted.

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

    def __repr__(self) -> str:
        best = f"best=trial {self.best.number}: {describe_params(self.best.params)}"
        return f"{type(self).__name__}(run_id={self.run_id!r}, {best}, {len(self.closing.trials)} trials)"

    @property
    def run_id(self) -> str:
        """The parent run's id in MLflow."""
        return self.closing.runs.run_id

    @property
    def best(self) -> Trial:
        """The winner: its `params`, `scores`, `run_id`."""
        return self.selection.trial

    @property
    def best_params(self) -> Mapping[str, Any]:
        """The winner's searched parameters by name."""
        return self.best.params

    @property
    def best_value(self) -> float:
        """The winner's mean of the objective's metric; of the first where there are several."""
        return self.best.score(self.closing.prepared.objective.metric).mean

    @property
    def best_run_id(self) -> str:
        """The id of the winner's own run in MLflow, a child of `run_id`."""
        return self.best.run_id or ""

    @property
    def reasons(self) -> Sequence[str]:
        """Why it is the winner, a sentence each."""
        return self.selection.reasons

    @property
    def model_uri(self) -> str | None:
        """The URI of the winner's logged model, for `mlflow.pyfunc.load_model`; None where there is none."""
        return self.saved.uri if self.saved is not None else None

    @property
    def promotion(self) -> Promotion | None:
        """Where the winner was promoted to; None where it was not."""
        return self.outcome.promotion if self.outcome is not None else None

    @property
    def verdict(self) -> Verdict | None:
        """What the gate says of the winner, with the reasons and the numbers; None where nothing was to be promoted."""
        return self.outcome.verdict if self.outcome is not None else None

    @property
    def test_scores(self) -> Mapping[str, float]:
        """The winner's metrics on the test rows; empty where there are none."""
        return self.winner.test_scores if self.winner is not None else {}

    @property
    def test_interval(self) -> Interval | None:
        """How sure the objective's value among them is; None where that is not known."""
        return self.winner.interval if self.winner is not None else None

    @property
    def trials(self) -> pd.DataFrame:
        """All trials, a row each, the best first: trial, state, parameters, metrics with their spread, `error`, `run_id`."""
        import pandas as pd

        return pd.DataFrame(as_records(self.closing.leaderboard()))

    @property
    def result(self) -> SweepOutcome:
        """The same; there were two classes once."""
        return self

    def promote(self, *, name: str | None = None, stage: str | None = None, force: bool = False) -> StagingResult:
        """Promote the winner now, as ``wine-sweep promote`` does: if the gate lets it.

        Args:
            name: The registered model; the config's by default.
            stage: ``Staging`` or ``Production``; the config's by default.
            force: Whether to promote whatever the gate says, and out of Production too.

        Returns:
            What became of it: its `promotion` is None where the gate said no, for the reasons of its `verdict`.

        Raises:
            ConfigError: Nobody says which registered model it is for, there is no such stage, or the model is in Production.
            ModelError: There is no model to promote.
            TrackingError: The registry failed.
        """
        from wine_sweep.sweep.promote_recorded import promote_winner

        closing = self.closing
        return promote_winner(closing.runs, closing.prepared, self.selection, self.saved, name=name, stage=stage, force=force)

    def _repr_html_(self) -> str:
        """Show the leaderboard in a notebook."""
        html: str = self.trials.to_html(index=False)
        return html


def conclude(
    closing: FinishedSweep, persistence: Persistence, observer: Observer, stop: Callable[[], bool], *, may_promote: bool
) -> SweepOutcome:
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
    selection = in_kept_runs(chosen, runs, policy)
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
    return SweepOutcome(closing, selection, winner, outcome, saved)
