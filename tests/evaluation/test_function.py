"""A function as a trial: what it is given, what it returns, reports and keeps, and how it may fail."""

from __future__ import annotations

import math
import pickle
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from wine_sweep.config import HistoryReducer
from wine_sweep.data import Fold
from wine_sweep.evaluation.context import Rows, StopTrial, Table, TrialContext
from wine_sweep.evaluation.function import FunctionSource, FunctionTask, PickledFunction, metrics_and_model, source_of
from wine_sweep.trial import Report, Trial, TrialState


class Desk:
    """A bench whose answers are given beforehand."""

    def __init__(self, folder: Path, answers=()):
        self.root = folder
        self.answers = list(answers)
        self.heard: list[Trial] = []

    @property
    def folder(self) -> Path:
        (self.root / "kept").mkdir(exist_ok=True)
        return self.root / "kept"

    @property
    def scratch(self) -> Path:
        (self.root / "scratch").mkdir(exist_ok=True)
        return self.root / "scratch"

    def report(self, trial: Trial) -> bool:
        self.heard.append(trial)
        return self.answers.pop(0) if self.answers else True


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path)


def table(*sizes):
    """Give a table of 8 rows with a fold for each (rows to fit on, rows to measure on)."""
    features = pd.DataFrame(np.arange(16, dtype=float).reshape(8, 2), columns=["a", "b"])
    folds = [Fold(np.arange(fit), np.arange(8 - measure, 8)) for fit, measure in sizes]
    return Table(Rows(features, np.arange(8, dtype=float)), folds)


def task(function, **options):
    return FunctionTask(source_of(function), options.pop("params", {}), 7, options.pop("needed", ("loss",)), **options)


def measured(function, desk, params=None, **options):
    return task(function, **options)(Trial(3, params or {"x": 2}), desk)


def test_it_is_called_once_with_parameters_and_a_context(desk):
    def train(params, context):
        return {"loss": params["x"] + params["fixed"], "trial": context.trial, "seed": context.seed, "fold": context.fold is None}

    done = FunctionTask(Kept(train), {"fixed": 10}, 7, ("loss",))(Trial(3, {"x": 2}), desk)
    assert done.state is TrialState.FINISHED
    assert {name: score.mean for name, score in done.scores.items()} == {"loss": 12, "trial": 3, "seed": 7, "fold": 1}
    assert not done.scores["loss"].has_spread
    assert 0 <= done.fit_seconds < 5
    assert done.started <= done.ended


def test_with_folds_and_seeds_the_means_count(desk):
    def train(params, context):
        return {"loss": 10 * context.fold + context.seed, "rows": len(context.fit.target) - len(context.measure.target)}

    done = measured(train, desk, table=table((6, 2), (5, 3)), seeds=2)
    assert done.scores["loss"].folds == (7, 8, 17, 18)
    assert done.scores["loss"].mean == 12.5
    assert done.scores["loss"].std == pytest.approx(np.std([7, 8, 17, 18]))
    assert done.scores["rows"].folds == (4, 4, 2, 2)


def test_the_rows_of_a_fold_are_the_tables_and_their_own(desk):
    seen = []

    def train(params, context):
        seen.append((context.fit.features["a"].tolist(), context.measure.target.tolist(), context.fit.features.index.tolist()))
        context.fit.features.loc[:, "a"] = -1.0
        context.measure.target[:] = 0
        return {"loss": 1}

    FunctionTask(Kept(train), {}, 7, ("loss",), table=table((3, 2), (2, 1)))(Trial(0, {}), desk)
    assert seen == [([0, 2, 4], [6, 7], [0, 1, 2]), ([0, 2], [7], [0, 1])]


def test_a_metric_that_not_every_call_gives_is_left_out(desk):
    done = measured(
        lambda params, context: {"loss": 1} | ({"extra": 2} if context.fold else {}), desk, table=table((4, 4), (4, 4))
    )
    assert set(done.scores) == {"loss"}


@pytest.mark.parametrize(
    ("returned", "failure"),
    [
        (None, "ValueError: the function returned NoneType; it returns metrics by name, or (metrics, model)"),
        (0.5, "ValueError: the function returned float; it returns metrics by name, or (metrics, model)"),
        ({"loss": "low"}, "ValueError: what the function returned: the metric 'loss' is str 'low'; a number is needed"),
        ({}, "MissingMetric: the function gave no metric 'loss'; it gave nothing"),
        ({"mae": 1}, "MissingMetric: the function gave no metric 'loss'; it gave mae"),
        ({"loss": math.nan}, "NonFiniteMetric: loss is nan"),
        ({"loss": math.inf}, "NonFiniteMetric: loss is inf"),
    ],
)
def test_what_is_no_result_fails_the_trial_and_says_why(desk, returned, failure):
    done = measured(lambda params, context: returned, desk)
    assert done.state is TrialState.FAILED
    assert str(done.failure) == failure
    assert not done.scores


