"""Moving versions between stages, on a real SQLite store: whoever fails, dies or comes second leaves no doubt."""

from __future__ import annotations

import threading
import warnings
from datetime import UTC, datetime, timedelta

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from wine_sweep.config import Stage
from wine_sweep.errors import NotFoundError, OvertakenError, TrackingError
from wine_sweep.registry import Action, Entry, ModelRegistry, Progress, Promotion, in_stage

NAME = "wine"


class Client:
    """The real client, but for calls that a test lets fail, or that this MLflow does not have."""

    def __init__(self, client: MlflowClient) -> None:
        self.client = client
        self.instead = {}
        self.missing: set[str] = set()

    def __getattr__(self, name):
        if name in self.missing:
            raise AttributeError(name)
        return self.instead.get(name) or getattr(self.client, name)


@pytest.fixture
def client(store):
    return Client(store.client)


@pytest.fixture
def registry(client):
    return ModelRegistry(client)


def logged(client):
    """Make a logged model, without files, and a run for it."""
    run_id = client.create_run("0").info.run_id
    return {"model_uri": f"models:/{client.create_logged_model('0', source_run_id=run_id).model_id}", "run_id": run_id}


def test_a_name_that_another_registers_in_the_same_moment_is_not_an_error(client, registry, monkeypatch):
    looked = client.get_registered_model

    def look(name):
        try:
            return looked(name)
        except MlflowException:
            client.create_registered_model(name)
            raise

    monkeypatch.setattr(client, "get_registered_model", look)
    assert registry.register("raced", **logged(client)).version == "1"


def entry(before, after, **more):
    return Entry(Action.PROMOTED, more.pop("stage", "Staging"), "ann", before, after, ("It is better.",), **more)


@pytest.fixture
def two(client, registry):
    """Two versions, the first in Staging."""
    first, second = (registry.register(NAME, **logged(client)) for _ in range(2))
    registry.move(first, Stage.STAGING, entry(None, "1"))
    return first, second


def stages(client):
    return {each.version: each.current_stage for each in client.search_model_versions(f"name = '{NAME}'")}


def alias(client, name="staging"):
    try:
        return client.get_model_version_by_alias(NAME, name).version
    except MlflowException:
        return None


def progress(registry):
    return [each.progress for each in registry.ledger(NAME)]


@pytest.mark.slow
def test_a_promotion_moves_stage_and_alias_archives_the_old_and_is_written_down(client, registry, two):
    promotion = registry.move(two[1], Stage.STAGING, entry("1", "2", ground="better", evidence={"low": 0.5}))
    assert promotion == Promotion(NAME, "2", Stage.STAGING, two[1].run_id, archived=("1",))
    assert stages(client) == {1: "Archived", 2: "Staging"}
    assert alias(client) == 2
    last = registry.ledger(NAME)[-1]
    assert (last.before, last.after, last.ground, last.evidence, last.progress) == ("1", "2", "better", {"low": 0.5}, "done")
    assert last.key in client.get_model_version(NAME, "2").tags


@pytest.mark.slow
def test_twice_is_once(client, registry, two):
    registry.move(two[1], Stage.STAGING, entry("1", "2"))
    again = registry.move(registry.find(NAME, "2"), Stage.STAGING, entry("1", "2"))
    assert again.already_there
    assert len(registry.ledger(NAME)) == 2
    same = logged(client)
    assert registry.register(NAME, **same).version == registry.register(NAME, **same).version == "3"


@pytest.mark.slow
def test_an_alias_that_somebody_has_moved_follows_the_stage_again(client, registry, two):
    client.set_registered_model_alias(NAME, "staging", "2")
    assert registry.move(two[0], Stage.STAGING, entry(None, "1")).already_there
    assert alias(client) == 1


def test_an_alias_that_cannot_be_set_leaves_the_old_version_in_place(client, registry, two):
    def fails(name, alias, version):
        raise MlflowException("no aliases today")

    client.instead["set_registered_model_alias"] = fails
    with pytest.raises(TrackingError, match="no aliases today"):
        registry.move(two[1], Stage.STAGING, entry("1", "2"))
    assert stages(client) == {1: "Staging", 2: "None"}
    assert alias(client) == 1
    assert progress(registry) == ["done", "failed"]


