"""What people are shown of trials: a table with the best first, which is `trials.csv` too, and the summary on a parent run."""

from __future__ import annotations

import csv
import io
import math
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from wine_sweep.messages import markdown, show_bytes, spreadsheet_cell
from wine_sweep.selection import Goal, Objective, Selection, near_the_best, number, pareto_front, rank
from wine_sweep.tracking import names
from wine_sweep.trial import FIT_SECONDS, MODEL_SIZE, Trial, TrialState, canonical_json

if TYPE_CHECKING:  # it imports numpy and pandas, which a list of sweeps can do without
    from wine_sweep.evaluation.bootstrap import Interval


MARKS = "* the winner, ^ the best mean, + within one standard error of it"
"""What the marks behind trials' numbers mean, where the cheapest within one standard error wins."""

Cell = str | int | float | bool | None


@dataclass(frozen=True)
class Row:
    """One trial of a leaderboard.

    Args:
        sweep: The sweep's name.
        run_id: The child run's id, empty when it has none.
        trial: The trial's number.
        state: What has become of it.
        best: Whether it is the winner of its sweep.
        front: Whether it is on its sweep's Pareto front, where there are several objectives.
        near: Whether it is within one standard error of its sweep's best mean, where the cheapest of those wins.
        leads: Whether it has that best mean.
        params: The searched parameters.
        metrics: Mean and spread of each metric.
        fit_seconds: The mean time of a fit, in seconds.
        error: Why it has no result, or cannot win.
    """

    sweep: str
    run_id: str
    trial: int
    state: TrialState
    best: bool
    front: bool
    near: bool
    leads: bool
    params: Mapping[str, Any]
    metrics: Mapping[str, tuple[float, float]]
    fit_seconds: float
    error: str

    @property
    def is_infeasible(self) -> bool:
        """Return whether it finished and breaks a limit."""
        return self.state is TrialState.FINISHED and bool(self.error)

    @property
    def mark(self) -> str:
        """What follows its number: ``*`` for the winner, ``^`` for the best mean, ``+`` for what is on the front, or near."""
        return "*" if self.best else "^" if self.leads else "+" if self.front or self.near else ""

    @property
    def status(self) -> str:
        """What has become of it, in a word."""
        return "infeasible" if self.is_infeasible else self.state.value


@dataclass(frozen=True)
class Leaderboard:
    """Rows in order, with the names of their parameter and metric columns in theirs; of the metrics, those that decide."""

    rows: Sequence[Row]
    params: Sequence[str]
    metrics: Sequence[str]
    goals: Sequence[str]

    @cached_property
    def has_front(self) -> bool:
        """Return whether there is a Pareto front to mark."""
        return any(row.front for row in self.rows)

    @cached_property
    def has_near(self) -> bool:
        """Return whether there are trials to mark that are within one standard error of the best."""
        return any(row.near for row in self.rows)

    @cached_property
    def with_spread(self) -> frozenset[str]:
        """The metrics that have a spread in some row; all where no row has any metric."""
        spread = frozenset(name for row in self.rows for name, (_, std) in row.metrics.items() if not math.isnan(std))
        return spread if any(row.metrics for row in self.rows) else frozenset(self.metrics)

    @property
    def sweeps(self) -> list[str]:
        """The sweeps' names, each once."""
        return list(dict.fromkeys(row.sweep for row in self.rows))


@dataclass(frozen=True)
class _Standing:
    """The numbers of a sweep's trials that stand out: the winner's, the front's, those near the best mean, and its own."""

    winner: int | None
    front: Collection[int]
    near: Collection[int]
    leader: int | None

    @classmethod
    def of(cls, trials: Sequence[Trial], objective: Objective) -> _Standing:
        ranked = rank(trials, objective)
        front = {trial.number for trial in pareto_front(trials, objective)} if objective.others else set()
        near = near_the_best(ranked, objective)
        if near is not None:
            return cls(near.winner.number, front, {trial.number for trial in near.trials}, near.best.number)
        return cls(ranked[0].number if ranked else None, front, set(), None)


