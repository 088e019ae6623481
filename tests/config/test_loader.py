"""From a file to a config: defaults, names, folders."""

import pathlib
import pickle

import pytest
from pydantic import ValidationError

from wine_sweep.config import (
    METHODS,
    Backend,
    BootstrapConfig,
    Choices,
    CrossValidation,
    Duplicates,
    NotKnown,
    Range,
    Stage,
    SweepConfig,
    dump_config,
    parse_config,
    read_config,
)
from wine_sweep.config.yaml_io import read_yaml
from wine_sweep.errors import ConfigError

CONFIGS = sorted((pathlib.Path(__file__).parents[2] / "configs").glob("*.yaml"))
SMALLEST = "data: {source: a.csv}\nmodel: {estimator: a.B}\nsearch: {parameters: {c: [1]}}\n"


def parse(text):
    draft = parse_config(text.encode(), source="c.yaml", folder=pathlib.Path("/data"), default_name="stem")
    assert draft.problems == []
    return draft


def written(folder, name, text=SMALLEST):
    (folder / name).write_text(text)
    return folder / name


def test_what_a_config_leaves_out_has_a_default():
    config = parse(SMALLEST).config
    assert config.name == "stem"
    assert config.experiment is None
    assert (config.data.target, config.data.test_size, config.data.seed) == (None, 0.25, 0)
    assert config.data.duplicates is Duplicates.GROUP
    assert config.model.params == {}
    assert config.search.method.name == "grid"
    assert (config.search.trials, config.search.timeout, config.search.seed, config.search.initial) == (None, None, 0, [])
    assert config.evaluation.cv == CrossValidation(folds=5)
    assert config.evaluation.metrics is None
    assert config.objective is None
    assert (config.execution.backend, config.execution.workers) == (Backend.PROCESSES, None)
    assert config.registry is None


def test_a_registry_without_a_stage_means_staging():
    assert parse(SMALLEST + "registry: {name: wine}\n").config.registry.stage is Stage.STAGING


@pytest.mark.parametrize(
    ("file", "name"),
    [("grid.yaml", "grid"), ("my-sweep.yml", "my-sweep"), ("a.b.yaml", "a.b"), ("plain", "plain"), (".yaml", ".yaml")],
)
def test_a_sweep_is_named_after_its_file(file, name, tmp_path):
    assert read_config(written(tmp_path, file)).config.name == name


def test_a_name_of_its_own_wins(tmp_path):
    assert read_config(written(tmp_path, "c.yaml", "name: mine\n" + SMALLEST)).config.name == "mine"


def test_an_empty_name_key_means_the_files_name(tmp_path):
    assert read_config(written(tmp_path, "c.yaml", "name:\n" + SMALLEST)).config.name == "c"


def test_the_folder_is_the_files_and_the_text_is_kept(tmp_path, monkeypatch):
    written(tmp_path, "c.yaml", "# why\n" + SMALLEST)
    monkeypatch.chdir(tmp_path)
    draft = read_config(pathlib.Path("c.yaml"))
    assert draft.folder == tmp_path.resolve()
    assert draft.text == "# why\n" + SMALLEST


def test_the_folder_of_a_linked_config_is_where_the_file_is(tmp_path):
    (tmp_path / "real").mkdir()
    written(tmp_path / "real", "c.yaml")
    (tmp_path / "link.yaml").symlink_to(tmp_path / "real" / "c.yaml")
    assert read_config(tmp_path / "link.yaml").folder == (tmp_path / "real").resolve()


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + SMALLEST.encode())
    assert read_config(path).text == SMALLEST


def test_a_folder_for_a_config_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        read_config(tmp_path)


def test_a_huge_file_is_not_read_to_its_end(tmp_path):
    path = tmp_path / "huge.yaml"
    with path.open("wb") as file:
        file.truncate(10**10)  # a hole: takes no room on the disk
    with pytest.raises(ConfigError, match="at most 1,048,576 are read"):
        read_config(path)


def test_problems_stand_in_the_order_of_the_file():
    text = "registry: {}\nsearch: {parameters: {}}\nmodel: {}\ndata: {source: a.csv, seed: -1, target: 5}\n"
    draft = parse_config(text.encode(), source="c.yaml", folder=pathlib.Path(), default_name="c")
    assert [str(problem.place) for problem in draft.problems] == [
        "c.yaml:1:1",
        "c.yaml:2:22",
        "c.yaml:3:8",
        "c.yaml:4:29",
        "c.yaml:4:41",
    ]


def test_the_forms_of_a_parameter():
    text = (
        "data: {source: a.csv}\nmodel: {estimator: a.B}\nsearch:\n  method: random\n  trials: 3\n  parameters:\n"
        "    listed: [1, two, 3.0, null, true, [4], {estimator: a.C}]\n"
        "    chosen: {choices: [x]}\n    ranged: {low: 1, high: 9}\n    float: {low: 1, high: 9, type: float}\n"
        "    log: {low: 1e-3, high: 1, log: true}\n    constant: 5\n    word: on\n    nothing:\n"
    )
    parameters = parse(text).config.search.parameters
    assert parameters["listed"] == Choices(choices=[1, "two", 3.0, None, True, [4], {"estimator": "a.C"}])
    assert parameters["chosen"] == Choices(choices=["x"])
    assert parameters["ranged"] == Range(low=1, high=9)
    assert parameters["ranged"].is_int
    assert not parameters["float"].is_int
    assert (parameters["log"].low, parameters["log"].is_int) == (0.001, False)
    assert parameters["constant"] == Choices(choices=[5])
    assert parameters["word"] == Choices(choices=["on"])
    assert parameters["nothing"] == Choices(choices=[None])
    assert list(parameters) == ["listed", "chosen", "ranged", "float", "log", "constant", "word", "nothing"]


