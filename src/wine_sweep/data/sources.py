"""Read files: text with columns, JSON lines, Parquet, Arrow, Excel; how much they unfold to is looked at first.

Whoever has written a file decides what it claims of itself: what it says of its size is enough to refuse it, and never to
trust it.
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import pathlib
import re
import struct
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import IO, Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from wine_sweep.config import ColumnType, Reading
from wine_sweep.data.excel import read_workbook, workbook_has_more

_SEPARATORS = ",;\t|"
_LONGEST_LINE = 10_000_000
_RATIO = 1032
"""Deflate makes no more than so many bytes of one; see https://zlib.net/zlib_tech.html."""

_PIECE = 1024 * 1024
_ROWS = 1024
_NUMBER = 8
_NO_NAME = re.compile(r"__index_level_\d+__")
_DAMAGED = (LookupError, TypeError, AttributeError, OverflowError, AssertionError, RecursionError)
"""What pandas and PyArrow raise where the notes of pandas within a file are not what pandas writes."""

UNREADABLE = (
    *(OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, struct.error),
    *(ValueError, NotImplementedError, MemoryError, pd.errors.ParserWarning, pa.ArrowException),
)
"""What is raised by a file that cannot be read or unfolded, and by pandas and PyArrow at content that is no table."""


@dataclass(frozen=True)
class TableFormat:
    """How files with an ending are read.

    Args:
        read: Reads the whole table.
        unfolds_beyond: Whether a file, itself no larger, has more than so many bytes once it is unfolded; None where the file
            is what is read.
        keys: The keys of `Reading` that say how its content becomes values, beside those that are for all formats.
        is_text: Whether the text of its values is turned into numbers here.
    """

    read: Callable[[pathlib.Path, Reading], pd.DataFrame]
    unfolds_beyond: Callable[[pathlib.Path, int], bool] | None = None
    keys: tuple[str, ...] = ()
    is_text: bool = False


