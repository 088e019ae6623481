"""Whole sweeps of commands on a real store: what their child runs hold, what failures say, and what is promoted."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap

import mlflow
import pytest

SCRIPT = '''
"""A training script that speaks JSON; `deed` says what it does wrong."""
import json, os, signal, subprocess, sys, time
x, deed = float(sys.argv[1]), sys.argv[2]
print("working on", x)
print("careful", file=sys.stderr)
if deed == "fail":
    sys.exit("the disk is on fire")
if deed == "abort":
    os.kill(os.getpid(), signal.SIGABRT)
if deed == "mumble":
    open(os.environ["WINE_SWEEP_METRICS"], "w").write("rmse is fine")
elif deed == "silent":
    pass
elif deed == "nan":
    json.dump({"rmse": float("nan")}, open(os.environ["WINE_SWEEP_METRICS"], "w"))
elif deed == "orphan":
    child = subprocess.Popen(["sleep", "300"])
    open("orphan.pid", "w").write(str(child.pid))
    json.dump({"rmse": x}, open(os.environ["WINE_SWEEP_METRICS"], "w"))
elif deed == "steps":
    with open(os.environ["WINE_SWEEP_METRICS"], "w") as file:
        for step, value in enumerate([3, 1, 2]):
            print(json.dumps({"step": step, "rmse": value + x}), file=file)
elif deed == "print":
    print(f"final rmse={x:.3f} mae={2 * x}")
else:
    json.dump({"rmse": abs(x - 0.5), "mae": x}, open(os.environ["WINE_SWEEP_METRICS"], "w"))
'''
TRACKED = """
import sys
import mlflow
alpha = float(sys.argv[1])
with mlflow.start_run() as run:
    mlflow.log_param("alpha", alpha)
    mlflow.log_params({"solver": "own", "l1_ratio": sys.argv[2]})
    for step, value in enumerate([3.0, 1.0, 2.0]):
        mlflow.log_metric("rmse", value + alpha, step=step)
    mlflow.log_metric("mae", alpha)
    mlflow.set_tag("team", "red")
    mlflow.log_text("hello", "notes/hello.txt")
    print("in run", run.info.run_id)
"""
CONFIG = """
name: own
experiment: own
model:
  command: [python, train.py, "{{x}}", "{{deed}}"]
search: {{parameters: {{x: {x}, deed: {deed}}}}}
objective: {{metric: rmse}}
execution: {{workers: 2, grace: 5s}}
"""


@pytest.fixture
def folder(store):
    (store.folder / "train.py").write_text(SCRIPT)
    (store.folder / "tracked.py").write_text(TRACKED)
    return store.folder


@pytest.fixture
def sweep(folder, in_process):
    """Run a config's text, and give its JSON and its child runs by trial."""

    def run(text, *arguments, code=0):
        (folder / "c.yaml").write_text(textwrap.dedent(text))
        ended = in_process("run", "c.yaml", "--trust", ".", "--json", "--quiet", *arguments)
        assert ended.returncode == code, ended.stderr
        return json.loads(ended.stdout)

    return run


def children(store, document):
    """Give the child runs by trial, the newest where there are several."""
    experiment = store.client.get_run(document["run_id"]).info.experiment_id
    found = store.client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{document['run_id']}'")
    return {int(run.data.tags["wine_sweep.trial"]): run for run in sorted(found, key=lambda run: run.info.start_time)}


def artifact(store, run, name):
    return open(store.client.download_artifacts(run.info.run_id, name, str(store.folder / "down"))).read()


def names_of(store, run):
    return sorted(each.path for each in store.client.list_artifacts(run.info.run_id))


