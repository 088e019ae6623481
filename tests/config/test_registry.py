"""The section `registry`: the model's name, the stage, and every form of the gate."""

import json
import pathlib

import pytest
from pydantic import ValidationError

from wine_sweep.config import GateConfig, RegistryConfig, Stage, SweepConfig, dump_config, parse_config
from wine_sweep.config.yaml_io import read_yaml

DATA = "data: {source: a.csv, target: y}\n"
MODEL = "model: {estimator: a.B}\n"
SEARCH = "search: {parameters: {c: [1]}}\n"
OWN = "objective: {metric: loss, direction: minimize}\n"
COMMAND = f"model: {{command: [a]}}\n{SEARCH}{OWN}"
FUNCTION = f"model: {{function: a.py:train}}\n{SEARCH}{OWN}"


def parse(text):
    return parse_config(text.encode(), source="c.yaml", folder=pathlib.Path(), default_name="c")


def registry(form, sweep=DATA + MODEL + SEARCH):
    draft = parse(f"{sweep}registry: {{name: wine{form}}}\n")
    assert draft.problems == []
    return draft.config.registry


def test_a_stage_has_an_alias():
    assert [stage.alias for stage in Stage] == ["staging", "production"]


@pytest.mark.parametrize("name", ["wine", "wine quality", "wine-quality_2", "Wein é"])
def test_a_models_name_may_hold_words(name):
    assert RegistryConfig(name=name).name == name


@pytest.mark.parametrize("character", "/:.@%\"'\n")
def test_a_models_name_that_would_break_a_reference_is_refused(character):
    with pytest.raises(ValidationError):
        RegistryConfig(name=f"wine{character}quality")


@pytest.mark.parametrize("form", ["", ", gate: true", ", gate: {}"])
def test_a_gate_is_there_unless_it_is_turned_off(form):
    gate = registry(form).gate
    assert gate == GateConfig()
    assert (gate.min_improvement, gate.confidence, gate.min_rows, gate.slices) == (0.0, 0.95, 30, [])
    assert (gate.slice_margin, gate.seed) == (0.0, 0)


@pytest.mark.parametrize("form", ["false", "null", ""])
def test_a_gate_can_be_turned_off(form):
    assert registry(f", gate: {form}").gate is None
    assert RegistryConfig(name="wine", gate=None).gate is None


def test_every_key_of_a_gate_can_be_given():
    form = "{min_improvement: 0.5, confidence: 0.99, min_rows: 2, slices: [a, b], slice_margin: 1, seed: 7}"
    gate = registry(f", gate: {form}").gate
    assert gate.model_dump() == {
        "min_improvement": 0.5,
        "confidence": 0.99,
        "min_rows": 2,
        "slices": ["a", "b"],
        "slice_margin": 1.0,
        "seed": 7,
    }


@pytest.mark.parametrize("confidence", [0.5000001, 0.9998])
def test_a_confidence_at_its_limits_is_allowed(confidence):
    assert GateConfig(confidence=confidence).confidence == confidence


@pytest.mark.parametrize(
    "keys",
    [
        {"confidence": 0.5},
        {"confidence": 0.99981},
        {"confidence": 1},
        {"confidence": float("nan")},
        {"min_rows": 1},
        {"min_rows": 30.0},
        {"min_rows": True},
        {"min_improvement": -1e-9},
        {"min_improvement": float("inf")},
        {"min_improvement": "0.1"},
        {"slice_margin": -0.1},
        {"slices": "a"},
        {"slices": [1]},
        {"slices": [""]},
        {"slices": ["a", "b", "a"]},
        {"slices": None},
        {"seed": -1},
        {"resamples": 5},
    ],
    ids=str,
)
def test_a_gate_beyond_its_limits_is_refused(keys):
    with pytest.raises(ValidationError):
        GateConfig(**keys)


@pytest.mark.parametrize(
    ("form", "gate", "asked"),
    [
        ("", GateConfig(), False),
        (", gate: true", GateConfig(), True),
        (", gate: {}", GateConfig(), True),
        (", gate: false", None, False),
        (", gate: {min_rows: 5, slices: [a]}", GateConfig(min_rows=5, slices=["a"]), True),
    ],
)
def test_a_dumped_gate_reads_back_as_it_was_and_as_much_asked_for(form, gate, asked):
    config = parse(f"{DATA}{MODEL}{SEARCH}registry: {{name: wine{form}}}\n").config
    again = parse(dump_config(config)).config
    for each in (config, again):
        assert each.registry.gate == gate
        assert each.registry.asks_for_gate is asked
    assert again == config
    assert again.model_dump_json() == config.model_dump_json()
    copied = config.model_copy(update={"name": "other"})
    assert parse(dump_config(copied)).config.registry.asks_for_gate is asked


@pytest.mark.parametrize("sweep", [COMMAND, FUNCTION], ids=["command", "function"])
def test_code_that_measures_by_itself_has_no_gate_to_ask_for(sweep):
    assert not registry("", sweep).asks_for_gate
    assert registry(", gate: false", sweep).gate is None
    config = parse(f"{sweep}registry: {{name: wine}}\n").config
    assert parse(dump_config(config)).problems == []


@pytest.mark.parametrize("gate", ["true", "{}", "{min_rows: 30}"])
@pytest.mark.parametrize(
    ("sweep", "why"),
    [
        (COMMAND, "a command measures on rows that only it knows; leave `gate` out"),
        (FUNCTION, "there is no `data` with rows to compare models on; leave `gate` out"),
    ],
    ids=["command", "function"],
)
def test_a_gate_without_rows_to_compare_models_on_is_refused(sweep, why, gate):
    (problem,) = parse(f"{sweep}registry: {{name: wine, gate: {gate}}}\n").problems
    assert str(problem) == f"c.yaml:4:30: registry.gate: {why}"


def test_a_function_with_data_has_a_gate():
    assert registry(", gate: {min_rows: 9}", DATA + FUNCTION).gate.min_rows == 9


@pytest.mark.slow
@pytest.mark.parametrize("form", ["true", "false", "null", "{}", "{confidence: 0.9, slices: [a], slice_margin: 0}"])
def test_the_json_schema_accepts_every_form_of_a_gate(form):
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed: the schema itself is not tried")
    text = f"{DATA}{MODEL}{SEARCH}registry: {{name: wine, gate: {form}}}\n"
    jsonschema.validate(read_yaml(text.encode(), "c.yaml").value, SweepConfig.model_json_schema())


@pytest.mark.slow
@pytest.mark.parametrize("form", ["5", "strict", "[a]", "{rows: 5}", "{confidence: 1}", "{min_rows: 1}", "{slices: a}"])
def test_the_json_schema_refuses_other_gates_as_the_config_does(form):
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed: the schema itself is not tried")
    text = f"{DATA}{MODEL}{SEARCH}registry: {{name: wine, gate: {form}}}\n"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(read_yaml(text.encode(), "c.yaml").value, SweepConfig.model_json_schema())
    assert parse(text).problems
    assert json.dumps(SweepConfig.model_json_schema()["$defs"]["GateConfig"]["properties"])
