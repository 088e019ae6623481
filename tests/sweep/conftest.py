"""Models that were promoted, for what is done with them afterwards."""

from __future__ import annotations

import pytest

CONFIG = """
name: small
data: {source: wine-quality-red, seed: 40}
model: {estimator: sklearn.tree.DecisionTreeRegressor}
search: {parameters: {max_depth: [1]}}
evaluation: {cv: 2, bootstrap: 0}
execution: {backend: serial}
registry: {name: wine, gate: false}
"""


@pytest.fixture
def promoted(store, in_process):
    """Promote models of some depths, one after the other, and give what the last printed."""

    def promote(*depths):
        (store.folder / "c.yaml").write_text(CONFIG)
        for depth in depths:
            ended = in_process("run", "c.yaml", "--quiet", "--set", f"search.parameters.max_depth=[{depth}]")
            assert ended.returncode == 0, ended.stderr
        return ended

    return promote
