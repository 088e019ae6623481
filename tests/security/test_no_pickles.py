"""Whoever unpickles runs code: each place that does is listed here, with the reason why nobody else can have written it."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest

import wine_sweep

PACKAGE = Path(wine_sweep.__file__).parent

MODULES = {"pickle", "cloudpickle", "dill", "joblib", "torch", "marshal", "shelve", "jsonpickle", "_pickle", "pickle5"}
"""Whatever is called `load`, `loads`, `open` or `Unpickler` in these runs what the file says."""

LOADERS = {"load", "loads", "open", "Unpickler", "DbfilenameShelf", "parallel_backend", "Memory"}

NAMES = {"load_model", "read_pickle", "load_checkpoint"}
"""Loads code wherever it comes from: MLflow's models, pandas' pickles, models of boosting libraries among them."""

SKOPS = {"skops.io.load", "skops.io.loads"}

PIPE = "through a pipe, from the process that started this one"
CLIENT = "through Dask's own connection, from the client, who may run anything on its workers"

REASONS = {
    ("execution.worker_main", "pickle.loads"): (1, f"the task: {PIPE}"),
    ("execution.dask_worker", "pickle.loads"): (3, f"the task, and trials: {CLIENT}"),
    ("evaluation.function", "pickle.loads"): (1, f"a notebook's function, within the task: {PIPE}"),
    ("targets.function", "pickle.loads"): (1, "the model of a function: through the pipe to a worker of this process"),
    ("tracking.models", "mlflow.pyfunc.load_model"): (
        1,
        "a model in a private folder: judged harmless, just written, or trusted",
    ),
}


def full_name(node: ast.expr, known: dict[str, str]) -> str:
    """Write what is called with the module that it is imported from."""
    if isinstance(node, ast.Name):
        return known.get(node.id, node.id)
    return f"{full_name(node.value, known)}.{node.attr}" if isinstance(node, ast.Attribute) else "?"


def imports(tree: ast.Module) -> dict[str, str]:
    found = {node.name: f"wine_sweep.this.{node.name}" for node in tree.body if isinstance(node, ast.FunctionDef)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {each.asname: each.name for each in node.names if each.asname}
        elif isinstance(node, ast.ImportFrom):
            found |= {each.asname or each.name: f"{node.module}.{each.name}" for each in node.names}
    return found


def loads(tree: ast.Module) -> Counter[str]:
    """Count the loads of a module that may run code, those that are only passed on as a function among them."""
    known, found = imports(tree), Counter()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name) and not isinstance(node.ctx, ast.Store):
            name = full_name(node, known)
            module, _, last = name.rpartition(".")
            if module.startswith("wine_sweep."):
                continue  # ours: looked at where it loads
            if (module.partition(".")[0] in MODULES and last in LOADERS) or last in NAMES or name in SKOPS:
                found[name] += 1
        if isinstance(node, ast.Call):
            name = full_name(node.func, known)
            allows = [each.value for each in node.keywords if each.arg == "allow_pickle"]
            may = any(not isinstance(each, ast.Constant) or each.value for each in allows)
            if may or (name == "numpy.load" and not allows):
                found[f"{name}(allow_pickle)"] += 1
    return found


@pytest.mark.slow
def test_each_load_that_may_run_code_is_known_and_has_a_reason():
    found = {
        (".".join(path.relative_to(PACKAGE).with_suffix("").parts), name): count
        for path in PACKAGE.rglob("*.py")
        for name, count in loads(ast.parse(path.read_text())).items()
    }
    assert found == {place: count for place, (count, _reason) in REASONS.items()}


def test_the_test_sees_what_it_looks_for():
    text = """
import pickle, numpy as np, joblib, pandas as pd, torch
from pickle import loads as read
from skops.io import load
import cloudpickle as cp
import mlflow
pickle.load(f); read(b); joblib.load(f); pd.read_pickle(f); torch.load(f); cp.loads(b); map(pickle.loads, many)
mlflow.sklearn.load_model(u); load(f, trusted=t); np.load(f, allow_pickle=True); np.load(f); np.load(f, allow_pickle=x)
np.load(f, allow_pickle=False); pickle.dumps(1); torch.tensor(1); self.load(1)
"""
    assert loads(ast.parse(text)) == Counter(
        {
            "pickle.load": 1,
            "pickle.loads": 2,
            "joblib.load": 1,
            "pandas.read_pickle": 1,
            "torch.load": 1,
            "cloudpickle.loads": 1,
            "mlflow.sklearn.load_model": 1,
            "skops.io.load": 1,
            "numpy.load(allow_pickle)": 3,
        }
    )
