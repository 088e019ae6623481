"""A real Dask cluster: a scheduler and workers with nannies, started by Dask's own commands."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

pytest.importorskip("distributed", reason="the backend dask needs distributed, an extra")

from tests.execution.clusters import Cluster, dask_worker_of, is_gone, pids_of, wait_until

from wine_sweep.config import ExecutionConfig
from wine_sweep.errors import ExecutionError
from wine_sweep.execution import Limits, dask_pool, make_workers
from wine_sweep.execution.dask_pool import DaskWorkers
from wine_sweep.trial import FailureCause, Trial, TrialState


@pytest.fixture
def make(request, dask_cluster):
    """Make workers at the shared cluster, or at another, that are stopped when the test is over."""

    def make_workers(task, workers=None, limits=Limits(), *, at=None, **options):
        made = DaskWorkers(task, (at or dask_cluster).address, workers, limits, **options)
        request.addfinalizer(made.stop)
        return made

    return make_workers


@pytest.fixture
def own_cluster(tmp_path, tasks):
    """A cluster of the test's own, with a scheduler and no worker."""
    made = Cluster(tmp_path, tasks.FOLDER).start()
    yield made
    made.stop()


def trial(x, number=0, **params) -> Trial:
    return Trial(number, {"x": x, **params})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "failure"),
    [
        ("die", ("WorkerDied", "the worker process was ended by SIGKILL; the system may be out of memory", "worker")),
        ("crash", ("WorkerDied", "the worker process was ended by SIGSEGV", "worker")),
        ("hold_the_lock", ("TrialTimeout", "took longer than 2s", "timeout")),
        ("exit_politely", ("SystemExit", "enough", "error")),
    ],
)
def test_what_happens_to_a_trial_is_told_as_if_it_were_here_and_the_dask_worker_lives(make, tasks, what, failure):
    workers = make(tasks.by_x, limits=Limits(seconds=2))
    ended = workers.submit(trial(what)).result(timeout=60)
    assert ended.state is TrialState.FAILED
    assert (ended.failure.kind, ended.failure.message, ended.failure.cause) == failure
    assert workers.submit(trial(2)).result(timeout=60).scores["twice"].mean == 4
    assert workers.size == 2


@pytest.mark.slow
def test_a_memory_hog_is_ended(make, tasks):
    workers = make(tasks.by_x, limits=Limits(memory=500_000_000))
    assert workers.submit(trial("eat")).result(timeout=60).failure.cause is FailureCause.MEMORY


@pytest.mark.slow
def test_the_task_reaches_each_dask_worker_once(make, tasks, tmp_path):
    workers = make(tasks.CountingTask(str(tmp_path)))
    for number in range(8):
        workers.submit(trial(number, number)).result(timeout=60)
    in_dask = [path.name for path in tmp_path.iterdir() if path.name.startswith("Dask")]
    assert len(in_dask) == 2
    assert len(set(in_dask)) == 2


@pytest.mark.slow
def test_no_more_trials_are_measured_at_a_time_than_there_are_workers_or_the_config_says(make, tasks):
    assert make(tasks.by_x).size == 2
    assert make(tasks.by_x, 1).size == 1
    assert make(tasks.by_x, 7).size == 2


@pytest.mark.slow
def test_a_dask_worker_killed_in_mid_trial_is_told_and_the_next_one_takes_over(make, tasks, tmp_path):
    workers = make(tasks.pids, 1)
    future = workers.submit(trial("hang", folder=str(tmp_path)))
    pids = pids_of(tmp_path)
    os.kill(dask_worker_of(pids[0]), signal.SIGKILL)
    failure = workers.explain(future.exception(timeout=30))
    assert (failure.kind, failure.cause) == ("WorkerDied", FailureCause.WORKER)
    assert failure.message.startswith("the Dask worker tcp://127.0.0.1:")
    assert failure.message.endswith(" left the cluster")
    assert wait_until(lambda: all(map(is_gone, pids)))
    assert workers.submit(trial("stepwise", 1, folder=str(tmp_path))).result(timeout=60).number == 1
    assert wait_until(lambda: len(workers._dask_workers) == 2, 60), "the nanny starts another"


