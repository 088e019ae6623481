"""The section `registry.gate` held against the table, before anything runs."""

from __future__ import annotations

from collections.abc import Iterator

from wine_sweep.config import RegistryConfig
from wine_sweep.data import Dataset
from wine_sweep.errors import Problem
from wine_sweep.gate.slices import refusal


def check_gate(registry: RegistryConfig | None, data: Dataset) -> Iterator[Problem]:
    """Find slices that the table's rows cannot be cut into.

    Args:
        registry: The section `registry`, if there is one.
        data: The table.
    """
    gate = registry.gate if registry is not None else None
    for index, name in enumerate(gate.slices if gate is not None else ()):
        if (message := refusal(data, name)) is not None:
            yield Problem(message, ("registry", "gate", "slices", index))