@pytest.mark.slow
def test_a_stage_that_cannot_be_moved_leaves_the_old_version_in_place(client, registry, two):
    def fails(*arguments, **keys):
        raise MlflowException("no stages today")

    client.instead["transition_model_version_stage"] = fails
    with pytest.raises(TrackingError, match="no stages today"):
        registry.move(two[1], Stage.STAGING, entry("1", "2"))
    assert (stages(client), alias(client)) == ({1: "Staging", 2: "None"}, 1)
    assert progress(registry) == ["done", "failed"]


class Died(BaseException):
    pass


def dies(*arguments, **keys):
    raise Died


@pytest.mark.slow
@pytest.mark.parametrize(
    ("call", "there"),
    [("transition_model_version_stage", 1), ("set_registered_model_alias", 2)],
)
def test_who_dies_half_way_leaves_one_version_in_place_and_the_next_settles_the_rest(client, registry, two, call, there):
    client.instead[call] = dies
    with pytest.raises(Died):
        registry.move(two[1], Stage.STAGING, entry("1", "2"))
    client.instead.clear()
    assert [version for version, stage in stages(client).items() if stage == "Staging"] == [there]
    assert progress(registry) == ["done", "begun"]
    registry.settle(NAME)
    assert alias(client) == there
    assert progress(registry) == ["done", "done" if there == 2 else "failed"]
    assert registry.move(two[1], Stage.STAGING, entry("1", "2")).already_there == (there == 2)
    assert (stages(client), alias(client)) == ({1: "Archived", 2: "Staging"}, 2)


@pytest.mark.slow
def test_who_has_seen_another_version_in_the_stage_is_told(client, registry, two):
    third = registry.register(NAME, **logged(client))
    registry.move(two[1], Stage.STAGING, entry("1", "2"))
    with pytest.raises(OvertakenError, match="version 2 of wine is in Staging by now"):
        registry.move(third, Stage.STAGING, entry("1", "3"))
    with pytest.raises(OvertakenError):
        registry.move(third, Stage.STAGING, entry(None, "3"))
    with pytest.raises(OvertakenError, match="no version of wine is in Production by now"):
        registry.move(third, Stage.PRODUCTION, entry("1", "3", stage="Production"))
    assert stages(client) == {1: "Archived", 2: "Staging", 3: "None"}


@pytest.mark.slow
def test_of_two_at_once_on_one_machine_one_wins_and_the_other_is_told(store, client, registry, two):
    others = [two[1], *(registry.register(NAME, **logged(client)) for _ in range(3))]
    told, won, gate = [], [], threading.Barrier(len(others))

    def promote(registered):
        own = ModelRegistry(MlflowClient(store.uri))
        gate.wait()
        try:
            won.append(own.move(registered, Stage.STAGING, entry("1", registered.version)).version)
        except OvertakenError as error:
            told.append(str(error))

    threads = [threading.Thread(target=promote, args=(each,)) for each in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(told)) == (1, 3)
    assert [str(version) for version, stage in stages(client).items() if stage == "Staging"] == won
    assert str(alias(client)) == won[0]


@pytest.mark.slow
def test_of_two_at_once_on_different_machines_the_last_wins_and_the_other_is_told(client, registry, two):
    third = registry.register(NAME, **logged(client))
    real = client.client

    def both(name, version, stage, **keys):
        real.transition_model_version_stage(name, version, stage, **keys)
        real.transition_model_version_stage(name, third.version, stage, **keys)  # a machine that knows no lock of ours

    client.instead["transition_model_version_stage"] = both
    with pytest.raises(OvertakenError, match="version 3 of wine was put into Staging at the same time"):
        registry.move(two[1], Stage.STAGING, entry("1", "2"))
    assert stages(client) == {1: "Archived", 2: "Archived", 3: "Staging"}
    assert alias(client) == 3
    assert progress(registry) == ["done", "failed"]


def at_once(client, rival, *, minutes, progress=Progress.BEGUN, both_stay=True):
    """Have another machine, whose clock is so many minutes ahead, move the stage right after the next move of it."""
    real, written = client.client, entry("1", rival.version, when=datetime.now(UTC) + timedelta(minutes=minutes))

    def both(name, version, stage, **keys):
        client.instead.clear()
        real.set_model_version_tag(name, rival.version, written.key, written.ended(progress).text())
        real.transition_model_version_stage(name, version, stage, **keys)
        real.transition_model_version_stage(name, rival.version, stage, archive_existing_versions=not both_stay)

    client.instead["transition_model_version_stage"] = both


