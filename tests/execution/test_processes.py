"""What a process of its own gives: a trial that dies, hangs or eats memory costs itself alone, and nothing is left over."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import time
from concurrent.futures import wait
from pathlib import Path

import psutil
import pytest
from tests.execution.clusters import is_gone, pids_of, wait_until

from wine_sweep.errors import ExecutionError
from wine_sweep.execution import Limits
from wine_sweep.execution.base import TrialDirs
from wine_sweep.execution.process_pool import ProcessWorkers
from wine_sweep.execution.worker_main import serve
from wine_sweep.trial import FailureCause, Trial, TrialState


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


def failure_in(workers, future):
    return workers.explain(future.exception(timeout=60))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("die", "the worker process was ended by SIGKILL; the system may be out of memory"),
        ("crash", "the worker process was ended by SIGSEGV"),
        ("leave", "the worker process ended with exit code 7"),
    ],
)
def test_a_worker_that_dies_costs_its_own_trial_and_no_other(make, tasks, what, message):
    workers = make(tasks.by_x, 2)
    futures = [workers.submit(trial(what if number == 1 else number, number)) for number in range(6)]
    wait(futures, timeout=60)
    assert [number for number, future in enumerate(futures) if future.exception() is not None] == [1]
    failure = failure_in(workers, futures[1])
    assert (failure.kind, failure.message, failure.cause) == ("WorkerDied", message, FailureCause.WORKER)


@pytest.mark.slow
def test_an_idle_worker_that_dies_costs_nothing(make, tasks):
    workers = make(tasks.pid)
    for number in range(4):
        pid = int(workers.submit(trial(0, number)).result(timeout=60).scores["pid"].mean)
        os.kill(pid, signal.SIGKILL)
        assert wait_until(lambda pid=pid: not psutil.pid_exists(pid)), "its last thread has ended, and it is reaped"


def test_a_task_that_leaves_through_sys_exit_fails_with_its_message(make, tasks):
    workers = make(tasks.by_x)
    failure = failure_in(workers, workers.submit(trial("exit_politely")))
    assert (failure.kind, failure.message, failure.cause) == ("SystemExit", "enough", FailureCause.ERROR)
    assert "sys.exit" in failure.traceback


def test_a_result_that_cannot_be_sent_fails_its_trial(make, tasks):
    workers = make(tasks.by_x)
    assert "pickle" in str(failure_in(workers, workers.submit(trial("unpicklable"))))
    assert workers.submit(trial(2)).result(timeout=60).scores["twice"].mean == 4


def test_a_task_that_no_worker_can_load_fails_every_trial_with_the_reason(make, tasks, monkeypatch):
    monkeypatch.setenv("WINE_SWEEP_TEST_PID", str(os.getpid()))
    workers = make(tasks.Unloadable(), 2)
    failures = [failure_in(workers, workers.submit(trial(number, number))) for number in range(3)]
    assert {(each.kind, each.message) for each in failures} == {("ImportError", "no such thing here")}


@pytest.mark.quick(1)
@pytest.mark.parametrize("what", ["hang", "hold_the_lock"])
def test_a_trial_that_takes_too_long_is_ended_and_its_worker_replaced(make, tasks, what):
    workers = make(tasks.by_x, 1, Limits(seconds=0.5))
    workers.submit(trial(1)).result(timeout=60)
    began = time.monotonic()
    failure = failure_in(workers, workers.submit(trial(what)))
    assert 0.5 <= time.monotonic() - began < 5
    assert (failure.kind, failure.message, failure.cause) == ("TrialTimeout", "took longer than 0.5s", FailureCause.TIMEOUT)
    assert workers.submit(trial(3)).result(timeout=60).scores["twice"].mean == 6


@pytest.mark.slow
def test_all_steps_of_a_trial_count_and_the_time_between_them_does_not(make, tasks):
    workers = make(tasks.stepwise, 1, Limits(seconds=1.1))
    measured, steps = trial(0), 0
    while True:
        future = workers.submit(measured)
        if future.exception(timeout=60) is not None:
            break
        measured, steps = future.result(), steps + 1
        assert measured.state is TrialState.RUNNING
        time.sleep(0.7)
    assert steps == 2
    assert 0.8 <= measured.spent < 1.1
    assert workers.explain(future.exception()).cause is FailureCause.TIMEOUT


@pytest.mark.quick(1)
@pytest.mark.parametrize("what", ["eat", "eat_in_a_child"])
def test_a_trial_that_uses_too_much_memory_is_ended_and_no_other(make, tasks, what):
    workers = make(tasks.by_x, 2, Limits(memory=500_000_000))
    greedy, modest = workers.submit(trial(what)), workers.submit(trial("pid", 1))
    failure = failure_in(workers, greedy)
    assert (failure.kind, failure.cause) == ("MemoryLimit", FailureCause.MEMORY)
    assert failure.message.endswith("MB, more than memory_limit 500 MB")
    assert modest.result(timeout=60).state is TrialState.FINISHED
    assert workers.submit(trial(3)).result(timeout=60).scores["twice"].mean == 6


@pytest.mark.slow
def test_what_a_killed_trial_started_goes_with_it(make, tasks, tmp_path):
    workers = make(tasks.pids, 1, Limits(seconds=1))
    future = workers.submit(trial("hang", folder=str(tmp_path)))
    assert failure_in(workers, future).cause is FailureCause.TIMEOUT
    assert wait_until(lambda: all(map(is_gone, pids_of(tmp_path))))


def test_stop_ends_what_hangs_and_cancels_its_future(make, tasks, tmp_path):
    workers = make(tasks.pids, 2)
    futures = [workers.submit(trial("hang", number, folder=str(tmp_path))) for number in range(3)]
    pids = [pid for number in range(2) for pid in pids_of(tmp_path, number)]
    began = time.monotonic()
    workers.stop()
    assert time.monotonic() - began < 5
    assert all(future.cancelled() for future in futures)
    assert not wait(futures, timeout=5).not_done
    assert wait_until(lambda: all(map(is_gone, pids)))
    with pytest.raises(ExecutionError, match="they were stopped"):
        workers.submit(trial(1))


def test_a_cancelled_trial_is_ended_and_its_worker_replaced(make, tasks, tmp_path):
    workers = make(tasks.pids)
    future = workers.submit(trial("hang", folder=str(tmp_path)))
    pids = pids_of(tmp_path)
    assert future.cancel()
    assert wait_until(lambda: all(map(is_gone, pids)))
    assert workers.submit(trial("stepwise", 1, folder=str(tmp_path))).result(timeout=60).number == 1


def test_what_a_finished_trial_has_left_running_ends_with_the_workers(make, tasks, tmp_path):
    workers = make(tasks.pids, 1)
    workers.submit(trial("stepwise", folder=str(tmp_path))).result(timeout=60)
    worker, child = pids_of(tmp_path)
    assert not is_gone(child)
    workers.stop()
    assert wait_until(lambda: is_gone(worker) and is_gone(child))


def test_ctrl_c_does_not_reach_the_workers(make, tasks):
    workers = make(tasks.pid)
    process = int(workers.submit(trial(0)).result(timeout=60).scores["pid"].mean)
    future = workers.submit(trial(0))
    os.kill(process, signal.SIGINT)
    assert int(future.result(timeout=60).scores["pid"].mean) == process


@pytest.mark.slow
def test_idle_workers_leave_and_come_back_when_needed(make, tasks):
    workers = make(tasks.pid, 1, idle_seconds=0.3)
    first = int(workers.submit(trial(0)).result(timeout=60).scores["pid"].mean)
    assert wait_until(lambda: is_gone(first))
    assert int(workers.submit(trial(0)).result(timeout=60).scores["pid"].mean) != first


ORCHESTRATOR = """
import sys, time
sys.path[:0] = {path!r}
import worker_tasks
from wine_sweep.execution.process_pool import ProcessWorkers
from wine_sweep.trial import Trial
if __name__ == "__main__":
    workers = ProcessWorkers(worker_tasks.pids, 2)
    for number, what in enumerate(("hang", "hold_the_lock")):
        workers.submit(Trial(number, {{"x": what, "folder": {folder!r}}}))
    {then}
