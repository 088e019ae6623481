"""Convert the parameters of a W&B sweep, and note what became of each key.

The keys and their defaults are those of W&B's documentation (https://docs.wandb.ai/models/sweeps/sweep-config-keys) and
of the JSON schema in its package `sweeps` (https://github.com/wandb/sweeps).
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from wine_sweep.config.search import LARGEST_INT, MOST_POINTS, Number, exact_key
from wine_sweep.config.validation import Text, config_error
from wine_sweep.errors import ConfigPath, Problem
from wine_sweep.messages import did_you_mean, show


class NoteKind(StrEnum):
    """What became of a key."""

    CARRIED = "carried"
    APPROXIMATED = "approximated"
    LEFT_OUT = "left_out"


@dataclass(frozen=True)
class Note:
    """One remark on one key; a key that is carried over as anybody would expect has none.

    Args:
        key: The key in W&B's file, ``parameters.lr.probabilities``; or what has no key there, ``wandb.log``.
        kind: What became of it.
        message: As what it was carried over, or why not; one line.
        at: The key of the new config at which the remark stands as a comment; empty for the top of the file.
    """

    key: str
    kind: NoteKind
    message: str
    at: ConfigPath = ()


_HEADINGS = {NoteKind.CARRIED: "Carried over", NoteKind.APPROXIMATED: "Approximated", NoteKind.LEFT_OUT: "Not carried over"}


def report(notes: Iterable[Note]) -> list[str]:
    """Write notes as lines: first what the program itself has to change, then by what became of the keys."""
    notes = list(notes)
    first = [note for note in notes if note.key.startswith("wandb.")]
    groups = {"First, the program has to change": first}
    groups |= {_HEADINGS[kind]: [each for each in notes if each.kind is kind and each not in first] for kind in NoteKind}
    named = [["", heading, *(f"  {note.key}: {note.message}" for note in group)] for heading, group in groups.items() if group]
    return list(itertools.chain(*named))[1:]


def carried(key: str, message: str, at: ConfigPath = ()) -> Note:
    """Note that a key was carried over, where it is not obvious as what."""
    return Note(key, NoteKind.CARRIED, message, at)


def approximated(key: str, message: str, at: ConfigPath = ()) -> Note:
    """Note that a key was carried over as something near to it."""
    return Note(key, NoteKind.APPROXIMATED, message, at)


def left_out(key: str, message: str, at: ConfigPath = ()) -> Note:
    """Note that a key was not carried over."""
    return Note(key, NoteKind.LEFT_OUT, message, at)


LARGEST_EXPONENT = 700
"""Beyond it, ``exp`` leaves what a float can hold."""

Values = Annotated[list[Any], Field(min_length=1)]
Sigma = Annotated[Number, Field(ge=0)]
Positive = Annotated[Number, Field(gt=0)]


class Distribution(StrEnum):
    """How W&B draws a parameter."""

    CONSTANT = "constant"
    CATEGORICAL = "categorical"
    CATEGORICAL_W_PROBABILITIES = "categorical_w_probabilities"
    INT_UNIFORM = "int_uniform"
    UNIFORM = "uniform"
    Q_UNIFORM = "q_uniform"
    LOG_UNIFORM = "log_uniform"
    LOG_UNIFORM_VALUES = "log_uniform_values"
    Q_LOG_UNIFORM = "q_log_uniform"
    Q_LOG_UNIFORM_VALUES = "q_log_uniform_values"
    INV_LOG_UNIFORM = "inv_log_uniform"
    INV_LOG_UNIFORM_VALUES = "inv_log_uniform_values"
    NORMAL = "normal"
    Q_NORMAL = "q_normal"
    LOG_NORMAL = "log_normal"
    Q_LOG_NORMAL = "q_log_normal"
    BETA = "beta"
    Q_BETA = "q_beta"

    @property
    def needs(self) -> tuple[str, ...]:
        """The keys that it cannot be without."""
        return _NEEDS.get(self, ("min", "max") if "uniform" in self.value else ())

    @property
    def takes(self) -> tuple[str, ...]:
        """All keys that it has a use for."""
        shape = ("mu", "sigma") if "normal" in self.value else ("a", "b") if "beta" in self.value else ()
        return ("distribution", *self.needs, *shape, *(("q",) if self.is_quantized else ()))

    @property
    def is_quantized(self) -> bool:
        """Return whether what is drawn is rounded to a multiple of `q`."""
        return self.value.startswith("q_")

    @property
    def is_logarithmic(self) -> bool:
        """Return whether it is the logarithm that is spread, so that all values are above 0."""
        return "log_" in self.value

    @property
    def has_exponents(self) -> bool:
        """Return whether `min` and `max` are exponents of e and not values."""
        return self.value.endswith("log_uniform")

    @property
    def is_inverse(self) -> bool:
        """Return whether `min` and `max` are those of ``log(1/x)``."""
        return self is Distribution.INV_LOG_UNIFORM

    @property
    def fits_a_grid(self) -> bool:
        """Return whether W&B takes it in a grid."""
        return self in (
            Distribution.CONSTANT,
            Distribution.CATEGORICAL,
            Distribution.INT_UNIFORM,
            Distribution.Q_UNIFORM,
        )


_NEEDS: dict[Distribution, tuple[str, ...]] = {
    Distribution.CONSTANT: ("value",),
    Distribution.CATEGORICAL: ("values",),
    Distribution.CATEGORICAL_W_PROBABILITIES: ("values", "probabilities"),
}


def _mapping(value: Any) -> Any:
    if isinstance(value, Mapping | BaseModel):
        return value
    raise config_error(
        f"W&B takes a mapping here, such as {{value: 1}}, {{values: [1, 2]}} or {{min: 0, max: 1}}; got {show(value)}"
    )


class Parameter(BaseModel):
    """A parameter as W&B's file gives it; keys that W&B does not have are kept aside, in `model_extra`.

    Args:
        value: The one value.
        values: The values to choose from.
        probabilities: How likely each of these is.
        distribution: How it is drawn; by default what `value`, `values`, or `min` and `max` imply.
        min: The lowest value, or the lowest exponent of e.
        max: The highest.
        mu: The mean of a normal distribution, or of the logarithm; 0 by default.
        sigma: Its standard deviation; 1 by default.
        q: What is drawn is rounded to a multiple of it; 1 by default.
        a: The first shape of a beta distribution; 1 by default.
        b: The second; 1 by default.
        parameters: Parameters within this one.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    value: Any = None
    values: Values | None = None
    probabilities: list[Sigma] | None = None
    distribution: Distribution | None = None
    min: Number | None = None
    max: Number | None = None
    mu: Number | None = None
    sigma: Sigma | None = None
    q: Positive | None = None
    a: Sigma | None = None
    b: Sigma | None = None
    parameters: Annotated[dict[Text, ParameterConfig], Field(min_length=1)] | None = None

    @property
    def given(self) -> set[str]:
        """The keys of W&B's that the file gives it, null ones left out but for `value`."""
        known = {name for name in Parameter.model_fields if getattr(self, name) is not None}
        return known | ({"value"} & self.model_fields_set)

    @property
    def kind(self) -> Distribution:
        """How it is drawn, as W&B infers it where the file does not say.

        Raises:
            ValueError: The keys imply nothing.
        """
        given = self.given
        if self.distribution is not None:
            both = self.distribution is Distribution.CATEGORICAL and self.probabilities is not None
            return Distribution.CATEGORICAL_W_PROBABILITIES if both else self.distribution
        if "values" in given:
            return Distribution.CATEGORICAL_W_PROBABILITIES if "probabilities" in given else Distribution.CATEGORICAL
        if "value" in given:
            return Distribution.CONSTANT
        if {"min", "max"} & given:
            whole = isinstance(self.min, int) and isinstance(self.max, int)
            return Distribution.INT_UNIFORM if whole else Distribution.UNIFORM
        raise ValueError("nothing says how it is drawn")

    @property
    def mean(self) -> float:
        """`mu` or its default."""
        return 0.0 if self.mu is None else self.mu

    @property
    def deviation(self) -> float:
        """`sigma` or its default."""
        return 1.0 if self.sigma is None else self.sigma

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.parameters is not None:
            return self
        try:
            kind = self.kind
        except ValueError:
            forms = "`value`, `values`, `min` and `max`, a `distribution`, or `parameters`"
            raise config_error(f"nothing says what to try; W&B takes {forms}{self._typo()}") from None
        missing = [name for name in kind.needs if name not in self.given]
        if missing:
            raise config_error(f"{kind.value} needs `{missing[0]}`{self._typo()}")
        self._check_bounds(kind)
        return self

    def _typo(self) -> str:
        """Ask whether a key that W&B does not have was meant as one that it has."""
        return next((hint for name in self.model_extra or {} if (hint := did_you_mean(name, Parameter.model_fields))), "")

    def _check_bounds(self, kind: Distribution) -> None:
        if kind is Distribution.CATEGORICAL_W_PROBABILITIES and len(self.probabilities or ()) != len(self.values or ()):
            raise config_error(
                f"{len(self.probabilities or ())} probabilities for {len(self.values or ())} values", "probabilities"
            )
        if "min" in kind.needs and self.min is not None and self.max is not None:
            self._check_range(kind, self.min, self.max)
        if "normal" in kind.value:
            reach = abs(self.mean) + 3 * self.deviation
            if reach > LARGEST_EXPONENT if kind.is_logarithmic else not math.isfinite(reach):
                raise config_error("`mu` and `sigma` lead beyond the largest number", "mu" if self.mu is not None else "sigma")

    def _check_range(self, kind: Distribution, low: float, high: float) -> None:
        if low > high:
            raise config_error(f"`min` must not be above `max`; got min {low}, max {high}", "min")
        if kind is Distribution.INT_UNIFORM:
            for name, value in (("min", low), ("max", high)):
                if not isinstance(value, int):
                    raise config_error(f"int_uniform takes whole numbers, got {value}; uniform takes others", name)
        if kind.has_exponents:
            for name, value in (("min", low), ("max", high)):
                if abs(value) > LARGEST_EXPONENT:
                    what = f"an exponent of e, at most {LARGEST_EXPONENT}"
                    raise config_error(f"{kind.value} takes {what}, got {value}; {kind.value}_values takes values", name)
        elif kind.is_logarithmic and low <= 0:
            raise config_error(f"{kind.value} takes values above 0, got {low}", "min")


