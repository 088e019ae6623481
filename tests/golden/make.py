"""Make the golden store. It was run once, with wine_sweep at 955d6ae, MLflow 3.17.2, scikit-learn 1.9.1 and Optuna 5.0.0.

    python tests/golden/make.py FOLDER

It is kept to show how the store came about. Making it again would lose what it is for: being written by an older version.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

ROOT = "/golden"
"""Stands for the store's folder in everything that is kept."""

TEXT = {".yaml", ".yml", ".json", ".jsonl", ".csv", ".txt", ".md", ""}

CONFIGS = {
    "grid.yaml": """\
name: golden-grid
experiment: golden
data: {source: wine-quality-red}
model: {estimator: sklearn.linear_model.ElasticNet}
search:
  method: grid
  parameters: {alpha: [0.001, 0.01, 0.1], l1_ratio: [0.1, 0.5, 0.9]}
evaluation: {cv: 3, metrics: [rmse, mae, r2], bootstrap: 50}
objective: rmse
registry: {name: golden-wine, stage: Staging}
""",
    "tpe.yaml": """\
name: golden-tpe
experiment: golden
data: {source: wine-quality-red}
model: {estimator: sklearn.ensemble.GradientBoostingRegressor, params: {n_estimators: 60}}
search:
  method: tpe
  trials: 14
  seed: 7
  parameters:
    learning_rate: {low: 0.001, high: 1.0, log: true}
    max_depth: {low: 1, high: 5}
  pruner: {type: median, n_startup_trials: 3, n_warmup_steps: 0}
evaluation: {cv: 3, metrics: [rmse, mae]}
objective: rmse
execution: {workers: 1}
""",
    "command.yaml": """\
name: golden-command
experiment: golden
model: {command: [python, train.py, "{alpha}", "{l1_ratio}"]}
search:
  method: grid
  parameters: {alpha: [0.1, 0.5], l1_ratio: [0.2, 0.8]}
objective: {metric: rmse}
""",
    "brute-force.yaml": """\
name: golden-brute-force
experiment: golden
data: {source: wine-quality-red}
model:
  pipeline:
    scale: sklearn.preprocessing.StandardScaler
    ridge: {estimator: sklearn.linear_model.Ridge}
search:
  method: brute_force
  parameters:
    ridge__alpha: [1, 10, 100]
    ridge__fit_intercept: [true, false]
evaluation: {cv: 3, metrics: [rmse]}
objective: rmse
registry: {name: golden-wine, stage: Staging, gate: false}
""",
    "regret.yaml": """\
name: golden-regret
experiment: golden
data: {source: wine-quality-red}
model: {estimator: sklearn.linear_model.Ridge}
search:
  method: random
  trials: 40
  seed: 3
  regret: {min_trials: 8}
  parameters: {alpha: {low: 0.1, high: 1000000.0, log: true}}
evaluation: {cv: 3, metrics: [rmse]}
objective: rmse
execution: {workers: 1}
""",
}

TRAIN = """\
import json
import os
import sys

alpha, l1_ratio = map(float, sys.argv[1:])
print(f"alpha {alpha}, l1_ratio {l1_ratio}")
with open(os.environ["WINE_SWEEP_METRICS"], "w") as file:
    json.dump({"rmse": (alpha - 0.5) ** 2 + l1_ratio, "mae": alpha}, file)
"""


