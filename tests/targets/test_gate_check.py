"""Which gate a sweep has, and which slices its table allows."""

from __future__ import annotations

import pytest

from wine_sweep.config import GateConfig, dump_config, parse_config
from wine_sweep.errors import ConfigError
from wine_sweep.targets.prepare import prepare

DATA = "data: {source: t.csv, target: y, groups: batch}"
SWEEPS = {
    "estimator": [DATA, "model: {estimator: sklearn.linear_model.ElasticNet}", "search: {parameters: {alpha: [0.1, 1]}}"],
    "function": [DATA, "model: {function: train.py:train}", "search: {parameters: {x: [1]}}", "objective: {metric: rmse}"],
    "function without data": ["model: {function: train.py:train}", "search: {parameters: {x: [1]}}", "objective: {metric: rmse}"],
    "command": ["model: {command: [python, train.py]}", "search: {parameters: {x: [1]}}", "objective: {metric: rmse}"],
}
WITH_ROWS = ["estimator", "function"]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "train.py").write_text("def train(params, context):\n    return {'rmse': 1.0}\n")
    rows = "".join(f"{row},{row % 2},B{row // 2},{row % 13}.5\n" for row in range(60))
    (tmp_path / "t.csv").write_text("a,b,batch,y\n" + rows)
    return tmp_path


def prepared(folder, sweep, *lines):
    text = "\n".join([*SWEEPS[sweep], *lines])
    return prepare(parse_config(text.encode(), source="c.yaml", folder=folder, default_name="c"), trusted=["."])


@pytest.fixture(autouse=True)
def _in_its_folder(folder, monkeypatch):
    monkeypatch.chdir(folder)


@pytest.mark.parametrize("sweep", SWEEPS)
def test_a_sweep_with_rows_to_compare_models_on_has_a_gate(sweep, folder):
    expected = GateConfig() if sweep in WITH_ROWS else None
    assert prepared(folder, sweep, "registry: {name: wine}").gate == expected
    assert prepared(folder, sweep, "registry: {name: wine, gate: false}").gate is None
    assert prepared(folder, sweep).gate == expected  # for `promote --name`


@pytest.mark.slow
@pytest.mark.parametrize("sweep", SWEEPS)
def test_what_a_sweep_records_has_the_same_gate(sweep, folder):
    for registry in ("registry: {name: wine}", "registry: {name: wine, gate: false}"):
        first = prepared(folder, sweep, registry)
        draft = parse_config(dump_config(first.config).encode(), source="c.yaml", folder=folder, default_name="c")
        assert prepare(draft, trusted=["."]).gate == first.gate


@pytest.mark.parametrize("sweep", WITH_ROWS)
def test_a_slice_is_of_a_feature_or_of_the_groups(sweep, folder):
    assert prepared(folder, sweep, "registry: {name: wine, gate: {slices: [a, b]}}").gate.slices == ["a", "b"]
    with pytest.raises(ConfigError) as caught:
        prepared(folder, sweep, "registry: {name: wine, gate: {slices: [a, bacth, batch, y]}}")
    line = len(SWEEPS[sweep]) + 1
    assert [str(problem) for problem in caught.value.problems] == [
        f"c.yaml:{line}:43: registry.gate.slices.1: there is no column 'bacth' in the table; did you mean 'batch'?"
        " Allowed: a, b, batch",
        f"c.yaml:{line}:50: registry.gate.slices.2: column 'batch' has 30 different values that are no numbers;"
        " slices are of 20 at most",
        f"c.yaml:{line}:57: registry.gate.slices.3: column 'y' is `target`; a slice is of a feature, or of the group column",
    ]


def test_slices_are_looked_at_where_another_section_is_wrong(folder):
    with pytest.raises(ConfigError) as caught:
        prepared(folder, "estimator", "evaluation: {cv: 1}", "registry: {name: wine, gate: {slices: [c]}}")
    assert [problem.path for problem in caught.value.problems] == [("evaluation", "cv"), ("registry", "gate", "slices", 0)]
