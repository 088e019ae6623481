"""W&B's file as typed objects; what is wrong with it is said with its place."""

import pytest

from wine_sweep.errors import ConfigError
from wine_sweep.wandb.parameters import Distribution
from wine_sweep.wandb.translate import KEYS, Strategy, WandbGoal, read_sweep

START = "method: random\n"
SPACE = "parameters: {a: {value: 1}}\n"

WRONG = {
    "a list": ("- 1\n", "1:1: a W&B sweep is a mapping of keys such as `program`, `method` and `parameters`"),
    "no YAML": ("a: [1\n", "2:1: "),
    "no method": (SPACE, "1:1: method: is missing"),
    "another method": (f"method: grd\n{SPACE}", "1:9: method: got 'grd' (text); did you mean 'grid'? Allowed: grid, random"),
    "a method mistyped": (f"metod: grid\n{SPACE}", "1:1: metod: unknown key; did you mean 'method'?"),
    "no parameters": (START, "1:1: parameters: is missing"),
    "empty parameters": (f"{START}parameters: {{}}\n", "2:13: parameters: must not be empty"),
    "a parameter as a number": (
        f"{START}parameters:\n  lr: 0.1\n",
        "3:7: parameters.lr: W&B takes a mapping here, such as {value: 1}, {values: [1, 2]} or {min: 0, max: 1}; got 0.1",
    ),
    "a number for a parameter's name": (f"{START}parameters: {{1: {{value: 1}}}}\n", "2:14: parameters.1: a key must be text"),
    "nothing to try": (f"{START}parameters: {{a: {{}}}}\n", "2:17: parameters.a: nothing says what to try; W&B takes `value`"),
    "a key mistyped": (f"{START}parameters: {{a: {{vales: [1]}}}}\n", "or `parameters`; did you mean 'values'?"),
    "an end missing": (
        f"{START}parameters: {{a: {{mni: 1, max: 2}}}}\n",
        "parameters.a: uniform needs `min`; did you mean 'min'?",
    ),
    "ends the wrong way round": (
        f"{START}parameters: {{a: {{min: 2, max: 1}}}}\n",
        "2:23: parameters.a.min: `min` must not be above `max`; got min 2, max 1",
    ),
    "text for an end": (f"{START}parameters: {{a: {{min: x, max: 1}}}}\n", "parameters.a.min: expected a number, got 'x' (text)"),
    "no values": (f"{START}parameters: {{a: {{values: []}}}}\n", "2:26: parameters.a.values: must not be empty"),
    "a value for values": (f"{START}parameters: {{a: {{values: 3}}}}\n", "parameters.a.values: expected a list, got 3"),
    "probabilities of another length": (
        f"{START}parameters: {{a: {{values: [1, 2], probabilities: [1]}}}}\n",
        "2:49: parameters.a.probabilities: 1 probabilities for 2 values",
    ),
    "probabilities without values": (
        f"{START}parameters: {{a: {{distribution: categorical_w_probabilities, probabilities: [1]}}}}\n",
        "parameters.a: categorical_w_probabilities needs `values`",
    ),
    "another distribution": (
        f"{START}parameters: {{a: {{distribution: unifrm, min: 0, max: 1}}}}\n",
        "parameters.a.distribution: got 'unifrm' (text); did you mean 'uniform'?",
    ),
    "fractions for int_uniform": (
        f"{START}parameters: {{a: {{distribution: int_uniform, min: 0.5, max: 1}}}}\n",
        "parameters.a.min: int_uniform takes whole numbers, got 0.5; uniform takes others",
    ),
    "values for exponents": (
        f"{START}parameters: {{a: {{distribution: log_uniform, min: 1, max: 1000}}}}\n",
        "parameters.a.max: log_uniform takes an exponent of e, at most 700, got 1000; log_uniform_values takes values",
    ),
    "zero on a logarithmic scale": (
        f"{START}parameters: {{a: {{distribution: log_uniform_values, min: 0, max: 1}}}}\n",
        "parameters.a.min: log_uniform_values takes values above 0, got 0",
    ),
    "a negative spread": (
        f"{START}parameters: {{a: {{distribution: normal, sigma: -1}}}}\n",
        "a.sigma: must be at least 0, got -1",
    ),
    "a spread beyond all numbers": (
        f"{START}parameters: {{a: {{distribution: log_normal, sigma: 400}}}}\n",
        "parameters.a.sigma: `mu` and `sigma` lead beyond the largest number",
    ),
    "no step": (f"{START}parameters: {{a: {{distribution: q_beta, q: 0}}}}\n", "parameters.a.q: must be above 0, got 0"),
    "nested": (f"{START}parameters: {{a: {{parameters: {{b: 1}}}}}}\n", "2:34: parameters.a.parameters.b: W&B takes a mapping"),
    "two of one name": (
        f"{START}parameters:\n  a.b: {{value: 1}}\n  a: {{parameters: {{b: {{value: 2}}}}}}\n",
        "4:20: parameters.a.parameters.b: another parameter is called 'a.b' too, once nested names are joined",
    ),
    "a command as text": (f"{START}{SPACE}command: python\n", "3:10: command: expected a list, got 'python' (text)"),
    "a mapping in a command": (
        f"{START}{SPACE}command: [a, {{b: 1}}]\n",
        "3:14: command.1: a word of a command is text or a number, got a mapping",
    ),
    "an unnamed metric": (f"{START}{SPACE}metric: {{goal: minimize}}\n", "3:1: metric.name: is missing"),
    "a metric as text": (f"{START}{SPACE}metric: loss\n", "3:9: metric: expected a mapping of keys, got 'loss' (text)"),
    "another goal": (
        f"{START}{SPACE}metric: {{name: a, goal: up}}\n",
        "metric.goal: got 'up' (text); allowed: minimize, maximize",
    ),
    "metric and metrics": (
        f"{START}{SPACE}metric: {{name: a}}\nmetrics: [{{name: a}}, {{name: b}}]\n",
        "4:10: metrics: give `metric` or `metrics`, not both",
    ),
    "a metric twice": (f"{START}{SPACE}metrics: [{{name: a}}, {{name: a}}]\n", "3:10: metrics: the same metric is given twice"),
    "no runs": (f"{START}{SPACE}run_cap: 0\n", "3:10: run_cap: must be at least 1, got 0"),
    "stopping without a metric": (
        f"{START}{SPACE}early_terminate: {{type: hyperband, min_iter: 3}}\n",
        "3:18: early_terminate: ending runs early needs a `metric` to go by",
    ),
    "another way to stop": (
        f"{START}{SPACE}metric: {{name: a}}\nearly_terminate: {{type: median, min_iter: 3}}\n",
        "4:25: early_terminate.type: W&B knows `hyperband` alone, got 'median'",
    ),
    "no rungs": (
        f"{START}{SPACE}metric: {{name: a}}\nearly_terminate: {{type: hyperband, max_iter: 3}}\n",
        "4:18: early_terminate: hyperband needs `min_iter`, or `max_iter` with `s`",
    ),
    "rungs the wrong way round": (
        f"{START}{SPACE}metric: {{name: a}}\nearly_terminate: {{type: hyperband, min_iter: 9, max_iter: 3}}\n",
        "4:46: early_terminate.min_iter: `min_iter` must not be above `max_iter` 3; got 9",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said_with_its_place(name):
    text, message = WRONG[name]
    with pytest.raises(ConfigError) as raised:
        read_sweep(text.encode(), "s.yaml")
    assert message in str(raised.value)
    assert str(raised.value).startswith("s.yaml:")


def test_all_problems_come_at_once():
    with pytest.raises(ConfigError) as raised:
        read_sweep(b"method: x\nrun_cap: -1\nparameters: {a: 1, b: {min: 3, max: 1}}\n", "s.yaml")
    assert [problem.place.line for problem in raised.value.problems] == [1, 2, 3, 3]


def read(text):
    return read_sweep(text.encode(), "s.yaml")


def test_a_whole_file_is_read():
    sweep = read(f"program: t.py\nname: n\nmethod: bayes\nmetric: {{name: loss}}\nrun_cap: 3\n{SPACE}")
    assert (sweep.program, sweep.name, sweep.method, sweep.run_cap) == ("t.py", "n", Strategy.BAYES, 3)
    assert [metric.goal for metric in sweep.objectives] == [WandbGoal.MINIMIZE]


def test_words_of_a_command_are_text():
    assert read(f"{START}{SPACE}command: [a, 5, 0.5, true]\n").command == ["a", "5", "0.5", "True"]


def test_keys_that_it_has_no_use_for_are_kept_aside():
    assert read(f"{START}{SPACE}entity: me\nrun_capp: 1\n").unknown == ["entity", "run_capp"]


def test_numbers_that_yaml_1_1_takes_for_text_are_numbers():
    assert read(f"{START}parameters: {{a: {{min: 1e-3, max: 1}}}}\n").parameters["a"].min == 0.001


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("{value: 1}", Distribution.CONSTANT),
        ("{value: null}", Distribution.CONSTANT),
        ("{values: [1, 2]}", Distribution.CATEGORICAL),
        ("{values: [1, 2], probabilities: [1, 0]}", Distribution.CATEGORICAL_W_PROBABILITIES),
        ("{values: [1, 2], probabilities: [1, 0], distribution: categorical}", Distribution.CATEGORICAL_W_PROBABILITIES),
        ("{min: 1, max: 2}", Distribution.INT_UNIFORM),
        ("{min: 1, max: 2.0}", Distribution.UNIFORM),
        ("{min: 1.0, max: 2.0}", Distribution.UNIFORM),
        ("{min: 1, max: 2, distribution: uniform}", Distribution.UNIFORM),
    ],
)
def test_a_distribution_that_is_not_given_is_inferred_as_w_and_b_does(text, kind):
    assert read(f"{START}parameters: {{a: {text}}}\n").parameters["a"].kind is kind


def test_every_key_of_w_and_bs_schema_is_known():
    schema = """apiVersion kind controller description program job image_uri entity project method command name run_cap metric
    metrics scheduler early_terminate parameters parallel settings prior_runs resource resource_args"""
    assert set(schema.split()) <= set(KEYS)
