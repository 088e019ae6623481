"""Trials that report and write files, on a real Dask cluster."""

from __future__ import annotations

import os
import signal
import time

import pytest

pytest.importorskip("distributed", reason="the backend dask needs distributed, an extra")

from concurrent.futures import wait

from tests.execution.clusters import Cluster, dask_worker_of, is_gone, pids_of, wait_until

from wine_sweep.execution import Limits
from wine_sweep.execution.dask_pool import DaskWorkers
from wine_sweep.trial import FailureCause, Trial, TrialState


@pytest.fixture
def make(request, dask_cluster, tmp_path):
    """Make workers at the shared cluster that are stopped when the test is over; files come to the test's folder `trial_dirs`."""

    def make_workers(task, workers=None, limits=Limits(), *, at=None):
        made = DaskWorkers(task, (at or dask_cluster).address, workers, limits, trial_dirs=tmp_path / "files")
        request.addfinalizer(made.stop)
        return made

    return make_workers


def trial(x, number=0, **params) -> Trial:
    return Trial(number, {"x": x, **params})


def measured(workers, begun: Trial) -> Trial:
    return workers.submit(begun).result(timeout=60)


def kept(trial_dirs) -> dict[str, str]:
    return {str(path.relative_to(trial_dirs)): path.read_text() for path in trial_dirs.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_a_worker_that_holds_a_trial_gets_no_other_so_that_it_can_go_on(make, tasks):
    """With a worker's thread taken by another trial, the held one and the other would wait for each other."""
    workers = make(tasks.reporting)
    held = [workers.submit(trial(2, number)) for number in range(2)]
    others = [workers.submit(trial(0, number)) for number in range(2, 4)]
    held = [future.result(timeout=60) for future in held]
    assert not wait(others, timeout=0.3).done
    for reports in (2, 2):
        futures = [workers.submit(each) for each in held]
        held = [future.result(timeout=30) for future in futures]
        assert {len(each.reports) for each in held} == {reports}
    assert [each.scores["answers"].mean for each in held] == [2, 2]
    assert {future.result(timeout=60).state for future in others} == {TrialState.FINISHED}


def test_a_trial_that_is_dropped_ends_by_itself_and_makes_room(make, tasks, dask_cluster, tmp_path):
    workers = make(tasks.reporting, 1)
    held = [measured(workers, trial(9, number, folder=str(tmp_path), last=0.3)) for number in range(2)]
    other = workers.submit(trial(0, 2))
    assert not wait([other], timeout=0.3).done, "both are held"
    workers.drop(held[0])
    assert other.result(timeout=60).scores["pid"].mean == pids_of(tmp_path)[0]
    assert pids_of(tmp_path)[1:] == [0, 1]
    assert wait_until(lambda: [len(each.held) for each in workers._dask_workers.values()].count(1) == 1)
    workers.drop(held[0])
    workers.drop(trial(0, 17))
    assert measured(workers, held[1]).state is TrialState.RUNNING


@pytest.mark.slow
def test_a_process_that_dies_holding_a_trial_fails_it_when_it_is_to_go_on(make, tasks, tmp_path):
    workers = make(tasks.stubborn)
    held = measured(workers, trial(0, folder=str(tmp_path)))
    pid = pids_of(tmp_path)[0]
    os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: is_gone(pid))
    failed = measured(workers, held)
    assert (failed.state, failed.failure.kind, failed.failure.cause) == ("failed", "WorkerDied", FailureCause.WORKER)
    (tmp_path / "0.pids").unlink()
    assert measured(workers, held).state is TrialState.RUNNING
    assert pids_of(tmp_path)[0] != pid


@pytest.mark.slow
def test_a_dask_worker_that_leaves_holding_a_trial_fails_it_and_the_retry_goes_elsewhere(make, tasks, tmp_path):
    own = Cluster(tmp_path, tasks.FOLDER).start(3)
    try:
        workers = make(tasks.stubborn, at=own)
        held = [measured(workers, trial(1, number, folder=str(tmp_path))) for number in range(2)]
        pids = [pids_of(tmp_path, number)[0] for number in range(2)]
        for pid in pids:
            os.kill(dask_worker_of(pid), signal.SIGKILL)
        assert wait_until(lambda: len(workers._lost) == 2)
        workers.drop(held[1])
        assert list(workers._lost) == [0]
        failure = workers.explain(workers.submit(held[0]).exception(timeout=60))
        assert (failure.kind, failure.cause) == ("WorkerDied", FailureCause.WORKER)
        assert failure.message.endswith(" left the cluster")
        assert all(wait_until(lambda pid=pid: is_gone(pid)) for pid in pids)
        (tmp_path / "0.pids").unlink()
        assert measured(workers, held[0]).state is TrialState.RUNNING
        assert pids_of(tmp_path)[0] not in pids
    finally:
        own.stop()


@pytest.mark.slow
def test_stop_ends_what_is_held(make, tasks, tmp_path):
    workers = make(tasks.stubborn)
    for number in range(2):
        measured(workers, trial(0, number, folder=str(tmp_path)))
    pids = [pids_of(tmp_path, number)[0] for number in range(2)]
    began = time.monotonic()
    workers.stop()
    assert time.monotonic() - began < 10
    assert wait_until(lambda: all(map(is_gone, pids)))


@pytest.mark.slow
def test_the_files_of_trials_come_here_and_nothing_stays_there(make, tasks, dask_cluster, tmp_path):
    workers = make(tasks.files, limits=Limits(seconds=1))
    (tmp_path / "files/0001").mkdir(parents=True)
    (tmp_path / "files/0001/old").write_text("of an earlier attempt")
    assert measured(workers, trial("a")).scores["seen"].mean == 1
    assert measured(workers, trial("b", 1, then="hang")).failure.cause is FailureCause.TIMEOUT
    assert measured(workers, trial("c", 2, then="die")).failure.cause is FailureCause.WORKER
    held = measured(workers, trial("d", 3, then="report"))
    dropped = measured(workers, trial("e", 4, then="report"))
    assert kept(tmp_path / "files") == {"0000/log": "a", "0001/log": "b", "0002/log": "c"}
    assert measured(workers, held).scores["scratch"].mean == 1
    workers.drop(dropped)
    expected = {"0000/log": "a", "0001/log": "b", "0002/log": "c", "0003/log": "d", "0004/log": "e"}
    assert wait_until(lambda: kept(tmp_path / "files") == expected)
    assert wait_until(lambda: not list(dask_cluster.folder.glob("**/wine-sweep-*/*")))
    workers.stop()
    assert wait_until(lambda: not list(dask_cluster.folder.glob("**/wine-sweep-*")))


@pytest.mark.slow
def test_files_that_cannot_be_put_here_cost_the_trial_nothing_but_them(make, tasks, tmp_path, caplog):
    (tmp_path / "files").write_text("no folder")
    assert measured(make(tasks.files), trial("a")).state is TrialState.FINISHED
    assert "files of trial 0 are lost" in caplog.text
