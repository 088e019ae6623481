"""The rows of a sweep, read from files: a table, and the rows that came later."""

from __future__ import annotations

import pandas as pd
import pytest

from wine_sweep.config import CrossValidation, DataConfig
from wine_sweep.data.dataset import make_dataset
from wine_sweep.data.splits import divide, load_rows, resolved_data
from wine_sweep.errors import DataError
from wine_sweep.trial import DataRequirements, Task

NEEDS = DataRequirements(Task.REGRESSION, numbers=True, takes_missing=False, model="M")


@pytest.fixture
def folder(tmp_path):
    rows = pd.DataFrame({"a": range(60), "b": [x % 7 for x in range(60)], "y": [x / 3 for x in range(60)]})
    rows.iloc[:40].to_csv(tmp_path / "old.csv", index=False)
    rows.iloc[40:].assign(more=1)[["more", "y", "b", "a"]].to_csv(tmp_path / "new.csv", index=False)
    rows.iloc[40:].drop(columns="b").to_csv(tmp_path / "lacking.csv", index=False)
    return tmp_path


def load(folder, **options):
    config = DataConfig(source="old.csv", target="y", **options)
    loaded = load_rows(config, folder)
    dataset = make_dataset(loaded.table, config, source=loaded.source, needs=NEEDS, is_new=loaded.is_new)
    return divide(dataset, config, CrossValidation(folds=3), NEEDS.task)


def test_new_rows_are_put_below_the_others_by_the_names_of_their_columns(folder):
    material = load(folder, new="new.csv")
    assert list(material.dataset.features.columns) == ["a", "b"]
    assert material.dataset.features["a"].tolist() == list(range(60))
    assert material.dataset.is_new.tolist() == [False] * 40 + [True] * 20
    assert (material.split.test >= 40).all()
    assert material.variables == {"data": "old.csv", "data_rows": "60", "new_rows": "20", "test_rows": "5"}


@pytest.mark.parametrize(("new", "says"), [("lacking.csv", "the new rows lack b"), ("none.csv", "no such file")])
def test_new_rows_that_cannot_be_used_are_refused_at_their_key(folder, new, says):
    with pytest.raises(DataError, match=says) as caught:
        load(folder, new=new)
    assert caught.value.path == ("data", "new")


def test_the_resolved_section_means_the_same_from_everywhere(folder):
    config = DataConfig(source="old.csv", target="y", new="new.csv")
    found = resolved_data(config, load(folder, new="new.csv").dataset, folder)
    assert (found.source, found.new) == (str(folder / "old.csv"), str(folder / "new.csv"))
    assert resolved_data(DataConfig(source="old.csv"), load(folder).dataset, folder).new is None
