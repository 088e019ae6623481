"""Read Excel workbooks: what they unfold to is counted before, and nothing of a file is read but what was counted.

A workbook is a ZIP archive of XML (ECMA-376). A few bytes of it may stand for gigabytes in three ways: by compression, by a
text that many cells share, and by one cell far away from the others, since a sheet is read as a full rectangle.
"""

from __future__ import annotations

import io
import pathlib
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from typing import TYPE_CHECKING, Any
from xml.parsers import expat

import numpy as np
import pandas as pd

from wine_sweep.config import Reading
from wine_sweep.errors import ConfigPath, DataError
from wine_sweep.messages import one_of

if TYPE_CHECKING:
    from python_calamine import CalamineSheet, CalamineWorkbook

SHEET: ConfigPath = ("data", "sheet")
_PIECE = 1024 * 1024
_CELL = 32
"""Bytes that an empty cell takes in the rectangle of a sheet."""

_STRINGS = "sharedStrings"
_MOST_DIGITS = 12
_WHOLE = 2.0**53
_GAPS = (
    *("#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN"),
    *("<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"),
)
"""Text that is a gap by default, as `pandas.read_excel` has it."""


def workbook_has_more(path: pathlib.Path, most: int) -> bool:
    """Return whether a workbook's parts, or the cells of its sheets with their text, take more than `most` bytes.

    Raises:
        zipfile.BadZipFile: It is no archive.
        ValueError: A part of it is no XML.
    """
    with zipfile.ZipFile(path) as archive:
        parts = _parts(archive)
        shared: list[int] = []
        count = _Count(most)
        for part in sorted(parts, key=lambda each: _STRINGS not in each.filename):  # cells refer to these
            cells = _Cells(shared)
            with archive.open(part) as file:
                if not _scan(part.filename, file, cells, count):
                    return True
    return False


class _Count:
    """Adds up bytes."""

    def __init__(self, most: int) -> None:
        self._left = most

    def add(self, count: int) -> bool:
        """Return whether there are too many now."""
        self._left -= count
        return self._left < 0


