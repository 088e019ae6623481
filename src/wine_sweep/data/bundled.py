"""The UCI Wine Quality tables that come with the package.

P. Cortez, A. Cerdeira, F. Almeida, T. Matos, J. Reis, "Modeling wine preferences by data mining from physicochemical
properties", Decision Support Systems 47(4):547-553, 2009. UCI data set 186, https://doi.org/10.24432/C56S3T, licensed
under CC BY 4.0; see ``wine_quality/README.md`` beside the files.
"""

from __future__ import annotations

import hashlib
import io
from importlib import resources

import pandas as pd

from wine_sweep.errors import DataError

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
