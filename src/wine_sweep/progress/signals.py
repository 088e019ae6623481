"""Ctrl-C, SIGTERM, and SIGHUP, which a terminal sends that is closed: what they do to a command.

A sweep is asked to stop by the first and stopped at once by the second. Any other command is interrupted by the first.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NoReturn

AGAIN_SECONDS = 0.05
"""How soon an interruption is repeated that nobody heard of."""

_SIGHUP: int | None = getattr(signal, "SIGHUP", None)
_STREAMS = (0, 1, 2)

_Handler = Callable[[int, FrameType | None], Any]


class StopSwitch:
    """Is off until somebody sends a signal.

    Attributes:
        on: Whether somebody has.
        grace: How many seconds what runs may take then; told to the user.
    """

    def __init__(self) -> None:
        self.on = False
        self.grace = 0.0

    def __call__(self) -> bool:
        """Return whether somebody wants to stop."""
        return self.on


@contextmanager
def stop_on_signals(tell: Callable[[str], Any]) -> Iterator[StopSwitch]:
    """Within this context SIGINT, SIGTERM and SIGHUP turn the switch on; what was installed before is put back afterwards.

    The second of them raises KeyboardInterrupt in the main thread. Any more change nothing: what ends the runs in MLflow
    is not to be interrupted, and takes moments. A SIGHUP counts as the first alone, since a shell and the kernel may both send
    one when a terminal is closed; where it was ignored before, as by nohup, it stays ignored.

    Args:
        tell: Says something to the user.
    """
    switch = StopSwitch()
    heard = 0

    def handle(number: int, _frame: FrameType | None) -> None:
        nonlocal heard
        if number == _SIGHUP and heard:
            return
        heard += 1
        with suppress(OSError):  # whoever was to read it may be gone
            if heard == 1:
                switch.on = True
                tell(f"Stopping: what runs may take {switch.grace:g}s more. Ctrl-C again stops at once.")
            elif heard == 2:
                tell("Stopping at once.")
        if heard == 2:
            raise KeyboardInterrupt

    with _handled_by(handle, [signal.SIGINT, signal.SIGTERM, *_hangup()]):
        yield switch


class Interruption:
    """What is known of an interruption.

    Attributes:
        heard: The signal that somebody has sent; None before.
    """

    def __init__(self) -> None:
        self.heard: int | None = None


@contextmanager
def interrupted_by_signals() -> Iterator[Interruption]:
    """Within this context the first SIGINT, SIGTERM or SIGHUP raises KeyboardInterrupt in the main thread.

    More of them change nothing: whatever is cleaned up is not to be interrupted. Signals that were ignored before, as by nohup,
    stay ignored; what was installed before is put back afterwards.
    """
    interruption = Interruption()

    def handle(number: int, _frame: FrameType | None) -> None:
        if interruption.heard is None:
            interruption.heard = number
            raise KeyboardInterrupt

    numbers = [number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) != signal.SIG_IGN]
    with _handled_by(handle, [*numbers, *_hangup()]), _repeated_when_lost(interruption):
        yield interruption


def ignore_signals() -> None:
    """Ignore from now on what interrupts: the command is done, and Python takes a moment to end."""
    for number in (signal.SIGINT, signal.SIGTERM, *_hangup()):
        signal.signal(number, signal.SIG_IGN)


def end_with(code: int) -> NoReturn:
    """Do what is registered for the end of the process, and end it with an exit code.

    `sys.exit` does not keep to the code once a KeyboardInterrupt has passed through `exec`, as in the middle of an import: Python
    ends by SIGINT then.
    """
    atexit._run_exitfuncs()  # there is no public way
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # whoever was to read it may be gone
            if stream is not None:  # Python has found it closed
                stream.flush()
    os._exit(code)


def _hangup() -> list[int]:
    """List SIGHUP, unless the system has none or it is ignored."""
    return [] if _SIGHUP is None or signal.getsignal(_SIGHUP) == signal.SIG_IGN else [_SIGHUP]


@contextmanager
def _handled_by(handle: _Handler, numbers: list[int]) -> Iterator[None]:
    """Have signals handled within this context; before a SIGHUP is, what the terminal was to show goes nowhere if it is gone."""
    terminals = [number for number in {*_STREAMS, *_of_our_own()} if _is_terminal(number)]

    def handle_all(number: int, frame: FrameType | None) -> None:
        if number == _SIGHUP:
            _leave(terminals)
        handle(number, frame)

    before = {number: signal.signal(number, handle_all) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _repeated_when_lost(interruption: Interruption) -> Iterator[None]:
    """Repeat an interruption that comes while Python runs a finalizer or a callback, where it can only report what is raised."""
    before = sys.unraisablehook
    timers: list[threading.Timer] = []

    def report(raised: Any) -> None:
        number = interruption.heard
        if number is None or not issubclass(raised.exc_type, KeyboardInterrupt):
            before(raised)
            return
        interruption.heard = None
        timers.append(threading.Timer(AGAIN_SECONDS, _send_to_main_thread, [number]))
        timers[-1].start()

    sys.unraisablehook = report
    try:
        yield
    finally:
        sys.unraisablehook = before
        for timer in timers:
            timer.cancel()


def _send_to_main_thread(number: int) -> None:
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, number)
    else:
        signal.raise_signal(number)


def _is_terminal(stream: int) -> bool:
    with suppress(OSError):
        return os.isatty(stream)
    return False


def _of_our_own() -> Iterator[int]:
    """Return the descriptors of what this process prints on, where they are not the usual ones."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # it has none
            yield stream.fileno()


def _leave(terminals: list[int]) -> None:
    """Send to nowhere what is written to terminals that are gone, where writing would fail."""
    for number in terminals:
        if not _is_terminal(number):
            nowhere = os.open(os.devnull, os.O_RDWR)
            os.dup2(nowhere, number)
            os.close(nowhere)