@pytest.mark.slow
def test_a_program_that_knows_no_mlflow_is_tracked_as_if_it_did(sweep, store):
    document = sweep(CONFIG.format(x=[0.1, 0.4, 0.9], deed=["work"]))
    runs = children(store, document)
    assert [runs[number].data.params for number in range(3)] == [{"x": str(x), "deed": "work"} for x in (0.1, 0.4, 0.9)]
    metrics = runs[1].data.metrics
    assert {name: metrics[name] for name in ("rmse", "mae")} == pytest.approx({"rmse": 0.1, "mae": 0.4})
    assert set(metrics) == {"rmse", "mae", "fit_seconds"}
    assert names_of(store, runs[1]) == ["stderr.txt", "stdout.txt"]
    assert artifact(store, runs[1], "stdout.txt") == "working on 0.4\n"
    assert artifact(store, runs[1], "stderr.txt") == "careful\n"
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    assert document["selection"]["winner"]["trial"] == 1
    assert document["selection"]["reasons"] == [
        "Trial 1 has the lowest rmse: 0.1, of 3 finished trials.",
        "The next, trial 0, is 0.3 worse (0.4).",
    ]
    parent = store.client.get_run(document["run_id"])
    assert parent.data.params["command"] == "python train.py {x} {deed}"
    assert "data" not in parent.data.params
    assert parent.inputs.dataset_inputs == []
    assert list((store.folder).glob("**/metrics.json")) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("deed", "error"),
    [
        ("fail", "CommandFailed: the command ended with exit code 1: the disk is on fire"),
        ("abort", "CommandFailed: the command was ended by SIGABRT"),
        ("mumble", "BadMetrics: metrics.json:1: is neither a JSON object nor one on each line: Expecting value"),
        ("silent", "MissingMetric: the command logged no metric 'rmse' in its run, nor any other"),
        ("nan", "NonFiniteMetric: rmse is nan"),
    ],
)
def test_each_way_to_fail_has_a_message_of_its_own_and_keeps_the_output(sweep, store, deed, error):
    document = sweep(CONFIG.format(x=[0.1], deed=["work", deed]) + "\n")
    run = children(store, document)[1]
    assert run.info.status == "FAILED"
    assert run.data.tags["wine_sweep.error"] == error
    assert run.data.params == {"x": "0.1", "deed": deed}
    assert "stdout.txt" in names_of(store, run)
    assert children(store, document)[0].info.status == "FINISHED"


@pytest.mark.slow
def test_a_trial_that_takes_too_long_is_killed_with_its_children_and_its_output_kept(sweep, store, folder):
    (folder / "train.py").write_text(
        "import subprocess, sys, time\nprint('begun', flush=True)\n"
        "if sys.argv[2] == 'hang':\n"
        "    child = subprocess.Popen(['sleep', '300'])\n    open('child.pid', 'w').write(str(child.pid))\n    time.sleep(300)\n"
        "import json, os\njson.dump({'rmse': 1}, open(os.environ['WINE_SWEEP_METRICS'], 'w'))\n"
    )
    document = sweep(CONFIG.format(x=[0.1], deed=["work", "hang"]), "--set", "execution.trial_timeout=2s")
    run = children(store, document)[1]
    assert run.data.tags["wine_sweep.error"] == "TrialTimeout: took longer than 2s"
    assert artifact(store, run, "stdout.txt") == "begun\n"
    assert not is_alive(int((folder / "child.pid").read_text()))


@pytest.mark.slow
def test_runs_that_a_script_nests_in_its_own_are_closed_with_it(sweep, store, folder):
    (folder / "train.py").write_text(
        "import mlflow, sys, time\n"
        "with mlflow.start_run():\n"
        "    with mlflow.start_run(nested=True), mlflow.start_run(nested=True):\n"
        "        mlflow.log_metric('rmse', 1)\n"
        "        open('begun', 'w').close()\n"
        "        time.sleep(300)\n"
    )
    sweep(CONFIG.format(x=[0.1], deed=["hang"]), "--set", "execution.trial_timeout=20s", code=1)
    assert (folder / "begun").exists()
    experiment = store.client.get_experiment_by_name("own").experiment_id
    runs = store.client.search_runs([experiment])
    assert sorted(run.info.status for run in runs) == ["FAILED", "FAILED", "KILLED", "KILLED"]


def is_alive(pid):
    import psutil

    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_what_a_command_leaves_running_ends_with_it(sweep, folder):
    sweep(CONFIG.format(x=[0.1], deed=["orphan"]))
    assert not is_alive(int((folder / "orphan.pid").read_text()))