@pytest.mark.slow
def test_what_does_not_come_here_is_lost_with_its_worker_and_not_the_trial_s_own_failure(make, tasks, monkeypatch):
    workers = make(tasks.by_x)
    monkeypatch.setattr(dask_pool, "CARRY_SECONDS", -1.0)
    failure = workers.explain(workers.submit(trial(1)).exception(timeout=30))
    assert (failure.kind, failure.cause) == ("WorkerDied", FailureCause.WORKER)


@pytest.mark.slow
def test_a_worker_that_joins_is_used(make, tasks, own_cluster):
    own_cluster.add_worker()
    workers = make(tasks.pid, at=own_cluster)
    assert workers.size == 1
    own_cluster.add_worker()
    assert wait_until(lambda: workers.size == 2, 60)
    futures = [workers.submit(trial(number, number)) for number in range(4)]
    assert len({future.result(timeout=60).scores["pid"].mean for future in futures}) == 2


@pytest.mark.slow
def test_a_worker_with_other_packages_that_joins_gets_no_trial(make, tasks, own_cluster, tmp_path, caplog):
    (tmp_path / "old" / "pandas-0.1.dist-info").mkdir(parents=True)
    (tmp_path / "old/pandas-0.1.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: pandas\nVersion: 0.1\n")
    own_cluster.add_worker()
    workers = make(tasks.pid, at=own_cluster)
    own_cluster.add_worker(PYTHONPATH=str(tmp_path / "old"))
    assert wait_until(lambda: "is not used: pandas 0.1, here " in caplog.text, 60)
    futures = [workers.submit(trial(number, number)) for number in range(4)]
    assert len({future.result(timeout=60).scores["pid"].mean for future in futures}) == 1
    assert caplog.text.count("is not used") == 1
    assert workers.size == 1


@pytest.mark.slow
def test_a_cluster_with_other_packages_is_refused_with_a_list(make, tasks, monkeypatch):
    own = dask_pool.own_versions
    theirs = own(["numpy"])["numpy"]
    monkeypatch.setattr(dask_pool, "own_versions", lambda names: {**own(names), "numpy": "9.9", "nonesuch": "1.0"})
    with pytest.raises(ExecutionError) as caught:
        make(tasks.by_x)
    first, *lines = str(caught.value).splitlines()
    assert first.endswith("are not ours")
    assert len(lines) == 2
    assert all(line.startswith("tcp://127.0.0.1:") for line in lines)
    assert all(line.endswith(f"numpy {theirs}, here 9.9, nonesuch is not installed, here 1.0") for line in lines)


@pytest.mark.slow
def test_a_task_that_cannot_be_loaded_there_is_an_error_before_the_first_trial(make, tasks, monkeypatch):
    monkeypatch.setenv("WINE_SWEEP_TEST_PID", str(os.getpid()))
    with pytest.raises(ExecutionError, match="cannot be used: ImportError: no such thing here"):
        make(tasks.Unloadable())