ParameterConfig = Annotated[Parameter, BeforeValidator(_mapping)]
Parameter.model_rebuild()


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
    """Limit the points of a range where W&B refuses it in a grid, or where it has no end."""
    spec = form.spec
    is_endless = isinstance(spec, dict) and "low" in spec and "step" not in spec and kind is not Distribution.INT_UNIFORM
    if is_endless:
        message = f"{GRID_POINTS} points of the range: a grid needs an end of them"
        return Form({**spec, "num": GRID_POINTS}, (*form.remarks, (NoteKind.APPROXIMATED, message)))
    if not kind.fits_a_grid and isinstance(spec, dict) and "step" in spec:
        return form.with_remark(NoteKind.APPROXIMATED, "every step of the range; W&B has it in no grid")
    return form


WHERE: ConfigPath = ("search", "parameters")
"""Where parameters stand in our config."""

_READ_OTHERWISE = re.compile(r"(?i:yes|no|on|off)|[-+]?[0-9]+(?:_[0-9]+)+")
"""Text that PyYAML, with which W&B reads its files, takes for something else where it has no quotes."""


@dataclass(frozen=True)
class Leaf:
    """A parameter that holds no others.

    Args:
        path: Where it stands in W&B's file.
        name: Its name here: those of the parameters around it and its own, joined with dots.
        parameter: What W&B's file says of it.
    """

    path: ConfigPath
    name: str
    parameter: Parameter

    @property
    def key(self) -> str:
        """Its path in W&B's file, as a note has it."""
        return ".".join(map(str, self.path))

    @property
    def values(self) -> list[Any]:
        """The values that the file lists for it."""
        listed = self.parameter.values or []
        return [*listed, self.parameter.value] if "value" in self.parameter.given else listed


