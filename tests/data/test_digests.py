"""Digests of rows: equal for equal values, whatever they were read as."""

from __future__ import annotations

import hashlib
import struct
import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wine_sweep.data.dataset import row_digests
from wine_sweep.data.table import load_bundled


def digest_of(**values):
    return row_digests(pd.DataFrame({name: [value] for name, value in values.items()}), list(values))[0]


def test_a_digest_is_blake2b_of_the_values_in_the_order_of_their_names():
    text = "Gärtner".encode()
    by_hand = b"t" + struct.pack("<Q", len(text)) + text + b"n" + struct.pack("<d", 1.5)
    expected = int.from_bytes(hashlib.blake2b(by_hand, digest_size=8).digest(), "little")
    found = row_digests(pd.DataFrame({"b": [1.5], "a": ["Gärtner"], "c": ["ignored"]}), ["b", "a"])
    assert found.dtype == np.uint64
    assert int(found[0]) == expected


@pytest.mark.parametrize("dtype", ["int64", "int8", "float32", "bool", "boolean", "Int64", object])
def test_a_number_is_the_same_however_it_was_read(dtype):
    table = pd.DataFrame({"a": pd.Series([1, 0], index=[7, 3], dtype=dtype)})
    assert list(row_digests(table, ["a"])) == list(row_digests(pd.DataFrame({"a": [1.0, -0.0]}), ["a"]))


@pytest.mark.parametrize("gap", [None, np.nan, pd.NA, pd.NaT, struct.unpack("<d", b"\1\0\0\0\0\0\xf8\xff")[0]])
def test_every_gap_is_the_same(gap):
    assert digest_of(a=gap) == digest_of(a=np.nan)
    two = pd.DataFrame({"a": ["x", gap]})
    assert row_digests(two, ["a"])[1] == digest_of(a=np.nan)


def test_the_order_of_columns_makes_no_difference_and_values_that_swap_do():
    assert digest_of(a=1, b=2) == digest_of(b=2, a=1)
    assert digest_of(a=1, b=2) != digest_of(a=2, b=1)
    assert digest_of(a="xy", b="z") != digest_of(a="x", b="yz")
    assert digest_of(a="1") != digest_of(a=1)


@given(st.lists(st.tuples(st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=5)), min_size=1, max_size=20))
def test_rows_have_equal_digests_where_their_values_are_equal(rows):
    digests = row_digests(pd.DataFrame({"n": [n for n, _ in rows], "t": [t for _, t in rows]}), ["n", "t"])
    assert len(set(digests.tolist())) == len(set(rows))


def test_text_kept_by_arrow_or_as_categories_is_the_same():
    values = ["red", None, "white", "red"]
    plain = row_digests(pd.DataFrame({"a": pd.Series(values, dtype=object)}), ["a"])
    for dtype in ("category", "string", "str"):
        assert list(row_digests(pd.DataFrame({"a": pd.Series(values, dtype=dtype)}), ["a"])) == list(plain)


def test_the_repeated_rows_of_red_wine_are_found():
    wine = load_bundled("wine-quality-red").drop(columns="quality")
    assert len(np.unique(row_digests(wine, list(wine)))) == len(wine.drop_duplicates())


def test_a_hundred_thousand_rows_take_seconds_at_most():
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(100_000, 12))).rename(columns=str)
    began = time.perf_counter()
    row_digests(table, list(table))
    assert time.perf_counter() - began < 10
