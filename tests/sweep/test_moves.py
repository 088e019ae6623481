"""Going back, and moving on to Production, with real models on a real SQLite store."""

from __future__ import annotations

import json
import shutil

import mlflow
import pytest
from mlflow.artifacts import download_artifacts

from wine_sweep.config import Stage
from wine_sweep.promotion.manual import roll_back
from wine_sweep.registry import ModelRegistry


def stages(store):
    return {int(each.version): each.current_stage for each in store.client.search_model_versions("name = 'wine'")}


def depth_in(stage):
    return mlflow.sklearn.load_model(f"models:/wine@{stage}").max_depth


def output(ended):
    return " ".join(ended.stdout.split())


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_version_that_does_not_load_is_not_gone_back_to(promoted, store, in_process):
    promoted(1, 2)
    shutil.rmtree(download_artifacts(store.client.get_model_version("wine", "1").source))
    ended = in_process("rollback", "wine")
    assert ended.returncode == 1
    assert "models:/wine/1 cannot be loaded" in ended.stderr
    assert stages(store) == {1: "Archived", 2: "Staging"}


@pytest.mark.slow
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


@pytest.mark.quick(1)
@pytest.mark.parametrize("options", [(), ("--name", "wine"), ("--stage", "Staging", "--name", "wine"), ("--stage", "Production")])
def test_promote_without_a_sweep_says_what_it_needs(in_process, options):
    ended = in_process("promote", *options)
    assert ended.returncode == 2
    assert "say `--stage Production --name MODEL`" in " ".join(ended.stderr.split())
