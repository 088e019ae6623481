"""Text of a stranger's: it reaches a terminal and reports with its control characters shown, and forges no line of them."""

import csv
import io
import json
import os
import pty
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from mlflow import MlflowClient

EVIL = "a\x1b]0;owned\x07\x9b31m\u202eb\u2066c\x7fd\re\u2028f\u200b\tg\nerror: forged"
NAMED = EVIL.replace("\n", "\x85")  # where a name of MLflow's, or of a column, holds no line break
RAW = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff]")
STYLES = re.compile(r"\x1b\[[0-9;]*m")

SCRIPT = """
import warnings

EVIL = {evil!r}

def train(params, context):
    print(EVIL)
    warnings.warn(EVIL)
    if params["mode"] == "bad":
        raise ValueError(EVIL)
    return {{"rmse": float(len(params["mode"]))}}
"""


def is_clean(*texts):
    for text in texts:
        found = RAW.search(text)
        assert found is None, repr(text[max(0, found.start() - 60) : found.start() + 20])
        assert "error: forged" not in [line.strip() for line in text.splitlines()]


def dumped(tree):
    return json.dumps(tree)  # JSON is YAML


@pytest.fixture(scope="module")
def swept(in_process_at, migrated, tmp_path_factory):
    """A store and a config whose every text is hostile; a sweep of both."""
    folder = tmp_path_factory.mktemp("hostile")
    shutil.copy(migrated, folder / "mlflow.db")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    (folder / "f.py").write_text(SCRIPT.format(evil=EVIL))
    tree = {
        "name": EVIL,
        "experiment": NAMED,
        "model": {"function": "f.py:train", "params": {"note": EVIL}},
        "objective": {"metric": "rmse", "direction": "minimize"},
        "search": {"parameters": {"mode": [EVIL, "bad", "=cmd()"]}},
    }
    (folder / "s.yaml").write_text(dumped(tree))
    run = in_process_at(folder, uri)
    done = run("run", "s.yaml", "--trust", ".", "--verbose", "--workers", "1")
    assert done.returncode == 0, done.stderr
    return run, done, MlflowClient(uri), folder, uri


def test_a_sweep_of_hostile_texts_says_them_as_escapes(swept):
    run, done, *_ = swept
    is_clean(done.stdout, done.stderr)
    assert r"a\x1b]0;owned\x07\x9b31m\u202eb" in done.stdout
    assert r"trial 0000 | a\x1b]0;owned" in done.stderr
    plan = run("plan", "s.yaml", "--trust", ".")
    assert plan.returncode == 0
    is_clean(plan.stdout, plan.stderr)


@pytest.mark.quick(8)
@pytest.mark.parametrize(
    "arguments",
    [
        ["list"],
        ["list", "--json"],
        ["plan", "s.yaml", "--trust", ".", "--json"],
        *(["compare", "latest", "--format", form] for form in ("table", "csv", "json", "markdown")),
        ["compare", "latest", "--sort", EVIL],
        ["resume", "latest", "--trust", "."],
        ["resume", "latest", "--trust", ".", "--json"],
        ["resume", "latest"],
        ["promote", "latest", "--name", "m", "--dry-run", "--trust", "."],
        ["compare", EVIL],
        ["list", "--experiment", EVIL],
        ["history", EVIL],
        ["reproduce", EVIL],
        ["plan", EVIL],
        ["plan", "s.yaml", "--set", f"data.{EVIL}=1"],
        ["plan", "s.yaml", "--trust", EVIL],
    ],
    ids=lambda arguments: " ".join(arguments).encode("ascii", "replace").decode()[:40],
)
def test_no_command_lets_control_characters_out(arguments, swept):
    run, *_ = swept
    done = run(*arguments)
    assert done.stdout or done.stderr
    assert "Traceback" not in done.stderr
    is_clean(done.stdout, done.stderr)


def test_json_reads_back_as_the_values_themselves(swept):
    run, *_ = swept
    trials = json.loads(run("compare", "latest", "--format", "json").stdout)
    assert {trial["mode"] for trial in trials} == {EVIL, "bad", "=cmd()"}
    assert json.loads(run("list", "--json").stdout)[0]["name"] == EVIL


