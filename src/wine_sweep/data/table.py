"""Load a table: a bundled one or the user's file, whose size in memory is estimated first.

P. Cortez, A. Cerdeira, F. Almeida, T. Matos, J. Reis, "Modeling wine preferences by data mining from physicochemical
properties", Decision Support Systems 47(4):547-553, 2009. UCI data set 186, https://doi.org/10.24432/C56S3T, licensed
under CC BY 4.0; see ``wine_quality/README.md`` beside the files.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import pathlib
import warnings
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from wine_sweep.config import MAX_TABLE
from wine_sweep.errors import DataError
from wine_sweep.messages import first_line, show_bytes

TARGET = "quality"
_FILES = {
    "red": ("winequality-red.csv", "4a402cf041b025d4566d954c3b9ba8635a3a8a01e039005d97d6a710278cf05e"),
    "white": ("winequality-white.csv", "76c3f809815c17c07212622f776311faeb31e87610d52c26d87d6e361b169836"),
}
DOI = "https://doi.org/10.24432/C56S3T"
NAMES = ("wine-quality-red", "wine-quality-white", "wine-quality")


def load_bundled(name: str) -> pd.DataFrame:
    """Read a bundled table: 11 physicochemical features and `quality`; ``wine-quality`` stacks red on white and adds `is_red`.

    Args:
        name: One of `NAMES`.

    Raises:
        DataError: A file of the installed package is not the one that was published (its SHA-256 differs).
    """
    if name == "wine-quality":
        tables = [_read("red").assign(is_red=1.0), _read("white").assign(is_red=0.0)]
        table = pd.concat(tables, ignore_index=True)
        return table[[column for column in table.columns if column != TARGET] + [TARGET]]
    return _read(name.removeprefix("wine-quality-"))


def _read(colour: str) -> pd.DataFrame:
    file_name, expected = _FILES[colour]
    content = (resources.files("wine_sweep.data") / "wine_quality" / file_name).read_bytes()
    if hashlib.sha256(content).hexdigest() != expected:
        raise DataError(f"the bundled {file_name} is damaged (its SHA-256 differs from UCI's); install wine_sweep again")
    return pd.read_csv(io.BytesIO(content), sep=";")


_RATIO = 1032
"""Deflate makes no more than so many bytes of one; see https://zlib.net/zlib_tech.html."""

_PIECE = 1024 * 1024
_ROWS = 1024
_NUMBER = 8


def _said_by_gzip(path: pathlib.Path, size: int) -> int:
    """Return the size that a gzip file ends with, modulo 4 GiB (RFC 1952, ISIZE)."""
    with path.open("rb") as file:
        file.seek(max(0, size - 4))
        return int.from_bytes(file.read(4), "little")


def _gzip_has_more(path: pathlib.Path, most: int) -> bool:
    size, count = path.stat().st_size, 0
    if size * _RATIO <= most:
        return False
    if _said_by_gzip(path, size) > most:
        return True
    with gzip.open(path) as file:
        while count <= most and (piece := file.read(_PIECE)):
            count += len(piece)
    return count > most


def _parquet_has_more(path: pathlib.Path, most: int) -> bool:
    """Add up what the pages unfold to; text is counted as it is read, since one word may stand for millions."""
    with pq.ParquetFile(path) as file:
        metadata = file.metadata
        unfolded = sum(metadata.row_group(index).total_byte_size for index in range(metadata.num_row_groups))
        numbers = _NUMBER * metadata.num_rows * metadata.num_columns
        if max(unfolded, numbers) > most:
            return True
        texts = [field.name for field in file.schema_arrow if not _is_plain(field.type)]
        count = 0
        for batch in file.iter_batches(batch_size=_ROWS, columns=texts) if texts else ():
            count += batch.nbytes
            if count > most:
                return True
    return False


def _is_plain(kind: pa.DataType) -> bool:
    """Return whether each value takes a few bytes; categories are kept as numbers."""
    return bool(pa.types.is_primitive(kind) or pa.types.is_dictionary(kind) or pa.types.is_null(kind))


_SEPARATORS = ",;\t|"
_LONGEST_LINE = 10_000_000
_DAMAGED = (LookupError, TypeError, AttributeError, OverflowError, AssertionError, RecursionError)
"""What pandas and PyArrow raise where the notes of pandas within a Parquet file are not what pandas writes."""

_UNREADABLE = (
    *(OSError, EOFError, zlib.error),
    *(ValueError, NotImplementedError, MemoryError, pd.errors.ParserWarning, pa.ArrowException),
)
"""What is raised by a file that cannot be read or unfolded, and by pandas and PyArrow at content that is no table."""


def resolve_source(source: str, folder: pathlib.Path) -> str:
    """Return a source that means the same from every working folder: a bundled name, or an absolute path.

    Raises:
        DataError: It is no path that this machine can have.
    """
    if source in NAMES:
        return source
    try:
        return str(absolute(source, folder))
    except (OSError, ValueError, RuntimeError) as error:
        raise DataError(f"'{source[:60]}' is no path: {error}") from error


