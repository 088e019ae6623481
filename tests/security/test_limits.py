"""A config or a table that would take all memory, or all day, is refused at once, with the place and the way on."""

import gzip
import json
import re
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from wine_sweep.config import Expression, ExpressionError, Reading, read_config
from wine_sweep.data import load_table
from wine_sweep.data.table import has_more_than, resolve_source
from wine_sweep.errors import ConfigError, DataError

GIGABYTE = 1_000_000_000
NINES = "9" * 400
CHAIN = "a" + ".b" * 400

TREE = {
    "data": {"source": "wine-quality-red"},
    "model": {"estimator": "sklearn.linear_model.ElasticNet"},
    "search": {"method": "random", "trials": 2, "parameters": {"alpha": [0.1, 1]}},
    "execution": {},
}
COMMAND = {
    "model": {"command": ["python", "train.py"]},
    "objective": {"metric": "rmse", "direction": "minimize"},
    "search": {"method": "random", "trials": 2, "parameters": {"alpha": [0.1, 1]}},
}


def changed(tree, path, value):
    *outer, last = path.split(".")
    whole = json.loads(json.dumps(tree))
    inner = whole
    for key in outer:
        inner = inner.setdefault(key, {})
    inner[last] = value
    return whole


@pytest.mark.quick(4)
@pytest.mark.parametrize(
    ("tree", "path", "value", "message"),
    [
        (TREE, "search.constraints", [f"alpha < {CHAIN}"], "is not understood"),
        (TREE, "search.constraints", [f"{'-' * 900}alpha < 1"], "is no condition|nested too deeply"),
        (TREE, "search.constraints", [f"{'(' * 400}alpha{')' * 400} < 1"], "is no condition"),
        (TREE, "search.constraints", [f"alpha in {'[' * 90}1{']' * 90}"], "nested too deeply"),
        (TREE, "selection.constraints", [f"rmse <= {CHAIN}"], "is not understood|one limit"),
        (TREE, "execution.memory_limit", f"{NINES}GB", "a size is [0-9]+ bytes at most"),
        (TREE, "execution.memory_limit", 10**299, "a size is [0-9]+ bytes at most"),
        (TREE, "data.max_size", f"{NINES}B", "a size is [0-9]+ bytes at most"),
        (TREE, "execution.trial_timeout", f"{NINES}h", "a duration is 3650d at most"),
        (TREE, "execution.grace", 1e300, "a duration is 3650d at most"),
        (TREE, "search.timeout", f"{NINES}.{NINES}s", "a duration is 3650d at most"),
        (COMMAND, "model.stdout", "(?P<rmse>a{99999999999})", "is no regular expression"),
        (COMMAND, "model.stdout", f"(?P<rmse>{'(' * 1500}{')' * 1500})", "nested too deeply|is no regular expression"),
        (COMMAND, "model.stdout", f"(?P<rmse>{'a' * 5000})", "4096 characters at most"),
        (COMMAND, "model.folder", "x" * 300, "no file or folder has a name of more than 255 bytes"),
        (COMMAND, "model.folder", "a\0b", "cannot hold a NUL character"),
        (COMMAND, "model.folder", "~no-such-user/x", "no such home folder"),
    ],
    ids=lambda value: str(value)[:30] if isinstance(value, str) else type(value).__name__,
)
def test_what_no_parser_can_take_is_a_config_error_with_its_place(tree, path, value, message, in_process):
    (in_process.folder / "x.yaml").write_text(json.dumps(changed(tree, path, value)))
    done = in_process("plan", "x.yaml", "--trust", ".")
    assert done.returncode == 2
    assert re.search(rf"^x\.yaml:1:\d+: {re.escape(path)}[.\d]*: .*({message})", done.stderr, re.MULTILINE), done.stderr


def test_python_gives_no_advice_about_a_condition(recwarn):
    with pytest.raises(ExpressionError):
        Expression(r"a == '\d' or 1if a else 2")
    assert not recwarn.list


