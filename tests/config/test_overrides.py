"""`--set key.path=value`."""

import pathlib

import pytest

from wine_sweep.config import Choices, Range, parse_config
from wine_sweep.errors import ConfigError

TEXT = """\
data: {source: a.csv, seed: 1}
model: {estimator: a.B, params: {x: 1, y: [2]}}
search: {parameters: {c: [1, 2], d: {low: 1, high: 2}}}
"""


def draft_of(*overrides):
    return parse_config(TEXT.encode(), source="c.yaml", folder=pathlib.Path(), default_name="c", overrides=overrides)


def config_of(*overrides):
    draft = draft_of(*overrides)
    assert draft.problems == []
    return draft.config


def refusal_of(*overrides):
    with pytest.raises(ConfigError) as caught:
        draft_of(*overrides)
    return str(caught.value)


def test_a_value_is_replaced():
    assert config_of("data.seed=7").data.seed == 7


def test_a_value_that_was_left_out_is_set():
    config = config_of("search.trials=5", "experiment=wine")
    assert config.search.trials == 5
    assert config.experiment == "wine"


def test_a_section_that_was_left_out_is_made():
    assert config_of("registry.name=wine").registry.name == "wine"
    assert config_of("evaluation.cv.folds=3").evaluation.cv.folds == 3


def test_what_stands_beside_stays():
    config = config_of("model.params.x=5")
    assert config.model.params == {"x": 5, "y": [2]}
    assert config.data.source == "a.csv"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[3, 4]", [3, 4]), ("1e-3", 0.001), ("on", "on"), ("'1'", "1"), ("null", None), ("", None), ("  ", None), ("true", True),
        ("{a: [1]}", {"a": [1]}), ("a=b", "a=b"), (" 5 ", 5), ("a b", "a b"), ("2024-01-01", "2024-01-01"),
    ],
)  # fmt: skip
def test_a_value_is_read_as_yaml(text, value):
    assert config_of(f"model.params.x={text}").model.params["x"] == value


def test_a_list_or_mapping_replaces_all_of_what_stood_there():
    assert config_of("search.parameters.c=[9]").search.parameters["c"] == Choices(choices=[9])
    assert config_of("search.parameters.d={low: 3, high: 4}").search.parameters["d"] == Range(low=3, high=4)
    assert list(config_of("search.parameters={e: [1]}").search.parameters) == ["e"]


def test_a_new_parameter_is_added_behind_the_others():
    assert list(config_of("search.parameters.b=[1]").search.parameters) == ["c", "d", "b"]


def test_of_two_overrides_the_later_counts():
    assert config_of("data.seed=7", "data.seed=8").data.seed == 8
    assert config_of("data={source: b.csv}", "data.seed=8").data.source == "b.csv"


def test_spaces_around_the_key_do_not_count():
    assert config_of(" data.seed =7").data.seed == 7


def test_the_files_text_stays_as_written():
    assert draft_of("data.seed=7").text == TEXT


@pytest.mark.parametrize("override", ["data.seed.x=1", "search.parameters.c.0=1", "model.params.y.z.w=1"])
def test_a_path_through_something_that_is_no_mapping_is_refused(override):
    assert refusal_of(override).startswith(f"--set {override}: ")
    assert refusal_of(override).endswith("cannot be set inside something that is no mapping of keys")


@pytest.mark.parametrize("override", ["data.seed", "=5", "", ".=1", "data.=1", ".seed=1", "data..seed=1"])
def test_what_is_no_assignment_is_refused(override):
    assert refusal_of(override) == f"--set {override}: expected key.path=value, as in search.trials=50"


@pytest.mark.parametrize(
    "override", ["data.seed=[1", "data.seed={a: 1, a: 2}", "data.seed=!!python/name:os.system x", "data.seed=a: b: c"]
)
def test_a_value_that_is_no_yaml_is_refused(override):
    assert refusal_of(override).startswith(f"--set {override}:1:")


def test_a_value_that_is_only_a_comment_is_nothing():
    assert config_of("experiment=# none").experiment is None


def test_problems_of_overrides_are_placed_at_them():
    draft = draft_of("data.seed=-1", "search.trials=0", "model.colour=red")
    assert {(str(problem.place), ".".join(map(str, problem.path))) for problem in draft.problems} == {
        ("--set data.seed=-1", "data.seed"),
        ("--set model.colour=red", "model.colour"),
        ("--set search.trials=0", "search.trials"),
    }


def test_what_a_replaced_section_lacks_is_placed_at_the_override():
    (only,) = draft_of("search={method: grid}").problems
    assert str(only) == "--set search={method: grid}: search.parameters: is missing: what is to be searched"


def test_what_an_override_leaves_alone_keeps_its_place_in_the_file():
    draft = parse_config(
        TEXT.replace("seed: 1", "seed: x").encode(),
        source="c.yaml", folder=pathlib.Path(), default_name="c", overrides=["search.trials=0"],
    )  # fmt: skip
    assert [str(problem.place) for problem in draft.problems] == ["c.yaml:1:29", "--set search.trials=0"]


def test_an_override_can_mend_what_is_wrong():
    text = TEXT.replace("seed: 1", "seed: x").encode()
    draft = parse_config(text, source="c.yaml", folder=pathlib.Path(), default_name="c", overrides=["data.seed=1"])
    assert draft.problems == []


def test_an_anchor_that_is_shared_is_changed_only_where_it_was_asked_for():
    text = "data: {source: a.csv}\nmodel: {estimator: a.B}\nsearch: {parameters: {c: &r {low: 1, high: 5}, d: *r}}\n"
    draft = parse_config(
        text.encode(), source="c.yaml", folder=pathlib.Path(), default_name="c", overrides=["search.parameters.d.high=9"]
    )
    assert (draft.config.search.parameters["c"].high, draft.config.search.parameters["d"].high) == (5, 9)
