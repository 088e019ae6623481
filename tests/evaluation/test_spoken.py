"""What programs say of their metrics, in files and in what they print."""

# ruff: noqa: E501  # what is said and what is wrong with it are read on one line

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wine_sweep.config import HistoryReducer
from wine_sweep.evaluation.capture import (
    MetricLine,
    MetricParseError,
    reduce_history,
    reports,
    results,
    sayings_of_file,
    sayings_of_line,
    sayings_of_text,
)
from wine_sweep.trial import Report


def said(tmp_path, text):
    path = tmp_path / "metrics.json"
    path.write_text(text)
    return sayings_of_file(path)


@pytest.mark.parametrize(
    ("text", "sayings"),
    [
        ('{"rmse": 0.5, "n": 3}', [MetricLine({"rmse": 0.5, "n": 3.0})]),
        ('{\n  "rmse": 0.5\n}\n', [MetricLine({"rmse": 0.5})]),
        ('{"step": 1, "rmse": 0.7}\n{"step": 2, "rmse": 0.6}\n', [MetricLine({"rmse": 0.7}, 1), MetricLine({"rmse": 0.6}, 2)]),
        ('[{"step": 0, "rmse": 0.7}, {"rmse": 0.6}]', [MetricLine({"rmse": 0.7}, 0), MetricLine({"rmse": 0.6})]),
        ('\n{"rmse": 0.7}\n\n{"rmse": 0.6}', [MetricLine({"rmse": 0.7}), MetricLine({"rmse": 0.6})]),
        ("", []),
        ("\n \n", []),
        ("{}", [MetricLine({})]),
    ],
)
def test_a_file_is_an_object_a_list_or_one_object_a_line(tmp_path, text, sayings):
    assert said(tmp_path, text) == sayings


def test_no_file_says_nothing(tmp_path):
    assert sayings_of_file(tmp_path / "none.json") == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rmse: 0.5", "metrics.json:1: is neither a JSON object nor one on each line: Expecting value"),
        ('{"rmse": 0.5}\nEpoch 2\n', "metrics.json:2: is neither a JSON object nor one on each line: Expecting value"),
        ("3", 'metrics.json: expected an object of metrics such as {"rmse": 0.7}, got 3'),
        ('{"rmse": "low"}', "metrics.json: the metric 'rmse' is 'low' (text); a number is needed"),
        ('{"ok": true}', "metrics.json: the metric 'ok' is true; a number is needed"),
        ('{"rmse": null}', "metrics.json: the metric 'rmse' is nothing; a number is needed"),
        (
            '{"top%": 1}',
            "metrics.json: a metric cannot be called 'top%'; it is made of letters, digits, spaces and _ - . : in parts between slashes",
        ),
        (
            '{"../a": 1}',
            "metrics.json: a metric cannot be called '../a'; it is made of letters, digits, spaces and _ - . : in parts between slashes",
        ),
        ('{"' + "a" * 201 + '": 1}', f"metrics.json: the metric '{'a' * 40}…' has 201 characters; 200 are allowed"),
        ('{"a": 1' + "0" * 400 + "}", "metrics.json: the metric 'a' is larger than a number can be"),
        ('{"step": 1e30, "rmse": 1}', "metrics.json: a step is a whole number of 0 or more, below 2**63; got 1e+30"),
        (
            '{"step": 9223372036854775808, "a": 1}',
            "metrics.json: a step is a whole number of 0 or more, below 2**63; got 9223372036854775808",
        ),
        ('{"step": 1.5, "rmse": 1}', "metrics.json: a step is a whole number of 0 or more, below 2**63; got 1.5"),
        ('{"step": -1, "rmse": 1}\n{}', "metrics.json:1: a step is a whole number of 0 or more, below 2**63; got -1"),
    ],
)
def test_a_file_that_cannot_be_understood_says_where(tmp_path, text, message):
    with pytest.raises(MetricParseError) as caught:
        said(tmp_path, text)
    assert str(caught.value) == message


def test_bytes_that_are_no_text_are_an_error(tmp_path):
    (tmp_path / "metrics.json").write_bytes(b"\xff\xfe")
    with pytest.raises(MetricParseError, match=r"metrics\.json cannot be read"):
        sayings_of_file(tmp_path / "metrics.json")


