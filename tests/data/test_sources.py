"""Files as they come: text in every wrapping, JSON lines, Parquet in parts, Arrow; and the keys that say how they are read."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import zipfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pydantic import ValidationError

from wine_sweep.config import DataConfig, Reading
from wine_sweep.data import load_table
from wine_sweep.data.sources import OF_GAPS, has_more_than
from wine_sweep.data.splits import load_rows
from wine_sweep.errors import DataError

TABLE = pd.DataFrame({"a": [1, 3], "b": [2.5, 4.5], "y": ["x", "z"]})
ROWS = pd.DataFrame({"a": [0] * 100_000, "y": ["word"] * 100_000})


def zipped(content, *names):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names or ["t.csv"]:
            archive.writestr(name, content)
    return buffer.getvalue()


WRAPPINGS = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress, ".zip": zipped}
TEXTS = {
    ".csv": lambda table: table.to_csv(index=False),
    ".tsv": lambda table: table.to_csv(index=False, sep="\t"),
    ".txt": lambda table: table.to_csv(index=False, sep=";"),
    ".jsonl": lambda table: table.to_json(orient="records", lines=True),
}


def stream(table, path):
    arrow = pa.Table.from_pandas(table)
    with pa.ipc.new_stream(path, arrow.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(arrow)


BINARIES = {
    "t.parquet": lambda table, path: table.to_parquet(path),
    "t.feather": lambda table, path: table.to_feather(path),
    "plain.feather": lambda table, path: table.to_feather(path, compression="uncompressed"),
    "zstd.arrow": lambda table, path: table.to_feather(path, compression="zstd"),
    "stream.arrow": stream,
}


def read(folder, content, name="t.csv", **keys):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return load_rows(DataConfig(source=str(path), **keys), folder)


@pytest.mark.parametrize("wrapping", WRAPPINGS)
@pytest.mark.parametrize("ending", TEXTS)
def test_text_is_read_in_every_wrapping_and_refused_where_it_unfolds_to_more(ending, wrapping, tmp_path):
    path = tmp_path / f"t{ending}{wrapping}"
    path.write_bytes(WRAPPINGS[wrapping](TEXTS[ending](TABLE).encode()))
    pd.testing.assert_frame_equal(load_table(str(path)), TABLE, check_dtype=False)
    path.write_bytes(WRAPPINGS[wrapping](TEXTS[ending](ROWS).encode()))
    assert has_more_than(path, 500_000)
    assert not has_more_than(path, 5_000_000)


@pytest.mark.parametrize("name", BINARIES)
def test_binary_tables_are_read_and_refused_where_they_unfold_to_more(name, tmp_path):
    path = tmp_path / name
    BINARIES[name](TABLE, path)
    pd.testing.assert_frame_equal(load_table(str(path)), TABLE)
    BINARIES[name](ROWS, path)
    assert has_more_than(path, 500_000)
    assert not has_more_than(path, 5_000_000)


def test_categories_and_dates_keep_their_types_in_arrow(tmp_path):
    table = TABLE.assign(y=pd.Categorical(["x", "z"]), when=pd.to_datetime(["2026-01-02", "2026-01-03"]))
    table.to_feather(tmp_path / "t.feather")
    assert load_table(str(tmp_path / "t.feather")).dtypes.equals(table.dtypes)


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
def test_an_arrow_file_is_measured_without_unfolding_it(compression, tmp_path):
    """What its buffers say of their size is what would be made of them."""
    arrow = pa.table({"a": pa.array(np.zeros(8_000_000))})
    with pa.ipc.new_file(tmp_path / "t.arrow", arrow.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(arrow)
    assert (tmp_path / "t.arrow").stat().st_size < 500_000
    before = pa.total_allocated_bytes()
    assert has_more_than(tmp_path / "t.arrow", 60_000_000)
    assert pa.total_allocated_bytes() - before < 1_000_000
    assert not has_more_than(tmp_path / "t.arrow", 70_000_000)


@pytest.mark.parametrize("at", range(0, 400, 7))
def test_a_damaged_arrow_file_is_refused_or_read_and_nothing_else(at, tmp_path):
    path = tmp_path / "t.feather"
    TABLE.to_feather(path)
    content = bytearray(path.read_bytes())
    content[at % len(content)] ^= 0xFF
    path.write_bytes(bytes(content))
    with contextlib.suppress(DataError):  # that some bytes do not matter is fine; that another error comes is not
        load_table(str(path))


def test_a_folder_of_parts_is_one_table_by_the_names_of_its_files(tmp_path):
    for number, part in enumerate((TABLE, TABLE.assign(a=[5, 7]))):
        part.to_parquet(tmp_path / f"part-{number}.parquet")
    assert load_table(str(tmp_path))["a"].tolist() == [1, 3, 5, 7]
    assert not has_more_than(tmp_path, 10_000)
    assert has_more_than(tmp_path, 50)


def test_of_a_folder_nothing_is_read_whose_size_was_not_looked_at(tmp_path):
    TABLE.to_parquet(tmp_path / "part-0.parquet")
    TABLE.assign(a=[5, 7]).to_parquet(tmp_path / "more")
    (tmp_path / "within").mkdir()
    TABLE.to_parquet(tmp_path / "within" / "part-1.parquet")
    assert load_table(str(tmp_path))["a"].tolist() == [1, 3]


def test_an_index_with_a_name_is_a_column(tmp_path):
    TABLE.set_index("a").to_parquet(tmp_path / "t.parquet")
    assert load_table(str(tmp_path / "t.parquet")).columns.tolist() == ["a", "b", "y"]


@pytest.mark.parametrize(("members", "count"), [(["t.csv", "u.csv"], 2), (["folder/"], 0)])
def test_an_archive_of_more_or_less_than_one_file_is_refused(members, count, tmp_path):
    (tmp_path / "t.csv.zip").write_bytes(zipped("a,y\n1,2\n", *members))
    with pytest.raises(DataError, match=rf"cannot be read: it holds {count} files; a table is one"):
        load_table(str(tmp_path / "t.csv.zip"))


@pytest.mark.parametrize(
    "name", ["t.csv.gz", "t.csv.bz2", "t.csv.xz", "t.csv.zip", "t.jsonl", "t.parquet", "t.feather", "t.arrow"]
)
def test_what_is_no_such_file_is_refused(name, tmp_path):
    (tmp_path / name).write_bytes(b"no such thing at all, and longer than any header of a file is")
    with pytest.raises(DataError, match="cannot be read: "):
        load_table(str(tmp_path / name))


def test_decimal_comma_thousands_comments_and_gaps_are_read_as_the_config_says(tmp_path):
    text = "# made by hand\na;b;y\n1.000,5;?;x\n2,5;3;y # so it is\n"
    rows = read(tmp_path, text, decimal=",", thousands=".", comment="#", na_values=["?"])
    assert rows.table["a"].tolist() == [1000.5, 2.5]
    assert rows.table["b"].isna().tolist() == [True, False]
    assert rows.table["y"].str.strip().tolist() == ["x", "y"]


def test_a_separator_may_be_said_where_the_header_has_more_of_another(tmp_path):
    text = '"a, b, c":y\n1:2\n'
    assert read(tmp_path, text.replace('"', ""), separator=":").table.columns.tolist() == ["a, b, c", "y"]


def test_a_decimal_comma_separates_no_columns(tmp_path):
    assert read(tmp_path, "a,b;y\n1,5;2\n", decimal=",").table.columns.tolist() == ["a,b", "y"]


def test_text_in_another_encoding_is_read_where_the_config_names_it(tmp_path):
    assert read(tmp_path, "straße,y\né,1\n".encode("latin-1"), encoding="latin-1").table.columns.tolist() == ["straße", "y"]


def test_the_usual_gaps_can_be_values(tmp_path):
    rows = read(tmp_path, "country,y\nNA,1\nDE,2\n", keep_default_na=False)
    assert rows.table["country"].tolist() == ["NA", "DE"]


def test_columns_are_read_as_the_types_that_are_asked_for(tmp_path):
    rows = read(
        tmp_path,
        "zip,colour,when,n,y\n01000,red,2026-12-01,1e3,1\n,,,,2\n",
        dtypes={"zip": "text", "colour": "category", "when": "date", "n": "number"},
    )
    assert not rows.wrong
    first = rows.table.iloc[0]
    assert (first["zip"], first["colour"], first["when"], first["n"]) == ("01000", "red", pd.Timestamp("2026-12-01"), 1000.0)
    assert rows.table.iloc[1, :4].isna().all()
    assert isinstance(rows.table["colour"].dtype, pd.CategoricalDtype)


def test_everything_that_is_wrong_with_types_is_named(tmp_path):
    rows = read(tmp_path, "n,when,y\nx,2026-01-01,1\n2,2026-01-02,2\n", dtypes={"n": "number", "when": "date", "gone": "text"})
    assert [error.path[-1] for error in rows.wrong] == ["n", "gone"]
    assert "holds 'x' in row 1" in str(rows.wrong[0])
    assert str(rows.wrong[1]) == "there is no column 'gone' in the table; allowed: n, when, y"


def test_numbers_are_no_dates(tmp_path):
    TABLE.to_parquet(tmp_path / "t.parquet")
    rows = load_rows(DataConfig(source="t.parquet", dtypes={"a": "date"}), tmp_path)
    assert [str(error) for error in rows.wrong] == ["column 'a' holds numbers; dates are such as 2026-12-01"]


@pytest.mark.parametrize(
    ("key", "value"), [("separator", ";"), ("decimal", ","), ("na_values", ["?"]), ("keep_default_na", False)]
)
def test_keys_that_are_about_text_are_refused_for_what_has_types(key, value, tmp_path):
    TABLE.to_parquet(tmp_path / "t.parquet")
    (error,) = load_rows(DataConfig(source="t.parquet", **{key: value}), tmp_path).wrong
    formats = ".csv, .tsv, .txt and .xlsx" if key in OF_GAPS else ".csv, .tsv and .txt"
    assert str(error) == f"is for {formats}; a .parquet says itself what is in it"
    assert error.path == ("data", key)
    (error,) = load_rows(DataConfig(source="wine-quality-red", **{key: value}), tmp_path).wrong
    assert str(error) == f"is for {formats}; wine-quality-red says itself what is in it"


def test_new_rows_may_be_of_another_format_than_text_with_a_decimal_comma(tmp_path):
    TABLE.assign(a=[1.5, 2.5]).to_parquet(tmp_path / "new.parquet")
    rows = read(tmp_path, "a;b;y\n1,5;2;x\n2,5;3;z\n", decimal=",", new="new.parquet")
    assert rows.table["a"].tolist() == [1.5, 2.5, 1.5, 2.5]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"separator": ";;"}, "is one character"),
        ({"comment": '"'}, "is one character"),
        ({"encoding": "klingon"}, "is an encoding that Python knows"),
        ({"encoding": "hex"}, "is an encoding that Python knows"),
        ({"separator": ",", "decimal": ","}, "is the same as `separator`"),
        ({"dtypes": {"a": "integer"}}, "Input should be 'number', 'text', 'category' or 'date'"),
    ],
)
def test_keys_that_cannot_be_are_refused(keys, message):
    with pytest.raises(ValidationError, match=message):
        Reading(**keys)


NO_OBJECTS = {"[1, 2]": "each line is to be an object", "[" * 100_000: "nested too deeply", "{": "Expecting"}


@pytest.mark.parametrize(("line", "why"), NO_OBJECTS.items(), ids=NO_OBJECTS.values())
def test_lines_that_are_no_json_objects_are_refused(line, why, tmp_path):
    (tmp_path / "t.jsonl").write_text('{"a": 1, "y": 2}\n' + line + "\n")
    with pytest.raises(DataError, match=f"cannot be read: .*{why}"):
        load_table(str(tmp_path / "t.jsonl"))


def test_text_in_json_stays_text(tmp_path):
    (tmp_path / "t.jsonl").write_text('{"zip": "01000", "date": "2026-01-02", "y": 1}\n\n{"zip": null, "date": "x", "y": 2.5}\n')
    table = load_table(str(tmp_path / "t.jsonl"))
    assert table["zip"].tolist()[0] == "01000"
    assert table["date"].tolist() == ["2026-01-02", "x"]
    assert table["y"].tolist() == [1, 2.5]
