"""Each of W&B's distributions as a parameter of ours: values, or a range. Pure: numbers in, a config's form out."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from wine_sweep.config.parameters import LARGEST_INT, MOST_POINTS, exact_key
from wine_sweep.wandb.notes import NoteKind
from wine_sweep.wandb.parameter import Distribution, Parameter

GRID_POINTS = 5
"""So many points a grid gets from a range that W&B would not have in one."""

Remark = tuple[NoteKind, str]


@dataclass(frozen=True)
class Form:
    """A parameter as our config takes it.

    Args:
        spec: A constant, a list of values, or a mapping with `low` and `high`, or `choices`.
        remarks: What is not as W&B has it, or not obvious.
    """

    spec: Any
    remarks: tuple[Remark, ...] = ()

    def with_remark(self, kind: NoteKind, message: str) -> Form:
        """Add a remark."""
        return Form(self.spec, (*self.remarks, (kind, message)))


def convert(parameter: Parameter, *, in_grid: bool) -> Form:
    """Say a parameter that holds no others in our terms.

    Args:
        parameter: W&B's parameter.
        in_grid: Whether it must have an end of values.
    """
    form = _CONVERTERS[parameter.kind](parameter)
    return _for_grid(form, parameter.kind) if in_grid else form


def constant(value: Any) -> Any:
    """Write one value; a list or mapping is wrapped, or it would be read as something else."""
    return {"choices": [value]} if isinstance(value, list | dict) else value


def _constant(parameter: Parameter) -> Form:
    return Form(constant(parameter.value))


def _categorical(parameter: Parameter) -> Form:
    values = list({exact_key(value): value for value in parameter.values or ()}.values())
    form = Form(values if len(values) > 1 else constant(values[0]))
    if len(values) < len(parameter.values or ()):
        form = form.with_remark(NoteKind.APPROXIMATED, "values that are given twice are tried once; W&B draws them more often")
    return form


def _int_uniform(parameter: Parameter) -> Form:
    low, high = _bounds(parameter)
    return Form(_range(low, high))


def _uniform(parameter: Parameter) -> Form:
    low, high = _bounds(parameter)
    return Form(_range(float(low), float(high)))


def _q_uniform(parameter: Parameter) -> Form:
    return _stepped(*_bounds(parameter), _step(parameter))


def _log_uniform(parameter: Parameter) -> Form:
    kind, (low, high) = parameter.kind, _bounds(parameter)
    if not kind.has_exponents:
        return Form(_range(float(low), float(high), log=True))
    given = "exp(-max) to exp(-min)" if kind.is_inverse else "exp(min) to exp(max)"
    first, last = (-high, -low) if kind.is_inverse else (low, high)
    spec = _exponential(first, last)
    ends = f"{spec['low']:g} to {spec['high']:g}" if isinstance(spec, dict) else f"{spec:g}"
    message = f"{given} on a logarithmic scale, {ends}: min and max are exponents of e"
    return Form(spec, ((NoteKind.CARRIED, message),))


def _q_log_uniform(parameter: Parameter) -> Form:
    low, high = _bounds(parameter)
    if parameter.kind.has_exponents:
        low, high = math.exp(low), math.exp(high)
    return _logarithmic_steps(low, high, _step(parameter))


def _normal(parameter: Parameter) -> Form:
    low, high = _three_deviations(parameter)
    form = _stepped(low, high, _step(parameter)) if parameter.kind.is_quantized else Form(_range(low, high))
    return form.with_remark(NoteKind.APPROXIMATED, _FLAT.format("mu - 3 sigma to mu + 3 sigma", "a normal distribution"))


def _log_normal(parameter: Parameter) -> Form:
    low, high = _three_deviations(parameter)
    if parameter.kind.is_quantized:
        form = _logarithmic_steps(math.exp(low), math.exp(high), _step(parameter))
    else:
        form = Form(_exponential(low, high))
    what = "exp(mu - 3 sigma) to exp(mu + 3 sigma), on a logarithmic scale"
    return form.with_remark(NoteKind.APPROXIMATED, _FLAT.format(what, "a log-normal distribution"))


def _beta(parameter: Parameter) -> Form:
    form = _stepped(0, 1, _step(parameter)) if parameter.kind.is_quantized else Form(_range(0.0, 1.0))
    if (parameter.a, parameter.b) in ((None, None), (1, 1), (None, 1), (1, None)):
        return form  # flat at W&B too
    return form.with_remark(NoteKind.APPROXIMATED, _FLAT.format("0 to 1", "a beta distribution"))


_FLAT = "{}, each value as likely as another, in place of {}"

_CONVERTERS: dict[Distribution, Callable[[Parameter], Form]] = {
    Distribution.CONSTANT: _constant,
    Distribution.CATEGORICAL: _categorical,
    Distribution.CATEGORICAL_W_PROBABILITIES: _categorical,
    Distribution.INT_UNIFORM: _int_uniform,
    Distribution.UNIFORM: _uniform,
    Distribution.Q_UNIFORM: _q_uniform,
    Distribution.LOG_UNIFORM: _log_uniform,
    Distribution.LOG_UNIFORM_VALUES: _log_uniform,
    Distribution.Q_LOG_UNIFORM: _q_log_uniform,
    Distribution.Q_LOG_UNIFORM_VALUES: _q_log_uniform,
    Distribution.INV_LOG_UNIFORM: _log_uniform,
    Distribution.INV_LOG_UNIFORM_VALUES: _log_uniform,
    Distribution.NORMAL: _normal,
    Distribution.Q_NORMAL: _normal,
    Distribution.LOG_NORMAL: _log_normal,
    Distribution.Q_LOG_NORMAL: _log_normal,
    Distribution.BETA: _beta,
    Distribution.Q_BETA: _beta,
}


def _bounds(parameter: Parameter) -> tuple[int | float, int | float]:
    assert parameter.min is not None  # the distribution needs both, and the file has been checked
    assert parameter.max is not None
    return parameter.min, parameter.max


def _step(parameter: Parameter) -> int | float:
    return 1 if parameter.q is None else parameter.q


def _three_deviations(parameter: Parameter) -> tuple[float, float]:
    mean, reach = Decimal(repr(parameter.mean)), 3 * Decimal(repr(parameter.deviation))
    return float(mean - reach), float(mean + reach)


def _range(low: float, high: float, *, log: bool = False) -> Any:
    """Write a range, or a constant where its ends are one."""
    if low >= high:
        return low
    return {"low": low, "high": high} | ({"log": True} if log else {})


def _exponential(low: float, high: float) -> Any:
    """Write exp(low) to exp(high) on a logarithmic scale, in few digits where these keep the ends apart."""
    return _range(*_in_few_digits(math.exp(low), math.exp(high)), log=True)


def _in_few_digits(low: float, high: float) -> tuple[float, float]:
    first, last = float(f"{low:.6g}"), float(f"{high:.6g}")
    return (first, last) if first < last else (low, high)


def _stepped(low: float, high: float, step: float) -> Form:
    """Write the multiples of `step` from `low` to `high`, both rounded to one as W&B rounds what it draws."""
    if max((high - low) / step, abs(low) / step, abs(high) / step) > MOST_POINTS - 1:
        message = f"without q, which is less than a {MOST_POINTS:,}th of the range"
        return Form(_range(float(low), float(high)), ((NoteKind.APPROXIMATED, message),))
    first, last = _multiple(low, step), _multiple(high, step)
    remarks: tuple[Remark, ...] = ()
    if (first, last) != (low, high):
        remarks = ((NoteKind.CARRIED, f"multiples of q, {first:g} to {last:g}"),)
    if first >= last:
        return Form(first, remarks)
    if step > last - first or (last - first) / step < 1.5:
        return Form([first, last], remarks)
    return Form({"low": first, "high": last, "step": step}, remarks)


def _multiple(value: float, step: float) -> int | float:
    """Round to the nearest multiple of `step`: a whole number where the step is one, and without the noise of floats."""
    multiple = round(value / step) * Decimal(repr(step))
    return int(multiple) if isinstance(step, int) and abs(multiple) <= LARGEST_INT else float(multiple)


def _logarithmic_steps(low: float, high: float, step: float) -> Form:
    """Write a range on a logarithmic scale, which ours has no steps on: whole numbers for whole steps, else any."""
    whole = isinstance(step, int) and round(high) <= LARGEST_INT
    first, last = (max(round(low), 1), max(round(high), 1)) if whole else _in_few_digits(low, high)
    spec = _range(first, last, log=True)
    if whole and step == 1:
        return Form(spec, ((NoteKind.CARRIED, f"whole numbers, {first} to {last}, on a logarithmic scale"),))
    what = "whole numbers" if whole else "any numbers"
    message = f"{what}, {first:g} to {last:g}, on a logarithmic scale, which has no steps here: q is not kept"
    return Form(spec, ((NoteKind.APPROXIMATED, message),))


def _for_grid(form: Form, kind: Distribution) -> Form:
    """Give a range an end of points where W&B refuses it in a grid, or where it has no end."""
    spec = form.spec
    is_endless = isinstance(spec, dict) and "low" in spec and "step" not in spec and kind is not Distribution.INT_UNIFORM
    if is_endless:
        message = f"{GRID_POINTS} points of the range: a grid needs an end of them"
        return Form({**spec, "num": GRID_POINTS}, (*form.remarks, (NoteKind.APPROXIMATED, message)))
    if not kind.fits_a_grid and isinstance(spec, dict) and "step" in spec:
        return form.with_remark(NoteKind.APPROXIMATED, "every step of the range; W&B has it in no grid")
    return form
