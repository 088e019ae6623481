"""The size of a fitted model. This runs in workers."""

from __future__ import annotations

from typing import Any


def size_of(model: Any) -> float:
    """Give the length of a model's pickle in bytes.

    A class that is not importable elsewhere, as a notebook's, is pickled with its code.
    """
    import cloudpickle  # only this needs it

    return float(len(cloudpickle.dumps(model)))