def _parts(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """List the parts that are read: a workbook's XML; pictures and macros are none, nor is what other formats hold.

    Raises:
        ValueError: Two have one name, or it is no workbook.
    """
    parts = [
        each
        for each in archive.infolist()
        if each.filename.endswith((".xml", ".rels")) and each.filename.startswith(("xl/", "_rels/", "[Content_Types]"))
    ]
    names = {each.filename for each in parts}
    if len(names) < len(parts):
        raise ValueError("two of its parts have one name")
    if "xl/workbook.xml" not in names:
        raise ValueError("it is no Excel workbook (.xlsx)")
    return parts


def _scan(name: str, file: Any, cells: _Cells, count: _Count) -> bool:
    """Go through a part; return whether it takes no more bytes than are left."""
    parser = expat.ParserCreate("UTF-8", " ")
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = cells.start, cells.end
    parser.CharacterDataHandler = cells.text
    parser.StartDoctypeDeclHandler = cells.refuse_doctype
    try:
        while piece := file.read(_PIECE):
            if count.add(len(piece)):
                return False
            parser.Parse(piece)
            if count.add(cells.take()):
                return False
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise ValueError(f"{name} in it is damaged: {error}") from error
    return not count.add(cells.take())


class _Cells:
    """Measures the cells of a sheet, and the texts that sheets share.

    Args:
        shared: The length of each shared text, in characters; longer once the part that holds them was gone through.
    """

    def __init__(self, shared: list[int]) -> None:
        self._shared = shared
        self._row = self._column = self._rows = self._columns = 0
        self._text = 0
        self._in_shared = self._is_reference = self._in_value = False
        self._index = ""
        self.counted = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """Take note of an element that begins."""
        local = tag.rpartition(" ")[2]
        if local == "c":
            self._place(attributes.get("r", ""))
            self._is_reference = attributes.get("t") == "s"
        elif local == "v":
            self._in_value, self._index = self._is_reference, ""
        elif local == "row":
            self._row = _number(attributes["r"]) if "r" in attributes else self._row + 1
            self._column = 0
        elif local == "si":
            self._in_shared = True
            self._shared.append(0)

    def _place(self, where: str) -> None:
        """Take note of where a cell is, such as ``C7``; one that does not say follows the one before."""
        letters = where.rstrip("0123456789")
        self._column = _column(letters) if letters else self._column + 1
        row = _number(where[len(letters) :]) if letters != where else self._row
        self._rows, self._columns = max(self._rows, row, self._row), max(self._columns, self._column)

    def end(self, tag: str) -> None:
        """Take note of an element that ends."""
        local = tag.rpartition(" ")[2]
        if local == "v" and self._in_value:
            self._in_value = False
            index = int(self._index) if self._index.strip().isdecimal() else len(self._shared)
            self._text += self._shared[index] if index < len(self._shared) else 0
        elif local == "si":
            self._in_shared = False

    def text(self, text: str) -> None:
        """Take note of text."""
        if self._in_value and len(self._index) < _MOST_DIGITS:
            self._index += text
        elif self._in_shared:
            self._shared[-1] += len(text)

    def refuse_doctype(self, *_: object) -> None:
        """Refuse what may name other files, or unfold to much.

        Raises:
            ValueError: Always.
        """
        raise ValueError("a part of it has a document type, which no workbook has")

    @property
    def bytes(self) -> int:
        """How many bytes the cells take that have been gone through, as one rectangle from the first row and column on."""
        return self._rows * self._columns * _CELL + self._text

    def take(self) -> int:
        """Return how many bytes have been added since this was asked last."""
        added, self.counted = self.bytes - self.counted, self.bytes
        return added


def _number(digits: str) -> int:
    return int(digits[:_MOST_DIGITS]) if digits.isdecimal() else 0


def _column(letters: str) -> int:
    number = 0
    for letter in letters[:_MOST_DIGITS].upper():
        number = number * 26 + max(ord(letter) - ord("A") + 1, 0)
    return number


def read_workbook(path: pathlib.Path, reading: Reading) -> pd.DataFrame:
    """Read a sheet whose first row names the columns: the values of formulas, dates as dates, text as text; no macro is run.

    Raises:
        DataError: python-calamine is not installed, there is no such sheet, or several hold something and none is named.
        ValueError: It cannot be read.
    """
    with _opened(path) as workbook:
        rows = _sheet(workbook, path.name, reading.sheet).to_python()
    header, *body = rows or [[]]
    names = [_name(value, index) for index, value in enumerate(header)]
    if repeated := next((name for index, name in enumerate(names) if name in names[:index]), None):
        raise ValueError(f"it names the column '{repeated}' twice")
    filled, gaps = [row for row in body if any(value != "" for value in row)], _gaps(reading)
    columns = {name: _values([row[index] for row in filled], gaps) for index, name in enumerate(names)}
    return pd.DataFrame(
        {
            name: column
            for (name, column), title in zip(columns.items(), header, strict=True)
            if title != "" or column.notna().any()
        }
    )


def _name(value: object, index: int) -> str:
    """Return a column's name as pandas has it; a number is written as Excel shows it."""
    if value == "":
        return f"Unnamed: {index}"
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _gaps(reading: Reading) -> frozenset[str]:
    return frozenset({"", *(_GAPS if reading.keep_default_na else ()), *reading.na_values})


def _values(cells: Sequence[object], gaps: frozenset[str]) -> pd.Series:
    """Make a column of cells: whole numbers, numbers, truth values, dates or durations where all are such; else as they are."""
    found = [None if isinstance(cell, str) and cell in gaps else cell for cell in cells]
    kinds = {type(cell) for cell in found if cell is not None}
    if kinds <= {float}:
        numbers = np.array([np.nan if cell is None else cell for cell in found], dtype=float)
        is_whole = bool(kinds) and bool((np.floor(numbers) == numbers).all() and (np.abs(numbers) < _WHOLE).all())
        return pd.Series(numbers.astype("int64") if is_whole else numbers)
    if kinds <= {date, datetime}:
        return pd.to_datetime(pd.Series(found, dtype=object)).dt.as_unit("us")
    return pd.Series(found, dtype=str if kinds == {str} else None)


@contextmanager
def _opened(path: pathlib.Path) -> Iterator[CalamineWorkbook]:
    """Open a copy of a workbook's parts: no other reader of archives is to find in the file what was not counted.

    Raises:
        DataError: python-calamine is not installed.
        ValueError: The workbook is damaged, be it that the library says so, or that its Rust code panics.
    """
    try:
        import python_calamine as calamine
    except ImportError as error:
        raise DataError("Excel workbooks need python-calamine: pip install wine-sweep[excel]", code="not-installed") from error
    copied = io.BytesIO()
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(copied, "w") as copy:
        for part in _parts(archive):
            copy.writestr(part.filename, archive.read(part))
    copied.seek(0)
    try:
        with calamine.load_workbook(copied) as workbook:
            yield workbook
    except calamine.CalamineError as error:
        raise ValueError(str(error)) from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise ValueError(f"it is damaged: {error}") from error


def _sheet(workbook: CalamineWorkbook, file: str, name: str | None) -> CalamineSheet:
    """Return the sheet of that name; without one, the only sheet that holds something."""
    names = workbook.sheet_names
    if name is not None:
        if name not in names:
            raise DataError(f"{file} has no sheet '{name}'; {one_of(name, names, most=30)}", path=SHEET, code="unknown-name")
        return workbook.get_sheet_by_name(name)
    filled = [sheet for sheet in map(workbook.get_sheet_by_name, names) if sheet.height]
    if len(filled) > 1:
        listed = ", ".join(repr(sheet.name) for sheet in filled[:30])
        raise DataError(f"{file} has several sheets; name one of them: {listed}", path=SHEET, code="missing-key")
    return filled[0] if filled else workbook.get_sheet_by_index(0)
