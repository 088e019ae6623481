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
    config = DataConfig(source="old.csv", target="y", **{key: value for key, value in options.items() if key != "cv"})
    cv = CrossValidation.model_validate(options.get("cv") or {"folds": 3})
    loaded = load_rows(config, folder, cv)
    dataset = make_dataset(loaded.table, config, source=loaded.source, needs=NEEDS, is_new=loaded.is_new, cv=cv, test=loaded.test)
    return divide(dataset, config, cv, NEEDS.task)


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


# Test rows that the config names -----------------------------------------------------------------------------------------


@pytest.fixture
def marked(folder):
    """The table again, with times from the last to the first, folds, groups, marks, and three rows of the test table in it."""
    rows = pd.DataFrame({"a": range(60), "b": [x % 7 for x in range(60)], "y": [x / 3 for x in range(60)]})
    days = pd.date_range("2025-11-01", periods=60)[::-1].strftime("%Y-%m-%d")
    rows = rows.assign(when=days, fold=[x % 3 for x in range(60)], site=[f"s{x % 9}" for x in range(60)])
    rows["is_test"] = ["test" if x % 4 == 0 else "train" for x in range(60)]
    rows.to_csv(folder / "old.csv", index=False)
    test = rows.iloc[50:].drop(columns=["fold", "is_test"]).assign(a=lambda test: test["a"] + 50, more=1)
    test = pd.concat([test, rows.iloc[[3, 5, 5]][["a", "b", "y", "when", "site"]]])
    test[["more", *test.columns[:-1]]].to_csv(folder / "test.csv", index=False)
    return folder


def test_the_rows_of_a_test_table_are_the_test_rows(marked):
    drop = ["when", "site", "is_test"]
    material = load(marked, test="test.csv", drop=drop, cv={"column": "fold"})
    data, split = material.dataset, material.split
    assert data.features.columns.tolist() == ["a", "b"]
    assert split.train.tolist() == list(range(60))
    assert data.features["a"].iloc[split.test].tolist() == [*range(100, 110), 3, 5, 5]
    assert [fold.measure.tolist() for fold in material.folds] == [list(range(first, 60, 3)) for first in range(3)]
    assert material.variables == {"data": "old.csv", "data_rows": "73", "test_data": "test.csv", "test_rows": "13"}
    assert material.overlaps == [
        "3 of the 13 test rows stand among the training rows too, with the same target: rows 11, 12, 13 of test.csv"
    ]
    assert len(data.own_table) == 60
    assert data.digest != load(marked, drop=[*drop, "fold"]).dataset.digest
    dropped = load(marked, test="test.csv", drop=[*drop, "fold"], duplicates="drop")
    assert (len(dropped.split.test), dropped.overlaps) == (10, [])


def test_groups_on_both_sides_of_named_test_rows_are_counted(marked):
    material = load(marked, test="test.csv", groups="site", drop=["when", "is_test", "fold"], duplicates="keep")
    rows, groups = material.overlaps
    assert rows.startswith("3 of the 13 test rows")
    assert groups == "9 groups stand among the test rows and the training rows: 'site' s0, s1, s2, s3, s4 and 4 more"
    for fold in material.folds:
        assert not set(material.dataset.groups[fold.fit]) & set(material.dataset.groups[fold.measure])


def test_a_column_marks_the_test_rows(marked):
    material = load(marked, test={"column": "is_test"}, drop=["when", "site", "fold"])
    assert material.split.test.tolist() == list(range(0, 60, 4))
    assert material.dataset.features.columns.tolist() == ["a", "b"]
    assert material.overlaps == []
    assert material.dataset.digest != load(marked, test="test.csv", drop=["when", "site", "fold", "is_test"]).dataset.digest


@pytest.mark.parametrize("test", [{"since": "2025-12-01"}, "test.csv"])
def test_named_test_rows_go_with_times(marked, test):
    material = load(marked, test=test, time="when", drop=["site", "fold", "is_test"], cv={"time_series": 3, "gap": 2})
    data, split = material.dataset, material.split
    times = data.time.iloc[split.train]
    assert times.is_monotonic_increasing
    if test == "test.csv":
        assert (len(split.train), len(split.test)) == (60, 13)
        assert material.overlaps[0].endswith("rows 11, 12, 13 of test.csv")
    else:
        assert data.features["a"].iloc[split.test].tolist() == list(range(29, -1, -1))
        assert material.test_from == "2025-12-01"
    assert all(times.iloc[fold.fit].max() < times.iloc[fold.measure].min() for fold in material.folds)


