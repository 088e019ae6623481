"""A sampler of the user's own, under ``--trust``: refused unread, run, resumed to the same end, reproduced."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from tests.sweep.test_resume import begin, children, results

from wine_sweep.config import parse_config
from wine_sweep.errors import ConfigError, SearchError
from wine_sweep.search.methods import make_searcher
from wine_sweep.search.searcher import describe_reproducibility
from wine_sweep.targets.prepare import prepare

PAGE = Path(__file__).parents[2] / "docs" / "search.md"
ANNEALING = next(block for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL) if "Annealing" in block)
"""The sampler that the docs show."""

PARAMETERS = "parameters: {alpha: {low: 0.1, high: 100.0, log: true}, tol: {low: 0.0001, high: 0.1}}"


def config(method: str, keys: str = "", *, objective: str = "rmse", name: str = "small", more: str = "") -> str:
    return f"""
name: {name}
experiment: tests
data: {{source: wine-quality-red}}
model: {{estimator: sklearn.linear_model.Ridge}}
search: {{method: "{method}", trials: 8, {keys}{PARAMETERS}}}
evaluation: {{cv: 3, metrics: [rmse, r2]}}
objective: {objective}
execution: {{backend: serial}}
{more}
"""


@pytest.fixture
def folder(store, monkeypatch) -> Path:
    monkeypatch.chdir(store.folder)
    return store.folder


def prepared(folder: Path, code: str, text: str, trusted: list[str] | None = None):
    (folder / "mysamplers.py").write_text(code)
    draft = parse_config(text.encode(), source="c.yaml", folder=folder, default_name="c")
    return prepare(draft, trusted=trusted if trusted is not None else [str(folder / "mysamplers.py")])


@pytest.mark.parametrize("command", [["plan", "c.yaml"], ["run", "c.yaml"]])
def test_it_is_refused_unread_unless_it_is_trusted(folder, in_process, command):
    (folder / "mysamplers.py").write_text("open('imported', 'w').close()\n" + ANNEALING)
    (folder / "c.yaml").write_text(config("mysamplers.py:Annealing"))
    refused = in_process(*command)
    assert refused.returncode == 2
    assert refused.stderr == (
        "c.yaml:6:18: search.method: runs code of your own; run with --trust mysamplers.py if you trust it\n"
    )
    assert not (folder / "imported").exists()


def test_it_is_planned(folder, in_process):
    (folder / "mysamplers.py").write_text("print('hello')\n" + ANNEALING)
    (folder / "c.yaml").write_text(config("mysamplers.py:Annealing", "sampler: {cooling: 0.5}, "))
    done = in_process("plan", "c.yaml", "--trust", "mysamplers.py", "--json")
    assert done.returncode == 0, done.stderr
    (plan,) = json.loads(done.stdout)
    assert (plan["method"], plan["trials"]) == ("mysamplers.py:Annealing", 8)


@pytest.mark.slow
def test_it_runs_goes_on_as_if_never_stopped_and_is_reproduced(folder, store, in_process):
    file = folder / "mysamplers.py"
    file.write_text(ANNEALING)
    trusted = [str(file)]
    whole = begin(store, config(f"{file}:Annealing", "seed: 3, ", name="whole"), trusted=trusted)
    other = begin(store, config(f"{file}:Annealing", "seed: 4, ", name="other"), trusted=trusted)
    stopped = begin(store, config(f"{file}:Annealing", "seed: 3, ", name="stopped"), after=4, trusted=trusted)
    assert store.client.get_run(whole).data.params["method"] == "mysamplers.py:Annealing"
    assert len(results(store, whole)) == 8
    assert results(store, whole) != results(store, other)

    assert "runs code of your own" in in_process("resume", stopped).stderr
    file.write_text(ANNEALING.replace("0.9", "0.8"))
    changed = in_process("resume", stopped, "--trust", file)
    assert changed.returncode == 2
    assert f"{file} has changed since the sweep 'stopped'" in changed.stderr

    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "mysamplers.py").write_text(ANNEALING)
    moved = f"search.method={elsewhere / 'mysamplers.py'}:Annealing"
    done = in_process("resume", stopped, "--set", moved, "--trust", elsewhere)
    assert done.returncode == 0, done.stderr
    assert "cannot be replayed" not in done.stderr
    assert results(store, stopped) == results(store, whole)

    file.write_text(ANNEALING)
    again = in_process("reproduce", children(store, whole)[0].info.run_id, "--trust", file)
    assert again.returncode == 0, again.stderr


def test_a_module_that_is_trusted_by_name_does_as_well(folder, monkeypatch):
    monkeypatch.syspath_prepend(folder)
    with pytest.raises(ConfigError, match=r"search\.method: the package 'mysamplers' is not trusted; run with --trust m"):
        prepared(folder, ANNEALING, config("mysamplers:Annealing"), trusted=[])
    ready = prepared(folder, ANNEALING, config("mysamplers:Annealing"), trusted=["mysamplers"])
    assert str(ready.config.search.method) == "mysamplers:Annealing"


LEARNING = "import optuna\nclass Own(optuna.samplers.TPESampler):\n    "


@pytest.mark.parametrize(
    ("code", "keys", "expected"),
    [
        (ANNEALING.replace("class Annealing", "class Other"), "", "method: there is no class 'Annealing' in "),
        ("Annealing = 3", "", "method: mysamplers.py:Annealing is no sampler: it is to be a subclass of"),
        ("class Annealing: ...", "", "method: mysamplers.py:Annealing is no sampler: it is to be a subclass of"),
        ("import optuna\nclass Annealing(optuna.samplers.BaseSampler): ...", "", "method: mysamplers.py:Annealing is no sampler"),
        ("raise SystemExit(3)", "", r"method: .*mysamplers.py cannot be imported: SystemExit: 3"),
        ("def (", "", r"method: .*mysamplers.py cannot be imported: SyntaxError"),
        (ANNEALING, "sampler: {colling: 1}, ", "sampler.colling: Annealing has no such option; did you mean 'cooling'"),
        (ANNEALING, "sampler: {seed: 1}, ", "sampler.seed: Annealing has no such option; allowed: cooling"),
        (ANNEALING, "sampler: {cooling: cold}, ", "sampler.cooling: Annealing takes float here, got 'cold'"),
        (ANNEALING.replace("cooling: float = 0.9", "cooling: float"), "", "method: Annealing needs `cooling`"),
        (ANNEALING.replace("= cooling,", "= {}['oh'],"), "", "method: Annealing does not take it: 'oh'"),
        (ANNEALING.replace("objectives = 1", "objectives = 'one'"), "", "method: Annealing.objectives is 'one'; a class"),
        (ANNEALING.replace("objectives = 1", "learns = 1"), "", "method: Annealing.learns is 1; a class says True or False"),
        (ANNEALING.replace("objectives = 1", "learns = False"), "from: x, ", "from: mysamplers.py:Annealing learns nothing"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_it_is_said_at_its_key(folder, code, keys, expected):
    with pytest.raises(ConfigError, match=rf"c.yaml:\d+:\d+: search\.{expected}"):
        prepared(folder, code, config("mysamplers.py:Annealing", keys))


@pytest.mark.parametrize("method", ["mysamplers.py:", "mysamplers.py", ":Annealing", "my-samplers:Annealing"])
def test_what_is_no_name_of_a_class_is_refused(folder, method):
    with pytest.raises(ConfigError, match=r"a sampler of one's own is written as FILE\.py:CLASS or package\.module:CLASS"):
        prepared(folder, ANNEALING, config(method))


@pytest.mark.parametrize(("file", "expected"), [("a\\0b", "a NUL character"), ("x" * 300, "more than 255 bytes")])
def test_a_path_that_no_file_has_is_refused(folder, file, expected):
    with pytest.raises(ConfigError, match=rf"c.yaml:6:18: search\.method: .*{expected}"):
        prepared(folder, ANNEALING, config(f"{file}.py:Annealing"))


def test_a_file_that_is_not_there_is_named(folder):
    with pytest.raises(ConfigError, match=r"search\.method: there is no file .*/nowhere.py"):
        prepared(folder, ANNEALING, config("nowhere.py:Annealing"), trusted=[str(folder)])


def test_what_its_class_does_not_declare_is_that_it_learns_and_has_one_objective(folder):
    text = config("mysamplers.py:Own", objective="[rmse, fit_seconds]")
    with pytest.raises(ConfigError, match="Own has one objective; have its class say `objectives = None`, or use tpe"):
        prepared(folder, LEARNING + "pass", text)
    limited = config("mysamplers.py:Own", more="selection: {constraints: [r2 >= 0]}")
    with pytest.raises(
        ConfigError, match="Own cannot learn limits on metrics; have its class say `learns_limits = True`, or use"
    ):
        prepared(folder, LEARNING + "pass", limited)
    method = prepared(folder, LEARNING + "pass", config("mysamplers.py:Own")).config.search.method
    assert (method.learns, method.objectives, method.is_seeded) == (True, 1, True)
    assert prepared(folder, LEARNING + "objectives = None", text).config.search.method.objectives is None
    assert prepared(folder, LEARNING + "learns_limits = True", limited).config.search.method.learns_limits


def test_one_that_takes_no_seed_promises_nothing(folder):
    code = LEARNING + "def __init__(self):\n        super().__init__()"
    search = prepared(folder, code, config("mysamplers.py:Own")).config.search
    said = describe_reproducibility(search, workers=1, goals=["rmse"], limits=[])
    assert said == "not the same trials for certain: mysamplers.py:Own takes no seed"


def test_what_it_raises_while_it_suggests_is_the_samplers_failure(folder):
    code = ANNEALING.replace("return self._anywhere", "raise KeyError('oh') or self._anywhere")
    ready = prepared(folder, code, config("mysamplers.py:Annealing"))
    searcher = make_searcher(ready.config.search, ready.space, directions=[ready.objective.direction])
    with pytest.raises(SearchError, match="the sampler failed: KeyError: 'oh'"):
        searcher.ask()
