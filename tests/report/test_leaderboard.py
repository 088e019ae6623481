from __future__ import annotations

import csv
import io
import json

import pytest

from wine_sweep.config import Direction
from wine_sweep.report.trials import (
    as_csv,
    as_markdown,
    as_records,
    describe_trials,
    group_failures,
    group_warnings,
    make_leaderboard,
    markdown_summary,
    show_param,
    text_table,
)
from wine_sweep.selection import Objective, select
from wine_sweep.trial import Failure, Score, Trial, TrialState

RMSE = Objective("rmse", Direction.MINIMIZE, "5 folds")
TRIALS = [
    Trial(
        0, {"alpha": 0.1, "kind": None}, TrialState.FINISHED, {"rmse": Score(0.7, 0.02), "r2": Score(0.2, 0.01)}, 0.5, run_id="a0"
    ),
    Trial(
        1,
        {"alpha": 0.2, "kind": "x|y"},
        TrialState.FINISHED,
        {"rmse": Score(0.6, 0.03), "r2": Score(0.3, 0.01)},
        0.4,
        run_id="a1",
    ),
    Trial(2, {"alpha": 9.0, "kind": [1]}, TrialState.FAILED, failure=Failure("ValueError", "too large"), run_id="a2"),
]


@pytest.fixture
def board():
    return make_leaderboard([("first", RMSE, TRIALS)])


def test_the_best_comes_first_and_what_has_no_result_last(board):
    assert [row.trial for row in board.rows] == [1, 0, 2]
    assert [row.best for row in board.rows] == [True, False, False]


def test_another_metric_can_order(board):
    by_r2 = make_leaderboard([("first", RMSE, TRIALS)], by=Objective("r2", Direction.MAXIMIZE, ""))
    assert [row.trial for row in by_r2.rows] == [1, 0, 2]
    assert by_r2.metrics[0] == "r2"


def test_csv_holds_every_value_in_full(board):
    rows = list(csv.DictReader(io.StringIO(as_csv(board))))
    assert rows[0]["rmse"] == "0.6"
    assert rows[0]["rmse_std"] == "0.03"
    assert rows[0]["alpha"] == "0.2"
    assert rows[2]["error"] == "ValueError: too large"
    assert rows[2]["rmse"] == ""


def test_json_keeps_types(board):
    records = json.loads(json.dumps(as_records(board)))
    assert records[1]["kind"] is None
    assert records[0]["best"] is True
    assert records[2]["fit_seconds"] is None


def test_markdown_marks_the_best_and_escapes_bars(board):
    lines = as_markdown(board).splitlines()
    assert lines[2].startswith("| **1 ***")
    assert "x\\|y" in lines[2]
    assert len(lines) == 5


def test_text_shows_spreads_only_where_wanted(board):
    header, lines = text_table(board, spreads=["rmse"])
    assert header == ["trial", "alpha", "kind", "rmse", "r2", "state"]
    assert lines[0] == ["1 *", "0.2", "x|y", "0.6000 ± 0.0300", "0.3000", "finished"]


def test_several_sweeps_are_told_apart():
    other = [Trial(0, {"beta": 1}, TrialState.FINISHED, {"rmse": Score(0.5, 0.1)})]
    board = make_leaderboard([("first", RMSE, TRIALS), ("second", RMSE, other)])
    assert [(row.sweep, row.best) for row in board.rows][:2] == [("second", True), ("first", True)]
    assert board.params == ["beta", "alpha", "kind"]
    assert text_table(board)[0][0] == "sweep"


@pytest.mark.parametrize(
    ("value", "text"), [(0.1 + 0.2, "0.3"), (1e-9, "1e-09"), (None, "None"), (True, "True"), ([1, 2], "[1,2]")]
)
def test_parameters_are_shown_short(value, text):
    assert show_param(value) == text


def test_equal_failures_are_summed_up_once():
    failures = [Trial(number, {}, TrialState.FAILED, failure=Failure("E", "same")) for number in range(8)]
    assert group_failures([*failures, TRIALS[2]]) == [("E: same", list(range(8))), ("ValueError: too large", [2])]
    assert describe_trials(range(8)) == "trials 0, 1, 2, 3, 4 and 3 more"


def test_warnings_are_grouped_by_category():
    warned = [Trial(number, {}, warnings=(f"ConvergenceWarning: gap {number}",)) for number in (3, 4)]
    assert group_warnings(warned) == [("ConvergenceWarning", "gap 3", [3, 4])]


def test_the_summary_fits_into_a_tag_of_mlflow():
    many = [Trial(n, {f"p{i}": "v" * 200 for i in range(20)}, TrialState.FINISHED, {"rmse": Score(n, 0.1)}) for n in range(60)]
    text = markdown_summary(
        "t", many, RMSE, selection=select(many, RMSE), test_scores={"rmse": 1.0}, interval=None, outcome="Promoted."
    )
    assert len(text) <= 8000
    assert "### Winner" in text
    assert "On the test rows" in text
