"""How the mistakes of a config are shown: with their line on a terminal, and as a list of objects for programs."""

from __future__ import annotations

import io
import json
import re
import sys
import time

import pytest
from rich.cells import cell_len

from wine_sweep.cli.exits import point_at, report_error
from wine_sweep.config import parse_config, read_config
from wine_sweep.errors import ConfigError, Problem, SourceLocation
from wine_sweep.targets.prepare import prepare

CONFIG = """\
data: {source: t.csv, traget: y}
model: {estimator: sklearn.linear_model.ElasticNet, params: {max_itr: 5}}
search: {parameters: {alpha: [0.1, -1]}, trials: 0}
evaluation: {metrics: [rmse, maee]}
registry: {name: wine, gate: {slices: [z]}}
"""


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def error(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text("a,y\n" + "".join(f"{row},{row * 7 % 11}\n" for row in range(30)))
    (tmp_path / "c.yaml").write_text(CONFIG)
    with pytest.raises(ConfigError) as caught:
        prepare(read_config((tmp_path / "c.yaml").relative_to(tmp_path)))
    return caught.value


def test_json_has_each_problem_as_an_object(error, capsys):
    report_error(error, as_json=True)
    document = json.loads(capsys.readouterr().out)
    assert (document["error"], document["exit_code"]) == (str(error), 2)
    assert [(each["line"], each["column"], each["key"], each["code"]) for each in document["problems"]] == [
        (1, 23, "data.traget", "unknown-key"),
        (2, 62, "model.params.max_itr", "unknown-parameter"),
        (3, 36, "search.parameters.alpha.1", "refused-value"),
        (3, 50, "search.trials", "out-of-range"),
        (4, 30, "evaluation.metrics.1", "unknown-metric"),
        (5, 40, "registry.gate.slices.0", "unknown-column"),
    ]
    assert {each["file"] for each in document["problems"]} == {"c.yaml"}
    assert document["problems"][3]["message"] == "must be at least 1, got 0"


def test_what_stands_in_no_text_has_no_line(capsys):
    problems = [Problem("is no file", place=SourceLocation("--trust"), code="missing-file"), Problem("is wrong")]
    report_error(ConfigError(problems), as_json=True)
    first, second = json.loads(capsys.readouterr().out)["problems"]
    assert first == {
        "file": "--trust",
        "line": None,
        "column": None,
        "key": None,
        "message": "is no file",
        "code": "missing-file",
    }
    assert (second["file"], second["line"], second["code"]) == (None, None, "invalid")


def shown(error, monkeypatch, **environment):
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    report_error(error, as_json=False)
    return terminal.getvalue()


def test_off_a_terminal_a_problem_is_a_line(error, capsys):
    report_error(error, as_json=False)
    assert capsys.readouterr().err.splitlines() == [str(problem) for problem in error.problems]


def test_on_a_terminal_the_line_is_shown_with_carets_under_the_word(error, monkeypatch):
    lines = shown(error, monkeypatch, TERM="xterm", NO_COLOR="1").splitlines()
    assert len(lines) == 3 * len(error.problems)
    assert lines[:3] == [
        str(error.problems[0]),
        "   1 | data: {source: t.csv, traget: y}",
        "     |                       ^^^^^^",
    ]
    for problem, excerpt, carets in zip(error.problems, lines[1::3], lines[2::3], strict=True):
        word = re.match(r"[\w.+-]+", CONFIG.splitlines()[problem.place.line - 1][problem.place.column - 1 :])[0]
        start = carets.index("^")
        assert excerpt[start : start + len(word)] == word
        assert carets.strip("| ") == "^" * len(word)


@pytest.mark.parametrize(
    ("environment", "is_coloured"),
    [({"TERM": "xterm"}, True), ({"TERM": "dumb"}, False), ({}, False), ({"TERM": "xterm", "NO_COLOR": "1"}, False)],
)
def test_colour_is_for_terminals_that_have_it(error, monkeypatch, environment, is_coloured):
    assert ("\x1b[" in shown(error, monkeypatch, **environment)) == is_coloured


def test_what_a_config_holds_does_not_reach_the_terminal_as_it_is(tmp_path, monkeypatch):
    text = 'name: "\u202e\x9b31m"\ndata: {source: t.csv, targ\u200bet: y}\n'
    draft = parse_config(text.replace("\x9b", "\\x9b").encode(), source="c.yaml", folder=tmp_path, default_name="c")
    written = shown(ConfigError(draft.problems), monkeypatch, TERM="dumb")
    assert not re.search("[\u202e\u200b\x1b\x9b]", written)
    assert "targ\\u200bet" in written
    hostile = Problem("is wrong", ("a",), SourceLocation("c.yaml", 1, 3), line="a\x1b]0;x\x07: \x1b[2J")
    assert "\x1b" not in shown(ConfigError([hostile]), monkeypatch, TERM="dumb")


@pytest.mark.parametrize(
    ("line", "column", "width", "expected"),
    [
        ("alpha: [1]", 1, 40, ("alpha: [1]", 0, "^^^^^")),
        ("alpha: [1]", 8, 40, ("alpha: [1]", 7, "^")),
        ("\talpha: 1", 2, 40, ("    alpha: 1", 4, "^^^^^")),
        ("\ufeffalpha: 1", 1, 40, ("alpha: 1", 0, "^^^^^")),
        ("葡萄: 酒", 5, 40, ("葡萄: 酒", 6, "^^")),
        ("a:", 9, 40, ("a:", 2, "^")),
        ("x" * 30 + " word " + "y" * 30, 32, 20, ("…xxxxxxxx word yyyy…", 10, "^^^^")),
        ("x" * 30 + " word", 32, 20, ("…" + "x" * 13 + " word", 15, "^^^^")),
        ("word " + "y" * 40, 1, 20, ("word " + "y" * 13 + "…", 0, "^^^^")),
    ],
)
def test_a_line_is_cut_around_the_place(line, column, width, expected):
    assert point_at(line, column, width) == expected


@pytest.mark.parametrize("character", ["x", "葡", "\t", "\x1b", "é", "e\u0301"])
@pytest.mark.parametrize("column", [1, 2, 50, 300, 299])
def test_what_is_shown_has_room(character, column):
    text, before, carets = point_at(character * 300, column, 73)
    assert cell_len(text) <= 73
    assert before + len(carets) <= 73


def test_a_line_of_a_megabyte_is_cut_at_once():
    began = time.perf_counter()
    point_at("x " * 500_000, 700_001, 73)
    assert time.perf_counter() - began < 1
