"""What README, docs and configs say is true: every example is read, every link leads somewhere, and every config runs."""

from __future__ import annotations

import json
import pathlib
import re
import subprocess
import sys
from typing import get_args

import pytest
from pydantic import BaseModel

from wine_sweep.cli.app import app
from wine_sweep.config import (
    METHODS,
    BudgetConfig,
    Cost,
    DataConfig,
    EvaluationConfig,
    ExecutionConfig,
    GateConfig,
    PickRule,
    PrunerType,
    RegistryConfig,
    SearchConfig,
    SelectionConfig,
    SelectRule,
    SweepConfig,
    parse_config,
)
from wine_sweep.errors import Code
from wine_sweep.targets.prepare import prepare

ROOT = pathlib.Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PAGES = {path.name: path.read_text() for path in sorted((ROOT / "docs").glob("*.md"))}
EXAMPLES = re.findall(r"```yaml\n(.*?)```", "".join([README, *PAGES.values()]), re.DOTALL)
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))
LONGEST_README = 200


def test_the_readme_is_one_page():
    assert len(README.splitlines()) <= LONGEST_README


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", *(f"docs/{name}" for name in PAGES)])
def test_every_link_leads_to_a_file_and_a_heading(name):
    path = ROOT / name
    for target in re.findall(r"\]\(([^)]+)\)", path.read_text()):
        if target.startswith("http"):
            continue
        file, _, anchor = target.partition("#")
        found = path.parent / file if file else path
        assert found.exists(), target
        headings = re.findall(r"(?m)^#+ (.*)$", found.read_text()) if anchor else []
        assert not anchor or anchor in {re.sub(r"[^a-z0-9 -]", "", each.lower()).replace(" ", "-") for each in headings}, target


def test_every_page_is_linked_from_the_readme():
    assert {"CONTRIBUTING.md", *(f"docs/{name}" for name in PAGES)} <= set(re.findall(r"\]\(([^)#]+)", README))


@pytest.mark.parametrize("text", EXAMPLES)
def test_every_example_of_the_docs_is_a_config_that_could_run(text, tmp_path):
    for name in ("train.py", "boost.py"):
        (tmp_path / name).write_text("def train(params, context): ...\n")
    (tmp_path / "mysamplers.py").write_text(re.search(r"```python\n(.*?class Annealing.*?)```", PAGES["search.md"], re.DOTALL)[1])
    draft = parse_config(text.encode(), source="README.md", folder=tmp_path, default_name="example")
    assert draft.problems == []
    prepare(draft, trusted=[str(tmp_path), "tcp://machine-a:8786"])


def keys_of(model: type[BaseModel]) -> set[str]:
    return {field.alias or name for name, field in model.model_fields.items()}


SECTIONS = {
    (): SweepConfig,
    ("data",): DataConfig,
    ("search",): SearchConfig,
    ("search", "budget"): BudgetConfig,
    ("evaluation",): EvaluationConfig,
    ("selection",): SelectionConfig,
    ("execution",): ExecutionConfig,
    ("registry",): RegistryConfig,
    ("registry", "gate"): GateConfig,
}


@pytest.mark.parametrize("path", SECTIONS, ids=".".join)
def test_the_docs_show_every_key_of_every_section(path):
    shown = set()
    for text in EXAMPLES:
        value = parse_config(text.encode(), source="README.md", folder=pathlib.Path.cwd(), default_name="x").document.value
        for name in path:
            value = value.get(name, {}) if isinstance(value, dict) else {}
        shown |= set(value if isinstance(value, dict) else ())
    missing = keys_of(SECTIONS[path]) - shown
    table = PAGES["search.md"].split("`plan` shows")[0]
    assert not {name for name in missing if f"{name}:" not in table}


def test_the_table_of_search_features_names_every_method_pruner_and_key():
    table = PAGES["search.md"].split("`plan` shows")[0]
    named = set(re.findall(r"[a-z_0-9]+", " ".join(re.findall(r"`([^`]*)`", table))))
    assert set(METHODS) <= named
    assert {pruner.value for pruner in PrunerType} <= named
    assert {rule.value for rule in (*PickRule, *SelectRule, *Cost)} <= named
    assert keys_of(SearchConfig) - {"seed"} <= named