def absolute(path: str, folder: pathlib.Path) -> pathlib.Path:
    """Return a path that means the same from every working folder; a link in its last part keeps its own name and ending.

    Raises:
        OSError: Its folder cannot be looked up.
        ValueError: It is no path.
        RuntimeError: Its folder leads back to itself, or there is no such home.
    """
    whole = folder / pathlib.Path(path).expanduser()
    return whole.parent.resolve() / whole.name


def load_table(source: str, *, max_size: int = MAX_TABLE, raised_by: str = "data.max_size") -> pd.DataFrame:
    """Read the whole table, as it is.

    Args:
        source: A bundled name, or the path of a .csv, .csv.gz or .parquet. A CSV has a header; it is separated by
            comma, semicolon, tab or bar, whichever its header holds most of.
        max_size: How many bytes it may have, unfolded where it is compressed.
        raised_by: The key or the option that allows more.

    Raises:
        DataError: There is no such file, it is larger, its ending is another, it cannot be parsed, has no rows, or names a
            column twice.
    """
    if source in NAMES:
        return load_bundled(source)
    path = pathlib.Path(source)
    ending = _ending(path)
    if not ending:
        *others, last = FORMATS
        allowed = f"{', '.join(others)} or {last}"
        raise DataError(f"'{path.name}' is neither a bundled table ({', '.join(NAMES)}) nor a {allowed} file")
    try:
        if not path.is_file():
            is_strange = path.exists() and not path.is_dir()
            message = f"{path} is no regular file" if is_strange else f"no such file: {path}"
            raise DataError(message, code="missing-file")
        if has_more_than(path, max_size):
            raise DataError(f"{path} has more than {show_bytes(max_size)} unfolded; `{raised_by}` allows more")
        table = FORMATS[ending].read(path)
    except DataError:
        raise
    except _UNREADABLE as error:
        raise DataError(f"{path} cannot be read: {first_line(error)}") from error
    if table.empty:
        raise DataError(f"{path} has no rows")
    return table


def _read_parquet(path: pathlib.Path) -> pd.DataFrame:
    """Read a Parquet file; its text is looked at here, since pandas reads text that is no UTF-8 and fails when it is used.

    Raises:
        ValueError: What pandas has noted in it is damaged, or its text is no UTF-8.
    """
    try:
        table = pd.read_parquet(path)
    except pa.ArrowException:
        raise
    except _DAMAGED as error:
        raise ValueError(f"the notes of pandas in it are damaged: {type(error).__name__}: {error}") from error
    parts: dict[str, Any] = {"index": table.index, **{f"column '{name}'": column for name, column in table.items()}}
    for what, values in parts.items():
        if isinstance(values.dtype, pd.StringDtype):
            try:
                pa.array(values).validate(full=True)
            except pa.ArrowInvalid as error:
                raise ValueError(f"the text in its {what} is not UTF-8") from error
    return table


def _read_csv(path: pathlib.Path) -> pd.DataFrame:
    opener = gzip.open if path.name.endswith(".gz") else open
    with opener(path, "rt", encoding="utf-8-sig", newline="") as file:
        header = next((line for line in iter(lambda: file.readline(_LONGEST_LINE), "") if line.strip()), "")
    if len(header) >= _LONGEST_LINE:
        raise ValueError(f"its header has more than {_LONGEST_LINE:,} characters")
    counts = Counter(character for character in _unquoted(header) if character in _SEPARATORS)
    separator = max(_SEPARATORS, key=lambda character: counts[character])
    names = pd.read_csv(path, sep=separator, header=None, nrows=1, dtype=str, encoding="utf-8-sig").iloc[0].dropna()
    if names.duplicated().any():
        raise ValueError(f"it names the column '{names[names.duplicated()].iloc[0]}' twice")
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)  # rows longer than the header would lose their end
        return pd.read_csv(path, sep=separator, encoding="utf-8-sig", index_col=False)


def _unquoted(line: str) -> str:
    return "".join(line.split('"')[::2])


@dataclass(frozen=True)
class TableFormat:
    """How files with an ending are read.

    Args:
        read: Reads the whole table.
        unfolds_beyond: Whether a file, itself no larger, has more than so many bytes once it is unfolded; None where the file
            is what is read.
    """

    read: Callable[[pathlib.Path], pd.DataFrame]
    unfolds_beyond: Callable[[pathlib.Path, int], bool] | None = None


FORMATS = {
    ".csv": TableFormat(_read_csv),
    ".csv.gz": TableFormat(_read_csv, _gzip_has_more),
    ".parquet": TableFormat(_read_parquet, _parquet_has_more),
}
"""Formats by the ending of a file's name."""


def _ending(path: pathlib.Path) -> str:
    return next((ending for ending in FORMATS if path.name.endswith(ending)), "")


def has_more_than(path: pathlib.Path, most: int) -> bool:
    """Return whether a file has more than `most` bytes, unfolded where it is compressed.

    What a compressed file says of its own size is enough to refuse it, and not to trust it: then its bytes are counted.

    Raises:
        OSError: It cannot be read, or is not what its ending says.
        EOFError: It ends too early.
    """
    unfolds_beyond = FORMATS[_ending(path)].unfolds_beyond
    return path.stat().st_size > most or (unfolds_beyond is not None and unfolds_beyond(path, most))
