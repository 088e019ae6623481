"""What a trial costs: three calls to the tracking server, counted by a proxy in front of a real one; a fourth fails here."""

from __future__ import annotations

from collections import Counter

import pytest

pytestmark = pytest.mark.slow

CONFIG = """
name: counted
data: {source: wine-quality-red}
model: {estimator: sklearn.linear_model.Ridge}
search: {parameters: {alpha: {low: 0.1, high: 10, num: COUNT}}}
evaluation: {cv: 2, bootstrap: 0}
execution: {backend: serial}
"""
FEW, MANY = 5, 45


def calls_of(count: int, gate, in_process_at, folder) -> Counter[str]:
    """Run a sweep, and count its calls by what was asked."""
    (folder / "c.yaml").write_text(CONFIG.replace("COUNT", str(count)))
    before = len(gate.passed)
    done = in_process_at(folder, gate.uri)("run", "c.yaml", "--quiet", "--tracking-uri", gate.uri)
    assert done.returncode == 0, done.stderr
    return Counter(gate.passed[before:])


def test_a_trial_costs_three_calls_and_no_fourth(gate, in_process_at, tmp_path):
    few, many = (calls_of(count, gate, in_process_at, tmp_path) for count in (FEW, MANY))
    more = MANY - FEW
    grown = {call: count - few[call] for call, count in many.items()}
    assert grown["POST /api/2.0/mlflow/runs/create"] == more
    assert grown["POST /api/2.0/mlflow/runs/update"] == more
    total = many.total() - few.total()
    assert total < 3.5 * more, grown  # heartbeats and the best so far go by time
