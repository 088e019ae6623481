"""Improvements are written together, each once, whatever the store does."""

from __future__ import annotations

import threading

from wine_sweep.errors import TrackingError
from wine_sweep.sweep.recorder import BestHistory, Improvement
from wine_sweep.tracking import retry
from wine_sweep.tracking.retry import RetryPolicy
from wine_sweep.tracking.writer import BackgroundWriter


class Runs:
    """Takes down what is logged, and is away for the first calls."""

    run_id = "parent"

    def __init__(self, away=0):
        self.calls = []
        self.away = away

    def log_history(self, run_id, improvements):
        assert run_id == "parent"
        if self.away:
            self.away -= 1
            raise TrackingError("away", is_outage=True)
        self.calls.append(list(improvements))


def improvements(count):
    return [Improvement("best_rmse", 1 / (step + 1), 100.0 + step, step) for step in range(count)]


def test_what_several_trials_improved_goes_in_one_call():
    runs, opened = Runs(), threading.Event()
    writer = BackgroundWriter(lambda: opened.wait(10) and runs)
    history = BestHistory(writer)
    for each in improvements(50):
        history.add(each)
    opened.set()
    history.flush()
    writer.join()
    writer.close()
    assert [each for call in runs.calls for each in call] == improvements(50)
    assert len(runs.calls) <= 2


def test_an_improvement_does_not_wait_for_the_end(monkeypatch):
    monkeypatch.setattr("wine_sweep.sweep.recorder.WRITE_SECONDS", 0.05)
    runs, written = Runs(), threading.Event()
    logged = runs.log_history
    runs.log_history = lambda *arguments: (logged(*arguments), written.set())
    writer = BackgroundWriter(lambda: runs)
    BestHistory(writer).add(improvements(1)[0])
    assert written.wait(10)
    writer.close()
    assert runs.calls == [improvements(1)]


def test_an_outage_loses_none_and_doubles_none(monkeypatch):
    monkeypatch.setattr(retry, "FIRST_WAIT", 0.01)
    runs = Runs(away=3)
    writer = BackgroundWriter(lambda: runs, policy=RetryPolicy(30))
    history = BestHistory(writer)
    for each in improvements(3):
        history.add(each)
    history.flush()
    history.flush()
    writer.join()
    writer.close()
    assert [each for call in runs.calls for each in call] == improvements(3)
