"""One contract, held against every backend; and what a process of its own gives beyond it."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import wait

import pytest

from wine_sweep.config import ExecutionConfig
from wine_sweep.execution import count_workers, make_workers
from wine_sweep.execution.processes import ProcessWorkers
from wine_sweep.trial import Score, Trial, TrialState

MODULE_TASKS = """
import os, signal, time
from dataclasses import replace
from wine_sweep.trial import Score, TrialState

def double(trial):
    score = Score(trial.params["x"] * 2.0, 0.0)
    return replace(trial, state=TrialState.FINISHED, scores={"twice": score})

def threads(trial):
    import numpy
    from threadpoolctl import threadpool_info
    most = max((pool["num_threads"] for pool in threadpool_info()), default=1)
    return replace(trial, state=TrialState.FINISHED, scores={"threads": Score(float(most), 0.0)})

def die(trial):
    if trial.params["x"] == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return double(trial)

def leave(trial):
    os._exit(7)

def hang(trial):
    time.sleep(3600)

def pid(trial):
    time.sleep(0.2)
    return replace(trial, state=TrialState.FINISHED, scores={"pid": Score(float(os.getpid()), 0.0)})
"""


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    """A module that worker processes can import: pickling a task sends only its name."""
    import importlib
    import sys

    folder = tmp_path_factory.mktemp("tasks")
    (folder / "worker_tasks.py").write_text(MODULE_TASKS)
    sys.path.insert(0, str(folder))
    yield importlib.import_module("worker_tasks")
    sys.path.remove(str(folder))


def trials(count: int) -> list[Trial]:
    return [Trial(number, {"x": number}) for number in range(count)]


@pytest.mark.parametrize("config", [ExecutionConfig(backend="serial"), ExecutionConfig(workers=1), ExecutionConfig(workers=2)])
class TestContract:
    def test_every_trial_comes_back_measured(self, config, tasks):
        workers = make_workers(config, tasks.double)
        futures = [workers.submit(trial) for trial in trials(7)]
        results = [future.result(timeout=60) for future in futures]
        workers.stop()
        assert [result.number for result in results] == list(range(7))
        assert [result.scores["twice"] for result in results] == [Score(number * 2.0, 0.0) for number in range(7)]
        assert all(result.state is TrialState.FINISHED for result in results)

    def test_a_worker_computes_with_one_thread(self, config, tasks):
        workers = make_workers(config, tasks.threads)
        result = workers.submit(trials(1)[0]).result(timeout=60)
        workers.stop()
        assert result.scores["threads"].mean == 1

    def test_stopping_twice_does_no_harm(self, config, tasks):
        workers = make_workers(config, tasks.double)
        workers.submit(trials(1)[0]).result(timeout=60)
        workers.stop()
        workers.stop()

    def test_the_size_is_the_configs(self, config, tasks):
        workers = make_workers(config, tasks.double)
        assert workers.size == count_workers(config)
        workers.stop()


def test_all_usable_cores_are_the_default():
    assert count_workers(ExecutionConfig()) == len(os.sched_getaffinity(0))
    assert count_workers(ExecutionConfig(backend="serial")) == 1


def test_a_killed_worker_costs_its_own_trial_and_no_other(tasks):
    workers = ProcessWorkers(tasks.die, 2)
    futures = [workers.submit(trial) for trial in trials(6)]
    wait(futures, timeout=60)
    failed = [number for number, future in enumerate(futures) if future.exception() is not None]
    assert failed == [1]
    failure = workers.explain(futures[1].exception())
    workers.stop()
    assert (failure.kind, failure.message) == ("WorkerDied", "the worker process was ended by SIGKILL")


def test_a_worker_that_leaves_says_with_which_code(tasks):
    workers = ProcessWorkers(tasks.leave, 1)
    error = workers.submit(trials(1)[0]).exception(timeout=60)
    assert workers.explain(error).message == "the worker process ended with exit code 7"
    workers.stop()


def test_stop_ends_a_hanging_worker(tasks):
    workers = ProcessWorkers(tasks.hang, 2)
    futures = [workers.submit(trial) for trial in trials(2)]
    began = time.monotonic()
    while not all(future.running() for future in futures) and time.monotonic() - began < 60:
        time.sleep(0.05)
    began = time.monotonic()
    workers.stop()
    assert time.monotonic() - began < 15
    assert all(future.done() for future in futures)


def test_ctrl_c_does_not_reach_the_workers(tasks):
    workers = ProcessWorkers(tasks.pid, 1)
    process = int(workers.submit(trials(1)[0]).result(timeout=60).scores["pid"].mean)
    future = workers.submit(trials(1)[0])
    os.kill(process, signal.SIGINT)
    assert int(future.result(timeout=60).scores["pid"].mean) == process
    workers.stop()
