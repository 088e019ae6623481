"""The benchmarks run; what they measure is for `benchmarks/README.md` to say."""

from __future__ import annotations

import subprocess
import sys


def test_the_benchmark_of_pruning_prints_a_row_of_its_table(root):
    command = [sys.executable, "-m", "benchmarks.pruning", "--seeds", "1", "--trials", "8", "--case", "folds: percentile 25"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    header, _, row = done.stdout.splitlines()
    assert header.count("|") == row.count("|")
    assert row.startswith("| folds: percentile 25 | ")


def test_the_benchmark_of_many_trials_prints_its_tables(root):
    command = [sys.executable, "-m", "benchmarks.many_trials", "--trials", "20", "--every", "10", "--method", "grid"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "### grid, 20 trials, 2 workers" in lines
    assert [line.split("|")[1].strip() for line in lines if line.startswith("| ") and line[2].isdigit()] == ["10", "20"]
    assert any(line.startswith("| compare latest --top 10 | ") for line in lines)


def test_the_benchmark_of_commands_prints_its_table(root):
    command = [sys.executable, "-m", "benchmarks.commands", "--trials", "10", "--seconds", "0.01", "--repeats", "1"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    assert [line.split("|")[1].strip() for line in done.stdout.splitlines()[2:]] == ["1", "2"]