def test_a_line_of_a_growing_file_may_be_a_part_of_something(tmp_path):
    assert sayings_of_line('{"step": 3, "rmse": 1}') == [MetricLine({"rmse": 1.0}, 3)]
    assert sayings_of_line('  "rmse": 1') == []
    assert sayings_of_line("[1]") == []


@pytest.mark.parametrize(
    ("pattern", "text", "sayings"),
    [
        (r"rmse=(?P<rmse>\S+)", "x\nrmse=0.5\nrmse=4e-1\n", [MetricLine({"rmse": 0.5}), MetricLine({"rmse": 0.4})]),
        (r"(?P<name>\w+): (?P<value>[-.\d]+)", "rmse: 0.5, r2: -1", [MetricLine({"rmse": 0.5}), MetricLine({"r2": -1.0})]),
        (r"(?P<step>\d+) (?P<loss>\S+)", "1 3\n2 2", [MetricLine({"loss": 3.0}, 1), MetricLine({"loss": 2.0}, 2)]),
        (r"a=(?P<a>\d)(?: b=(?P<b>\d))?", "a=1\na=2 b=3", [MetricLine({"a": 1.0}), MetricLine({"a": 2.0, "b": 3.0})]),
        (r"rmse=(?P<rmse>\S+)", "nothing of the kind", []),
        (r"loss=(?P<loss>\S+)", "loss=nan", None),
    ],
)  # fmt: skip
def test_metrics_are_found_in_what_is_printed(pattern, text, sayings):
    found = list(sayings_of_text(text, re.compile(pattern)))
    if sayings is None:
        assert math.isnan(found[0].values["loss"])
    else:
        assert found == sayings


def test_a_group_that_finds_no_number_is_an_error():
    with pytest.raises(MetricParseError, match="found 'low' for rmse, which is no number"):
        list(sayings_of_text("rmse=low", re.compile(r"rmse=(?P<rmse>\S+)")))


@pytest.mark.parametrize("step", ["nan", "-1", "1.5", "9223372036854775808"])
def test_a_step_that_is_found_is_a_whole_number(step):
    with pytest.raises(MetricParseError, match="stdout: a step is a whole number of 0 or more"):
        list(sayings_of_text(f"step {step} loss 1", re.compile(r"step (?P<step>\S+) loss (?P<loss>\S+)")))


def test_a_name_that_is_found_is_one_that_mlflow_takes():
    with pytest.raises(MetricParseError, match="a metric cannot be called 'acc%'"):
        list(sayings_of_text("acc%=1", re.compile(r"(?P<name>\S+)=(?P<value>\d)")))


def test_the_time_that_a_program_tells_is_not_the_one_that_counts():
    assert results([MetricLine({"fit_seconds": 0.001, "a": 1})], {}) == {"a": 1}


def test_reports_are_put_together_by_step_and_in_order():
    sayings = [
        MetricLine({"a": 2}, 5),
        MetricLine({"a": 1}, 3),
        MetricLine({"b": 7}, 5),
        MetricLine({"a": 9}),
        MetricLine({"a": 3}, 5),
    ]
    assert reports(sayings) == (Report(3, {"a": 1}), Report(5, {"a": 3, "b": 7}))


def test_the_last_counts_unless_another_is_asked_for():
    sayings = [MetricLine({"a": 2, "b": 2}, 1), MetricLine({"a": 1, "b": 1}, 2), MetricLine({"a": 3}, 3)]
    assert results(sayings, {}) == {"a": 3, "b": 1}
    assert results(sayings, {"a": HistoryReducer.MIN, "b": HistoryReducer.MAX}) == {"a": 1, "b": 2}


@given(st.lists(st.floats(allow_nan=False), min_size=1), st.sampled_from(HistoryReducer))
def test_what_counts_is_one_of_the_values_and_no_better_one_is_there(values, of):
    found = reduce_history(values, of)
    assert found in values
    assert not (of is HistoryReducer.MIN and any(value < found for value in values))
    assert not (of is HistoryReducer.MAX and any(value > found for value in values))


@pytest.mark.parametrize("of", [HistoryReducer.MIN, HistoryReducer.MAX])
def test_a_history_with_no_number_in_it_is_no_number(of):
    assert math.isnan(reduce_history([1.0, math.nan, 0.5], of))