def test_the_docs_list_every_code_of_a_problem_and_each_is_made_somewhere():
    table = PAGES["config.md"].split("## Mistakes, for programs")[1]
    assert re.findall(r"^\| `([a-z-]+)` \| .+ \|$", table, re.MULTILINE) == list(get_args(Code))
    sources = "".join(path.read_text() for path in (ROOT / "src").rglob("*.py") if path.name != "errors.py")
    made = {*get_args(Code)} - {code for code in get_args(Code) if f'"{code}"' not in sources}
    assert {*get_args(Code)} - made == {"bad-data"}  # which `DataError` has by itself


def test_the_readme_names_every_command_and_only_those():
    table = README.split("## Commands")[1].split("## Trust")[0]
    named = set(re.findall(r"^\| `([a-z-]+)", table, re.MULTILINE))
    real = {command.name or command.callback.__name__ for command in app.registered_commands}
    assert named == real


@pytest.mark.slow
def test_a_sweep_of_ones_own_estimator_needs_trust_and_its_model_loads_without_the_module(wine_sweep, store, root):
    sweep = root / "sweeps/own_estimator/sweep.yaml"
    refused = wine_sweep("run", sweep)
    assert refused.returncode == 2
    assert "the package 'clipped' is not trusted; run with --trust clipped" in refused.stderr
    done = wine_sweep("run", sweep, "--trust", "clipped", "--quiet")
    assert done.returncode == 0, done.stderr
    program = (
        "import mlflow, pandas; from wine_sweep.data.table import load_bundled;"
        "rows = load_bundled('wine-quality-red').astype(float).drop(columns='quality');"
        "print(mlflow.pyfunc.load_model('models:/wine-quality-clipped@staging').predict(rows).shape)"
    )
    command = [sys.executable, "-c", program]
    loaded = subprocess.run(command, cwd=store.folder, env=wine_sweep.environment(), capture_output=True, text=True, check=False)
    assert loaded.stdout == "(1599,)\n", loaded.stderr


@pytest.mark.slow
def test_the_python_of_the_docs_runs(wine_sweep, store, root):
    (text,) = (
        block for block in re.findall(r"```python\n(.*?)```", "".join(PAGES.values()), re.DOTALL) if "from wine_sweep" in block
    )
    command = [sys.executable, "-c", text + "print(result.best.params, len(result.trials))"]
    done = subprocess.run(command, cwd=root, env=wine_sweep.environment(), capture_output=True, text=True, check=False)
    assert done.stdout == "{'x': 2} 4\n", done.stderr
    assert store.client.get_model_version_by_alias("wine-quality", "production") is not None


@pytest.mark.slow
@pytest.mark.parametrize("name", ["any_language", "boosting_function", "elasticnet_script"])
def test_a_sweep_of_ones_own_code_runs_as_its_readme_says(name, wine_sweep, store, root):
    text = (root / "sweeps" / name / "README.md").read_text()
    (typed,) = re.findall(r"^python -m wine_sweep (run .*)$", text, re.MULTILINE)
    assert typed in (root / "sweeps" / name / "sweep.yaml").read_text()
    command = [*wine_sweep.command(*typed.split()), "--trials", "3", "--json", "--quiet"]
    done = subprocess.run(command, cwd=root, env=wine_sweep.environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["trials"]["finished"] == 3
    assert (document["promotion"] is None) == (name == "any_language")
    refused = subprocess.run(
        wine_sweep.command("plan", typed.split()[1]),
        cwd=root,
        env=wine_sweep.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 2
    assert f"runs code of your own; run with --trust sweeps/{name}" in refused.stderr


@pytest.mark.quick(1)
@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_shipped_config_runs_and_promotes(path, in_process, store):
    short = ["--trials", "4"] if path.stem != "grid" else []
    if path.stem == "warm-start":  # it learns from the sweep that it names
        assert in_process("run", path.with_name("optuna.yaml"), "--quiet", "--no-promote", *short).returncode == 0
    result = in_process("run", path, "--quiet", "--json", *short)
    assert result.returncode == 0, result.stderr
    document = json.loads(result.stdout)
    assert document["promotion"]["stage"] == "Staging"
    assert document["trials"]["failed"] == 0
    assert store.client.get_model_version_by_alias(document["promotion"]["model"], "staging") is not None