def make_leaderboard(sweeps: Iterable[tuple[str, Objective, Sequence[Trial]]], *, by: Goal | None = None) -> Leaderboard:
    """Put the trials of sweeps into one table: finished ones the best first, then the rest by number.

    A winner that is not the best by one metric comes before all others: one of several objectives, or the cheapest.

    Args:
        sweeps: Name, objective and trials of each.
        by: What to order by; by default the first sweep's objective.
    """
    chosen = list(sweeps)
    order = by or chosen[0][1]
    rows: list[Row] = []
    for name, objective, trials in chosen:
        standing = _Standing.of(trials, objective)
        rows += [_row(name, trial, objective, standing) for trial in trials]
    several = by is None and any(objective.others or objective.one_standard_error for _, objective, _ in chosen)
    rows.sort(key=lambda row: (*_sort_key(row, order, several=several), row.trial))
    params = dict.fromkeys(name for row in rows for name in row.params)
    goals = [metric for _, objective, _ in chosen for metric in objective.deciding]
    metrics = dict.fromkeys([order.metric, *goals, *(name for row in rows for name in row.metrics)])
    shown = [name for name in metrics if any(name in row.metrics for row in rows)]
    return Leaderboard(rows, list(params), shown, list(dict.fromkeys([order.metric, *goals])))


def as_records(board: Leaderboard) -> list[dict[str, Cell]]:
    """Return one flat record a row: parameters and metrics under their own names."""
    return [_record(row, board) for row in board.rows]


def as_csv(board: Leaderboard) -> str:
    """Write a leaderboard as CSV with a header, as in ``trials.csv``, safe for spreadsheets: see `spreadsheet_cell`."""
    buffer = io.StringIO()
    marks = ["best", *(["pareto"] if board.has_front else []), *(["near_best", "best_mean"] if board.has_near else [])]
    columns = ["sweep", "run_id", "trial", "state", *marks, *board.params]
    columns += [column for name in _measured(board) for column in _columns_of(board, name)]
    columns += [FIT_SECONDS, "error"]
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(map(spreadsheet_cell, columns))
    for record in as_records(board):
        writer.writerow(spreadsheet_cell(record[name]) for name in columns)
    return buffer.getvalue()


def as_markdown(board: Leaderboard) -> str:
    """Write a leaderboard as a Markdown table, the best in bold."""
    header, lines = text_table(board)
    trial = header.index("trial")
    aligned = ["---" if name in ("sweep", "state", *board.params) else "---:" for name in header]
    escaped = [[cell if at == trial else markdown(cell) for at, cell in enumerate(line)] for line in lines]  # its mark is ours
    marked = zip(board.rows, escaped, strict=True)
    bold = [[f"**{cell}**" if row.best and cell else cell for cell in line] for row, line in marked]
    return "\n".join(f"| {' | '.join(line)} |" for line in [list(map(markdown, header)), aligned, *bold]) + "\n"


def text_table(board: Leaderboard, *, spreads: Collection[str] | None = None) -> tuple[list[str], list[list[str]]]:
    """Return header and cells as text; the sweep's name only where there are several, the state only where one has no result.

    Args:
        board: The rows.
        spreads: The metrics that are shown with their spread, ``0.6512 ± 0.0213``; all by default.
    """
    with_spread = set(board.metrics if spreads is None else spreads)
    several = len(board.sweeps) > 1
    failed = any(row.status != TrialState.FINISHED for row in board.rows)
    header = [*(["sweep"] if several else []), "trial", *board.params, *board.metrics, *(["state"] if failed else [])]
    lines = []
    for row in board.rows:
        cells = [*([row.sweep] if several else []), f"{row.trial} {row.mark}".rstrip()]
        cells += [show_param(row.params[name]) if name in row.params else "" for name in board.params]
        cells += [_metric_cell(row, name, spread=name in with_spread) for name in board.metrics]
        lines.append([*cells, *([row.status] if failed else [])])
    return header, lines


