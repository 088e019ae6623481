"""What cannot be fitted, saved or loaded is found before anything is written; what can costs a fit on a few rows."""

from __future__ import annotations

import json

import pytest
import yaml

MODULE = """
import threading
from sklearn.linear_model import Ridge


class Held(Ridge):
    def fit(self, X, y):
        self.lock_ = threading.Lock()
        print("noise of a fit")
        return super().fit(X, y)


class Forgetful(Ridge):
    def __getstate__(self):
        return {**super().__getstate__(), **({"intercept_": self.intercept_ + 1} if hasattr(self, "intercept_") else {})}


class Never(Ridge):
    def fit(self, X, y):
        raise RuntimeError("no luck")
"""
WRONG = {
    "Held": "model: a model of it, fitted on a few rows, could not be kept: the model holds objects of types that nobody trusts",
    "Forgetful": "could not be kept: the saved model predicts otherwise than the one in memory for 50 of 50",
    "Never": "model: cannot be fitted on the 971 rows of a fold: RuntimeError: no luck",
}


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kept_or_not.py").write_text(MODULE)

    def write(estimator, name="s"):
        keys = {
            "name": name,
            "data": {"source": "wine-quality-red"},
            "model": {"estimator": estimator},
            "search": {"method": "random", "trials": 2, "parameters": {"alpha": {"low": 0.1, "high": 1.0}}},
            "execution": {"backend": "serial"},
        }
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(keys))
        return tmp_path / f"{name}.yaml"

    return write


@pytest.mark.parametrize("estimator", WRONG)
def test_what_could_not_be_kept_is_a_mistake_of_the_config_and_leaves_nothing(estimator, config, store, in_process):
    path = config(f"kept_or_not.{estimator}")
    for command in (["plan", "--fit"], ["run"]):
        done = in_process(*command, path, "--trust", "kept_or_not")
        assert done.returncode == 2
        assert WRONG[estimator] in " ".join(done.stderr.split())
        assert "noise" not in done.stdout + done.stderr
    assert [run for each in store.client.search_experiments() for run in store.client.search_runs([each.experiment_id])] == []
    assert in_process("plan", path, "--trust", "kept_or_not").returncode == 0


def test_plan_fits_where_it_is_asked_to(config, in_process):
    path = config("sklearn.linear_model.Ridge")
    (plan,) = json.loads(in_process("plan", "--fit", path, "--json").stdout)
    assert plan["fitted"] == 1
    assert "fitted on a few rows, saved and loaded back" in in_process("plan", "--fit", path).stdout
    assert "fitted" not in json.loads(in_process("plan", path, "--json").stdout)[0]


def test_a_sweep_that_goes_on_is_not_rehearsed_again(config, in_process, monkeypatch):
    assert in_process("run", config("sklearn.linear_model.Ridge"), "--quiet").returncode == 0
    rehearsed = []
    monkeypatch.setattr("wine_sweep.sweep.rehearsal.rehearse", lambda *given: rehearsed.append(given))
    assert in_process("resume", "s", "--trials", "3").returncode == 0
    assert in_process("run", config("sklearn.linear_model.Ridge", "t"), "--quiet").returncode == 0
    assert len(rehearsed) == 1


def test_no_trial_begins_before_all_is_rehearsed(config, in_process, monkeypatch):
    from wine_sweep.evaluation.cross_validation import CrossValidationTask
    from wine_sweep.sweep import rehearsal

    order, rehearse, measure = [], rehearsal.rehearse, CrossValidationTask.__call__
    monkeypatch.setattr(rehearsal, "rehearse", lambda *given: (rehearse(*given), order.append("rehearsed")))
    monkeypatch.setattr(CrossValidationTask, "__call__", lambda *given: (order.append("trial"), measure(*given))[1])
    assert in_process("run", config("sklearn.linear_model.Ridge"), "--quiet").returncode == 0
    assert order == ["rehearsed", "trial", "trial"]