def test_a_whole_number_a_fraction_and_a_truth_are_different_choices():
    choices = parse(SMALLEST.replace("[1]", "[1, 1.0, true]")).config.search.parameters["c"].choices
    assert [type(choice) for choice in choices] == [int, float, bool]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7", CrossValidation(folds=7)),
        ("{folds: 5, repeats: 2, seed: 3}", CrossValidation(folds=5, repeats=2, seed=3)),
        ("{holdout: 0.2}", CrossValidation(holdout=0.2)),
        ("{time_series: 4}", CrossValidation(time_series=4)),
    ],
)
def test_the_forms_of_cross_validation(text, expected):
    assert parse(f"{SMALLEST}evaluation: {{cv: {text}}}\n").config.evaluation.cv == expected


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("500", BootstrapConfig(resamples=500)),
        ("0", BootstrapConfig(resamples=0)),
        ("40", BootstrapConfig(resamples=40, confidence=0.95)),
        ("{confidence: 0.9}", BootstrapConfig(resamples=1000, confidence=0.9)),
        ("{resamples: 200, confidence: 0.99}", BootstrapConfig(resamples=200, confidence=0.99)),
    ],
)
def test_the_forms_of_the_bootstrap(text, expected):
    assert parse(f"{SMALLEST}evaluation: {{bootstrap: {text}}}\n").config.evaluation.bootstrap == expected
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed: the schema itself is not tried")
    tree = read_yaml(f"{SMALLEST}evaluation: {{bootstrap: {text}}}\n".encode(), "c.yaml").value
    jsonschema.validate(tree, SweepConfig.model_json_schema())


def test_what_is_right_is_kept_when_something_else_is_wrong():
    text = "data: {source: a.csv, seed: -1}\nmodel: {estimator: a.B}\nsearch: {parameters: {c: []}}\n"
    draft = parse_config(text.encode(), source="c.yaml", folder=pathlib.Path(), default_name="c")
    assert draft.config is None
    assert draft.known.data.source == "a.csv"
    with pytest.raises(NotKnown, match="seed"):
        _ = draft.known.data.seed
    assert draft.known.model.estimator == "a.B"
    assert draft.known.evaluation.cv.folds == 5
    assert [problem.path for problem in draft.problems] == [("data", "seed"), ("search", "parameters", "c")]


@pytest.mark.parametrize(("regret", "problems"), [("null", []), ("false", []), ("{min_trials: 8}", [("search", "regret")])])
def test_a_section_that_is_wrong_has_its_defaults_typed_and_may_leave_what_is_gone_off(regret, problems):
    text = (
        f"data: {{source: a.csv}}\nmodel: {{estimator: a.B}}\nsearch: {{parameters: {{c: [1]}}, trials: x, regret: {regret}}}\n"
    )
    draft = parse_config(text.encode(), source="c.yaml", folder=pathlib.Path(), default_name="c")
    assert draft.known.search.method is METHODS["grid"]
    assert [problem.path for problem in draft.problems] == [("search", "trials"), *problems]
    assert [problem.code for problem in draft.problems][1:] == ["unknown-key"] * len(problems)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_shipped_config_reads_and_dumps(path):
    draft = read_config(path)
    assert draft.problems == []
    assert parse(dump_config(draft.config)).config == draft.config


def test_a_dump_says_the_defaults_too():
    dumped = read_yaml(dump_config(parse(SMALLEST).config).encode(), "dump").value
    assert dumped["data"] == {
        "source": "a.csv",
        "target": None,
        "test_size": 0.25,
        "seed": 0,
        "duplicates": "group",
        "groups": None,
        "weights": None,
        "features": None,
        "drop": [],
        "new": None,
        "separator": None,
        "decimal": ".",
        "thousands": None,
        "comment": None,
        "encoding": None,
        "sheet": None,
        "na_values": [],
        "keep_default_na": True,
        "dtypes": {},
        "max_size": 2_000_000_000,
    }
    assert dumped["evaluation"]["bootstrap"] == {"resamples": 1000, "confidence": 0.95}
    assert dumped["search"]["parameters"] == {"c": {"choices": [1], "when": None}}
    assert dumped["evaluation"]["cv"]["folds"] == 5
    assert dumped["execution"]["backend"] == "processes"


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [("data", "seed", 5), ("search", "method", "tpe"), ("model", "estimator", "x.Y"), ("execution", "workers", 2)],
)
def test_a_config_is_frozen(section, key, value):
    config = parse(SMALLEST).config
    with pytest.raises(ValidationError, match="frozen"):
        setattr(getattr(config, section), key, value)
    with pytest.raises(ValidationError, match="frozen"):
        setattr(config, section, None)


def test_a_parameter_is_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        Range(low=1, high=2).low = 0
    with pytest.raises(ValidationError, match="frozen"):
        Choices(choices=[1]).choices = []


def test_defaults_are_not_shared_with_what_is_read():
    one, two = parse(SMALLEST).config, parse(SMALLEST).config
    assert isinstance(one, SweepConfig)
    one.model.params["x"] = 1
    assert two.model.params == {}


def test_a_backend_is_a_row_with_its_traits_and_is_written_by_its_name():
    assert [(backend.value, str(backend)) for backend in Backend] == [(name, name) for name in ("serial", "processes", "dask")]
    assert pickle.loads(pickle.dumps(Backend.DASK)) is Backend.DASK is Backend("dask")
    assert [backend for backend in Backend if backend.traits.runs_in_this_process] == [Backend.SERIAL]
    assert [backend for backend in Backend if not backend.traits.shares_this_disk] == [Backend.DASK]
    assert all(backend.traits.can_kill for backend in Backend if not backend.traits.runs_in_this_process)
