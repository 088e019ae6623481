"""What `plan` says of columns that are probably not what they are read as."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pytest

from wine_sweep.config import DataConfig
from wine_sweep.data import make_dataset
from wine_sweep.data.remarks import LEAST_ROWS, remarks
from wine_sweep.data.splits import load_rows
from wine_sweep.trial import DataRequirements, Task

NEEDS = DataRequirements(Task.REGRESSION, numbers=False, takes_missing=True, model="a tree")


def said(folder, columns, name="t.csv", **keys):
    table = pd.DataFrame({**columns, "x": [0.5, 1.5] * LEAST_ROWS, "y": [1.0, 2.0] * LEAST_ROWS})
    table.to_parquet(folder / name) if name.endswith("parquet") else table.to_csv(folder / name, index=False)
    config = DataConfig(source=str(folder / name), target="y", **keys)
    rows = load_rows(config, folder)
    return remarks(make_dataset(rows.table, config, source=rows.source, needs=NEEDS), config)


COUNT = 2 * LEAST_ROWS
PRIMES = [n * n + n + 41 for n in range(COUNT)]


@pytest.mark.parametrize(
    ("column", "start", "line"),
    [
        (range(COUNT), "column 'c c' numbers the rows", '`data.drop: ["c c"]`'),
        (PRIMES, "column 'c c' is different in every row", '`data.drop: ["c c"]`'),
        ([f"Mr. {n}" for n in range(COUNT)], "column 'c c' is different in every row", '`data.drop: ["c c"]`'),
        ([f"{n % 7:05}" for n in range(COUNT)], "column 'c c' holds 00000, read as the number 0", '`data.dtypes: {"c c": text}`'),
        (["NA", "DE"] * LEAST_ROWS, "column 'c c' holds 'NA', read as a gap", "`data.keep_default_na: false`"),
        (["1,5", "2,5"] * LEAST_ROWS, "column 'c c' holds '1,5', read as text", '`data.decimal: ","`'),
        (
            ["2,5", "1.234,5"] * LEAST_ROWS,
            "column 'c c' holds '1.234,5', read as text",
            'write `data.decimal: ","` and `data.thousands: "."`',
        ),
        (["2.500.000", "1.000.000"] * LEAST_ROWS, "column 'c c' holds '2.500.000'", '`data.thousands: "."`'),
        (["1,234,567", "2,345.5"] * LEAST_ROWS, "column 'c c' holds '", 'write `data.thousands: ","`'),
        (["1,234", "2,345"] * LEAST_ROWS, "column 'c c' holds '1,234'", 'or `data.thousands: ","` if the comma groups them'),
        (["1 234", "2 345,5"] * LEAST_ROWS, "column 'c c' holds '2 345,5'", '`data.decimal: ","` and `data.thousands: " "`'),
    ],
)
def test_a_column_that_is_not_what_it_seems_is_pointed_out_with_the_line_to_write(column, start, line, tmp_path):
    (remark,) = said(tmp_path, {"c c": list(column)})
    assert remark.startswith(start)
    assert line in remark


@pytest.mark.parametrize(
    "column",
    [
        [1, 2] * LEAST_ROWS,
        [n + 0.5 for n in range(COUNT)],
        ["red", "blue"] * LEAST_ROWS,
        ["", "blue"] * LEAST_ROWS,
        ["0", "10"] * LEAST_ROWS,
        [True, False] * LEAST_ROWS,
    ],
)
def test_nothing_is_said_of_other_columns(column, tmp_path):
    assert said(tmp_path, {"c": column}) == []


@pytest.mark.parametrize(
    ("column", "keys"),
    [
        (list(range(COUNT)), {"drop": ["c"]}),
        ([f"{n % 7:05}" for n in range(COUNT)], {"dtypes": {"c": "text"}}),
        (["NA", "DE"] * LEAST_ROWS, {"keep_default_na": False}),
        (["1,5", "2,5"] * LEAST_ROWS, {"decimal": ",", "separator": ";"}),
    ],
)
def test_nothing_is_said_any_more_where_the_line_is_written(column, keys, tmp_path):
    if "separator" in keys:
        text = "c;x;y\n" + "".join(f"{value};0;{n}\n" for n, value in enumerate(column))
        (tmp_path / "t.csv").write_text(text)
        config = DataConfig(source=str(tmp_path / "t.csv"), target="y", **keys)
        rows = load_rows(config, tmp_path)
        assert remarks(make_dataset(rows.table, config, source=rows.source, needs=NEEDS), config) == []
    else:
        assert said(tmp_path, {"c": column}, **keys) == []


def test_a_table_with_types_is_looked_at_too(tmp_path):
    (remark,) = said(tmp_path, {"c": list(range(COUNT))}, "t.parquet")
    assert "numbers the rows" in remark


@pytest.mark.parametrize("ending", ["parquet", "feather"])
def test_an_index_that_is_left_out_is_named_where_it_tells_something(ending, tmp_path):
    table = pd.DataFrame({"a": [1.5, 2.5] * LEAST_ROWS, "y": [1.0, 2.0] * LEAST_ROWS})
    config = DataConfig(source=str(tmp_path / f"t.{ending}"), target="y")
    pairs = pd.MultiIndex.from_product([range(LEAST_ROWS), ["x", "z"]])
    for index, is_left_out in (
        (pd.RangeIndex(5, 5 + COUNT), False),
        (pd.Index(PRIMES), True),
        (pairs, True),
        (pairs.set_names(["g", None]), False),
    ):
        pyarrow.feather.write_feather(pa.Table.from_pandas(table.set_axis(index)), config.source)
        if ending == "parquet":
            table.set_axis(index).to_parquet(config.source)
        read = load_rows(config, tmp_path).table
        found = remarks(make_dataset(read, config, source=config.source, needs=NEEDS), config)
        assert (
            "the index has no name and is left out; with one it would be a column: `table.index.name = …`" in found
        ) == is_left_out
        assert read.index.equals(pd.RangeIndex(COUNT))
