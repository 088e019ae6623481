"""Python looks for garbage rarely while something is imported, and as often as before after that."""

from __future__ import annotations

import gc
import threading

import pytest

from wine_sweep.garbage import RARELY, collected_rarely


@pytest.fixture(autouse=True)
def _as_before():
    before = gc.get_threshold()
    yield
    assert gc.get_threshold() == before


def test_the_threshold_is_as_before_when_the_context_is_left():
    before = gc.get_threshold()
    with collected_rarely():
        assert gc.get_threshold() == (RARELY, *before[1:])
    assert gc.get_threshold() == before


def test_it_is_as_before_after_an_error_too():
    before = gc.get_threshold()
    with pytest.raises(ImportError), collected_rarely():
        raise ImportError
    assert gc.get_threshold() == before


def test_of_contexts_in_several_threads_the_last_to_leave_puts_it_back():
    before, entered, leave = gc.get_threshold(), threading.Event(), threading.Event()

    def other():
        with collected_rarely():
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=other)
    with collected_rarely():
        thread.start()
        entered.wait(10)
    assert gc.get_threshold() == (RARELY, *before[1:])
    leave.set()
    thread.join()
    assert gc.get_threshold() == before
