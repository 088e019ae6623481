"""Point out columns that are probably not what they are read as, each with the line of the config that says otherwise."""

from __future__ import annotations

import json
import pathlib
import re
from collections.abc import Iterator

import numpy as np
import pandas as pd
from pandas.api.types import is_datetime64_any_dtype, is_numeric_dtype

from wine_sweep.config import ColumnType, Reading
from wine_sweep.data.dataset import Dataset
from wine_sweep.data.sources import (
    FORMATS,
    INDEX_LEFT_OUT,
    OF_SHEETS,
    TableFormat,
    ending_of,
    first_texts,
    leaves_index_out,
)
from wine_sweep.data.table import NAMES, keys_of_number

LEAST_ROWS = 20
"""In so few rows each value may well stand once."""

_ZEROS = re.compile(r"0\d+")


def remarks(dataset: Dataset, reading: Reading) -> list[str]:
    """Point out the features that number the rows or are different in each; and in text what was read as gaps or numbers.

    Args:
        dataset: The table as it is learned from.
        reading: How it was read. Of the text, the first rows are looked at.
    """
    is_other = dataset.is_test if dataset.test_table is not None else None
    features = dataset.features if is_other is None else dataset.features[~is_other]
    found = [text for name, column in features.items() if (text := _of_column(str(name), column)) is not None]
    ending = None if dataset.source in NAMES else ending_of(pathlib.Path(dataset.source))
    if ending is not None and FORMATS[ending].is_text:
        texts, read = (first_texts(pathlib.Path(dataset.source), reading, with_gaps=each) for each in (False, True))
        for name in (each for each in dataset.features if each in texts and each not in reading.dtypes):
            gaps = texts[name][read[name].isna() & (texts[name] != "")]
            found += _of_text(str(name), texts[name].str.strip(), gaps, dataset.features[name], reading)
    if ending is not None and FORMATS[ending].keys == OF_SHEETS and reading.keep_default_na:
        found += _of_sheet(dataset, reading, FORMATS[ending])
    if ending is not None and leaves_index_out(pathlib.Path(dataset.source)):
        found.append(INDEX_LEFT_OUT)
    return found


def _of_sheet(dataset: Dataset, reading: Reading, sheets: TableFormat) -> Iterator[str]:
    """Point out text of a sheet's cells that was read as gaps, in columns of text."""
    path = pathlib.Path(dataset.source)
    read, texts = sheets.read(path, reading), sheets.read(path, reading.model_copy(update={"keep_default_na": False}))
    for name in (each for each in dataset.features if each in texts and not is_numeric_dtype(read[each])):
        gaps = texts[name][read[name].isna() & texts[name].notna()]
        yield from _of_text(str(name), texts[name].astype(str), gaps, read[name], reading.model_copy(update={"decimal": ","}))


def _of_column(name: str, column: pd.Series) -> str | None:
    line = f"write `data.drop: [{_quoted(name)}]` if that tells nothing"
    if len(column) < LEAST_ROWS or column.isna().any() or is_datetime64_any_dtype(column):
        return None
    if is_numeric_dtype(column):
        values = column.to_numpy(dtype=float)
        if not np.equal(values, np.floor(values)).all():
            return None
        if (np.diff(values) == 1).all():
            return f"column '{name}' numbers the rows; {line}"
    if not column.is_unique:
        return None
    return f"column '{name}' is different in every row, as a name or a number of each is; {line}"


def _of_text(name: str, text: pd.Series, gaps: pd.Series, column: pd.Series, reading: Reading) -> Iterator[str]:
    if is_numeric_dtype(column) and (found := text[text.map(lambda each: _ZEROS.fullmatch(each) is not None)]).size:
        line = f"write `data.dtypes: {{{_quoted(name)}: {ColumnType.TEXT}}}` if these are no numbers"
        yield f"column '{name}' holds {found.iloc[0]}, read as the number {int(found.iloc[0])}; {line}"
    if is_numeric_dtype(column):
        return
    if reading.keep_default_na and gaps.size:
        line = "write `data.keep_default_na: false` if it is a value"
        yield f"column '{name}' holds '{gaps.iloc[0]}', read as a gap; {line}"
    is_usual = reading.decimal == "." and reading.thousands is None
    written = [(keys, each) for each in text if (keys := keys_of_number(each))] if is_usual else []
    if len(written) > 0.5 * len(text):
        keys, shown = max(written, key=lambda pair: (" or " not in pair[0], len(pair[0])))
        yield f"column '{name}' holds '{shown}', read as text; if these are numbers, write {keys}"


def _quoted(name: str) -> str:
    """Write a column's name as YAML's flow style takes it."""
    return name if re.fullmatch(r"[A-Za-z_]\w*", name) else json.dumps(name, ensure_ascii=False)
