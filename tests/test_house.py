"""The shape of the house: who imports whom, what stays unimported, what is exported."""

from __future__ import annotations

import ast
import functools
import re
import subprocess
import sys
from pathlib import Path

import pytest

import wine_sweep
from wine_sweep import errors

PACKAGE = Path(wine_sweep.__file__).parent

LAYERS = [
    {"errors", "importing", "messages", "trial"},
    {"config"},
    {"data", "execution", "wandb"},
    {"evaluation", "search"},
    {"selection"},
    {"gate", "monitoring"},
    {"tracking", "report", "targets"},
    {"progress", "registry"},
    {"promotion"},
    {"sweep"},
    {"api"},
    {"cli"},
    {"__main__"},
]
"""From the ground up: a part imports only from lower floors, and within its own floor only where `NEIGHBOURS` says so."""

NEIGHBOURS = {("report", "tracking")}
LEAVES = {"errors", "importing", "trial"}
SEAMS = {
    "mlflow": {"tracking", "registry"},
    "optuna": {"search"},
    "distributed": {"execution"},
    "psutil": {"execution"},
    "typer": {"cli"},
    "rich": {"cli", "progress"},
}


@functools.cache
def modules() -> dict[str, ast.Module]:
    return {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts): ast.parse(path.read_text()) for path in PACKAGE.rglob("*.py")
    }


def imported(tree: ast.Module) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def part(module: str) -> str:
    return module.partition(".")[0]


def floor(name: str) -> int:
    return next(index for index, names in enumerate(LAYERS) if name in names)


def test_the_parts_are_all_on_a_floor():
    assert {part(name) for name in modules()} - {"__init__"} == set().union(*LAYERS)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(modules()) - {"__init__"}))
def test_imports_run_downwards(name):
    own = part(name)
    used = {each.split(".")[1] for each in imported(modules()[name]) if each.startswith("wine_sweep.")}
    for other in used - {own}:
        if floor(other) == floor(own):
            assert (own, other) in NEIGHBOURS, f"{name} imports {other}"
        assert floor(other) <= floor(own), f"{name} imports {other}"
    if own in LEAVES:
        assert used <= {own}


@pytest.mark.slow
def test_no_module_imports_itself_in_a_circle():
    names = set(modules())
    graph = {
        name: {each.removeprefix("wine_sweep.") for each in imported(tree) if each.startswith("wine_sweep.")} & names - {name}
        for name, tree in modules().items()
    }
    while ready := [name for name, needs in graph.items() if not needs & graph.keys()]:
        for name in ready:
            del graph[name]
    assert not graph, f"circles among {sorted(graph)}"


@pytest.mark.slow
@pytest.mark.parametrize("library", SEAMS)
def test_a_library_has_one_seam(library):
    users = {part(name) for name, tree in modules().items() if any(each.split(".")[0] == library for each in imported(tree))}
    assert users == SEAMS[library]


def loaded_after(code: str) -> set[str]:
    program = f"import sys\n{code}\nprint('\\n'.join(sys.modules))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    return set(result.stdout.splitlines())


def test_importing_the_package_is_cheap():
    assert not loaded_after("import wine_sweep") & {"mlflow", "optuna", "sklearn", "pandas", "pydantic", "typer"}


def test_help_imports_nothing_heavy():
    code = "from wine_sweep.cli.app import app\ntry: app(['--help'])\nexcept SystemExit: pass"
    assert not loaded_after(code) & {"mlflow", "optuna", "sklearn", "pandas", "numpy", "pydantic"}


@pytest.mark.slow
def test_plan_imports_neither_mlflow_nor_optuna(root):
    code = (
        f"from wine_sweep.cli.app import app\ntry: app(['plan', {str(root / 'configs/optuna.yaml')!r}])\nexcept SystemExit: pass"
    )
    loaded = loaded_after(code)
    assert "sklearn" in loaded
    assert not loaded & {"mlflow", "optuna"}


@pytest.mark.slow
@pytest.mark.parametrize("command", ["inspect"])
def test_commands_that_only_read_import_neither_scikit_learn_nor_optuna(command):
    assert not loaded_after(f"import wine_sweep.cli.{command}") & {"sklearn", "skops", "optuna"}


@pytest.mark.slow
def test_what_workers_load_has_neither_mlflow_nor_optuna():
    assert not loaded_after("import wine_sweep.evaluation.cross_validation, wine_sweep.execution") & {"mlflow", "optuna"}


def test_the_workers_server_is_started_before_anything_heavy_is_imported():
    assert not loaded_after("import wine_sweep.cli.app, wine_sweep.cli.startup") & {"mlflow", "optuna", "sklearn", "pandas"}


@pytest.mark.slow
def test_what_the_workers_server_loads_is_loaded_by_nobody_else():
    """It loads at import what it is to load, since the server does no more than import it, and leaves Python as it was."""
    assert not [name for name, tree in modules().items() if "wine_sweep.execution.preload" in imported(tree)]
    loaded = loaded_after("import gc, wine_sweep.execution.preload\nassert gc.isenabled() and gc.get_freeze_count()")
    assert {"sklearn", "wine_sweep.execution.worker_main"} <= loaded
    assert not loaded & {"mlflow", "optuna"}


ERRORS = sorted(
    name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, errors.WineSweepError)
)


def test_the_exported_names_are_the_errors_and_what_a_notebook_needs():
    api = ["Rows", "Sweep", "SweepConfig", "SweepOutcome", "TrialContext", "load_config"]
    assert wine_sweep.__all__ == sorted([*ERRORS, *api])
    assert dir(wine_sweep) == wine_sweep.__all__
    assert all(hasattr(wine_sweep, name) for name in wine_sweep.__all__)
    assert not hasattr(wine_sweep, "load_conifg")


@pytest.mark.parametrize("name", [name for name in ERRORS if name != "WineSweepError"])
def test_every_error_is_also_the_fitting_builtin(name):
    error = getattr(wine_sweep, name)
    assert issubclass(error, errors.WineSweepError)
    assert issubclass(error, ValueError | LookupError | RuntimeError)


KEPT_WORDS = {'"left_to_chance"': "a key of `reproduce --json`, which users read"}


@pytest.mark.slow
def test_no_word_that_is_gone_comes_back(root):
    """A reader from Optuna, scikit-learn or MLflow would have to learn it first; see ``words.txt``."""
    own = (Path(__file__), Path(__file__).with_name("words.txt"))
    lines = own[1].read_text(encoding="utf-8").splitlines()
    gone = re.compile(rf"\b({'|'.join(line for line in lines if not line.startswith('#'))})\b")
    found = []
    for folder in ("src", "tests", "benchmarks", "configs", "sweeps"):
        for path in (root / folder).rglob("*"):
            if path.suffix not in {".py", ".yaml", ".md"} or path in own:
                continue
            text = path.read_text(encoding="utf-8")
            for kept in KEPT_WORDS:
                text = text.replace(kept, "")
            found += [f"{path.relative_to(root)}: {word}" for word in {path.stem, *gone.findall(text)} if gone.fullmatch(word)]
    assert not found


@pytest.mark.slow
def test_no_two_classes_have_one_name():
    places: dict[str, list[str]] = {}
    for module, tree in modules().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(module)
    assert not {name: where for name, where in places.items() if len(where) > 1}
