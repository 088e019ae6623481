"""The command line's process: it runs a command, and ends with its exit code. Imports nothing heavy."""

from __future__ import annotations

import atexit
import gc
import sys
import traceback
import warnings
from typing import Any, NoReturn

from wine_sweep.cli.commands import app
from wine_sweep.cli.exits import FAILED, INTERRUPTED, exit_code, report_error, report_interruption, surviving_streams
from wine_sweep.errors import WineSweepError
from wine_sweep.importing import is_process_ours, keep_working_folder_out, process_is_ours, start_scripts_as_usual
from wine_sweep.messages import visible, visible_lines
from wine_sweep.progress.signals import Interruption, end_with, ignore_signals, interrupted_by_signals


def main() -> NoReturn:
    """Run the command line and exit with its code."""
    process_is_ours()
    keep_working_folder_out()
    atexit.unregister(gc.freeze)
    atexit.register(gc.freeze)  # or Python would look through half a million objects before it ends, for a second
    _show_warnings_safely()
    with surviving_streams() as output_failure, interrupted_by_signals() as interruption:
        try:
            code = _run(interruption)
        finally:
            start_scripts_as_usual()
        if (failure := output_failure()) is not None:
            print(f"error: the results cannot be printed: {failure.strerror}", file=sys.stderr)
            code = code or FAILED
    if is_process_ours():
        ignore_signals()
        if code == INTERRUPTED:
            end_with(INTERRUPTED)
    sys.exit(code)


def _run(interruption: Interruption) -> str | int | None:
    """Run the command line, and return its exit code; whatever is raised after an interruption is a consequence of that."""
    as_json = "--json" in sys.argv
    try:
        app()
    except SystemExit as ended:
        if interruption.heard is None:
            return ended.code
    except WineSweepError as error:
        if interruption.heard is None:
            report_error(error, as_json=as_json)
            return exit_code(error)
    except KeyboardInterrupt:
        pass
    except Exception:  # noqa: BLE001  # shown as Python would, with its control characters as escapes
        if interruption.heard is None:
            print(visible_lines(traceback.format_exc().rstrip("\n")), file=sys.stderr)
            return 1
    report_interruption(as_json=as_json)
    return INTERRUPTED


def _show_warnings_safely() -> None:
    """Have Python's warnings of this process shown as one line each: they may quote names from a table or a server."""

    def show(message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: Any, **__: Any) -> None:
        print(visible(f"{filename}:{lineno}: {category.__name__}: {message}"), file=sys.stderr)

    warnings.showwarning = show