"""


def orchestrator(folder: Path, then: str) -> subprocess.Popen[bytes]:
    program = folder / "orchestrator.py"
    program.write_text(ORCHESTRATOR.format(path=sys.path, folder=str(folder), then=then))
    return subprocess.Popen([sys.executable, str(program)])


@pytest.mark.slow
def test_no_process_outlives_an_orchestrator_that_is_killed(tasks, tmp_path):
    process = orchestrator(tmp_path, "time.sleep(3600)")
    pids = [pid for number in range(2) for pid in pids_of(tmp_path, number)]
    assert len(pids) == 4
    process.kill()
    process.wait()
    assert wait_until(lambda: all(map(is_gone, pids)), 5)


@pytest.mark.slow
def test_a_worker_that_nobody_waits_for_any_more_ends_without_a_word(tasks, capfd):
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, pickle.dumps(tasks.double), TrialDirs.at(None), {}))
    process.start()
    ours.close()
    theirs.close()
    process.join(60)
    assert process.exitcode == 0
    assert capfd.readouterr().err == ""


@pytest.mark.slow
def test_a_program_that_forgets_to_stop_its_workers_ends_all_the_same(tasks, tmp_path):
    process = orchestrator(tmp_path, "time.sleep(3)")
    assert process.wait(timeout=60) == 0
    assert wait_until(lambda: all(map(is_gone, [pid for number in range(2) for pid in pids_of(tmp_path, number)])), 5)
