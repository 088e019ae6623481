"""Where a table comes from: the package itself, or a file of the user's own."""

from __future__ import annotations

import gzip
import pathlib
import warnings
import zlib
from collections import Counter
from typing import Any

import pandas as pd
import pyarrow as pa

from wine_sweep.config import MAX_TABLE
from wine_sweep.data import bundled
from wine_sweep.data.size import has_more_than
from wine_sweep.errors import DataError
from wine_sweep.wording import show_bytes

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
    """Give a source that means the same from every working folder: a bundled name, or an absolute path.

    Raises:
        DataError: It is no path that this machine can have.
    """
    if source in bundled.NAMES:
        return source
    try:
        return str(absolute(source, folder))
    except (OSError, ValueError, RuntimeError) as error:
        raise DataError(f"'{source[:60]}' is no path: {error}") from error


def absolute(path: str, folder: pathlib.Path) -> pathlib.Path:
    """Give a path that means the same from every working folder; a link in its last part keeps its own name and ending.

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
    if source in bundled.NAMES:
        return bundled.load_bundled(source)
    path = pathlib.Path(source)
    if not path.name.endswith((".csv", ".csv.gz", ".parquet")):
        raise DataError(
            f"'{path.name}' is neither a bundled table ({', '.join(bundled.NAMES)}) nor a .csv, .csv.gz or .parquet file"
        )
    try:
        if not path.is_file():
            raise DataError(f"{path} is no regular file" if path.exists() and not path.is_dir() else f"no such file: {path}")
        if has_more_than(path, max_size):
            raise DataError(f"{path} has more than {show_bytes(max_size)} unfolded; `{raised_by}` allows more")
        table = _read_parquet(path) if path.suffix == ".parquet" else _read_csv(path)
    except DataError:
        raise
    except _UNREADABLE as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataError(f"{path} cannot be read: {reason}") from error
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
