"""Nothing that lies in the working folder or beside a config is imported unless it is trusted, in no process."""

from __future__ import annotations

import importlib.metadata
import json
import os
import signal
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

ABSENT = {"catboost", "torch", "numexpr", "bottleneck", "IPython", "polars", "cupy", "skrub", "lz4", "tables", "brotli"}
"""Modules that libraries try to import, and that may not be installed."""

ESTIMATOR = """
name: traps
data: {{source: wine-quality-red, seed: 40}}
model: {{estimator: sklearn.ensemble.BaggingRegressor, params: {{n_jobs: 2, random_state: 0}}}}
search: {{parameters: {{n_estimators: [2, 3]}}}}
evaluation: {{cv: 2}}
execution: {{backend: {backend}}}
registry: {{name: traps, gate: false}}
"""
"""Bagging has joblib start processes of its own: in the workers, and for the winner in the process that runs the sweep."""

FUNCTION = """
name: own
data: {{source: wine-quality-red, seed: 40}}
model: {{function: {file}:train}}
search: {{parameters: {{alpha: [0.1, 1]}}}}
evaluation: {{cv: 2}}
objective: {{metric: mse, direction: minimize}}
execution: {{backend: {backend}}}
registry: {{name: own, gate: false}}
"""

TRAIN = """
import os, subprocess, sys
from pathlib import Path
import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from helper_of_train import SIGN

class Mean(RegressorMixin, BaseEstimator):
    def __init__(self, alpha=1.0):
        self.alpha = alpha

    def fit(self, X, y):
        self.mean_ = float(np.mean(y))
        return self

    def predict(self, X):
        return np.full(len(X), self.mean_ + SIGN * 0)

def train(params, context):
    script = Path(__file__).parent / "script_of_train.py"
    subprocess.run([sys.executable, str(script)], check=True)
    assert "PYTHONSAFEPATH" not in os.environ
    features, target = context.fit.features, context.fit.target
    model = Mean(params["alpha"]).fit(features, target)
    errors = model.predict(context.measure.features) - context.measure.target
    return {"mse": float(np.mean(errors**2)) + params["alpha"]}, model
"""


@pytest.fixture(scope="session")
def names(tmp_path_factory) -> set[str]:
    """Every module that could be imported by name, but for those that Python imports before the first line of a package."""
    folder = tmp_path_factory.mktemp("probe")
    (folder / "probe").mkdir()
    (folder / "probe/__init__.py").touch()
    (folder / "probe/__main__.py").write_text("import sys; print(*sys.modules)")
    probed = subprocess.run([sys.executable, "-m", "probe"], cwd=folder, capture_output=True, text=True, check=True)
    installed = {name for name in importlib.metadata.packages_distributions() if name.isidentifier()}
    known = {*sys.stdlib_module_names, *installed, *ABSENT, "sitecustomize", "usercustomize"}
    return known - {*probed.stdout.split(), "wine_sweep"}


class Place:
    """A working folder full of modules that note who has imported them, with wine_sweep run in it as a user does."""

    def __init__(self, folder: Path, uri: str, names: set[str]) -> None:
        self.here, self.notes, self.uri = folder / "here", folder / "imported.txt", uri
        self.here.mkdir()
        self.fill(self.here, names)

    def fill(self, folder: Path, names: set[str]) -> None:
        for name in names:
            (folder / f"{name}.py").write_text(
                f"import os, sys\nopen({str(self.notes)!r}, 'a').write('{name} by %s\\n' % sys.orig_argv)\n"
                f"raise ImportError('a module of the working folder')\n"
            )

    def environment(self, **variables: str) -> dict[str, str]:
        return {**os.environ, "MLFLOW_TRACKING_URI": self.uri, **variables}

    def run(self, start: list[str], *arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
        command = [*start, *map(str, arguments)]
        environment = self.environment(**variables)
        done = subprocess.run(command, cwd=self.here, env=environment, capture_output=True, text=True, timeout=240, check=False)
        assert not self.notes.exists(), f"{command} imported {self.notes.read_text()}"
        return done


MODULE = [sys.executable, "-m", "wine_sweep"]
SCRIPT = [str(Path(sysconfig.get_path("scripts")) / "wine-sweep")]


@pytest.fixture
def place(store, names) -> Place:
    return Place(store.folder, store.uri, names)


@pytest.mark.slow
def test_no_command_imports_what_lies_in_the_working_folder(place):
    (place.here / "c.yaml").write_text(ESTIMATOR.format(backend="processes"))
    for start in (MODULE, SCRIPT):
        planned = place.run(start, "plan", "c.yaml")
        assert planned.returncode == 0, planned.stderr
    done = place.run(MODULE, "run", "c.yaml", "--json", "--quiet", "--trials", "1")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["promotion"]["version"] == "1"
    for command in (["list"], ["compare", "latest"], ["resume", "latest", "--trials", "2", "--no-promote"]):
        after = place.run(MODULE, *command)
        assert after.returncode == 0, after.stderr


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["serial", "dask"])
def test_neither_do_other_backends_with_a_config_elsewhere(place, names, backend, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    place.fill(elsewhere, names)
    (elsewhere / "c.yaml").write_text(ESTIMATOR.format(backend=backend))
    done = place.run(SCRIPT if backend == "serial" else MODULE, "run", elsewhere / "c.yaml", "--json", "--quiet")
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("backend", "file"), [("processes", "train.py"), ("serial", "lightgbm.py"), ("processes", "json.py")])
def test_a_trusted_file_runs_with_what_it_imports_and_shadows_nothing(place, backend, file):
    (place.here / file).write_text(TRAIN)
    (place.here / "helper_of_train.py").write_text("SIGN = 1\n")
    (place.here / "script_of_train.py").write_text("import helper_of_train\n")
    (place.here / "c.yaml").write_text(FUNCTION.format(file=file, backend=backend))
    done = place.run(MODULE, "run", "c.yaml", "--trust", file, "--json", "--quiet")
    assert done.returncode == 0, done.stderr
    load = (
        "import mlflow, pandas, lightgbm, json\n"
        "model = mlflow.pyfunc.load_model('models:/own@staging')\n"
        "frame = pandas.DataFrame([dict.fromkeys(model.metadata.get_input_schema().input_names(), 1.0)])\n"
        "assert lightgbm.LGBMRegressor and json.dumps, 'the copy in the model shadows nothing'\n"
        "print(model.predict(frame))"
    )
    loaded = place.run([sys.executable, "-P", "-c", load], PYTHONPATH=str(_only(place.here / "helper_of_train.py", place.notes)))
    assert loaded.returncode == 0, loaded.stderr
    assert float(loaded.stdout.strip("[]\n")) == pytest.approx(5.6, abs=0.1)