@pytest.mark.slow
def test_nobody_at_the_address_is_an_error_with_the_address(tasks, monkeypatch):
    monkeypatch.setattr(dask_pool, "CONNECT_SECONDS", 1.0)
    with pytest.raises(ExecutionError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:1 within 1 s"):
        DaskWorkers(tasks.by_x, "tcp://127.0.0.1:1", None)


@pytest.mark.slow
def test_a_cluster_without_workers_is_waited_for_and_then_given_up(make, tasks, own_cluster, monkeypatch):
    monkeypatch.setattr(dask_pool, "WORKER_SECONDS", 1.0)
    with pytest.raises(ExecutionError, match=r"no worker joined the Dask scheduler at tcp://.* within 1 s"):
        make(tasks.by_x, at=own_cluster)


@pytest.mark.slow
def test_a_cluster_that_loses_all_its_workers_for_long_is_given_up(make, tasks, own_cluster, monkeypatch):
    worker = own_cluster.add_worker()
    workers = make(tasks.pid, at=own_cluster)
    monkeypatch.setattr(dask_pool, "WORKER_SECONDS", 2.0)
    worker.terminate()
    worker.wait(timeout=30)
    assert wait_until(lambda: not workers._dask_workers)
    assert workers.size == 1
    assert wait_until(lambda: workers._error is not None)
    with pytest.raises(ExecutionError, match="has had no worker for 2 s"):
        workers.submit(trial(1))


@pytest.mark.slow
@pytest.mark.parametrize("busy", [True, False])
def test_a_scheduler_that_dies_ends_everything_promptly(make, tasks, own_cluster, tmp_path, busy):
    own_cluster.add_worker()
    workers = make(tasks.pids, at=own_cluster)
    future = workers.submit(trial("hang", folder=str(tmp_path))) if busy else None
    pids = pids_of(tmp_path) if busy else []
    own_cluster.scheduler.kill()
    began = time.monotonic()
    if future is not None:
        with pytest.raises(ExecutionError, match=r"the connection to the Dask scheduler at tcp://.* was lost|is gone"):
            workers.explain(future.exception(timeout=30))
    else:
        assert wait_until(lambda: workers._error is not None, 15)
    with pytest.raises(ExecutionError):
        workers.submit(trial(1))
    workers.stop()
    assert time.monotonic() - began < 20
    assert wait_until(lambda: all(map(is_gone, pids)), 40)


@pytest.mark.slow
def test_stop_ends_on_the_cluster_what_hangs(make, tasks, tmp_path):
    workers = make(tasks.pids)
    futures = [workers.submit(trial("hang", number, folder=str(tmp_path))) for number in range(3)]
    pids = [pid for number in range(2) for pid in pids_of(tmp_path, number)]
    began = time.monotonic()
    workers.stop()
    assert time.monotonic() - began < dask_pool.CLOSE_SECONDS + 10
    assert all(future.cancelled() for future in futures)
    assert wait_until(lambda: all(map(is_gone, pids)))
    assert make(tasks.double).submit(trial(1)).result(timeout=200).scores["twice"].mean == 2  # it imports scikit-learn anew


@pytest.mark.slow
def test_a_cancelled_trial_makes_room_for_the_next(make, tasks, tmp_path):
    workers = make(tasks.pids, 1)
    future = workers.submit(trial("hang", folder=str(tmp_path)))
    pids = pids_of(tmp_path)
    assert future.cancel()
    assert wait_until(lambda: all(map(is_gone, pids)))
    assert workers.submit(trial("stepwise", 1, folder=str(tmp_path))).result(timeout=60).number == 1


ORCHESTRATOR = """
import sys, time
sys.path[:0] = {path!r}
import worker_tasks
from wine_sweep.execution.dask_pool import DaskWorkers
from wine_sweep.trial import Trial
workers = DaskWorkers(worker_tasks.pids, {address!r}, None)
for number in range(2):
    workers.submit(Trial(number, {{"x": "hang", "folder": {folder!r}}}))
time.sleep(3600)
"""


@pytest.mark.slow
def test_nothing_stays_on_the_cluster_of_an_orchestrator_that_is_killed(tasks, dask_cluster, tmp_path):
    program = ORCHESTRATOR.format(path=sys.path, address=dask_cluster.address, folder=str(tmp_path))
    process = subprocess.Popen([sys.executable, "-c", program])
    pids = [pid for number in range(2) for pid in pids_of(tmp_path, number)]
    process.kill()
    process.wait()
    assert wait_until(lambda: all(map(is_gone, pids)))


@pytest.mark.slow
def test_without_an_address_a_cluster_is_started_here_and_ended_again(tasks):
    workers = make_workers(ExecutionConfig(backend="dask", workers=1, trial_timeout=1), tasks.by_x)
    try:
        assert workers.size == 1
        assert workers.submit(trial(3)).result(timeout=60).scores["twice"].mean == 6
        assert workers.submit(trial("hang")).result(timeout=60).failure.kind == "TrialTimeout"
    finally:
        workers.stop()
