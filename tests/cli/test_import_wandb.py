"""``wine-sweep import-wandb`` as a user types it."""

import json
import subprocess
import sys

import pytest

from wine_sweep.config import read_config

SWEEP = """
program: train.py
method: grid
entity: me
metric: {name: loss, goal: minimize}
parameters: {lr: {values: [0.1, 0.2]}, momentum: {distribution: normal}}
"""


@pytest.fixture
def run(in_process_at, tmp_path):
    (tmp_path / "train.py").touch()
    (tmp_path / "wandb.yaml").write_text(SWEEP)
    return in_process_at(tmp_path, "sqlite:///none.db")


def test_the_config_is_on_stdout_and_the_rest_on_stderr(run, tmp_path):
    result = run("import-wandb", "wandb.yaml")
    assert result.returncode == 0
    (tmp_path / "sweep.yaml").write_text(result.stdout)
    draft = read_config(tmp_path / "sweep.yaml")
    assert draft.problems == []
    assert draft.config.model.command == ["python", "train.py", "{args}"]
    lines = result.stderr.splitlines()
    assert lines[0] == "First, the program has to change"
    assert lines[1].startswith("  wandb.log: ")
    assert "  entity: MLflow's stores have no teams; who may write where is the tracking server's to say" in lines
    assert lines[-1] == "  wine-sweep run CONFIG --trust ."


def test_a_file_is_written_and_not_written_over(run, tmp_path):
    first = run("import-wandb", "wandb.yaml", "--output", "sweep.yaml")
    assert first.stdout == ""
    assert first.stderr.endswith("  wine-sweep plan sweep.yaml --trust .\n  wine-sweep run sweep.yaml --trust .\n")
    written = (tmp_path / "sweep.yaml").read_text()
    (tmp_path / "sweep.yaml").write_text("mine")
    second = run("import-wandb", "wandb.yaml", "--output", "sweep.yaml")
    assert second.returncode == 2
    assert second.stderr == "sweep.yaml: exists already; give another name, or --force to write over it\n"
    assert (tmp_path / "sweep.yaml").read_text() == "mine"
    assert run("import-wandb", "wandb.yaml", "--output", "sweep.yaml", "--force").returncode == 0
    assert (tmp_path / "sweep.yaml").read_text() == written


def test_the_sweep_itself_is_never_written_over(run, tmp_path):
    result = run("import-wandb", "wandb.yaml", "--output", "wandb.yaml", "--force")
    assert result.returncode == 2
    assert "is the file to import" in result.stderr
    assert (tmp_path / "wandb.yaml").read_text() == SWEEP


def test_json_is_one_document(run):
    result = run("import-wandb", "wandb.yaml", "--json")
    document = json.loads(result.stdout)
    assert set(document) == {"config", "notes"}
    assert document["config"].startswith("# Imported from wandb.yaml")
    assert all(set(note) == {"key", "kind", "message"} for note in document["notes"])
    assert {note["kind"] for note in document["notes"]} == {"carried", "approximated", "left_out"}
    assert result.stderr == ""


def test_the_command_runs_where_the_program_lies(run, tmp_path):
    (tmp_path / "sub").mkdir()
    result = run("import-wandb", "wandb.yaml", "--output", "sub/sweep.yaml")
    assert result.stderr.endswith("wine-sweep run sub/sweep.yaml --trust .\n")
    assert read_config(tmp_path / "sub/sweep.yaml").config.model.folder == ".."


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("method: grd\nparameters: {a: {value: 1}}\n", "bad.yaml:1:9: method: got 'grd' (text); did you mean 'grid'?"),
        ("method: grid\nparameters: {a: 5}\n", "bad.yaml:2:17: parameters.a: W&B takes a mapping here"),
        ("a: [\n", "bad.yaml:2:1: "),
    ],
)
def test_what_is_wrong_is_said_with_its_place(run, tmp_path, text, message):
    (tmp_path / "bad.yaml").write_text(text)
    result = run("import-wandb", "bad.yaml", "--output", "new.yaml")
    assert result.returncode == 2
    assert result.stderr.startswith(message)
    assert result.stdout == ""
    assert not (tmp_path / "new.yaml").exists()


def test_what_a_config_cannot_hold_is_said_before_anything_is_written(run, tmp_path):
    inner = "x" * 200
    (tmp_path / "long.yaml").write_text(f"method: grid\nparameters: {{{inner}: {{parameters: {{{inner}: {{value: 1}}}}}}}}\n")
    result = run("import-wandb", "long.yaml", "--output", "new.yaml")
    assert result.returncode == 2
    assert result.stderr.startswith("long.yaml: search.parameters.xxx")
    assert not (tmp_path / "new.yaml").exists()


def test_a_missing_file_is_an_error_without_a_traceback(run):
    result = run("import-wandb", "none.yaml")
    assert result.returncode == 2
    assert result.stderr == "none.yaml: cannot be read: No such file or directory\n"


def test_a_folder_that_is_missing_is_an_error_without_a_traceback(run):
    result = run("import-wandb", "wandb.yaml", "--output", "none/sweep.yaml")
    assert result.returncode == 2
    assert result.stderr == "none/sweep.yaml: cannot be written: No such file or directory\n"


def test_it_imports_nothing_heavy(tmp_path):
    (tmp_path / "wandb.yaml").write_text(SWEEP)
    program = (
        "import sys\nfrom wine_sweep.cli.app import app\n"
        f"try: app(['import-wandb', {str(tmp_path / 'wandb.yaml')!r}, '--json'])\nexcept SystemExit: pass\n"
        "print('\\n'.join(sys.modules), file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    assert not set(result.stderr.splitlines()) & {"mlflow", "optuna", "sklearn", "pandas", "numpy"}


def test_what_it_says_to_type_is_what_plan_takes(run):
    imported = run("import-wandb", "wandb.yaml", "--output", "sweep.yaml")
    plan = imported.stderr.splitlines()[-2].split()
    assert plan[:2] == ["wine-sweep", "plan"]
    planned = run(*plan[1:], "--json")
    assert planned.returncode == 0, planned.stderr
    (document,) = json.loads(planned.stdout)
    assert document["trials"] == 10
    assert document["objective"] == "minimize loss"


SCRIPT = """
import json, os, sys
given = dict(word.removeprefix("--").split("=", 1) for word in sys.argv[1:])
assert json.loads(os.environ["WINE_SWEEP_PARAMS"])["opt.beta"] == float(given["opt.beta"])
with open(os.environ["WINE_SWEEP_METRICS"], "w") as file:
    json.dump({"loss": float(given["lr"]) + float(given["opt.beta"])}, file)
"""
NESTED = """
program: train.py
method: random
run_cap: 3
metric: {name: loss}
parameters:
  lr: {distribution: log_uniform, min: -5, max: 0}
  opt: {parameters: {beta: {distribution: q_uniform, min: 0, max: 1, q: 0.25}}}
"""


@pytest.mark.slow
def test_an_imported_sweep_runs(in_process, store):
    (store.folder / "train.py").write_text(SCRIPT)
    (store.folder / "wandb.yaml").write_text(NESTED)
    imported = in_process("import-wandb", "wandb.yaml", "--output", "sweep.yaml")
    done = in_process(*imported.stderr.splitlines()[-1].split()[1:], "--quiet", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["trials"]["finished"] == 3
    assert document["objective"]["metric"] == "loss"
