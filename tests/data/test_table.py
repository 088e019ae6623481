"""Tables of one's own, as they are found on disks."""

import gzip
import json
import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from wine_sweep.data import load_table
from wine_sweep.data.table import resolve_source
from wine_sweep.errors import DataError

HEADER, ROWS = ["a", "b", "y"], [["1", "2.5", "x"], ["3", "4.5", "z"]]


def text_of(separator, newline="\n"):
    return "".join(separator.join(row) + newline for row in [HEADER, *ROWS])


def write(folder, name, content):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def refusal(path):
    with pytest.raises(DataError) as caught:
        load_table(str(path))
    assert caught.value.path == ("data", "source")
    return str(caught.value)


def is_the_table(table):
    assert table.columns.tolist() == HEADER
    assert table["a"].tolist() == [1, 3]
    assert table["b"].tolist() == [2.5, 4.5]
    assert table["y"].tolist() == ["x", "z"]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"], ids=["comma", "semicolon", "tab", "bar"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"], ids=["unix", "windows", "old mac"])
def test_a_csv_is_read_whatever_separates_it(separator, newline, tmp_path):
    is_the_table(load_table(write(tmp_path, "t.csv", text_of(separator, newline))))


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path):
    is_the_table(load_table(write(tmp_path, "t.csv", b"\xef\xbb\xbf" + text_of(";").encode())))


def test_a_last_line_without_an_end_counts(tmp_path):
    is_the_table(load_table(write(tmp_path, "t.csv", text_of(",").rstrip("\n"))))


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_compressed_csv_is_read(mark, tmp_path):
    is_the_table(load_table(write(tmp_path, "t.csv.gz", gzip.compress(mark + text_of("|").encode()))))


def test_a_parquet_file_is_read(tmp_path):
    pd.DataFrame({"a": [1, 3], "b": [2.5, 4.5], "y": ["x", "z"]}).to_parquet(tmp_path / "t.parquet")
    is_the_table(load_table(str(tmp_path / "t.parquet")))


def test_a_quoted_header_may_hold_separators(tmp_path):
    table = load_table(write(tmp_path, "t.csv", '"a;b;c;d","e|f",y\n1,2,3\n4,5,6\n'))
    assert table.columns.tolist() == ["a;b;c;d", "e|f", "y"]
    assert table["y"].tolist() == [3, 6]


def test_a_quoted_header_may_hold_quotes(tmp_path):
    table = load_table(write(tmp_path, "t.csv", '"a ""x;y;z;w""",y\n1,2\n'))
    assert table.columns.tolist() == ['a "x;y;z;w"', "y"]


def test_a_quoted_value_may_hold_separators_and_line_ends(tmp_path):
    table = load_table(write(tmp_path, "t.csv", 'a,y\n"1,5\nor so",2\n'))
    assert table["a"].tolist() == ["1,5\nor so"]


def test_one_column_is_a_table(tmp_path):
    assert load_table(write(tmp_path, "t.csv", "y\n1\n2\n"))["y"].tolist() == [1, 2]


def test_columns_keep_their_order_and_their_types(tmp_path):
    table = load_table(write(tmp_path, "t.csv", "z,a,m\n1,x,True\n2,,False\n"))
    assert table.columns.tolist() == ["z", "a", "m"]
    assert table["z"].dtype == np.int64
    assert table["m"].dtype == bool
    assert table["a"].isna().tolist() == [False, True]


def test_a_missing_file_is_named(tmp_path):
    assert refusal(tmp_path / "none.csv") == f"no such file: {tmp_path / 'none.csv'}"


def test_a_folder_without_parts_is_no_table(tmp_path):
    (tmp_path / "t.csv").mkdir()
    assert refusal(tmp_path / "t.csv") == f"{tmp_path / 't.csv'} is a folder without .parquet files"


@pytest.mark.parametrize("name", ["t.sas7bdat", "t", "t.csv.7z", "csv", "t.parquet.gz"])
def test_another_ending_is_refused_before_the_file_is_opened(name, tmp_path):
    message = refusal(tmp_path / name)
    assert message == (
        f"'{name}' is neither a bundled table (wine-quality-red, wine-quality-white, wine-quality) nor a file of the endings"
        " .csv, .tsv, .txt, .jsonl (also .gz, .bz2, .xz, .zip), .parquet, .feather, .arrow or .xlsx"
    )


@pytest.mark.parametrize("content", ["", "\n", "  \n\n"])
def test_an_empty_file_is_refused(content, tmp_path):
    path = write(tmp_path, "t.csv", content)
    assert refusal(path) == f"{path} cannot be read: No columns to parse from file"


@pytest.mark.parametrize("content", ["a,b,y\n", "a,b,y", "a,b,y\n\n\n"])
def test_a_header_alone_is_refused(content, tmp_path):
    path = write(tmp_path, "t.csv", content)
    assert refusal(path) == f"{path} has no rows"


def test_a_parquet_file_without_rows_is_refused(tmp_path):
    pd.DataFrame({"a": [], "y": []}).to_parquet(tmp_path / "t.parquet")
    assert refusal(tmp_path / "t.parquet").endswith("has no rows")


def test_what_is_not_compressed_is_refused(tmp_path):
    assert "cannot be read: Not a gzipped file" in refusal(write(tmp_path, "t.csv.gz", text_of(",")))


