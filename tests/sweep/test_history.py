"""What stages hold and held, with real models on a real SQLite store."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from wine_sweep.errors import ConfigError
from wine_sweep.registry import ModelRegistry
from wine_sweep.registry.transitions import parse_moment


def output(ended):
    return " ".join(ended.stdout.split())


@pytest.mark.slow
def test_the_ledger_is_answerable_for_a_date(promoted, store, in_process):
    promoted(1, 2)
    first, second = ModelRegistry(store.client).ledger("wine")
    between = (first.when + (second.when - first.when) / 2).isoformat()
    then = json.loads(in_process("history", "wine", "--as-of", between, "--json").stdout)
    assert then["stages"]["Staging"]["version"] == "1"
    assert len(then["entries"]) == 1
    yesterday = (first.when - timedelta(days=1)).date().isoformat()
    shown = in_process("history", "wine", "--as-of", yesterday)
    assert "- Staging held no version, as far as the ledger says." in shown.stdout
    assert "Nothing is in its ledger up to then" in shown.stdout
    today = in_process("history", "wine", "--as-of", second.when.date().isoformat())
    assert "- Staging held version 2, since " in today.stdout
    refused = in_process("history", "wine", "--as-of", "yesterday")
    assert refused.returncode == 2
    assert "--as-of: 'yesterday' is no date; expected one like 2026-11-25" in " ".join(refused.stderr.split())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-25", datetime(2026, 11, 25, 23, 59, 59, 999999, UTC)),
        ("20261125", datetime(2026, 11, 25, 23, 59, 59, 999999, UTC)),
        ("2026-W48-3", datetime(2026, 11, 25, 23, 59, 59, 999999, UTC)),
        ("2026-11-25T14:30", datetime(2026, 11, 25, 14, 30, tzinfo=UTC)),
        ("2026-11-25T14:30+02:00", datetime(2026, 11, 25, 12, 30, tzinfo=UTC)),
    ],
)
def test_a_day_ends_when_it_ends_and_a_moment_has_a_zone(text, expected):
    assert parse_moment(text, "--as-of") == expected


@pytest.mark.parametrize("text", ["2026-13-01", "", "noon", "0001-01-01T00:00+14:00"])
def test_what_is_no_moment_is_refused(text):
    with pytest.raises(ConfigError, match=r"is no date; expected one like 2026-11-25"):
        parse_moment(text, "--as-of")


@pytest.mark.slow
def test_what_was_moved_without_wine_sweep_is_said(promoted, store, in_process):
    promoted(1, 2)
    with pytest.warns(FutureWarning):
        store.client.transition_model_version_stage("wine", "1", "Staging", archive_existing_versions=True)
    shown = output(in_process("history", "wine"))
    assert "Staging holds version 1; it was put there without wine_sweep" in shown
    assert "Back to version 2" in output(in_process("rollback", "wine"))


@pytest.mark.slow
@pytest.mark.parametrize("command", ["history", "rollback"])
def test_a_model_that_is_not_there_is_named_with_those_that_are(promoted, in_process, command):
    promoted(1)
    ended = in_process(command, "vine")
    assert ended.returncode == 2
    assert "there is no registered model 'vine'; there are: wine" in ended.stderr
