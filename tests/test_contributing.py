"""What CONTRIBUTING.md says is true: its map is the house's, its recipes are there, and its diffs add what they promise."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.test_house import LAYERS

from wine_sweep.data import load_table

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
WAYS = dict(re.findall(r"(?ms)^### (.*?)\n(.*?)(?=^### |\Z)", PAGE.split("## Six ways")[1]))
MOST_FILES = 3

CONFIG = """
data: {source: wine.orc, target: quality}
model: {estimator: sklearn.linear_model.Ridge}
search: {method: halton, trials: 4, sampler: {scramble: false}, parameters: {alpha: {low: 0.1, high: 10, log: true}}}
evaluation: {cv: 3, metrics: [mse, rmse]}
objective: {metric: mse}
execution: {backend: serial}
"""

SWEEP = """
from wine_sweep import Sweep, load_config

sweep = Sweep(load_config("sweep.yaml"))
print(sweep.run(quiet=True).trials.to_json(orient="records"))
"""

DRIFT = """
import numpy, pandas
from wine_sweep.monitoring.drift import Aspect, Part, adjust, compare_columns
from wine_sweep.monitoring.reference import ColumnKind, ColumnProfile

draw = numpy.random.default_rng(0).normal
before, same, moved = (Part(pandas.DataFrame({"y": draw(mean, size=400)}), 1.0) for mean in (0, 0, 1))
profile = ColumnProfile("y", ColumnKind.NUMBER)
for now in (same, moved):
    drift, = adjust(compare_columns(before, now, [profile], aspect=Aspect.PREDICTION))
    print(drift.test.value, drift.moved)
"""


def hunks_of(way: str) -> list[tuple[str, str, str]]:
    """Read the diffs of a section: the file, the lines that stand there, and the lines that are to stand there."""
    found = []
    for diff in re.findall(r"(?ms)^```diff\n(.*?)^```$", way):
        head, *hunks = re.split(r"(?m)^@@\n", diff)
        file = re.search(r"(?m)^\+\+\+ b/(.*)$", head)[1]
        for hunk in hunks:
            lines = hunk.splitlines(keepends=True)
            before, after = ("".join(line[1:] or line for line in lines if line[0] != other) for other in "+-")
            found.append((file, before, after))
    return found


@pytest.fixture(scope="module")
def changed(tmp_path_factory):
    """A copy of the house in which every diff of the page is applied."""
    copy = tmp_path_factory.mktemp("house")
    shutil.copytree(ROOT / "src", copy / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for way in WAYS.values():
        for file, before, after in hunks_of(way):
            text = (copy / file).read_text(encoding="utf-8")
            assert text.count(before) == 1, f"{file} no longer holds, once:\n{before}"
            (copy / file).write_text(text.replace(before, after), encoding="utf-8")
    return copy


def run(changed, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(changed / "src"), "MLFLOW_TRACKING_URI": f"sqlite:///{changed / 'mlflow.db'}"}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=changed, env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def swept(changed, migrated):
    shutil.copy(migrated, changed / "mlflow.db")
    load_table("wine-quality-red").head(300).to_orc(changed / "wine.orc")
    (changed / "sweep.yaml").write_text(CONFIG)
    return json.loads(run(changed, "-c", SWEEP).splitlines()[-1])


def test_the_copy_is_what_runs(changed):
    assert Path(run(changed, "-c", "import wine_sweep; print(wine_sweep.__file__)").strip()).is_relative_to(changed)


@pytest.mark.slow
def test_a_method_that_the_page_adds_suggests_what_it_is_to(swept):
    assert [trial["state"] for trial in swept] == ["finished"] * 4
    later = sorted(trial["alpha"] for trial in swept if trial["trial"] > 0)  # Optuna draws the first at random
    assert later == pytest.approx([0.1, 10**-0.5, 1])


@pytest.mark.slow
def test_a_metric_that_the_page_adds_is_better_the_lower_it_is(swept):
    assert swept == sorted(swept, key=lambda trial: trial["mse"])
    for trial in swept:
        assert trial["mse"] == pytest.approx(trial["rmse"] ** 2 + trial["rmse_std"] ** 2)


@pytest.mark.slow
def test_a_drift_test_that_the_page_adds_finds_what_has_moved(changed):
    assert run(changed, "-c", DRIFT).splitlines() == ["Mann-Whitney False", "Mann-Whitney True"]


@pytest.mark.parametrize("name", WAYS)
def test_a_way_through_the_house_needs_few_files_which_are_there(name):
    named = set(re.findall(r"`((?:\w+/)+\w+\.py)`", WAYS[name])) | {file for file, _, _ in hunks_of(WAYS[name])}
    assert named
    of_src = set()
    for file in named:
        places = [place for place in (ROOT / file, ROOT / "src" / "wine_sweep" / file) if place.is_file()]
        assert places, file
        of_src |= {place for place in places if place.is_relative_to(ROOT / "src")}
    assert len(of_src) <= MOST_FILES


def test_the_map_shows_the_floors_of_the_house_from_the_top():
    table = PAGE.split("## The house")[1].split("**The layer rule.**")[0]
    rows = [set(re.findall(r"`(\w+)(?:\.py)?`", row.split("|")[1])) for row in table.splitlines() if row.startswith("| `")]
    assert rows == [floor for floor in reversed(LAYERS) if floor != {"__main__"}]


def test_the_recipes_of_the_page_are_in_the_justfile():
    recipes = set(re.findall(r"(?m)^(\w+)(?: \*arguments)?:$", (ROOT / "justfile").read_text(encoding="utf-8")))
    assert set(re.findall(r"(?m)^just (\w+)", PAGE)) == recipes
