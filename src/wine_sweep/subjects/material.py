"""The rows of a sweep, as its config asks for them."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from wine_sweep.config import CrossValidation, DataConfig
from wine_sweep.data import Dataset, Fold, Split, load_table, make_dataset, make_folds, split_rows
from wine_sweep.data.split import NEW
from wine_sweep.data.table import resolve_source
from wine_sweep.errors import DataError
from wine_sweep.task import DataRequirements


@dataclass(frozen=True)
class TrainingData:
    """The rows of a sweep: the whole table, what is set aside, and the folds of the rest."""

    dataset: Dataset
    split: Split
    folds: Sequence[Fold]

    @property
    def variables(self) -> dict[str, str]:
        """What is shown of it on the parent run, as parameters."""
        later = {} if self.dataset.is_new is None else {"new_rows": str(self.dataset.is_new.sum())}
        return {
            "data": self.dataset.name,
            "data_rows": str(len(self.dataset.target)),
            **later,
            "test_rows": str(len(self.split.test)),
        }

    def why_changed(self, rows: int, columns: Sequence[str]) -> str:
        """Say in what the table differs from an earlier one of so many rows, with these columns."""
        table = self.dataset.table
        changes = [f"{rows} rows then, {len(table)} now"] if rows != len(table) else []
        gone = [name for name in columns if name not in table.columns]
        new = [str(name) for name in table.columns if name not in columns]
        changes += [f"without {', '.join(gone)}"] if gone else []
        changes += [f"with {', '.join(new)} besides"] if new else []
        return "; ".join(changes) or "the same rows and columns, with other values"


def load_material(config: DataConfig, folder: pathlib.Path, cv: CrossValidation, needs: DataRequirements) -> TrainingData:
    """Load a table, set the test rows aside, and draw the folds.

    Args:
        config: The section `data`.
        folder: What a relative source starts from.
        cv: How the rows that are no test rows are split.
        needs: What the model can learn from.

    Raises:
        DataError: The table cannot be used so.
    """
    source = resolve_source(config.source, folder)
    table, is_new = load_table(source, max_size=config.max_size), None
    if config.new is not None:
        table, is_new = _with_new(table, resolve_source(config.new, folder), config.max_size)
    dataset = make_dataset(table, config, source=source, needs=needs, is_new=is_new)
    split = split_rows(dataset, config, task=needs.task, in_time=cv.time_series is not None)
    folds = make_folds(dataset, split, cv, task=needs.task, duplicates=config.duplicates)
    return TrainingData(dataset, split, folds)


def _with_new(table: pd.DataFrame, source: str, max_size: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Put new rows below a table, and say which they are; columns that only they have are left out.

    Raises:
        DataError: They cannot be read, or lack a column.
    """
    try:
        new = load_table(source, max_size=max_size).rename(columns=str)
    except DataError as error:
        raise DataError(str(error), path=NEW) from error
    columns = [str(name) for name in table.columns]
    lacking = [name for name in columns if name not in new]
    if lacking:
        raise DataError(f"the new rows lack {', '.join(lacking[:10])}; they have: {', '.join(new.columns[:30])}", path=NEW)
    both = pd.concat([table.set_axis(columns, axis=1), new[columns]], ignore_index=True)
    return both, np.arange(len(both)) >= len(table)


def resolved_data(config: DataConfig, dataset: Dataset, folder: pathlib.Path) -> DataConfig:
    """Give the section `data` such that it means the same from every working folder, with the target named."""
    new = None if config.new is None else resolve_source(config.new, folder)
    return config.model_copy(update={"source": dataset.source, "target": str(dataset.target.name), "new": new})
