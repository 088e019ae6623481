"""Each of W&B's distributions as values or a range of ours."""

import math

import pytest

from wine_sweep.wandb.parameters import GRID_POINTS, Distribution, NoteKind, Parameter, convert

NUMBERS = {
    "a constant": ({"value": 3}, 3),
    "a constant list": ({"value": [1, 2]}, {"choices": [[1, 2]]}),
    "a constant mapping": ({"value": {"a": 1}}, {"choices": [{"a": 1}]}),
    "a constant null": ({"value": None, "distribution": "constant"}, None),
    "values": ({"values": [1, "a", None]}, [1, "a", None]),
    "one value": ({"values": ["a"]}, "a"),
    "one list as a value": ({"values": [[1]]}, {"choices": [[1]]}),
    "values of several types": ({"values": [1, 1.0, True, "1"]}, [1, 1.0, True, "1"]),
    "probabilities": ({"values": [1, 2], "probabilities": [0.1, 0.9]}, [1, 2]),
    "whole numbers": ({"min": 1, "max": 9}, {"low": 1, "high": 9}),
    "one whole number": ({"min": 4, "max": 4}, 4),
    "numbers": ({"min": 0, "max": 0.5}, {"low": 0.0, "high": 0.5}),
    "numbers between whole ends": ({"distribution": "uniform", "min": 0, "max": 1}, {"low": 0.0, "high": 1.0}),
    "steps": ({"distribution": "q_uniform", "min": 0, "max": 1, "q": 0.1}, {"low": 0.0, "high": 1.0, "step": 0.1}),
    "whole steps": ({"distribution": "q_uniform", "min": 8, "max": 64, "q": 8}, {"low": 8, "high": 64, "step": 8}),
    "steps of one": ({"distribution": "q_uniform", "min": 0.0, "max": 5.0}, {"low": 0, "high": 5, "step": 1}),
    "steps beside the ends": ({"distribution": "q_uniform", "min": 1, "max": 10, "q": 4}, {"low": 0, "high": 8, "step": 4}),
    "one step": ({"distribution": "q_uniform", "min": 0.2, "max": 0.3, "q": 0.1}, [0.2, 0.3]),
    "less than a step": ({"distribution": "q_uniform", "min": 0.9, "max": 1.1}, 1),
    "values on a logarithmic scale": (
        {"distribution": "log_uniform_values", "min": 0.001, "max": 1},
        {"low": 0.001, "high": 1.0, "log": True},
    ),
    "exponents": ({"distribution": "log_uniform", "min": 0, "max": 1}, {"low": 1.0, "high": 2.71828, "log": True}),
    "exponents of the inverse": (
        {"distribution": "inv_log_uniform", "min": 0, "max": 1},
        {"low": 0.367879, "high": 1.0, "log": True},
    ),
    "values of the inverse": (
        {"distribution": "inv_log_uniform_values", "min": 0.1, "max": 10},
        {"low": 0.1, "high": 10.0, "log": True},
    ),
    "one exponent": ({"distribution": "log_uniform", "min": 0, "max": 0}, 1.0),
    "whole numbers on a logarithmic scale": (
        {"distribution": "q_log_uniform_values", "min": 1, "max": 256},
        {"low": 1, "high": 256, "log": True},
    ),
    "whole steps on a logarithmic scale": (
        {"distribution": "q_log_uniform_values", "min": 32, "max": 256, "q": 8},
        {"low": 32, "high": 256, "log": True},
    ),
    "steps on a logarithmic scale": (
        {"distribution": "q_log_uniform_values", "min": 0.1, "max": 2.5, "q": 0.1},
        {"low": 0.1, "high": 2.5, "log": True},
    ),
    "exponents with a step": (
        {"distribution": "q_log_uniform", "min": 0, "max": math.log(100)},
        {"low": 1, "high": 100, "log": True},
    ),
    "below one with a step of one": (
        {"distribution": "q_log_uniform_values", "min": 0.1, "max": 20},
        {"low": 1, "high": 20, "log": True},
    ),
    "normal": ({"distribution": "normal", "mu": 0.3, "sigma": 0.1}, {"low": 0.0, "high": 0.6}),
    "normal by default": ({"distribution": "normal"}, {"low": -3.0, "high": 3.0}),
    "normal without spread": ({"distribution": "normal", "mu": 2, "sigma": 0}, 2.0),
    "normal with a step": (
        {"distribution": "q_normal", "mu": 10, "sigma": 2, "q": 2},
        {"low": 4, "high": 16, "step": 2},
    ),
    "log-normal": ({"distribution": "log_normal", "mu": 0, "sigma": 1}, {"low": 0.0497871, "high": 20.0855, "log": True}),
    "log-normal with a step": (
        {"distribution": "q_log_normal", "mu": 2, "sigma": 0.5},
        {"low": 2, "high": 33, "log": True},
    ),
    "beta": ({"distribution": "beta", "a": 2, "b": 5}, {"low": 0.0, "high": 1.0}),
    "flat beta": ({"distribution": "beta"}, {"low": 0.0, "high": 1.0}),
    "beta with a step": ({"distribution": "q_beta", "q": 0.25}, {"low": 0.0, "high": 1.0, "step": 0.25}),
    "beta with a step of one": ({"distribution": "q_beta"}, [0, 1]),
}  # fmt: skip


