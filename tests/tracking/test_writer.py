from __future__ import annotations

import threading

import pytest

from wine_sweep.errors import TrackingError
from wine_sweep.tracking.sweep_runs import batched
from wine_sweep.tracking.writer import BackgroundWriter
from wine_sweep.wording import mask


def test_actions_are_done_in_order_in_one_other_thread():
    writer = BackgroundWriter(list)
    threads = []
    for number in range(100):
        writer.do(lambda target, number=number: (target.append(number), threads.append(threading.current_thread())))
    assert writer.join() == list(range(100))
    assert len(set(threads)) == 1
    assert threads[0] is not threading.current_thread()


def test_asking_does_not_wait_for_a_slow_target():
    gate = threading.Event()
    writer = BackgroundWriter(lambda: gate.wait(30) and [])
    for _ in range(1000):
        writer.do(lambda target: target.append(1))
    assert writer.target is None
    gate.set()
    assert len(writer.join()) == 1000


def test_the_first_failure_is_kept_and_ends_the_writing():
    done = []

    def fail(_target):
        raise TrackingError("no space left")

    writer = BackgroundWriter(lambda: done)
    writer.do(lambda target: target.append(1))
    writer.do(fail)
    writer.do(lambda target: target.append(2))
    with pytest.raises(TrackingError, match="no space left"):
        writer.join()
    with pytest.raises(TrackingError, match="no space left"):
        writer.check()
    writer.close()
    assert done == [1]


def test_a_target_that_cannot_be_made_is_an_error_and_not_a_hang():
    def make():
        raise OSError("nobody there")

    writer = BackgroundWriter(make)
    writer.do(lambda target: target)
    with pytest.raises(TrackingError, match="OSError: nobody there"):
        writer.join()
    assert writer.target is None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://me:secret@host:5000/x", "http://***@host:5000/x"),
        ("postgresql://u:p%40@db/mlflow failed", "postgresql://***@db/mlflow failed"),
        ("http://me:p@ss/word@host failed", "http://***@host failed"),
        ("http://host/path", "http://host/path"),
        ("sqlite:////home/me@work/mlflow.db", "sqlite:////home/me@work/mlflow.db"),
        ("sqlite:///mlflow.db", "sqlite:///mlflow.db"),
    ],
)
def test_credentials_are_masked(text, shown):
    assert mask(text) == shown


@pytest.mark.parametrize(("count", "sizes"), [(0, []), (1, [1]), (5, [5]), (6, [5, 1]), (11, [5, 5, 1])])
def test_batches_are_no_larger_than_allowed(count, sizes):
    assert [len(piece) for piece in batched(list(range(count)), 5)] == sizes
