"""Python looks for no garbage while something is made that stays, and as before after that."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading

import pytest

from wine_sweep.garbage import uncollected

COUNT = """\
import gc
from wine_sweep.garbage import {imported}
before = gc.get_freeze_count()
{call}
with uncollected():
    kept = [[] for _ in range(1000)]
print(gc.get_freeze_count() - before)
"""


@pytest.fixture(autouse=True)
def _as_before():
    assert gc.isenabled()
    yield
    assert gc.isenabled()


def test_it_looks_again_when_the_context_is_left():
    with uncollected():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_it_looks_again_after_an_error_too():
    with pytest.raises(ImportError), uncollected():
        raise ImportError
    assert gc.isenabled()


def test_one_who_had_it_stopped_before_finds_it_stopped():
    gc.disable()
    with uncollected():
        pass
    assert not gc.isenabled()
    gc.enable()


def test_of_contexts_in_several_threads_the_last_to_leave_has_it_look_again():
    entered, leave = threading.Event(), threading.Event()

    def other():
        with uncollected():
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=other)
    with uncollected():
        thread.start()
        entered.wait(10)
    assert not gc.isenabled()
    leave.set()
    thread.join()
    assert gc.isenabled()


def test_a_process_of_ours_never_looks_at_it_again_and_one_of_others_does():
    assert _frozen("uncollected", "") == 0
    assert _frozen("freeze_what_stays, uncollected", "freeze_what_stays()") > 1000


def _frozen(imported: str, call: str) -> int:
    code = COUNT.format(imported=imported, call=call)
    return int(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)
