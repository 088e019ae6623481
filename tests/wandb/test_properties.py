"""What holds for every sweep that W&B takes: it becomes a config that is right, and no key of it goes unnamed."""

import pathlib

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from tests.wandb.strategies import are_distinct, sweeps_with_stopping

from wine_sweep.config import dump_yaml, parse_config
from wine_sweep.errors import ConfigError
from wine_sweep.wandb import read_sweep, translate, write_config
from wine_sweep.wandb.translate import UNUSED

pytestmark = pytest.mark.slow

MANY = settings(deadline=None, max_examples=300, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


@MANY
@given(sweeps_with_stopping())
def test_every_sweep_becomes_a_config_that_is_right(sweep):
    assume(are_distinct(sweep["parameters"]))
    text = write_config(translate(read_sweep(dump_yaml(sweep).encode(), "s.yaml")), "s.yaml")
    draft = parse_config(text.encode(), source="c.yaml", folder=pathlib.Path(), default_name="c")
    assert draft.problems == []


@MANY
@given(sweeps_with_stopping())
def test_keys_that_are_not_carried_over_are_named(sweep):
    assume(are_distinct(sweep["parameters"]))
    named = {note.key for note in translate(read_sweep(dump_yaml(sweep).encode(), "s.yaml")).notes}
    assert set(sweep) & set(UNUSED) <= named
    for section, keys in (("metric", ("impute", "impute_while_running")), ("early_terminate", ("strict", "s"))):
        assert {f"{section}.{key}" for key in keys if key in sweep.get(section, {})} <= named


@MANY
@given(sweeps_with_stopping(), st.data())
def test_a_file_with_a_key_changed_is_right_or_a_config_error(sweep, data):
    path = [data.draw(st.sampled_from(sorted(sweep)))]
    inner = sweep
    while isinstance(inner[path[-1]], dict) and inner[path[-1]] and data.draw(st.booleans()):
        inner = inner[path[-1]]
        path.append(data.draw(st.sampled_from(sorted(inner))))
    inner[path[-1]] = data.draw(st.sampled_from([None, -1, 0, 1e400, "", "x", [], [[]], {}, {"a": 1}, True, "\x07"]))
    try:
        text = write_config(translate(read_sweep(dump_yaml(sweep).encode(), "s.yaml")), "s.yaml")
    except ConfigError as error:
        problems = error.problems
    else:
        problems = parse_config(text.encode(), source="s.yaml:0", folder=pathlib.Path(), default_name="c").problems
    assert all(str(problem).startswith("s.yaml:") for problem in problems)
