"""The summary that stands on a parent run, and what went wrong, summed up."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from wine_sweep.messages import markdown
from wine_sweep.report.leaderboard import MARKS, as_markdown, make_leaderboard
from wine_sweep.selection import Objective, Selection, number
from wine_sweep.trial import Trial, TrialState

if TYPE_CHECKING:  # it imports numpy and pandas, which a list of sweeps can do without
    from wine_sweep.evaluation.bootstrap import Interval

SHOWN = 10
_NUMBER = re.compile(r"\d+(\.\d+)?(e[-+]?\d+)?")
MAX_CHARACTERS = 8000
"""The longest value of a tag in MLflow."""
_MORE = "\n… the rest is in trials.csv\n"


def count_states(trials: Sequence[Trial]) -> dict[TrialState, int]:
    """Count trials by state; states that do not occur are 0."""
    counts = Counter(trial.state for trial in trials)
    return {state: counts[state] for state in TrialState}


def group_failures(trials: Sequence[Trial]) -> list[tuple[str, list[int]]]:
    """Put equal failures together, whatever numbers are in them: the first one's text and the numbers of their trials.

    The most frequent come first.
    """
    groups: dict[str, list[Trial]] = defaultdict(list)
    for trial in trials:
        if trial.failure is not None:
            groups[_NUMBER.sub("#", str(trial.failure))].append(trial)
    named = [(str(group[0].failure), [trial.number for trial in group]) for group in groups.values()]
    return sorted(named, key=lambda pair: (-len(pair[1]), pair[1][0]))


def group_warnings(trials: Sequence[Trial]) -> list[tuple[str, str, list[int]]]:
    """Put warnings of one category together: the category, its first message, and the numbers of the trials."""
    groups: dict[str, list[int]] = defaultdict(list)
    messages: dict[str, str] = {}
    for trial in trials:
        for warning in trial.warnings:
            category, _, message = warning.partition(": ")
            groups[category].append(trial.number)
            messages.setdefault(category, message)
    return [(category, messages[category], numbers) for category, numbers in sorted(groups.items())]


@dataclass(frozen=True)
class Work:
    """What a sweep computed, in units of one fit at the full budget.

    Args:
        done: What was fitted; a fit with a tenth of the trees, or of the rows, counts as a tenth.
        whole: What the same trials would have taken without pruning and at the full budget alone.
    """

    done: float
    whole: int


def count_work(trials: Sequence[Trial], *, steps: Sequence[float], whole: int) -> Work:
    """Count the fits of a sweep. A pruned trial had as many steps as its pruner was asked about, a finished one all.

    Args:
        trials: All of them; those that failed or were killed have left no count, and are left out.
        steps: What each step of a trial takes, in fits at the full budget.
        whole: How many fits a trial takes without pruning and at the full budget alone: folds times seeds.
    """
    pruned = [trial for trial in trials if trial.state is TrialState.PRUNED]
    finished = sum(trial.state is TrialState.FINISHED for trial in trials)
    done = finished * sum(steps) + sum(sum(steps[: len(trial.reported)]) for trial in pruned)
    return Work(done, whole * (finished + len(pruned)))


def describe_pruning(trials: Sequence[Trial], work: Work | None, *, by: str | None = None) -> list[str]:
    """Describe how many trials were pruned and what that saved, in a list of one sentence, or of none when none was.

    Args:
        trials: All of them.
        work: What was computed; None where that is not known.
        by: The metric that alone decided, where there are several objectives.
    """
    pruned = sum(trial.state is TrialState.PRUNED for trial in trials)
    if not pruned:
        return []
    alone = f" by {by} alone" if by is not None else ""
    saved = f": the work of {work.done:.0f} fits in place of {work.whole}" if work is not None else ""
    return [f"{pruned} of {len(trials)} trials were pruned{alone}{saved}."]


def describe_trials(numbers: Sequence[int]) -> str:
    """Name trials: ``trial 3``, ``trials 3, 4, 5 and 9 more``."""
    shown = ", ".join(map(str, numbers[:5]))
    if len(numbers) == 1:
        return f"trial {shown}"
    return f"trials {shown}" + (f" and {len(numbers) - 5} more" if len(numbers) > 5 else "")


def describe_test(scores: Mapping[str, float], interval: Interval | None) -> str:
    """Describe how the winner does on the test rows: ``rmse 0.65 (95% interval 0.61 to 0.69), mae 0.50``."""
    shown = {name: f"{name} {number(value)}" for name, value in scores.items()}
    if interval is not None:
        ends = f"{number(interval.low)} to {number(interval.high)}"
        shown[interval.metric] += f" ({100 * interval.confidence:g}% interval {ends})"
    return f"On the test rows, which no trial saw: {', '.join(shown.values())}."


def markdown_summary(
    title: str,
    trials: Sequence[Trial],
    objective: Objective,
    *,
    selection: Selection | None,
    test_scores: Mapping[str, float],
    interval: Interval | None,
    outcome: str,
) -> str:
    """Write what MLflow shows as a parent run's description.

    Args:
        title: What was swept, in a few words.
        trials: All of them.
        objective: What decided.
        selection: The winner and the reasons, if there is one.
        test_scores: The winner's metrics on the test rows.
        interval: The interval around one of them, if there is one.
        outcome: What became of the winner, in a sentence.
    """
    counts = {state.value: count for state, count in count_states(trials).items() if count}
    lines = [f"**{markdown(title)}**", "", ", ".join(f"{count} {state}" for state, count in counts.items()) or "no trial", ""]
    if selection is not None:
        lines += ["### Winner", "", *(f"- {markdown(reason)}" for reason in selection.reasons)]
        if test_scores:
            lines.append(f"- {markdown(describe_test(test_scores, interval))}")
        lines += [f"- {markdown(outcome)}" if outcome else "", ""]
        board = make_leaderboard([("", objective, trials)])
        top = replace(board, rows=board.rows[:SHOWN])
        lines += [f"### Leaderboard (best {len(top.rows)} of {len(board.rows)})", "", as_markdown(top)]
        lines += [MARKS, ""] if board.has_near else []
    failures = group_failures(trials)
    if failures:
        lines += ["### Failures", ""]
        lines += [f"- {markdown(failure)} ({describe_trials(numbers)})" for failure, numbers in failures[:SHOWN]]
    return _cut("\n".join(lines).rstrip() + "\n")


def _cut(text: str) -> str:
    """Leave out whole lines at the end of what is too long for a tag of MLflow."""
    if len(text) <= MAX_CHARACTERS:
        return text
    return text[: text.rfind("\n", 0, MAX_CHARACTERS - len(_MORE)) + 1] + _MORE
