from __future__ import annotations

import threading
import time

import pytest

from wine_sweep.errors import TrackingError
from wine_sweep.messages import mask
from wine_sweep.tracking import retry, writer
from wine_sweep.tracking.encoding import batched
from wine_sweep.tracking.retry import RetryPolicy
from wine_sweep.tracking.writer import BackgroundWriter


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


class Store:
    """Takes numbers while it is there."""

    def __init__(self) -> None:
        self.is_there = True
        self.taken: list[object] = []
        self.beats = 0

    def take(self, number: object) -> None:
        if not self.is_there:
            raise TrackingError("nobody there", is_outage=True)
        self.taken.append(number)

    def beat(self) -> None:
        self.beats += 1
        self.take("beat")


@pytest.fixture
def fast(monkeypatch):
    for name, seconds in [("FIRST_WAIT", 0.01), ("LONGEST_WAIT", 0.05), ("JITTER", 0.01), ("STEP_SECONDS", 0.01)]:
        monkeypatch.setattr(retry, name, seconds)


def until(condition, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_nothing_is_dropped_or_done_twice_over_an_outage(fast):
    store = Store()
    background = BackgroundWriter(lambda: store, policy=RetryPolicy(60))
    for number in range(10):
        background.do(lambda target, number=number: target.take(number), is_result=True)
    background.join()
    store.is_there = False
    for number in range(10, 30):
        background.do(lambda target, number=number: target.take(number), is_result=True)
    until(lambda: background.is_away)
    assert background.pending == 20
    background.check()
    store.is_there = True
    assert background.join().taken == list(range(30))
    assert (background.pending, background.is_away) == (0, False)
    background.close()


def test_an_outage_that_lasts_too_long_ends_the_writing_and_what_waits_is_counted(fast):
    store = Store()
    store.is_there = False
    background = BackgroundWriter(lambda: store, policy=RetryPolicy(0.3))
    for number in range(5):
        background.do(lambda target, number=number: target.take(number), is_result=True)
    with pytest.raises(TrackingError, match="nobody there"):
        background.join()
    background.do(lambda target: target.take(5), is_result=True)
    background.close()
    assert (background.pending, background.is_away, store.taken) == (6, True, [])


def test_what_is_done_periodically_is_done_with_nothing_and_with_much_to_do_and_after_join():
    store = Store()
    background = BackgroundWriter(lambda: store)
    background.every(0.05, lambda target: target.beat())
    until(lambda: store.beats >= 3)
    for _ in range(50):
        background.do(lambda _target: time.sleep(0.01))
    before = store.beats
    background.join()
    assert store.beats - before >= 3
    until(lambda: store.beats >= before + 8)
    background.close()
    after = store.beats
    time.sleep(0.2)
    assert store.beats == after


def test_what_is_done_periodically_is_left_out_while_the_store_is_away(fast):
    store = Store()
    background = BackgroundWriter(lambda: store, policy=RetryPolicy(60))
    background.every(0.02, lambda target: target.beat())
    until(lambda: store.beats >= 1)
    store.is_there = False
    time.sleep(0.2)
    background.check()  # a beat that fails is no reason to end the sweep
    background.do(lambda target: target.take(1))
    until(lambda: background.is_away)
    during = store.beats
    time.sleep(0.2)
    assert store.beats == during
    store.is_there = True
    until(lambda: store.beats > during)
    background.close()


def test_a_periodic_action_that_is_refused_ends_the_writing():
    def refuse(_target):
        raise TrackingError("somebody else's")

    background = BackgroundWriter(list)
    background.every(0.05, refuse)
    with pytest.raises(TrackingError, match="somebody else's"):
        until(background.check)
    background.close()


@pytest.mark.slow
@pytest.mark.parametrize("wait", ["join", "close"])
def test_who_wants_to_stop_does_not_wait_for_a_store_that_is_away(fast, monkeypatch, wait):
    monkeypatch.setattr(retry, "STOP_SECONDS", 0.2)
    store, stop = Store(), threading.Event()
    store.is_there = False
    background = BackgroundWriter(lambda: store, policy=RetryPolicy(600), stop=stop.is_set)
    background.do(lambda target: target.take(1), is_result=True)
    stop.set()
    time.sleep(0.5)
    background.check()  # while trials may still end, nobody gives up
    began = time.monotonic()
    if wait == "join":
        with pytest.raises(TrackingError, match="nobody there"):
            background.join()
    background.close()
    assert time.monotonic() - began < 5
    assert background.pending == 1


def test_who_wants_to_stop_does_not_wait_for_an_attempt_that_hangs(monkeypatch):
    monkeypatch.setattr(writer, "STALL_SECONDS", 0.3)
    hang = threading.Event()
    background = BackgroundWriter(list, policy=RetryPolicy(600), stop=lambda: True)
    background.do(lambda _target: hang.wait(60), is_result=True)
    began = time.monotonic()
    with pytest.raises(TrackingError, match="has not answered for"):
        background.join()
    background.close()
    assert time.monotonic() - began < 5
    assert (background.is_away, background.pending) == (True, 1)
    hang.set()


@pytest.mark.slow
def test_who_wants_to_stop_waits_for_a_store_that_is_slow(monkeypatch):
    monkeypatch.setattr(writer, "STALL_SECONDS", 0.5)
    background = BackgroundWriter(list, stop=lambda: True)
    for number in range(20):
        background.do(lambda target, number=number: (time.sleep(0.1), target.append(number)))
    assert background.join() == list(range(20))
    background.close()


def wait_for(condition):
    last = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < last
        time.sleep(0.01)


def test_what_can_wait_is_done_once_as_soon_as_nothing_is_queued():
    done, go_on = [], threading.Event()
    writer = BackgroundWriter(lambda: go_on.wait(10))
    writer.when_idle(lambda: done.append("idle"))
    for number in range(3):
        writer.do(lambda _target, number=number: done.append(number))
    go_on.set()
    writer.join()
    wait_for(lambda: "idle" in done)
    writer.do(lambda _target: done.append("later"))
    writer.close()
    assert done == [0, 1, 2, "idle", "later"]


def test_what_can_wait_is_done_by_a_writer_that_has_nothing_to_do():
    did = threading.Event()
    writer = BackgroundWriter(lambda: None)
    writer.wait_until_made()
    writer.when_idle(did.set)
    assert did.wait(10)
    writer.close()
