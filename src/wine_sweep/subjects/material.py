"""The rows of a sweep, as its config asks for them."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from dataclasses import dataclass

from wine_sweep.config import CrossValidation, DataConfig
from wine_sweep.data import Dataset, Fold, Split, load_table, make_dataset, make_folds, split_rows
from wine_sweep.data.table import resolve_source
from wine_sweep.task import Needs


@dataclass(frozen=True)
class Material:
    """The rows of a sweep: the whole table, what is set aside, and the folds of the rest."""

    dataset: Dataset
    split: Split
    folds: Sequence[Fold]

    @property
    def variables(self) -> dict[str, str]:
        """What is shown of it on the parent run, as parameters."""
        return {
            "data": self.dataset.name,
            "data_rows": str(len(self.dataset.target)),
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


def load_material(config: DataConfig, folder: pathlib.Path, cv: CrossValidation, needs: Needs) -> Material:
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
    dataset = make_dataset(load_table(source), config, source=source, needs=needs)
    split = split_rows(dataset, config, task=needs.task, in_time=cv.time_series is not None)
    folds = make_folds(dataset, split, cv, task=needs.task, duplicates=config.duplicates)
    return Material(dataset, split, folds)