@pytest.mark.slow
@pytest.mark.parametrize(("of", "value"), [("last", 2.1), ("min", 1.1), ("max", 3.1)])
def test_of_a_history_the_value_that_is_asked_for_counts(sweep, store, of, value):
    document = sweep(CONFIG.format(x=[0.1], deed=["steps"]), "--set", f"objective={{metric: rmse, of: {of}}}")
    assert document["selection"]["winner"]["mean"] == pytest.approx(value)
    run = children(store, document)[0]
    assert run.data.metrics["rmse"] == pytest.approx(value)
    history = store.client.get_metric_history(run.info.run_id, "report_rmse")
    assert [(each.step, each.value) for each in history] == [(0, 3.1), (1, 1.1), (2, 2.1)]


def test_metrics_are_found_in_what_it_prints(sweep, store):
    pattern = r"rmse=(?P<rmse>\S+) mae=(?P<mae>\S+)"
    document = sweep(CONFIG.format(x=[0.25], deed=["print"]), "--set", f"model.stdout='{pattern}'")
    metrics = children(store, document)[0].data.metrics
    assert (metrics["rmse"], metrics["mae"]) == (0.25, 0.5)


@pytest.mark.slow
def test_a_script_that_logs_to_mlflow_leaves_what_a_run_by_hand_leaves(sweep, store, folder):
    by_hand = {**os.environ, "MLFLOW_TRACKING_URI": store.uri, "MLFLOW_EXPERIMENT_NAME": "own"}
    command = [sys.executable, "tracked.py", "0.5", "0.9"]
    printed = subprocess.run(command, cwd=folder, env=by_hand, capture_output=True, text=True, check=True).stdout
    hand = store.client.get_run(printed.split()[-1])
    document = sweep(
        """
        name: own
        experiment: own
        model: {command: [python, tracked.py, "{alpha}", "{l1_ratio}"]}
        search: {parameters: {alpha: [0.5], l1_ratio: [0.9]}}
        objective: {metric: rmse, of: min}
        """
    )
    run = children(store, document)[0]
    assert run.data.params == hand.data.params
    assert run.data.metrics == hand.data.metrics
    for metric in hand.data.metrics:
        ours, theirs = (store.client.get_metric_history(each.info.run_id, metric) for each in (run, hand))
        assert [(each.step, each.value) for each in ours] == [(each.step, each.value) for each in theirs]
    ours = {name: value for name, value in run.data.tags.items() if not name.startswith("wine_sweep.")}
    assert ours.pop("mlflow.parentRunId") == document["run_id"]
    assert ours.pop("mlflow.runName") == "trial 0000"
    theirs = dict(hand.data.tags)
    theirs.pop("mlflow.runName")
    assert ours == theirs
    assert set(names_of(store, run)) == {*names_of(store, hand), "stdout.txt"}
    assert artifact(store, run, "notes/hello.txt") == "hello"
    assert run.info.experiment_id == hand.info.experiment_id
    assert run.info.status == "FINISHED"
    assert document["selection"]["winner"]["mean"] == 1.5


@pytest.mark.slow
def test_a_missing_metric_is_told_with_those_that_there_are(sweep, store):
    document = sweep(
        """
        name: own
        model: {command: [python, tracked.py, "{alpha}", x]}
        search: {parameters: {alpha: [0.5]}}
        objective: {metric: r2}
        """,
        code=1,
    )
    assert document["error"].endswith("the command logged no metric 'r2' in its run; it logged mae, rmse (trial 0)")