def listing(count, more=""):
    values = ",".join(map(str, range(count)))
    head = "data: {source: wine-quality-red}\nmodel: {estimator: sklearn.linear_model.Ridge}\nsearch: {method: random, trials: 2"
    return f"{head},{more}\n  parameters: {{\n    alpha: [{values}]}}}}\n"


def test_a_list_of_150000_choices_is_refused_at_once(in_process_at, tmp_path):
    (tmp_path / "x.yaml").write_text(listing(150_000))
    began = time.monotonic()
    done = in_process_at(tmp_path, f"sqlite:///{tmp_path / 'm.db'}")("plan", "x.yaml")
    assert time.monotonic() - began < 10, "it took 50 seconds"
    assert done.returncode == 2
    assert re.match(
        r"x\.yaml:5:\d+: search\.parameters\.alpha: more than 10,000 values are listed;"
        r" give a range, or raise `search\.max_choices`",
        done.stderr,
    )


@pytest.mark.slow
def test_the_limit_of_choices_can_be_raised_in_the_file_and_on_the_command_line(tmp_path):
    file = tmp_path / "x.yaml"
    file.write_text(listing(10_001, " max_choices: 20000,"))
    assert not read_config(file).problems
    file.write_text(listing(10_001))
    assert not read_config(file, ["search.max_choices=10001"]).problems
    with pytest.raises(ConfigError, match="more than 10,000 values"):
        read_config(file)


def test_choices_of_all_parameters_and_families_count_together(tmp_path):
    tree = changed(TREE, "search.max_choices", 5)
    tree["search"]["parameters"] = {"alpha": [1, 2, 3], "l1_ratio": [0.1, 0.2, 0.3]}
    (tmp_path / "x.yaml").write_text(json.dumps(tree))
    assert [problem.path for problem in read_config(tmp_path / "x.yaml").problems] == [("search", "parameters", "l1_ratio")]
    ridge = {"estimator": "sklearn.linear_model.Ridge", "parameters": {"alpha": [1, 2, 3]}}
    tree = {**tree, "models": {"a": ridge, "b": ridge}, "search": {**tree["search"], "parameters": {}}}
    del tree["model"]
    (tmp_path / "x.yaml").write_text(json.dumps(tree))
    assert [problem.path for problem in read_config(tmp_path / "x.yaml").problems] == [("models", "b", "parameters", "alpha")]


@pytest.fixture(scope="module")
def bomb(tmp_path_factory):
    """A .csv.gz of 3 MB that unfolds to 3 GB, in members so that its end says 1 MB."""
    path = tmp_path_factory.mktemp("bomb") / "bomb.csv.gz"
    rows = b"1,2\n" * 250_000
    member = gzip.compress(rows * 10, 6)
    with path.open("wb") as file:
        file.write(gzip.compress(b"a,b\n"))
        for _ in range(300):
            file.write(member)
        file.write(gzip.compress(rows))
    assert path.stat().st_size < 8_000_000
    return path


@pytest.mark.slow
def test_a_table_that_unfolds_without_end_is_refused_before_it_is_read(bomb):
    with pytest.raises(DataError, match=r"more than 2 GB unfolded; `data\.max_size` allows more"):
        load_table(str(bomb))


def test_what_a_compressed_file_says_of_its_own_size_is_enough_to_refuse_it(tmp_path):
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(b"a,b\n" + b"1,2\n" * 100_000))
    began = time.monotonic()
    assert has_more_than(path, 100_000)
    assert not has_more_than(path, 500_000)
    assert time.monotonic() - began < 5


@pytest.mark.slow
def test_tables_over_the_limit_are_refused_in_every_form(tmp_path):
    text = "a,b\n" + "1,2\n" * 100_000
    (tmp_path / "t.csv").write_text(text)
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(text.encode()))
    pq.write_table(pa.table({"a": [1] * 100_000}), tmp_path / "t.parquet")
    pq.write_table(pa.table({"a": ["word" * 2500] * 10_000}), tmp_path / "words.parquet")
    assert (tmp_path / "words.parquet").stat().st_size < 100_000, "one word stands for all"
    for name in ("t.csv", "t.csv.gz", "t.parquet", "words.parquet"):
        with pytest.raises(DataError, match=r"more than 300 KB unfolded; `--max-size` allows more"):
            load_table(str(tmp_path / name), Reading(max_size=300_000), raised_by="--max-size")
        assert len(load_table(str(tmp_path / name), Reading(max_size=GIGABYTE)))


