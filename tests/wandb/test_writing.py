"""The text of an imported config: comments that break nothing."""

import pathlib

import pytest

from wine_sweep.config import parse_config
from wine_sweep.config.yaml_io import read_yaml
from wine_sweep.wandb.parameters import approximated, carried, left_out
from wine_sweep.wandb.translate import WIDTH, Translation, write_config

TREE = {
    "model": {"command": ["python", "train.py", "{args}"]},
    "search": {"method": "grid", "parameters": {"a": [1, 2], "b" * 200: [3, 4]}},
    "objective": {"metric": "loss", "direction": "minimize"},
    "execution": {"workers": 1},
}


def write(*notes, description=""):
    return write_config(Translation(TREE, notes, description), "s.yaml")


def test_what_is_written_is_read_back():
    text = write()
    assert read_yaml(text.encode(), "x").value == TREE
    assert parse_config(text.encode(), source="x", folder=pathlib.Path(), default_name="x").problems == []


def test_a_note_stands_above_its_key():
    lines = write(approximated("parameters.a", "nearly", ("search", "parameters", "a"))).splitlines()
    at = lines.index("    # parameters.a: nearly")
    assert lines[at + 1] == "    a: [1, 2]"


def test_a_note_stands_above_a_key_that_is_too_long_for_a_line():
    text = write(left_out("parameters.b.q", "why", ("search", "parameters", "b" * 200)))
    assert "    # parameters.b.q: not carried over: why\n    ? bbb" in text
    assert read_yaml(text.encode(), "x").value == TREE


def test_what_has_no_key_here_stands_at_the_top():
    text = write(left_out("entity", "no teams"), carried("run_cap", "as search.trials"))
    assert text.startswith("# Imported from s.yaml, a sweep of W&B's, by wine-sweep import-wandb.\n#\n# Not carried over:\n")
    assert "# - entity: no teams\n" in text
    assert "run_cap" not in text


def test_a_description_of_any_characters_stays_a_comment():
    text = write(description="first\n\nsecond\x07 \x85 \u2028 # third: [\ttab\x00")
    assert read_yaml(text.encode(), "x").value == TREE
    assert "# first\n#\n# second?" in text


@pytest.mark.slow
def test_long_notes_are_wrapped():
    text = write(left_out("entity", "word " * 60), approximated("a", "word " * 60, ("search", "parameters", "a")))
    assert all(len(line) <= WIDTH for line in text.splitlines() if line.lstrip().startswith("#"))