@pytest.mark.quick(1)
@pytest.mark.parametrize("progress", [Progress.BEGUN, Progress.DONE])
@pytest.mark.parametrize("both_stay", [True, False])
def test_who_was_put_there_at_the_same_time_and_comes_later_in_the_ledger_has_the_stage(
    client, registry, two, both_stay, progress
):
    third = registry.register(NAME, **logged(client))
    at_once(client, third, minutes=1, both_stay=both_stay, progress=progress)
    with pytest.raises(OvertakenError, match="version 3 of wine was put into Staging at the same time, and is there now"):
        registry.move(two[1], Stage.STAGING, entry("1", "2"))
    assert stages(client) == {1: "Archived", 2: "Archived", 3: "Staging"}
    assert alias(client) == 3


@pytest.mark.slow
@pytest.mark.parametrize("progress", [Progress.BEGUN, Progress.DONE])
@pytest.mark.parametrize("both_stay", [True, False])
def test_who_comes_last_in_the_ledger_keeps_the_stage(client, registry, two, both_stay, progress):
    third = registry.register(NAME, **logged(client))
    at_once(client, third, minutes=-1, both_stay=both_stay, progress=progress)
    assert registry.move(two[1], Stage.STAGING, entry("1", "2")).version == "2"
    assert stages(client) == {1: "Archived", 2: "Staging", 3: "Archived"}
    assert alias(client) == 2
    assert in_stage(registry.ledger(NAME), "Staging").after == "2"