def main(folder: Path) -> None:
    folder.mkdir(parents=True)
    for name, text in CONFIGS.items():
        (folder / name).write_text(text)
    (folder / "train.py").write_text(TRAIN)
    said = {}
    run(folder, "run", "grid.yaml")
    run(folder, "run", "command.yaml", "--trust", "train.py")
    run(folder, "run", "brute-force.yaml")
    run(folder, "run", "regret.yaml")
    interrupt(folder, "tpe.yaml")
    run(folder, "check", "golden-wine", "--data", "wine-quality-white", codes=(3,))
    said["list"] = json.loads(run(folder, "list", "--json"))
    for name in ("golden-grid", "golden-command", "golden-brute-force", "golden-regret", "golden-tpe"):
        said[f"compare {name}"] = json.loads(run(folder, "compare", name, "--format", "json"))
    said["history"] = json.loads(run(folder, "history", "golden-wine", "--json"))
    grid, command = (said[f"compare {name}"][0]["run_id"] for name in ("golden-grid", "golden-command"))
    later = {
        "resume golden-tpe": [],
        "compare golden-tpe": [],
        "promote golden-grid": [],
        "rollback golden-wine": ["--reason", "golden"],
        "check golden-wine": ["--data", "wine-quality-white"],
        f"reproduce {grid}": [],
        f"reproduce {command}": ["--trust", "train.py"],
    }
    aside = folder.with_name(f"{folder.name}-later")
    shutil.copytree(folder, aside)
    relocate(aside, str(folder), str(aside))
    for words, more in later.items():
        as_json = ["--format", "json"] if words.startswith("compare") else ["--json"]
        said[f"later {words}"] = json.loads(run(aside, *words.split(), *more, *as_json, codes=(0, 3)))
    shutil.rmtree(folder / "cache")
    for lock in folder.glob("state/wine-sweep/locks/*"):
        lock.unlink()
    relocate(folder, str(folder), ROOT)
    with (folder / "mlflow.db").open("rb") as plain, gzip.open(folder / "mlflow.db.gz", "wb") as packed:
        shutil.copyfileobj(plain, packed)
    (folder / "mlflow.db").unlink()
    text = json.dumps(said, indent=1, ensure_ascii=False)
    (folder / "expected.json").write_text(text.replace(str(aside), ROOT).replace(str(folder), ROOT) + "\n")


def environment(folder: Path) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
    return kept | {
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}",
        "XDG_STATE_HOME": str(folder / "state"),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "USER": "golden",
        "LOGNAME": "golden",
        "GIT_CEILING_DIRECTORIES": "/",
    }


def run(folder: Path, *arguments: str, codes: tuple[int, ...] = (0,)) -> str:
    command = [sys.executable, "-m", "wine_sweep", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment(folder), capture_output=True, text=True, check=False)
    if done.returncode not in codes:
        raise RuntimeError(f"{arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def interrupt(folder: Path, config: str) -> None:
    """Kill a sweep once it has results that MLflow lacks: its store is locked until then."""
    command = [sys.executable, "-m", "wine_sweep", "run", config]
    process = subprocess.Popen(command, cwd=folder, env=environment(folder), stderr=subprocess.DEVNULL)
    with closing(sqlite3.connect(folder / "mlflow.db", timeout=60)) as database:
        query = (
            "SELECT count(*) FROM runs JOIN tags ON tags.run_uuid = runs.run_uuid WHERE key = 'mlflow.parentRunId' AND value ="
            " (SELECT run_uuid FROM runs WHERE name = 'golden-tpe') AND status != 'RUNNING'"
        )
        while database.execute(query).fetchone()[0] < 6:
            time.sleep(0.05)
        database.rollback()
        database.execute("BEGIN IMMEDIATE")
        (token,) = database.execute(
            "SELECT value FROM tags WHERE key = 'wine_sweep.journal' AND run_uuid ="
            " (SELECT run_uuid FROM runs WHERE name = 'golden-tpe')"
        ).fetchone()
        written = database.execute(query).fetchone()[0]
        journal = folder / "state" / "wine-sweep" / "journals" / f"{token}.jsonl"
        while len(journal.read_text().splitlines()) < written + 2:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
        database.rollback()


def relocate(folder: Path, old: str, new: str) -> None:
    """Put another folder's name into the database and the text files."""
    with closing(sqlite3.connect(folder / "mlflow.db")) as database:
        with database:
            tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            for table in tables:
                for _, column, kind, *_ in database.execute(f"PRAGMA table_info('{table}')").fetchall():
                    if "CHAR" in kind.upper() or "TEXT" in kind.upper():
                        changed = f'UPDATE "{table}" SET "{column}" = replace("{column}", ?, ?) WHERE instr("{column}", ?)'
                        database.execute(changed, (old, new, old))
        database.execute("VACUUM")
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink() and path.suffix in TEXT and path.name != "machine":
            content = path.read_bytes()
            if old.encode() in content:
                path.write_bytes(content.replace(old.encode(), new.encode()))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