def leaves(parameters: Mapping[str, Parameter]) -> list[Leaf]:
    """List the parameters that hold no others, in the order of the file."""
    return list(_leaves(parameters, ("parameters",), ""))


def check_names(found: list[Leaf]) -> Iterator[Problem]:
    """Find parameters whose names are those of others, once nested ones are joined."""
    names: set[str] = set()
    for leaf in found:
        if leaf.name in names:
            yield Problem(f"another parameter is called '{leaf.name}' too, once nested names are joined", leaf.path, at_key=True)
        names.add(leaf.name)


def _leaves(parameters: Mapping[str, Parameter], path: ConfigPath, prefix: str) -> Iterator[Leaf]:
    for name, parameter in parameters.items():
        here = (*path, name)
        if parameter.parameters is None:
            yield Leaf(here, prefix + name, parameter)
        else:
            yield from _leaves(parameter.parameters, (*here, "parameters"), f"{prefix}{name}.")


def convert_leaves(found: list[Leaf], *, in_grid: bool) -> tuple[dict[str, Any], list[Note]]:
    """Return `search.parameters`, and a note for every key of a parameter that is not there as it was."""
    specs: dict[str, Any] = {}
    notes: list[Note] = []
    for leaf in found:
        form = convert(leaf.parameter, in_grid=in_grid)
        at = (*WHERE, leaf.name)
        specs[leaf.name] = form.spec
        notes += [Note(leaf.key, kind, message, at) for kind, message in form.remarks]
        notes += _about_keys(leaf, at)
        notes += _about_words(leaf, at)
    return specs, notes