@pytest.mark.slow
def test_a_clock_that_is_slow_does_not_put_a_promotion_before_the_one_that_it_follows(client, registry, two):
    early = datetime.now(UTC) - timedelta(days=1)
    registry.move(two[1], Stage.STAGING, entry("1", "2", when=early))
    assert in_stage(registry.ledger(NAME), "Staging").after == "2"
    assert [each.after for each in registry.ledger(NAME)] == ["1", "2"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_two_that_died_over_the_same_stage_leave_the_last_one_in_it(client, registry, two):
    third = registry.register(NAME, **logged(client))
    for registered in (two[1], third):
        begun = entry("1", registered.version, progress=Progress.BEGUN)
        client.set_model_version_tag(NAME, registered.version, begun.key, begun.text())
        client.transition_model_version_stage(NAME, registered.version, "Staging", archive_existing_versions=registered is two[1])
    assert stages(client) == {1: "Archived", 2: "Staging", 3: "Staging"}
    assert [each.after for each in registry.settle(NAME)] == ["3"]
    assert (stages(client), alias(client)) == ({1: "Archived", 2: "Archived", 3: "Staging"}, 3)
    assert progress(registry) == ["done", "failed", "done"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_who_lives_on_another_machine_while_its_promotion_is_settled_has_promoted(client, registry, two):
    """What has begun is taken for dead; it goes on right before that is written down."""
    begun = entry("1", "2", progress=Progress.BEGUN)
    client.set_model_version_tag(NAME, "2", begun.key, begun.text())
    real = client.client

    def late(name, version, key, value):
        client.instead.clear()
        real.transition_model_version_stage(name, "2", "Staging", archive_existing_versions=True)
        real.set_model_version_tag(name, "2", begun.key, begun.ended(Progress.DONE).text())
        real.set_model_version_tag(name, version, key, value)

    client.instead["set_model_version_tag"] = late
    registry.settle(NAME)
    assert progress(registry) == ["done", "done"]
    assert (stages(client), alias(client)) == ({1: "Archived", 2: "Staging"}, 2)


@pytest.mark.slow
def test_what_was_begun_in_another_stage_is_settled_too(client, registry, two):
    client.instead["set_registered_model_alias"] = dies
    with pytest.raises(Died):
        registry.move(two[0], Stage.PRODUCTION, entry(None, "1", stage="Production", left="Staging"))
    client.instead.clear()
    registry.move(two[1], Stage.STAGING, entry(None, "2"))
    assert (alias(client), alias(client, "production")) == (2, 1)
    assert progress(registry) == ["done", "done", "done"]


@pytest.mark.slow
def test_while_a_move_is_undone_the_stage_is_never_empty(client, registry, two):
    def fails(name, alias, version):
        client.instead["transition_model_version_stage"] = moves
        raise MlflowException("no aliases today")

    def moves(name, version, stage, **keys):
        client.client.transition_model_version_stage(name, version, stage, **keys)
        assert "Staging" in stages(client).values()

    client.instead["set_registered_model_alias"] = fails
    with pytest.raises(TrackingError, match="no aliases today"):
        registry.move(two[1], Stage.STAGING, entry("1", "2"))
    assert stages(client) == {1: "Staging", 2: "None"}


@pytest.mark.slow
def test_a_version_that_moves_on_to_production_leaves_staging_empty(client, registry, two):
    registry.move(two[0], Stage.PRODUCTION, entry(None, "1", stage="Production", left="Staging"))
    assert (alias(client), alias(client, "production")) == (None, 1)
    assert registry.in_stage(NAME, Stage.STAGING) is None
    assert registry.in_stage(NAME, Stage.PRODUCTION).version == "1"


@pytest.mark.slow
def test_without_stages_the_alias_says_it(client, registry):
    client.missing.add("transition_model_version_stage")
    first, second = (registry.register(NAME, **logged(client)) for _ in range(2))
    registry.move(first, Stage.STAGING, entry(None, "1"))
    assert registry.move(second, Stage.STAGING, entry("1", "2")).archived == ("1",)
    assert registry.in_stage(NAME, Stage.STAGING).version == "2"
    assert registry.move(second, Stage.STAGING, entry("1", "2")).already_there
    assert progress(registry) == ["done", "done"]


@pytest.mark.slow
def test_what_is_kept_is_written_on_the_version_or_on_the_model_that_has_none(client, registry, two):
    registry.note(NAME, Entry(Action.KEPT, "Staging", "ann", "1", "1", ("Not better.",), run_id="r"))
    assert registry.ledger(NAME)[-1].key in client.get_model_version(NAME, "1").tags
    registry.note("new", Entry(Action.KEPT, "Staging", "ann", None, None, ("No better than a dummy.",)))
    assert [each.reasons for each in registry.ledger("new")] == [("No better than a dummy.",)]
    assert registry.versions("new") == []


@pytest.mark.slow
def test_a_tag_that_is_no_entry_does_not_hide_the_others(client, registry, two, caplog):
    client.set_model_version_tag(NAME, "1", "wine_sweep.ledger.20261125T120000.000000Z-x", "{}")
    assert progress(registry) == ["done"]
    assert "an entry of the ledger of wine cannot be read" in caplog.text


@pytest.mark.slow
def test_what_is_not_there_is_named(registry, two):
    with pytest.raises(NotFoundError, match="there is no version 9 of wine; there are: 1, 2"):
        registry.find(NAME, "9")
    with pytest.raises(NotFoundError, match="there is no registered model 'vine'; there are: wine"):
        registry.find("vine", "1")
    assert registry.versions("vine") == []


def transition(client, version, stage):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        client.transition_model_version_stage(NAME, version, stage)


@pytest.mark.slow
def test_a_version_that_somebody_has_archived_is_not_in_the_stage_and_can_be_put_back(client, registry, two):
    transition(client, "1", "Archived")
    assert registry.in_stage(NAME, Stage.STAGING) is None
    assert not registry.move(two[0], Stage.STAGING, entry(None, "1")).already_there
    assert (stages(client)[1], alias(client)) == ("Staging", 1)


@pytest.mark.slow
def test_who_goes_by_aliases_alone_is_understood_and_the_stage_follows(client, registry, two):
    client.set_registered_model_alias(NAME, "production", "2")
    assert registry.in_stage(NAME, Stage.PRODUCTION).version == "2"
    promotion = registry.move(two[1], Stage.PRODUCTION, entry("2", "2", stage="Production"))
    assert not promotion.already_there
    assert stages(client) == {1: "Staging", 2: "Production"}


@pytest.mark.parametrize("name", ["O'Brien", 'the "best"', "both ' and \"", ""])
def test_names_that_mlflow_can_hardly_be_asked_for_have_no_versions(registry, name):
    assert registry.versions(name) == []


def test_a_model_without_versions_is_not_said_to_be_missing(client, registry):
    client.create_registered_model("empty")
    with pytest.raises(NotFoundError, match="the registered model 'empty' has no version"):
        registry.find("empty", "1")
