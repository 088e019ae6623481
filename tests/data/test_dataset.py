"""What a table must be to be learned from, and what is said when it is not."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wine_sweep.config import DataConfig
from wine_sweep.data import make_dataset
from wine_sweep.data.dataset import join_groups
from wine_sweep.data.table import rows
from wine_sweep.errors import DataError
from wine_sweep.trial import DataRequirements, Task

REGRESSOR = DataRequirements(Task.REGRESSION, numbers=True, takes_missing=False, model="Ridge")
CLASSIFIER = DataRequirements(Task.CLASSIFICATION, numbers=True, takes_missing=False, model="SVC")
IMPUTER = DataRequirements(Task.REGRESSION, numbers=True, takes_missing=True, model="Ridge")
READS_TEXT = DataRequirements(Task.REGRESSION, numbers=False, takes_missing=True, model="Ridge")


def make(columns, needs=REGRESSOR, *, target="y", source="/data/t.csv", **options):
    table = columns if isinstance(columns, pd.DataFrame) else pd.DataFrame(columns)
    return make_dataset(table, DataConfig(source="t.csv", target=target, **options), source=source, needs=needs)


def refusal(columns, needs=REGRESSOR, path=("data", "source"), **options):
    with pytest.raises(DataError) as caught:
        make(columns, needs, **options)
    assert caught.value.path == path
    return str(caught.value)


def test_a_table_is_taken_apart():
    data = make({"a": [1, 2], "y": [3, 4], "b": [True, False]})
    assert data.features.columns.tolist() == ["a", "b"]
    assert data.features.dtypes.tolist() == [np.int64, np.bool_]
    assert data.features["b"].tolist() == [True, False]
    assert data.target.tolist() == [3.0, 4.0]
    assert data.target.dtype == np.float64
    assert data.source == "/data/t.csv"
    assert data.name == "t.csv"


def test_the_table_itself_is_left_alone():
    table = pd.DataFrame({"a": [1, 1, 2], "y": [1, 1, 2]})
    before = table.copy()
    make(table, duplicates="drop")
    pd.testing.assert_frame_equal(table, before)


def test_a_bundled_table_knows_its_target():
    columns = {"a": [1, 2], "quality": [3, 4]}
    assert make(columns, target=None, source="wine-quality").target.name == "quality"
    assert refusal(columns, target=None, path=("data", "target")).startswith("is missing: which column is to be predicted?")


def test_a_missing_target_is_told_the_columns():
    message = refusal({"alpha": [1, 2], "beta": [1, 2]}, target="alhpa", path=("data", "target"))
    assert message == "there is no column 'alhpa' in the table; did you mean 'alpha'? Allowed: alpha, beta"


def test_only_the_target_is_too_little():
    assert refusal({"y": [1, 2]}) == "there is no feature: 'y' is the only column"


def test_gaps_in_the_target_are_named_by_row():
    message = refusal({"a": [1, 2, 3], "y": [1, None, 3]}, path=("data", "target"))
    assert message == "column 'y' has no value (empty, NA, None or null) in row 2"
    many = [None, 1, None, None, 2, None, None, None, 3]
    message = refusal({"a": range(9), "y": many}, path=("data", "target"))
    assert message == "column 'y' has no value (empty, NA, None or null) in rows 1, 3, 4, 6, 7 and 1 more"


def test_rows_are_counted_below_the_header_whatever_the_index():
    table = pd.DataFrame({"a": [1, 2, 3], "y": [1, None, 3]}, index=[7, 7, 7])
    assert refusal(table, path=("data", "target")) == "column 'y' has no value (empty, NA, None or null) in row 2"


@pytest.mark.parametrize("needs", [REGRESSOR, CLASSIFIER])
def test_a_constant_target_is_refused(needs):
    message = refusal({"a": [1, 2], "y": [3, 3]}, needs, path=("data", "target"))
    assert message.startswith("column 'y' is constant: every row has 3")


def test_text_in_a_feature_is_refused_with_an_example():
    message = refusal({"a": [1, 2], "colour": ["1", "red"], "y": [1, 2]})
    assert message == (
        "column 'colour' holds 'red' in row 2; Ridge needs numbers;"
        " `model.preprocess: auto` prepares any column, `data.drop` leaves it out"
    )


@pytest.mark.parametrize("days", [["2026-12-01", "2026-12-02"], pd.date_range("2026-12-01", periods=2)])
def test_dates_among_the_features_may_be_the_order_of_the_rows(days):
    message = refusal({"day": days, "a": [1, 2], "y": [1, 2]})
    assert "`data.time: day` orders the rows by it, `model.preprocess: auto` prepares any column" in message


def test_numbers_written_as_text_are_numbers():
    assert make({"a": ["1", "2.5"], "y": [1, 2]}).features["a"].tolist() == [1.0, 2.5]


def test_dates_are_not_numbers():
    dates = pd.to_datetime(["2024-01-01", "2024-01-02"])
    assert "needs numbers" in refusal({"a": dates, "y": [1, 2]})
    assert "a regressor predicts numbers" in refusal({"a": [1, 2], "y": dates}, path=("data", "target"))


def test_text_stays_for_a_model_that_reads_it():
    data = make({"a": ["x", None, "z"], "b": [1, 2, None], "y": [1, 2, 3]}, READS_TEXT)
    assert data.features["a"].iloc[0] == "x"
    assert data.features["b"].dtype == np.float64


@pytest.mark.parametrize("number", [np.inf, -np.inf])
@pytest.mark.parametrize("needs", [REGRESSOR, IMPUTER, READS_TEXT])
def test_infinities_are_refused(number, needs):
    assert refusal({"a": [1, number, 2], "y": [1, 2, 3]}, needs) == "column 'a' is infinite in row 2"
    assert refusal({"a": [1, 2, 3], "y": [number, 2, 3]}, needs, path=("data", "target")) == "column 'y' is infinite in row 1"


def test_gaps_need_an_imputer():
    columns = {"a": [1, None, 3], "y": [1, 2, 3]}
    assert refusal(columns) == (
        "column 'a' has no value in row 2, and Ridge cannot take gaps;"
        " drop the rows, or begin model.pipeline with sklearn.impute.SimpleImputer"
    )
    assert make(columns, IMPUTER).features["a"].isna().tolist() == [False, True, False]


def test_gaps_of_nullable_columns_are_gaps():
    columns = {"a": pd.array([1, None, 3], dtype="Int64"), "b": pd.array([True, None, False], dtype="boolean"), "y": [1, 2, 3]}
    assert "column 'a' has no value in row 2" in refusal(columns)
    assert make(columns, IMPUTER).features["b"].isna().tolist() == [False, True, False]


def test_text_classes_are_kept():
    data = make({"a": [1, 2, 3], "y": ["no", "yes", "no"]}, CLASSIFIER)
    assert data.target.tolist() == ["no", "yes", "no"]
    assert data.target.dtype == object


def test_text_is_no_number_to_predict():
    message = refusal({"a": [1, 2], "y": ["no", "yes"]}, path=("data", "target"))
    assert message == "column 'y' holds 'no' in rows 1, 2; a regressor predicts numbers"


def test_whole_numbers_are_classes_even_as_floats():
    data = make({"a": [1, 2, 3], "y": [0.0, 1.0, 2.0]}, CLASSIFIER)
    assert data.target.tolist() == [0, 1, 2]
    assert data.target.dtype == np.int64


def test_fractions_are_no_classes():
    message = refusal({"a": [1, 2, 3], "y": [0.0, 1.5, 2.0]}, CLASSIFIER, path=("data", "target"))
    assert message == "column 'y' holds fractions, first in row 2; a classifier needs classes"


def test_an_infinite_class_is_called_infinite():
    message = refusal({"a": [1, 2, 3], "y": [0.0, np.inf, 2.0]}, CLASSIFIER, path=("data", "target"))
    assert message == "column 'y' is infinite in row 2"


def test_true_and_false_are_classes_or_numbers():
    columns = {"a": [1, 2, 3], "y": [True, False, True]}
    assert make(columns, CLASSIFIER).target.tolist() == [True, False, True]
    assert make(columns).target.tolist() == [1.0, 0.0, 1.0]


def test_classes_of_mixed_kinds_become_text():
    assert make({"a": [1, 2, 3], "y": ["1", 2, 1.5]}, CLASSIFIER).target.tolist() == ["1", "2", "1.5"]


@pytest.mark.parametrize("column", ["a", "y"])
def test_a_number_beyond_all_floats_is_refused(column):
    columns = {"a": [1, 2], "y": [1, 2]} | {column: pd.Series([int("9" * 400), 2], dtype=object)}
    refusal(columns, path=("data", "target") if column == "y" else ("data", "source"))


def test_classes_beyond_64_bits_are_not_bent():
    data = make({"a": [1, 2, 3], "y": [2.0**70, 1.0, 1.0]}, CLASSIFIER)
    assert data.target.tolist() == [str(2.0**70), "1.0", "1.0"]


def test_columns_named_by_numbers_are_found():
    assert make(pd.DataFrame({0: [1, 2], 1: [3, 4]}), target="1").target.tolist() == [3.0, 4.0]


@pytest.mark.parametrize("values", [[[1], [2]], [{"q": 1}, {"q": 2}]])
def test_lists_in_a_feature_are_refused(values):
    assert "column 'a'" in refusal({"a": values, "b": [1, 2], "y": [1, 2]}, READS_TEXT)


# Groups and duplicates ---------------------------------------------------------------------------------------------------

REPEATED = {"a": [1, 2, 1, 2, 1], "b": [0, 5, 0, 5, 9], "y": [1, 2, 3, 2, 5]}


def test_rows_of_equal_features_share_a_group_whatever_their_target():
    assert make(REPEATED).groups.tolist() == [0, 1, 0, 1, 2]


def test_gaps_are_equal_to_gaps():
    assert make({"a": [None, 1, None], "y": [1, 2, 3]}, IMPUTER).groups.tolist() == [0, 1, 0]


def test_dropping_keeps_the_first_of_rows_equal_in_every_column():
    data = make(REPEATED, duplicates="drop")
    assert data.features["a"].tolist() == [1, 2, 1, 1]
    assert data.target.tolist() == [1, 2, 3, 5]
    assert data.groups.tolist() == [0, 1, 0, 2]
    assert data.features.index.tolist() == data.target.index.tolist() == [0, 1, 2, 3]


def test_dropping_takes_a_feature_named_target_for_a_feature():
    data = make({"target": [1, 1, 2], "y": [1, 2, 3]}, duplicates="drop")
    assert len(data.target) == 3


def test_keeping_lets_every_row_stand_alone():
    data = make(REPEATED, duplicates="keep")
    assert data.groups.tolist() == [0, 1, 2, 3, 4]
    assert len(data.features) == 5


# The digest --------------------------------------------------------------------------------------------------------------

PLAIN = {"a": [1.0, 2.0, 3.0], "b": [4.0, 5.0, 6.0], "y": [7.0, 8.0, 9.0]}


def digest(columns, needs=REGRESSOR, **options):
    return make(columns, needs, **options).digest


def test_the_digest_is_stable():
    assert digest(PLAIN) == digest(PLAIN)
    assert digest(PLAIN) == "d9e28d9298abe7eb797648176328ab34fc9d410b4d87399d782b676b02a72808"


def test_the_digest_does_not_hang_on_where_the_table_is_or_how_numbers_are_kept():
    assert digest(PLAIN) == digest(PLAIN, source="/elsewhere/u.csv")
    assert digest(PLAIN) == digest({name: [int(value) for value in values] for name, values in PLAIN.items()})
    assert digest(PLAIN) == digest(pd.DataFrame(PLAIN, index=[5, 6, 7]))


@pytest.mark.parametrize("column", ["a", "b", "y"])
@pytest.mark.parametrize("row", [0, 1, 2])
def test_any_value_changes_the_digest(column, row):
    values = list(PLAIN[column])
    values[row] = np.nextafter(values[row], 100)
    assert digest({**PLAIN, column: values}) != digest(PLAIN)


def test_the_order_of_rows_and_columns_changes_the_digest():
    table = pd.DataFrame(PLAIN)
    others = [table[::-1], table[["b", "a", "y"]], table.iloc[[1, 0, 2]], table.iloc[:2], table[["a", "y"]]]
    digests = [digest(table), *map(digest, others)]
    assert len(set(digests)) == len(digests)


def test_a_columns_name_changes_the_digest():
    assert digest({"c": PLAIN["a"], "b": PLAIN["b"], "y": PLAIN["y"]}) != digest(PLAIN)
    assert digest({"a": PLAIN["a"], "b": PLAIN["b"], "z": PLAIN["y"]}, target="z") != digest(PLAIN)


def test_another_target_changes_the_digest():
    assert digest(PLAIN, target="b") != digest(PLAIN)


def test_classes_change_the_digest():
    columns = {"a": [1, 2, 3], "y": ["u", "v", "u"]}
    assert digest(columns, CLASSIFIER) != digest({**columns, "y": ["u", "v", "v"]}, CLASSIFIER)
    assert digest(columns, CLASSIFIER) == digest(columns, CLASSIFIER)


def test_a_gap_is_not_the_text_nan():
    gap, text = {"a": ["x", None], "y": [1, 2]}, {"a": ["x", "nan"], "y": [1, 2]}
    assert digest(gap, READS_TEXT) != digest(text, READS_TEXT)


def test_large_classes_are_told_apart():
    assert digest({"a": [1, 2], "y": [2**53, 0]}, CLASSIFIER) != digest({"a": [1, 2], "y": [2**53 + 1, 0]}, CLASSIFIER)


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        ([True], "row 1"),
        ([False, True, True], "rows 2, 3"),
        ([True] * 5, "rows 1, 2, 3, 4, 5"),
        ([True] * 6, "rows 1, 2, 3, 4, 5 and 1 more"),
    ],
)
def test_rows_are_named(mask, words):
    assert rows(np.array(mask)) == words


# Columns beside the features ---------------------------------------------------------------------------------------------

BESIDE = {"a": [1, 2, 3, 4], "batch": ["v", "u", "v", "u"], "n": [1, 0, 2.5, 1], "y": [1.5, 2, 3, 4]}


def test_groups_and_weights_are_no_features():
    data = make(BESIDE, groups="batch", weights="n")
    assert data.features.columns.tolist() == ["a"]
    assert data.weights.tolist() == [1, 0, 2.5, 1]
    assert data.groups.tolist() == [1, 0, 1, 0]
    assert data.group_column.tolist() == BESIDE["batch"]


def test_the_table_lists_every_column_with_its_values():
    data = make(BESIDE, groups="batch", weights="n")
    assert {name: column.tolist() for name, column in data.table.items()} == BESIDE
    assert make(REPEATED).table.columns.tolist() == ["a", "b", "y"]


def test_without_the_columns_there_are_no_weights_and_no_group_column():
    data = make(PLAIN)
    assert data.weights is None
    assert data.group_column is None


def test_dropping_rows_drops_their_groups_and_weights():
    repeated = {name: [*values, values[1]] for name, values in BESIDE.items()}
    data = make({**repeated, "n": [1, 3, 2, 1, 3]}, groups="batch", weights="n", duplicates="drop")
    assert data.weights.tolist() == [1, 3, 2, 1]
    assert data.group_column.tolist() == ["v", "u", "v", "u"]
    assert len(data.groups) == len(data.target) == 4


def test_rows_that_differ_in_group_or_weight_alone_are_not_dropped():
    columns = {"a": [1, 1, 1, 2], "batch": ["u", "v", "u", "u"], "n": [1, 1, 2, 1], "y": [5, 5, 5, 6]}
    assert len(make(columns, groups="batch", weights="n", duplicates="drop").target) == 4


def test_equal_rows_and_equal_groups_join_in_chains():
    columns = {"a": [1, 1, 2, 3, 4, 4], "batch": ["u", "v", "v", "w", "x", "x"], "y": range(6)}
    # rows 0 and 1 by their feature, 1 and 2 by their batch; 3 stands alone; 4 and 5 by both
    assert make(columns, groups="batch").groups.tolist() == [0, 0, 0, 2, 3, 3]
    assert make(columns, groups="batch", duplicates="keep").groups.tolist() == [0, 1, 1, 2, 3, 3]


@settings(deadline=None, max_examples=200, derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=2, max_size=30))
def test_groups_are_what_joining_rows_one_by_one_gives(pairs):
    """Against the definition: merge until nothing that shares a value is apart."""
    joined = list(range(len(pairs)))
    for _ in pairs:
        for one, (a, b) in enumerate(pairs):
            for other, (c, d) in enumerate(pairs):
                if a == c or b == d:
                    joined[one] = joined[other] = min(joined[one], joined[other])
    groups = join_groups(np.array([a for a, _ in pairs]), pd.Series([b for _, b in pairs]))
    expected = np.equal.outer(joined, joined)
    np.testing.assert_array_equal(np.equal.outer(groups, groups), expected)


@pytest.mark.parametrize("values", [[30, 4, 30, 100], ["b", "a", "b", "c"], [2.5, 1.5, 2.5, 3.5], [True, False, True, False]])
def test_groups_are_numbered_in_the_order_of_their_values(values):
    data = make({**BESIDE, "batch": values}, groups="batch")
    assert data.groups.tolist() == np.unique(values, return_inverse=True)[1].tolist()


def test_dates_name_groups():
    dates = pd.to_datetime(["2024-01-02", "2024-01-01", "2024-01-02", "2024-01-03"])
    assert make({**BESIDE, "batch": dates}, groups="batch").groups.tolist() == [1, 0, 1, 2]


@pytest.mark.parametrize("needs", [REGRESSOR, READS_TEXT])
def test_durations_are_refused_before_a_model_that_learned_them_cannot_be_kept(needs):
    message = refusal({"n": pd.to_timedelta([1, 2, 3, 4], unit="s"), "y": [1.0, 2, 3, 4]}, needs)
    assert message.startswith("column 'n' holds durations; ")
    assert "`data.drop`" in message


def test_lists_name_no_groups():
    message = refusal({**BESIDE, "batch": [[1], [2], [1], [3]]}, path=("data", "groups"), groups="batch")
    assert message == "column 'batch' holds lists or mappings; a group is a number or text"


@pytest.mark.parametrize("column", ["batch", "n"])
@pytest.mark.parametrize("row", [0, 3])
def test_any_group_and_any_weight_changes_the_digest(column, row):
    values = list(BESIDE[column])
    values[row] = "w" if column == "batch" else values[row] + 1e-9
    plain = digest(BESIDE, groups="batch", weights="n")
    assert digest({**BESIDE, column: values}, groups="batch", weights="n") != plain
    assert digest(BESIDE, groups="batch", weights="n") == plain


def test_the_use_of_a_column_changes_the_digest():
    columns = {"a": [1, 2, 3], "b": [1, 2, 3], "y": [1, 2, 3]}
    uses = [{}, {"groups": "b"}, {"weights": "b"}, {"groups": "a", "weights": "b"}]
    digests = [digest({**columns, "c": [4, 5, 6]}, **use) for use in uses]
    assert len(set(digests)) == len(digests)
