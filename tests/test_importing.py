"""Python looks for no garbage while something is made that stays, and as before after that."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading

import pytest

from wine_sweep.importing import gc_paused

COUNT = """\
import contextlib, gc
from wine_sweep import importing
{call}
before = gc.get_freeze_count()
with importing.{context}():
    kept = [[] for _ in range(1000)]
print(gc.get_freeze_count() - before)
"""


@pytest.fixture(autouse=True)
def _as_before():
    assert gc.isenabled()
    yield
    assert gc.isenabled()


def test_it_looks_again_when_the_context_is_left():
    with gc_paused():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_it_looks_again_after_an_error_too():
    with pytest.raises(ImportError), gc_paused():
        raise ImportError
    assert gc.isenabled()


def test_one_who_had_it_stopped_before_finds_it_stopped():
    gc.disable()
    with gc_paused():
        pass
    assert not gc.isenabled()
    gc.enable()


def test_of_contexts_in_several_threads_the_last_to_leave_has_it_look_again():
    entered, leave = threading.Event(), threading.Event()

    def other():
        with gc_paused():
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=other)
    with gc_paused():
        thread.start()
        entered.wait(10)
    assert not gc.isenabled()
    leave.set()
    thread.join()
    assert gc.isenabled()


def test_in_a_process_of_ours_imports_are_never_looked_at_again_and_nothing_else_is_frozen():
    assert _frozen("importing") == 0
    assert _frozen("importing", call="importing.process_is_ours()") > 1000
    assert _frozen("gc_paused", call="importing.process_is_ours()") == 0


def test_the_command_line_says_that_its_process_is_its_own():
    call = "from wine_sweep.cli import app\nwith contextlib.suppress(SystemExit): app.main()"
    assert _frozen("importing", "--version", call=call) > 1000


def _frozen(context: str, *arguments: str, call: str = "") -> int:
    code = COUNT.format(context=context, call=call)
    told = subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True, text=True)
    return int(told.stdout.splitlines()[-1])
