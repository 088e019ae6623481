"""The models behind a config, and the JSON Schema that editors use."""

import json
import pathlib

import pytest
from pydantic import TypeAdapter, ValidationError

from wine_sweep.config import Choices, CrossValidation, ExecutionConfig, Range, RetriesConfig, SweepConfig
from wine_sweep.config.validation import Bytes, Duration
from wine_sweep.config.yaml_io import read_yaml

CONFIGS = sorted((pathlib.Path(__file__).parents[2] / "configs").glob("*.yaml"))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("10m", 600),
        ("1h30m", 5400),
        ("2d", 172_800),
        ("500ms", 0.5),
        ("1.5h", 5400),
        (90, 90),
        (0.5, 0.5),
        ("1d1h1m1s", 90_061),
    ],
)
def test_a_duration_is_seconds(text, seconds):
    assert TypeAdapter(Duration).validate_python(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4GB", 4_000_000_000),
        ("4GiB", 2**32),
        ("512MiB", 2**29),
        ("1.5 KB", 1500),
        ("2TB", 2 * 10**12),
        ("7B", 7),
        (67_108_864, 67_108_864),
    ],
)
def test_a_size_is_bytes(text, size):
    assert TypeAdapter(Bytes).validate_python(text) == size


@pytest.mark.parametrize("text", ["", "GB", "4", "4gb", "4G", "-4GB", "1e9", "4GB ", 4.0, True, None, 0, -1, "0B"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ValidationError):
        TypeAdapter(Bytes).validate_python(text)


def test_a_number_of_retries_is_meant_for_lost_workers():
    assert ExecutionConfig().retries == RetriesConfig(worker=1, timeout=0, memory=0, error=0)
    assert ExecutionConfig(retries=3).retries == RetriesConfig(worker=3)
    assert ExecutionConfig(retries=0).retries.worker == 0
    assert ExecutionConfig(retries={"error": 2}).retries == RetriesConfig(worker=1, error=2)


@pytest.mark.parametrize("address", ["tcp://scheduler:8786", "tls://10.0.0.1:1", "tcp://[::1]:65535", "tcp://a-b.example.org:80"])
def test_an_address_is_taken_as_dask_writes_it(address):
    assert ExecutionConfig(backend="dask", address=address).address == address


def test_memory_has_a_least_limit():
    assert ExecutionConfig(memory_limit="64MiB").memory_limit == 2**26
    with pytest.raises(ValidationError, match="must be at least 64MiB"):
        ExecutionConfig(memory_limit=2**26 - 1)


@pytest.mark.parametrize(
    "text",
    ["", "m", "10", "10 m", "-5s", "1e3s", "10min", "1:30", "5S", True, None, [1], 0, -1, "0s", float("inf"), float("nan")],
)
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ValidationError):
        TypeAdapter(Duration).validate_python(text)


@pytest.mark.parametrize(
    ("form", "is_int"),
    [
        ({"low": 1, "high": 2}, True),
        ({"low": 1.0, "high": 2}, False),
        ({"low": 1, "high": 2.0}, False),
        ({"low": 1, "high": 3, "step": 1}, True),
        ({"low": 1, "high": 3, "step": 0.5}, False),
        ({"low": 1, "high": 3, "type": "float"}, False),
    ],
)
def test_a_range_is_of_whole_numbers_when_all_of_it_is(form, is_int):
    assert Range.model_validate(form).is_int is is_int


@pytest.mark.parametrize(
    "form",
    [
        {"low": 0, "high": 1, "step": 1},
        {"low": 1e-300, "high": 1, "log": True},
        {"low": 0, "high": 1, "num": 2},
        {"low": 0.1, "high": 1, "num": 1_000_000},
    ],
)
def test_a_range_at_its_limits_is_allowed(form):
    assert Range.model_validate(form)


@pytest.mark.parametrize(
    "form",
    [
        {"low": 1, "high": 1},
        {"low": 0, "high": 1, "step": 1.01},
        {"low": 0, "high": 1, "step": 0},
        {"low": 0.1, "high": 1, "num": 1_000_001},
    ],
)
def test_a_range_beyond_its_limits_is_refused(form):
    with pytest.raises(ValidationError):
        Range.model_validate(form)


@pytest.mark.parametrize("values", [[1, 1], [None, None], ["a", "a"], [{"a": 1, "b": 2}, {"b": 2, "a": 1}], [[1], [1]]])
def test_a_choice_given_twice_is_refused(values):
    with pytest.raises(ValidationError, match="is given twice"):
        Choices(choices=values)


@pytest.mark.parametrize("values", [[1, 1.0], [1, True], [0, False, None], ["1", 1], [[1], [1.0]]])
def test_choices_of_different_types_are_different(values):
    assert Choices(choices=values).choices == values


@pytest.mark.parametrize(
    ("cv", "words"),
    [
        (CrossValidation(folds=5), "5 folds"),
        (CrossValidation(folds=5, repeats=2), "5 folds × 2"),
        (CrossValidation(holdout=0.2), "a hold-out split"),
        (CrossValidation(time_series=3), "3 splits in time"),
    ],
)
def test_an_evaluation_is_described(cv, words):
    assert cv.describe() == words


def test_one_serial_worker_may_be_named():
    assert ExecutionConfig(backend="serial", workers=1).workers == 1


@pytest.mark.parametrize("workers", [0, 1025, 1.5, "2", True])
def test_workers_out_of_bounds_are_refused(workers):
    with pytest.raises(ValidationError):
        ExecutionConfig(workers=workers)


def test_the_json_schema_is_json_and_refuses_unknown_keys():
    schema = SweepConfig.model_json_schema()
    assert json.loads(json.dumps(schema)) == schema
    assert set(schema["required"]) == {"search"}
    assert schema["anyOf"][0] == {"required": ["data"]}
    assert schema["oneOf"] == [{"required": ["model"]}, {"required": ["models"]}]
    assert schema["additionalProperties"] is False
    assert all(schema["$defs"][name]["additionalProperties"] is False for name in ("DataConfig", "ModelConfig", "SearchConfig"))


@pytest.mark.slow
@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_json_schema_accepts_the_shipped_configs(path):
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed: the schema itself is not tried")
    jsonschema.validate(read_yaml(path.read_bytes(), path.name).value, SweepConfig.model_json_schema())


@pytest.mark.slow
@pytest.mark.parametrize(
    "form",
    [
        "[1, 2]",
        "{choices: [1]}",
        "{low: 1, high: 2}",
        "5",
        "text",
        "null",
        "true",
        "0.5",
        "{low: 0.1, high: 1, log: true, num: 3}",
    ],
)
def test_the_json_schema_accepts_every_form_of_a_parameter(form):
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed: the schema itself is not tried")
    text = f"data: {{source: a.csv}}\nmodel: {{estimator: a.B}}\nsearch: {{parameters: {{c: {form}}}}}\n"
    jsonschema.validate(read_yaml(text.encode(), "c.yaml").value, SweepConfig.model_json_schema())


@pytest.mark.parametrize(
    "text", ["search: {parameters: {c: {low: 1}}}", "search: {parameters: {c: [1]}, trails: 3}", "model: {estimator: 5}"]
)
def test_the_json_schema_refuses_what_the_config_does(text):
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed: the schema itself is not tried")
    tree = {"data": {"source": "a.csv"}, "model": {"estimator": "a.B"}, "search": {"parameters": {"c": [1]}}}
    tree |= read_yaml(text.encode(), "c.yaml").value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(tree, SweepConfig.model_json_schema())