@pytest.mark.slow
@pytest.mark.parametrize("with_model", [True, False])
def test_the_model_that_the_winners_script_has_logged_is_promoted(store, root, in_process, with_model):
    folder = store.folder / "sweeps/elasticnet_script"
    shutil.copytree(root / "sweeps/elasticnet_script", folder)
    script = (folder / "train.py").read_text().replace("Path(__file__).parents[2]", f"Path({str(root)!r})")
    (folder / "train.py").write_text(
        script if with_model else script.replace("mlflow.sklearn.log_model(", "(lambda *given, **named: None)(")
    )
    ended = in_process(
        "run", folder / "sweep.yaml", "--trust", folder, "--json", "--quiet", "--set", "search.parameters.alpha=[0.01, 1]",
        "--set", "search.parameters.l1_ratio=[0.5]",
    )  # fmt: skip
    if not with_model:
        assert ended.returncode == 1
        assert "the command logged no model in the run of trial 0, so there is nothing to promote" in ended.stderr
        return
    assert ended.returncode == 0, ended.stderr
    document = json.loads(ended.stdout)
    runs = children(store, document)
    version = store.client.get_model_version_by_alias("wine-quality-script", "staging")
    assert version.run_id == runs[0].info.run_id
    assert version.current_stage == "Staging"
    (logged,) = store.client.search_logged_models([runs[0].info.experiment_id], f"source_run_id = '{version.run_id}'")
    assert version.source == logged.model_uri
    model = mlflow.pyfunc.load_model("models:/wine-quality-script@staging")
    assert model.metadata.run_id == runs[0].info.run_id
    again = in_process("promote", "latest", "--trust", folder, "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["already_there"]


@pytest.mark.slow
def test_a_second_run_tries_the_same_and_compare_reads_it_back(sweep, in_process):
    text = """
    name: own
    model: {command: [python, train.py, "{x}", work]}
    search: {method: tpe, trials: 6, seed: 3, parameters: {x: {low: 0.0, high: 1.0}}}
    objective: rmse
    execution: {workers: 2}
    """
    first, second = sweep(text), sweep(text)
    assert first["selection"]["winner"]["params"] == second["selection"]["winner"]["params"]
    rows = json.loads(in_process("compare", "latest", "--format", "json").stdout)
    assert len(rows) == 6
    assert "rmse_std" not in rows[0]
    assert rows[0]["rmse"] == second["selection"]["winner"]["mean"]
    assert rows[0]["fit_seconds"] > 0


@pytest.mark.slow
def test_resume_goes_on_where_a_sweep_of_commands_stopped(sweep, in_process, store, folder):
    text = CONFIG.format(x=[0.1, 0.2, 0.3, 0.4], deed=["work"])
    sweep(text, "--set", "search.trials=2")
    ended = in_process("resume", "latest", "--trust", ".", "--trials", "4", "--json", "--quiet")
    assert ended.returncode == 0, ended.stderr
    document = json.loads(ended.stdout)
    assert document["trials"]["finished"] == 4
    assert [document["selection"]["winner"][key] for key in ("trial", "mean")] == [3, pytest.approx(0.1)]
    (folder / "train.py").write_text(SCRIPT + "\n# better\n")
    refused = in_process("resume", "latest", "--trust", ".", "--trials", "6")
    assert refused.returncode == 2
    assert "has changed since the sweep 'own' (the content of train.py)" in refused.stderr


@pytest.mark.slow
def test_verbose_shows_what_trials_print_while_they_run(folder, in_process):
    (folder / "c.yaml").write_text(CONFIG.format(x=[0.1, 0.2], deed=["work"]))
    ended = in_process("run", "c.yaml", "--trust", ".", "--verbose")
    assert ended.returncode == 0, ended.stderr
    for line in ("trial 0000 | working on 0.1", "trial 0001 | working on 0.2", "trial 0000 | careful"):
        assert line in ended.stderr
        assert line not in ended.stdout


@pytest.mark.slow
def test_a_pruner_ends_a_program_that_does_poorly(sweep, store, folder):
    (folder / "slow.py").write_text(
        "import json, os, sys, time\nx = float(sys.argv[1])\nfile = open(os.environ['WINE_SWEEP_METRICS'], 'a')\n"
        "for step in range(12):\n"
        "    print(json.dumps({'step': step, 'rmse': x + 1 / (1 + step)}), file=file, flush=True)\n    time.sleep(0.15)\n"
        "print('done')\n"
    )
    document = sweep(
        """
        name: own
        model: {command: [python, slow.py, "{x}"]}
        search:
          parameters: {x: [1, 2, 3, 50, 60]}
          pruner: {type: median, n_startup_trials: 2}
        objective: rmse
        execution: {workers: 1}
        """
    )
    runs = children(store, document)
    assert document["trials"]["pruned"] == 2 + (runs[2].data.tags["wine_sweep.state"] == "pruned")
    for number in (3, 4):
        assert (runs[number].info.status, runs[number].data.tags["wine_sweep.state"]) == ("KILLED", "pruned")
        assert "rmse" not in runs[number].data.metrics
        assert "report_rmse" in runs[number].data.metrics
        assert "stdout.txt" not in names_of(store, runs[number])
    assert document["selection"]["winner"]["trial"] == 0


@pytest.mark.slow
def test_a_pruner_ends_a_script_by_what_it_logs_to_mlflow(sweep, store, folder):
    (folder / "slow.py").write_text(
        "import sys, time, mlflow\nx = float(sys.argv[1])\n"
        "with mlflow.start_run():\n"
        "    for step in range(20):\n        mlflow.log_metric('rmse', x + 1 / (1 + step), step=step)\n"
        "        time.sleep(0.3 if x > 5 else 0)\n"
    )
    document = sweep(
        """
        name: own
        model: {command: [python, slow.py, "{x}"]}
        search:
          parameters: {x: [1, 2, 50]}
          pruner: {type: median, n_startup_trials: 2}
        objective: rmse
        execution: {workers: 1}
        """
    )
    run = children(store, document)[2]
    assert run.data.tags["wine_sweep.state"] == "pruned"
    assert run.info.status == "KILLED"
    assert 0 < len(store.client.get_metric_history(run.info.run_id, "rmse")) < 20
    assert "report_rmse" not in run.data.metrics


@pytest.mark.slow
def test_a_run_on_a_tracking_server_is_handed_over_too(server, tmp_path, in_process_at):
    (tmp_path / "tracked.py").write_text(TRACKED)
    (tmp_path / "c.yaml").write_text(
        "name: served\nmodel: {command: [python, tracked.py, '{alpha}', '0.5']}\n"
        "search: {parameters: {alpha: [0.5, 1]}}\nobjective: {metric: rmse, of: max}\n"
    )
    ended = in_process_at(tmp_path, server.uri)("run", "c.yaml", "--trust", ".", "--json", "--quiet")
    assert ended.returncode == 0, ended.stderr
    document = json.loads(ended.stdout)
    assert document["selection"]["winner"]["mean"] == 3.5
    run = children(server, document)[0]
    assert run.data.params == {"alpha": "0.5", "solver": "own", "l1_ratio": "0.5"}
    assert names_of(server, run) == ["notes", "stdout.txt"]
    assert artifact(server, run, "stdout.txt").splitlines()[0] == f"in run {run.info.run_id}"


@pytest.mark.quick(1)
@pytest.mark.parametrize("backend", ["serial", "dask"])
def test_commands_run_on_every_backend(sweep, store, backend):
    if backend == "dask":
        pytest.importorskip("distributed", reason="Dask is not installed")
    document = sweep(CONFIG.format(x=[0.1, 0.4], deed=["work", "fail"]), "--set", f"execution={{backend: {backend}}}")
    runs = children(store, document)
    assert [runs[number].info.status for number in range(4)] == ["FINISHED", "FAILED", "FINISHED", "FAILED"]
    assert artifact(store, runs[3], "stdout.txt") == "working on 0.4\n"
    assert runs[2].data.metrics["rmse"] == pytest.approx(0.1)


@pytest.mark.slow
def test_a_password_in_the_stores_address_is_in_nothing_that_is_kept_or_shown(server, tmp_path, in_process_at):
    (tmp_path / "tracked.py").write_text(TRACKED + "if alpha == 1:\n    sys.exit(f'cannot reach http://me:s3cret@{alpha}/x')\n")
    (tmp_path / "c.yaml").write_text(
        "name: secret\nmodel: {command: [python, tracked.py, '{alpha}', '0.5']}\n"
        "search: {parameters: {alpha: [0.5, 1]}}\nobjective: {metric: rmse}\nexecution: {retries: {error: 1}}\n"
    )
    address = server.uri.replace("http://", "http://me:s3cret@")
    ended = in_process_at(tmp_path, address)("run", "c.yaml", "--trust", ".", "--verbose")
    assert ended.returncode == 0, ended.stderr
    assert "cannot reach http://***@1.0/x" in ended.stderr
    (experiment,) = (each for each in server.client.search_experiments() if each.name == "secret")
    runs = server.client.search_runs([experiment.experiment_id])
    assert len(runs) == 4  # the parent run, and a trial that was measured again
    kept = "".join(str(run.to_dictionary()) for run in runs)
    for run in runs:
        folder = tmp_path / run.info.run_id
        folder.mkdir()
        for name in names_of(server, run):
            server.client.download_artifacts(run.info.run_id, name, str(folder))
        kept += "".join(path.read_text() for path in folder.rglob("*") if path.is_file())
    assert "in run" in kept
    assert "s3cret" not in kept + ended.stdout + ended.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("mlflow.set_experiment('another')", "give the config the same `experiment`"),
        ("mlflow.set_tracking_uri('sqlite:///elsewhere.db')", "have it use MLFLOW_TRACKING_URI"),
    ],
)
def test_a_script_that_goes_elsewhere_is_told_what_to_do(sweep, folder, line, hint):
    (folder / "tracked.py").write_text(TRACKED.replace("alpha = float", f"{line}\nalpha = float", 1))
    document = sweep(
        "name: own\nmodel: {command: [python, tracked.py, '{alpha}', x]}\n"
        "search: {parameters: {alpha: [0.5]}}\nobjective: rmse\n",
        code=1,
    )
    assert hint in document["error"]


