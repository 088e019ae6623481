"""What an older version wrote is read, resumed, promoted, checked, rolled back and reproduced as it was by that version."""

from __future__ import annotations

import gzip
import json
import math
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from tests.golden.make import ROOT, relocate

STORE = Path(__file__).parent / "store"
EXPECTED = json.loads((STORE / "expected.json").read_text(encoding="utf-8"))
SWEEPS = ("golden-grid", "golden-tpe", "golden-command", "golden-brute-force", "golden-regret")
ANEW = frozenset({"fit_seconds", "started", "ended", "when", "since", "as_of", "seconds", "total_seconds"})
"""What differs each time that something is done."""
MADE = frozenset({"run_id", "sweep_run_id"})
"""The ids of runs that are made by the command itself."""


def test_the_store_is_small():
    assert sum(path.stat().st_size for path in STORE.rglob("*")) <= 2_000_000


@pytest.fixture(scope="module")
def current(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store's database with the tables of the MLflow that is here."""
    path = tmp_path_factory.mktemp("golden") / "mlflow.db"
    with gzip.open(STORE / "mlflow.db.gz", "rb") as packed, path.open("wb") as plain:
        shutil.copyfileobj(packed, plain)
    done = subprocess.run(
        [sys.executable, "-m", "mlflow", "db", "upgrade", f"sqlite:///{path}"], capture_output=True, text=True, check=False
    )
    if "Can't locate revision" in done.stderr:
        pytest.skip("the MLflow that is here is older than the store")
    assert done.returncode == 0, done.stderr
    return path


@pytest.fixture
def golden(current: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the store, on the machine that wrote it."""
    folder = tmp_path / "golden"
    shutil.copytree(STORE, folder, ignore=shutil.ignore_patterns("*.gz", "expected.json"))
    shutil.copy(current, folder / "mlflow.db")
    relocate(folder, ROOT, str(folder))
    folder.joinpath("state", "wine-sweep").chmod(0o700)  # git keeps no such modes
    for journal in folder.glob("state/wine-sweep/journals/*"):
        journal.chmod(0o600)
    monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
    return folder


@pytest.fixture
def printed(golden: Path, in_process_at):
    """Run a command in this process, and give the JSON that it prints."""

    def run(*arguments: str, code: int = 0, as_json: tuple[str, ...] = ("--json",)) -> Any:
        done = in_process_at(golden, f"sqlite:///{golden / 'mlflow.db'}")(*arguments, *as_json)
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        return json.loads(done.stdout)

    return run


def difference(expected: Any, got: Any, *, without: frozenset[str], path: str = "") -> str | None:
    """Say where something differs from what an older version printed; more keys than that had do no harm."""
    if isinstance(expected, dict) and isinstance(got, dict):
        found = (
            difference(value, got[key], without=without, path=f"{path}.{key}") if key in got else f"{path}.{key} is missing"
            for key, value in expected.items()
            if key not in without
        )
        return next(filter(None, found), None)
    if isinstance(expected, list) and isinstance(got, list) and len(expected) == len(got):
        pairs = enumerate(zip(expected, got, strict=True))
        found = (difference(then, now, without=without, path=f"{path}[{index}]") for index, (then, now) in pairs)
        return next(filter(None, found), None)
    if isinstance(expected, float) and isinstance(got, float):
        same = math.isclose(expected, got, rel_tol=1e-9, abs_tol=1e-12)
    else:
        same = expected == got
    return None if same else f"{path}: {expected!r} then, {got!r} now"


def test_a_difference_is_found():
    then = {"a": [1.0, {"b": "x"}], "c": None}
    assert difference(then, {"a": [1.0 + 1e-12, {"b": "x"}], "c": None, "d": 1}, without=frozenset()) is None
    assert difference(then, {"a": [1.1, {"b": "x"}], "c": None}, without=frozenset()) == ".a[0]: 1.0 then, 1.1 now"
    assert difference(then, {"a": [1.0, {"b": "x"}]}, without=frozenset()) == ".c is missing"
    assert difference(then, {"a": [1.0], "c": None}, without=frozenset()) is not None


def test_the_sweeps_are_listed(printed):
    assert difference(EXPECTED["list"], printed("list"), without=frozenset()) is None


@pytest.mark.slow
@pytest.mark.parametrize("name", SWEEPS)
def test_a_leaderboard_is_shown(printed, name):
    now = printed("compare", name, as_json=("--format", "json"))
    assert difference(EXPECTED[f"compare {name}"], now, without=frozenset()) is None


def test_the_history_is_read(printed):
    assert difference(EXPECTED["history"], printed("history", "golden-wine"), without=frozenset()) is None


@pytest.mark.slow
def test_an_interrupted_sweep_goes_on_with_what_waits_in_its_journal(golden, printed):
    then = EXPECTED["later compare golden-tpe"]
    (journal,) = golden.glob("state/wine-sweep/journals/*.jsonl")
    waiting = {json.loads(line)["number"] for line in journal.read_text().splitlines()}
    measured = {row["trial"] for row in EXPECTED["compare golden-tpe"] if row["state"] in ("finished", "pruned")}
    assert waiting > measured, "the journal holds results that MLflow has not"

    resumed = printed("resume", "golden-tpe")

    assert difference(EXPECTED["later resume golden-tpe"], resumed, without=ANEW | MADE) is None
    now = printed("compare", "golden-tpe", as_json=("--format", "json"))
    assert difference(then, now, without=ANEW | MADE) is None
    assert not journal.exists(), "it is not needed any more"
    client = MlflowClient(f"sqlite:///{golden / 'mlflow.db'}")
    runs = client.search_runs(
        [client.get_experiment_by_name("golden").experiment_id], f"tags.`mlflow.parentRunId` = '{resumed['run_id']}'"
    )
    states = Counter((run.data.tags["wine_sweep.trial"], run.data.tags["wine_sweep.state"]) for run in runs)
    assert sorted(int(number) for number, state in states.elements() if state in ("finished", "pruned")) == list(range(14))
    assert all(run.info.status != "RUNNING" for run in runs)


@pytest.mark.parametrize("name", ["golden-brute-force", "golden-command"])
def test_a_sweep_that_has_finished_has_nothing_left_to_do(golden, in_process_at, name):
    trust = ["--trust", "train.py"] if name == "golden-command" else []
    done = in_process_at(golden, f"sqlite:///{golden / 'mlflow.db'}")("resume", name, *trust)
    assert done.returncode == 0, done.stderr
    assert "Nothing to do" in done.stdout


@pytest.mark.slow
def test_a_sweep_that_regret_stopped_is_extended(golden, printed):
    pytest.importorskip("torch", reason="Optuna's regret bound needs torch, an extra")
    before = EXPECTED["compare golden-regret"]
    resumed = printed("resume", "golden-regret", "--trials", "14", "--set", "search.regret=false")
    assert resumed["trials"]["finished"] == 14
    now = {row["trial"]: row for row in printed("compare", "golden-regret", as_json=("--format", "json"))}
    assert all(difference(row, now[row["trial"]], without=frozenset({"best"})) is None for row in before)


def test_the_gate_compares_with_the_version_in_staging(printed):
    now = printed("promote", "golden-grid", code=3)
    assert difference(EXPECTED["later promote golden-grid"], now, without=ANEW) is None


def test_a_promotion_is_forced(golden, printed):
    assert printed("promote", "golden-grid", "--force")["promoted"] is True
    client = MlflowClient(f"sqlite:///{golden / 'mlflow.db'}")
    in_stage = client.get_model_version_by_alias("golden-wine", "staging")
    assert in_stage.current_stage == "Staging"
    assert in_stage.run_id == EXPECTED["compare golden-grid"][0]["run_id"]


def test_the_version_before_is_put_back(printed):
    now = printed("rollback", "golden-wine", "--reason", "golden")
    assert difference(EXPECTED["later rollback golden-wine"], now, without=ANEW) is None


@pytest.mark.slow
def test_the_model_is_checked_on_new_rows(printed):
    """First as it was in Staging, and then the version before it, as that older version did."""
    assert printed("check", "golden-wine", "--data", "wine-quality-white", code=3)["version"] == "2"
    now = printed("check", "golden-wine", "--data", "wine-quality-white", "--version", "1", code=3)
    assert difference(EXPECTED["later check golden-wine"], now, without=ANEW | MADE | {"stage"}) is None


@pytest.mark.slow
@pytest.mark.parametrize(("name", "trust"), [("golden-grid", []), ("golden-command", ["--trust", "train.py"])])
def test_a_trial_is_reproduced(printed, name, trust):
    run_id = EXPECTED[f"compare {name}"][0]["run_id"]
    now = printed("reproduce", run_id, *trust)
    assert difference(EXPECTED[f"later reproduce {run_id}"], now, without=ANEW | {"versions_that_differ", "notes"}) is None
