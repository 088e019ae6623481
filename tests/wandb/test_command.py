"""`command` as `model.command`: every macro, and what there is to say."""

import pytest

from wine_sweep.wandb.parameters import NoteKind
from wine_sweep.wandb.translate import MACROS, convert_command

NAMES = ["lr", "opt.beta"]


def words(*command, program="train.py", names=NAMES):
    return convert_command(command, program, names)[0]


def notes(*command, program="train.py", names=NAMES, values=()):
    return [(note.kind, note.message) for note in convert_command(command, program, names, values)[1]]


def test_without_a_command_it_is_w_and_bs_own():
    assert convert_command(None, "train.py", NAMES)[0] == ["python", "train.py", "{args}"]
    assert words() == ["python", "train.py", "{args}"]


@pytest.mark.parametrize(
    ("macro", "expected"),
    [
        ("${env}", []),
        ("${interpreter}", ["python"]),
        ("${program}", ["train.py"]),
        ("${args}", ["{args}"]),
        ("${args_no_hyphens}", ["{args_no_hyphens}"]),
        ("${args_no_boolean_flags}", ["{args_no_boolean_flags}"]),
        ("${args_json}", ["{params_json}"]),
        ("${args_json_file}", ["{params_file}"]),
        ("${args_no_equals}", ["--lr", "{lr}", "--opt.beta", "{opt.beta}"]),
        ("${args_append_hydra}", ["+lr={lr}", "+opt.beta={opt.beta}"]),
        ("${args_override_hydra}", ["++lr={lr}", "++opt.beta={opt.beta}"]),
        ("${envvar:DATA}", ["{env:DATA}"]),
    ],
)
def test_a_macro_becomes(macro, expected):
    assert words("x", macro, "${args}") == ["x", *expected, "{args}"]


def test_every_macro_is_tried():
    tried = {mark.args[1][index][0][2:-1] for mark in test_a_macro_becomes.pytestmark for index in range(len(mark.args[1]))}
    assert tried == {macro.replace("NAME", "DATA") for macro in MACROS}


def test_variables_are_replaced_within_words():
    assert words("--out=${envvar:HOME}/${envvar:RUN}", "${args}") == ["--out={env:HOME}/{env:RUN}", "{args}"]


def test_braces_that_are_meant_as_such_are_doubled():
    assert words("--map={a: 1}", "${args}") == ["--map={{a: 1}}", "{args}"]
    assert words("${program}", "${args}", program="{x}.py") == ["{{x}}.py", "{args}"]


def test_other_macros_within_words_stay_as_they_do_at_w_and_bs():
    assert words("--json=${args_json}", "${args}") == ["--json=${{args_json}}", "{args}"]
    assert any(
        "W&B replaces a macro only where it is a word of its own" in message for _, message in notes("a${args}", "${args}")
    )


def test_env_stays_where_it_sets_something():
    assert words("${env}", "CUDA_VISIBLE_DEVICES=0", "python", "${args}")[0] == "/usr/bin/env"
    assert words("${env}", "-S", "python", "${args}")[0] == "/usr/bin/env"


def test_an_unknown_macro_is_left_out_and_named():
    assert words("x", "${arg}", "${args}") == ["x", "{args}"]
    assert (
        NoteKind.LEFT_OUT,
        "${arg} is no macro of W&B's, which drops it too; did you mean 'args'?",
    ) in notes("x", "${arg}", "${args}")


def test_parameters_that_nobody_hands_on_are_named():
    assert words("python", "${program}") == ["python", "train.py"]
    (message,) = [message for kind, message in notes("python", "${program}") if kind is NoteKind.APPROXIMATED]
    assert message.startswith("hands on no parameters; add {args}")


def test_a_command_without_words_is_w_and_bs_own():
    assert words("${env}") == ["python", "train.py", "{args}"]
    assert any("has no words" in message for _, message in notes("${env}"))


def test_a_name_that_can_be_no_placeholder_is_named():
    assert words("x", "${args_no_equals}", names=["a{b", "args", "c"]) == ["x", "--c", "{c}"]
    assert any("'a{b' is not handed on" in message for _, message in notes("x", "${args_no_equals}", names=["a{b"]))


@pytest.mark.parametrize(
    ("macro", "odd", "plain"),
    [
        ("${args}", [True, None, [1], {}], [1, "true", 0.5]),
        ("${args_no_hyphens}", [True, None, [1], {}], [1, "true", 0.5]),
        ("${args_no_equals}", [True, None, [1], {}], [1, "true", 0.5]),
        ("${args_no_boolean_flags}", [None, [1], {}], [True, 1]),
        ("${args_json}", [], [True, None, [1], {}]),
    ],
)
def test_values_that_are_spelled_otherwise_are_named(macro, odd, plain):
    message = "true, null and lists are spelled as in JSON; W&B spells them as Python does, True, None and ['a']"
    assert all((NoteKind.APPROXIMATED, message) in notes("x", macro, values=[value]) for value in odd)
    assert (NoteKind.APPROXIMATED, message) not in notes("x", macro, values=plain)


def test_a_program_that_is_missing_has_a_stand_in():
    assert words("${program}", "${args}", program=None) == ["train.py", "{args}"]
    assert any("train.py stands in for it" in message for _, message in notes("${program}", "${args}", program=None))
    assert notes("x", "${args}", program=None) == []


def test_a_program_that_the_command_does_not_use_is_named():
    assert notes("x", "${args}") == [(NoteKind.LEFT_OUT, "the command does not use it")]
