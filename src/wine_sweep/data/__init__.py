"""The table that a sweep learns from: loaded, checked, and split so that equal rows stay together."""

from wine_sweep.data.dataset import Dataset, make_dataset
from wine_sweep.data.splits import Fold, Split, make_folds, split_rows
from wine_sweep.data.table import load_table

__all__ = ["Dataset", "Fold", "Split", "load_table", "make_dataset", "make_folds", "split_rows"]
