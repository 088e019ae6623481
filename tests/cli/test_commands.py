"""Commands as a user types them: exit codes, stdout, stderr, and what stands in MLflow afterwards."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

SMALL = """
name: small
experiment: trials
data: {source: wine-quality-red}
model: {estimator: sklearn.linear_model.Ridge}
search: {parameters: {alpha: [0.1, 1, 10], positive: [false, true]}}
execution: {backend: serial}
registry: {name: small-model}
"""
SLOW = """
name: slow
data: {source: wine-quality-red}
model: {estimator: sklearn.ensemble.RandomForestRegressor, params: {n_estimators: 200}}
search: {parameters: {max_depth: [4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25]}}
execution: {workers: 2}
registry: {name: slow-model}
"""


@pytest.fixture(scope="module")
def swept(in_process_at, migrated, tmp_path_factory):
    """One small sweep that several tests only read."""
    folder = tmp_path_factory.mktemp("swept")
    shutil.copy(migrated, folder / "mlflow.db")
    (folder / "small.yaml").write_text(SMALL)
    run = in_process_at(folder, f"sqlite:///{folder / 'mlflow.db'}")
    document = run("run", "small.yaml", "--json")
    assert document.returncode == 0, document.stderr
    return run, json.loads(document.stdout)


def test_json_on_stdout_is_one_document_that_tells_the_result(swept):
    _, document = swept
    assert document["name"] == "small"
    assert document["trials"]["finished"] == 6
    assert document["promotion"]["version"] == "1"
    assert document["promotion"]["stage"] == "Staging"
    assert set(document["test_scores"]) == {"rmse", "mae", "r2"}


@pytest.mark.parametrize("how", [lambda run_id: run_id, lambda run_id: run_id[:6], lambda _: "small", lambda _: "latest"])
def test_compare_takes_id_prefix_name_and_latest(swept, how):
    run, document = swept
    result = run("compare", how(document["run_id"]), "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert len(rows) == 6
    assert rows[0]["best"] == "True"
    assert [float(row["rmse"]) for row in rows] == sorted(float(row["rmse"]) for row in rows)


def test_compare_shows_the_best_first_in_80_columns(swept):
    run, _ = swept
    result = run("compare", "latest", "--top", "3")
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["trial", "alpha", "positive", "rmse", "mae", "r2"]
    assert " * " in lines[1]
    assert len(lines) == 4


def test_compare_sorts_by_another_metric(swept):
    run, _ = swept
    rows = json.loads(run("compare", "latest", "--sort", "r2", "--format", "json").stdout)
    assert [row["r2"] for row in rows] == sorted((row["r2"] for row in rows), reverse=True)
    markdown = run("compare", "latest", "--format", "markdown", "--top", "1").stdout
    assert markdown.count("\n") == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["compare", "nosuch"], "there is no sweep 'nosuch'; the newest are: "),
        (["compare", "abcdef"], "there is no sweep 'abcdef'"),
        (["compare", "latest", "--sort", "rsme"], "no trial has the metric 'rsme'; did you mean 'rmse'?"),
        (["compare", "latest", "--experiment", "trails"], "there is no experiment 'trails'; there are: "),
        (["promote", "latest", "--run", "nosuch"], "no trials of this sweep have a run id that begins with 'nosuch'"),
        (["promote", "latest", "--stage", "stging"], "no stage 'stging'; did you mean 'Staging'?"),
        (["run", "nosuch.yaml"], "nosuch.yaml: cannot be read: No such file or directory"),
        (["run", "small.yaml", "--set", "search.trials"], "expected key.path=value"),
        (
            ["run", "small.yaml", "--set", "search.trails=3"],
            "--set search.trails=3: search.trails: unknown key; did you mean 'trials'?",
        ),
        (["run"], "Missing argument"),
        (["rnu"], "No such command"),
    ],
)
def test_what_the_user_got_wrong_is_said_with_exit_2_and_no_traceback(swept, arguments, message):
    run, _ = swept
    result = run(*arguments)
    assert result.returncode == 2
    assert message in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


def test_list_shows_the_sweep(swept):
    run, document = swept
    text = run("list").stdout
    assert document["run_id"][:8] in text
    assert "6/6" in text
    (entry,) = json.loads(run("list", "--json").stdout)
    assert entry["status"] == "FINISHED"
    assert entry["best"] == document["selection"]["winner"]["mean"]
    assert run("list", "--experiment", "trials").returncode == 0


def test_a_dry_run_of_promote_changes_nothing(swept):
    run, _ = swept
    result = run("promote", "latest", "--stage", "production", "--dry-run", "--json")
    assert json.loads(result.stdout)["dry_run"] is True
    from mlflow import MlflowClient

    (version,) = MlflowClient(run.uri).search_model_versions("name = 'small-model'")
    assert version.current_stage == "Staging"


def test_promote_twice_is_once_and_another_trial_takes_its_place(in_process, store):
    (store.folder / "small.yaml").write_text(SMALL)
    assert in_process("run", "small.yaml", "--no-promote", "--quiet").returncode == 0
    assert store.client.search_registered_models() == []
    first = in_process("promote", "latest")
    again = in_process("promote", "latest")
    assert "Now version 1 of small-model in Staging" in first.stdout
    assert "It is there already: version 1 of small-model in Staging." in " ".join(again.stdout.split())
    assert len(store.client.search_model_versions("name = 'small-model'")) == 1
    rows = json.loads(in_process("compare", "latest", "--format", "json").stdout)
    assert in_process("promote", "latest", "--run", rows[-1]["run_id"]).returncode == 3
    other = in_process("promote", "latest", "--run", rows[-1]["run_id"], "--force", "--json")
    record = json.loads(other.stdout)
    assert (record["version"], record["archived_versions"]) == ("2", ["1"])
    stages = {int(each.version): each.current_stage for each in store.client.search_model_versions("name = 'small-model'")}
    assert stages == {1: "Archived", 2: "Staging"}
    assert int(store.client.get_model_version_by_alias("small-model", "staging").version) == 2


def test_a_version_that_moves_on_takes_its_alias_with_it(in_process, store):
    (store.folder / "small.yaml").write_text(SMALL)
    assert in_process("run", "small.yaml", "--quiet").returncode == 0
    assert in_process("promote", "latest", "--stage", "production").returncode == 0
    (version,) = store.client.search_model_versions("name = 'small-model'")
    assert version.current_stage == "Production"
    assert store.client.get_registered_model("small-model").aliases == {"production": version.version}


def test_promotion_of_changed_data_is_refused(in_process, store):
    table = store.folder / "own.csv"
    table.write_text("x,y\n" + "\n".join(f"{n},{n * 2 + n % 3}" for n in range(60)))
    (store.folder / "own.yaml").write_text(SMALL.replace("wine-quality-red", "own.csv, target: y"))
    assert in_process("run", "own.yaml", "--no-promote").returncode == 0
    table.write_text(table.read_text() + "\n60,7")
    result = in_process("promote", "latest")
    assert result.returncode == 2
    assert "own.csv has changed since the sweep 'small'" in result.stderr


def test_all_trials_failed_is_exit_1_with_the_reasons_once(in_process, store):
    (store.folder / "bad.py").write_text('def train(params, context):\n    raise ValueError("no luck")\n')
    model = "model: {function: bad.py:train}\nobjective: {metric: loss, direction: minimize}"
    (store.folder / "bad.yaml").write_text(SMALL.replace("model: {estimator: sklearn.linear_model.Ridge}", model))
    result = in_process("run", "bad.yaml", "--trust", ".")
    assert result.returncode == 1
    assert result.stderr.count("ValueError") == 1
    assert "none of 6 trials finished" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_server_that_is_not_there_is_exit_1(in_process, store):
    (store.folder / "small.yaml").write_text(SMALL)
    result = in_process("run", "small.yaml", "--tracking-uri", "http://user:hidden@127.0.0.1:9")
    assert result.returncode == 1
    assert "no tracking server answers at http://***@127.0.0.1:9" in result.stderr
    assert "hidden" not in result.stdout + result.stderr


def started(wine_sweep, *arguments) -> subprocess.Popen[str]:
    return subprocess.Popen(
        wine_sweep.command(*arguments),
        cwd=wine_sweep.folder,
        env=wine_sweep.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )


def wait_for_finished_trials(store, count: int) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        experiment = store.client.get_experiment_by_name("slow")
        found = store.client.search_runs([experiment.experiment_id], "attributes.status = 'FINISHED'") if experiment else []
        if len(found) >= count:
            return
        time.sleep(0.2)
    raise AssertionError("no trial finished in time")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "to_group"), [(signal.SIGINT, True), (signal.SIGINT, False), (signal.SIGTERM, True), (signal.SIGTERM, False)]
)
def test_a_signal_ends_every_run_as_killed_and_names_the_command_that_resumes(wine_sweep, store, number, to_group):
    (store.folder / "slow.yaml").write_text(SLOW)
    process = started(wine_sweep, "run", "slow.yaml")
    wait_for_finished_trials(store, 2)
    (os.killpg if to_group else os.kill)(process.pid, number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
    experiment = store.client.get_experiment_by_name("slow")
    runs = store.client.search_runs([experiment.experiment_id])
    parent = next(run for run in runs if "mlflow.parentRunId" not in run.data.tags)
    assert parent.info.status == "KILLED"
    statuses = [run.info.status for run in runs if run is not parent]
    assert set(statuses) <= {"FINISHED", "KILLED"}
    assert statuses.count("FINISHED") >= 2
    assert f"wine-sweep resume {parent.info.run_id}" in errors
    assert store.client.search_registered_models() == []


@pytest.mark.slow
def test_a_killed_worker_costs_one_trial_and_the_sweep_goes_on(wine_sweep, store):
    (store.folder / "slow.yaml").write_text(SLOW.replace(", 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25", ""))
    process = started(wine_sweep, "run", "slow.yaml", "--json", "--set", "execution.retries=0")
    wait_for_finished_trials(store, 1)
    os.kill(busiest_descendant(process.pid), signal.SIGKILL)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    document = json.loads(output)
    assert document["trials"]["failed"] == 1
    assert document["failures"][0]["failure"].startswith("WorkerDied: the worker process was ended by SIGKILL")
    assert document["promotion"]["version"] == "1"


def busiest_descendant(root: int) -> int:
    """The process below `root` that has used most processor time: a worker that is measuring a trial.

    The server that workers are forked from has used much too, for the libraries that it loads; it has children of its own.
    """
    children: dict[int, list[int]] = {}
    spent: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            children.setdefault(int(fields[1]), []).append(int(folder.name))
            spent[int(folder.name)] = int(fields[11]) + int(fields[12])
    below, waiting = [], [root]
    while waiting:
        found = children.get(waiting.pop(), [])
        below += found
        waiting += found
    return max((process for process in below if process not in children), key=lambda pid: spent[pid])


@pytest.mark.slow
def test_on_a_server_stdout_is_json_and_no_run_holds_the_password(server, command_line, tmp_path):
    (tmp_path / "small.yaml").write_text(SMALL.replace("small-model", "server-model").replace("trials", "on-server"))
    address = server.uri.replace("http://", "http://me:hidden@")
    result = command_line(tmp_path, server.uri)("run", "small.yaml", "--json", "--tracking-uri", address)
    assert result.returncode == 0, result.stderr
    document = json.loads(result.stdout)
    assert "hidden" not in result.stdout + result.stderr
    experiment = server.client.get_experiment_by_name("on-server")
    runs = server.client.search_runs([experiment.experiment_id])
    assert len(runs) == 7
    assert not [run.info.run_id for run in runs if "hidden" in str(run.to_dictionary())]
    assert server.client.get_run(document["run_id"]).data.tags["mlflow.source.name"].endswith("http://***@" + server.uri[7:])


@pytest.mark.slow
def test_a_name_that_looks_like_markup_is_only_a_name(in_process, store):
    (store.folder / "odd.yaml").write_text(SMALL.replace("name: small\n", "name: 'mixed [/b] [red]x'\n"))
    result = in_process("run", "odd.yaml")
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("mixed [/b] [red]x  minimize rmse")
    assert "mixed [/b] [red]x" in in_process("list").stdout
    assert "mixed [/b] [red]x" in in_process("plan", "odd.yaml").stdout


@pytest.mark.slow
def test_a_model_is_not_taken_out_of_production_by_the_way(in_process, store):
    (store.folder / "small.yaml").write_text(SMALL)
    assert in_process("run", "small.yaml", "--quiet").returncode == 0
    assert in_process("promote", "latest", "--stage", "production").returncode == 0
    for extra in ([], ["--dry-run"]):
        refused = in_process("promote", "latest", *extra)
        assert refused.returncode == 2
        assert "this model is in Production" in refused.stderr
    assert store.client.get_model_version_by_alias("small-model", "production").current_stage == "Production"
    assert in_process("promote", "latest", "--force").returncode == 0
    assert set(store.client.get_registered_model("small-model").aliases) == {"staging"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--name", "it's"], "--name: a registered model's name holds none of"),
        (["--name", ""], "--name: must not be empty"),
        (["--run", ""], "no trials of this sweep have a run id that begins with ''"),
    ],
)
def test_promote_refuses_names_that_cannot_be(swept, arguments, message):
    run, _ = swept
    result = run("promote", "latest", "--dry-run", *arguments)
    assert result.returncode == 2
    assert message in result.stderr


def test_reading_where_there_is_no_store_makes_none(tmp_path, in_process_at):
    for arguments in (["list"], ["compare", "latest"], ["promote", "latest"], ["ui"]):
        result = in_process_at(tmp_path, f"sqlite:///{tmp_path / 'none.db'}")(*arguments)
        assert result.returncode == 2
        assert "there is no store at sqlite:///" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_help_names_every_command(wine_sweep):
    result = wine_sweep("--help")
    assert result.returncode == 0
    for name in ("run", "plan", "list", "compare", "promote", "ui", "schema"):
        assert f" {name} " in result.stdout


@pytest.mark.slow
def test_help_takes_less_than_a_fifth_of_mlflows_import(wine_sweep):
    """The quickest of several, in turn: both are slowed by the same neighbours."""

    def seconds(command: list[str]) -> float:
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        return time.perf_counter() - began

    pairs = [(seconds(wine_sweep.command("--help")), seconds([sys.executable, "-c", "import mlflow"])) for _ in range(4)]
    assert min(ours for ours, _ in pairs) < min(theirs for _, theirs in pairs) / 5


def test_plan_shows_the_number_of_trials_the_first_and_the_promotion_without_a_store(tmp_path, in_process_at, root):
    result = in_process_at(tmp_path, "sqlite:///nothing.db")("plan", root / "configs/grid.yaml", root / "configs/optuna.yaml")
    assert result.returncode == 0
    assert "28 by grid" in result.stdout
    assert "30 by tpe" in result.stdout
    assert "alpha 0.001, l1_ratio 0.1" in result.stdout
    assert "wine-quality to Staging, alias staging" in result.stdout
    assert "better than what is there in rmse, with a confidence of 0.95, on new rows" in " ".join(result.stdout.split())
    assert list(tmp_path.iterdir()) == []


def test_plan_reports_the_problems_of_all_configs(tmp_path, in_process_at):
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text(SMALL.replace("alpha", "alhpa"))
    result = in_process_at(tmp_path, "sqlite:///nothing.db")("plan", "one.yaml", "two.yaml")
    assert result.returncode == 2
    expected = "search.parameters.alhpa: Ridge has no parameter 'alhpa'; did you mean 'alpha'?"
    assert result.stderr.splitlines() == [f"{name}.yaml:6:23: {expected}" for name in ("one", "two")]


def test_schema_is_a_json_schema_that_names_the_keys(in_process):
    schema = json.loads(in_process("schema").stdout)
    assert set(schema["required"]) == {"search"}
    assert {"$ref": "#/$defs/DataConfig"} in schema["properties"]["data"]["anyOf"]


def test_json_is_one_document_on_failure_too(in_process, store):
    (store.folder / "bad.yaml").write_text("data: 3")
    result = in_process("run", "bad.yaml", "--json")
    assert result.returncode == 2
    assert json.loads(result.stdout)["exit_code"] == 2


@pytest.mark.slow
def test_ui_serves_the_store_and_says_where(wine_sweep, store):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = started(wine_sweep, "ui", "--port", port)
    try:
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as answer:
                    assert answer.status == 200
                    break
            except OSError:
                time.sleep(0.3)
        else:
            raise AssertionError("the UI did not answer")
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        _, errors = process.communicate(timeout=30)
    assert f"http://127.0.0.1:{port}" in errors


def test_ui_refuses_a_taken_port_and_a_missing_store(in_process, store):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        result = in_process("ui", "--port", taken.getsockname()[1])
    assert result.returncode == 1
    assert "cannot be listened on" in result.stderr
    missing = in_process("ui", "--tracking-uri", "sqlite:///nowhere.db")
    assert missing.returncode == 2
    assert not (store.folder / "nowhere.db").exists()


def test_plan_says_how_many_folds_there_are_where_the_table_decides(in_process, store):
    rows = "".join(f"{row},{row % 7},{row % 5}\n" for row in range(60))
    (store.folder / "sites.csv").write_text("a,site,y\n" + rows)
    config = {
        "data": {"source": "sites.csv", "target": "y"},
        "model": {"estimator": "sklearn.linear_model.Ridge"},
        "search": {"parameters": {"alpha": [1]}},
        "evaluation": {"cv": {"leave_one_group_out": "site"}},
    }
    (store.folder / "sites.yaml").write_text(json.dumps(config))
    said = " ".join(in_process("plan", "sites.yaml").stdout.split())
    assert "measured rmse, mae, r2 over folds of one site, 5 in all" in said
    assert "groups rows with the same site stay on one side of every split" in said


def test_plan_says_what_stays_together_and_what_weighs(in_process, root):
    result = in_process("plan", root / "configs/groups-and-weights.yaml")
    assert result.returncode == 0, result.stderr
    assert "rows with the same batch stay on one side of every split" in result.stdout
    assert "rows count by readings, in fitting and in measuring" in result.stdout
    (plan,) = json.loads(in_process("plan", root / "configs/groups-and-weights.yaml", "--json").stdout)
    assert (plan["data"]["groups"], plan["data"]["weights"]) == ("batch", "readings")
    (plain,) = json.loads(in_process("plan", root / "configs/grid.yaml", "--json").stdout)
    assert (plain["data"]["groups"], plain["data"]["weights"]) == (None, None)


def test_list_closes_nothing_but_what_is_lost(in_process):
    ended = in_process("list", "--close")
    assert ended.returncode == 2
    assert ended.stderr == "--close: ends what is lost, and nothing else; say `--lost --close`\n"
    assert json.loads(in_process("list", "--lost", "--close", "--json").stdout) == []


def test_a_lost_check_is_listed_with_the_command_that_closes_it(in_process, store):
    tags = {"wine_sweep.kind": "check", "wine_sweep.registered_model": "m"}
    run_id = store.client.create_run("0", start_time=1_000_000, tags=tags, run_name="check m v1").info.run_id
    for arguments in ((), ("--lost",)):
        listed = in_process("list", *arguments).stdout
        assert f"{run_id[:8]}  check m v1  Default     LOST" in listed
        assert "`wine-sweep list --lost --close` ends it in MLflow" in listed
    (found,) = json.loads(in_process("list", "--lost", "--close", "--json").stdout)
    assert (found["run_id"], found["kind"], found["status"], found["closed"]) == (run_id, "check", "KILLED", True)
    assert store.client.get_run(run_id).info.status == "KILLED"
    assert in_process("list", "--lost").stdout == "Nothing is lost here.\n"


LONG = "x" * 501
TINY = "data: {source: wine-quality-red}\nmodel: {estimator: sklearn.linear_model.Ridge}\nsearch: {parameters: {alpha: [1]}}\n"


@pytest.mark.parametrize(
    ("command", "source"),
    [
        *((command, "--experiment") for command in ("plan", "run", "refresh", "check", "list")),
        *((command, source) for command in ("plan", "run") for source in ("MLFLOW_EXPERIMENT_NAME", "config")),
    ],
)
def test_an_experiments_name_that_mlflow_would_refuse_is_refused_before_anything_runs(
    command, source, in_process, store, monkeypatch
):
    monkeypatch.setattr("wine_sweep.sweep.run.Persistence.begin", lambda *_, **__: pytest.fail("it would run"))
    (store.folder / "s.yaml").write_text(TINY + (f"experiment: {LONG}\n" if source == "config" else ""))
    if source == "MLFLOW_EXPERIMENT_NAME":
        monkeypatch.setenv(source, LONG)
    arguments = {"refresh": ["s.yaml", "--data", "x.csv"], "check": ["m", "--data", "x.csv"], "list": []}.get(command, ["s.yaml"])
    done = in_process(command, *arguments, *(["--experiment", LONG] if source == "--experiment" else []))
    assert done.returncode == 2
    told = "s.yaml:4:13: experiment: " if source == "config" else f"{source}: an experiment's name has 500 characters at most; "
    assert done.stderr.startswith(told)
    assert len(done.stderr.splitlines()) == 1
