"""Whatever stops a sweep, and wherever: nothing stays RUNNING, nothing is promoted, the run is named."""

from __future__ import annotations

import functools
import pathlib
import threading

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST
from sklearn.linear_model import Ridge
from tests.watching import Silent

from wine_sweep.config import parse_config
from wine_sweep.errors import ModelError, NotFoundError, SweepInterrupted, TrackingError
from wine_sweep.promotion import promote
from wine_sweep.sweep.promote_recorded import find_candidate, promote_candidate
from wine_sweep.sweep.run import RunOptions, run_sweep
from wine_sweep.targets import estimator
from wine_sweep.targets.prepare import prepare
from wine_sweep.tracking.reader import SweepReader
from wine_sweep.tracking.runs import SweepRuns
from wine_sweep.tracking.store import translated_errors
from wine_sweep.tracking.writer import BackgroundWriter

GRID = """
name: small
data: {source: wine-quality-red}
model: {estimator: sklearn.linear_model.Ridge}
search: {parameters: {alpha: [0.1, 1]}}
execution: {backend: serial}
registry: {name: small-model}
"""


class Watcher(Silent):
    """Remembers the phases, and turns the switch on when one begins."""

    def __init__(self, stop_at: str = "") -> None:
        self.stop_at = stop_at
        self.on = False
        self.phases: list[str] = []

    def __call__(self) -> bool:
        return self.on

    def phase(self, what) -> None:
        self.phases.append(what)
        self.on = self.on or what == self.stop_at


def run(store, watcher: Watcher, text: str = GRID):
    draft = parse_config(text.encode(), source="test.yaml", folder=pathlib.Path.cwd(), default_name="test")
    return run_sweep(prepare(draft), RunOptions(tracking_uri=store.uri), observer=watcher, stop=watcher)


def statuses(store) -> set[str]:
    client = store.client
    experiments = [each.experiment_id for each in client.search_experiments()]
    return {run.info.status for run in client.search_runs(experiments, max_results=1000)}


@pytest.mark.slow
@pytest.mark.parametrize("phase", ["choosing the winner", "fitting the winner", "saving the winner"])
def test_a_stop_after_the_trials_is_heard_before_the_next_step(store, phase):
    watcher = Watcher(phase)
    with pytest.raises(SweepInterrupted) as caught:
        run(store, watcher)
    assert watcher.phases[-1] == phase
    parent = store.client.get_run(caught.value.run_id)
    assert parent.info.status == "KILLED"
    assert parent.data.metrics["trials_finished"] == 2
    assert "RUNNING" not in statuses(store)
    assert store.client.search_registered_models() == []


@pytest.mark.slow
def test_a_second_ctrl_c_closes_everything_too(store, monkeypatch):
    def interrupted(*_arguments, **_keys):
        raise KeyboardInterrupt

    monkeypatch.setattr(estimator, "refit", interrupted)
    with pytest.raises(SweepInterrupted) as caught:
        run(store, Watcher())
    assert store.client.get_run(caught.value.run_id).info.status == "KILLED"
    assert "RUNNING" not in statuses(store)


@pytest.mark.slow
def test_a_signal_while_the_runs_are_being_closed_leaves_none_open(store, monkeypatch):
    end, interrupted = SweepRuns.end, []

    def interrupted_once(self, status, *, at):
        if not interrupted:
            interrupted.append(status)
            raise KeyboardInterrupt
        end(self, status, at=at)

    monkeypatch.setattr(SweepRuns, "end", interrupted_once)
    with pytest.raises(SweepInterrupted) as caught:
        run(store, Watcher("fitting the winner"))
    assert interrupted == ["KILLED"]
    assert store.client.get_run(caught.value.run_id).info.status == "KILLED"
    assert "RUNNING" not in statuses(store)


@pytest.mark.slow
def test_an_error_that_no_outage_explains_ends_the_sweep_though_the_store_refuses_to_close_it(store, monkeypatch):
    """As where its runs were deleted for good: the error is raised, and nobody looks for its cause for ever."""

    def refuse(*_arguments, **_keys):
        with translated_errors("do anything"):
            raise MlflowException("no such run", error_code=RESOURCE_DOES_NOT_EXIST)

    for name in ("write_file", "check_owner", "end"):
        monkeypatch.setattr(SweepRuns, name, refuse)
    with pytest.raises(TrackingError, match="no such run") as caught:
        run(store, Watcher())
    assert caught.value.__cause__ is not caught.value


