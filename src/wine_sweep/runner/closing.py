"""What is written to the parent run when its trials are done: the table, the counts, the summary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from wine_sweep.config import Expression
from wine_sweep.report.leaderboard import as_csv, make_leaderboard
from wine_sweep.report.summary import count_states, describe_trials, group_failures, markdown_summary
from wine_sweep.runner.stopping import StopReason
from wine_sweep.selection import Selection, number
from wine_sweep.selection.objective import known_values
from wine_sweep.subjects.prepared import SweepPlan
from wine_sweep.tracking import names
from wine_sweep.trial import Trial, TrialState

if TYPE_CHECKING:  # these import MLflow, which takes seconds that the first trials should not wait for
    from wine_sweep.subjects.refit import Winner
    from wine_sweep.tracking.sweep_runs import SweepRuns


def winner_tags(selection: Selection) -> dict[str, str]:
    """Give the tags that name the winner on the parent run."""
    return {names.BEST_TRIAL: str(selection.trial.number), names.WINNER: selection.trial.run_id or ""}


def in_kept_runs(selection: Selection, runs: SweepRuns) -> Selection:
    """Give a selection whose trials all have a run: one that somebody has deleted since is made anew.

    Raises:
        TrackingError: The store failed.
    """
    chosen = {trial.number: trial for trial in (*selection.front, selection.trial)}
    kept = {number: replace(trial, run_id=runs.kept_run(trial)) for number, trial in chosen.items()}
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

    def write_trials(self) -> None:
        """Write the table of trials, the counts and a first summary to the parent run.

        Raises:
            TrackingError: The store failed.
        """
        prepared, runs = self.prepared, self.runs
        runs.write_file(names.TRIALS_FILE, as_csv(make_leaderboard([(prepared.name, prepared.objective, self.trials)])))
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
        """Say why there is no winner: the failures, summed up, or the limits that every trial breaks."""
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
        """Whether as many trials failed as `max_failures` allows."""
        most = self.prepared.config.execution.max_failures
        return most is not None and count_states(self.trials)[TrialState.FAILED] >= most

    def why_too_many_failed(self) -> str:
        """Say how many failed and why, and how many finished all the same."""
        counts = count_states(self.trials)
        failed, finished = counts[TrialState.FAILED], counts[TrialState.FINISHED]
        most = self.prepared.config.execution.max_failures
        kept = f"; {finished} finished and {'are' if finished > 1 else 'is'} kept" if finished else ""
        return f"{failed} of {len(self.trials)} trials failed, and max_failures is {most}: {self._reasons()}{kept}"

    def _reasons(self) -> str:
        """Sum up the failures, the three most frequent."""
        return "; ".join(f"{failure} ({describe_trials(numbers)})" for failure, numbers in group_failures(self.trials)[:3])
