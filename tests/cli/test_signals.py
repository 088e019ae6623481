"""What SIGINT, SIGTERM and SIGHUP do to a command, in this very process."""

from __future__ import annotations

import os
import pty
import signal
import time
import weakref
from contextlib import contextmanager

import pytest

from wine_sweep.progress.signals import interrupted_by_signals, stop_on_signals
from wine_sweep.tracking import store

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def handling(number, handler):
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_interrupts_and_more_change_nothing(number):
    before = signal.getsignal(number)
    with interrupted_by_signals() as interruption:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
        signal.raise_signal(number)
        assert interruption.heard == number
    assert signal.getsignal(number) is before


class Thing:
    """Something that can be watched."""


def wait_for_an_interruption(seconds):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        time.sleep(0.01)


def test_an_interruption_that_comes_in_a_callback_is_not_lost(capsys):
    thing = Thing()
    reference = weakref.ref(thing, lambda _: signal.raise_signal(signal.SIGTERM))
    with interrupted_by_signals():
        del thing
        with pytest.raises(KeyboardInterrupt):
            wait_for_an_interruption(10)
    assert reference() is None
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("context", [interrupted_by_signals, lambda: stop_on_signals(lambda _text: None)])
def test_a_hangup_that_is_ignored_stays_ignored(context):
    with handling(signal.SIGHUP, signal.SIG_IGN), context():
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) != signal.SIG_DFL


def test_of_a_sweep_a_hangup_is_a_first_signal_and_never_the_second():
    told = []
    with stop_on_signals(told.append) as stop:
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGHUP)
        assert stop()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
    assert [text.partition(":")[0] for text in told] == ["Stopping", "Stopping at once."]


def test_a_signal_counts_though_nobody_can_be_told():
    def tell(_text):
        raise OSError("the terminal is gone")

    with stop_on_signals(tell) as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_what_goes_to_a_terminal_that_was_closed_goes_nowhere():
    master, slave = pty.openpty()
    kept = os.dup(1)
    try:
        os.dup2(slave, 1)
        with stop_on_signals(lambda _text: None):
            signal.raise_signal(signal.SIGHUP)
            assert os.isatty(1)  # it is there still
        with stop_on_signals(lambda _text: None):
            os.close(master)
            signal.raise_signal(signal.SIGHUP)
            assert os.write(1, b"x") == 1
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(slave)


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("consequence", [KeyboardInterrupt, RuntimeError("half of it is imported"), SystemExit(1)])
def test_an_interruption_is_one_line_whatever_comes_of_it(number, consequence, in_process, monkeypatch):
    def interrupted(_uri):
        try:
            signal.raise_signal(number)
        except KeyboardInterrupt:
            raise consequence from None

    monkeypatch.setattr(store, "open_store", interrupted)
    ended = in_process("list", "--json")
    assert (ended.returncode, ended.stderr) == (130, "interrupted\n")
    assert ended.stdout == '{"error": "interrupted", "exit_code": 130}\n'