def test_of_new_rows_test_rows_are_drawn_and_those_that_were_named_are_learned_from(marked):
    pd.read_csv(marked / "old.csv").assign(a=range(500, 560)).drop(columns="is_test").to_csv(marked / "new.csv", index=False)
    drop = ["site", "fold"]
    for options in (
        {"test": "test.csv", "drop": [*drop, "when", "is_test"]},
        {"test": {"column": "is_test"}, "drop": [*drop, "when"]},
    ):
        material = load(marked, new="new.csv", **options)
        assert len(material.dataset.target) == 120 + 13 * (options["test"] == "test.csv")
        assert material.dataset.features.columns.tolist() == ["a", "b"]
        assert (material.dataset.features["a"].iloc[material.split.test] >= 500).all()
        assert len(material.split.test) == 15
        assert material.dataset.test_table is None
    folds = load(marked, new="new.csv", test="test.csv", drop=["site", "when", "is_test"], cv={"column": "fold"})
    assert (folds.dataset.fold_column.iloc[60:73] == -1).all()


@pytest.mark.parametrize(
    ("options", "path", "message"),
    [
        ({"test": "none.csv"}, ("data", "test"), "no such file"),
        ({"test": "wrong.csv"}, ("data", "test"), "the test table lacks b, y; it holds text in 'a', where the table has numbers"),
        ({"test": {"column": "site"}}, ("data", "test", "column"), "column 'site' holds 's0' in rows 1, 2, 3, 4, 5 and 55 more"),
        ({"test": {"column": "none"}}, ("data", "test", "column"), "there is no column 'none'"),
        ({"test": {"column": "all"}}, ("data", "test", "column"), "column 'all' makes every row a test row"),
        ({"test": {"since": "2027-01-01"}, "time": "when"}, ("data", "test", "since"), "no row is as late as 2027-01-01"),
        ({"test": {"since": "2020-01-01"}, "time": "when"}, ("data", "test", "since"), "every row is of 2020-01-01 or later"),
        ({"test": {"since": 2026}, "time": "when"}, ("data", "test", "since"), "2026 is no date, and column 'when' holds dates"),
        ({"test": {"since": "soon"}, "time": "when"}, ("data", "test", "since"), "soon is no date"),
        ({"test": {"since": "2026-01-01"}, "time": "a"}, ("data", "test", "since"), "'2026-01-01' is no number"),
    ],
)
def test_test_rows_that_cannot_be_had_are_refused_at_their_key(marked, options, path, message):
    table = pd.read_csv(marked / "old.csv")
    table.assign(all=True).to_csv(marked / "old.csv", index=False)
    table.assign(a="x").drop(columns=["b", "y"]).to_csv(marked / "wrong.csv", index=False)
    drop = [name for name in (*table.columns[3:], "all") if name not in str(options)]
    with pytest.raises(DataError) as caught:
        load(marked, drop=drop, **options)
    assert caught.value.path == path
    assert str(caught.value).startswith(message) or message == "no such file"


def test_categories_of_both_tables_are_categories(tmp_path):
    for name, colours in (("old", ["red", "blue", "red"] * 5), ("test", ["green", "blue", None])):
        frame = pd.DataFrame({"c": pd.Categorical(colours), "a": range(len(colours)), "y": range(len(colours))})
        frame.to_parquet(tmp_path / f"{name}.parquet")
    loaded = load_rows(DataConfig(source="old.parquet", target="y", test="test.parquet"), tmp_path)
    assert loaded.table["c"].cat.categories.tolist() == ["blue", "red", "green"]
    assert loaded.table["c"].isna().sum() == 1


def test_the_resolved_test_table_means_the_same_from_everywhere(marked):
    config = DataConfig(source="old.csv", target="y", test="test.csv", drop=["when", "site", "is_test", "fold"])
    found = resolved_data(config, load(marked, **config.model_dump(include={"test", "drop"})).dataset, marked)
    assert found.test.table == str(marked / "test.csv")