def show_param(value: Any) -> str:
    """Show a parameter as short text: floats with four significant digits."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return canonical_json(value) if isinstance(value, list | dict) else str(value)


def describe_params(params: Mapping[str, Any]) -> str:
    """Show parameters in a line: ``alpha 0.001, l1_ratio 0.5``."""
    return ", ".join(f"{name} {show_param(value)}" for name, value in params.items())


def _measured(board: Leaderboard) -> list[str]:
    """List the metrics that have a spread: all but the time of a fit, which has a column of its own."""
    return [name for name in board.metrics if name != FIT_SECONDS]


def _columns_of(board: Leaderboard, name: str) -> list[str]:
    """Name a metric's columns: its mean, and its spread where any trial has one."""
    return [name, *([names.spread_metric(name)] if name in board.with_spread else [])]


def _metric_cell(row: Row, name: str, *, spread: bool) -> str:
    if name not in row.metrics:
        return ""
    mean, std = row.metrics[name]
    plain = 1e-3 <= abs(mean) < 1e5
    shown = show_bytes(mean) if name == MODEL_SIZE else f"{mean:.4f}" if plain else f"{mean:.4g}"
    spread = spread and name not in (FIT_SECONDS, MODEL_SIZE) and not math.isnan(std)
    return f"{shown} ± {std:.4f}" if spread and plain else f"{shown} ± {std:.2g}" if spread else shown


def _row(sweep: str, trial: Trial, objective: Objective, standing: _Standing) -> Row:
    """Make a row. A pruned trial shows no metrics: a mean over some of the folds would look like a result."""
    metrics = {name: (score.mean, score.std) for name, score in trial.scores.items()}
    if FIT_SECONDS in objective.deciding and trial.state is TrialState.FINISHED:
        metrics[FIT_SECONDS] = (trial.fit_seconds, 0.0)
    return Row(
        sweep=sweep,
        run_id=trial.run_id or "",
        trial=trial.number,
        state=trial.state,
        best=trial.number == standing.winner,
        front=trial.number in standing.front,
        near=trial.number in standing.near,
        leads=trial.number == standing.leader,
        params=trial.params,
        metrics=metrics,
        fit_seconds=trial.fit_seconds,
        error=str(trial.failure) if trial.failure else "; ".join(f"breaks {limit}" for limit in trial.violations),
    )


def _sort_key(row: Row, order: Goal, *, several: bool) -> tuple[object, ...]:
    """Put results first, those that can win before those that break a limit, and a Pareto front before what it dominates."""
    if order.metric not in row.metrics:
        return True, False, False, False, 0.0, 0.0
    mean, std = row.metrics[order.metric]
    spread = 0.0 if math.isnan(std) else std
    return False, row.is_infeasible, several and not row.best, several and not row.front, order.loss(mean), spread


def _record(row: Row, board: Leaderboard) -> dict[str, Cell]:
    record: dict[str, Cell] = {
        "sweep": row.sweep,
        "run_id": row.run_id,
        "trial": row.trial,
        "state": row.state.value,
        "best": row.best,
        **({"pareto": row.front} if board.has_front else {}),
        **({"near_best": row.near, "best_mean": row.leads} if board.has_near else {}),
    }
    for name in board.params:
        value = row.params.get(name)
        record[name] = canonical_json(value) if isinstance(value, list | dict) else value
    for name in _measured(board):
        mean, std = row.metrics.get(name, (None, None))
        spread = None if std is None or math.isnan(std) else std
        record |= dict(zip(_columns_of(board, name), (mean, spread), strict=False))
    record[FIT_SECONDS] = None if math.isnan(row.fit_seconds) else row.fit_seconds
    record["error"] = row.error
    return record


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