def notes_on_groups(parameters: Mapping[str, Parameter]) -> Iterator[Note]:
    """Describe what became of parameters that hold others."""
    for name, group in parameters.items():
        if group.parameters is None:
            continue
        names = [leaf.name for leaf in _leaves({name: group}, ("parameters",), "")]
        listed = ", ".join(names[:4]) + (" …" if len(names) > 4 else "")
        message = f"as {listed}: each by itself, where W&B hands {name} on as one mapping"
        yield carried(f"parameters.{name}.parameters", message, (*WHERE, names[0]))
        for key in sorted(group.given - {"parameters"}):
            yield left_out(f"parameters.{name}.{key}", "a parameter that holds others has no values of its own")
        yield from _unknown(group, f"parameters.{name}")


def _about_keys(leaf: Leaf, at: ConfigPath) -> Iterator[Note]:
    kind = leaf.parameter.kind
    for key in sorted(leaf.parameter.given - set(kind.takes)):
        yield left_out(f"{leaf.key}.{key}", f"{kind.value} has no use for it, at W&B neither", at)
    if kind is Distribution.CATEGORICAL_W_PROBABILITIES:
        yield left_out(f"{leaf.key}.probabilities", "every value is as likely as another here", at)
    yield from _unknown(leaf.parameter, leaf.key)


def _unknown(parameter: Parameter, key: str) -> Iterator[Note]:
    for name in parameter.model_extra or {}:
        yield left_out(f"{key}.{name}", f"unknown to W&B{did_you_mean(name, Parameter.model_fields)}")


def _about_words(leaf: Leaf, at: ConfigPath) -> Iterator[Note]:
    """Warn of text that W&B may have read as a boolean or a number."""
    words = [value for value in leaf.values if isinstance(value, str) and _READ_OTHERWISE.fullmatch(value)]
    if words:
        other = "a number" if "_" in words[0] else "a boolean"
        message = f"'{words[0]}' is text here; W&B reads it as {other} unless it is quoted"
        yield approximated(leaf.key, message, at)