def _only_member(archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    members = [each for each in archive.infolist() if not each.is_dir()]
    if len(members) != 1:
        raise ValueError(f"it holds {len(members)} files; a table is one")
    return members[0]


@contextmanager
def _opened(path: pathlib.Path) -> Iterator[IO[bytes]]:
    """Open a file, unfolded as its last ending says."""
    openers: dict[str, Callable[[pathlib.Path], Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive, archive.open(_only_member(archive)) as file:
            yield file
    else:
        with openers.get(path.suffix, partial(open, mode="rb"))(path) as file:
            yield file


def _unfolds_beyond(path: pathlib.Path, most: int) -> bool:
    size, count = path.stat().st_size, 0
    if path.suffix == ".gz":
        if size * _RATIO <= most:
            return False
        with path.open("rb") as file:  # a gzip file ends with its size modulo 4 GiB (RFC 1952, ISIZE)
            file.seek(max(0, size - 4))
            if int.from_bytes(file.read(4), "little") > most:
                return True
    with _opened(path) as file:
        while count <= most and (piece := file.read(_PIECE)):
            count += len(piece)
    return count > most


def _read_csv(path: pathlib.Path, reading: Reading) -> pd.DataFrame:
    """Read text with a header, separated as `reading` says, or by what its header has most of: comma, semicolon, tab or bar."""
    options = _options(path, reading)
    with _opened(path) as file:
        names = pd.read_csv(file, header=None, nrows=1, dtype=str, **options).iloc[0].dropna()
    if names.duplicated().any():
        raise ValueError(f"it names the column '{names[names.duplicated()].iloc[0]}' twice")
    options |= {"decimal": reading.decimal, "thousands": reading.thousands, "keep_default_na": reading.keep_default_na}
    as_text = {name: str for name, kind in reading.dtypes.items() if kind is not ColumnType.NUMBER}
    with warnings.catch_warnings(), _opened(path) as file:
        warnings.simplefilter("error", pd.errors.ParserWarning)  # rows longer than the header would lose their end
        table: pd.DataFrame = pd.read_csv(file, index_col=False, na_values=reading.na_values or None, dtype=as_text, **options)
    return table


def _options(path: pathlib.Path, reading: Reading) -> dict[str, Any]:
    """Return how pandas is to take a text apart."""
    encoding = reading.encoding or "utf-8-sig"
    with _opened(path) as raw, io.TextIOWrapper(raw, encoding=encoding, newline="") as file:
        lines = iter(lambda: file.readline(_LONGEST_LINE), "")
        header = next((line for line in lines if line.strip() and not _is_comment(line, reading)), "")
    if len(header) >= _LONGEST_LINE:
        raise ValueError(f"its header has more than {_LONGEST_LINE:,} characters")
    separator = reading.separator or ("\t" if ".tsv" in path.suffixes else _separator_of(header, reading))
    return {"sep": separator, "encoding": encoding, "comment": reading.comment}


def first_texts(path: pathlib.Path, reading: Reading, *, with_gaps: bool, most: int = 20_000) -> pd.DataFrame:
    """Return the first rows of a text that has been read before, nothing in it turned into numbers.

    Args:
        path: The file.
        reading: How it was read.
        with_gaps: Whether what is a gap by default is one, or text as all else.
        most: How many rows.
    """
    with _opened(path) as file:
        options = _options(path, reading)
        table: pd.DataFrame = pd.read_csv(file, index_col=False, dtype=str, keep_default_na=with_gaps, nrows=most, **options)
    return table


def _is_comment(line: str, reading: Reading) -> bool:
    return reading.comment is not None and line.startswith(reading.comment)


def _separator_of(header: str, reading: Reading) -> str:
    allowed = [each for each in _SEPARATORS if each not in (reading.decimal, reading.thousands, reading.comment)]
    counts = Counter(character for character in "".join(header.split('"')[::2]) if character in allowed)
    return max(allowed, key=lambda character: counts[character])


def _read_json_lines(path: pathlib.Path, _reading: Reading) -> pd.DataFrame:
    """Read a JSON object a line; its numbers are numbers and its text stays text."""
    with _opened(path) as file:
        try:
            records = [json.loads(line) for line in file if line.strip()]
        except RecursionError as error:
            raise ValueError("a line of it is nested too deeply") from error
    if not all(isinstance(record, dict) for record in records):
        raise ValueError('each line is to be an object: {"column": value, …}')
    return pd.DataFrame(records)


def parts_of(path: pathlib.Path) -> list[pathlib.Path]:
    """List the files of a table: the file itself, or the Parquet files that lie in a folder of parts, by name."""
    return sorted(path.glob("*.parquet")) if path.is_dir() else [path]


def _parquet_has_more(path: pathlib.Path, most: int) -> bool:
    """Add up what the pages unfold to; text is counted as it is read, since one word may stand for millions."""
    unfolded = count = 0
    for part in parts_of(path):
        with pq.ParquetFile(part) as file:
            metadata = file.metadata
            pages = sum(metadata.row_group(index).total_byte_size for index in range(metadata.num_row_groups))
            unfolded += max(pages, _NUMBER * metadata.num_rows * metadata.num_columns)
            if unfolded > most:
                return True
            texts = [field.name for field in file.schema_arrow if not _is_plain(field.type)]
            for batch in file.iter_batches(batch_size=_ROWS, columns=texts) if texts else ():
                count += batch.nbytes
                if count > most:
                    return True
    return False


def _is_plain(kind: pa.DataType) -> bool:
    """Return whether each value takes a few bytes; categories are kept as numbers."""
    return bool(pa.types.is_primitive(kind) or pa.types.is_dictionary(kind) or pa.types.is_null(kind))


def _read_parquet(path: pathlib.Path, _reading: Reading) -> pd.DataFrame:
    with _notes_of_pandas():
        tables = [_checked(pd.read_parquet(part)) for part in parts_of(path)]  # of a folder pandas would read other files too
    return tables[0] if len(tables) == 1 else pd.concat(tables, ignore_index=True)


@contextmanager
def _notes_of_pandas() -> Iterator[None]:
    """Raise ValueError where the notes of pandas within a file are damaged."""
    try:
        yield
    except pa.ArrowException:
        raise
    except _DAMAGED as error:
        raise ValueError(f"the notes of pandas in it are damaged: {type(error).__name__}: {error}") from error


def _checked(table: pd.DataFrame) -> pd.DataFrame:
    """Look at a table's text, which pandas reads though it is no UTF-8, to fail when it is used; an index with names is columns.

    Raises:
        ValueError: There is such text, or the index is named as a column is.
    """
    parts: dict[str, Any] = {"index": table.index, **{f"column '{name}'": column for name, column in table.items()}}
    for what, values in parts.items():
        if isinstance(values.dtype, pd.StringDtype):
            try:
                pa.array(values).validate(full=True)
            except pa.ArrowInvalid as error:
                raise ValueError(f"the text in its {what} is not UTF-8") from error
    return with_index(table)


INDEX_LEFT_OUT = "the index has no name and is left out; with one it would be a column: `table.index.name = …`"


def with_index(table: pd.DataFrame) -> pd.DataFrame:
    """Make columns of an index of which a level has a name; one without is left out, and the rows are numbered.

    Raises:
        ValueError: A column has that name.
    """
    return table.reset_index(drop=all(name is None for name in table.index.names))


def leaves_index_out(path: pathlib.Path) -> bool:
    """Return whether a file that has been read before has an index without a name that is more than the rows' numbers."""
    first = parts_of(path)[0]
    if path.suffix in (".feather", ".arrow"):
        with first.open("rb") as file:
            schema = _arrow_reader(file).schema
    elif path.suffix == ".parquet" or path.is_dir():
        schema = pq.read_schema(first)
    else:
        return False
    stored = [each for each in (schema.pandas_metadata or {}).get("index_columns", ()) if isinstance(each, str)]
    return bool(stored) and all(_NO_NAME.fullmatch(name) for name in stored)


def _read_arrow(path: pathlib.Path, _reading: Reading) -> pd.DataFrame:
    with _notes_of_pandas(), path.open("rb") as file:
        return _checked(_arrow_reader(file).read_all().to_pandas())


def _arrow_reader(file: IO[bytes]) -> Any:
    """Open Arrow's file format, which Feather is too, or its stream format."""
    try:
        return pa.ipc.open_file(file)
    except pa.ArrowInvalid:
        file.seek(0)
        return pa.ipc.open_stream(file)


def _arrow_has_more(path: pathlib.Path, most: int) -> bool:
    """Add up the sizes that the buffers are said to have once they are unfolded: so many bytes are made of them, no more."""
    count = 0
    with path.open("rb") as file:
        file.seek(8 if file.read(6) == b"ARROW1" else 0)
        while True:
            try:
                message = pa.ipc.read_message(file)
            except EOFError:
                return False
            if message.type in ("record batch", "dictionary"):
                count += sum(_unfolded_buffers(bytes(message.metadata), message.body, message.type == "dictionary"))
            if count > most:
                return True


def _unfolded_buffers(metadata: bytes, body: pa.Buffer, is_dictionary: bool) -> Iterator[int]:
    """Yield the size of each buffer of a message once it is unfolded.

    See https://arrow.apache.org/docs/format/Columnar.html, "Encapsulated message format" and "Buffer compression", and
    https://flatbuffers.dev/internals for how tables and vectors lie in the metadata.
    """

    def field(table: int, index: int) -> int | None:
        """Return where a table's field lies; None where it has its default."""
        entries = table - struct.unpack_from("<i", metadata, table)[0]
        size = struct.unpack_from("<H", metadata, entries)[0]
        offset = struct.unpack_from("<H", metadata, entries + 4 + 2 * index)[0] if 4 + 2 * index < size else 0
        return table + offset if offset else None

    def follow(place: int | None) -> int:
        if place is None:
            raise ValueError("a message of it has no content")
        return int(place + struct.unpack_from("<I", metadata, place)[0])

    batch = follow(field(follow(0), 2))
    if is_dictionary:
        batch = follow(field(batch, 1))
    buffers, is_compressed = follow(field(batch, 2)), field(batch, 3) is not None
    for index in range(struct.unpack_from("<I", metadata, buffers)[0]):
        offset, length = struct.unpack_from("<qq", metadata, buffers + 4 + 16 * index)
        unfolded = int.from_bytes(body[offset : offset + 8], "little", signed=True) if is_compressed and length else -1
        yield length if unfolded < 0 else unfolded


OF_GAPS = ("na_values", "keep_default_na")
OF_TEXT = ("separator", "decimal", "thousands", "comment", "encoding", *OF_GAPS)
OF_SHEETS = ("sheet", *OF_GAPS)
_TEXT = {".csv": _read_csv, ".tsv": _read_csv, ".txt": _read_csv, ".jsonl": _read_json_lines}
_FOLDED = {"": None, **dict.fromkeys((".gz", ".bz2", ".xz", ".zip"), _unfolds_beyond)}

FORMATS = {
    **{
        f"{ending}{folded}": TableFormat(read, unfolds_beyond, OF_TEXT if read is _read_csv else (), is_text=read is _read_csv)
        for ending, read in _TEXT.items()
        for folded, unfolds_beyond in _FOLDED.items()
    },
    ".parquet": TableFormat(_read_parquet, _parquet_has_more),
    ".feather": TableFormat(_read_arrow, _arrow_has_more),
    ".arrow": TableFormat(_read_arrow, _arrow_has_more),
    ".xlsx": TableFormat(read_workbook, workbook_has_more, OF_SHEETS),
}
"""Formats by the ending of a file's name."""

ENDINGS = ".csv, .tsv, .txt, .jsonl (also .gz, .bz2, .xz, .zip), .parquet, .feather, .arrow or .xlsx"
"""The same in words."""


def ending_of(path: pathlib.Path) -> str | None:
    """Return which format a file is of; a folder is one of Parquet files. None for none."""
    if path.is_dir():
        return ".parquet"
    return next((ending for ending in FORMATS if path.name.endswith(ending)), None)


def has_more_than(path: pathlib.Path, most: int) -> bool:
    """Return whether a table has more than `most` bytes, unfolded where it is compressed.

    Raises:
        OSError: It cannot be read, or is not what its ending says.
        EOFError: It ends too early.
    """
    unfolds_beyond = FORMATS[ending_of(path) or ".csv"].unfolds_beyond
    size = sum(part.stat().st_size for part in parts_of(path))
    return size > most or (unfolds_beyond is not None and unfolds_beyond(path, most))
