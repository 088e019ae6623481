"""Trials that report: their worker waits for the answer, whatever becomes of it and of those who wait."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import wait

import pytest
from tests.execution.clusters import is_gone, pids_of, wait_until

from wine_sweep.config import Direction, ExecutionConfig, SearchConfig
from wine_sweep.execution import Limits, make_workers, worker_handle
from wine_sweep.execution.process_pool import ProcessWorkers
from wine_sweep.search.methods import make_searcher
from wine_sweep.search.space import Space
from wine_sweep.selection import Objective
from wine_sweep.sweep.loop import Budget, TrialLoop
from wine_sweep.trial import FailureCause, Report, Trial, TrialState


@pytest.fixture
def make(request):
    """Make workers that are stopped when the test is over."""

    def make_workers(task, size=1, limits=Limits(), **options):
        workers = ProcessWorkers(task, size, limits, **options)
        request.addfinalizer(workers.stop)
        return workers

    return make_workers


def trial(x, number=0, **params) -> Trial:
    return Trial(number, {"x": x, **params})


def measured(workers, begun: Trial) -> Trial:
    return workers.submit(begun).result(timeout=60)


def to_the_end(workers, begun: Trial) -> list[Trial]:
    """Have a trial go on until it ends; what it was at each answer."""
    seen = [measured(workers, begun)]
    while not seen[-1].state.has_ended:
        seen.append(measured(workers, seen[-1]))
    return seen


def pid_in(ended: Trial) -> int:
    return int(ended.scores["pid"].mean)


def test_a_report_gives_the_trial_back_and_the_answer_lets_it_go_on(make, tasks):
    *shown, ended = to_the_end(make(tasks.reporting), trial(3))
    assert [each.state for each in shown] == [TrialState.RUNNING] * 3
    assert shown[2].reports == tuple(Report(step, {"rmse": 10.0 - step}) for step in range(3))
    assert ended.state is TrialState.FINISHED
    assert ended.scores["answers"].mean == 3


def test_each_of_several_trials_goes_on_in_the_worker_that_holds_it(make, tasks):
    workers = make(tasks.reporting, 3)
    futures = {number: workers.submit(trial(4, number)) for number in range(3)}
    wait(futures.values(), timeout=60)  # each worker holds one then, however slowly the last of them has started
    ended = {}
    while futures:
        done = [number for number in futures if futures[number].done()]
        for number in sorted(done, reverse=True):
            given = futures.pop(number).result()
            assert given.number == number
            if given.state.has_ended:
                ended[number] = given
            else:
                futures[number] = workers.submit(given)
        wait(futures.values(), timeout=0.05)
    assert len({pid_in(each) for each in ended.values()}) == 3
    assert [each.scores["answers"].mean for each in ended.values()] == [4] * 3


def test_a_worker_that_holds_a_trial_measures_no_other(make, tasks):
    workers = make(tasks.reporting)
    held = measured(workers, trial(1))
    other = workers.submit(trial(0, 1))
    assert not wait([other], timeout=0.3).done
    assert measured(workers, held).state is TrialState.FINISHED
    assert other.result(timeout=60).number == 1


def test_a_trial_that_is_dropped_ends_by_itself_and_its_worker_goes_on_with_the_next(make, tasks, tmp_path):
    workers = make(tasks.reporting)
    held = measured(workers, trial(9, folder=str(tmp_path)))
    held = measured(workers, held)
    workers.drop(held)
    ended = measured(workers, trial(0, 1))
    pid, told, asked = pids_of(tmp_path)
    assert (told, asked) == (1, 2)
    assert pid_in(ended) == pid


def test_what_a_dropped_trial_says_in_the_end_is_not_taken_for_the_next_ones_result(make, tasks, tmp_path):
    workers = make(tasks.reporting)
    workers.drop(measured(workers, trial(9, last=0.3)))
    ended = measured(workers, trial(0, 0))  # the same number, which nobody would do
    assert ended.scores["answers"].mean == 0
    assert ended.params == {"x": 0}


def test_a_task_that_was_told_no_is_told_no_again_without_asking(make, tasks, tmp_path):
    workers = make(tasks.deaf)
    workers.drop(measured(workers, trial(0, folder=str(tmp_path))))
    assert pids_of(tmp_path)[1:] == [0, 5]
    assert measured(workers, trial(0, 1, folder=str(tmp_path))).state is TrialState.RUNNING


def test_a_dropped_trial_that_does_not_end_is_killed_and_its_worker_replaced(make, tasks, tmp_path, monkeypatch):
    monkeypatch.setattr(worker_handle, "END_SECONDS", 0.3)
    workers = make(tasks.stubborn)
    held = measured(workers, trial(0, folder=str(tmp_path)))
    pids = pids_of(tmp_path)
    began = time.monotonic()
    workers.drop(held)
    assert wait_until(lambda: all(map(is_gone, pids)))
    assert time.monotonic() - began >= 0.3
    assert measured(workers, trial(0, 1, folder=str(tmp_path))).state is TrialState.RUNNING
    assert pids_of(tmp_path, 1)[0] != pids[0]


def test_to_drop_what_nobody_holds_does_nothing(make, tasks):
    workers = make(tasks.stepwise)
    step = measured(workers, trial(0))
    workers.drop(step)
    workers.drop(trial(0, 7))
    assert len(measured(workers, step).steps) == 2, "a trial in steps may go on even so"
    workers.stop()
    workers.drop(step)


@pytest.mark.slow
def test_the_time_between_a_report_and_its_answer_does_not_count(make, tasks):
    workers = make(tasks.reporting, 1, Limits(seconds=2.8))
    given = trial(9, pause=1.0)
    for report in range(2):
        given = measured(workers, given)
        assert report + 1 <= given.spent < 2.8
        time.sleep(1.5)
    failure = workers.explain(workers.submit(given).exception(timeout=60))
    assert (failure.kind, failure.cause) == ("TrialTimeout", FailureCause.TIMEOUT)
    assert measured(workers, trial(0, 1)).state is TrialState.FINISHED


def test_a_worker_that_dies_holding_a_trial_fails_it_when_it_is_to_go_on_and_the_retry_begins_afresh(make, tasks, tmp_path):
    workers = make(tasks.stubborn, 2)
    held = measured(workers, trial(0, folder=str(tmp_path)))
    pid = pids_of(tmp_path)[0]
    os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: is_gone(pid))
    failure = workers.explain(workers.submit(held).exception(timeout=60))
    assert (failure.kind, failure.cause) == ("WorkerDied", FailureCause.WORKER)
    assert failure.message == "the worker process was ended by SIGKILL; the system may be out of memory"
    (tmp_path / "0.pids").unlink()
    assert measured(workers, held).state is TrialState.RUNNING
    assert pids_of(tmp_path)[0] != pid


def test_a_worker_that_died_holding_a_trial_that_is_dropped_is_forgotten(make, tasks, tmp_path):
    workers = make(tasks.stubborn)
    held = measured(workers, trial(0, folder=str(tmp_path)))
    os.kill(pids_of(tmp_path)[0], signal.SIGKILL)
    assert wait_until(lambda: not workers._staff)
    workers.drop(held)
    assert wait_until(lambda: not workers.holds(0))
    assert measured(workers, trial(0, folder=str(tmp_path))).state is TrialState.RUNNING


def test_a_trial_that_is_cancelled_while_it_goes_on_is_ended(make, tasks, tmp_path):
    workers = make(tasks.stubborn)
    future = workers.submit(measured(workers, trial(0, folder=str(tmp_path))))
    assert future.cancel()
    assert wait_until(lambda: all(map(is_gone, pids_of(tmp_path))))


def test_stop_ends_what_is_held_and_what_was_dropped(make, tasks, tmp_path, monkeypatch):
    workers = make(tasks.stubborn, 2)
    held = [measured(workers, trial(0, number, folder=str(tmp_path))) for number in range(2)]
    workers.drop(held[1])
    pids = [pid for number in range(2) for pid in pids_of(tmp_path, number)]
    began = time.monotonic()
    workers.stop()
    assert time.monotonic() - began < 5
    assert wait_until(lambda: all(map(is_gone, pids)))


def test_idle_workers_leave_and_those_that_hold_a_trial_stay(make, tasks):
    workers = make(tasks.reporting, idle_seconds=0.2)
    held = measured(workers, trial(1))
    time.sleep(0.5)
    assert measured(workers, held).state is TrialState.FINISHED
    assert wait_until(lambda: not workers._staff)


def test_only_a_trial_that_runs_can_be_reported(make, tasks):
    workers = make(tasks.ended_too_early)
    failure = workers.explain(workers.submit(trial(0)).exception(timeout=60))
    assert (failure.kind, failure.message) == (
        "ValueError",
        "trial 0 is reported as finished, and only one that is running can be",
    )


def test_a_thread_that_reports_after_its_trials_end_is_not_heard(make, tasks):
    workers = make(tasks.talking)
    first = pid_in(measured(workers, trial(0)))
    time.sleep(0.4)
    assert pid_in(measured(workers, trial(0, 1))) == first


class Noted:
    """A recorder that keeps nothing but the end of each trial."""

    def __init__(self):
        self.ended = {}

    def trial_ended(self, ended) -> None:
        self.ended[ended.number] = ended

    def trial_started(self, begun) -> None:
        pass

    trial_restored = trial_started

    def check(self) -> None:
        pass

    def is_behind(self) -> bool:
        return False


@pytest.mark.parametrize("size", [1, 2])
def test_a_loop_prunes_what_reports_poorly_and_its_workers_go_on(make, tasks, size):
    search = SearchConfig.model_validate(
        {"method": "grid", "parameters": {"level": [1, 2, 9, 1.5, 8, 3]}, "pruner": {"type": "threshold", "upper": 5.0}}
    )
    searcher = make_searcher(search, Space.of(search), directions=[Direction.MINIMIZE], steps=0)
    recorder, workers = Noted(), make(tasks.levels, size)
    result = TrialLoop(searcher, workers, recorder, Objective("rmse", Direction.MINIMIZE, ""), Budget(trials=6)).run()
    assert [each.state for each in result.trials] == ["finished", "finished", "pruned", "finished", "pruned", "finished"]
    assert [each.reported for each in result.trials] == [(1, 1, 1), (2, 2, 2), (9,), (1.5, 1.5, 1.5), (8,), (3, 3, 3)]
    assert [each.reported_at for each in result.trials] == [(0, 10, 20), (0, 10, 20), (0,), (0, 10, 20), (0,), (0, 10, 20)]
    assert recorder.ended == {each.number: each for each in result.trials}


def test_in_this_process_nobody_can_be_asked(tasks):
    workers = make_workers(ExecutionConfig(backend="serial"), tasks.reporting)
    with pytest.raises(RuntimeError, match="trial 0 reports, and with the backend serial nobody can be asked"):
        workers.submit(trial(1))
    workers.drop(trial(1))
    workers.stop()