def _only(file: Path, notes: Path) -> Path:
    """A folder with a copy of one file."""
    folder = notes.parent / "only"
    folder.mkdir()
    (folder / file.name).write_bytes(file.read_bytes())
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("own", [None, "1"])
def test_a_command_sees_what_the_user_has_set_and_imports_what_lies_beside_it(place, own):
    (place.here / "train.py").write_text("import os, helper_of_train\nprint('loss=1', repr(os.environ.get('PYTHONSAFEPATH')))\n")
    (place.here / "helper_of_train.py").touch()
    (place.here / "c.yaml").write_text(
        "model: {command: [python, train.py, '{x}'], stdout: 'loss=(?P<loss>.*) None'}\nsearch: {parameters: {x: [1]}}\n"
        "objective: {metric: loss, direction: minimize}\nexecution: {workers: 1}\n"
    )
    variables = {} if own is None else {"PYTHONSAFEPATH": own}
    done = place.run(MODULE, "run", "c.yaml", "--trust", "train.py", "--json", "--quiet", **variables)
    assert done.returncode == (0 if own is None else 1), done.stderr
    if own:
        assert "No module named 'helper_of_train'" in done.stderr


@pytest.mark.slow
def test_a_trusted_module_beside_the_config_is_imported_and_no_other(place):
    """Modules that are not installed are tried by libraries; they are imported before the folder is on the path, as the last."""
    (place.here / "mine.py").write_text("from sklearn.linear_model import Ridge\nclass Mine(Ridge):\n    pass\n")
    config = "data: {source: wine-quality-red}\nmodel: {estimator: mine.Mine}\nsearch: {parameters: {alpha: [1, 2]}}\n"
    (place.here / "c.yaml").write_text(config + "evaluation: {cv: 2}\nregistry: {name: mine, gate: false}\n")
    assert "run with --trust mine" in place.run(SCRIPT, "plan", "c.yaml").stderr
    done = place.run(MODULE, "run", "c.yaml", "--trust", "mine", "--json", "--quiet")
    assert done.returncode == 0, done.stderr
    (place.here / "c.yaml").write_text(config.replace("mine.Mine", "tokenize.Mine"))
    refused = place.run(MODULE, "plan", "c.yaml", "--trust", "tokenize")
    assert refused.returncode == 2
    assert f"there is no 'Mine' in tokenize ({sysconfig.get_path('stdlib')}/tokenize.py)" in " ".join(refused.stderr.split())


@pytest.mark.slow
def test_the_users_own_python_keeps_its_path_and_its_environment(place):
    (place.here / "own_module.py").write_text("def loss(params, context):\n    return {'loss': params['x']}\n")
    (place.here / "program.py").write_text(
        "import os, sys\nfrom wine_sweep import Sweep\nimport own_module\n"
        "if __name__ == '__main__':\n"
        "    path, environment = sys.path[:], dict(os.environ)\n"
        "    config = {'search': {'parameters': {'x': [1, 2]}}, 'objective': {'metric': 'loss', 'direction': 'minimize'}}\n"
        "    print(Sweep(config, function=own_module.loss).run(quiet=True).best.params)\n"
        "    assert sys.path == path, sys.path\n"
        "    assert 'PYTHONSAFEPATH' not in os.environ\n"
    )
    for name in [path for path in place.here.iterdir() if path.stem not in {"own_module", "program"}]:
        name.unlink()  # the program's folder is first on its path, and so on that of its workers
    done = place.run([sys.executable, "program.py"])
    assert done.returncode == 0, done.stderr
    assert done.stdout == "{'x': 1}\n"


@pytest.mark.slow
def test_the_ui_imports_nothing_from_the_working_folder(place):
    command = [*SCRIPT, "ui", "--port", (port := str(_free_port()))]
    log = (place.notes.parent / "ui.log").open("w")
    process = subprocess.Popen(command, cwd=place.here, env=place.environment(), stdout=log, stderr=log, start_new_session=True)
    try:
        deadline = time.monotonic() + 90
        while not _answers(f"http://127.0.0.1:{port}/health"):
            assert time.monotonic() < deadline, Path(log.name).read_text()
            assert process.poll() is None, Path(log.name).read_text()
            time.sleep(0.3)
        assert not place.notes.exists(), place.notes.read_text()
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)
        log.close()


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=2).close()
    except (urllib.error.URLError, OSError):
        return False
    return True


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
