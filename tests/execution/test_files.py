"""Files that trials write: which are kept, which go, and when."""

from __future__ import annotations

import os
import stat
import subprocess
import tempfile

import pytest
from tests.execution.clusters import is_gone, pids_of, wait_until

from wine_sweep.config import ExecutionConfig
from wine_sweep.execution import make_workers
from wine_sweep.execution.base import TrialDirs
from wine_sweep.execution.worker_main import groups_beside
from wine_sweep.trial import FailureCause, Step, Trial, TrialState


def trial(x, number=0, **params) -> Trial:
    return Trial(number, {"x": x, **params})


def kept(trial_dirs) -> dict[str, str]:
    return {str(path.relative_to(trial_dirs)): path.read_text() for path in trial_dirs.rglob("*") if path.is_file()}


@pytest.fixture(params=["serial", "processes"])
def make(request, tmp_path):
    """Make workers with directories below the test's folder, or with another."""

    def make(task, trial_dirs="files", **keys):
        config = ExecutionConfig.model_validate({"backend": request.param, **({"workers": 1} if keys else {}), **keys})
        workers = make_workers(config, task, trial_dirs=None if trial_dirs is None else tmp_path / trial_dirs)
        request.addfinalizer(workers.stop)
        return workers

    return make


class TestContract:
    @pytest.mark.slow
    def test_what_a_trial_wrote_stays_in_its_folder_and_its_scratch_goes(self, make, tasks, tmp_path):
        workers = make(tasks.files)
        for number in (0, 7, 12345):
            ended = workers.submit(trial("x", number)).result(timeout=60)
            assert (ended.scores["seen"].mean, ended.scores["scratch"].mean) == (1, 1)
        workers.stop()
        assert kept(tmp_path / "files") == {"0000/log": "x", "0007/log": "x", "12345/log": "x"}
        assert sorted(path.name for path in (tmp_path / "files").iterdir()) == ["0000", "0007", "12345"]

    def test_a_trial_that_is_begun_afresh_finds_nothing_old(self, make, tasks, tmp_path):
        for folder in ("0003", "0003.scratch", "0004"):
            (tmp_path / "files" / folder).mkdir(parents=True)
            (tmp_path / "files" / folder / "log").write_text("old")
        workers = make(tasks.files)
        for _ in range(2):
            ended = workers.submit(trial("x", 3)).result(timeout=60)
            assert (ended.scores["seen"].mean, ended.scores["scratch"].mean) == (1, 1)
        assert kept(tmp_path / "files") == {"0003/log": "x", "0004/log": "old"}

    def test_the_next_step_of_a_trial_finds_what_the_last_one_kept(self, make, tasks, tmp_path):
        workers = make(tasks.files)
        given = trial("x", then="step")
        for _ in range(2):
            given = workers.submit(given).result(timeout=60)
        ended = workers.submit(given).result(timeout=60)
        assert (ended.scores["seen"].mean, ended.scores["scratch"].mean) == (3, 1)
        again = workers.submit(trial("x", then="step", steps=1)).result(timeout=60)
        assert again.steps == (Step({"rmse": (1.0,)}, 0.1),)
        assert kept(tmp_path / "files") == {"0000/log": "x"}

    def test_a_folder_is_made_when_somebody_asks_for_it(self, make, tasks, tmp_path):
        workers = make(tasks.double)
        workers.submit(trial(1)).result(timeout=60)
        assert not (tmp_path / "files").exists()
        workers = make(tasks.no_files)
        assert workers.submit(trial(1)).result(timeout=60).scores["folders"].mean == 1
        assert stat.S_IMODE((tmp_path / "files").stat().st_mode) == 0o700

    def test_without_a_spool_everything_goes_in_the_end(self, make, tasks, tmp_path, monkeypatch):
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        workers = make(tasks.files, None)
        assert workers.submit(trial("x")).result(timeout=60).scores["seen"].mean == 1
        assert len(list(tmp_path.glob("wine-sweep-*/0000/log"))) == 1
        workers.stop()
        assert list(tmp_path.iterdir()) == []

    def test_a_relative_spool_is_where_this_process_is(self, make, tasks, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        workers = make_workers(ExecutionConfig(workers=1), tasks.files, trial_dirs=tmp_path.relative_to(tmp_path) / "here")
        monkeypatch.chdir("/")
        workers.submit(trial("x")).result(timeout=60)
        workers.stop()
        assert kept(tmp_path / "here") == {"0000/log": "x"}


def process_workers(request, tmp_path, task, **keys):
    config = ExecutionConfig.model_validate({"workers": 1, **keys})
    workers = make_workers(config, task, trial_dirs=tmp_path / "files")
    request.addfinalizer(workers.stop)
    return workers


def test_a_trial_that_goes_on_after_a_report_keeps_both_folders(request, tasks, tmp_path):
    workers = process_workers(request, tmp_path, tasks.files)
    given = workers.submit(trial("x", then="report")).result(timeout=60)
    assert kept(tmp_path / "files") == {"0000/log": "x", "0000.scratch/log": "x"}
    assert workers.submit(given).result(timeout=60).scores["scratch"].mean == 1
    assert kept(tmp_path / "files") == {"0000/log": "x"}


def test_a_trial_that_is_dropped_keeps_its_files_and_loses_its_scratch(request, tasks, tmp_path):
    workers = process_workers(request, tmp_path, tasks.files)
    workers.drop(workers.submit(trial("x", then="report")).result(timeout=60))
    workers.submit(trial("y", 1)).result(timeout=60)
    assert kept(tmp_path / "files") == {"0000/log": "x", "0001/log": "y"}


@pytest.mark.quick(1)
@pytest.mark.parametrize(("then", "cause"), [("hang", FailureCause.TIMEOUT), ("die", FailureCause.WORKER)])
def test_of_a_worker_that_is_gone_the_scratch_is_removed_when_the_trial_fails(request, tasks, tmp_path, then, cause):
    workers = process_workers(request, tmp_path, tasks.files, trial_timeout=0.7)
    error = workers.submit(trial("x", then=then)).exception(timeout=60)
    assert not (tmp_path / "files/0000.scratch").exists()
    assert workers.explain(error).cause is cause
    assert kept(tmp_path / "files") == {"0000/log": "x"}


def test_of_a_worker_that_is_gone_while_it_holds_a_trial_or_is_stopped_the_scratch_is_removed(request, tasks, tmp_path):
    workers = process_workers(request, tmp_path, tasks.files, workers=2)
    given = workers.submit(trial("x", then="report")).result(timeout=60)
    busy = workers.submit(trial("y", 1, then="hang"))
    assert wait_until((tmp_path / "files/0001.scratch/log").exists)
    workers.stop()
    assert given.state is TrialState.RUNNING
    assert busy.cancelled()
    assert kept(tmp_path / "files") == {"0000/log": "x", "0001/log": "y"}
    assert len(list((tmp_path / "files").iterdir())) == 2


@pytest.mark.slow
@pytest.mark.parametrize("how", ["timeout", "stop", "cancel"])
def test_a_child_in_a_group_of_its_own_goes_with_the_worker_that_is_killed(request, tasks, tmp_path, how):
    workers = process_workers(request, tmp_path, tasks.orphan, **({"trial_timeout": 0.7} if how == "timeout" else {}))
    future = workers.submit(trial("x", folder=str(tmp_path)))
    pids = pids_of(tmp_path)
    assert os.getpgid(pids[1]) == pids[1]
    if how == "stop":
        workers.stop()
    elif how == "cancel":
        future.cancel()
    else:
        assert workers.explain(future.exception(timeout=60)).cause is FailureCause.TIMEOUT
    assert wait_until(lambda: all(map(is_gone, pids)))


def test_groups_beside_a_process_are_those_of_its_descendants_and_never_ours():
    ours, leader = subprocess.Popen(["sleep", "60"]), subprocess.Popen(["sleep", "60"], process_group=0)
    try:
        assert groups_beside([os.getpid()]) >= {leader.pid}
        assert not groups_beside([os.getpid()]) & {os.getpid(), os.getpgrp(), ours.pid}
        assert groups_beside([leader.pid]) == groups_beside([]) == set()
    finally:
        ours.kill(), leader.kill(), ours.wait(), leader.wait()


def test_a_spool_names_folders_without_making_them(tmp_path):
    trial_dirs = TrialDirs.at(tmp_path / "files")
    assert (trial_dirs.folder(7), trial_dirs.scratch(7)) == (tmp_path / "files/0007", tmp_path / "files/0007.scratch")
    trial_dirs.clear(7)
    trial_dirs.clear_scratch(7)
    assert not trial_dirs.root.exists()
    (trial_dirs.make(trial_dirs.folder(7)) / "a").touch()
    trial_dirs.close()
    assert (trial_dirs.folder(7) / "a").exists(), "directories that somebody named stays"
