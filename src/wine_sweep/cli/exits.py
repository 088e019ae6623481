"""Exit codes, and how an error is shown."""

from __future__ import annotations

import sys

from wine_sweep.cli.formats import print_json
from wine_sweep.errors import (
    ConfigError,
    DataError,
    ExecutionError,
    NotFoundError,
    OutageError,
    OvertakenError,
    OwnershipError,
    SweepInterrupted,
    WineSweepError,
)
from wine_sweep.wording import visible

DONE = 0
FAILED = 1
WRONG = 2
REFUSED = 3
"""A gate said no, or a check has found that a model has decayed; everything else went well."""
INTERRUPTED = 130


def exit_code(error: WineSweepError) -> int:
    """Give the process's exit code for an error.

    It is 2 where what the user asks for is wrong, 3 where somebody else promoted meanwhile, 130 after an interruption, 1 for
    anything else.
    """
    if isinstance(error, OvertakenError):
        return REFUSED
    if isinstance(error, ConfigError | DataError | NotFoundError | OwnershipError):
        return WRONG
    return INTERRUPTED if isinstance(error, SweepInterrupted) else FAILED


def report_error(error: WineSweepError, *, as_json: bool) -> None:
    """Show an error: on stderr a line for each problem, and as JSON on stdout where JSON was asked for."""
    lines = _lines(error)
    if error.run_id or isinstance(error, SweepInterrupted | OutageError):
        lines.append(_what_next(error))
    print("\n".join(lines), file=sys.stderr)
    if as_json:
        document = {"error": str(error), "exit_code": exit_code(error)}
        if error.run_id or isinstance(error, SweepInterrupted | OutageError):
            document["run_id"] = error.run_id
        if isinstance(error, OutageError):
            document |= {"results_waiting": error.waiting, "journal": error.journal}
        print_json(document, indent=None)


def _lines(error: WineSweepError) -> list[str]:
    """Give a line for each problem, and for each part of what an error is made of; no other text begins a line."""
    if isinstance(error, ConfigError):
        return [visible(str(each)) if error.problems[0].place else visible(f"error: {each}") for each in error.problems]
    parts = str(error).split("\n") if isinstance(error, ExecutionError | OutageError) else [str(error)]
    return [visible(f"error: {part}") for part in parts]


def report_interruption(*, as_json: bool) -> None:
    """Show that a command was interrupted: in a line on stderr, and as JSON on stdout where JSON was asked for."""
    print("interrupted", file=sys.stderr)
    if as_json:
        print_json({"error": "interrupted", "exit_code": INTERRUPTED}, indent=None)


def _what_next(error: WineSweepError) -> str:
    if not error.run_id:
        again = "if `wine-sweep list` shows the sweep later, `wine-sweep resume` goes on with it; otherwise run it again"
        return f"No run is known to have been made: {again}." if isinstance(error, OutageError) else "No run was made yet."
    first = ", which writes them first" if isinstance(error, OutageError) and error.waiting else ""
    return f"Go on with: wine-sweep resume {error.run_id}{first}"
