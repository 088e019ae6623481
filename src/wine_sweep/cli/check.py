"""What ``check`` and ``reproduce`` print."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from pydantic import TypeAdapter
from rich.console import Console
from rich.table import Table

from wine_sweep.cli.exits import print_json
from wine_sweep.config import MAX_TABLE
from wine_sweep.config.validation import Bytes
from wine_sweep.errors import ConfigError
from wine_sweep.messages import show
from wine_sweep.monitoring.check import CheckResult, State
from wine_sweep.progress.display import plain_table, stdout
from wine_sweep.report.trials import describe_params
from wine_sweep.sweep.check import CheckOutcome
from wine_sweep.sweep.reproduce import Reproduction, ValueComparison
from wine_sweep.tracking import names

MOST_SHOWN = 10
SMALLEST_P = 1e-16
"""Smaller p-values say no more."""

_STYLES = {State.HEALTHY: "bold green", State.DRIFTED: "bold yellow", State.DECAYED: "bold red"}
_VERDICTS = {
    State.HEALTHY: "is healthy",
    State.DRIFTED: "gets other rows than it was trained on",
    State.DECAYED: "has decayed",
}


def most_bytes(text: str | None) -> int:
    """Parse the value of ``--max-size``, in bytes.

    Raises:
        ConfigError: It is no size.
    """
    try:
        return MAX_TABLE if text is None else TypeAdapter[int](Bytes).validate_python(int(text) if text.isdecimal() else text)
    except ValueError as error:
        raise ConfigError.at("--max-size", f"is no size such as 4GB or 512MiB, got {show(text)}") from error


def print_check(outcome: CheckOutcome, *, as_json: bool) -> None:
    """Print what has been found of a model on new rows."""
    if as_json:
        print_json(outcome.record())
        return
    console = stdout()
    model, result = outcome.model, outcome.result
    where = f" ({model.stage})" if model.stage != "None" else ""
    console.print(f"{model.name} version {model.version}{where} {_VERDICTS[result.state]}", style=_STYLES[result.state])
    excluded = f"; {result.excluded} more were left out, since it was trained on them" if result.excluded else ""
    console.print(f"{outcome.data}: {result.rows} new rows{excluded}")
    if result.moved:
        _print_moved(console, result)
    console.print()
    for reason in result.reasons:
        console.print(f"- {reason}")
    if result.findings:
        _print_findings(console, result)
    console.print()
    console.print(_what_next(result))
    console.print(f"The check is run {outcome.run_id} in MLflow.")


def _what_next(result: CheckResult) -> str:
    if result.state is State.DECAYED:
        return "Next: `wine-sweep refresh CONFIG --data NEW` sweeps again, on old and new rows."
    if result.loss is None:
        return "Check again with the column that is predicted, once it is known."
    return "Check again on later rows." if result.state is State.DRIFTED else "Nothing is to be done."


def _print_moved(console: Console, result: CheckResult) -> None:
    header = ("has moved", "test", "statistic", "p adjusted", "effect")
    table = plain_table(header, right=header[2:])
    for drift in result.moved[:MOST_SHOWN]:
        p_value = f"{drift.adjusted:.2g}" if drift.adjusted >= SMALLEST_P else f"<{SMALLEST_P:g}"
        table.add_row(drift.name, drift.test.value, f"{drift.statistic:.3g}", p_value, f"{drift.effect:.2f}")
    _print_table(console, table, len(result.moved), names.DRIFT_FILE)


def _print_findings(console: Console, result: CheckResult) -> None:
    table = plain_table(["in no training row", "rows", "share", "what"], right=["rows", "share"])
    findings = sorted(result.findings, key=lambda finding: -finding.share)
    for finding in findings[:MOST_SHOWN]:
        table.add_row(finding.column, str(finding.rows), f"{finding.share:.1%}", finding.detail)
    _print_table(console, table, len(findings), names.CHECK_FILE)


def _print_table(console: Console, table: Table, count: int, file: str) -> None:
    console.print()
    console.print(table)
    if count > MOST_SHOWN:
        console.print(f"and {count - MOST_SHOWN} more, in {file}")


HEADER = ("metric", "recorded", "again", "difference", "agrees")


def print_reproduction(done: Reproduction, *, as_json: bool) -> None:
    """Print every value of then and now, and whether all agree."""
    if as_json:
        print_json(done.record())
        return
    console = stdout()
    where = f"trial {done.number} of {done.sweep.name}, run {done.run_id}"
    for line in (where, describe_params(done.params), ""):
        console.print(line, soft_wrap=True)
    table = plain_table(HEADER, right=HEADER[1:4])
    for row in _rows(done.comparisons):
        table.add_row(*row)
    console.print(table)
    console.print()
    for line in done.notes():
        console.print(f"- {line}", soft_wrap=True)


def _rows(comparisons: Sequence[ValueComparison]) -> Iterator[Sequence[str]]:
    """Return a row for each value, and one for all folds of a metric beside those that differ, if any was measured now."""
    for (metric, is_single), group in groupby(comparisons, key=lambda each: (each.metric, each.step is None)):
        values = list(group)
        if not is_single:
            largest = max((abs(each.difference) for each in values if each.difference is not None), default=None)
            agree = all(each.agrees for each in values)
            yield f"{metric} ({len(values)})", "", "", _shown(largest, digits=3), _yes(agree)
            values = [each for each in values if not each.agrees] if any(each.again is not None for each in values) else []
        yield from map(_row, values)


def _row(each: ValueComparison) -> Sequence[str]:
    return each.name, _shown(each.recorded), _shown(each.again), _shown(each.difference, digits=3), _yes(each.agrees)


def _shown(value: float | None, *, digits: int = 10) -> str:
    return "none" if value is None else f"{value:.{digits}g}"


def _yes(agrees: bool) -> str:
    return "yes" if agrees else "no"
