"""What is printed while libraries compute: on standard error alone, escaped, whole, and without anybody waiting for it."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

PRELUDE = """
import ctypes, os, subprocess, sys, threading
from wine_sweep.evaluation.capture import foreign_output_shown
native = ctypes.CDLL(None)
"""


def run(body: str, **options) -> subprocess.CompletedProcess[str]:
    code = PRELUDE + textwrap.dedent(body)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False, **options)


@pytest.mark.slow
@pytest.mark.parametrize(
    "written",
    [
        "os.write(1, b'a\\x1b[2Jb\\n')",
        "os.write(2, b'a\\x1b[2Jb\\n')",
        "native.printf(b'a\\x1b[2Jb\\n')",  # held back by the C library, since it is no terminal
        "print('a\\x1b[2Jb')",
        "print('a\\x1b[2Jb', file=sys.stderr)",
        "sys.stdout.write('a\\x1b[2J'); print('b')",
        "subprocess.run(['printf', 'a\\\\033[2Jb\\\\n'])",
        "os.write(sys.stdout.fileno(), b'a\\x1b[2Jb')",
    ],
)
def test_it_is_shown_on_standard_error_with_escapes(written):
    done = run(f"""
        print("before")
        with foreign_output_shown():
            {written}
        print("after")
    """)
    assert (done.stdout, done.stderr) == ("before\nafter\n", "a\\x1b[2Jb\n"), done


@pytest.mark.slow
@pytest.mark.parametrize("system", ["", "del os.memfd_create"], ids=["as it is", "without files in memory"])
def test_much_output_has_nobody_wait_and_is_whole(system):
    if system and not hasattr(os, "memfd_create"):
        pytest.skip("there are no files in memory here")
    done = run(f"""
        {system}
        with foreign_output_shown():
            for _ in range(300):
                os.write(1, "\\u00e9".encode() * 5000 + b"\\n")
        with foreign_output_shown():
            os.write(1, b"later\\n")
    """)
    assert done.stdout == ""
    assert done.stderr == ("\u00e9" * 5000 + "\n") * 300 + "later\n"


def test_contexts_lie_within_each_other_and_in_threads():
    done = run("""
        both = threading.Barrier(2)
        def compute():
            with foreign_output_shown():
                both.wait()
                with foreign_output_shown():
                    os.write(1, b"in\\n")
                both.wait()
                os.write(1, b"in\\n")
        threads = [threading.Thread(target=compute) for _ in range(2)]
        [each.start() for each in threads]
        [each.join() for each in threads]
        os.write(1, b"out\\n")
    """)
    assert (done.stdout, done.stderr) == ("out\n", "in\n" * 4)


def test_threads_that_write_at_once_lose_nothing():
    done = run("""
        def compute():
            for _ in range(20_000):
                os.write(1, b"in\\n")
        with foreign_output_shown():
            threads = [threading.Thread(target=compute) for _ in range(2)]
            [each.start() for each in threads]
            [each.join() for each in threads]
    """)
    assert (done.stdout, done.stderr) == ("", "in\n" * 40_000)


def test_whatever_is_raised_the_descriptors_are_put_back():
    done = run("""
        try:
            with foreign_output_shown():
                os.write(1, b"in\\n")
                raise SystemExit
        except SystemExit:
            os.write(1, b"out\\n")
            print("printed")
        print(len(os.listdir("/dev/fd")) if os.path.isdir("/dev/fd") else 0, file=sys.stderr)
        for _ in range(100):
            with foreign_output_shown():
                pass
        print(len(os.listdir("/dev/fd")) if os.path.isdir("/dev/fd") else 0, file=sys.stderr)
    """)
    assert done.stdout == "out\nprinted\n"
    said, first, last = done.stderr.splitlines()
    assert (said, first) == ("in", last)


@pytest.mark.slow
@pytest.mark.parametrize("closed", [[1], [2], [1, 2]])
def test_a_closed_descriptor_stays_closed(closed, tmp_path):
    done = run(f"""
        for number in {closed}:
            os.close(number)
        with foreign_output_shown():
            os.write(1, b"one\\n")
            os.write(2, b"two\\n")
        found = []
        for number in (1, 2):
            try:
                os.fstat(number)
                found.append(number)
            except OSError:
                pass
        open({str(tmp_path / "open")!r}, "w").write(str(found))
        os._exit(0)
    """)
    assert done.returncode == 0
    assert (tmp_path / "open").read_text() == str([number for number in (1, 2) if number not in closed])
    assert done.stderr == ("" if 2 in closed else "one\ntwo\n")


def test_nobody_who_reads_it_ends_nothing():
    done = run("""
        read, written = os.pipe()
        os.dup2(written, 2)
        os.close(written)
        os.close(read)
        with foreign_output_shown():
            os.write(1, b"in\\n")
        print("went on", flush=True)
        os._exit(0)
    """)
    assert done.stdout == "went on\n"


def test_a_console_of_our_own_is_heard_at_once_and_as_it_is():
    done = run("""
        from rich.console import Console
        console = Console(stderr=True, file=None, force_terminal=True, width=40)
        mine = os.dup(2)
        sys.stderr = open(mine, "w")
        with foreign_output_shown():
            os.write(2, b"library\\n")
            console.print("[bold]ours[/bold]")
            print("printed", flush=True)
    """)
    assert done.stderr.splitlines() == ["\x1b[1mours\x1b[0m", "printed", "library"]
