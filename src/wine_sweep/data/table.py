"""Load a table, a bundled one or the user's, with columns of the types that are asked for.

P. Cortez, A. Cerdeira, F. Almeida, T. Matos, J. Reis, "Modeling wine preferences by data mining from physicochemical
properties", Decision Support Systems 47(4):547-553, 2009. UCI data set 186, https://doi.org/10.24432/C56S3T, licensed
under CC BY 4.0; see ``wine_quality/README.md`` beside the files.
"""

from __future__ import annotations

import hashlib
import io
import pathlib
import re
from collections.abc import Mapping
from importlib import resources

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from wine_sweep.config import ColumnType, DataConfig, Reading
from wine_sweep.data.frames import FRAME, NOT_GIVEN
from wine_sweep.data.sources import ENDINGS, FORMATS, OF_SHEETS, OF_TEXT, UNREADABLE, ending_of, has_more_than, parts_of
from wine_sweep.errors import ConfigPath, DataError
from wine_sweep.messages import first_line, one_of, show_bytes

AS_IT_IS = Reading()
_COMMA, _POINTS, _COMMAS = '`data.decimal: ","`', '`data.thousands: "."`', '`data.thousands: ","`'
_WRITTEN = {
    r"-?\d+,(?!\d{3}$)\d+": _COMMA,
    r"-?\d{1,3},\d{3}": f"{_COMMA}, or {_COMMAS} if the comma groups them",
    r"-?\d{1,3}((\.\d{3})+,\d+|(\.\d{3}){2,})": f"{_COMMA} and {_POINTS}",
    r"-?\d{1,3}((,\d{3})+\.\d+|(,\d{3}){2,})": _COMMAS,
    r"-?\d{1,3}( \d{3})+(\.\d+)?": '`data.thousands: " "`',
    r"-?\d{1,3}( \d{3})+,\d+": f'{_COMMA} and `data.thousands: " "`',
}
"""How numbers are written elsewhere, and the keys that read them."""
_SHOWN = 5
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


def resolve_source(source: str, folder: pathlib.Path) -> str:
    """Return a source that means the same from every working folder: a bundled name, or an absolute path.

    Raises:
        DataError: It is no path that this machine can have.
    """
    if source in NAMES or source == FRAME:
        return source
    try:
        return str(absolute(source, folder))
    except (OSError, ValueError, RuntimeError) as error:
        raise DataError(f"'{source[:60]}' is no path: {error}") from error


def resolved_tables(config: DataConfig, folder: pathlib.Path) -> DataConfig:
    """Return the section `data` with sources that mean the same from every working folder.

    Raises:
        DataError: One is no path that this machine can have.
    """
    changed: dict[str, object] = {"source": resolve_source(config.source, folder)}
    if config.new is not None:
        changed["new"] = resolve_source(config.new, folder)
    if config.test is not None and config.test.table is not None:
        changed["test"] = config.test.model_copy(update={"table": resolve_source(config.test.table, folder)})
    return config.model_copy(update=changed)


def absolute(path: str, folder: pathlib.Path) -> pathlib.Path:
    """Return a path that means the same from every working folder; a link in its last part keeps its own name and ending.

    Raises:
        OSError: Its folder cannot be looked up.
        ValueError: It is no path.
        RuntimeError: Its folder leads back to itself, or there is no such home.
    """
    whole = folder / pathlib.Path(path).expanduser()
    return whole.parent.resolve() / whole.name


def load_table(source: str, reading: Reading = AS_IT_IS, *, raised_by: str = "data.max_size") -> pd.DataFrame:
    """Read the whole table, its columns as the file has them; what is to be another type is still text where it was text.

    Args:
        source: A bundled name, or the path of a file or folder; text has a header.
        reading: How its file becomes values, and how large it may be.
        raised_by: The key or the option that allows more.

    Raises:
        DataError: There is no such file, it is larger, its ending is another, it cannot be parsed, has no rows, or names a
            column twice.
    """
    if source in NAMES:
        return load_bundled(source)
    if source == FRAME:
        raise DataError(NOT_GIVEN, code="missing-file")
    path = pathlib.Path(source)
    ending = ending_of(path)
    if ending is None:
        raise DataError(f"'{path.name}' is neither a bundled table ({', '.join(NAMES)}) nor a file of the endings {ENDINGS}")
    try:
        _refuse_strange(path)
        if has_more_than(path, reading.max_size):
            raise DataError(f"{path} has more than {show_bytes(reading.max_size)} unfolded; `{raised_by}` allows more")
        table = FORMATS[ending].read(path, reading)
    except DataError:
        raise
    except UnicodeDecodeError as error:
        what = f"byte {error.object[error.start]:#04x} is no text of the encoding {reading.encoding or 'UTF-8'}"
        raise DataError(f"{path} cannot be read: {what}; name the one that it has, as in `data.encoding: cp1252`") from error
    except UNREADABLE as error:
        raise DataError(f"{path} cannot be read: {first_line(error)}") from error
    if table.empty:
        raise DataError(f"{path} has no rows")
    return table.rename(columns=str)