@pytest.mark.slow
def test_the_time_that_counts_is_the_processs_own_after_the_sweep_too(sweep, folder, in_process):
    (folder / "timed.py").write_text(
        "import sys, time, mlflow\nx = float(sys.argv[1])\ntime.sleep(x)\n"
        "with mlflow.start_run():\n    mlflow.log_metrics({'loss': 1.0, 'fit_seconds': 100 - x})\n"
    )
    document = sweep(
        """
        name: own
        model: {command: [python, timed.py, "{x}"]}
        search: {parameters: {x: [5, 0]}}
        objective: fit_seconds
        execution: {workers: 1}
        """
    )
    assert document["selection"]["winner"]["trial"] == 1
    rows = json.loads(in_process("compare", "latest", "--format", "json").stdout)
    assert [(row["trial"], row["best"]) for row in rows] == [(1, True), (0, False)]
    assert rows[0]["fit_seconds"] == document["selection"]["winner"]["mean"]


@pytest.mark.slow
def test_a_file_that_the_program_writes_does_not_keep_a_sweep_from_going_on(sweep, in_process, folder):
    (folder / "out.log").write_text("")
    (folder / "train.py").write_text(SCRIPT + "\nopen(sys.argv[3], 'a').write('x')\n")
    text = CONFIG.format(x=[0.1, 0.2, 0.3], deed=["work"]).replace('"{deed}"', '"{deed}", out.log')
    sweep(text, "--set", "search.trials=2")
    ended = in_process("resume", "latest", "--trust", ".", "--trials", "3", "--json", "--quiet")
    assert ended.returncode == 0, ended.stderr


def test_a_second_attempt_is_shown_too(folder, in_process):
    (folder / "train.py").write_text(
        "import os, sys\nfirst = not os.path.exists('seen')\nopen('seen', 'w')\n"
        "print('attempt one' if first else 'attempt two, which is longer than the first')\nsys.exit(first)\n"
    )
    (folder / "c.yaml").write_text(CONFIG.format(x=[0.1], deed=["work"]) + "\n")
    ended = in_process("run", "c.yaml", "--trust", ".", "--verbose", "--set", "execution.retries={error: 1}")
    for line in ("trial 0000 | attempt one", "trial 0000 | attempt two, which is longer than the first"):
        assert line in ended.stderr
