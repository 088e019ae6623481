"""The Wine Quality tables that come with the package."""

import pytest

from wine_sweep.data import load_table, table
from wine_sweep.errors import DataError


@pytest.mark.parametrize(
    ("name", "rows", "columns"), [("wine-quality-red", 1599, 12), ("wine-quality-white", 4898, 12), ("wine-quality", 6497, 13)]
)
def test_a_bundled_table_is_whole(name, rows, columns):
    table = load_table(name)
    assert table.shape == (rows, columns)
    assert table.columns[-1] == "quality"
    assert not table.isna().any().any()
    assert table["quality"].between(3, 9).all()


def test_both_tables_together_say_which_wine_is_red():
    table = load_table("wine-quality")
    assert list(table.columns[-2:]) == ["is_red", "quality"]
    assert table["is_red"].sum() == 1599
    assert table["is_red"].tolist() == [1.0] * 1599 + [0.0] * 4898
    assert table.index.tolist() == list(range(6497))
    assert table.drop(columns="is_red").iloc[:1599].equals(load_table("wine-quality-red"))


def test_the_first_wine_is_the_published_one():
    first = load_table("wine-quality-red").iloc[0]
    assert first.tolist() == [7.4, 0.7, 0.0, 1.9, 0.076, 11.0, 34.0, 0.9978, 3.51, 0.56, 9.4, 5.0]


@pytest.mark.parametrize(("colour", "name"), [("red", "wine-quality-red"), ("white", "wine-quality"), ("red", "wine-quality")])
def test_a_damaged_table_is_refused(colour, name, monkeypatch):
    file, _ = table._FILES[colour]
    monkeypatch.setitem(table._FILES, colour, (file, "0" * 64))
    with pytest.raises(DataError, match=f"bundled {file} is damaged .*install wine_sweep again"):
        load_table(name)


def test_240_red_wines_repeat_another():
    assert load_table("wine-quality-red").duplicated().sum() == 240
    assert load_table("wine-quality").duplicated().sum() == 1177
