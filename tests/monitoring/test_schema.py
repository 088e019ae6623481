"""New rows against the training rows: what is refused, and what is found odd."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from wine_sweep.errors import DataError
from wine_sweep.monitoring.drift import Oddity, find_oddities, take_features
from wine_sweep.monitoring.reference import profile_of

TRAIN = pd.DataFrame(
    {
        "alcohol": [8.0, 14.0, 10.0],
        "ph": [3.0, np.nan, 3.5],
        "red": [0.0, 1.0, 1.0],
        "grape": pd.Series(["a", "b", "a"], dtype=object),
        "vat": pd.Series(["1", "2", "x"], dtype=object),
    }
)
COLUMNS = [profile_of(TRAIN[name]) for name in TRAIN]


def oddities(**columns):
    table = TRAIN.assign(**columns)
    return [(each.column, each.oddity, each.rows) for each in find_oddities(take_features(table, COLUMNS), COLUMNS)]


def test_the_training_rows_themselves_are_not_odd():
    assert oddities() == []
    assert oddities(red=[True, False, True], vat=[1, 2, 1]) == []


def test_each_oddity_is_found_with_its_rows():
    assert oddities(alcohol=[7.9, 14.1, 8.0]) == [("alcohol", Oddity.OUTSIDE, 2)]
    assert oddities(alcohol=[8.0, np.nan, 9.0]) == [("alcohol", Oddity.GAPS, 1)]
    assert oddities(ph=[np.nan] * 3) == []
    assert oddities(grape=["c", "a", None]) == [("grape", Oddity.GAPS, 1), ("grape", Oddity.UNSEEN, 1)]
    assert oddities(red=[2, 0, 0]) == [("red", Oddity.OUTSIDE, 1)]


def test_a_finding_says_what_exactly_and_in_which_share_of_the_rows():
    table = TRAIN.assign(grape=["c", "d", "a"], alcohol=[20.0, 9.0, 9.0])
    found = find_oddities(take_features(table, COLUMNS), COLUMNS)
    assert [(each.detail, round(each.share, 3)) for each in found] == [("outside 8 to 14", 0.333), ("'c', 'd'", 0.667)]
    many = pd.Series([f"new {index}" for index in range(5)], dtype=object, name="grape")
    (finding,) = find_oddities(pd.DataFrame({"grape": many}), [COLUMNS[3]])
    assert finding.detail == "'new 0', 'new 1', 'new 2' and 2 more"


def test_features_come_in_the_models_order_and_types_and_others_are_left_out():
    table = TRAIN[TRAIN.columns[::-1]].assign(more=1, alcohol=[9, 10, 11])
    taken = take_features(table, COLUMNS)
    assert list(taken.columns) == list(TRAIN.columns)
    assert taken["alcohol"].dtype == np.float64


def test_all_that_is_wrong_is_named_at_once():
    table = TRAIN.drop(columns="ph").rename(columns={"red": "reds"}).assign(alcohol=["9", "ten", "11"])
    message = (
        "the model cannot predict these rows: column 'alcohol' holds 'ten' in row 2; the model was trained on numbers there;"
        " there is no column 'ph'; there is no column 'red'; did you mean 'reds'?"
    )
    with pytest.raises(DataError, match=re.escape(message)):
        take_features(table, COLUMNS)


def test_infinities_and_dates_are_refused_where_numbers_were():
    with pytest.raises(DataError, match="column 'alcohol' is infinite in row 1"):
        take_features(TRAIN.assign(alcohol=[np.inf, 1, 1]), COLUMNS)
