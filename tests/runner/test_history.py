"""What stages held, going back, and moving on to Production, with real models on a real SQLite store."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta

import mlflow
import pytest
from mlflow.artifacts import download_artifacts

from wine_sweep.config import Stage
from wine_sweep.errors import ConfigError
from wine_sweep.registry import ModelRegistry
from wine_sweep.runner.history import parse_moment, roll_back

CONFIG = """
name: small
data: {source: wine-quality-red, seed: 40}
model: {estimator: sklearn.tree.DecisionTreeRegressor}
search: {parameters: {max_depth: [1]}}
evaluation: {cv: 2, bootstrap: 0}
execution: {backend: serial}
registry: {name: wine, gate: false}
"""


@pytest.fixture
def promoted(store, in_process):
    """Promote models of some depths, one after the other, and give what the last printed."""

    def promote(*depths):
        (store.folder / "c.yaml").write_text(CONFIG)
        for depth in depths:
            ended = in_process("run", "c.yaml", "--quiet", "--set", f"search.parameters.max_depth=[{depth}]")
            assert ended.returncode == 0, ended.stderr
        return ended

    return promote


def stages(store):
    return {int(each.version): each.current_stage for each in store.client.search_model_versions("name = 'wine'")}


def depth_in(stage):
    return mlflow.sklearn.load_model(f"models:/wine@{stage}").max_depth


def output(ended):
    return " ".join(ended.stdout.split())


def test_rollback_goes_back_one_and_again_one_and_is_in_the_ledger(promoted, store, in_process):
    shown = promoted(1, 2, 3)
    assert "wine-sweep history wine" in shown.stdout
    assert stages(store) == {1: "Archived", 2: "Archived", 3: "Staging"}
    ended = in_process("rollback", "wine", "--reason", "it hates white wine")
    assert output(ended) == "Back to version 2 of wine in Staging (alias `staging`), in place of version 3."
    assert depth_in("staging") == 2
    assert json.loads(in_process("rollback", "wine", "--json").stdout)["version"] == "1"
    assert stages(store) == {1: "Staging", 2: "Archived", 3: "Archived"}
    ended = in_process("rollback", "wine")
    assert ended.returncode == 2
    assert "there is no version of wine to go back to: nothing was in Staging before version 1" in " ".join(ended.stderr.split())
    document = json.loads(in_process("history", "wine", "--json").stdout)
    assert [(each["action"], each["before"], each["after"]) for each in document["entries"]] == [
        ("rolled_back", "2", "1"),
        ("rolled_back", "3", "2"),
        ("promoted", "2", "3"),
        ("promoted", "1", "2"),
        ("promoted", None, "1"),
    ]
    assert document["entries"][1]["reasons"] == ["Rolled back from version 3: it hates white wine"]
    assert document["stages"]["Staging"]["version"] == "1"
    assert document["stages"]["Production"] is None
    text = in_process("history", "wine").stdout
    assert "- Staging holds version 1, since " in text
    assert "it hates white wine" in " ".join(text.split())


def test_a_rollback_that_was_killed_half_way_is_finished_and_goes_back_no_further(promoted, store, in_process, monkeypatch):
    promoted(1, 2, 3)

    class Killed(BaseException):
        pass

    def dies(*arguments):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(mlflow.MlflowClient, "set_registered_model_alias", dies)
        with pytest.raises(Killed):
            roll_back(ModelRegistry(store.client), "wine", Stage.STAGING)
    assert stages(store) == {1: "Archived", 2: "Staging", 3: "Archived"}
    assert "Back to version 2 of wine in Staging (alias `staging`), in place of version 3" in output(
        in_process("rollback", "wine")
    )
    assert stages(store) == {1: "Archived", 2: "Staging", 3: "Archived"}
    assert depth_in("staging") == 2
    assert "Back to version 1" in output(in_process("rollback", "wine"))


def test_a_version_that_does_not_load_is_not_gone_back_to(promoted, store, in_process):
    promoted(1, 2)
    shutil.rmtree(download_artifacts(store.client.get_model_version("wine", "1").source))
    ended = in_process("rollback", "wine")
    assert ended.returncode == 1
    assert "models:/wine/1 cannot be loaded" in ended.stderr
    assert stages(store) == {1: "Archived", 2: "Staging"}


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


def test_promote_to_production_moves_the_version_in_staging(promoted, store, in_process):
    promoted(1, 2)
    ended = in_process("promote", "--stage", "Production", "--name", "wine", "--dry-run")
    assert output(ended) == "Would move version 2 of wine to Production; nothing was changed."
    ended = in_process("promote", "--stage", "production", "--name", "wine")
    assert output(ended) == "Now version 2 of wine in Production (alias `production`)."
    assert stages(store) == {1: "Archived", 2: "Production"}
    assert depth_in("production") == 2
    empty = in_process("promote", "--stage", "Production", "--name", "wine")
    assert (empty.returncode, empty.stderr.strip()) == (2, "error: no version of wine is in Staging")
    promoted(3)
    assert json.loads(in_process("promote", "--stage", "Production", "--name", "wine", "--json").stdout)["archived_versions"] == [
        "2"
    ]
    back = in_process("rollback", "wine", "--stage", "Production")
    assert "Back to version 2 of wine in Production" in output(back)
    document = json.loads(in_process("history", "wine", "--json").stdout)
    assert document["stages"]["Production"]["version"] == "2"
    assert document["stages"]["Staging"] is None


@pytest.mark.parametrize("options", [(), ("--name", "wine"), ("--stage", "Staging", "--name", "wine"), ("--stage", "Production")])
def test_promote_without_a_sweep_says_what_it_needs(in_process, options):
    ended = in_process("promote", *options)
    assert ended.returncode == 2
    assert "say `--stage Production --name MODEL`" in " ".join(ended.stderr.split())


def test_what_was_moved_without_wine_sweep_is_said(promoted, store, in_process):
    promoted(1, 2)
    with pytest.warns(FutureWarning):
        store.client.transition_model_version_stage("wine", "1", "Staging", archive_existing_versions=True)
    shown = output(in_process("history", "wine"))
    assert "Staging holds version 1; it was put there without wine_sweep" in shown
    assert "Back to version 2" in output(in_process("rollback", "wine"))


@pytest.mark.parametrize("command", ["history", "rollback"])
def test_a_model_that_is_not_there_is_named_with_those_that_are(promoted, in_process, command):
    promoted(1)
    ended = in_process(command, "vine")
    assert ended.returncode == 2
    assert "there is no registered model 'vine'; there are: wine" in ended.stderr
