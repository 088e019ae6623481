"""W&B's `parameters` as `search.parameters`: nested ones get names of their own, and every key is accounted for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from wine_sweep.errors import ConfigPath, Problem
from wine_sweep.wandb.distributions import convert
from wine_sweep.wandb.notes import Note, approximated, carried, left_out
from wine_sweep.wandb.parameter import Distribution, Parameter
from wine_sweep.wording import did_you_mean

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
    """Give `search.parameters`, and a note for every key of a parameter that is not there as it was."""
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
    """Say what became of parameters that hold others."""
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
