"""One contract, held against every backend."""

from __future__ import annotations

import os

import pytest

from wine_sweep.config import ExecutionConfig
from wine_sweep.execution import count_workers, make_workers
from wine_sweep.trial import Score, Trial, TrialState


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
