"""One parameter's values as a sequence that is never built: the axis of a grid."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, overload

from wine_sweep.config import Choices, Range
from wine_sweep.config.parameters import exact_key

_DIGITS = 12
"""Significant digits of a computed grid point, so that 0.1 + 2 * 0.1 is 0.3; the ends are exact."""


class Axis(Sequence[Any]):
    """The values of one parameter in a grid, in the order written; computed one by one."""

    def __init__(self, spec: Choices | Range) -> None:
        self._spec = spec
        self._values: Sequence[Any] | None = None
        if isinstance(spec, Choices):
            self._values = spec.choices
        elif spec.is_int and spec.num is None:
            self._values = range(int(spec.low), int(spec.high) + 1, int(spec.step or 1))
        elif spec.is_int and spec.log:
            self._values = sorted({round(_between(spec, index)) for index in range(spec.num or 0)})
        elif spec.is_int and (spec.num or 0) > spec.high - spec.low:
            self._values = range(int(spec.low), int(spec.high) + 1)
        self._len = len(self._values) if self._values is not None else _count(spec)

    def __len__(self) -> int:
        return self._len

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(self._len))]
        if not -self._len <= index < self._len:
            raise IndexError(index)
        index %= self._len
        if self._values is not None:
            return self._values[index]
        assert isinstance(self._spec, Range)  # choices always have values
        value = _between(self._spec, index)
        return round(value) if self._spec.is_int else value

    def __iter__(self) -> Iterator[Any]:
        return (self[index] for index in range(self._len))

    def position(self, value: Any) -> int | None:
        """Find a value on the axis, or None; 1 and 1.0 differ."""
        if isinstance(self._spec, Choices):
            key = exact_key(value)
            return next((at for at, choice in enumerate(self._spec.choices) if exact_key(choice) == key), None)
        if isinstance(value, bool) or not isinstance(value, int if self._spec.is_int else int | float):
            return None
        low, high = 0, self._len - 1
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self[middle] < value else (low, middle)
        return low if self[low] == value else None


def _count(spec: Choices | Range) -> int:
    assert isinstance(spec, Range)  # choices always have values
    if spec.num is not None:
        return spec.num
    return math.floor((spec.high - spec.low) / (spec.step or 1) + 1e-9) + 1


def _between(spec: Range, index: int) -> float:
    """Compute point `index` of a range with `num` points, or with a float `step`."""
    if spec.step is not None:
        return _tidy(spec.low + index * spec.step, spec)
    last = (spec.num or 2) - 1
    if index in (0, last):
        return float(spec.high if index else spec.low)
    share = index / last
    if spec.log:
        return _tidy(10 ** (math.log10(spec.low) * (1 - share) + math.log10(spec.high) * share), spec)
    return _tidy(spec.low + (spec.high - spec.low) * share, spec)


def _tidy(value: float, spec: Range) -> float:
    return min(max(float(f"{value:.{_DIGITS}g}"), spec.low), spec.high)
