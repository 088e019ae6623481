"""No equal rows on both sides of anything, and the same folds as scikit-learn draws by hand."""

import datetime as dt
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import (
    GroupKFold,
    GroupShuffleSplit,
    KFold,
    LeaveOneGroupOut,
    LeaveOneOut,
    PredefinedSplit,
    ShuffleSplit,
    StratifiedGroupKFold,
    StratifiedKFold,
    StratifiedShuffleSplit,
    TimeSeriesSplit,
)

from wine_sweep.config import CrossValidation, DataConfig, Duplicates
from wine_sweep.data import Split, make_dataset, make_folds, split_rows
from wine_sweep.errors import DataError
from wine_sweep.trial import DataRequirements, Task

BOTH = pytest.mark.parametrize("task", list(Task))
SEEDS = pytest.mark.parametrize("seed", [0, 1, 40, 2**32 - 1])
PROPERTY = settings(deadline=None, max_examples=100, derandomize=True)


def table(rows=60, kinds=25):
    """A table in which many rows have equal features, and not all of those the same target."""
    random = np.random.default_rng(5)
    kind = random.integers(0, kinds, rows)
    return pd.DataFrame({"a": kind % 5, "b": kind, "y": (kind + random.integers(0, 2, rows)) % 3})


def dataset(frame, task=Task.REGRESSION, duplicates="group", cv=None, **options):
    needs = DataRequirements(task, numbers=True, takes_missing=False, model="M")
    config = DataConfig(source="t.csv", target="y", duplicates=duplicates, **options)
    return make_dataset(frame, config, source="t.csv", needs=needs, cv=cv)


def unique_rows(rows=60):
    return pd.DataFrame({"a": range(rows), "b": np.arange(rows) ** 2, "y": np.arange(rows) % 3})


def split_of(data, task=Task.REGRESSION, *, in_time=False, **options):
    return split_rows(data, DataConfig(source="t.csv", target="y", **options), task=task, in_time=in_time)


def folds_of(data, split, cv, task=Task.REGRESSION, duplicates=Duplicates.GROUP):
    return make_folds(data, split, cv, task=task, duplicates=duplicates)


