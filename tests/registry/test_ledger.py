"""The ledger's entries: written into tags and read back, and what they say of a stage at a moment."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from wine_sweep.registry import Action, Entry, Progress, in_stage, versions_behind
from wine_sweep.registry.audit_log import LONGEST, PREFIX, read_entries

NOON = datetime(2026, 11, 25, 12, 0, 0, 5, tzinfo=UTC)


def entry(before, after, *, minutes=0, action=Action.PROMOTED, stage="Staging", when=None, **more):
    when = when or NOON + timedelta(minutes=minutes)
    return Entry(action, stage, "ann", before, after, ("It is better.",), when=when, **more)


def test_an_entry_is_read_back_as_it_was_written():
    written = entry("1", "2", ground="better", run_id="r", sweep="s", left="Staging", evidence={"low": 0.25, "slices": [1]})
    assert Entry.of(written.key, written.text()) == written


def test_keys_are_in_the_order_of_time_and_never_the_same():
    entries = [entry(None, "1", minutes=minutes) for minutes in (0, 0, 1, 60 * 24)]
    assert len({each.key for each in entries}) == 4
    assert [each.when for each in sorted(entries, key=lambda each: each.key)] == sorted(each.when for each in entries)


def test_what_does_not_fit_into_a_tag_loses_its_numbers_first_and_then_the_end_of_its_reasons():
    numbers = entry("1", "2", evidence={"losses": [0.123456] * 1000})
    assert Entry.of(numbers.key, numbers.text()).evidence == {}
    assert Entry.of(numbers.key, numbers.text()).reasons == numbers.reasons
    slices = entry("1", "2", evidence={"comparison": {"low": 0.5}, "slices": [0.123456] * 1000})
    assert Entry.of(slices.key, slices.text()).evidence == {"comparison": {"low": 0.5}}
    words = Entry(Action.KEPT, "Staging", "ann", "1", "1", ('"ä\n' * 4000,), when=NOON)
    assert len(words.text()) <= LONGEST
    (kept,) = Entry.of(words.key, words.text()).reasons
    assert kept.endswith("…")
    assert len(kept) > 1000


@pytest.mark.parametrize("value", ["{}", "[]", '"x"', "no JSON", json.dumps({"action": "eaten"})])
def test_what_is_no_entry_is_told_apart(value):
    with pytest.raises(ValueError, match=r".+"):
        Entry.of(entry(None, "1").key, value)


def test_an_entry_of_a_later_version_is_told_apart():
    tree = json.loads(entry(None, "1").text()) | {"colour": "red"}
    with pytest.raises(ValueError, match="colour"):
        Entry.of(entry(None, "1").key, json.dumps(tree))


HISTORY = [
    entry(None, "1", minutes=0),
    entry("1", "1", minutes=10, action=Action.KEPT),
    entry("1", "2", minutes=20),
    entry("2", "3", minutes=30, progress=Progress.FAILED),
    entry("2", "4", minutes=40, progress=Progress.BEGUN),
    entry("2", "1", minutes=50, action=Action.ROLLED_BACK),
    entry(None, "1", minutes=60, stage="Production", left="Staging"),
]


@pytest.mark.parametrize(
    ("minutes", "staging", "production"),
    [(-1, None, None), (0, "1", None), (15, "1", None), (25, "2", None), (45, "2", None), (55, "1", None), (65, None, "1")],
)
def test_the_ledger_says_what_was_in_a_stage_at_a_moment(minutes, staging, production):
    at = NOON + timedelta(minutes=minutes)
    found = {stage: in_stage(HISTORY, stage, at=at) for stage in ("Staging", "Production")}
    assert {stage: each and each.after for stage, each in found.items()} == {"Staging": staging, "Production": production}


def test_now_is_the_last_that_is_written():
    assert in_stage(HISTORY[:3], "Staging").after == "2"


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([], []),
        ([entry(None, "1")], ["1"]),
        ([entry("7", "8")], ["7", "8"]),
        ([entry(None, "1"), entry("1", "2"), entry("2", "3")], ["1", "2", "3"]),
        ([entry(None, "1"), entry("1", "2"), entry("2", "3"), entry("3", "2", action=Action.ROLLED_BACK)], ["1", "2"]),
        ([entry(None, "1"), entry("1", "2"), entry("2", "1", action=Action.ROLLED_BACK), entry("1", "3")], ["1", "3"]),
        (HISTORY, []),
        (HISTORY[:-1], ["1"]),
    ],
)
def test_what_was_gone_back_from_is_left_out_of_what_is_behind(entries, expected):
    assert list(versions_behind(entries, "Staging")) == expected


@pytest.mark.parametrize("ahead", [timedelta(days=2), timedelta(days=3640), timedelta(days=2_900_000)])
def test_what_is_further_ahead_than_clocks_differ_is_not_followed(ahead):
    now = datetime.now(UTC)
    near = entry("1", "2", when=now + timedelta(hours=23))
    ours = entry("2", "3", when=now).following([near, entry("2", "1", when=now + ahead)])
    assert ours.when - near.when == timedelta(microseconds=1)
    assert Entry.of(ours.key, ours.text()) == ours


@pytest.mark.parametrize("moment", ["99971231T235959.999999Z", "99981231T235959.999999Z", "99991231T235959.999999Z"])
def test_an_entry_of_a_year_that_has_not_come_is_none(moment):
    with pytest.raises(ValueError, match="has not come yet"):
        Entry.of(f"{PREFIX}{moment}-aaaaaaaa", entry("1", "2").text())


def test_an_entry_stands_on_the_version_that_it_is_about():
    one, two, kept = entry(None, "1"), entry("1", "2", minutes=1), entry(None, None, minutes=2, action=Action.KEPT)
    tags = {each.key: each.text() for each in (one, two, kept)}
    assert read_entries(tags, "2") == ([two], [f"{each.key} is not on the version that it is about" for each in (one, kept)])
    assert read_entries(tags, None)[0] == [kept]
