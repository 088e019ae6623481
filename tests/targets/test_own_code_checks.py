"""What is wrong with a config that names a command or a function, before anything runs: each at its place."""

# ruff: noqa: E501  # a config and what is wrong with it are read on one line
from __future__ import annotations

import pytest

from wine_sweep.config import parse_config, read_config
from wine_sweep.errors import ConfigError
from wine_sweep.targets.command import CommandSweep
from wine_sweep.targets.function import FunctionSweep
from wine_sweep.targets.prepare import prepare

SEARCH = "search: {parameters: {alpha: [0.1, 1]}}"
OBJECTIVE = "objective: {metric: rmse}"
COMMAND = 'model: {command: [python, train.py, "{alpha}"]}'
FUNCTION = "model: {function: train.py:train}"
CODE = """
import os
if os.environ.get("MUST_NOT_BE_IMPORTED"):
    raise RuntimeError("it was imported")

def train(params, context):
    return {"rmse": 1.0}

def lonely(params): ...
def crowded(params, context, more): ...
def relaxed(params, context, more=1): ...
async def later(params, context): ...
def strict(params, context, *, more): ...
def open_(*args): ...
made = lambda params, context: {"rmse": 1.0}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text(CODE)
    (tmp_path / "broken.py").write_text("def train(:\n")
    (tmp_path / "run.sh").write_text("echo\n")
    (tmp_path / "table.csv").write_text("a,b,y\n" + "".join(f"{i},{i % 7},{i * 2}\n" for i in range(40)))
    (tmp_path / "words.csv").write_text("a,y\n" + "".join(f"{i},{'yes' if i % 2 else 'no'}\n" for i in range(40)))
    return tmp_path


def problems(folder, *lines, trust=(".",), **options):
    draft = parse_config("\n".join(lines).encode(), source="c.yaml", folder=folder, default_name="c", **options)
    try:
        prepare(draft, trusted=trust)
    except ConfigError as error:
        return str(error).splitlines()
    return []


def prepared(folder, *lines, trust=(".",)):
    draft = parse_config("\n".join(lines).encode(), source="c.yaml", folder=folder, default_name="c")
    return prepare(draft, trusted=trust)


def model(text):
    return f"model: {{command: {text}}}"


@pytest.mark.quick(19)
@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([COMMAND, SEARCH, OBJECTIVE], []),
        ([COMMAND, SEARCH], ["1:1: objective: is missing: a command has no usual metric; name the one that decides, as in {metric: rmse, direction: minimize}"]),
        ([model('[python, train.py, "{alhpa}"]'), SEARCH, OBJECTIVE], ["1:37: model.command.2: {alhpa} is no parameter; did you mean 'alpha'? Allowed: alpha, params_json, params_file, trial, seed, python, args, args_no_hyphens, args_no_boolean_flags; a literal brace is doubled"]),
        ([model('[python, train.py, "{env:NO_SUCH_VARIABLE}"]'), SEARCH, OBJECTIVE], ["1:37: model.command.2: the environment variable NO_SUCH_VARIABLE is not set"]),
        ([model('[pyhton, train.py]'), SEARCH, OBJECTIVE], ["1:19: model.command.0: there is no program 'pyhton' on the PATH"]),
        ([model('[./walk.sh]'), SEARCH, OBJECTIVE], ["1:19: model.command.0: there is no program './walk.sh' in FOLDER"]),
        ([model('[python, trian.py]'), SEARCH, OBJECTIVE], ["1:27: model.command.1: there is no file FOLDER/trian.py"]),
        ([model('[]'), SEARCH, OBJECTIVE], ["1:18: model.command: must not be empty"]),
        ([model('python train.py'), SEARCH, OBJECTIVE], ["1:18: model.command: expected a list, got 'python train.py' (text)"]),
        ([model('[python, "{alpha"]'), SEARCH, OBJECTIVE], ["1:27: model.command.1: expected '}' before end of string; a brace that is meant as such is doubled: '{{'"]),
        ([model('[python, "{}"]'), SEARCH, OBJECTIVE], ["1:27: model.command.1: an empty placeholder; name a parameter, as in {alpha}, or double the braces"]),
        ([model('[python, "--x={args}"]'), SEARCH, OBJECTIVE], ["1:27: model.command.1: {args} stands for several words, and so is a word of its own"]),
        ([model('[python, train.py], folder: nowhere'), SEARCH, OBJECTIVE], ["1:46: model.folder: there is no folder FOLDER/nowhere"]),
        ([model("[python, train.py], stdout: 'rmse=('"), SEARCH, OBJECTIVE], ["1:46: model.stdout: is no regular expression: missing ), unterminated subpattern at position 5"]),
        ([model("[python, train.py], stdout: 'rmse=(.*)'"), SEARCH, OBJECTIVE], ["1:46: model.stdout: has no named group; name each by its metric, as in 'rmse=(?P<rmse>[-+.e0-9]+)', or have `name` and `value`"]),
        ([model("[python, train.py], stdout: '(?P<name>.*)'"), SEARCH, OBJECTIVE], ["1:46: model.stdout: `name` and `value` are named together: one is a metric's name, the other its value"]),
        ([COMMAND, SEARCH, "objective: {metric: depth}"], ["3:21: objective.metric: say which way depth is better: {metric: depth, direction: minimize}, or maximize"]),
        ([COMMAND, SEARCH, "objective: {metric: 'acc%', direction: maximize}"], ["3:21: objective.metric: a metric cannot be called 'acc%'; it is made of letters, digits, spaces and _ - . : in parts between slashes"]),
        ([COMMAND, SEARCH, "objective: {metric: rmse, of: median}"], ["3:31: objective.of: got 'median' (text); did you mean 'min'? Allowed: last, min, max"]),
        ([COMMAND, SEARCH, "objective: [rmse, {metric: fit_seconds, of: min}]"], ["3:45: objective.1.of: fit_seconds has no history"]),
        ([COMMAND, SEARCH, OBJECTIVE, "data: {source: table.csv, target: y}"], ["4:7: data: a command reads its data and measures by itself; leave `data` out"]),
        ([COMMAND, SEARCH, OBJECTIVE, "evaluation: {seeds: 3}"], ["4:13: evaluation: a command reads its data and measures by itself; leave `evaluation` out"]),
        ([COMMAND, SEARCH, OBJECTIVE, "selection: {constraints: [rmse_std <= 1]}"], ["4:27: selection.constraints.0: 'rmse_std' would be a spread over folds or seeds, and there is one value a trial"]),
        ([COMMAND, "search: {parameters: {alpha: [1]}, pruner: median, budget: {rows: 0.5}}", OBJECTIVE], ["2:60: search.budget: a command reports its own steps; leave `budget` out"]),
        ([COMMAND, "search: {parameters: {alpha: [1]}, pruner: median}", OBJECTIVE, "execution: {backend: serial}"], ["2:44: search.pruner: backend serial cannot stop a command; use `backend: processes`"]),
        ([model('[python, train.py, "{b}"]'), "search: {parameters: {a: [1, 2], b: {choices: [3], when: {a: 1}}}}", OBJECTIVE], ["1:37: model.command.2: {b} is searched only sometimes; {args} lists what a trial has"]),
        (["model: {command: [python], estimator: sklearn.linear_model.Ridge}", SEARCH, OBJECTIVE], ["1:8: model: give one of `estimator`, `pipeline`, `function` or `command`"]),
        (["model: {function: train.py:train, folder: .}", SEARCH, OBJECTIVE], ["1:43: model.folder: `folder` goes with `command`"]),
        (["data: {source: table.csv, target: y}", "model: {estimator: sklearn.linear_model.Ridge}", SEARCH, "objective: {metric: rmse, of: min}"], ["4:12: objective: `of` is for functions and commands, which report histories; folds are averaged"]),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_command_is_said_at_its_place(folder, lines, expected):
    assert problems(folder, *lines) == [f"c.yaml:{line.replace('FOLDER', str(folder))}" for line in expected]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([FUNCTION, SEARCH, OBJECTIVE], []),
        (["model: {function: train.py:relaxed}", SEARCH, OBJECTIVE], []),
        (["model: {function: train.py:open_}", SEARCH, OBJECTIVE], []),
        (["model: {function: train.py:made}", SEARCH, OBJECTIVE], []),
        (["model: {function: train.py:trian}", SEARCH, OBJECTIVE], ["1:19: model.function: there is no function 'trian' in train.py; did you mean 'train'?"]),
        (["model: {function: train.py:lonely}", SEARCH, OBJECTIVE], ["1:19: model.function: is called as lonely(params, context), and takes params"]),
        (["model: {function: train.py:crowded}", SEARCH, OBJECTIVE], ["1:19: model.function: is called as crowded(params, context), and takes params, context, more"]),
        (["model: {function: train.py:later}", SEARCH, OBJECTIVE], ["1:19: model.function: later is async; a function that is swept is a plain `def`"]),
        (["model: {function: train.py:strict}", SEARCH, OBJECTIVE], ["1:19: model.function: is called as strict(params, context), and takes params, context, more"]),
        (["model: {function: broken.py:train}", SEARCH, OBJECTIVE], ["1:19: model.function: broken.py:1:11: invalid syntax"]),
        (["model: {function: none.py:train}", SEARCH, OBJECTIVE], ["1:19: model.function: FOLDER/none.py cannot be read: No such file or directory"]),
        (["model: {function: train}", SEARCH, OBJECTIVE], ["1:19: model.function: a function is written as FILE.py:NAME, such as train.py:train; got 'train'"]),
        ([FUNCTION, SEARCH], ["1:1: objective: is missing: a function has no usual metric; name the one that decides, as in {metric: rmse, direction: minimize}"]),
        ([FUNCTION, SEARCH, OBJECTIVE, "evaluation: {cv: 3}"], ["4:18: evaluation.cv: there is no `data` to split; leave `cv` out"]),
        ([FUNCTION, SEARCH, OBJECTIVE, "evaluation: {metrics: [rmse]}"], ["4:23: evaluation.metrics: a function measures by itself; leave `metrics` out"]),
        ([FUNCTION, SEARCH, OBJECTIVE, "data: {source: table.csv, target: z}"], ["4:35: data.target: there is no column 'z' in the table; allowed: a, b, y"]),
        ([FUNCTION, "search: {parameters: {alpha: [1]}, pruner: median}", OBJECTIVE, "execution: {backend: serial}"], ["2:44: search.pruner: backend serial cannot stop a function; use `backend: processes`"]),
        (["models: {a: {function: train.py:train}}", SEARCH, OBJECTIVE, "data: {source: table.csv, target: y}"], ["1:14: models.a.function: unknown key; allowed: estimator, pipeline, params, preprocess, early_stopping, parameters"]),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_function_is_said_at_its_place(folder, lines, expected, monkeypatch):
    monkeypatch.setenv("MUST_NOT_BE_IMPORTED", "1")
    assert problems(folder, *lines) == [f"c.yaml:{line.replace('FOLDER', str(folder))}" for line in expected]


@pytest.mark.parametrize("trust", [["train.py"], ["."], ["FOLDER"], ["FOLDER/train.py"], ["sklearn", "train.py"]])
@pytest.mark.parametrize("what", [COMMAND, FUNCTION])
def test_code_is_trusted_by_its_file_or_folder(folder, what, trust):
    given = [each.replace("FOLDER", str(folder)) for each in trust]
    assert problems(folder, what, SEARCH, OBJECTIVE, trust=given) == []


@pytest.mark.parametrize("trust", [[], ["train"], ["broken.py"], ["table.csv"], ["sub"]])
@pytest.mark.parametrize(("what", "key"), [(COMMAND, "command"), (FUNCTION, "function")])
def test_code_that_nobody_trusts_is_refused_with_what_to_type(folder, what, key, trust):
    (folder / "sub").mkdir()
    (line,) = problems(folder, what, SEARCH, OBJECTIVE, trust=trust)
    assert line.endswith(f"model.{key}: runs code of your own; run with --trust train.py if you trust it")


@pytest.mark.parametrize(
    "words",
    [
        '[sh, -c, "rm train.py", train.py]',
        "[rm, train.py]",
        "[python, -c, 'import train', train.py]",
        "[sh, run.sh, train.py]",
        "[./python, train.py]",
        "[bin/python3, train.py]",
        "[python, '-cimport os#/../train.py']",
        "[python, '-c/../train.py']",
        "[python, sub/../train.py]",
        "[python, '{alpha}/../train.py']",
        "['./{alpha}', train.py]",
    ],
)
def test_a_trusted_file_does_not_vouch_for_other_commands_beside_it(folder, words):
    found = problems(folder, model(words), SEARCH, OBJECTIVE, trust=["train.py"])
    assert any(line.endswith("runs code of your own; run with --trust . if you trust it") for line in found)


def test_where_a_config_is_written_has_to_be_trusted_too(folder):
    (folder / "code").mkdir()
    (folder / "downloads").mkdir()
    path = folder / "downloads/c.yaml"
    path.write_text("\n".join([model("[sh, -c, 'true'], folder: ../code"), SEARCH, OBJECTIVE]))
    with pytest.raises(ConfigError, match="run with --trust downloads if you trust it"):
        prepare(read_config(path), trusted=["code"])
    assert prepare(read_config(path), trusted=["code", "downloads"]).kind == "command"
    text = path.read_text().replace("../code", str(folder / "code"))  # as MLflow has it
    assert prepared(folder / "downloads", text, trust=["code"]).kind == "command"


def test_a_trusted_file_does_not_run_in_a_folder_of_the_configs_choice(tmp_path, monkeypatch):
    """It may read what lies there, such as a cache."""
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    for each in (mine, theirs):
        each.mkdir()
    (mine / "train.py").write_text("")
    monkeypatch.chdir(mine)
    model = f"model: {{command: [python, {mine / 'train.py'}, '--x={{x}}'], folder: %s}}"
    text = f"{model}\nsearch: {{parameters: {{x: [1]}}}}\nobjective: {{metric: loss, direction: minimize}}\n"
    (theirs / "c.yaml").write_text(text % theirs)
    with pytest.raises(ConfigError, match=r"a trusted file runs in another folder than its own; run with --trust .*theirs"):
        prepare(read_config(theirs / "c.yaml"), trusted=["train.py"])
    assert prepare(read_config(theirs / "c.yaml"), trusted=["train.py", "../theirs"]).kind == "command"
    (theirs / "c.yaml").write_text(text % mine)
    assert prepare(read_config(theirs / "c.yaml"), trusted=["train.py"]).kind == "command"


@pytest.mark.parametrize("nothing", ["no/such.py", "", " "])
def test_a_value_of_trust_that_is_nothing_is_an_error(folder, nothing):
    """An empty one comes from a variable that is not set; it is not the working folder."""
    with pytest.raises(ConfigError) as caught:
        prepared(folder, COMMAND, SEARCH, OBJECTIVE, trust=[nothing])
    assert (
        str(caught.value)
        == f"--trust: {nothing!r} is no file or folder here, no package's name, no model:NAME, and no tcp://HOST:PORT"
    )


def test_what_is_trusted_is_not_looked_for_again_when_the_trials_are_done(folder):
    ready = prepared(folder, FUNCTION, SEARCH, OBJECTIVE, trust=["sklearn", "train.py"])
    (folder / "train.py").unlink()
    assert ready.trusted_packages == ("sklearn", "train")


def test_a_prepared_command_means_the_same_from_every_folder(folder):
    ready = prepared(folder, COMMAND, SEARCH, OBJECTIVE)
    assert isinstance(ready, CommandSweep)
    assert ready.config.model.folder == str(folder)
    assert (ready.kind, ready.subject, ready.program) == ("command", "python train.py {alpha}", "train.py")
    assert ready.material is None


@pytest.mark.parametrize(("given", "kept"), [("9", "9"), ("0", None), (None, None)])
def test_a_command_keeps_the_retries_of_mlflow_that_the_user_has_set(folder, monkeypatch, given, kept):
    name = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
    monkeypatch.setenv(name, given) if given else monkeypatch.delenv(name, raising=False)
    assert prepared(folder, COMMAND, SEARCH, OBJECTIVE).command.variables.get(name) == kept


def test_the_digest_is_of_words_and_files(folder):
    first = prepared(folder, COMMAND, SEARCH, OBJECTIVE).digest
    assert prepared(folder, COMMAND, SEARCH, OBJECTIVE).digest == first
    assert prepared(folder, COMMAND.replace('"{alpha}"', '"{alpha}", x'), SEARCH, OBJECTIVE).digest != first
    (folder / "train.py").write_text(CODE + "\n")
    assert prepared(folder, COMMAND, SEARCH, OBJECTIVE).digest != first


def test_a_prepared_function_has_its_rows(folder):
    ready = prepared(folder, FUNCTION, SEARCH, OBJECTIVE, "data: {source: table.csv, target: y}", "evaluation: {cv: 4, seeds: 2}")
    assert isinstance(ready, FunctionSweep)
    assert ready.config.model.function == f"{folder / 'train.py'}:train"
    assert ready.objective.evaluation == "4 folds × 2 seeds"
    assert ready.fits.trial == 8
    fit, measure = ready.task().table.parts(0)
    assert len(fit.target) + len(measure.target) == 30
    assert fit.target.dtype == float


@pytest.mark.parametrize(
    ("lines", "classes"),
    [
        (["data: {source: words.csv, target: y}"], True),
        (["data: {source: table.csv, target: b}", "evaluation: {cv: {folds: 2, stratified: true}}"], True),
        (["data: {source: table.csv, target: b}"], False),
    ],
)
def test_a_target_is_classes_where_it_is_text_or_folds_are_stratified(folder, lines, classes):
    ready = prepared(folder, FUNCTION, SEARCH, OBJECTIVE, *lines)
    assert (ready.material.dataset.target.dtype.kind != "f") == classes


def test_auto_picks_a_method_for_commands_too(folder):
    ready = prepared(folder, COMMAND, "search: {method: auto, trials: 5, parameters: {alpha: [1, 2]}}", OBJECTIVE)
    assert ready.config.search.method.name == "grid"
