"""Trials whose runs are handed over: what the loop is told of them, and when, while the store answers and while it does not."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from dataclasses import dataclass, field, replace

import pytest

from wine_sweep.errors import ExecutionError
from wine_sweep.execution.base import failure_of
from wine_sweep.sweep.program_workers import ProgramWorkers
from wine_sweep.tracking.program_runs import Logged
from wine_sweep.tracking.writer import BackgroundWriter
from wine_sweep.trial import Report, Score, Trial, TrialState

SECONDS = 10


class Runs:
    """Runs in which every process has logged an rmse of 0.5, at its third step."""

    def program_variables(self, number):
        return {"MLFLOW_RUN_ID": f"run-{number}"}

    def logged(self, number):
        return Logged({"rmse": 0.5}, {})

    def history(self, number, metric):
        return [(0, 2.0), (1, 1.0), (2, 0.5)]


@dataclass
class OneWorker:
    """Measures nothing: the test says what came of a trial."""

    size: int = 1
    submitted: threading.Event = field(default_factory=threading.Event)
    trial: Trial | None = None
    future: Future[Trial] = field(default_factory=Future)

    def submit(self, trial):
        self.trial = trial
        self.submitted.set()
        return self.future

    def explain(self, error):
        return failure_of(error)

    def stop(self):
        self.future.cancel()


class NoWorkers(OneWorker):
    def submit(self, trial):
        raise ExecutionError("the worker processes are gone")


@pytest.fixture
def writer():
    made = BackgroundWriter(Runs)
    yield made
    made.close()


def handed_over(workers, writer, watched=None):
    return ProgramWorkers(workers, writer, needed=["rmse"], of={}, watched=watched)


def begun(workers, writer, watched=None):
    """Begin a trial, and give what the loop waits for and the trial as the worker has it."""
    hands = handed_over(workers, writer, watched)
    outer = hands.submit(Trial(0, {"x": 1}))
    assert workers.submitted.wait(SECONDS)
    return hands, outer, workers.trial


def hold(writer):
    """Have the writer's thread wait, as it does for a store that is away."""
    released = threading.Event()
    writer.do(lambda runs: released.wait(SECONDS))
    return released


def test_a_trial_gets_its_run_and_what_it_logged_there_is_its_result(writer):
    workers = OneWorker()
    _, outer, handed = begun(workers, writer)
    assert handed.environment == {"MLFLOW_RUN_ID": "run-0"}
    workers.future.set_result(replace(handed, state=TrialState.FINISHED))
    trial = outer.result(SECONDS)
    assert (trial.state, trial.scores["rmse"].mean, trial.environment) == (TrialState.FINISHED, 0.5, {})


def test_a_process_that_has_ended_before_anybody_looked_has_its_whole_history_as_reports(writer, monkeypatch):
    monkeypatch.setattr(ProgramWorkers, "_look", lambda *args: None)
    workers = OneWorker()
    _, outer, handed = begun(workers, writer, watched="rmse")
    said = (Report(1, {"loss": 3.0}),)
    workers.future.set_result(replace(handed, state=TrialState.FINISHED, scores={"loss": Score(3.0)}, reports=said))
    reports = outer.result(SECONDS).reports
    assert [(each.step, each.values) for each in reports] == [
        (0, {"rmse": 2.0}), (1, {"loss": 3.0}), (1, {"rmse": 1.0}), (2, {"rmse": 0.5}),
    ]  # fmt: skip


def test_a_result_that_needs_no_store_is_told_while_the_store_is_away(writer):
    workers = OneWorker()
    _, outer, handed = begun(workers, writer)
    released = hold(writer)
    workers.future.set_result(replace(handed, state=TrialState.FINISHED, scores={"rmse": Score(0.25)}))
    assert outer.result(SECONDS / 2).scores["rmse"].mean == 0.25
    released.set()


def test_a_result_that_is_read_when_the_sweep_has_stopped_is_nobodys_and_does_no_harm(writer):
    workers = OneWorker()
    hands, outer, handed = begun(workers, writer)
    released = hold(writer)
    workers.future.set_result(replace(handed, state=TrialState.FINISHED))
    hands.stop()
    assert outer.cancelled()
    released.set()
    assert isinstance(writer.join(), Runs)  # and so nothing went wrong in its thread


def test_workers_that_are_gone_end_the_sweep_and_not_the_trial(writer):
    hands = handed_over(NoWorkers(), writer)
    error = hands.submit(Trial(0, {"x": 1})).exception(SECONDS)
    with pytest.raises(ExecutionError, match="are gone"):
        hands.explain(error)