@pytest.mark.parametrize("name", NUMBERS)
def test_a_distribution_becomes(name):
    given, expected = NUMBERS[name]
    spec = convert(Parameter.model_validate(given), in_grid=False).spec
    assert spec == expected
    assert repr(spec) == repr(expected)  # 1, 1.0 and true are not the same


def test_every_distribution_is_tried():
    kinds = {Parameter.model_validate(given).kind for given, _ in NUMBERS.values()}
    assert kinds == set(Distribution)


def remarks(given, *, in_grid=False):
    return convert(Parameter.model_validate(given), in_grid=in_grid).remarks


@pytest.mark.parametrize(
    "given",
    [
        {"value": 1},
        {"values": [1, 2]},
        {"min": 1, "max": 2},
        {"min": 1.0, "max": 2.0},
        {"distribution": "log_uniform_values", "min": 1, "max": 2},
        {"distribution": "inv_log_uniform_values", "min": 1, "max": 2},
        {"distribution": "q_uniform", "min": 0, "max": 1, "q": 0.1},
        {"distribution": "beta", "a": 1},
    ],
)
def test_what_is_the_same_needs_no_word(given):
    assert remarks(given) == ()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"distribution": "normal"}, "mu - 3 sigma to mu + 3 sigma, each value as likely as another, in place of a normal"),
        ({"distribution": "q_normal"}, "in place of a normal distribution"),
        ({"distribution": "log_normal"}, "exp(mu - 3 sigma) to exp(mu + 3 sigma), on a logarithmic scale"),
        ({"distribution": "q_log_normal", "q": 0.1}, "in place of a log-normal distribution"),
        ({"distribution": "beta", "a": 2}, "0 to 1, each value as likely as another, in place of a beta distribution"),
        ({"distribution": "q_log_uniform_values", "min": 8, "max": 64, "q": 8}, "no steps here: q is not kept"),
        ({"distribution": "q_uniform", "min": 0, "max": 1, "q": 1e-12}, "without q, which is less than a 1,000,000,000th"),
        ({"values": [1, 2, 1]}, "values that are given twice are tried once"),
    ],
)
def test_what_is_only_near_is_said(given, message):
    kinds = {text: kind for kind, text in remarks(given)}
    found = next(text for text in kinds if message in text)
    assert kinds[found] is NoteKind.APPROXIMATED


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"distribution": "log_uniform", "min": -7, "max": 0}, "exp(min) to exp(max) on a logarithmic scale, 0.000911882 to 1"),
        ({"distribution": "inv_log_uniform", "min": 0, "max": 7}, "exp(-max) to exp(-min) on a logarithmic scale"),
        ({"distribution": "q_uniform", "min": 1, "max": 10, "q": 4}, "multiples of q, 0 to 8"),
        ({"distribution": "q_log_uniform_values", "min": 1, "max": 64}, "whole numbers, 1 to 64, on a logarithmic scale"),
    ],
)
def test_what_is_the_same_in_other_words_is_said(given, message):
    ((kind, text),) = remarks(given)
    assert kind is NoteKind.CARRIED
    assert message in text


@pytest.mark.parametrize("kind", [kind.value for kind in Distribution if kind.needs == ("min", "max") and not kind.fits_a_grid])
def test_a_range_without_end_has_points_in_a_grid(kind):
    form = convert(Parameter.model_validate({"distribution": kind, "min": 1, "max": 3}), in_grid=True)
    assert form.spec["num"] == GRID_POINTS
    assert (NoteKind.APPROXIMATED, "5 points of the range: a grid needs an end of them") in form.remarks


@pytest.mark.parametrize(
    "given",
    [
        {"min": 1, "max": 9},
        {"distribution": "q_uniform", "min": 0, "max": 1, "q": 0.1},
        {"values": [1, 2]},
        {"value": {"a": 1}},
        {"values": [{"a": 1}], "probabilities": [1]},
    ],
)
def test_what_w_and_b_takes_in_a_grid_stays_as_it_is(given):
    assert convert(Parameter.model_validate(given), in_grid=True) == convert(Parameter.model_validate(given), in_grid=False)


def test_steps_that_w_and_b_has_in_no_grid_are_all_tried():
    form = convert(Parameter.model_validate({"distribution": "q_normal", "mu": 10}), in_grid=True)
    assert form.spec == {"low": 7, "high": 13, "step": 1}
    assert (NoteKind.APPROXIMATED, "every step of the range; W&B has it in no grid") in form.remarks


@pytest.mark.parametrize("ends", [(1e308, 1e308), (-1e308, 1e308), (0, 1e300), (2**53 - 1, 2**53)])
@pytest.mark.parametrize("step", [1, 1e-300, 1e300, 5e-324, 3])
def test_numbers_at_the_limits_are_no_trouble(ends, step):
    convert(Parameter.model_validate({"distribution": "q_uniform", "min": ends[0], "max": ends[1], "q": step}), in_grid=True)