def test_what_it_raises_is_the_trials_failure_with_the_traceback(desk):
    def train(params, context):
        raise KeyError("x")

    done = measured(train, desk)
    assert str(done.failure) == "KeyError: 'x'"
    assert "in train" in done.failure.traceback


def test_a_fold_that_fails_is_named(desk):
    done = measured(lambda params, context: {"loss": math.nan if context.fold else 1.0}, desk, table=table((4, 4), (4, 4)))
    assert str(done.failure) == "NonFiniteMetric: loss is nan in fold 1"


def test_numbers_of_numpy_are_numbers(desk):
    done = measured(lambda params, context: {"loss": np.float32(0.5), "n": np.int64(3)}, desk)
    assert (done.scores["loss"].mean, done.scores["n"].mean) == (0.5, 3)


def reporting(params, context):
    for step, loss in enumerate([3.0, 1.0, 2.0]):
        context.report(step * 10, loss=loss, lr=0.1)
    return {"loss": 2.5}


def test_reports_are_kept_and_nobody_is_asked_without_a_pruner(desk):
    done = measured(reporting, desk)
    assert done.reports == tuple(Report(step, {"loss": loss, "lr": 0.1}) for step, loss in ((0, 3.0), (10, 1.0), (20, 2.0)))
    assert desk.heard == []
    assert done.scores["loss"].mean == 2.5
    assert done.scores["lr"].mean == 0.1  # what was only reported counts as it was last


@pytest.mark.parametrize(("of", "value"), [(HistoryReducer.LAST, 2.5), (HistoryReducer.MIN, 1.0), (HistoryReducer.MAX, 3.0)])
def test_of_reports_and_result_the_value_that_is_asked_for_counts(desk, of, value):
    assert measured(reporting, desk, of={"loss": of}).scores["loss"].mean == value


def test_a_pruner_is_asked_after_each_report_and_its_no_ends_the_function(desk):
    ended = []

    def train(params, context):
        try:
            reporting(params, context)
        except Exception:  # noqa: BLE001  # a training loop's own: it must not catch the stop
            ended.append("caught")
        finally:
            ended.append("cleaned up")

    desk.answers = [True, False]
    stopped = FunctionTask(Kept(train), {}, 7, ("loss",), stepwise=True)(Trial(3, {}), desk)
    assert ended == ["cleaned up"]
    assert stopped.state is TrialState.KILLED
    assert [len(trial.reports) for trial in desk.heard] == [1, 2]
    assert all(trial.state is TrialState.RUNNING for trial in desk.heard)


class Kept:
    """A source that gives the very function."""

    def __init__(self, function):
        self.function = function

    def load(self):
        return self.function


def test_only_the_first_of_several_calls_is_asked_about_and_kept(desk):
    done = measured(reporting, desk, table=table((4, 4), (4, 4), (4, 4)), stepwise=True)
    assert len(desk.heard) == 3
    assert len(done.reports) == 3
    assert done.scores["loss"].folds == (2.5, 2.5, 2.5)


@pytest.mark.parametrize("step", [-1, 1.5, True, "1", None, 2**63])
def test_a_step_is_a_whole_number(desk, step):
    done = measured(lambda params, context: context.report(step, loss=1), desk)
    message = f"context.report: a step is a whole number of 0 or more, below 2**63; got {step!r}"
    assert str(done.failure) == f"ValueError: {message}"


@pytest.mark.parametrize("step", [0, np.int64(0)])
def test_a_step_is_above_the_last(desk, step):
    def train(params, context):
        context.report(np.int32(0), loss=1)
        context.report(step, loss=1)

    done = measured(train, desk)
    assert str(done.failure) == "ValueError: context.report: a step is above the last one, 0; got 0"


@pytest.mark.parametrize("name", ["acc%@5", "", "a//b", "a" * 201])
def test_a_metric_has_a_name_that_mlflow_takes(desk, name):
    done = measured(lambda params, context: {"loss": 1, name: 1}, desk)
    assert done.state is TrialState.FAILED
    assert "what the function returned: " in str(done.failure)


def test_the_time_that_a_function_tells_is_not_the_one_that_counts(desk):
    done = measured(lambda params, context: {"loss": 1, "fit_seconds": -5}, desk)
    assert set(done.scores) == {"loss"}
    assert done.fit_seconds >= 0


def test_leaving_by_sys_exit_fails_the_trial_alone(desk):
    done = measured(lambda params, context: sys.exit("enough"), desk)
    assert str(done.failure) == "SystemExit: enough"


def test_a_report_holds_numbers(desk):
    done = measured(lambda params, context: context.report(0, loss="low"), desk)
    assert str(done.failure) == "ValueError: context.report: the metric 'loss' is str 'low'; a number is needed"


class Figure:
    def savefig(self, path):
        Path(path).write_text("png")


class Plot:
    def write_html(self, path):
        Path(path).write_text("html")

    def write_image(self, path):
        Path(path).write_text("image")


