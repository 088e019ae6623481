"""A command's words and variables, and what it costs to be a shell's victim: nothing."""

from __future__ import annotations

import json
import os
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wine_sweep.evaluation.command import Command, spell
from wine_sweep.trial import Trial

PARAMS = {"alpha": 0.1, "layers": [8, 4], "shuffle": True, "drop": False, "depth": None, "kernel": "rbf", "n": 3}


def command(*words, params=None, seed=7, **variables):
    return Command(tuple(words), "/somewhere", params or {}, seed, variables)


def render(tmp_path, *words, trial=None, **options):
    return command(*words, **options).render(trial or Trial(4, PARAMS), tmp_path)


@pytest.mark.parametrize(
    ("word", "filled"),
    [
        ("{alpha}", ["0.1"]),
        ("--alpha={alpha}", ["--alpha=0.1"]),
        ("{kernel}-{n}", ["rbf-3"]),
        ("{layers}", ["[8,4]"]),
        ("{shuffle}", ["true"]),
        ("{depth}", ["null"]),
        ("{trial}", ["4"]),
        ("{seed}", ["7"]),
        ("{python}", [sys.executable]),
        ("{{alpha}}", ["{alpha}"]),
        ("{{{n}}}", ["{3}"]),
        ("plain; rm -rf $HOME `ls` *", ["plain; rm -rf $HOME `ls` *"]),
        ("{params_json}", ['{"alpha":0.1,"depth":null,"drop":false,"kernel":"rbf","layers":[8,4],"n":3,"shuffle":true}']),
        ("{args}", [
            "--alpha=0.1", "--layers=[8,4]", "--shuffle=true", "--drop=false", "--depth=null", "--kernel=rbf", "--n=3",
        ]),
        ("{args_no_hyphens}", ["alpha=0.1", "layers=[8,4]", "shuffle=true", "drop=false", "depth=null", "kernel=rbf", "n=3"]),
        ("{args_no_boolean_flags}", ["--alpha=0.1", "--layers=[8,4]", "--shuffle", "--depth=null", "--kernel=rbf", "--n=3"]),
    ],
)  # fmt: skip
def test_placeholders_are_filled(tmp_path, word, filled):
    assert render(tmp_path, word) == filled


def test_a_value_is_one_word_whatever_is_in_it(tmp_path):
    trial = Trial(0, {"text": "a b; touch /tmp/x $(id) {alpha} 'q'"})
    assert render(tmp_path, "echo", "{text}", trial=trial) == ["echo", "a b; touch /tmp/x $(id) {alpha} 'q'"]


def test_fixed_parameters_are_placeholders_too_and_come_first(tmp_path):
    assert render(tmp_path, "{args}", trial=Trial(0, {"b": 2}), params={"a": 1}) == ["--a=1", "--b=2"]


def test_the_file_of_parameters_holds_them_exactly(tmp_path):
    (path,) = render(tmp_path, "{params_file}")
    with open(path) as file:
        assert json.load(file) == PARAMS


def test_an_environment_variable_is_a_placeholder(tmp_path, monkeypatch):
    monkeypatch.setenv("TOKEN_FILE", "/run/token")
    assert render(tmp_path, "--token={env:TOKEN_FILE}") == ["--token=/run/token"]


def test_a_parameter_that_the_trial_does_not_have_is_an_error(tmp_path):
    with pytest.raises(KeyError, match="gamma"):
        render(tmp_path, "{gamma}")


def test_the_environment_says_the_same_as_the_words(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "another")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")  # what a sweep sets for itself
    trial = Trial(4, {"svr__C": 0.5, "learning-rate": 1}, environment={"MLFLOW_RUN_ID": "abc"})
    found = command("x", params={"epochs": 3}, OMP_NUM_THREADS="2").environment(trial, tmp_path)
    assert found["WINE_SWEEP_PARAM_SVR__C"] == "0.5"
    assert found["WINE_SWEEP_PARAM_LEARNING_RATE"] == "1"
    assert json.loads(found["WINE_SWEEP_PARAMS"]) == {"epochs": 3, "svr__C": 0.5, "learning-rate": 1}
    assert (found["WINE_SWEEP_TRIAL"], found["WINE_SWEEP_SEED"]) == ("4", "7")
    assert found["WINE_SWEEP_METRICS"] == str(tmp_path / "metrics.json")
    assert found["MLFLOW_RUN_ID"] == "abc"
    assert "MLFLOW_EXPERIMENT_NAME" not in found
    assert "MLFLOW_HTTP_REQUEST_MAX_RETRIES" not in found
    assert (found["OMP_NUM_THREADS"], found["PYTHONUNBUFFERED"]) == ("2", "1")
    assert found["HOME"] == os.environ["HOME"]


def test_programs_of_the_virtual_environment_are_found_first(tmp_path):
    if sys.prefix == sys.base_prefix:
        pytest.skip("the tests do not run in a virtual environment")
    path = command("x").environment(Trial(0, {}), tmp_path)["PATH"]
    assert path.split(os.pathsep)[0] == os.path.dirname(sys.executable)


@given(st.text() | st.floats(allow_nan=False) | st.integers() | st.booleans() | st.none() | st.lists(st.integers()))
def test_what_is_no_text_is_read_back_as_it_was(value):
    assert spell(value) == value if isinstance(value, str) else json.loads(spell(value)) == value
