"""Tables from Python: of pandas, polars and Arrow, with any index; and what stands for one that nobody has kept."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from wine_sweep import Sweep
from wine_sweep.config import DataConfig
from wine_sweep.data.frames import to_pandas
from wine_sweep.data.splits import load_rows
from wine_sweep.errors import ConfigError, DataError

TABLE = pd.DataFrame({"a": np.arange(60) % 13 / 2, "b": np.arange(60) % 7, "y": np.arange(60) % 5 + 0.5})
CONFIG = {
    "name": "frame",
    "data": {"target": "y"},
    "model": {"estimator": "sklearn.linear_model.Ridge"},
    "search": {"parameters": {"alpha": [0.1, 1.0]}},
    "execution": {"backend": "serial"},
}
ACROSS = pd.MultiIndex.from_product([range(30), ["x", "z"]])


@pytest.mark.parametrize(
    "make", [pl.from_pandas, lambda table: pl.from_pandas(table).lazy(), pa.Table.from_pandas, pd.DataFrame.copy]
)
def test_a_table_of_any_library_is_that_of_pandas(make):
    pd.testing.assert_frame_equal(to_pandas(make(TABLE)), TABLE)


@pytest.mark.parametrize(
    ("index", "columns", "remark"),
    [
        (pd.RangeIndex(60), [], ""),
        (pd.RangeIndex(5, 65), [], ""),
        (pd.RangeIndex(60, name="id"), ["id"], ""),
        (pd.Index(list(range(0, 120, 2))), [], "(0, 2, 4, …)"),
        (pd.Index([f"n{n}" for n in range(60)]), [], "(n0, n1, n2, …)"),
        (pd.date_range("2026-01-01", periods=60, name="when"), ["when"], ""),
        (ACROSS, [], "((0, 'x'), (0, 'z'), (1, 'x'), …)"),
        (ACROSS.set_names(["group", None]), ["group", "level_1"], ""),
        (ACROSS.set_names(["group", "side"]), ["group", "side"], ""),
    ],
)
def test_an_index_with_a_name_is_columns_and_another_that_tells_something_is_named(index, columns, remark, caplog):
    table = to_pandas(TABLE.set_axis(index))
    assert table.columns.tolist() == [*columns, "a", "b", "y"]
    assert table.index.equals(pd.RangeIndex(60))
    assert [record.message.rpartition("` ")[2] for record in caplog.records] == ([remark] if remark else [])


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ([1, 2], "expected a table of pandas, polars or Arrow; got a list"),
        (TABLE["a"], r"expected a table of pandas, polars or Arrow; got a pandas\.Series"),
        (TABLE.to_numpy(), r"expected a table of pandas, polars or Arrow; got a numpy\.ndarray"),
        (TABLE.iloc[:0], "the table from Python has no rows"),
        (pd.concat([TABLE, TABLE], axis=1), "the table from Python has two columns 'a'"),
        (TABLE.rename(columns={"a": 1, "b": "1"}), "the table from Python has two columns '1'"),
        (TABLE.rename_axis("a"), "the index of the table from Python has the name of a column: cannot insert a"),
    ],
)
def test_what_is_no_table_is_refused(table, message):
    with pytest.raises(DataError, match=message):
        to_pandas(table)


def test_the_users_table_stays_as_it_is():
    before = TABLE.copy()
    table = to_pandas(TABLE)
    table.loc[0, "a"] = 99.0
    pd.testing.assert_frame_equal(TABLE, before)


def test_keys_that_are_about_files_have_no_use():
    with pytest.raises(ConfigError, match=r"is for \.csv, \.tsv and \.txt; a table from Python says itself what is in it"):
        Sweep({**CONFIG, "data": {"target": "y", "decimal": ","}}, data=TABLE)
    typed = load_rows(DataConfig(source="<a table from Python>", dtypes={"b": "category"}), None, frame=TABLE).table
    assert isinstance(typed["b"].dtype, pd.CategoricalDtype)


def test_a_sweep_of_a_table_says_where_it_came_from_and_goes_on_with_a_file_of_the_same_rows(store, in_process, tmp_path):
    ran = Sweep(CONFIG, data=pl.from_pandas(TABLE)).run(quiet=True)
    run = store.client.get_run(ran.run_id)
    dataset = run.inputs.dataset_inputs[0].dataset
    assert (run.data.params["data"], dataset.name, dataset.source_type) == (*["a table from Python"] * 2, "code")
    assert json.loads(dataset.source) == {"tags": {"mlflow.source.name": "a table from Python"}}
    for command in (
        ["resume", ran.run_id, "--trials", "3"],
        ["reproduce", ran.best_run_id],
        ["promote", ran.run_id, "--name", "m"],
    ):
        done = in_process(*command)
        assert done.returncode == 2
        assert "data.source: stands for a table from Python, which nobody has kept" in done.stderr.replace("\n", " ")
    TABLE.to_parquet(tmp_path / "same.parquet")
    done = in_process("resume", ran.run_id, "--set", f"data.source={tmp_path / 'same.parquet'}", "--json")
    assert done.returncode == 0, done.stderr
    TABLE.assign(a=1.0).to_parquet(tmp_path / "other.parquet")
    done = in_process("resume", ran.run_id, "--set", f"data.source={tmp_path / 'other.parquet'}")
    assert "has changed since the sweep 'frame'" in done.stderr.replace("\n", " ")