def _refuse_strange(path: pathlib.Path) -> None:
    if path.is_dir() and not parts_of(path):
        raise DataError(f"{path} is a folder without .parquet files", code="missing-file")
    if not all(part.is_file() for part in parts_of(path)):
        raise DataError(f"{path} is no regular file" if path.exists() else f"no such file: {path}", code="missing-file")


def unused_keys(source: str, reading: Reading) -> list[DataError]:
    """List the keys that say how other formats are read than the table's."""
    ending = None if source in (*NAMES, FRAME) else ending_of(pathlib.Path(source))
    used, what = (FORMATS[ending].keys, f"a {ending}") if ending is not None else ((), source.strip("<>"))
    wrong = []
    for key in dict.fromkeys((*OF_TEXT, *OF_SHEETS)):
        if key not in used and getattr(reading, key) != getattr(AS_IT_IS, key):
            *others, last = [each for each in (".csv", ".tsv", ".txt", ".xlsx") if key in FORMATS[each].keys]
            message = f"is for {', '.join(others)}{' and ' if others else ''}{last}; {what} says itself what is in it"
            wrong.append(DataError(message, path=("data", key), code="conflict"))
    return wrong


def of_types(table: pd.DataFrame, dtypes: Mapping[str, ColumnType]) -> tuple[pd.DataFrame, list[DataError]]:
    """Turn some columns of a table into other types; gaps stay gaps.

    Returns:
        The table, and what is wrong: columns that are not there, and those with values that are not of the type, which stay.
    """
    wrong, typed = [], {}
    for name, kind in dtypes.items():
        path = ("data", "dtypes", name)
        try:
            if name not in table:
                allowed = one_of(name, list(table.columns), most=30)
                raise DataError(f"there is no column '{name}' in the table; {allowed}", path=path, code="unknown-column")
            typed[name] = _of_type(table[name], kind, path)
        except DataError as error:
            wrong.append(error)
    return table.assign(**typed), wrong


def _of_type(column: pd.Series, kind: ColumnType, path: ConfigPath) -> pd.Series:
    if kind is ColumnType.NUMBER:
        return as_numbers(column, path=path, why="it is to be read as numbers")
    if kind is ColumnType.DATE:
        if is_numeric_dtype(column):
            raise DataError(f"column '{column.name}' holds numbers; dates are such as 2026-12-01", path=path)
        dates = pd.to_datetime(column, errors="coerce", format="mixed")
        wrong = (dates.isna() & column.notna()).to_numpy()
        if wrong.any():
            found = f"column '{column.name}' holds '{column[wrong].iloc[0]}' in {rows(wrong)}"
            raise DataError(f"{found}; it is to be read as dates", path=path)
        return dates
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column if kind is ColumnType.CATEGORY else column.astype(str).where(column.notna())
    text = column.astype(str).where(column.notna())
    return text.astype("category") if kind is ColumnType.CATEGORY else text


def keys_of_number(text: str) -> str:
    """Name the keys of `data` by which a text such as ``1.234,5`` or ``1 234`` is a number; empty where it is none."""
    return next((keys for written, keys in _WRITTEN.items() if re.fullmatch(written, text)), "")


def as_numbers(column: pd.Series, *, path: ConfigPath, why: str) -> pd.Series:
    """Turn a column into float64; gaps stay.

    Raises:
        DataError: It holds what is no number; the message ends with `why` it should.
    """
    if is_numeric_dtype(column):
        return column.astype("float64")
    if column.dtype.kind in "Mm":
        raise DataError(f"column '{column.name}' holds dates or times; {why}", path=path)
    try:
        converted = pd.to_numeric(column, errors="coerce").astype("float64")
    except (OverflowError, TypeError) as error:
        raise DataError(f"column '{column.name}' holds what is no number: {error}; {why}", path=path) from error
    text = (converted.isna() & column.notna()).to_numpy()
    if text.any():
        found = str(column[text].iloc[0])
        why += f"; if these are numbers, write {how}" if (how := keys_of_number(found)) else ""
        raise DataError(f"column '{column.name}' holds '{found}' in {rows(text)}; {why}", path=path)
    return converted


def rows(mask: np.ndarray) -> str:
    """Name the rows where `mask` holds, counted from 1 below the header: ``rows 3, 17 and 5 more``."""
    counted = np.flatnonzero(mask) + 1
    shown = ", ".join(map(str, counted[:_SHOWN]))
    more = f" and {len(counted) - _SHOWN} more" if len(counted) > _SHOWN else ""
    return f"row {shown}" if len(counted) == 1 else f"rows {shown}{more}"
