"""``wine-sweep reproduce``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from wine_sweep.cli.console import plain_table, start_logging, stderr, stdout
from wine_sweep.cli.exits import DONE, FAILED
from wine_sweep.cli.formats import print_json
from wine_sweep.cli.trust import let_import_from
from wine_sweep.report.leaderboard import describe_params
from wine_sweep.runner.comparison import ValueComparison
from wine_sweep.runner.reproduce import Reproduction, reproduce
from wine_sweep.tracking.reader import SweepReader
from wine_sweep.tracking.store import open_store
from wine_sweep.tracking.trial_runs import find_trial

HEADER = ("metric", "recorded", "again", "difference", "agrees")


def reproduce_command(
    run_id: str, *, trusted: Sequence[str], tracking_uri: str | None, experiment: str | None, as_json: bool
) -> int:
    """Run a trial again, print every value of then and now, and give the exit code: whether all agree.

    Raises:
        WineSweepError: As `find_trial` and `reproduce` say.
    """
    console = stderr()
    start_logging(console, quiet=False)
    let_import_from(Path.cwd(), trusted)
    reader = SweepReader(open_store(tracking_uri), experiment)
    found = find_trial(reader, run_id)
    done = reproduce(reader, found, trusted=trusted, tell=console.print)
    if as_json:
        print_json(done.record())
    else:
        _print(done)
    return DONE if done.agrees else FAILED


def _print(done: Reproduction) -> None:
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
    """Give a row for each value, and one for all folds of a metric beside those that differ, if any was measured now."""
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