def test_a_sweep_that_cannot_be_described_ends_as_failed(store, monkeypatch):
    def refuse(self, name, text):
        raise TrackingError("no artifacts here")

    monkeypatch.setattr(SweepRuns, "write_file", refuse)
    with pytest.raises(TrackingError, match="no artifacts here"):
        run(store, Watcher())
    assert "RUNNING" not in statuses(store)


def test_an_interrupted_wait_for_the_writer_can_be_taken_up_again():
    gate, done = threading.Event(), []
    writer = BackgroundWriter(lambda: gate.wait(30) and done)
    writer.do(lambda target: target.append(1))
    timer = threading.Timer(0.5, gate.set)
    timer.start()

    class Interrupting(threading.Event):
        def wait(self, timeout=None):
            writer._done = self.real
            raise KeyboardInterrupt

    interrupting = Interrupting()
    interrupting.real = writer._done
    writer._done = interrupting
    with pytest.raises(KeyboardInterrupt):
        writer.close()
    writer.close()
    assert done == [1]


@pytest.mark.slow
def test_a_model_that_does_not_load_back_is_never_promoted(store, monkeypatch):
    def differs(*_arguments):
        raise ModelError("it predicts something else")

    with monkeypatch.context() as patch:
        patch.setattr(promote, "check_loads_back", differs)
        with pytest.raises(ModelError, match="it predicts something else"):
            run(store, Watcher())
    assert store.client.search_registered_models() == []
    reader = SweepReader(store.client)
    sweep = reader.find("latest")
    assert sweep.status == "FAILED"
    found = find_candidate(reader, sweep, run_id=None, name=None, stage=None, force=True, trusted=())
    assert found.saved is None
    assert promote_candidate(reader, found).promotion.version == "1"


@pytest.mark.slow
def test_an_estimator_that_works_in_place_gives_what_any_other_does(store):
    text = GRID.replace(
        "estimator: sklearn.linear_model.Ridge",
        "pipeline: {scale: sklearn.preprocessing.StandardScaler, ridge: sklearn.linear_model.Ridge}",
    ).replace("alpha:", "ridge__alpha:")
    plain = run(store, Watcher(), text)
    in_place = run(
        store,
        Watcher(),
        text.replace("linear_model.Ridge}}", "linear_model.Ridge}, params: {scale__copy: false, ridge__copy_X: false}}"),
    )
    assert [trial.scores for trial in plain.closing.trials] == [trial.scores for trial in in_place.closing.trials]
    assert plain.winner.test_scores == in_place.winner.test_scores


@pytest.mark.slow
def test_the_input_example_is_the_tables_own_rows_whatever_predict_does_to_them(store, monkeypatch):
    original = Ridge.predict

    @functools.wraps(original)
    def spoiling(self, rows):
        predicted = original(self, rows)
        if isinstance(rows, pd.DataFrame):
            rows.iloc[:, 0] = 0.0
        return predicted

    monkeypatch.setattr(Ridge, "predict", spoiling)
    result = run(store, Watcher())
    mlflow.set_tracking_uri(store.uri)
    example = mlflow.models.Model.load("models:/small-model@staging").load_input_example()
    np.testing.assert_allclose(example, result.winner.train.head(3))
    assert (example["fixed acidity"] > 0).all()


@pytest.mark.slow
def test_a_winner_with_whole_number_keys_is_found_again_by_promote(store):
    pathlib.Path("own.csv").write_text("a,b,y\n" + "\n".join(f"{n % 7},{n % 5},{int(n % 3 == 0)}" for n in range(80)))
    text = (
        GRID.replace("wine-quality-red", "own.csv, target: y")
        .replace("Ridge", "LogisticRegression")
        .replace("{alpha: [0.1, 1]}", "{class_weight: [null, {0: 1, 1: 5}]}")
    )
    run(store, Watcher(), text)
    reader = SweepReader(store.client)
    sweep = reader.find("latest")
    for trial in reader.trials(sweep):
        found = find_candidate(reader, sweep, run_id=trial.run_id, name="other", stage=None, force=False, trusted=())
        assert found.selection.trial.params["class_weight"] in (None, {0: 1, 1: 5})
        promote_candidate(reader, found)


def test_a_store_that_is_not_there_is_not_made_by_reading(store, tmp_path):
    from wine_sweep.tracking.store import open_store

    with pytest.raises(NotFoundError, match="there is no store at sqlite:///"):
        open_store(f"sqlite:///{tmp_path / 'none.db'}")
    assert not (tmp_path / "none.db").exists()