def test_a_compressed_file_that_breaks_off_is_refused(tmp_path):
    whole = gzip.compress(("a,y\n" + "".join(f"{n},{n * n}\n" for n in range(5000))).encode())
    assert "cannot be read: Compressed file ended before" in refusal(write(tmp_path, "t.csv.gz", whole[: len(whole) // 2]))


@pytest.mark.parametrize("content", [b"", b"PAR1", b"not parquet at all"])
def test_a_broken_parquet_file_is_refused(content, tmp_path):
    assert "cannot be read: " in refusal(write(tmp_path, "t.parquet", content))


def test_text_that_is_not_utf_8_is_refused(tmp_path):
    said = refusal(write(tmp_path, "t.csv", "a,y\né,1\n".encode("latin-1")))
    assert "cannot be read: byte 0xe9 is no text of the encoding UTF-8; name the one that it has" in said
    assert "`data.encoding: cp1252`" in said


def test_one_row_that_is_too_long_is_refused(tmp_path):
    assert "cannot be read: Error tokenizing data." in refusal(write(tmp_path, "t.csv", "a,b\n1,2\n1,2,3\n"))


def test_a_column_named_twice_is_refused(tmp_path):
    path = write(tmp_path, "t.csv", "a;b;a\n1;2;3\n")
    assert refusal(path) == f"{path} cannot be read: it names the column 'a' twice"


def test_a_column_that_is_named_like_pandas_repeats_is_fine(tmp_path):
    assert load_table(write(tmp_path, "t.csv", "a,a.1\n1,2\n")).columns.tolist() == ["a", "a.1"]


def test_a_column_named_twice_in_parquet_is_refused(tmp_path):
    pq.write_table(pa.table([[1], [2], [3]], names=["a", "a", "y"]), tmp_path / "t.parquet")
    assert "cannot be read: " in refusal(tmp_path / "t.parquet")


NOTES = json.loads(pa.Schema.from_pandas(pd.DataFrame({"a": [1], "y": ["x"]})).metadata[b"pandas"])


def note_of_first_column(**changes):
    first, second = NOTES["columns"]
    return NOTES | {"columns": [first | changes, second]}


@pytest.mark.parametrize(
    "notes",
    [
        {},
        [],
        "text",
        NOTES | {"index_columns": ["gone"]},
        NOTES | {"index_columns": [5]},
        NOTES | {"index_columns": [{"kind": "range", "name": None, "start": 0, "stop": 10**30, "step": 1}]},
        NOTES | {"column_indexes": [{}]},
        NOTES | {"columns": 5},
        NOTES | {"attributes": [1]},
        note_of_first_column(numpy_type="category[evil.mod]"),
        note_of_first_column(numpy_type=5),
    ],
    ids=lambda notes: json.dumps(notes)[-60:],
)
def test_damaged_notes_of_pandas_in_a_parquet_file_are_refused(notes, tmp_path):
    table = pa.table({"a": [1, 2], "y": ["x", "z"]}).replace_schema_metadata({b"pandas": json.dumps(notes).encode()})
    pq.write_table(table, tmp_path / "t.parquet")
    assert "cannot be read: the notes of pandas in it are damaged: " in refusal(tmp_path / "t.parquet")


@pytest.mark.parametrize("kind", ["column 'y'", "index"])
def test_text_in_a_parquet_file_that_is_not_utf_8_is_refused(kind, tmp_path):
    text = pa.Array.from_buffers(pa.string(), 2, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0"), pa.py_buffer(b"\xff\xfe")])
    table = pa.table({"a": [1, 2], "y": text})
    if kind == "index":
        table = table.replace_schema_metadata({b"pandas": json.dumps(NOTES | {"index_columns": ["y"]}).encode()})
    pq.write_table(table, tmp_path / "t.parquet")
    assert refusal(tmp_path / "t.parquet").endswith(f"cannot be read: the text in its {kind} is not UTF-8")


def test_a_damaged_compressed_file_is_refused(tmp_path):
    content = bytearray(gzip.compress(("a,y\n" + "".join(f"{n},{n * 7919 % 1001}\n" for n in range(3000))).encode()))
    content[10] ^= 0xFF
    assert "cannot be read: " in refusal(write(tmp_path, "t.csv.gz", bytes(content)))


def test_rows_that_are_all_longer_than_the_header_are_refused(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert "cannot be read: " in refusal(write(tmp_path, "t.csv", "a,b,y\nid1,1,2,3\nid2,4,5,6\n"))


def test_blank_lines_above_the_header_do_not_count(tmp_path):
    is_the_table(load_table(write(tmp_path, "t.csv", "\n" + text_of(";"))))


def test_a_path_is_resolved_against_the_folder_and_a_bundled_name_is_not(tmp_path):
    assert resolve_source("x/../t.csv", tmp_path) == str(tmp_path.resolve() / "t.csv")
    assert resolve_source(str(tmp_path / "t.csv"), tmp_path / "elsewhere") == str(tmp_path / "t.csv")
    assert resolve_source("wine-quality", tmp_path) == "wine-quality"


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolve_source("~/t.csv", tmp_path / "elsewhere") == str(tmp_path.resolve() / "t.csv")
