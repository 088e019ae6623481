"""Fits estimators with text for every parameter that takes text, and prints what an audit hook hears of each, as JSON.

Run as a program, with the names of estimators or none for all: an audit hook stays until a process ends.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import json
import os
import shutil
import sys
import tempfile
import warnings
from pathlib import Path

import joblib
import lightgbm
import numpy as np
import xgboost
from sklearn.utils import all_estimators
from sklearn.utils._param_validation import InvalidParameterError, StrOptions, validate_parameter_constraints
from sklearn.utils._test_common.instance_generator import _construct_instances

BOOSTING = [xgboost.XGBRegressor, xgboost.XGBClassifier, lightgbm.LGBMRegressor, lightgbm.LGBMClassifier]
VALUES = ("shipped", "shipped.txt", "shipped_module.Shipped")
"""A folder, a file and a module that lie in the working folder."""

PROCESSES = {"os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen"}
CHANGES = {"os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink", "os.link", "os.chmod", "os.listdir", "os.scandir"}

heard: set[str] | None = None


def listen(event: str, args: tuple) -> None:
    """Keep what a parameter is not to do; Python's own cache of compiled modules and shared memory of joblib are left out."""
    if heard is None:
        return
    first = str(args[0]) if args else ""
    is_here = event in {"open", *CHANGES} and isinstance(args[0], str) and Path.cwd() in Path(first).absolute().parents
    if event == "open":
        writes = isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if ".pyc" not in first and first != os.devnull and (writes or is_here):
            heard.add("write" if writes else "read")
    elif (
        is_here
        or (event in {"import", "compile"} and "shipped" in first)
        or event in PROCESSES
        or event.startswith(("socket.connect", "socket.bind", "pickle.find_class"))
    ):
        heard.add(event)


def lay_out() -> None:
    Path("shipped").mkdir(exist_ok=True)
    Path("shipped.txt").write_text("a b c\n")
    Path("shipped_module.py").write_text("class Shipped: pass\n")


def values_of(found: type, name: str) -> list[str]:
    """Every text that a parameter may have, and three of which none is meant."""
    constraints = getattr(found, "_parameter_constraints", {})
    values = [value for value in VALUES if is_allowed(constraints, name, value)]
    declared = constraints.get(name)
    for each in declared if isinstance(declared, list) else []:
        values += sorted(each.options) if isinstance(each, StrOptions) else []
    return values


def is_allowed(constraints: dict, name: str, value: str) -> bool:
    if name not in constraints:
        return True
    try:
        validate_parameter_constraints({name: constraints[name]}, {name: value}, caller_name="")
    except InvalidParameterError:
        return False
    return True


def events(found: type, params: dict[str, str]) -> set[str]:
    global heard  # noqa: PLW0603  # the hook's only way to know
    lay_out()
    before, result = set(os.listdir()), set()
    model = found(n_estimators=2, n_jobs=1) if found in BOOSTING else next(iter(_construct_instances(found)))
    heard = result
    with contextlib.suppress(BaseException), contextlib.redirect_stdout(io.StringIO()):
        try:
            fit(model.set_params(**params))
        finally:
            heard = None
    for name in set(os.listdir()) - before:
        result.add("created")
        shutil.rmtree(name) if Path(name).is_dir() else Path(name).unlink()
    shutil.rmtree("shipped")
    return result


def fit(model: object) -> None:
    features = np.abs(np.random.default_rng(0).normal(size=(24, 4)))
    target = (features[:, 0] > 0.5).astype(int)
    rows = ["shipped.txt"] * 24 if "Vectorizer" in type(model).__name__ else features
    several = "Multi" in type(model).__name__ or type(model).__name__ in {"CCA", "PLSCanonical"}
    model.fit(rows, np.c_[target, 1 - target] if several else target)
    for method in ("predict", "transform"):
        if hasattr(model, method):
            getattr(model, method)(rows)


def main() -> None:
    warnings.simplefilter("ignore")
    os.chdir(tempfile.mkdtemp())
    sys.path.append(os.getcwd())
    joblib.cpu_count(only_physical_cores=True)  # asks a program, once in a process
    sys.addaudithook(listen)
    wanted, report, tried = set(sys.argv[1:]), [], 0
    for found in [*(each for _, each in all_estimators()), *BOOSTING]:
        if (wanted and found.__name__ not in wanted) or found.__name__ == "FrozenEstimator":
            continue
        usual = events(found, {}) | events(found, {})  # the second time nothing is imported any more
        report += [("as it is", found.__name__, sorted(usual))] if usual else []
        names = {name for base in found.__mro__ if "__init__" in vars(base) for name in inspect.signature(base).parameters}
        names -= {"self", "args", "kwargs", "n_jobs"}
        for name in sorted(names & set(found().get_params()) if found in BOOSTING else names):
            for value in values_of(found, name):
                tried += 1
                if new := events(found, {name: value}) - usual:
                    report.append((name, value, sorted(new)))
    json.dump({"tried": tried, "heard": report}, sys.stdout)


if __name__ == "__main__":
    main()