def test_a_spreadsheet_runs_no_cell_of_the_trials(swept):
    run, _, client, *_ = swept
    printed = run("compare", "latest", "--format", "csv").stdout
    sweep = json.loads(run("list", "--json").stdout)[0]["run_id"]
    kept = Path(client.download_artifacts(sweep, "trials.csv")).read_text(encoding="utf-8")
    for text in (printed, kept):
        modes = [row["mode"] for row in csv.DictReader(io.StringIO(text))]
        assert "'=cmd()" in modes
        assert "=cmd()" not in modes
    note = client.get_run(sweep).data.tags["mlflow.note.content"]
    is_clean(note)


def test_what_others_wrote_into_the_store_is_shown_as_escapes(swept):
    run, _, client, *_ = swept
    sweep = json.loads(run("list", "--json").stdout)[0]["run_id"]
    client.set_tag(sweep, "mlflow.runName", "\x1b[2J\x1b]8;;http://x\x07[red]:smile:\nerror: forged")
    listed = run("list")
    is_clean(listed.stdout)
    assert r"\x1b[2J\x1b]8;;http://x\x07[red]:smile:\nerror: forged" in listed.stdout


@pytest.mark.slow
def test_on_a_terminal_nothing_but_our_own_styles_comes_out(swept, command_line):
    *_, folder, uri = swept
    line = command_line(folder, uri)
    main, terminal = pty.openpty()
    process = subprocess.Popen(
        line.command("compare", "latest"), cwd=folder, env=line.environment() | {"TERM": "xterm-256color"},
        stdin=subprocess.DEVNULL, stdout=terminal, stderr=terminal,
    )  # fmt: skip
    os.close(terminal)
    output = b""
    while True:
        try:
            piece = os.read(main, 65536)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        output += piece
    os.close(main)
    assert process.wait() == 0
    text = output.decode()
    assert "\x1b[1" in text, "the winner is bold"
    is_clean(STYLES.sub("", text).replace("\r\n", "\n"))


@pytest.mark.slow
def test_columns_of_a_table_cannot_write_to_the_terminal_or_forge_lines(in_process, store):
    names = [f"=x{NAMED}", "$\\frac{$", "[link=http://x]y[/link]", "@z|`*_<b>"]
    rows = io.StringIO()
    writer = csv.writer(rows)
    writer.writerow([*names, NAMED])
    writer.writerows([index % 7, index % 5, index % 3, index * 0.5, index * 0.5 + index % 7] for index in range(300))
    (store.folder / "t.csv").write_text(rows.getvalue())
    moved = "\n".join(
        [rows.getvalue().split("\n")[0], *(f"{index % 7 + 9},{index % 5 + 9},9,{index},{index}" for index in range(60))]
    )
    (store.folder / "new.csv").write_text(moved)
    tree = {
        "data": {"source": "t.csv", "target": NAMED},
        "model": {"estimator": "sklearn.linear_model.Ridge"},
        "search": {"parameters": {"alpha": [0.1]}},
        "evaluation": {"cv": 2},
        "registry": {"name": "m"},
    }
    (store.folder / "e.yaml").write_text(dumped(tree))
    for arguments in (["plan", "e.yaml"], ["run", "e.yaml"], ["history", "m"], ["check", "m", "--data", "new.csv"]):
        done = in_process(*arguments)
        assert done.returncode in (0, 3), done.stderr
        is_clean(done.stdout, done.stderr)
    assert "=x" in done.stdout
    check = re.search(r"The check is run (\w+)", done.stdout)[1]
    drift = Path(store.client.download_artifacts(check, "drift.csv")).read_text(encoding="utf-8")
    columns = [row["column"] for row in csv.DictReader(io.StringIO(drift))]
    assert any(column.startswith("'=x") for column in columns)
    assert any(column.startswith("'@z") for column in columns)
    tree["data"]["target"] = "no"
    (store.folder / "e.yaml").write_text(dumped(tree))
    refused = in_process("plan", "e.yaml")
    assert refused.returncode == 2
    is_clean(refused.stderr)
