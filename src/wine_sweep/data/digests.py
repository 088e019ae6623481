"""Digests of single rows, by which a row is known again in another table."""

from __future__ import annotations

import hashlib
import numbers
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

_SIZE = 8
_GAP = float("nan")


def row_digests(features: pd.DataFrame, columns: Sequence[str]) -> np.ndarray:
    """Digest the values of each row: BLAKE2b of them as bytes, column by column in the order of the sorted names.

    A number, be it a truth value or whole, is its eight bytes as float64, where -0 is 0 and every gap is the same NaN; all
    else is its text as UTF-8, after its length. So neither the order of columns, nor the index, nor how numbers were read
    makes a difference.

    Args:
        features: A table that has these columns, of shape (rows, at least these).
        columns: The names of the columns that count.

    Returns:
        Of shape (rows,), uint64.
    """
    parts = [_encoded(features[name]) for name in sorted(columns)]
    digests = b"".join(hashlib.blake2b(b"".join(row), digest_size=_SIZE).digest() for row in zip(*parts, strict=True))
    return np.frombuffer(digests, "<u8").astype(np.uint64)


def table_digest(table: pd.DataFrame) -> str:
    """Digest a table as it was read: SHA-256, in hex, of its columns' sorted names and its rows' digests."""
    columns = sorted(map(str, table.columns))
    rows = row_digests(table.rename(columns=str), columns).astype("<u8").tobytes()
    return hashlib.sha256("\0".join(columns).encode("utf-8", "surrogatepass") + b"\0" + rows).hexdigest()


def _encoded(column: pd.Series) -> Iterable[bytes]:
    if is_numeric_dtype(column):
        return _numbers(column.astype("float64").to_numpy())
    codes, values = pd.factorize(column.astype(object), use_na_sentinel=True)
    encoded = [*map(_value, values), *_numbers(np.array([_GAP]))]  # the code of a gap is -1: the last
    return [encoded[code] for code in codes]


def _value(value: object) -> bytes:
    if isinstance(value, numbers.Real | np.bool_):
        return next(iter(_numbers(np.array([float(value)]))))
    text = str(value).encode("utf-8", "surrogatepass")
    return b"t" + len(text).to_bytes(_SIZE, "little") + text


def _numbers(values: np.ndarray) -> Iterable[bytes]:
    canonical = np.where(np.isnan(values), _GAP, values + 0.0)  # adding 0 makes 0 of -0
    data = canonical.astype("<f8").tobytes()
    return [b"n" + data[start : start + _SIZE] for start in range(0, len(data), _SIZE)]
