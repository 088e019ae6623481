"""What libraries write to the terminal themselves, of text that a config or a model brings: never raw, never among results."""

from __future__ import annotations

import json
import os
import pty
import subprocess

import lightgbm
import mlflow
import pytest
from mlflow.models import infer_signature

from wine_sweep.config import Stage
from wine_sweep.data.table import load_bundled
from wine_sweep.registry import Action, Entry, ModelRegistry

pytestmark = pytest.mark.slow

CONFIG = """
name: boosted
data: {source: wine-quality-red}
model: {estimator: lightgbm.LGBMRegressor, params: {n_estimators: 3, n_jobs: 1BOOSTING}}
search: {parameters: {num_leaves: [4, 8]}}
evaluation: {cv: 2, bootstrap: 0}
execution: {workers: 1}
registry: {name: wine, gate: false}
"""
HOSTILE = '"gbdx\\e[2J\\e]0;title\\a"'
SEARCHED = CONFIG.replace("BOOSTING", "").replace("num_leaves: [4, 8]", f"boosting_type: [gbdt, {HOSTILE}]")
BACKENDS = ["processes", "serial"]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("config", "code"),
    [(CONFIG.replace("BOOSTING", f", boosting_type: {HOSTILE}"), 2), (SEARCHED, 0)],
    ids=["before the first trial", "in a trial"],
)
def test_a_parameter_that_a_library_quotes_does_not_reach_the_terminal_raw(config, code, backend, store, wine_sweep):
    (store.folder / "c.yaml").write_text(config)
    done = wine_sweep("run", "c.yaml", "--set", f"execution.backend={backend}")
    assert done.returncode == code
    assert "Unknown boosting type gbdx" in done.stderr  # so there was something to escape
    assert "\x1b" not in done.stderr + done.stdout
    assert "\x07" not in done.stderr + done.stdout


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_a_library_says_of_a_fit_is_not_among_the_results(backend, store, wine_sweep):
    (store.folder / "c.yaml").write_text(CONFIG.replace("BOOSTING", ""))
    done = wine_sweep("run", "c.yaml", "--json", "--set", f"execution.backend={backend}")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["promotion"]["version"] == "1"
    assert "[LightGBM]" in done.stderr
    assert wine_sweep("check", "wine", "--data", "wine-quality-red", "--json").stdout.startswith("{")


@pytest.fixture
def hostile_model(store, wine_sweep):
    """A model of LightGBM's own format in the stage, whose text would clear the terminal."""
    (store.folder / "c.yaml").write_text(CONFIG.replace("BOOSTING", ""))
    assert wine_sweep("run", "c.yaml", "--quiet").returncode == 0
    table = load_bundled("wine-quality-red").astype(float)
    features, target = table.drop(columns="quality"), table["quality"]
    booster = lightgbm.train({"objective": "quantile", "verbose": -1}, lightgbm.Dataset(features.to_numpy(), target), 2)
    registry = ModelRegistry(store.client)
    before = registry.in_stage("wine", Stage.STAGING)
    mlflow.set_tracking_uri(store.uri)
    with mlflow.start_run(run_id=before.run_id):
        signature = infer_signature(features.head(3), target.head(3))
        requirements = ["lightgbm"]  # else MLflow starts Python again to find them out
        info = mlflow.lightgbm.log_model(booster, name="m", signature=signature, pip_requirements=requirements)
    mlflow.set_tracking_uri(None)
    (path,) = (store.folder / "mlruns").rglob("model.lgb")
    path.write_text(path.read_text().replace("objective=quantile", "objective=quantileX\x1b]0;owned\x07\x1b[2J"))
    version = registry.register("wine", model_uri=info.model_uri, run_id=before.run_id)
    registry.move(version, Stage.STAGING, Entry(Action.PROMOTED, "Staging", "ann", before.version, version.version, ()))


@pytest.mark.usefixtures("hostile_model")
def test_the_text_of_a_registered_model_does_not_reach_the_terminal_raw(wine_sweep):
    for how in ((), ("--json",)):
        done = wine_sweep("check", "wine", "--data", "wine-quality-white", *how)
        assert "quantileX" in done.stderr
        assert "\x1b" not in done.stderr + done.stdout
        assert "\x07" not in done.stderr + done.stdout


def test_a_progress_bar_moves_on_while_output_is_shown(store, wine_sweep):
    (store.folder / "c.yaml").write_text(SEARCHED)
    ours, theirs = pty.openpty()
    command = wine_sweep.command("run", "c.yaml", "--set", "execution.backend=serial")
    environment = {**wine_sweep.environment(), "TERM": "xterm"}
    with subprocess.Popen(
        command, cwd=store.folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=theirs
    ) as process:
        os.close(theirs)
        shown = b""
        try:
            while piece := os.read(ours, 65536):
                shown += piece
        except OSError:  # the terminal's other end is closed
            pass
        os.close(ours)
    assert process.returncode == 0
    assert "\u2501".encode() in shown  # the bar
    assert b"[Fatal] Unknown boosting type gbdx\\x1b[2j" in shown
    assert b"title\x07" not in shown