def refusal(call, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(DataError) as caught:
            call()
    assert caught.value.path == path
    return str(caught.value)


def assert_sides(groups, one, other, *, total):
    """Both sides ascend, have rows, make up everything together, and share no group."""
    assert len(one) > 0
    assert len(other) > 0
    assert sorted([*one, *other]) == list(range(total))
    assert list(one) == sorted(one)
    assert list(other) == sorted(other)
    assert not set(groups[one]) & set(groups[other])


def same(folds, pairs):
    pairs = list(pairs)
    assert len(folds) == len(pairs)
    for fold, (fit, measure) in zip(folds, pairs, strict=True):
        np.testing.assert_array_equal(fold.fit, fit)
        np.testing.assert_array_equal(fold.measure, measure)


@BOTH
@SEEDS
def test_equal_rows_never_stand_on_both_sides_of_the_test_split(task, seed):
    data = dataset(table(), task)
    assert len(set(data.groups)) < 30
    split = split_of(data, task, seed=seed)
    assert_sides(data.groups, split.train, split.test, total=60)


@BOTH
@pytest.mark.parametrize(
    "cv",
    [CrossValidation(folds=5, seed=3), CrossValidation(folds=2, repeats=4), CrossValidation(holdout=0.3)],
    ids=CrossValidation.describe,
)
@SEEDS
def test_equal_rows_never_stand_on_both_sides_of_a_fold(task, cv, seed):
    data = dataset(table(), task)
    split = split_of(data, task, seed=seed)
    for fold in folds_of(data, split, cv, task):
        assert_sides(data.groups[split.train], fold.fit, fold.measure, total=len(split.train))


@st.composite
def tables_with_equal_rows(draw):
    rows = draw(st.integers(24, 60))
    kinds = draw(st.integers(12, 24))
    values = draw(st.lists(st.integers(0, kinds - 1), min_size=rows, max_size=rows))
    values[:12] = range(12)  # enough groups, of every class
    targets = [draw(st.sampled_from([value % 2, value % 2, 1])) if at >= 12 else value % 2 for at, value in enumerate(values)]
    return pd.DataFrame({"a": values, "y": targets})


@pytest.mark.slow
@BOTH
@PROPERTY
@given(
    frame=tables_with_equal_rows(),
    seed=st.integers(0, 2**32 - 1),
    test_size=st.floats(0.2, 0.4),
    cv=st.sampled_from([2, 3, "holdout"]),
)
def test_no_table_has_equal_rows_on_both_sides(task, frame, seed, test_size, cv):
    data = dataset(frame, task)
    split = split_of(data, task, seed=seed, test_size=test_size)
    assert_sides(data.groups, split.train, split.test, total=len(frame))
    chosen = CrossValidation(holdout=0.3, seed=seed) if cv == "holdout" else CrossValidation(folds=cv, seed=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn's, of classes with fewer members than folds
        folds = folds_of(data, split, chosen, task)
    for fold in folds:
        assert_sides(data.groups[split.train], fold.fit, fold.measure, total=len(split.train))


@BOTH
def test_the_same_seed_draws_the_same_and_another_draws_another(task):
    data = dataset(table(), task)
    one, again, other = (split_of(data, task, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.test, again.test)
    assert list(one.test) != list(other.test)
    first, same_again, different = (folds_of(data, one, CrossValidation(folds=3, seed=seed), task) for seed in (1, 1, 2))
    same(first, [(fold.fit, fold.measure) for fold in same_again])
    assert any(list(a.measure) != list(b.measure) for a, b in zip(first, different, strict=True))


# As drawn by hand --------------------------------------------------------------------------------------------------------


@SEEDS
def test_test_rows_of_groups_are_those_of_group_shuffle_split(seed):
    data = dataset(table())
    split = split_of(data, seed=seed, test_size=0.3)
    train, test = next(GroupShuffleSplit(n_splits=1, test_size=0.3, random_state=seed).split(data.features, groups=data.groups))
    np.testing.assert_array_equal(split.train, train)
    np.testing.assert_array_equal(split.test, test)


@SEEDS
def test_test_rows_of_different_rows_are_those_of_shuffle_split(seed):
    data = dataset(unique_rows())
    split = split_of(data, seed=seed, test_size=0.3)
    train, test = next(ShuffleSplit(n_splits=1, test_size=0.3, random_state=seed).split(data.features))
    np.testing.assert_array_equal(split.train, np.sort(train))
    np.testing.assert_array_equal(split.test, np.sort(test))


@SEEDS
def test_test_rows_of_classes_are_those_of_stratified_shuffle_split(seed):
    data = dataset(unique_rows(), Task.CLASSIFICATION)
    split = split_of(data, Task.CLASSIFICATION, seed=seed, test_size=0.3)
    stratified = StratifiedShuffleSplit(n_splits=1, test_size=0.3, random_state=seed)
    train, test = next(stratified.split(data.features, data.target))
    np.testing.assert_array_equal(split.train, np.sort(train))
    np.testing.assert_array_equal(split.test, np.sort(test))
    assert data.target.iloc[split.test].value_counts().tolist() == [6, 6, 6]


@pytest.mark.parametrize(
    ("task", "frame", "splitter"),
    [
        (Task.REGRESSION, table(), GroupKFold),
        (Task.REGRESSION, unique_rows(), KFold),
        (Task.CLASSIFICATION, table(), StratifiedGroupKFold),
        (Task.CLASSIFICATION, unique_rows(), StratifiedKFold),
    ],
    ids=["GroupKFold", "KFold", "StratifiedGroupKFold", "StratifiedKFold"],
)
@pytest.mark.parametrize("repeats", [1, 3])
@pytest.mark.parametrize("seed", [0, 7])
def test_folds_are_those_that_scikit_learn_draws(task, frame, splitter, repeats, seed):
    data = dataset(frame, task)
    split = split_of(data, task, seed=40)
    folds = folds_of(data, split, CrossValidation(folds=4, repeats=repeats, seed=seed), task)
    features, target = data.features.iloc[split.train], data.target.iloc[split.train]
    groups = data.groups[split.train] if "Group" in splitter.__name__ else None
    by_hand = [
        pair
        for repeat in range(repeats)
        for pair in splitter(n_splits=4, shuffle=True, random_state=seed + repeat).split(features, target, groups)
    ]
    same(folds, by_hand)


def test_kept_duplicates_are_split_as_different_rows():
    data = dataset(table(), duplicates="keep")
    split = split_of(data, duplicates="keep", seed=3)
    folds = folds_of(data, split, CrossValidation(folds=4, seed=7), duplicates=Duplicates.KEEP)
    same(folds, KFold(n_splits=4, shuffle=True, random_state=7).split(split.train))
    grouped = dataset(table()).groups
    assert set(grouped[split.train]) & set(grouped[split.test])


def test_dropped_duplicates_are_gone_before_the_split():
    data = dataset(table(), duplicates="drop")
    split = split_of(data, duplicates="drop")
    assert len(split.train) + len(split.test) == len(table().drop_duplicates()) < 60
    assert_sides(data.groups, split.train, split.test, total=len(data.target))


def test_a_hold_out_is_one_split_drawn_as_the_test_rows_are():
    data = dataset(table())
    split = split_of(data)
    groups = data.groups[split.train]
    pairs = GroupShuffleSplit(n_splits=1, test_size=0.3, random_state=9).split(groups, groups=groups)
    same(folds_of(data, split, CrossValidation(holdout=0.3, seed=9)), pairs)


def test_splits_in_time_look_only_back():
    data = dataset(table(), duplicates="keep")
    split = split_of(data, duplicates="keep", in_time=True, test_size=0.25)
    assert split.train.tolist() == list(range(45))
    assert split.test.tolist() == list(range(45, 60))
    folds = folds_of(data, split, CrossValidation(time_series=4), duplicates=Duplicates.KEEP)
    same(folds, TimeSeriesSplit(n_splits=4).split(split.train))
    assert all(fold.fit.max() < fold.measure.min() for fold in folds)


@pytest.mark.parametrize("test_size", [0.001, 0.1, 0.25, 0.5])
def test_in_time_the_last_rows_are_set_aside_and_one_at_least(test_size):
    split = split_of(dataset(unique_rows(40)), in_time=True, test_size=test_size)
    assert len(split.test) == max(1, round(40 * test_size))
    assert split.test[-1] == 39


@pytest.mark.parametrize("duplicates", [Duplicates.GROUP, Duplicates.DROP])
def test_splits_in_time_cannot_group(duplicates):
    data = dataset(unique_rows())
    message = refusal(
        lambda: folds_of(data, split_of(data, in_time=True), CrossValidation(time_series=3), duplicates=duplicates),
        ("data", "duplicates"),
    )
    assert message.startswith("splits in time cannot keep equal rows together; say `duplicates: keep`, or name")


def days(count=60, a_day=1, start="2025-12-01"):
    """A table of so many rows, `a_day` of them each day, in no order; `a` is the row's number in the order of time."""
    when = pd.date_range(start, periods=count // a_day).repeat(a_day).strftime("%Y-%m-%d")
    frame = pd.DataFrame({"when": when, "a": range(count), "y": np.arange(count) % 3})
    return frame.sample(frac=1, random_state=4).sort_values("a", key=lambda a: a % a_day, kind="stable", ignore_index=True)


def test_rows_are_in_the_order_of_their_times_whatever_the_order_of_the_file():
    data, again = (dataset(frame, time="when") for frame in (days(), days().iloc[::-1]))
    assert data.features.columns.tolist() == ["a"]
    assert data.features["a"].tolist() == list(range(60))
    assert data.time.is_monotonic_increasing
    assert data.digest == again.digest != dataset(days().drop(columns="when").sort_values("a")).digest
    assert data.table.columns.tolist() == ["a", "when", "y"]
    split = split_of(data, in_time=True, test_size=0.25)
    assert split.test.tolist() == list(range(45, 60))


@pytest.mark.parametrize("options", [{}, {"gap": 3}, {"max_train": 9}, {"gap": 2, "max_train": 4}])
def test_splits_in_time_are_those_of_time_series_split(options):
    data = dataset(days(), time="when")  # with equal rows as they fall: what is past is known
    folds = folds_of(data, split_of(data, in_time=True), CrossValidation(time_series=4, **options))
    by_hand = TimeSeriesSplit(n_splits=4, gap=options.get("gap", 0), max_train_size=options.get("max_train"))
    same(folds, by_hand.split(np.zeros(45)))


def test_rows_of_one_time_stand_on_one_side():
    data = dataset(days(60, a_day=4), time="when")
    split = split_of(data, in_time=True, test_size=0.28)
    assert split.test.tolist() == list(range(44, 60))  # 17 rows would cut a day
    folds = folds_of(data, split, CrossValidation(time_series=3, gap=1, max_train=2))
    days_of_rows = np.repeat(np.arange(11), 4)
    for fold, (fit, measure) in zip(folds, TimeSeriesSplit(3, gap=1, max_train_size=2).split(np.zeros(11)), strict=True):
        np.testing.assert_array_equal(fold.fit, np.flatnonzero(np.isin(days_of_rows, fit)))
        np.testing.assert_array_equal(fold.measure, np.flatnonzero(np.isin(days_of_rows, measure)))


def test_repeated_rows_of_other_times_are_no_repeats():
    frame = days().assign(a=1)
    assert len(dataset(pd.concat([frame, frame.head(7)]), time="when", duplicates="drop").target) == 60


def test_a_time_is_a_feature_where_it_is_named():
    frame = unique_rows().assign(b=np.arange(60)[::-1])
    data = dataset(frame, time="b", features=["a", "b"])
    assert data.features["b"].tolist() == list(range(60))
    assert data.table.columns.tolist() == ["a", "b", "y"]
    assert dataset(frame, time="b", features=["b"]).features.columns.tolist() == ["b"]
    refusal(lambda: dataset(frame, time="b", drop=["b"]), ("data", "drop", 0))
    refusal(lambda: dataset(frame, time="y"), ("data", "time"))
    assert "there is no column 'B'" in refusal(lambda: dataset(frame, time="B"), ("data", "time"))


@pytest.mark.parametrize(
    "times",
    [
        ["2026-02-01", "2026-01-31 12:30", "2026-01-31T09:00:00Z"],
        ["31.12.2026", "30.12.2026", "29.12.2026"],
        ["2026-03-29 03:30+02:00", "2026-03-29 01:45+01:00", "2026-03-29 01:30+01:00"],
        [dt.date(2026, 1, 3), dt.date(2026, 1, 2), dt.date(2025, 1, 9)],
        [3, 2, -1],
        [0.3, 0.2, 0.1],
        pd.Categorical(["2026-01-03", "2026-01-02", "2026-01-01"]),
        pd.DatetimeIndex(["2026-01-03", "2026-01-02", "2026-01-01"], tz="Europe/Rome"),
    ],
    ids=lambda times: str(times[0]),
)
def test_times_are_dates_or_numbers(times):
    data = dataset(pd.DataFrame({"a": [1, 2, 3], "y": [4, 5, 6], "t": times}), time="t")
    assert data.features["a"].tolist() == [3, 2, 1]


@pytest.mark.parametrize(
    ("times", "message"),
    [
        (["2026-01-01", None, "2026-01-03", None], "column 't' has no value in rows 2, 4; every row needs a time"),
        (["2026-01-01", "soon", "2026-01-03", "2026-13-01"], "column 't' holds 'soon' in rows 2, 4, which is no date"),
        ([1.0, np.inf, 2.0, 3.0], "column 't' is infinite in row 2"),
        ([True, False, True, True], "column 't' holds true and false"),
        (
            ["03/04/2026", "04/03/2026", "05/03/2026", "05/03/2026"],
            "column 't' holds '03/04/2026': is the month first, or the day?",
        ),
        ([[1], [2], [3], [4]], "column 't' holds '[1]'"),
    ],
)
def test_what_is_no_time_is_named(times, message):
    frame = pd.DataFrame({"a": range(4), "y": range(4), "t": times})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert refusal(lambda: dataset(frame, time="t"), ("data", "time")).startswith(message)


@pytest.mark.parametrize(
    ("zone", "since", "first"),
    [
        (None, "2026-03-02", 1),
        ("Europe/Rome", "2026-03-02", 1),
        ("Europe/Rome", "2026-03-02T00:00Z", 2),
        (None, "2026-03-02T01:00+01:00", 1),
    ],
)
def test_a_date_begins_where_the_times_are_from(zone, since, first):
    times = pd.date_range("2026-03-01", periods=3, tz=zone)[::-1]
    data = dataset(pd.DataFrame({"a": [1, 2, 3], "y": [4, 5, 6], "t": times}), time="t", test={"since": since})
    assert np.flatnonzero(data.is_test).tolist() == list(range(first, 3))


def test_one_time_cannot_be_split_nor_few_by_many():
    frame = unique_rows()
    data = dataset(frame.assign(t="2026-01-01"), time="t")
    assert "is 2026-01-01 00:00:00 in every row" in refusal(lambda: split_of(data, in_time=True), ("data", "time"))
    data = dataset(frame.assign(t=np.arange(60) // 20), time="t")
    split = split_of(data, in_time=True)
    message = refusal(lambda: folds_of(data, split, CrossValidation(time_series=3)), ("evaluation", "cv"))
    assert message.startswith("40 training rows of 2 different times cannot be split so: ")
    grouped = dataset(frame.assign(t=range(60), g=np.arange(60) % 9), time="t", groups="g")
    refusal(lambda: split_of(grouped, in_time=True), ("data", "groups"))


@pytest.mark.parametrize(
    ("task", "frame", "splitter"),
    [
        (Task.REGRESSION, unique_rows(), KFold),
        (Task.REGRESSION, table(), GroupKFold),
        (Task.CLASSIFICATION, unique_rows(), StratifiedKFold),
        (Task.CLASSIFICATION, table(), StratifiedGroupKFold),
    ],
)
def test_unshuffled_folds_are_in_the_order_of_the_table(task, frame, splitter):
    data = dataset(frame, task)
    split = split_of(data, task)
    groups = data.groups[split.train] if "Group" in splitter.__name__ else None
    by_hand = splitter(3).split(split.train, data.target.iloc[split.train], groups)
    same(folds_of(data, split, CrossValidation(folds=3, shuffle=False), task), by_hand)


@pytest.mark.parametrize(
    ("task", "frame", "splitter"),
    [
        (Task.REGRESSION, unique_rows(), ShuffleSplit),
        (Task.REGRESSION, table(), GroupShuffleSplit),
        (Task.CLASSIFICATION, unique_rows(), StratifiedShuffleSplit),
    ],
)
def test_hold_outs_are_drawn_anew_as_by_scikit_learn(task, frame, splitter):
    data = dataset(frame, task)
    split = split_of(data, task)
    groups = data.groups[split.train] if "Group" in splitter.__name__ else None
    pairs = splitter(5, test_size=0.2, random_state=3).split(split.train, data.target.iloc[split.train], groups)
    cv = CrossValidation(holdout=0.2, repeats=5, seed=3)
    same(folds_of(data, split, cv, task), [(np.sort(fit), np.sort(measure)) for fit, measure in pairs])
    assert (cv.count, cv.describe()) == (5, "5 hold-out splits")


def test_hold_outs_of_mixed_groups_are_drawn_anew():
    data = dataset(table(), Task.CLASSIFICATION)
    split = split_of(data, Task.CLASSIFICATION)
    folds = folds_of(data, split, CrossValidation(holdout=0.3, repeats=3), Task.CLASSIFICATION)
    assert len({tuple(fold.measure) for fold in folds}) == 3
    for fold in folds:
        assert_sides(data.groups[split.train], fold.fit, fold.measure, total=len(split.train))


@pytest.mark.parametrize("frame", [unique_rows(), table()])
def test_one_row_or_rows_that_are_equal_are_left_out(frame):
    data = dataset(frame)
    split = split_of(data)
    groups = data.groups[split.train]
    is_grouped = len(set(groups)) < len(groups)
    by_hand = LeaveOneGroupOut().split(groups, groups=groups) if is_grouped else LeaveOneOut().split(groups)
    same(folds_of(data, split, CrossValidation(leave_one_out=True)), by_hand)


def test_one_group_is_left_out_and_test_rows_are_of_other_groups():
    cv = CrossValidation(leave_one_group_out="site")
    data = dataset(unique_rows().assign(site=np.random.default_rng(2).permutation(np.repeat(["k", "a", "z", "b"], 15))), cv=cv)
    assert data.features.columns.tolist() == ["a", "b"]
    split = split_of(data)
    sites = data.group_column.iloc[split.train]
    assert set(data.group_column.iloc[split.test]).isdisjoint(sites)
    same(folds_of(data, split, cv), LeaveOneGroupOut().split(sites, groups=sites))
    named = dataset(data.table, cv=cv, groups="site")
    assert named.digest == data.digest


@pytest.mark.parametrize("names", [{-1: -1, 0: 0, 7: 7}, {-1: "-1", 0: "jan", 7: "march"}], ids=["numbers", "names"])
def test_own_folds_are_those_of_predefined_split(names):
    number = np.random.default_rng(3).choice([-1, 0, 7], 60)
    cv = CrossValidation(column="fold")
    frame = unique_rows().assign(fold=[names[each] for each in number])
    data = dataset(frame, cv=cv)
    assert data.features.columns.tolist() == ["a", "b"]
    assert data.digest != dataset(unique_rows()).digest
    split = split_of(data)
    same(folds_of(data, split, cv), PredefinedSplit(number[split.train]).split())
    timed = dataset(frame.iloc[::-1].assign(t=range(60, 0, -1)), cv=cv, time="t")
    assert timed.fold_column.tolist() == data.fold_column.tolist()


@pytest.mark.parametrize(
    ("folds", "message"),
    [
        ([-1] * 60, "column 'fold' is -1 in every training row: there is none to measure on"),
        ([3] * 60, "column 'fold' is 3 in every training row: none is left to fit on; rows with -1 always are"),
        ([0, None, 1] * 20, "column 'fold' has no value in rows 2, 5, 8, 11, 14 and 15 more; every row needs a fold, or -1"),
        ([0, 1.5, 1] * 20, "column 'fold' is not whole in rows 2, 5, 8, 11, 14 and 15 more; a fold is a whole number"),
        ([True, False] * 30, "column 'fold' holds true and false; write 0 for the fold that is measured on"),
    ],
)
def test_columns_that_are_no_folds_are_refused(folds, message):
    cv = CrossValidation(column="fold")

    def divide():
        data = dataset(unique_rows().assign(fold=folds), cv=cv)
        folds_of(data, split_of(data), cv)

    assert refusal(divide, ("evaluation", "cv", "column")).startswith(message)


def test_own_folds_that_tear_a_group_apart_are_refused():
    cv = CrossValidation(column="fold")
    data = dataset(unique_rows().assign(fold=np.arange(60) % 2, batch=np.arange(60) // 5), groups="batch", cv=cv)
    message = refusal(lambda: folds_of(data, split_of(data), cv), ("evaluation", "cv", "column"))
    assert message.startswith("the rows with 'batch' ")


def test_classes_have_their_share_in_every_fold():
    frame = unique_rows(90).assign(y=[0] * 60 + [1] * 30)
    data = dataset(frame, Task.CLASSIFICATION)
    split = split_of(data, Task.CLASSIFICATION, test_size=1 / 3)
    assert data.target.iloc[split.test].sum() == 10
    for fold in folds_of(data, split, CrossValidation(folds=5), Task.CLASSIFICATION):
        assert data.target.to_numpy()[split.train][fold.measure].tolist().count(1) == 4


def test_text_classes_are_split_as_numbers_are():
    numbers, words = table(), table().assign(y=table()["y"].map({0: "n", 1: "o", 2: "p"}))
    one, other = dataset(numbers, Task.CLASSIFICATION), dataset(words, Task.CLASSIFICATION)
    np.testing.assert_array_equal(split_of(one, Task.CLASSIFICATION).test, split_of(other, Task.CLASSIFICATION).test)


# Too little --------------------------------------------------------------------------------------------------------------


def test_more_folds_than_different_rows_are_refused():
    data = dataset(table(rows=60, kinds=6))
    message = refusal(lambda: folds_of(data, split_of(data), CrossValidation(folds=6)), ("evaluation", "cv"))
    assert message.endswith("6 folds need 6 different training rows at least; there are 4")


def test_as_many_folds_as_different_rows_are_enough():
    data = dataset(table(rows=60, kinds=6))
    assert len(folds_of(data, split_of(data), CrossValidation(folds=4))) == 4


def test_a_clear_reason_is_not_wrapped_into_another():
    data = dataset(unique_rows(20))
    message = refusal(lambda: folds_of(data, split_of(data), CrossValidation(folds=16)), ("evaluation", "cv"))
    assert message == "16 folds need 16 different training rows at least; there are 15"


def test_more_folds_than_members_of_every_class_are_refused():
    data = dataset(unique_rows(20), Task.CLASSIFICATION)
    split = split_of(data, Task.CLASSIFICATION)
    message = refusal(lambda: folds_of(data, split, CrossValidation(folds=6), Task.CLASSIFICATION), ("evaluation", "cv"))
    assert "6 folds need a class with 6 training rows at least; the largest, " in message


def test_a_class_of_one_row_is_named():
    data = dataset(unique_rows(20).assign(y=[0] * 12 + [5] + [1] * 7), Task.CLASSIFICATION)
    message = refusal(lambda: split_of(data, Task.CLASSIFICATION), ("data", "target"))
    assert message == "class 5 of column 'y' stands only in row 13; to learn it and to test it takes 2 different rows"


def test_a_class_of_one_row_that_is_repeated_is_named():
    frame = pd.DataFrame({"a": [*range(10), 99, 99, 99], "y": [0, 1] * 5 + [5] * 3})
    message = refusal(lambda: split_of(dataset(frame, Task.CLASSIFICATION), Task.CLASSIFICATION), ("data", "target"))
    assert message == "class 5 of column 'y' stands only in rows 11, 12, 13; to learn it and to test it takes 2 different rows"


@BOTH
@pytest.mark.parametrize("test_size", [0.001, 0.999])
def test_too_few_rows_to_set_aside_are_refused_or_one_is_set_aside(task, test_size):
    data = dataset(unique_rows(12), task)
    if task is Task.REGRESSION and test_size < 0.5:
        assert len(split_of(data, task, test_size=test_size).test) == 1
        return
    message = refusal(lambda: split_of(data, task, test_size=test_size), ("data", "test_size"))
    assert message.startswith(f"{test_size} of 12 rows cannot be set aside: ")


def test_too_few_rows_for_splits_in_time_are_refused():
    data = dataset(unique_rows(6), duplicates="keep")
    split = Split(np.arange(4), np.arange(4, 6))
    message = refusal(
        lambda: folds_of(data, split, CrossValidation(time_series=5), duplicates=Duplicates.KEEP), ("evaluation", "cv")
    )
    assert message.startswith("4 training rows cannot be split so: ")


def test_too_few_rows_for_a_hold_out_are_refused():
    data = dataset(unique_rows(4))
    message = refusal(
        lambda: folds_of(data, Split(np.arange(1), np.arange(1, 4)), CrossValidation(holdout=0.5)), ("evaluation", "cv")
    )
    assert message.startswith("1 training rows cannot be split so: ")


# Groups by a column ------------------------------------------------------------------------------------------------------


def batches(rows=120, size=5, kinds=3):
    """A table of different rows in batches, in no order; a batch holds several classes."""
    random = np.random.default_rng(8)
    names = [f"B{number:02d}" for number in range(rows // size)]
    batch = random.permutation(np.repeat(names, size))
    return pd.DataFrame({"a": range(rows), "batch": batch, "y": random.integers(0, kinds, rows)})


def shares(target, aside):
    return [np.mean(np.isin(np.flatnonzero(target == each), aside)) for each in np.unique(target)]


@BOTH
@SEEDS
@pytest.mark.parametrize(
    "cv",
    [CrossValidation(folds=4, seed=3), CrossValidation(holdout=0.3), CrossValidation(folds=3, stratified=False)],
    ids=["folds", "holdout", "plain folds"],
)
def test_no_value_of_the_group_column_stands_on_both_sides_of_anything(task, seed, cv):
    frame = batches()
    data = dataset(frame, task, groups="batch")
    batch = frame["batch"].to_numpy()
    split = split_of(data, task, seed=seed)
    assert_sides(batch, split.train, split.test, total=120)
    for fold in folds_of(data, split, cv, task):
        assert_sides(batch[split.train], fold.fit, fold.measure, total=len(split.train))


@SEEDS
def test_test_rows_and_folds_of_a_group_column_are_those_that_scikit_learn_draws_with_it(seed):
    frame = batches()
    data = dataset(frame, groups="batch", duplicates="keep")
    split = split_of(data, seed=seed)
    train, test = next(GroupShuffleSplit(n_splits=1, test_size=0.25, random_state=seed).split(frame, groups=frame["batch"]))
    np.testing.assert_array_equal(split.train, train)
    np.testing.assert_array_equal(split.test, test)
    folds = folds_of(data, split, CrossValidation(folds=4, seed=seed % 99), duplicates=Duplicates.KEEP)
    same(folds, GroupKFold(4, shuffle=True, random_state=seed % 99).split(train, groups=frame["batch"].iloc[train]))


@SEEDS
def test_folds_of_classes_in_groups_are_those_of_stratified_group_k_fold(seed):
    frame = batches()
    data = dataset(frame, Task.CLASSIFICATION, groups="batch")
    split = split_of(data, Task.CLASSIFICATION)
    train = frame.iloc[split.train]
    by_hand = StratifiedGroupKFold(4, shuffle=True, random_state=seed).split(train, train["y"], train["batch"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy's seeds go to 2**32 - 1, and so do ours
        same(folds_of(data, split, CrossValidation(folds=4, seed=seed), Task.CLASSIFICATION), by_hand)


@SEEDS
def test_test_rows_of_mixed_groups_are_the_draw_that_divides_the_classes_best(seed):
    frame = batches()
    target = frame["y"].to_numpy()
    split = split_of(dataset(frame, Task.CLASSIFICATION, groups="batch"), Task.CLASSIFICATION, seed=seed)
    draws = [test for _, test in GroupShuffleSplit(100, test_size=0.25, random_state=seed).split(frame, groups=frame["batch"])]
    off = [max(abs(share - 0.25) for share in shares(target, test)) for test in draws]
    assert min(min(shares(target, test)) for test in draws) > 0
    np.testing.assert_array_equal(split.test, draws[int(np.argmin(off))])
    assert max(abs(share - 0.25) for share in shares(target, split.test)) < np.median(off)


def test_groups_of_one_class_each_are_stratified_as_they_were():
    frame = batches()
    frame["y"] = frame["batch"].str[1:].astype(int) % 3
    data = dataset(frame, Task.CLASSIFICATION, groups="batch")
    split = split_of(data, Task.CLASSIFICATION, seed=7)
    assert shares(data.target.to_numpy(), split.test) == [0.25, 0.25, 0.25]
    _, first = np.unique(frame["batch"], return_index=True)
    _, chosen = next(StratifiedShuffleSplit(1, test_size=0.25, random_state=7).split(first, frame["y"].iloc[first]))
    assert set(frame["batch"].iloc[split.test]) == set(frame["batch"].iloc[first[chosen]])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("test_size", [0.25, 0.5, 0.75])
def test_a_rare_class_in_two_groups_is_always_left_to_learn_from(seed, test_size):
    frame = batches(kinds=2)
    two = frame["batch"].isin(["B03", "B11"])
    frame.loc[two & (frame["y"] == 0), "y"] = 2
    data = dataset(frame, Task.CLASSIFICATION, groups="batch")
    split = split_of(data, Task.CLASSIFICATION, seed=seed, test_size=test_size)
    assert set(data.target.iloc[split.train]) == {0, 1, 2}
    assert set(data.target.iloc[split.test]) == {0, 1, 2}
    for fold in folds_of(data, split, CrossValidation(holdout=0.3, seed=seed), Task.CLASSIFICATION):
        assert set(data.target.to_numpy()[split.train][fold.fit]) == {0, 1, 2}


def test_a_class_that_no_draw_leaves_to_learn_from_is_a_refusal():
    frame = pd.DataFrame({"a": range(8), "batch": list("uuvvwwxx"), "y": [0, 1, 0, 1, 2, 3, 2, 3]})
    data = dataset(frame, Task.CLASSIFICATION, groups="batch")
    message = refusal(lambda: split_of(data, Task.CLASSIFICATION, test_size=0.75), ("data", "test_size"))
    assert message.endswith("each of 100 draws of whole groups sets every row of some class aside")


def test_rows_of_equal_features_and_several_classes_stay_together_too():
    frame = pd.DataFrame({"a": np.arange(60) // 2, "y": np.arange(60) % 2})
    data = dataset(frame, Task.CLASSIFICATION)
    split = split_of(data, Task.CLASSIFICATION)
    assert_sides(data.groups, split.train, split.test, total=60)
    assert shares(data.target.to_numpy(), split.test) == [8 / 30, 8 / 30]


# Stratified or not -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("grouped", [True, False])
def test_without_stratification_classes_are_split_as_numbers_are(grouped):
    frame = table() if grouped else unique_rows()
    data = dataset(frame, Task.CLASSIFICATION)
    split = split_of(data, Task.CLASSIFICATION)
    groups = data.groups[split.train] if grouped else None
    folds = folds_of(data, split, CrossValidation(folds=4, seed=2, stratified=False), Task.CLASSIFICATION)
    same(folds, (GroupKFold if grouped else KFold)(4, shuffle=True, random_state=2).split(split.train, groups=groups))
    (fold,) = folds_of(data, split, CrossValidation(holdout=0.3, seed=2, stratified=False), Task.CLASSIFICATION)
    splitter = GroupShuffleSplit if grouped else ShuffleSplit
    _, measure = next(splitter(1, test_size=0.3, random_state=2).split(split.train, groups=groups))
    np.testing.assert_array_equal(fold.measure, np.sort(measure))


@pytest.mark.parametrize("cv", [{"folds": 4, "seed": 2}, {"holdout": 0.3}])
def test_classes_are_stratified_unless_the_config_says_otherwise(cv):
    data = dataset(unique_rows(), Task.CLASSIFICATION)
    split = split_of(data, Task.CLASSIFICATION)
    drawn = {
        stratified: folds_of(data, split, CrossValidation(**cv, stratified=stratified), Task.CLASSIFICATION)
        for stratified in (None, True, False)
    }
    same(drawn[None], [(fold.fit, fold.measure) for fold in drawn[True]])
    assert [fold.measure.tolist() for fold in drawn[False]] != [fold.measure.tolist() for fold in drawn[True]]


def test_a_plain_split_needs_no_class_of_so_many_rows():
    data = dataset(unique_rows(20), Task.CLASSIFICATION)
    split = split_of(data, Task.CLASSIFICATION)
    folds = folds_of(data, split, CrossValidation(folds=6, stratified=False), Task.CLASSIFICATION)
    assert len(folds) == 6


# Weights -----------------------------------------------------------------------------------------------------------------


def test_weights_draw_no_other_rows():
    plain, weighted = dataset(unique_rows()), dataset(unique_rows().assign(n=np.arange(60) % 4), weights="n")
    np.testing.assert_array_equal(split_of(plain, seed=4).test, split_of(weighted, seed=4).test)


@pytest.mark.parametrize(
    ("weighty", "message"),
    [
        (range(45, 60), "none of the 45 training rows has a weight above 0"),
        (range(45), "none of the 15 test rows has a weight above 0"),
    ],
)
def test_a_side_without_weight_is_refused(weighty, message):
    frame = unique_rows().assign(n=np.isin(np.arange(60), weighty).astype(int))
    data = dataset(frame, weights="n", duplicates="keep")
    assert refusal(lambda: split_of(data, in_time=True), ("data", "weights")) == message


@pytest.mark.parametrize(("weighty", "words"), [(range(12, 60), "fits"), ([*range(12), *range(48, 60)], "measures")])
def test_a_fold_without_weight_is_refused(weighty, words):
    frame = unique_rows().assign(n=np.isin(np.arange(60), weighty).astype(int))
    data = dataset(frame, weights="n", duplicates="keep")
    split = split_of(data, in_time=True, test_size=0.2)
    message = refusal(
        lambda: folds_of(data, split, CrossValidation(time_series=3), duplicates=Duplicates.KEEP), ("data", "weights")
    )
    assert message == f"no row that fold 0 {words} on has a weight above 0"


def grown(frame, count, task=Task.REGRESSION, **options):
    """Make a dataset of which the last rows are new."""
    needs = DataRequirements(task, numbers=True, takes_missing=False, model="M")
    config = DataConfig(source="t.csv", target="y", new="n.csv", **options)
    return make_dataset(frame, config, source="t.csv", needs=needs, is_new=np.arange(len(frame)) >= len(frame) - count)


@BOTH
@SEEDS
def test_test_rows_are_drawn_from_new_rows_that_equal_no_other(task, seed):
    data = grown(table(rows=200, kinds=90), 100, task)
    split = split_of(data, task, seed=seed, new="n.csv")
    assert data.is_new[split.test].all()
    assert not set(data.groups[split.test]) & set(data.groups[split.train])
    assert sorted([*split.train, *split.test]) == list(range(200))
    old = set(data.groups[~data.is_new])
    free = len({group for group in data.groups[data.is_new] if group not in old})
    assert len(set(data.groups[split.test])) == pytest.approx(0.25 * free, abs=2)


def test_new_rows_without_equal_ones_are_split_as_a_table_of_their_own():
    data = grown(unique_rows(100), 40)
    split = split_of(data, seed=3, new="n.csv")
    _, aside = next(ShuffleSplit(1, test_size=0.25, random_state=3).split(np.zeros(40)))
    assert list(split.test) == sorted(60 + aside)


def test_in_time_the_last_of_the_new_rows_are_set_aside():
    data = grown(unique_rows(100), 40, duplicates="keep")
    assert list(split_of(data, in_time=True, new="n.csv").test) == list(range(90, 100))


def test_new_rows_are_put_where_their_times_are():
    frame = unique_rows(100).assign(t=[*range(0, 120, 2), *range(101, 181, 2)])
    data = grown(frame, 40, time="t")
    test = split_of(data, in_time=True, new="n.csv").test
    assert list(test) == list(range(90, 100))
    assert data.is_new[test].all()
    assert data.is_new.sum() == 40


def test_a_class_that_has_one_new_row_does_not_stop_the_split():
    frame = unique_rows(100)
    frame["y"] = np.where(np.arange(100) == 99, 2, np.arange(100) % 2)
    split = split_of(grown(frame, 40, Task.CLASSIFICATION), Task.CLASSIFICATION, new="n.csv")
    assert len(split.test) == 10


def test_dropped_duplicates_keep_the_first_and_new_rows_stay_new():
    frame = pd.concat([unique_rows(20), unique_rows(30)], ignore_index=True)
    data = grown(frame, 30, duplicates="drop")
    assert len(data.target) == 30
    assert data.is_new.sum() == 10


def test_new_rows_that_are_all_known_are_refused():
    data = grown(pd.concat([unique_rows(20), unique_rows(10)], ignore_index=True), 10)
    refusal(lambda: split_of(data, new="n.csv"), ("data", "new"))


def test_rows_that_count_as_new_are_another_table():
    frame = unique_rows(20)
    assert len({grown(frame, 5).digest, grown(frame, 6).digest, dataset(frame).digest}) == 3
