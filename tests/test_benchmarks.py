"""The benchmarks run; what they measure is for `benchmarks/README.md` to say."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.slow
def test_the_benchmark_of_pruning_prints_a_row_of_its_table(root):
    command = [sys.executable, "-m", "benchmarks.pruning", "--seeds", "1", "--trials", "8", "--case", "folds: percentile 25"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    header, _, row = done.stdout.splitlines()
    assert header.count("|") == row.count("|")
    assert row.startswith("| folds: percentile 25 | ")


@pytest.mark.slow
def test_the_benchmark_of_many_trials_prints_its_tables(root):
    command = [sys.executable, "-m", "benchmarks.many_trials", "--trials", "20", "--every", "10", "--method", "grid"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "### grid, 20 trials, 2 workers" in lines
    assert [line.split("|")[1].strip() for line in lines if line.startswith("| ") and line[2].isdigit()] == ["10", "20"]
    assert any(line.startswith("| compare latest --top 10 | ") for line in lines)


@pytest.mark.slow
def test_the_benchmark_of_commands_prints_its_table(root):
    command = [sys.executable, "-m", "benchmarks.commands", "--trials", "10", "--seconds", "0.01", "--repeats", "1"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    assert [line.split("|")[1].strip() for line in done.stdout.splitlines()[2:]] == ["1", "2"]


@pytest.mark.slow
def test_the_benchmark_of_whole_sweeps_prints_a_table_of_those_who_did_the_same(root):
    only = [word for name in ("wine_sweep", "untracked", "loop", "callback") for word in ("--only", name)]
    command = [sys.executable, "-m", "benchmarks", "A", "--points", "4", "--repeats", "1", "--warm-ups", "0", *only]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "### A: ElasticNet, a grid of 100 points" in lines
    rows = [line.split("|")[1:-1] for line in lines if line.startswith("| ") and "---" not in line][1:]
    assert [cells[0].strip().partition(",")[0] for cells in rows] == [
        "wine_sweep",
        "nothing tracked: `GridSearchCV(n_jobs=2)`",
        "a loop by hand",
        "Optuna with a callback",
    ]
    assert all(float(cell) > 0 for cells in rows for cell in cells[1:])


@pytest.mark.slow
def test_the_limits_that_a_sweep_keeps_to_are_measured(root):
    command = [sys.executable, "-m", "benchmarks", "planning", "--repeats", "1"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    rows = [line.split("|")[1:-1] for line in done.stdout.splitlines() if line.startswith("| `plan`")]
    assert [cells[0].strip() for cells in rows][:2] == [
        "`plan` of a grid of 1,000,000 points, s",
        "`plan` of a grid of 1,000,000 points, MB",
    ]
    assert all(float(cells[1]) > 0 for cells in rows)


@pytest.mark.slow
def test_a_parameters_value_passes_few_files_between_the_config_and_compare(root):
    command = [sys.executable, "benchmarks/trace_parameter.py"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    files = {line.partition(":")[0] for line in done.stdout.splitlines()[:-1]}
    assert {"config/yaml_io.py", "search/grid.py", "evaluation/estimators.py", "tracking/runs.py", "cli/inspect.py"} <= files