@pytest.mark.slow
def test_the_config_and_the_command_line_say_how_large_a_table_may_be(in_process, store):
    lines = ["a,b,y", *(f"{n % 7},{n % 5},{n % 7 + n % 5}" for n in range(400))]
    (store.folder / "t.csv").write_text("\n".join(lines) + "\n")
    tree = {**TREE, "data": {"source": "t.csv", "target": "y", "max_size": 100}, "registry": {"name": "m", "gate": False}}
    (store.folder / "x.yaml").write_text(json.dumps(tree))
    refused = in_process("plan", "x.yaml")
    assert refused.returncode == 2
    assert "data.source" in refused.stderr
    assert "more than 100 B unfolded; `data.max_size` allows more" in refused.stderr
    done = in_process("run", "x.yaml", "--set", "data.max_size=1MB", "--workers", "1")
    assert done.returncode == 0, done.stderr
    for arguments, code in ((["--max-size", "100"], 2), (["--max-size", "much"], 2), (["--max-size", "1MB"], 0)):
        assert in_process("check", "m", "--data", "t.csv", *arguments).returncode == code
    resumed = in_process("resume", "latest", "--trials", "3", "--set", "data.max_size=2MB", "--set", "search.max_choices=7")
    assert resumed.returncode == 0, resumed.stderr


def test_a_header_without_end_is_refused(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"a" * 10_000_001)
    with pytest.raises(DataError, match="its header has more than 10,000,000 characters"):
        load_table(str(tmp_path / "t.csv"))


@pytest.mark.parametrize(("name", "write"), [("t.csv", str.encode), ("t.csv.gz", lambda text: gzip.compress(text.encode()))])
def test_a_link_keeps_the_ending_of_its_own_name(name, write, tmp_path):
    blob = tmp_path / "blobs" / "sha256-abc"
    blob.parent.mkdir()
    blob.write_bytes(write("a,y\n1,2\n3,4\n"))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / name).symlink_to(blob)
    (tmp_path / "short").symlink_to(tmp_path / "data")
    source = resolve_source(f"short/../data/{name}", tmp_path)
    assert source == str(tmp_path.resolve() / "data" / name)
    assert load_table(source)["a"].tolist() == [1, 3]


@pytest.mark.slow
def test_a_function_in_a_linked_file_keeps_its_name(in_process, store):
    blob = Path(store.folder / "blobs" / "sha256-abc")
    blob.parent.mkdir()
    blob.write_text("def train(params, context):\n    return {'rmse': params['alpha']}\n")
    (store.folder / "train.py").symlink_to(blob)
    tree = {**COMMAND, "model": {"function": "train.py:train"}}
    (store.folder / "x.yaml").write_text(json.dumps(tree))
    done = in_process("run", "x.yaml", "--trust", ".", "--workers", "1")
    assert done.returncode == 0, done.stderr
    resumed = in_process("resume", "latest", "--trust", ".", "--trials", "2")
    assert resumed.returncode == 0, resumed.stderr


@pytest.mark.slow
def test_a_time_limit_of_two_months_is_no_longer_than_the_system_waits(in_process, store):
    (store.folder / "train.py").write_text("def train(params, context):\n    return {'rmse': params['alpha']}\n")
    tree = {**COMMAND, "model": {"function": "train.py:train"}, "execution": {"trial_timeout": "60d", "workers": 1}}
    (store.folder / "x.yaml").write_text(json.dumps(tree))
    done = in_process("run", "x.yaml", "--trust", ".")
    assert done.returncode == 0, done.stderr