def test_files_text_and_figures_are_kept(desk, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model/weights.bin").write_text("w")
    (tmp_path / "note.txt").write_text("n")

    def train(params, context):
        context.log_artifact(tmp_path / "note.txt")
        context.log_artifact(tmp_path / "note.txt", "docs/other.txt")
        context.log_artifact(tmp_path / "model")
        context.log_text("hello", "greeting.txt")
        context.log_figure(Figure(), "roc.png")
        context.log_figure(Plot(), "roc.html")
        context.log_figure(Plot(), "roc.svg")
        return {"loss": 1}

    assert FunctionTask(Kept(train), {}, 7, ("loss",))(Trial(0, {}), desk).state is TrialState.FINISHED
    kept = {str(path.relative_to(desk.folder)): path.read_text() for path in desk.folder.rglob("*") if path.is_file()}
    assert kept == {
        "note.txt": "n", "docs/other.txt": "n", "model/weights.bin": "w", "greeting.txt": "hello",
        "roc.png": "png", "roc.html": "html", "roc.svg": "image",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["../out.txt", "/out.txt", "", "a/../../b"])
def test_a_file_stays_in_the_trials_folder(desk, name):
    done = measured(lambda params, context: context.log_text("x", name), desk)
    assert str(done.failure) == f"ValueError: an artifact's name is a path within the run's artifacts; got {name!r}"


def test_what_is_no_figure_is_refused(desk):
    done = measured(lambda params, context: context.log_figure("roc", "roc.png"), desk)
    assert str(done.failure) == "TypeError: str is no figure of Matplotlib's or Plotly's"


def test_each_calls_files_have_a_folder_of_their_own(desk):
    def train(params, context):
        context.log_text(str(context.seed), "seed.txt")
        return {"loss": 1}

    FunctionTask(Kept(train), {}, 7, ("loss",), table=table((4, 4), (4, 4)), seeds=2)(Trial(0, {}), desk)
    found = sorted(str(path.relative_to(desk.folder)) for path in desk.folder.rglob("*.txt"))
    assert found == ["fold_0/seed.txt", "fold_0/seed_1/seed.txt", "fold_1/seed.txt", "fold_1/seed_1/seed.txt"]


def test_without_data_there_are_no_rows_and_it_says_so(desk):
    done = measured(lambda params, context: context.fit, desk)
    assert str(done.failure) == "LookupError: the config has no `data`, so there are no rows here"


def test_what_it_warns_of_is_kept(desk):
    def train(params, context):
        import warnings

        warnings.warn("it did not converge", UserWarning, stacklevel=1)
        return {"loss": 1}

    assert measured(train, desk).warnings == ("UserWarning: it did not converge",)


def test_a_function_is_loaded_from_its_file_with_what_lies_beside_it(tmp_path, desk):
    (tmp_path / "my_beside.py").write_text("OFFSET = 5\n")
    (tmp_path / "my_train.py").write_text(
        "import my_beside\nprint('imported')\ndef train(params, context):\n    return {'loss': params['x'] + my_beside.OFFSET}\n"
    )
    source = pickle.loads(pickle.dumps(FunctionSource(tmp_path / "my_train.py", "train")))
    done = FunctionTask(source, {}, 0, ("loss",))(Trial(0, {"x": 1}), desk)
    assert done.scores["loss"].mean == 6
    assert source.load() is source.load()


def test_a_file_that_has_changed_is_loaded_anew(tmp_path):
    file = tmp_path / "my_changing.py"
    file.write_text("def train(params, context):\n    return {'loss': 1}\n")
    assert FunctionSource(file, "train").load()({}, None) == {"loss": 1}
    file.write_text("def train(params, context):\n    return {'loss': 2}\n")
    assert FunctionSource(file, "train").load()({}, None) == {"loss": 2}


def test_a_file_that_cannot_be_imported_fails_the_trial(tmp_path, desk):
    (tmp_path / "my_broken.py").write_text("raise RuntimeError('no licence')\n")
    done = FunctionTask(FunctionSource(tmp_path / "my_broken.py", "train"), {}, 0, ("loss",))(Trial(0, {}), desk)
    assert str(done.failure) == "RuntimeError: no licence"


def test_a_function_of_a_notebook_is_written_down_as_it_is():
    offset = 3
    source = source_of(lambda params, context: {"loss": params["x"] + offset})
    assert isinstance(source, PickledFunction)
    assert source.name == "function"
    assert pickle.loads(pickle.dumps(source)).load()({"x": 1}, None) == {"loss": 4}


def test_metrics_and_a_model_are_told_apart():
    model = object()
    assert metrics_and_model({"a": 1}) == ({"a": 1.0}, None)
    assert metrics_and_model(({"a": 1}, model)) == ({"a": 1.0}, model)


def test_the_stop_is_no_exception_that_a_training_loop_would_catch():
    assert not issubclass(StopTrial, Exception)
    assert TrialContext.report.__doc__
