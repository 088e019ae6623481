"""wine_sweep against every other way to track a sweep, and against tracking nothing: whole processes, in turn.

Each piece of work is done by all contenders one after the other, on the same rows and folds, each on a fresh SQLite store,
then all of it again: what makes the machine slow for a while makes it slow for all. Run from a clone with
`pip install '.[bench]'`.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import platform
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence

import psutil

from benchmarks.contenders import CONTENDERS, LIMIT, Contender, Time, check
from benchmarks.limits import planning, sleeping, starting
from benchmarks.quick import quick
from benchmarks.works import WORKS, Work

LIMITS = {"starting": starting, "planning": planning, "sleeping": sleeping, "quick": quick}
PARTS = (*WORKS, *LIMITS)


def main() -> None:
    """Time what is asked for, and print and write the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"what is measured: {', '.join(PARTS)} (default: all)")
    parser.add_argument("--only", action="append", choices=[each.name for each in CONTENDERS], help="only this one; repeatable")
    parser.add_argument("--but", action="append", default=[], choices=[each.name for each in CONTENDERS], help="not this one")
    parser.add_argument("--repeats", type=int, default=3, help="how often each is timed (default: 3)")
    parser.add_argument("--warm-ups", type=int, default=1, help="how often each runs before that (default: 1)")
    parser.add_argument("--points", type=int, help="at most so many trials, for a look whether all of it runs")
    parser.add_argument("--write", type=pathlib.Path, help="a file for the tables, beside what is printed")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.parts if name not in PARTS]
    if unknown:
        parser.error(f"there is no part {unknown[0]}; there are {', '.join(PARTS)}")
    chosen = [each for each in CONTENDERS if each.name in (arguments.only or [each.name]) and each.name not in arguments.but]
    text = [machine()]
    print(text[0], flush=True)
    for name in arguments.parts or PARTS:
        if name in WORKS:
            work = WORKS[name] if arguments.points is None else WORKS[name].shortened(arguments.points)
            contenders = [each for each in chosen if name in each.works]
            text.append(table(work, contenders, _timed(work, contenders, arguments.repeats, arguments.warm_ups)))
        else:
            text.append(
                "\n".join(
                    ["| | measured | at most, or at least |", "| --- | ---: | ---: |", *_figures(name, arguments.repeats), ""]
                )
            )
        print(text[-1], flush=True)
    if arguments.write is not None:
        arguments.write.write_text("\n".join(text))


def _figures(name: str, repeats: int) -> Iterator[str]:
    return (figure.row() for figure in LIMITS[name](repeats))


def machine() -> str:
    """Say on what was measured: the size of the machine, and the versions that count."""
    from importlib.metadata import version

    packages = ", ".join(f"{name} {version(name)}" for name in ("mlflow", "scikit-learn", "optuna", "pandas"))
    memory = psutil.virtual_memory().total / 2**30
    return f"{os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()}, Python {platform.python_version()}; {packages}\n"


def _timed(work: Work, contenders: Sequence[Contender], repeats: int, warm_ups: int) -> dict[str, list[Time]]:
    times: dict[str, list[Time]] = {each.name: [] for each in contenders}
    for round_ in range(warm_ups + repeats):
        found = {}
        for each in contenders:
            with tempfile.TemporaryDirectory() as folder:
                work.write(pathlib.Path(folder), workers=each.workers)
                found[each.name] = each.measure(work, pathlib.Path(folder))
            note = "warm-up" if round_ < warm_ups else f"{round_ - warm_ups + 1} of {repeats}"
            print(f"{work.name} {note}: {each.name} {found[each.name].seconds:.1f} s", file=sys.stderr, flush=True)
        check(work, found)
        for name, time in found.items():
            if round_ >= warm_ups:
                times[name].append(time)
    return times


def table(work: Work, contenders: Sequence[Contender], times: dict[str, list[Time]]) -> str:
    """Give one piece of work's times in Markdown: seconds, and how many times the limit's and wine_sweep's they are."""
    return "\n".join([f"### {work.name}: {work.title}\n", *_rows(contenders, times), ""])


def _rows(contenders: Sequence[Contender], times: dict[str, list[Time]]) -> Iterator[str]:
    yield "| | seconds | least | most | times the untracked | times wine_sweep | largest process, MB |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    for each in contenders:
        seconds = [time.seconds for time in times[each.name]]
        shown = [f"{value:.1f}" for value in (statistics.median(seconds), min(seconds), max(seconds))]
        ratios = [_ratio(times[each.name], times.get(other, [])) for other in (LIMIT, "wine_sweep")]
        memory = f"{max(time.memory for time in times[each.name]):.0f}"
        yield f"| {' | '.join([each.title, *shown, *ratios, memory])} |"


def _ratio(times: Sequence[Time], others: Sequence[Time]) -> str:
    """Give the median of the ratios, each within one round."""
    if not others:
        return ""
    return f"{statistics.median(one.seconds / other.seconds for one, other in zip(times, others, strict=True)):.2f}"


if __name__ == "__main__":
    main()
